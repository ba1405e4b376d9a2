//! Content hashes: XXH3 with 128 bits, written as 32 lower-case hexadecimal digits.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc;
use std::time::{Duration, Instant, SystemTime};

use tokio_util::sync::CancellationToken;
use xxhash_rust::xxh3::{Xxh3, xxh3_128};

use super::cache::{HashCache, HashRow, Modified, Resolver, microseconds};
use super::paths::disk_fault;
use super::progress::Tracker;
use crate::{CoreError, Result};

/// Large enough for few system calls, small enough to stay in the second-level cache while it is hashed.
const BLOCK: usize = 512 * 1024;
/// Threads beyond this only make a disk seek.
const MAX_THREADS: usize = 16;
/// New hashes go to the cache in transactions of this many files, or after this time: a kill loses no more.
const CACHE_BATCH: usize = 2048;
const CACHE_INTERVAL: Duration = Duration::from_secs(2);
/// How often a file that is written while it is read is read again.
const ATTEMPTS: u32 = 3;

/// The hash of bytes in memory.
///
/// ```
/// use shotput_core::attachments::hash::hash_bytes;
/// assert_eq!(hash_bytes(b""), "99aa06d3014798d86001c324468d497f");
/// ```
#[must_use]
pub fn hash_bytes(bytes: &[u8]) -> String {
    format!("{:032x}", xxh3_128(bytes))
}

/// A hash that grows with its bytes.
#[derive(Default)]
pub(crate) struct Hasher(Xxh3);

impl Hasher {
    pub(crate) fn update(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    pub(crate) fn finish(&self) -> String {
        format!("{:032x}", self.0.digest128())
    }
}

/// The hash of a file's content.
///
/// # Errors
/// What the file system says.
pub fn hash_file(path: &Path) -> io::Result<String> {
    let mut file = File::open(path)?;
    let mut buffer = vec![0; BLOCK];
    Ok(hash_open_file(&mut file, &mut buffer, &mut |_| true)?.0.unwrap_or_default())
}

/// Hash and length from the current position; no hash when `on_bytes` answered `false`.
fn hash_open_file(
    file: &mut File,
    buffer: &mut [u8],
    on_bytes: &mut dyn FnMut(u64) -> bool,
) -> io::Result<(Option<String>, u64)> {
    let first = read_full(file, buffer)?;
    if first < buffer.len() {
        return Ok((Some(hash_bytes(&buffer[..first])), first as u64));
    }
    let mut hasher = Hasher::default();
    let mut length = 0;
    let mut filled = first;
    while filled > 0 {
        hasher.update(&buffer[..filled]);
        length += filled as u64;
        if !on_bytes(filled as u64) {
            return Ok((None, length));
        }
        filled = read_full(file, buffer)?;
    }
    Ok((Some(hasher.finish()), length))
}

/// Reads until the buffer is full or the file ends.
pub(crate) fn read_full(file: &mut File, buffer: &mut [u8]) -> io::Result<usize> {
    let mut filled = 0;
    while filled < buffer.len() {
        match file.read(&mut buffer[filled..]) {
            Ok(0) => break,
            Ok(count) => filled += count,
            Err(err) if err.kind() == io::ErrorKind::Interrupted => {}
            Err(err) => return Err(err),
        }
    }
    Ok(filled)
}

/// A hashed file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct FileHash {
    pub(crate) hash: String,
    pub(crate) size: u64,
    /// Microseconds since 1970.
    pub(crate) mtime: i64,
}

struct Pending {
    index: usize,
    size: u64,
    /// Where the cache keeps it.
    key: PathBuf,
}

/// Hashes files over all cores, asking and feeding the cache; in the order given.
pub(crate) fn hash_files(paths: &[&Path], cache_dir: Option<&Path>, tracker: &Tracker<'_>) -> Result<Vec<FileHash>> {
    let mut resolver = Resolver::default();
    let mut keys = Vec::with_capacity(paths.len());
    let mut stats = Vec::with_capacity(paths.len());
    for path in paths {
        let look = || {
            let link = path.symlink_metadata()?;
            let metadata = if link.is_symlink() { path.metadata()? } else { link.clone() };
            Ok((metadata.len(), metadata.modified()?, resolver.resolve(path, link.is_symlink())?))
        };
        let mut look = look;
        let (size, modified, key) = look().map_err(|err: io::Error| unreadable(path, &err))?;
        keys.push((key, Modified::of(modified)));
        stats.push((size, microseconds(modified)));
    }
    let mut cache = HashCache::open(cache_dir);
    let known = cache.lookup(&keys);
    let mut results: Vec<Option<FileHash>> = vec![None; paths.len()];
    let mut pending = Vec::new();
    for (index, ((hash, (key, _)), (size, mtime))) in known.into_iter().zip(keys).zip(stats).enumerate() {
        match hash {
            Some(hash) => {
                results[index] = Some(FileHash { hash, size, mtime });
                tracker.skipped(1, size);
            }
            None => pending.push(Pending { index, size, key }),
        }
    }
    // The largest first, so that no core is left with a large file at the end.
    pending.sort_by_key(|file| std::cmp::Reverse(file.size));
    let threads = std::thread::available_parallelism().map_or(2, usize::from).min(MAX_THREADS).min(pending.len());
    let next = AtomicUsize::new(0);
    let stop = tracker.token().child_token();
    let outcome = std::thread::scope(|scope| {
        let (sender, receiver) = mpsc::sync_channel(1024);
        for _ in 0..threads {
            let sender = sender.clone();
            let (next, stop, pending) = (&next, &stop, &pending);
            scope.spawn(move || {
                let mut buffer = vec![0; BLOCK];
                while let Some(file) = pending.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let result = hash_stable(paths[file.index], &mut buffer, tracker, stop);
                    let failed = result.is_err();
                    if sender.send((file, result)).is_err() || failed {
                        break;
                    }
                }
            });
        }
        drop(sender);
        let mut rows = Vec::new();
        let mut stored = Instant::now();
        let mut failure = None;
        for (file, result) in receiver {
            match result {
                Ok((hash, modified)) => {
                    let modified = Modified::of(modified);
                    let row = HashRow { path: file.key.clone(), hash: hash.hash.clone(), modified };
                    rows.push(row);
                    results[file.index] = Some(hash);
                }
                Err(err) => {
                    stop.cancel();
                    failure.get_or_insert(err);
                }
            }
            if rows.len() >= CACHE_BATCH || stored.elapsed() >= CACHE_INTERVAL {
                cache.store(&rows);
                rows.clear();
                stored = Instant::now();
            }
        }
        cache.store(&rows);
        failure
    });
    if let Some(err) = outcome {
        return Err(err);
    }
    tracker.check()?;
    Ok(results.into_iter().flatten().collect())
}

/// The hash of one state of a file: size and time before and after are the same.
fn hash_stable(
    path: &Path,
    buffer: &mut [u8],
    tracker: &Tracker<'_>,
    stop: &CancellationToken,
) -> Result<(FileHash, SystemTime)> {
    for _ in 0..ATTEMPTS {
        if stop.is_cancelled() {
            return Err(tracker.canceled());
        }
        let mut counted = 0;
        let mut on_bytes = |bytes: u64| {
            counted += bytes;
            tracker.bytes(bytes);
            !stop.is_cancelled()
        };
        let mut read = || {
            let mut file = File::open(path)?;
            let before = file.metadata()?;
            let (hash, length) = hash_open_file(&mut file, buffer, &mut on_bytes)?;
            let after = file.metadata()?;
            let modified = before.modified()?;
            Ok((
                hash,
                modified,
                length,
                length == before.len() && after.modified()? == modified && after.len() == length,
            ))
        };
        let (hash, modified, length, stable) = read().map_err(|err: io::Error| unreadable(path, &err))?;
        let Some(hash) = hash else { return Err(tracker.canceled()) };
        if stable {
            tracker.processed(length - counted);
            return Ok((FileHash { hash, size: length, mtime: microseconds(modified) }, modified));
        }
        tracker.take_back(counted);
    }
    Err(CoreError::Attachments(format!(
        "{} is being written by another program: it changed {ATTEMPTS} times while it was read. Submit again when it is \
         complete.",
        path.display()
    )))
}

pub(crate) fn unreadable(path: &Path, err: &io::Error) -> CoreError {
    CoreError::Attachments(format!("Cannot read {}: {}.", path.display(), disk_fault(err)))
}
