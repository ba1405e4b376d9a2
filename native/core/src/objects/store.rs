//! Objects on disk.
//!
//! ```text
//! <root>/lock                       held while a store serves the folder
//! <root>/buckets/<bucket>/<key…>=   one file per object (names.rs, format.rs)
//! <root>/uploads/<id>/              multipart uploads under way (uploads.rs)
//! <root>/temporary/                 bodies that are arriving; emptied at start
//! <root>/damaged/                   files whose body is not what was stored, out of the way
//! ```
//!
//! An object comes into being by one rename of a complete file, so readers see the old one or the new one, and a killed
//! process leaves nothing but temporary files. Calls block; they are meant for the store's own threads.

use std::collections::hash_map::DefaultHasher;
use std::fs::{self, File, TryLockError};
use std::hash::{Hash, Hasher};
use std::io::{self, IoSlice, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard};
use std::time::{SystemTime, UNIX_EPOCH};

use bytes::Bytes;

use super::format::{self, Description};
use super::{listing, names};
use crate::{CoreError, Result};

const STRIPES: usize = 64;
/// A folder that empties while an object is put into it is made again this often.
const RENAME_ATTEMPTS: usize = 16;

/// When an object may be replaced.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Condition {
    Always,
    /// `If-None-Match: *`
    Absent,
    /// `If-Match`, without quotes; `*` is any.
    Matches(String),
}

/// A folder of objects, held by this process alone.
pub(super) struct Store {
    root: PathBuf,
    buckets: PathBuf,
    temporary: PathBuf,
    damaged: PathBuf,
    pub(super) uploads: PathBuf,
    counter: AtomicU64,
    /// Grows with every object that comes or goes; tells whether a listing that was read is still true.
    generation: AtomicU64,
    stripes: Vec<Mutex<()>>,
    pub(super) listings: Mutex<listing::Cache>,
    /// Locked while the store lives.
    _lock: File,
}

/// A body on its way; removed when dropped before it became an object.
pub(super) struct Staged {
    pub(super) file: File,
    path: PathBuf,
    published: bool,
}

impl Staged {
    pub(super) fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.file.write_all(bytes)
    }

    /// Writes a whole body and its footer by one system call.
    pub(super) fn write_chunks(&mut self, chunks: &[Bytes], footer: &[u8]) -> io::Result<()> {
        let mut slices: Vec<IoSlice<'_>> = chunks.iter().map(|chunk| IoSlice::new(chunk)).collect();
        slices.push(IoSlice::new(footer));
        let mut rest = slices.as_mut_slice();
        while !rest.is_empty() {
            // Linux takes 1,024 slices at most.
            let some = rest.len().min(1024);
            match self.file.write_vectored(&rest[..some]) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(written) => IoSlice::advance_slices(&mut rest, written),
                Err(err) if err.kind() == io::ErrorKind::Interrupted => {}
                Err(err) => return Err(err),
            }
        }
        Ok(())
    }
}

impl Drop for Staged {
    fn drop(&mut self) {
        if !self.published {
            let _ = fs::remove_file(&self.path);
        }
    }
}

impl Store {
    /// Opens, or makes, a store's folder.
    ///
    /// # Errors
    ///
    /// `ObjectStore` when the folder cannot be made or written, or when another process serves it.
    pub(super) fn open(root: &Path) -> Result<Self> {
        let refuse = |what: &str, path: &Path, err: &io::Error| {
            CoreError::ObjectStore(format!(
                "Cannot {what} {} for the object store: {err}. Check the folder's permissions and the free space.",
                path.display()
            ))
        };
        let folder = |name: &str| root.join(name);
        for name in ["buckets", "uploads", "temporary", "damaged"] {
            fs::create_dir_all(folder(name)).map_err(|err| refuse("create", &folder(name), &err))?;
        }
        let lock_path = folder("lock");
        let lock = File::create(&lock_path).map_err(|err| refuse("open", &lock_path, &err))?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                return Err(CoreError::ObjectStore(format!(
                    "The object store in {} is in use by another process. Stop that farm first, or choose another folder.",
                    root.display()
                )));
            }
            Err(TryLockError::Error(err)) => return Err(refuse("lock", &lock_path, &err)),
        }
        // What a killed process left half-written. Nothing else lies here, and the lock says that nobody writes now.
        let temporary = folder("temporary");
        let leftovers = fs::read_dir(&temporary).map_err(|err| refuse("read", &temporary, &err))?;
        for entry in leftovers.flatten() {
            let _ = fs::remove_file(entry.path());
        }
        Ok(Self {
            root: root.to_owned(),
            buckets: folder("buckets"),
            temporary,
            damaged: folder("damaged"),
            uploads: folder("uploads"),
            counter: AtomicU64::new(0),
            generation: AtomicU64::new(0),
            stripes: (0..STRIPES).map(|_| Mutex::new(())).collect(),
            listings: Mutex::default(),
            _lock: lock,
        })
    }

    pub(super) fn root(&self) -> &Path {
        &self.root
    }

    pub(super) fn generation(&self) -> u64 {
        self.generation.load(Ordering::Acquire)
    }

    /// Makes a bucket; no error when it is there.
    pub(super) fn create_bucket(&self, bucket: &str) -> io::Result<()> {
        fs::create_dir_all(self.bucket_folder(bucket))
    }

    pub(super) fn has_bucket(&self, bucket: &str) -> bool {
        self.bucket_folder(bucket).is_dir()
    }

    pub(super) fn bucket_folder(&self, bucket: &str) -> PathBuf {
        self.buckets.join(names::bucket_name(bucket))
    }

    /// When a bucket was made.
    pub(super) fn bucket_created(&self, bucket: &str) -> io::Result<SystemTime> {
        let metadata = fs::metadata(self.bucket_folder(bucket))?;
        metadata.created().or_else(|_| metadata.modified())
    }

    /// A new file for a body that arrives.
    pub(super) fn stage(&self) -> io::Result<Staged> {
        let path = self.temporary.join(self.counter.fetch_add(1, Ordering::Relaxed).to_string());
        let file = File::options().write(true).create_new(true).open(&path)?;
        Ok(Staged { file, path, published: false })
    }

    /// Makes a staged file, complete with its footer, the object; false when the condition does not hold.
    pub(super) fn publish(
        &self,
        mut staged: Staged,
        bucket: &str,
        key: &str,
        condition: &Condition,
    ) -> io::Result<bool> {
        let done = self.publish_file(&staged.path, bucket, key, condition)?;
        staged.published = done;
        Ok(done)
    }

    /// As [`Self::publish`], for a file that lies elsewhere in the root.
    pub(super) fn publish_file(&self, from: &Path, bucket: &str, key: &str, condition: &Condition) -> io::Result<bool> {
        let path = names::object_path(&self.bucket_folder(bucket), key);
        // This process alone writes the folder, so a lock here makes check and rename one step. It is also what orders
        // renames against the removal of folders that became empty.
        let _guard = self.stripe(bucket, key);
        if !self.holds(&path, condition)? {
            return Ok(false);
        }
        let mut attempt = 0;
        loop {
            match fs::rename(from, &path) {
                Ok(()) => break,
                Err(err) if err.kind() == io::ErrorKind::NotFound && attempt < RENAME_ATTEMPTS => {
                    attempt += 1;
                    if let Some(parent) = path.parent() {
                        fs::create_dir_all(parent)?;
                    }
                }
                Err(err) => return Err(err),
            }
        }
        self.generation.fetch_add(1, Ordering::AcqRel);
        Ok(true)
    }

    /// Whether the condition holds now; [`Self::publish`] asks again when it matters.
    pub(super) fn would_publish(&self, bucket: &str, key: &str, condition: &Condition) -> io::Result<bool> {
        self.holds(&names::object_path(&self.bucket_folder(bucket), key), condition)
    }

    fn holds(&self, path: &Path, condition: &Condition) -> io::Result<bool> {
        let expected = match condition {
            Condition::Always => return Ok(true),
            Condition::Absent => return Ok(open_file(path)?.is_none()),
            Condition::Matches(etag) => etag,
        };
        Ok(open_file(path)?.is_some_and(|(_, description)| expected == "*" || *expected == description.etag))
    }

    /// Opens an object: the file (its position is anywhere) and its description.
    pub(super) fn open_object(&self, bucket: &str, key: &str) -> io::Result<Option<(File, Description)>> {
        open_file(&names::object_path(&self.bucket_folder(bucket), key))
    }

    /// Removes an object; no error when there is none. False when the condition does not hold.
    pub(super) fn delete(&self, bucket: &str, key: &str, condition: &Condition) -> io::Result<bool> {
        let bucket_folder = self.bucket_folder(bucket);
        let path = names::object_path(&bucket_folder, key);
        let _guard = self.stripe(bucket, key);
        if !self.holds(&path, condition)? {
            return Ok(false);
        }
        match fs::remove_file(&path) {
            Ok(()) => {}
            Err(err) if is_absent(&err) => return Ok(true),
            Err(err) => return Err(err),
        }
        self.generation.fetch_add(1, Ordering::AcqRel);
        // Folders that are not empty refuse, which ends the climb.
        let mut folder = path.parent();
        while let Some(path) = folder.filter(|path| *path != bucket_folder) {
            if fs::remove_dir(path).is_err() {
                break;
            }
            folder = path.parent();
        }
        Ok(true)
    }

    /// Takes a file whose body is not what was stored out of the way, unless it was replaced meanwhile.
    pub(super) fn set_aside(&self, bucket: &str, description: &Description) {
        let path = names::object_path(&self.bucket_folder(bucket), &description.key);
        let _guard = self.stripe(bucket, &description.key);
        let same = open_file(&path).is_ok_and(|found| {
            found.is_some_and(|(_, now)| now.modified == description.modified && now.crc64 == description.crc64)
        });
        if same {
            let name = format!("{}-{}", description.modified, self.counter.fetch_add(1, Ordering::Relaxed));
            let _ = fs::rename(&path, self.damaged.join(name));
            self.generation.fetch_add(1, Ordering::AcqRel);
        }
    }

    fn stripe(&self, bucket: &str, key: &str) -> MutexGuard<'_, ()> {
        let mut hasher = DefaultHasher::new();
        (bucket, key).hash(&mut hasher);
        let index = usize::try_from(hasher.finish() % STRIPES as u64).unwrap_or_default();
        self.stripes[index].lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}

/// Opens a file as an object; `None` when there is none, or none that is whole.
pub(super) fn open_file(path: &Path) -> io::Result<Option<(File, Description)>> {
    let mut file = match File::open(path) {
        Ok(file) => file,
        Err(err) if is_absent(&err) => return Ok(None),
        Err(err) => return Err(err),
    };
    Ok(format::read(&mut file)?.map(|description| (file, description)))
}

/// Milliseconds since 1970.
pub(super) fn now() -> u64 {
    let elapsed = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(elapsed.as_millis()).unwrap_or_default()
}

fn is_absent(err: &io::Error) -> bool {
    matches!(err.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory)
}
