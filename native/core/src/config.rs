//! The client configuration file, shared with the official Python client.
//!
//! Responsible for where the file is, what a setting is called, in which section it lies and how it is written. Reading
//! never writes. It knows nothing of AWS profiles: see [`crate::credentials`].

mod ini;
mod settings;

use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use crate::error::{CoreError, Result};

pub use ini::{Document, Section};
pub use settings::{Kind, SETTINGS, Setting};

/// The environment variable that names the file.
pub const PATH_VARIABLE: &str = "DEADLINE_CONFIG_FILE_PATH";

/// A configuration as it was read, with the place where it is written back.
#[derive(Debug, Clone)]
pub struct Config {
    path: PathBuf,
    document: Document,
}

impl Config {
    /// Reads the file at `path` (default: [`default_path`]). A missing file is an empty configuration.
    pub fn read(path: Option<&Path>) -> Result<Self> {
        let path = path.map_or_else(default_path, |path| expand_home(&path.to_string_lossy()));
        let document = match std::fs::read(&path) {
            Ok(bytes) => {
                let text = String::from_utf8(bytes).map_err(|err| {
                    CoreError::Config(format!(
                        "Cannot read the configuration {}: it is not UTF-8 text (byte {}). Correct the file, or \
                         remove it.",
                        path.display(),
                        err.utf8_error().valid_up_to()
                    ))
                })?;
                Document::parse(&text, &path.display().to_string())?
            }
            Err(err) if err.kind() == std::io::ErrorKind::NotFound => Document::default(),
            Err(err) => {
                return Err(CoreError::Config(format!(
                    "Cannot read the configuration {}: {err}. Check the path and its permissions.",
                    path.display()
                )));
            }
        };
        Ok(Self { path, document })
    }

    /// A configuration in which nothing is set.
    pub fn empty() -> Self {
        Self { path: default_path(), document: Document::default() }
    }

    /// As [`Config::read`], but a file that cannot be read or understood counts as empty.
    pub fn read_lenient(path: Option<&Path>) -> Self {
        Self::read(path).unwrap_or_else(|err| {
            tracing::warn!("{err}");
            let path = path.map_or_else(default_path, |path| expand_home(&path.to_string_lossy()));
            Self { path, document: Document::default() }
        })
    }

    /// Where the configuration was read from.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The file as it is: sections and raw values.
    pub fn document(&self) -> &Document {
        &self.document
    }

    /// The value of a setting: what is stored, else its default.
    pub fn get(&self, name: &str) -> Result<String> {
        let setting = find(name)?;
        Ok(self.value(setting))
    }

    /// What is stored for a setting; `None` when its default holds.
    pub fn stored(&self, name: &str) -> Result<Option<String>> {
        let setting = find(name)?;
        let is_stored = self.document.get(&self.section_of(setting), key_of(setting)).is_some();
        Ok(is_stored.then(|| self.value(setting)))
    }

    /// The default of a setting under the current profile.
    pub fn default_value(&self, name: &str) -> Result<String> {
        let setting = find(name)?;
        Ok(self.substituted_default(setting))
    }

    /// A setting as a boolean.
    pub fn get_bool(&self, name: &str) -> Result<bool> {
        let value = self.get(name)?;
        parse_bool(&value)
            .map_err(|err| CoreError::Config(format!("The setting {name} in {}: {err}", self.path.display())))
    }

    /// A setting as a whole number that is not negative.
    pub fn get_number(&self, name: &str) -> Result<u64> {
        let value = self.get(name)?;
        value.trim().parse().map_err(|_| {
            CoreError::Config(format!(
                "The setting {name} in {} is {value:?}, which is not a whole number. Set it to one, for example {}.",
                self.path.display(),
                find(name).map_or("1", |setting| setting.default)
            ))
        })
    }

    /// Sets a setting in memory, in the section that the current profile, farm and queue give.
    pub fn set(&mut self, name: &str, value: &str) -> Result<()> {
        let setting = find(name)?;
        let section = self.section_of(setting);
        let stored =
            if cfg!(windows) && setting.kind != Kind::Text { value.replace('\\', "/") } else { value.to_owned() };
        // In the name of a section a line break makes a file that no program can read, and Python reads no lone `\r`.
        let is_broken = |text: &str, breaks: &[char]| text.contains(breaks).then(|| text.to_owned());
        let names_sections = SETTINGS.iter().any(|other| other.scope == Some(setting.name));
        let breaks: &[char] = if names_sections { &['\n', '\r'] } else { &['\r'] };
        if let Some(text) = is_broken(&stored, breaks).or_else(|| is_broken(&section, &['\n', '\r'])) {
            return Err(CoreError::Config(format!(
                "The setting {name} cannot be stored: {text:?} has a line break. Give one line."
            )));
        }
        self.document.set(&section, key_of(setting), &ini::escape(&stored));
        Ok(())
    }

    /// Writes the file: whole or not at all, readable by its owner only.
    pub fn write(&self) -> Result<()> {
        write_atomically(&self.path, &self.document.render()).map_err(|err| {
            CoreError::Config(format!(
                "Cannot write the configuration {}: {err}. Check the folder, its permissions and the free space; the \
                 file is unchanged.",
                self.path.display()
            ))
        })
    }

    fn value(&self, setting: &Setting) -> String {
        let section = self.section_of(setting);
        let stored = self
            .document
            .section(&section)
            .and_then(|section| section.get(key_of(setting)).map(|raw| ini::interpolate(raw, section)));
        let value = stored.unwrap_or_else(|| self.substituted_default(setting));
        if cfg!(windows) && setting.kind != Kind::Text { value.replace('/', "\\") } else { value }
    }

    fn substituted_default(&self, setting: &Setting) -> String {
        const PLACEHOLDER: &str = "{aws_profile_name}";
        if setting.default.contains(PLACEHOLDER) {
            // The profile's own default holds no placeholder, so this ends.
            let profile = find("defaults.aws_profile_name").map(|setting| self.value(setting)).unwrap_or_default();
            setting.default.replace(PLACEHOLDER, &profile)
        } else {
            setting.default.to_owned()
        }
    }

    fn section_of(&self, setting: &Setting) -> String {
        let mut parts = self.scope_of(setting);
        parts.push(setting.name.split_once('.').map_or(setting.name, |(section, _)| section).to_owned());
        parts.join(" ")
    }

    fn scope_of(&self, setting: &Setting) -> Vec<String> {
        let Some(scope) = setting.scope.and_then(|name| find(name).ok()) else {
            return Vec::new();
        };
        let mut parts = self.scope_of(scope);
        parts.push(scope.section_format.replace("{}", &self.value(scope)));
        parts
    }
}

/// Reads the file, sets one setting and writes the file back. Calls of one process do not lose each other's changes.
pub fn set_setting(path: Option<&Path>, name: &str, value: &str) -> Result<()> {
    static TURN: Mutex<()> = Mutex::new(());
    let _turn = TURN.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
    let mut config = Config::read(path)?;
    config.set(name, value)?;
    config.write()
}

/// `$DEADLINE_CONFIG_FILE_PATH` when it is set and not empty, else `~/.deadline/config`.
pub fn default_path() -> PathBuf {
    match std::env::var(PATH_VARIABLE) {
        Ok(path) if !path.is_empty() => expand_home(&path),
        _ => expand_home("~/.deadline/config"),
    }
}

/// Replaces a leading `~` by the home folder.
pub fn expand_home(path: &str) -> PathBuf {
    let rest =
        path.strip_prefix("~/").or_else(|| path.strip_prefix("~\\")).or(if path == "~" { Some("") } else { None });
    match (rest, std::env::home_dir()) {
        (Some(rest), Some(home)) => home.join(rest),
        _ => PathBuf::from(path),
    }
}

/// `yes on true 1` and `no off false 0`, in any case.
pub fn parse_bool(text: &str) -> Result<bool> {
    match text.trim().to_ascii_lowercase().as_str() {
        "yes" | "on" | "true" | "1" => Ok(true),
        "no" | "off" | "false" | "0" => Ok(false),
        _ => Err(CoreError::Config(format!(
            "{text:?} is not a valid boolean value. Use one of yes, on, true, 1, no, off, false, 0."
        ))),
    }
}

fn find(name: &str) -> Result<&'static Setting> {
    if !name.contains('.') {
        return Err(CoreError::Config(format!(
            "The setting name {name:?} is not valid. Write it as section.key, for example \"defaults.farm_id\"."
        )));
    }
    SETTINGS.iter().find(|setting| setting.name == name).ok_or_else(|| {
        let known: Vec<&str> = SETTINGS.iter().map(|setting| setting.name).collect();
        CoreError::Config(format!(
            "The configuration has no setting named {name:?}. The settings are: {}.",
            known.join(", ")
        ))
    })
}

fn key_of(setting: &Setting) -> &'static str {
    setting.name.split_once('.').map_or(setting.name, |(_, key)| key)
}

fn write_atomically(path: &Path, text: &str) -> std::io::Result<()> {
    // A link to a shared file stays a link.
    let path = path.canonicalize().unwrap_or_else(|_| path.to_owned());
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    std::fs::create_dir_all(folder)?;
    // `tempfile` creates with mode 0600.
    let mut file =
        tempfile::Builder::new().prefix(&format!(".config.tmp.{}.", std::process::id())).tempfile_in(folder)?;
    file.write_all(text.as_bytes())?;
    file.as_file().sync_all()?;
    file.persist(&path).map_err(|err| err.error)?;
    Ok(())
}
