//! A job's attachments in a folder of this machine, as they would lie in the object store.

use std::collections::HashSet;
use std::fs::File;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use serde_json::json;
use tokio_util::sync::CancellationToken;

use super::hash::{Hasher, read_full, unreadable};
use super::manifest::{Entry, HASH_ALGORITHM, Manifest};
use super::paths::disk_fault;
use super::progress::{OnProgress, Statistics, Status, Tracker};
use super::store::changed;
use super::upload::{FileSystem, Hashed, InputManifest, Uploaded, describe, inputs_folder};
use crate::{CoreError, Result};

const BUFFER: usize = 1024 * 1024;

/// Copies all objects to `<folder>/Data` and all manifests to `<folder>/Manifests`. `place` is farm and queue.
///
/// # Errors
/// `Attachments` when a file cannot be read or written, or is not what was hashed; `Canceled`.
pub fn copy(
    hashed: &Hashed,
    folder: &Path,
    place: (&str, &str),
    file_system: FileSystem,
    on_progress: OnProgress<'_>,
    token: &CancellationToken,
) -> Result<Uploaded> {
    let entries = || hashed.groups.iter().filter_map(|group| group.manifest.as_ref()).flat_map(|m| m.entries());
    let (files, bytes) = (entries().count() as u64, entries().map(|entry| entry.size).sum());
    let tracker = Tracker::new(Status::SnapshotInProgress, files, bytes, on_progress, token);
    let mut copies = Copies::begin(folder)?;
    let mut manifests = Vec::with_capacity(hashed.groups.len());
    let inputs = inputs_folder(place.0, place.1);
    for group in &hashed.groups {
        if let Some(manifest) = &group.manifest {
            copies.add(&group.root, manifest, &tracker)?;
        }
        let described = describe(group, &inputs);
        if let Some(InputManifest { path, bytes, .. }) = described.manifest {
            let path = folder.join("Manifests").join(path);
            let written =
                path.parent().map_or(Ok(()), std::fs::create_dir_all).and_then(|()| std::fs::write(&path, bytes));
            written.map_err(|err| unwritable(&path, &err))?;
        }
        manifests.push(described.properties);
    }
    let attachments = json!({"manifests": manifests, "fileSystem": file_system.as_str()});
    Ok(Uploaded { statistics: tracker.finish()?, attachments })
}

/// Copies the objects of one manifest of files below `root` to `<folder>/Data`, and no manifest.
///
/// # Errors
/// As [`copy`].
pub fn copy_snapshot(
    root: &Path,
    manifest: &Manifest,
    folder: &Path,
    on_progress: OnProgress<'_>,
    token: &CancellationToken,
) -> Result<Statistics> {
    let files = manifest.entries().len() as u64;
    let tracker = Tracker::new(Status::SnapshotInProgress, files, manifest.total_size(), on_progress, token);
    Copies::begin(folder)?.add(root, manifest, &tracker)?;
    tracker.finish()
}

/// The objects of a folder that is filled.
struct Copies {
    data: PathBuf,
    buffer: Vec<u8>,
    known: HashSet<String>,
}

impl Copies {
    fn begin(folder: &Path) -> Result<Self> {
        let data = folder.join("Data");
        std::fs::create_dir_all(&data).map_err(|err| unwritable(&data, &err))?;
        Ok(Self { data, buffer: vec![0; BUFFER], known: HashSet::new() })
    }

    /// Adds the objects of a manifest that are not there yet.
    fn add(&mut self, root: &Path, manifest: &Manifest, tracker: &Tracker<'_>) -> Result<()> {
        for entry in manifest.entries() {
            tracker.check()?;
            if self.known.insert(entry.hash.clone()) {
                let object = self.data.join(format!("{}.{HASH_ALGORITHM}", entry.hash));
                copy_object(&root.join(&entry.path), entry, &object, &mut self.buffer, tracker)?;
            } else {
                tracker.skipped(1, entry.size);
            }
        }
        Ok(())
    }
}

fn copy_object(path: &Path, entry: &Entry, object: &Path, buffer: &mut [u8], tracker: &Tracker<'_>) -> Result<()> {
    let mut source = File::open(path).map_err(|err| unreadable(path, &err))?;
    let mut copy = File::create(object).map_err(|err| unwritable(object, &err))?;
    let mut hasher = Hasher::default();
    loop {
        tracker.check()?;
        let length = read_full(&mut source, buffer).map_err(|err| unreadable(path, &err))?;
        if length == 0 {
            break;
        }
        hasher.update(&buffer[..length]);
        copy.write_all(&buffer[..length]).map_err(|err| unwritable(object, &err))?;
        tracker.bytes(length as u64);
    }
    if hasher.finish() != entry.hash {
        return Err(changed(path));
    }
    tracker.processed(0);
    Ok(())
}

fn unwritable(path: &Path, err: &std::io::Error) -> CoreError {
    CoreError::Attachments(format!("Cannot write {}: {}.", path.display(), disk_fault(err)))
}
