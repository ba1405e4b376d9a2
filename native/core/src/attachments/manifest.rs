//! Asset manifests, version 2023-03-03, in their canonical bytes.
//!
//! The hash of these bytes is recorded with the job, so they equal those of the official client: pure ASCII, sorted
//! members, no white space, paths ordered by their UTF-16 code units. A decoded manifest is checked whole: a path that
//! could leave its root is an error here, before anybody acts on it.

use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::fmt::Write as _;

use serde::Deserialize;

use super::hash;
use super::paths::{Host, check_relative};
use crate::{CoreError, Result};

/// The one version that is written and read.
pub const VERSION: &str = "2023-03-03";
/// The one content hash; also the suffix of object names.
pub const HASH_ALGORITHM: &str = "xxh128";

/// One file of a manifest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Path below the root, with `/` between its parts.
    pub path: String,
    /// Hash of the content, 32 lower-case hexadecimal digits.
    pub hash: String,
    /// Bytes.
    pub size: u64,
    /// Modification time in microseconds since 1970, truncated.
    pub mtime: i64,
}

/// The files below one root.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Manifest {
    entries: Vec<Entry>,
}

impl Manifest {
    /// A manifest of these files, in canonical order.
    #[must_use]
    pub fn new(mut entries: Vec<Entry>) -> Self {
        entries.sort_by(|a, b| utf16_order(&a.path, &b.path));
        Self { entries }
    }

    /// The files, in canonical order.
    #[must_use]
    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// Whether there is no file in it. Such a manifest is never written: readers ask for at least one.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Bytes of all files.
    #[must_use]
    pub fn total_size(&self) -> u64 {
        self.entries.iter().map(|entry| entry.size).sum()
    }

    /// The canonical bytes.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut text = String::with_capacity(128 + self.entries.len() * 160);
        text.push_str("{\"hashAlg\":\"xxh128\",\"manifestVersion\":\"2023-03-03\",\"paths\":[");
        for (index, entry) in self.entries.iter().enumerate() {
            if index > 0 {
                text.push(',');
            }
            text.push_str("{\"hash\":");
            write_string(&mut text, &entry.hash);
            // Writing to a String cannot fail.
            let _ = write!(text, ",\"mtime\":{},\"path\":", entry.mtime);
            write_string(&mut text, &entry.path);
            let _ = write!(text, ",\"size\":{}}}", entry.size);
        }
        let _ = write!(text, "],\"totalSize\":{}}}", self.total_size());
        text.into_bytes()
    }

    /// The hash of the canonical bytes, as recorded with the job.
    #[must_use]
    pub fn digest(&self) -> String {
        hash::hash_bytes(&self.encode())
    }

    /// Reads and checks a manifest. `source` names it in errors, e.g. its key.
    ///
    /// # Errors
    /// `Attachments` when it is not JSON, of another version or algorithm, breaks the format, names a file twice, or
    /// has a path that could lead out of its root on this host.
    pub fn decode(bytes: &[u8], source: &str) -> Result<Self> {
        let invalid = |what: String| CoreError::Attachments(format!("The manifest {source} is not usable: {what}."));
        let document: Document = serde_json::from_slice(bytes).map_err(|err| invalid(err.to_string()))?;
        match document.manifest_version.as_deref() {
            Some(VERSION) => {}
            Some(other) => return Err(invalid(format!("its version is {other:?}, and only {VERSION:?} can be read"))),
            None => return Err(invalid("it has no \"manifestVersion\"".into())),
        }
        if document.hash_alg != HASH_ALGORITHM {
            return Err(invalid(format!(
                "its hash algorithm is {:?}, and only {HASH_ALGORITHM:?} can be read",
                document.hash_alg
            )));
        }
        if document.paths.is_empty() {
            return Err(invalid("it names no file".into()));
        }
        if document.paths.iter().try_fold(0_u64, |sum, item| sum.checked_add(item.size)).is_none() {
            return Err(invalid("its files are larger in all than a number can say".into()));
        }
        let mut entries = Vec::with_capacity(document.paths.len());
        for item in document.paths {
            if item.hash.is_empty() || !item.hash.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
                return Err(invalid(format!("the hash {:?} of {:?} is not alphanumeric", item.hash, item.path)));
            }
            check_relative(&item.path, Host::current()).map_err(invalid)?;
            entries.push(Entry { path: item.path, hash: item.hash, size: item.size, mtime: item.mtime });
        }
        let manifest = Self::new(entries);
        if let Some(pair) = manifest.entries.windows(2).find(|pair| pair[0].path == pair[1].path) {
            return Err(invalid(format!("it names {:?} twice", pair[0].path)));
        }
        Ok(manifest)
    }

    /// One manifest of several; a file of a later one wins.
    #[must_use]
    pub fn merge(manifests: impl IntoIterator<Item = Self>) -> Self {
        let mut by_path = BTreeMap::new();
        for manifest in manifests {
            for entry in manifest.entries {
                by_path.insert(entry.path.clone(), entry);
            }
        }
        Self::new(by_path.into_values().collect())
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Document {
    manifest_version: Option<String>,
    hash_alg: String,
    paths: Vec<Item>,
    // Asked for by the format; what counts is the sum of the files.
    #[serde(rename = "totalSize")]
    _total_size: u64,
}

#[derive(Deserialize)]
struct Item {
    path: String,
    hash: String,
    size: u64,
    mtime: i64,
}

fn utf16_order(a: &str, b: &str) -> Ordering {
    if a.is_ascii() && b.is_ascii() { a.cmp(b) } else { a.encode_utf16().cmp(b.encode_utf16()) }
}

/// A JSON string as Python's `json.dumps` writes it: ASCII only, DEL escaped too.
fn write_string(text: &mut String, value: &str) {
    text.push('"');
    for character in value.chars() {
        match character {
            '"' => text.push_str("\\\""),
            '\\' => text.push_str("\\\\"),
            '\n' => text.push_str("\\n"),
            '\r' => text.push_str("\\r"),
            '\t' => text.push_str("\\t"),
            '\u{8}' => text.push_str("\\b"),
            '\u{c}' => text.push_str("\\f"),
            ' '..='~' => text.push(character),
            other => {
                for unit in other.encode_utf16(&mut [0; 2]) {
                    let _ = write!(text, "\\u{unit:04x}");
                }
            }
        }
    }
    text.push('"');
}

/// A JSON string of pure ASCII, for object metadata.
pub(crate) fn ascii_json(value: &str) -> String {
    let mut text = String::with_capacity(value.len() + 2);
    write_string(&mut text, value);
    text
}
