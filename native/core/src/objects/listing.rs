//! Listing a bucket in the order of its keys.
//!
//! Folders are walked in the order that the keys have as bytes, and only those that can hold an answer are read. A folder's
//! sorted names are kept while nothing comes or goes, because a client that pages through 100,000 objects of one folder
//! asks a hundred times. Of each object that is answered the footer is read; torn files are passed over.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::format::Description;
use super::names::{self, Name};
use super::store::{Store, open_file};

/// Folders whose names are kept.
const CACHED_FOLDERS: usize = 8;

/// What to list.
#[derive(Debug, Clone, Default)]
pub(super) struct Query<'a> {
    pub prefix: &'a str,
    /// Empty for none.
    pub delimiter: &'a str,
    /// Only keys behind this one.
    pub after: &'a str,
    /// No keys that start with this (the common prefix that ended the page before).
    pub skip: Option<&'a str>,
    pub limit: usize,
}

/// One page.
#[derive(Debug, Default)]
pub(super) struct Page {
    pub entries: Vec<Entry>,
    pub truncated: bool,
}

/// An object, or a common prefix, in the order of keys.
#[derive(Debug)]
pub(super) enum Entry {
    Object(Description),
    Prefix(String),
}

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Child {
    /// The bytes that this child adds to the key; a folder's end in `/`.
    text: Vec<u8>,
    path: PathBuf,
    folder: bool,
}

/// Sorted folders that were read last.
#[derive(Default)]
pub(super) struct Cache {
    generation: u64,
    folders: Vec<(PathBuf, Arc<Vec<Child>>)>,
}

/// Lists a page.
pub(super) fn list(store: &Store, bucket: &str, query: &Query<'_>) -> io::Result<Page> {
    let mut walk = Walk { store, query, skip: query.skip.map(|skip| skip.as_bytes().to_vec()), page: Page::default() };
    if query.limit > 0 {
        walk.folder(&store.bucket_folder(bucket), &mut Vec::new())?;
    }
    Ok(walk.page)
}

struct Walk<'a> {
    store: &'a Store,
    query: &'a Query<'a>,
    skip: Option<Vec<u8>>,
    page: Page,
}

impl Walk<'_> {
    /// Walks a folder whose keys all start with `key`; false ends the walk.
    fn folder(&mut self, folder: &Path, key: &mut Vec<u8>) -> io::Result<bool> {
        let prefix = self.query.prefix.as_bytes();
        let after = self.query.after.as_bytes();
        let children = children(self.store, folder)?;
        let base = key.len();
        // Everything before what is asked for is passed over without a look.
        let floor = prefix.max(after);
        let start = match floor.strip_prefix(key.as_slice()) {
            Some(rest) => {
                // The folder that the rest goes through sorts before some of the names that come before the rest.
                let through = rest.iter().position(|&byte| byte == b'/').map_or(rest, |slash| &rest[..=slash]);
                children.partition_point(|child| child.text.as_slice() < through)
            }
            None => 0,
        };
        for child in &children[start..] {
            key.truncate(base);
            key.extend_from_slice(&child.text);
            if self.skip.as_ref().is_some_and(|skip| key.starts_with(skip)) {
                continue;
            }
            let wanted = key.starts_with(prefix) || (child.folder && prefix.starts_with(key));
            if !wanted {
                if key.as_slice() > prefix {
                    return Ok(true);
                }
                continue;
            }
            if child.folder {
                if key.as_slice() < after && !after.starts_with(key) {
                    continue;
                }
                if !self.folder(&child.path, key)? {
                    return Ok(false);
                }
            } else if key.as_slice() > after && !self.object(&child.path, key)? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    fn object(&mut self, path: &Path, key: &[u8]) -> io::Result<bool> {
        // Gone or torn since the folder was read: not there.
        let Some((_, description)) = open_file(path)? else { return Ok(true) };
        if description.key.as_bytes() != key {
            return Ok(true);
        }
        if self.page.entries.len() >= self.query.limit {
            self.page.truncated = true;
            return Ok(false);
        }
        let rest = &description.key[self.query.prefix.len()..];
        match rest.find(self.query.delimiter).filter(|_| !self.query.delimiter.is_empty()) {
            Some(position) => {
                let end = self.query.prefix.len() + position + self.query.delimiter.len();
                let common = description.key[..end].to_owned();
                self.skip = Some(common.clone().into_bytes());
                self.page.entries.push(Entry::Prefix(common));
            }
            None => self.page.entries.push(Entry::Object(description)),
        }
        Ok(true)
    }
}

fn children(store: &Store, folder: &Path) -> io::Result<Arc<Vec<Child>>> {
    let generation = store.generation();
    {
        let mut cache = store.listings.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        if cache.generation != generation {
            cache.generation = generation;
            cache.folders.clear();
        } else if let Some((_, children)) = cache.folders.iter().find(|(path, _)| path == folder) {
            return Ok(Arc::clone(children));
        }
    }
    let mut children = Vec::new();
    read_folder(folder, &[], &mut children)?;
    children.sort_unstable();
    let children = Arc::new(children);
    let mut cache = store.listings.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
    if cache.generation == generation {
        if cache.folders.len() >= CACHED_FOLDERS {
            cache.folders.remove(0);
        }
        cache.folders.push((folder.to_owned(), Arc::clone(&children)));
    }
    Ok(children)
}

/// Reads a folder; components that go on in a child folder are put together here, because their rests sort among the
/// other names.
fn read_folder(folder: &Path, start: &[u8], children: &mut Vec<Child>) -> io::Result<()> {
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        // Emptied and removed since its parent was read, or no folder of ours.
        Err(err) if matches!(err.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => return Ok(()),
        Err(err) => return Err(err),
    };
    for entry in entries {
        let entry = entry?;
        let name = entry.file_name();
        let Some(name) = name.to_str().and_then(names::parse) else { continue };
        let (rest, folder) = match name {
            Name::Object(rest) => (rest, false),
            Name::Folder(rest) => (rest, true),
            Name::Continued(rest) => {
                let text = [start, &rest].concat();
                read_folder(&entry.path(), &text, children)?;
                continue;
            }
        };
        let mut text = [start, &rest].concat();
        if folder {
            text.push(b'/');
        }
        children.push(Child { text, path: entry.path(), folder });
    }
    Ok(())
}
