//! Files and folders that a bundle refers to, by its `asset_references` and by its PATH parameters.

use std::collections::BTreeSet;
use std::path::{Component, Path, PathBuf};

use serde_json::{Value, json};

use super::documents::Document;
use super::parameters::{Parameter, holds_paths, paths as paths_in, text};
use crate::error::{CoreError, Result};

/// Absolute paths, each once, in order.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AssetReferences {
    /// Files that the job reads.
    pub input_files: BTreeSet<PathBuf>,
    /// Folders of which the job reads everything.
    pub input_directories: BTreeSet<PathBuf>,
    /// Folders that the job writes to.
    pub output_directories: BTreeSet<PathBuf>,
    /// Paths that the job names and that nobody has to transfer.
    pub referenced_paths: BTreeSet<PathBuf>,
}

impl AssetReferences {
    /// Reads an `asset_references` document. Relative paths lie in the bundle.
    pub fn from_document(document: &Document, folder: &Path) -> Result<Self> {
        let root = member(document, &document.value, "assetReferences")?;
        let mut references = Self::default();
        if let Some(root) = root {
            if let Some(inputs) = member(document, root, "inputs")? {
                references.input_files = paths(document, inputs, "inputs.filenames", folder)?;
                references.input_directories = paths(document, inputs, "inputs.directories", folder)?;
            }
            if let Some(outputs) = member(document, root, "outputs")? {
                references.output_directories = paths(document, outputs, "outputs.directories", folder)?;
            }
            references.referenced_paths = paths(document, root, "referencedPaths", folder)?;
        }
        Ok(references)
    }

    /// Adds what the paths of parameters refer to by their data flow; a URI is no path where `has_uris`.
    pub fn add_parameters(&mut self, parameters: &[Parameter], has_uris: bool) {
        for parameter in parameters.iter().filter(|parameter| holds_paths(parameter)) {
            let is_file = text(parameter, "objectType") == "FILE";
            let flow = text(parameter, "dataFlow");
            // Defaults of the bundle are values by now; one of the queue is relative to nothing that is known.
            let (default, value) = (parameter.get("default"), parameter.get("value"));
            let is_default = value.is_none();
            for path in value.or(default).map(|value| paths_in(parameter, value, has_uris)).unwrap_or_default() {
                let path = PathBuf::from(path);
                if is_default && !path.is_absolute() {
                    continue;
                }
                if matches!(flow, "IN" | "INOUT") {
                    let inputs = if is_file { &mut self.input_files } else { &mut self.input_directories };
                    inputs.insert(path.clone());
                }
                if matches!(flow, "OUT" | "INOUT") {
                    let folder = if is_file { path.parent().map(Path::to_path_buf) } else { Some(path.clone()) };
                    self.output_directories.extend(folder);
                }
                if matches!(flow, "" | "NONE") {
                    self.referenced_paths.insert(path);
                }
            }
        }
    }

    /// Adds what others refer to.
    pub fn extend(&mut self, others: Self) {
        self.input_files.extend(others.input_files);
        self.input_directories.extend(others.input_directories);
        self.output_directories.extend(others.output_directories);
        self.referenced_paths.extend(others.referenced_paths);
    }

    /// The document that says the same.
    pub fn to_document(&self) -> Value {
        json!({ "assetReferences": {
            "inputs": { "filenames": self.input_files, "directories": self.input_directories },
            "outputs": { "directories": self.output_directories },
            "referencedPaths": self.referenced_paths,
        } })
    }

    /// Whether nothing is referred to.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// A path made absolute in `folder`, with `.` and `..` taken out by their letters alone: what is no longer there has a
/// path too.
pub fn absolute(path: &Path, folder: &Path) -> PathBuf {
    let mut resolved = PathBuf::new();
    for component in folder.join(path).components() {
        match component {
            Component::CurDir => {}
            Component::ParentDir => {
                resolved.pop();
            }
            other => resolved.push(other),
        }
    }
    resolved
}

fn member<'a>(document: &Document, value: &'a Value, name: &str) -> Result<Option<&'a Value>> {
    match value.get(name) {
        None | Some(Value::Null) => Ok(None),
        Some(found) if found.is_object() => Ok(Some(found)),
        Some(found) => Err(refuse(document, format!("has {name} {found}; it must be an object"))),
    }
}

fn paths(document: &Document, value: &Value, name: &str, folder: &Path) -> Result<BTreeSet<PathBuf>> {
    let key = name.rsplit('.').next().unwrap_or(name);
    let items = match value.get(key) {
        None | Some(Value::Null) => return Ok(BTreeSet::new()),
        Some(Value::Array(items)) => items,
        Some(other) => return Err(refuse(document, format!("has {name} {other}; it must be a list of paths"))),
    };
    let mut found = BTreeSet::new();
    for item in items {
        let Some(path) = item.as_str().filter(|path| !path.is_empty()) else {
            return Err(refuse(document, format!("has {item} in {name}; it must be a path")));
        };
        let resolved = absolute(Path::new(path), folder);
        if Path::new(path).is_relative() && !resolved.starts_with(folder) {
            return Err(refuse(
                document,
                format!("has {item} in {name}, which leads outside of the job bundle. Write it as an absolute path"),
            ));
        }
        found.insert(resolved);
    }
    Ok(found)
}

fn refuse(document: &Document, what: String) -> CoreError {
    CoreError::Bundle(format!("The file {} {what}.", document.path.display()))
}
