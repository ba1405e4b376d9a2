//! From the store to disk: whole, verified files below their roots, or nothing.
//!
//! A file is written beside its place under another name, held to its hash, given its time, and only then moved there.
//! What was begun and ended in the middle is found by the next download: whole files are recognised by size and time,
//! and a large one goes on at the byte where it stopped. Inputs of a job are copied, never linked to the store's own
//! files: a job that wrote into a link would corrupt the object for every other job.

use std::collections::{HashMap, HashSet};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::BytesMut;
use http_body_util::BodyExt as _;

use super::cache::microseconds;
use super::hash::hash_bytes;
use super::manifest::{Entry, Manifest};
pub use super::part::Conflict;
use super::part::{
    BLOCK, Claim, Part, cannot_write, modified, open_part, part_path, publish, remove_twin, write_whole,
};
use super::paths::{Root, ignores_case};
use super::progress::Tracker;
use super::s3::Fault;
use super::store::Store;
use crate::{CoreError, Result};

/// Files up to this size are fetched whole; larger ones as a stream that can go on later.
const WHOLE: u64 = 8 * 1024 * 1024;
const NEAR_REQUESTS: usize = 8;
const FAR_REQUESTS: usize = 32;
/// How often one object is tried: a lost connection, or bytes that are not what they should be.
const ATTEMPTS: usize = 3;

/// A file that lies in its place now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Placed {
    /// Index of the root.
    pub(crate) root: usize,
    pub(crate) path: PathBuf,
    pub(crate) entry: Entry,
}

struct Task {
    root: usize,
    path: PathBuf,
    entry: Entry,
}

/// Fetches the files of manifests into roots. Every path is checked before the first byte is written.
pub(crate) async fn fetch(
    store: &Store,
    manifests: &[(PathBuf, Manifest)],
    conflict: Conflict,
    tracker: &Tracker<'_>,
) -> Result<Vec<Placed>> {
    let mut roots = Vec::with_capacity(manifests.len());
    let mut tasks = Vec::new();
    for (root, (folder, manifest)) in manifests.iter().enumerate() {
        let folder = Root::create(folder)?;
        for entry in manifest.entries() {
            tasks.push(Task { root, path: folder.resolve(&entry.path)?, entry: entry.clone() });
        }
        roots.push(folder);
    }
    check_names(&roots, &tasks, ignores_case)?;
    let mut placed = Vec::new();
    let mut wanted = Vec::new();
    for task in tasks {
        let keep = match task.path.symlink_metadata() {
            Ok(found) if is_same(&found, &task.entry) => {
                remove_twin(&task.path, &task.entry, &found)?;
                Some(true)
            }
            Ok(found) if found.is_dir() => {
                return Err(CoreError::Attachments(format!(
                    "Cannot write the file {}: a folder of this name is in its place. Move it away and try again.",
                    task.path.display()
                )));
            }
            Ok(_) if conflict == Conflict::Skip => Some(false),
            _ => None,
        };
        match keep {
            Some(same) => {
                tracker.skipped(1, task.entry.size);
                if same {
                    placed.push(Placed { root: task.root, path: task.path, entry: task.entry });
                }
            }
            None => wanted.push(task),
        }
    }
    check_space(&roots, &wanted)?;
    for task in &wanted {
        roots[task.root].create_parents(&task.path)?;
    }
    // Large ones last and one by one: a canceled download then has many whole files and one part.
    let (small, large): (Vec<_>, Vec<_>) = wanted.into_iter().partition(|task| task.entry.size <= WHOLE);
    let requests = if store.bucket.is_local() { NEAR_REQUESTS } else { FAR_REQUESTS };
    let requests = requests.min(store.bucket.limits().connections);
    let next = AtomicUsize::new(0);
    let done = Mutex::new(placed);
    let copies = Mutex::new(HashSet::new());
    let workers = (0..requests.min(small.len())).map(|_| async {
        while let Some(task) = small.get(next.fetch_add(1, Ordering::Relaxed)) {
            let path = whole(store, task, conflict, &copies).await?;
            tracker.processed(task.entry.size);
            push(&done, task, path);
        }
        Ok(())
    });
    futures_util::future::try_join_all(workers).await?;
    for task in &large {
        let path = stream(store, task, conflict, &copies, tracker).await?;
        tracker.processed(0);
        push(&done, task, path);
    }
    Ok(done.into_inner().unwrap_or_else(|poisoned| poisoned.into_inner()))
}

fn push(done: &Mutex<Vec<Placed>>, task: &Task, path: PathBuf) {
    let mut done = done.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
    done.push(Placed { root: task.root, path, entry: task.entry.clone() });
}

/// Two files that a folder takes for one are refused: the second would silently take the place of the first. So is a
/// file whose name others need for their folder.
fn check_names(roots: &[Root], tasks: &[Task], ignores_case: impl Fn(&Path) -> bool) -> Result<()> {
    let mut names: HashMap<String, &Task> = HashMap::with_capacity(tasks.len());
    for task in tasks {
        let Some(other) = names.insert(task.path.to_string_lossy().to_lowercase(), task) else { continue };
        if other.path != task.path && ignores_case(roots[task.root].path()) {
            return Err(CoreError::Attachments(format!(
                "Nothing was written to {}: there, {:?} and {:?} are one file. Choose a folder that tells upper from \
                 lower case.",
                roots[task.root].path().display(),
                other.entry.path,
                task.entry.path
            )));
        }
    }
    let mut folders = HashSet::new();
    for task in tasks {
        let root = roots[task.root].path();
        for folder in task.path.ancestors().skip(1).take_while(|folder| *folder != root) {
            if !folders.insert(folder) {
                break;
            }
            let Some(file) = names.get(&folder.to_string_lossy().to_lowercase()) else { continue };
            if file.path == folder || ignores_case(root) {
                return Err(CoreError::Attachments(format!(
                    "Nothing was written to {}: there, {:?} is a file, and {:?} needs a folder of this name.",
                    root.display(),
                    file.entry.path,
                    task.entry.path
                )));
            }
        }
    }
    Ok(())
}

/// Size and time to the microsecond are those of the manifest: this file was fetched, or is the original.
fn is_same(found: &std::fs::Metadata, entry: &Entry) -> bool {
    found.is_file() && found.len() == entry.size && found.modified().is_ok_and(|time| microseconds(time) == entry.mtime)
}

/// A disk that cannot hold everything is told before anything is fetched.
#[cfg(unix)]
fn check_space(roots: &[Root], wanted: &[Task]) -> Result<()> {
    use crate::attachments::progress::human_size;
    use std::os::unix::fs::MetadataExt as _;

    let mut by_device: HashMap<u64, (&Path, u64)> = HashMap::new();
    for task in wanted {
        let folder = roots[task.root].path();
        let Ok(metadata) = folder.metadata() else { continue };
        by_device.entry(metadata.dev()).or_insert((folder, 0)).1 += task.entry.size;
    }
    for (folder, needed) in by_device.into_values() {
        let Ok(disk) = nix::sys::statvfs::statvfs(folder) else { continue };
        // The types differ between systems.
        #[allow(clippy::useless_conversion, clippy::unnecessary_cast)]
        let free = disk.blocks_available() as u64 * disk.fragment_size() as u64;
        if needed > free {
            return Err(CoreError::Attachments(format!(
                "The disk of {} has {} free and the files need {}. Free some and try again.",
                folder.display(),
                human_size(free),
                human_size(needed)
            )));
        }
    }
    Ok(())
}

#[cfg(not(unix))]
fn check_space(_roots: &[Root], _wanted: &[Task]) -> Result<()> {
    Ok(())
}

fn damaged(store: &Store, entry: &Entry, path: &Path) -> CoreError {
    CoreError::Attachments(format!(
        "The object s3://{}/{} is damaged: its content is not that of its hash, so {} was not written. Remove the \
         object and submit or render again.",
        store.bucket.name(),
        store.data_key(&entry.hash),
        path.display()
    ))
}

/// The bytes of an object from `start` on; an object of the old layout, without suffix, is found too.
async fn open(
    store: &Store,
    task: &Task,
    start: u64,
) -> Result<aws_smithy_runtime_api::client::orchestrator::HttpResponse> {
    let key = store.data_key(&task.entry.hash);
    let mut result = store.bucket.get(&key, start).await;
    if result.as_ref().is_err_and(Fault::is_missing) {
        let legacy = format!("{}{}", store.data_prefix(), task.entry.hash);
        if let Ok(found) = store.bucket.get(&legacy, start).await {
            result = Ok(found);
        }
    }
    result.map_err(|fault| {
        if fault.is_missing() {
            CoreError::Attachments(format!(
                "The object s3://{}/{key} of the file {} is not in the store. If it was submitted with a stale cache, \
                 delete s3_check_cache.db on the submitting machine (~/.deadline/cache) and submit again.",
                store.bucket.name(),
                task.entry.path
            ))
        } else {
            store.bucket.explain("download", &key, &fault)
        }
    })
}

fn lost(store: &Store, task: &Task, err: &dyn std::fmt::Display) -> CoreError {
    let fault = Fault { status: 0, code: String::new(), message: format!("the connection was lost ({err})") };
    store.bucket.explain("download", &store.data_key(&task.entry.hash), &fault)
}

async fn blocking<T: Send + 'static>(path: &Path, work: impl FnOnce() -> Result<T> + Send + 'static) -> Result<T> {
    match tokio::task::spawn_blocking(work).await {
        Ok(result) => result,
        Err(err) => Err(CoreError::Attachments(format!("Writing {} was ended: {err}.", path.display()))),
    }
}

async fn whole(store: &Store, task: &Task, conflict: Conflict, copies: &Mutex<HashSet<PathBuf>>) -> Result<PathBuf> {
    let mut failure = None;
    for _ in 0..ATTEMPTS {
        let response = open(store, task, 0).await?;
        let body = match response.into_body().collect().await {
            Ok(body) => body.to_bytes(),
            Err(err) => {
                failure = Some(lost(store, task, &err));
                continue;
            }
        };
        let (place, entry) = (part_path(&task.path, &task.entry), task.entry.clone());
        let written = blocking(&task.path, move || {
            if body.len() as u64 != entry.size || hash_bytes(&body) != entry.hash {
                return Ok(None);
            }
            write_whole(&place, &body, &entry).map(Some)
        });
        if let Some(claim) = written.await? {
            return publish(claim, &task.path, conflict, copies);
        }
        failure = Some(damaged(store, &task.entry, &task.path));
    }
    Err(failure.unwrap_or_else(|| damaged(store, &task.entry, &task.path)))
}

async fn stream(
    store: &Store,
    task: &Task,
    conflict: Conflict,
    copies: &Mutex<HashSet<PathBuf>>,
    tracker: &Tracker<'_>,
) -> Result<PathBuf> {
    let path = part_path(&task.path, &task.entry);
    let failed = |err: io::Error| cannot_write(&task.path, &err);
    let claim = Claim::take(&path).map_err(failed)?;
    let filled = fill(store, task, &claim, tracker).await;
    match filled {
        Ok(()) => publish(claim, &task.path, conflict, copies),
        Err(err) => {
            // What a later attempt would find empty is not left behind.
            if claim.file.metadata().is_ok_and(|found| found.len() == 0) {
                claim.give_up();
            }
            Err(err)
        }
    }
}

/// Brings a part to its whole length and holds it to its hash.
async fn fill(store: &Store, task: &Task, claim: &Claim, tracker: &Tracker<'_>) -> Result<()> {
    let size = task.entry.size;
    let failed = |err: io::Error| cannot_write(&task.path, &err);
    let mut counted = 0;
    let mut failure = None;
    for _ in 0..ATTEMPTS {
        let (file, place) = (claim.file.try_clone().map_err(failed)?, task.path.clone());
        let mut part =
            blocking(&task.path, move || open_part(file, size).map_err(|err| cannot_write(&place, &err))).await?;
        if part.length > counted {
            tracker.bytes(part.length - counted);
            counted = part.length;
        }
        if part.length < size {
            match append(store, task, claim.path(), part, tracker, &mut counted).await? {
                Ok(whole) => part = whole,
                Err(err) => {
                    // The part stays: the next attempt goes on behind it.
                    failure = Some(err);
                    continue;
                }
            }
        }
        if part.length == size && part.hasher.finish() == task.entry.hash {
            return part.file.set_modified(modified(&task.entry)).map_err(failed);
        }
        // Bytes of an earlier attempt may be at fault: everything anew.
        part.file.set_len(0).map_err(failed)?;
        tracker.take_back(counted);
        counted = 0;
        failure = Some(damaged(store, &task.entry, &task.path));
    }
    Err(failure.unwrap_or_else(|| damaged(store, &task.entry, &task.path)))
}

/// Fetches what is missing behind a part. The inner error is one of the connection.
async fn append(
    store: &Store,
    task: &Task,
    path: &Path,
    mut part: Part,
    tracker: &Tracker<'_>,
    counted: &mut u64,
) -> Result<Result<Part>> {
    let response = open(store, task, part.length).await?;
    let mut body = response.into_body();
    let mut block = BytesMut::with_capacity(BLOCK);
    loop {
        let frame = match body.frame().await {
            None => None,
            Some(Ok(frame)) => frame.into_data().ok(),
            Some(Err(err)) => return Ok(Err(lost(store, task, &err))),
        };
        let ended = frame.is_none();
        if let Some(data) = frame {
            block.extend_from_slice(&data);
        }
        if block.len() >= BLOCK || (ended && !block.is_empty()) {
            let data = std::mem::replace(&mut block, BytesMut::with_capacity(BLOCK)).freeze();
            let length = data.len() as u64;
            let place = path.to_path_buf();
            part = blocking(&task.path, move || {
                part.hasher.update(&data);
                if let Err(err) = part.file.write_all(&data) {
                    // A full disk is not left full by a part that nobody sees.
                    let _ = std::fs::remove_file(&place);
                    return Err(cannot_write(place.parent().unwrap_or(&place), &err));
                }
                part.length += data.len() as u64;
                Ok(part)
            })
            .await?;
            tracker.bytes(length);
            *counted += length;
            if part.length > task.entry.size {
                return Ok(Ok(part));
            }
        }
        if ended {
            return Ok(Ok(part));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_a_folder_takes_for_one_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        let roots = [Root::create(folder.path()).unwrap()];
        let task = |path: &str| {
            let entry = Entry { path: path.into(), hash: hash_bytes(b""), size: 0, mtime: 0 };
            Task { root: 0, path: roots[0].resolve(path).unwrap(), entry }
        };
        let tasks = [task("out/Beauty.exr"), task("out/depth.exr"), task("Out/beauty.EXR")];
        assert!(check_names(&roots, &tasks, |_| false).is_ok());
        assert!(check_names(&roots, &tasks[..2], |_| true).is_ok());
        assert_eq!(
            check_names(&roots, &tasks, |_| true).unwrap_err().to_string(),
            format!(
                "Nothing was written to {}: there, \"out/Beauty.exr\" and \"Out/beauty.EXR\" are one file. Choose a \
                 folder that tells upper from lower case.",
                folder.path().display()
            )
        );
        let of_folder = |file: &str, other: &str| {
            format!(
                "Nothing was written to {}: there, {file:?} is a file, and {other:?} needs a folder of this name.",
                folder.path().display()
            )
        };
        for tasks in [[task("out"), task("out/a/b.exr")], [task("out/a/b.exr"), task("out")]] {
            let refused = check_names(&roots, &tasks, |_| false).unwrap_err();
            assert_eq!(refused.to_string(), of_folder("out", "out/a/b.exr"));
        }
        assert!(check_names(&roots, &[task("Out"), task("out/b")], |_| false).is_ok());
        let refused = check_names(&roots, &[task("Out"), task("out/b")], |_| true).unwrap_err();
        assert_eq!(refused.to_string(), of_folder("Out", "out/b"));
        // Letters beyond ASCII have two cases too.
        assert!(check_names(&roots, &[task("Ä"), task("ä")], |_| true).is_err());
        // The question is asked of the folder itself, and leaves nothing there.
        assert_eq!(ignores_case(folder.path()), cfg!(any(windows, target_os = "macos")));
        assert_eq!(folder.path().read_dir().unwrap().count(), 0);
    }
}
