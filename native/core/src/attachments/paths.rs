//! Paths that stay where they belong.

use std::collections::HashSet;
use std::io;
use std::path::{Component, Path, PathBuf};

use crate::{CoreError, Result};

/// Whose rules a relative path is held to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Host {
    /// Linux and macOS.
    Posix,
    /// Windows: backslash and colon mean something, and some names are devices.
    Windows,
}

impl Host {
    /// The rules of this machine.
    #[must_use]
    pub const fn current() -> Self {
        if cfg!(windows) { Self::Windows } else { Self::Posix }
    }

    /// Reads the word of `rootPathFormat` and path mapping rules, in any case.
    ///
    /// # Errors
    /// `Attachments` for another word.
    pub fn parse(text: &str) -> Result<Self> {
        match text.to_ascii_lowercase().as_str() {
            "posix" => Ok(Self::Posix),
            "windows" => Ok(Self::Windows),
            _ => Err(CoreError::Attachments(format!("The path format {text:?} is not known. Use POSIX or WINDOWS."))),
        }
    }

    /// The word for it in `rootPathFormat` and path mapping rules.
    #[must_use]
    pub const fn path_format(self) -> &'static str {
        match self {
            Self::Posix => "posix",
            Self::Windows => "windows",
        }
    }
}

/// Holds a path of a manifest to the rule that it can only mean a file below its root.
///
/// # Errors
/// What is wrong with it, without a full stop, e.g. `the path "../x" leads out of its root`.
pub fn check_relative(path: &str, host: Host) -> std::result::Result<(), String> {
    if path.is_empty() {
        return Err("a path is empty".into());
    }
    if path.contains('\0') {
        return Err(format!("the path {path:?} holds a null character"));
    }
    // A drive is refused everywhere: a manifest that was written on Windows and read on Linux is no less wrong.
    let bytes = path.as_bytes();
    let drive =
        bytes.len() >= 3 && bytes[0].is_ascii_alphabetic() && bytes[1] == b':' && matches!(bytes[2], b'/' | b'\\');
    if path.starts_with('/') || path.starts_with("\\\\") || drive {
        return Err(format!("the path {path:?} is absolute"));
    }
    let separators: &[char] = match host {
        Host::Posix => &['/'],
        Host::Windows => &['/', '\\'],
    };
    for part in path.split(separators) {
        match part {
            ".." => return Err(format!("the path {path:?} leads out of its root")),
            "" | "." => return Err(format!("the path {path:?} has an empty part")),
            _ => {}
        }
        if host == Host::Windows {
            check_windows_name(path, part)?;
        }
    }
    Ok(())
}

fn check_windows_name(path: &str, part: &str) -> std::result::Result<(), String> {
    if part.contains(|c: char| matches!(c, ':' | '<' | '>' | '"' | '|' | '?' | '*') || c < ' ') {
        return Err(format!("the path {path:?} holds a character that Windows does not allow in names"));
    }
    if part.ends_with(['.', ' ']) {
        return Err(format!("the path {path:?} has a part that ends with a dot or a space"));
    }
    let stem = part.split('.').next().unwrap_or(part).trim_end().to_ascii_uppercase();
    let numbered = |prefix: &str| {
        stem.strip_prefix(prefix).is_some_and(|rest| {
            let mut characters = rest.chars();
            matches!((characters.next(), characters.next()), (Some('0'..='9' | '¹' | '²' | '³'), None))
        })
    };
    if matches!(stem.as_str(), "CON" | "PRN" | "AUX" | "NUL" | "CONIN$" | "CONOUT$")
        || numbered("COM")
        || numbered("LPT")
    {
        return Err(format!("the path {path:?} names a device of Windows"));
    }
    Ok(())
}

/// The absolute path without `.` and `..`, worked out on the text: links are not followed.
///
/// # Errors
/// `Attachments` when the current directory cannot be told.
pub fn normalize(path: &Path) -> Result<PathBuf> {
    let absolute = std::path::absolute(path)
        .map_err(|err| CoreError::Attachments(format!("Cannot make {} an absolute path: {err}.", path.display())))?;
    let mut normal = PathBuf::new();
    for component in absolute.components() {
        match component {
            Component::ParentDir => {
                normal.pop();
            }
            Component::CurDir => {}
            other => normal.push(other),
        }
    }
    Ok(normal)
}

/// `path` below `root` with `/` between its parts, as manifests and the wire have it.
///
/// # Errors
/// `Attachments` when a name is not Unicode.
pub fn relative_text(path: &Path, root: &Path, separator: char) -> Result<String> {
    let relative = path.strip_prefix(root).map_err(|_| {
        CoreError::Attachments(format!("{} does not lie below its root {}.", path.display(), root.display()))
    })?;
    let mut text = String::with_capacity(relative.as_os_str().len());
    for component in relative.components() {
        let part = component.as_os_str().to_str().ok_or_else(|| {
            CoreError::Attachments(format!(
                "The name of {} is not valid Unicode, so no manifest can hold it. Rename it.",
                path.display()
            ))
        })?;
        if !text.is_empty() {
            text.push(separator);
        }
        text.push_str(part);
    }
    Ok(text)
}

/// A folder that files are written into, and out of which no path leads.
#[derive(Debug)]
pub struct Root {
    path: PathBuf,
    canonical: PathBuf,
    made: HashSet<PathBuf>,
}

impl Root {
    /// Makes the folder when it is missing.
    ///
    /// # Errors
    /// `Attachments` when it cannot be made.
    pub fn create(path: &Path) -> Result<Self> {
        let path = normalize(path)?;
        let canonical = std::fs::create_dir_all(&path)
            .and_then(|()| path.canonicalize())
            .map_err(|err| cannot_create(&path, &err))?;
        Ok(Self { path, canonical, made: HashSet::new() })
    }

    /// Where a manifest's path lies, without touching anything.
    ///
    /// # Errors
    /// `Attachments` when the path, or a link on its way that is there already, leads out of the root.
    pub fn resolve(&self, relative: &str) -> Result<PathBuf> {
        check_relative(relative, Host::current()).map_err(|what| {
            CoreError::Attachments(format!("Nothing was written to {}: {what}.", self.path.display()))
        })?;
        let mut folder = self.path.clone();
        let mut parts = relative.split('/').peekable();
        while let Some(part) = parts.next() {
            folder.push(part);
            if parts.peek().is_some() && !self.made.contains(&folder) {
                self.check_folder(&folder)?;
            }
        }
        Ok(folder)
    }

    /// Makes the folders that a resolved path lies in, and looks again that none of them is a link out of the root.
    ///
    /// # Errors
    /// `Attachments` when a folder cannot be made or leads out.
    pub fn create_parents(&mut self, resolved: &Path) -> Result<()> {
        let Some(parent) = resolved.parent() else { return Ok(()) };
        if parent == self.path || self.made.contains(parent) {
            return Ok(());
        }
        let mut missing = Vec::new();
        for folder in parent.ancestors().take_while(|folder| *folder != self.path) {
            if self.made.contains(folder) {
                break;
            }
            missing.push(folder.to_path_buf());
        }
        for folder in missing.into_iter().rev() {
            match std::fs::create_dir(&folder) {
                Ok(()) => {}
                Err(err) if err.kind() == io::ErrorKind::AlreadyExists => self.check_folder(&folder)?,
                Err(err) => return Err(cannot_create(&folder, &err)),
            }
            self.made.insert(folder);
        }
        Ok(())
    }

    /// The folder itself.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    fn check_folder(&self, folder: &Path) -> Result<()> {
        let Ok(metadata) = folder.symlink_metadata() else { return Ok(()) };
        if metadata.is_dir() {
            return Ok(());
        }
        let inside = folder.canonicalize().is_ok_and(|target| target.starts_with(&self.canonical) && target.is_dir());
        if inside {
            return Ok(());
        }
        let what = if metadata.is_symlink() { "is a link that leads out of it" } else { "is not a folder" };
        Err(CoreError::Attachments(format!(
            "Nothing was written to {}: {} {what}. Remove it and try again.",
            self.path.display(),
            folder.display()
        )))
    }
}

/// Whether a folder takes names that differ in nothing but case for one name. Asks by making a file for a moment.
pub(crate) fn ignores_case(folder: &Path) -> bool {
    let probe = tempfile::Builder::new().prefix(".shotput-CASE-").tempfile_in(folder);
    let Ok(probe) = probe else { return cfg!(any(windows, target_os = "macos")) };
    let name = probe.path().file_name().unwrap_or_default().to_string_lossy().to_lowercase();
    folder.join(name).symlink_metadata().is_ok()
}

fn cannot_create(folder: &Path, err: &io::Error) -> CoreError {
    CoreError::Attachments(format!("Cannot create the folder {}: {}.", folder.display(), disk_fault(err)))
}

/// What an error of the file system means to a person.
pub(crate) fn disk_fault(err: &io::Error) -> String {
    match err.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
            "no space is left on the disk; free some and try again".into()
        }
        io::ErrorKind::FileTooLarge => "the file is larger than the system allows (disk quota or ulimit -f)".into(),
        io::ErrorKind::ReadOnlyFilesystem => "the disk is read-only".into(),
        io::ErrorKind::PermissionDenied => "permission was denied".into(),
        io::ErrorKind::NotFound => "it does not exist".into(),
        _ => err.to_string(),
    }
}
