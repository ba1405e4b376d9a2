//! Which files go under which asset root.
//!
//! Paths below a SHARED location of the storage profile are left out, because workers see them as they are. Those below
//! a LOCAL location form one group per location; the rest one group per top folder of the file system. The root of a
//! group is the longest path that all its members have in common.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use serde_json::Value;
use tokio_util::sync::CancellationToken;
use walkdir::WalkDir;

use super::hash::unreadable;
use super::paths::normalize;
use crate::{CoreError, Result};

/// What a job refers to. Relative paths are taken from the process' current directory.
#[derive(Debug, Clone, Default)]
pub struct References {
    /// Files that the job reads.
    pub input_files: Vec<PathBuf>,
    /// Folders of which the job reads every file, at any depth.
    pub input_directories: Vec<PathBuf>,
    /// Folders that the job writes into.
    pub output_directories: Vec<PathBuf>,
    /// Paths that only take part in finding the root.
    pub referenced_paths: Vec<PathBuf>,
}

/// Who sees a location of a storage profile.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LocationKind {
    /// This machine alone: files are uploaded.
    Local,
    /// The workers too: files are left where they are.
    Shared,
}

/// A location of a storage profile.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Location {
    /// Its name, the same in all storage profiles that have it.
    pub name: String,
    /// Where it lies on this machine.
    pub path: PathBuf,
    /// Who sees it.
    pub kind: LocationKind,
}

/// The locations in the answer of `GetStorageProfileForQueue`.
#[must_use]
pub fn locations(storage_profile: &Value) -> Vec<Location> {
    let items = storage_profile.get("fileSystemLocations").and_then(Value::as_array);
    items
        .into_iter()
        .flatten()
        .filter_map(|item| {
            let kind = match item.get("type")?.as_str()? {
                "SHARED" => LocationKind::Shared,
                _ => LocationKind::Local,
            };
            Some(Location { name: item.get("name")?.as_str()?.into(), path: item.get("path")?.as_str()?.into(), kind })
        })
        .collect()
}

/// A file that is to be hashed and uploaded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Input {
    /// Absolute, links not followed.
    pub path: PathBuf,
    /// Bytes when it was looked at.
    pub size: u64,
}

/// Files and folders with one root.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Group {
    /// The longest path in common.
    pub root: PathBuf,
    /// Name of the LOCAL location that the group lies in.
    pub location_name: Option<String>,
    /// Files, sorted by path.
    pub inputs: Vec<Input>,
    /// Folders that the job writes into, sorted.
    pub outputs: Vec<PathBuf>,
    /// Paths that only took part in finding the root, sorted.
    pub references: Vec<PathBuf>,
}

/// All groups of a job.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Prepared {
    /// Sorted by root and location.
    pub groups: Vec<Group>,
    /// Files of all groups.
    pub total_files: u64,
    /// Bytes of all groups.
    pub total_bytes: u64,
    /// Sentences for the person who submits.
    pub warnings: Vec<String>,
}

#[derive(Default)]
struct Members {
    location_name: Option<String>,
    inputs: BTreeMap<PathBuf, u64>,
    outputs: BTreeSet<PathBuf>,
    references: BTreeSet<PathBuf>,
}

#[derive(Default)]
struct Findings {
    missing: BTreeSet<PathBuf>,
    folders: BTreeSet<PathBuf>,
    /// Link and where it leads.
    links: BTreeMap<PathBuf, PathBuf>,
}

/// Looks at every path and groups them.
///
/// A named file may be a link: its content is what counts. In an input folder a link to a file is followed when it
/// stays in that folder; one that leads out is treated as a missing file, because nobody named what it shows.
/// Links to folders are not descended into.
///
/// # Errors
/// `MissingInputs` when a file is named that is a folder, and, with `require_paths_exist`, when something is missing;
/// without it, missing paths become references and a warning. `Canceled` by the token.
pub fn prepare(
    references: &References,
    locations: &[Location],
    require_paths_exist: bool,
    token: &CancellationToken,
) -> Result<Prepared> {
    let mut prepared = Prepared::default();
    let mut findings = Findings::default();
    let mut inputs: BTreeMap<PathBuf, u64> = BTreeMap::new();
    let mut referenced: BTreeSet<PathBuf> = BTreeSet::new();
    for path in given(&references.input_files) {
        let path = normalize(path)?;
        match path.metadata() {
            Ok(metadata) if metadata.is_dir() => {
                findings.folders.insert(path);
            }
            // Opening a pipe that nobody writes to would never return.
            Ok(metadata) if !metadata.is_file() => {
                let message = format!(
                    "The input {} is no file but a pipe, socket or device. Take it out of the job's inputs.",
                    path.display()
                );
                return Err(CoreError::MissingInputs { message, paths: vec![path] });
            }
            Ok(metadata) => {
                inputs.insert(path, metadata.len());
            }
            Err(err) if is_absent(&err) => {
                findings.missing.insert(path);
            }
            Err(err) => return Err(unreadable(&path, &err)),
        }
    }
    for folder in given(&references.input_directories) {
        let folder = normalize(folder)?;
        if !folder.is_dir() {
            findings.missing.insert(folder);
            continue;
        }
        if expand(&folder, &mut inputs, &mut findings, &mut prepared.warnings, token)? == 0 {
            referenced.insert(folder);
        }
    }
    for path in given(&references.referenced_paths) {
        referenced.insert(normalize(path)?);
    }
    if !findings.folders.is_empty()
        || (require_paths_exist && !(findings.missing.is_empty() && findings.links.is_empty()))
    {
        return Err(findings.into_error(require_paths_exist));
    }
    for path in findings.missing {
        prepared.warnings.push(format!("The input {} does not exist and is not uploaded.", path.display()));
        referenced.insert(path);
    }
    for (link, target) in findings.links {
        prepared.warnings.push(format!(
            "The link {} leads out of its input folder, to {}, and is not uploaded.",
            link.display(),
            target.display()
        ));
        referenced.insert(link);
    }
    let mut groups: BTreeMap<PathBuf, Members> = BTreeMap::new();
    for (path, size) in inputs {
        if let Some(members) = members_for(&path, locations, &mut groups) {
            prepared.total_files += 1;
            prepared.total_bytes += size;
            members.inputs.insert(path, size);
        }
    }
    for folder in given(&references.output_directories) {
        let folder = normalize(folder)?;
        if let Some(members) = members_for(&folder, locations, &mut groups) {
            members.outputs.insert(folder);
        }
    }
    for path in referenced {
        if let Some(members) = members_for(&path, locations, &mut groups) {
            members.references.insert(path);
        }
    }
    prepared.groups = groups.into_values().map(Members::into_group).collect();
    prepared.groups.sort_by(|a, b| (&a.root, &a.location_name).cmp(&(&b.root, &b.location_name)));
    Ok(prepared)
}

fn given(paths: &[PathBuf]) -> impl Iterator<Item = &PathBuf> {
    paths.iter().filter(|path| !path.as_os_str().is_empty())
}

fn is_absent(err: &std::io::Error) -> bool {
    matches!(err.kind(), std::io::ErrorKind::NotFound | std::io::ErrorKind::NotADirectory)
}

/// Adds the files of a folder and answers how many there were.
fn expand(
    folder: &Path,
    inputs: &mut BTreeMap<PathBuf, u64>,
    findings: &mut Findings,
    warnings: &mut Vec<String>,
    token: &CancellationToken,
) -> Result<usize> {
    let canonical = folder.canonicalize().map_err(|err| unreadable(folder, &err))?;
    let mut found = 0;
    for entry in WalkDir::new(folder).sort_by_file_name() {
        if token.is_cancelled() {
            return Err(CoreError::Canceled(format!("Looking for files in {} was canceled.", folder.display())));
        }
        let entry = entry.map_err(|err| {
            let path = err.path().unwrap_or(folder).to_path_buf();
            unreadable(&path, &err.into_io_error().unwrap_or_else(|| std::io::Error::other("a loop of links")))
        })?;
        if entry.file_type().is_dir() || entry.depth() == 0 {
            continue;
        }
        let path = entry.path();
        if entry.file_type().is_symlink() {
            let Ok(target) = path.canonicalize() else {
                findings.missing.insert(path.to_path_buf());
                continue;
            };
            if target.is_dir() {
                warnings.push(format!("The link {} leads to a folder and is not followed.", path.display()));
                continue;
            }
            if !target.starts_with(&canonical) {
                findings.links.insert(path.to_path_buf(), target);
                continue;
            }
        }
        let metadata = path.metadata().map_err(|err| unreadable(path, &err))?;
        if !metadata.is_file() {
            warnings.push(format!("{} is not a regular file and is not uploaded.", path.display()));
            continue;
        }
        inputs.insert(path.to_path_buf(), metadata.len());
        found += 1;
    }
    Ok(found)
}

/// The group of a path; none below a SHARED location.
fn members_for<'g>(
    path: &Path,
    locations: &[Location],
    groups: &'g mut BTreeMap<PathBuf, Members>,
) -> Option<&'g mut Members> {
    let holds = |location: &&Location| !location.path.as_os_str().is_empty() && is_below(path, &location.path);
    if locations.iter().any(|location| location.kind == LocationKind::Shared && holds(&location)) {
        return None;
    }
    let local = locations
        .iter()
        .filter(|location| location.kind == LocationKind::Local)
        .filter(holds)
        .max_by_key(|location| location.path.components().count());
    let key = match local {
        Some(location) => location.path.clone(),
        None => path.ancestors().last().unwrap_or(path).to_path_buf(),
    };
    let members = groups.entry(folded(&key)).or_default();
    members.location_name = local.map(|location| location.name.clone());
    Some(members)
}

/// The form in which paths are compared: without case on Windows.
fn folded(path: &Path) -> PathBuf {
    if cfg!(windows) { PathBuf::from(path.to_string_lossy().to_lowercase()) } else { path.to_path_buf() }
}

fn is_below(path: &Path, folder: &Path) -> bool {
    folded(path).starts_with(folded(folder))
}

impl Members {
    fn into_group(self) -> Group {
        let paths = self.inputs.keys().chain(&self.outputs).chain(&self.references);
        let mut root = common_path(paths).unwrap_or_default();
        if root.is_file() {
            root.pop();
        }
        Group {
            root,
            location_name: self.location_name,
            inputs: self.inputs.into_iter().map(|(path, size)| Input { path, size }).collect(),
            outputs: self.outputs.into_iter().collect(),
            references: self.references.into_iter().collect(),
        }
    }
}

fn common_path<'p>(mut paths: impl Iterator<Item = &'p PathBuf>) -> Option<PathBuf> {
    let mut common = paths.next()?.clone();
    for path in paths {
        while !is_below(path, &common) {
            if !common.pop() {
                return Some(common);
            }
        }
    }
    Some(common)
}

impl Findings {
    fn into_error(self, require_paths_exist: bool) -> CoreError {
        let mut message = String::new();
        let mut paths = Vec::new();
        let mut section = |title: String, lines: Vec<String>| {
            if !message.is_empty() {
                message.push('\n');
            }
            message.push_str(&title);
            for line in lines {
                message.push_str("\n  ");
                message.push_str(&line);
            }
        };
        let display = |path: &PathBuf| path.display().to_string();
        if require_paths_exist && !self.missing.is_empty() {
            let title = match self.missing.len() {
                1 => "An input is missing. Restore it, or take it out of the job's inputs:".into(),
                count => format!("{count} inputs are missing. Restore them, or take them out of the job's inputs:"),
            };
            section(title, self.missing.iter().map(display).collect());
            paths.extend(self.missing);
        }
        if !self.folders.is_empty() {
            let title = match self.folders.len() {
                1 => "A folder is named as an input file. Name it as an input directory:".into(),
                count => format!("{count} folders are named as input files. Name them as input directories:"),
            };
            section(title, self.folders.iter().map(display).collect());
            paths.extend(self.folders);
        }
        if require_paths_exist && !self.links.is_empty() {
            let title = "Links lead out of their input folder. Name what they show as input files, or replace them by \
                         copies:";
            let line = |(link, target): (&PathBuf, &PathBuf)| format!("{} -> {}", link.display(), target.display());
            section(title.into(), self.links.iter().map(line).collect());
            paths.extend(self.links.into_keys());
        }
        CoreError::MissingInputs { message, paths }
    }
}
