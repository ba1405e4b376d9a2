//! The content-addressed store below a queue's root prefix: which objects are there, and sending those that are not.
//!
//! Presence is known from the check cache (verified by a sample), from a listing where that is worth it, or from puts that
//! carry the condition themselves; a question per object is asked for large objects only.

use std::collections::{HashMap, HashSet};
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use tokio::sync::Mutex;
use tokio_util::sync::CancellationToken;

use super::cache::CheckCache;
use super::hash::{hash_bytes, read_full, unreadable};
use super::manifest::{HASH_ALGORITHM, Manifest};
use super::multipart;
use super::progress::{OnProgress, Status, Tracker};
use super::s3::{Bucket, Fault, Put, PutOptions, S3Access};
use crate::{CoreError, Result};

/// Files up to this size are sent in one request, from memory.
pub(crate) const SINGLE_PUT: u64 = 16 * 1024 * 1024;
/// Bytes of such files in memory at once.
const MEMORY: u32 = 64 * 1024 * 1024;
/// Requests at once: a far store is limited by its latency, a near one by CPU time.
const FAR_REQUESTS: usize = 48;
const NEAR_REQUESTS: usize = 12;
/// From this number of unknown objects on, a look at the listing costs less than a question per object.
const LIST_FROM: usize = 8;
/// A listing is read whole when it has at most one page for this many unknown objects (a page holds 1,000).
const OBJECTS_PER_PAGE: usize = 100;
/// Up to this size an object is sent with "only if it is not there" instead of asking first.
const CONDITIONAL_PUT: u64 = 256 * 1024;
/// Objects that the check cache knows and that are looked for nevertheless.
const SAMPLE: usize = 30;
/// Objects that were sent are noted in the check cache in transactions of this many.
const CHECK_BATCH: usize = 500;

/// Files of one manifest and the folder they lie in.
pub(crate) struct Source<'a> {
    pub(crate) root: &'a Path,
    pub(crate) manifest: &'a Manifest,
}

pub(crate) fn tracker_for<'a>(
    sources: &[Source<'_>],
    on_progress: OnProgress<'a>,
    token: &CancellationToken,
) -> Tracker<'a> {
    let files = sources.iter().map(|source| source.manifest.entries().len() as u64).sum();
    let bytes = sources.iter().map(|source| source.manifest.total_size()).sum();
    Tracker::new(Status::UploadInProgress, files, bytes, on_progress, token)
}

/// One object to send: the first file that has its content.
pub(crate) struct Item {
    pub(crate) path: PathBuf,
    pub(crate) hash: String,
    pub(crate) size: u64,
    pub(crate) key: String,
}

/// Whether an object has to be looked for.
enum Presence {
    Present,
    Absent,
    Unknown,
}

/// The content-addressed store below a queue's root prefix.
pub(crate) struct Store {
    pub(crate) bucket: Arc<Bucket>,
    prefix: String,
    data: String,
}

impl Store {
    pub(crate) fn new(access: &S3Access, bucket: &str, root_prefix: &str) -> Result<Self> {
        let prefix = root_prefix.trim_matches('/');
        let prefix = if prefix.is_empty() { String::new() } else { format!("{prefix}/") };
        let data = format!("{prefix}Data/");
        Ok(Self { bucket: Arc::new(Bucket::new(access, bucket)?), prefix, data })
    }

    /// With objects below another prefix, where there is one.
    pub(crate) fn with_data(mut self, prefix: Option<&str>) -> Self {
        if let Some(prefix) = prefix {
            // Not trimmed: a key is what its prefix says, one slash and the name.
            self.data = if prefix.is_empty() { String::new() } else { format!("{prefix}/") };
        }
        self
    }

    /// Prefix of all objects.
    pub(crate) fn data_prefix(&self) -> &str {
        &self.data
    }

    /// The key of an object.
    pub(crate) fn data_key(&self, hash: &str) -> String {
        format!("{}{hash}.{HASH_ALGORITHM}", self.data)
    }

    /// The key of a manifest whose recorded path is `path`.
    pub(crate) fn manifest_key(&self, path: &str) -> String {
        format!("{}Manifests/{path}", self.prefix)
    }

    pub(crate) async fn put_manifest(&self, key: &str, bytes: Vec<u8>, metadata: &[(String, String)]) -> Result<()> {
        let options = PutOptions { metadata, ..PutOptions::default() };
        let put = self.bucket.put(key, Bytes::from(bytes), &options).await;
        put.map(|_| ()).map_err(|fault| self.bucket.explain("store the manifest", key, &fault))
    }

    /// Sends what is missing of the objects of all sources.
    pub(crate) async fn upload_objects(
        &self,
        sources: &[Source<'_>],
        cache_dir: Option<&Path>,
        force_check: bool,
        tracker: &Tracker<'_>,
    ) -> Result<()> {
        let mut items: HashMap<&str, Item> = HashMap::new();
        for source in sources {
            for entry in source.manifest.entries() {
                if items.contains_key(entry.hash.as_str()) {
                    tracker.skipped(1, entry.size);
                    continue;
                }
                let (path, hash) = (source.root.join(&entry.path), entry.hash.clone());
                let key = self.data_key(&hash);
                items.insert(&entry.hash, Item { path, hash, size: entry.size, key });
            }
        }
        let mut cache = CheckCache::open(cache_dir);
        let mut items: Vec<Item> = items.into_values().collect();
        if !force_check {
            items = self.without_seen(items, &mut cache, tracker).await?;
        }
        // In the order of names, which is that of most disks.
        items.sort_by(|a, b| a.path.cmp(&b.path));
        let listed = self.listed(&items).await?;
        let mut present = Vec::new();
        let mut to_send: Vec<(Item, bool)> = Vec::new();
        for item in items {
            match listed.presence(&item.key) {
                Presence::Present => {
                    tracker.skipped(1, item.size);
                    present.push(self.check_key(&item.key));
                }
                Presence::Absent => to_send.push((item, false)),
                Presence::Unknown => to_send.push((item, true)),
            }
        }
        cache.store(&present);
        // A limit below one request's size is kept to; beyond it, memory is what counts.
        let single = SINGLE_PUT.min(self.bucket.limits().small_file);
        let (small, large): (Vec<_>, Vec<_>) = to_send.into_iter().partition(|(item, _)| item.size <= single);
        let cache = Arc::new(Mutex::new(Noted { cache, keys: Vec::new() }));
        let sent = self.send_small(&small, &cache, tracker).await;
        // What arrived before a failure is noted all the same.
        cache.lock().await.flush();
        sent?;
        for (item, unknown) in &large {
            if *unknown && self.exists(item).await? {
                tracker.skipped(1, item.size);
            } else {
                multipart::upload(&self.bucket, item, tracker).await?;
            }
            cache.lock().await.note(self.check_key(&item.key));
            cache.lock().await.flush();
        }
        Ok(())
    }

    fn check_key(&self, key: &str) -> String {
        format!("{}/{key}", self.bucket.name())
    }

    /// Takes out what the check cache knows, unless a sample of it is not in the store: then the cache is forgotten.
    async fn without_seen(&self, items: Vec<Item>, cache: &mut CheckCache, tracker: &Tracker<'_>) -> Result<Vec<Item>> {
        let keys: Vec<String> = items.iter().map(|item| self.check_key(&item.key)).collect();
        let seen = cache.seen(keys.iter().map(String::as_str));
        if seen.is_empty() {
            return Ok(items);
        }
        // Items come out of a hash map with a random seed, so the first ones are a random sample.
        let sample = items.iter().zip(&keys).filter(|(_, key)| seen.contains(key.as_str())).take(SAMPLE);
        let looks = sample.map(|(item, _)| self.exists(item));
        let found = futures_util::future::try_join_all(looks).await?;
        if found.contains(&false) {
            cache.clear();
            return Ok(items);
        }
        let mut rest = Vec::new();
        for (item, key) in items.into_iter().zip(&keys) {
            if seen.contains(key.as_str()) {
                tracker.skipped(1, item.size);
            } else {
                rest.push(item);
            }
        }
        Ok(rest)
    }

    async fn exists(&self, item: &Item) -> Result<bool> {
        let exists = self.bucket.exists(&item.key).await;
        exists.map_err(|fault| self.bucket.explain("look for", &item.key, &fault))
    }

    /// What a listing tells about these objects. One page is read; the rest only when the store, as far as that page
    /// shows, holds no more than is worth it.
    async fn listed(&self, items: &[Item]) -> Result<Listed> {
        if items.len() < LIST_FROM {
            return Ok(Listed::default());
        }
        let prefix = self.data_prefix();
        // A role without s3:ListBucket can upload nevertheless: each put then carries its own condition.
        let optional = |result: Result<Listed, Fault>| match result {
            Err(fault) if fault.status == 403 => Ok(Listed::default()),
            other => other.map_err(|fault| self.bucket.explain("list", prefix, &fault)),
        };
        let read = async {
            let (keys, complete) = self.bucket.list(prefix, Some(1)).await?;
            let last = keys.last().cloned();
            let mut listed = Listed { keys: keys.into_iter().collect(), complete, until: last };
            if !complete {
                let share = listed.until.as_deref().map_or(1.0, |key| hash_share(key, prefix));
                let pages = (1.0 / share.max(1e-9)) as usize;
                if pages <= items.len() / OBJECTS_PER_PAGE {
                    listed = Listed { keys: self.bucket.list_hashes(prefix).await?, complete: true, until: None };
                }
            }
            Ok(listed)
        };
        optional(read.await)
    }

    async fn send_small(&self, items: &[(Item, bool)], cache: &Mutex<Noted>, tracker: &Tracker<'_>) -> Result<()> {
        let requests = if self.bucket.is_local() { NEAR_REQUESTS } else { FAR_REQUESTS };
        let requests = requests.min(self.bucket.limits().connections);
        let memory = tokio::sync::Semaphore::new(MEMORY as usize);
        let next = AtomicUsize::new(0);
        let workers = (0..requests.min(items.len())).map(|_| async {
            while let Some((item, unknown)) = items.get(next.fetch_add(1, Ordering::Relaxed)) {
                // At most SINGLE_PUT, so it fits; the semaphore is never closed.
                let _room = memory.acquire_many(item.size as u32).await;
                let stored = self.send_one(item, *unknown).await?;
                if stored {
                    tracker.processed(item.size);
                } else {
                    tracker.skipped(1, item.size);
                }
                cache.lock().await.note(self.check_key(&item.key));
            }
            Ok(())
        });
        futures_util::future::try_join_all(workers).await.map(|_| ())
    }

    /// Sends one object from memory; answers whether it had to be sent.
    async fn send_one(&self, item: &Item, unknown: bool) -> Result<bool> {
        if unknown && item.size > CONDITIONAL_PUT && self.exists(item).await? {
            return Ok(false);
        }
        let body = read_checked(item).await?;
        let options = PutOptions { if_none_match: unknown, ..PutOptions::default() };
        let put = self.bucket.put(&item.key, body, &options).await;
        let put =
            put.map_err(|fault| self.bucket.explain(&format!("upload {} to", item.path.display()), &item.key, &fault))?;
        Ok(put != Put::Existed)
    }
}

/// How far into the space of hashes a key lies, 0 to 1.
fn hash_share(key: &str, prefix: &str) -> f64 {
    let digits = key.strip_prefix(prefix).and_then(|name| name.get(..8)).unwrap_or("ffffffff");
    u32::from_str_radix(digits, 16).map_or(1.0, |number| f64::from(number) / f64::from(u32::MAX))
}

/// Keys of a listing.
#[derive(Default)]
struct Listed {
    keys: HashSet<String>,
    complete: bool,
    /// The last key of an incomplete listing, which is sorted: up to it, what is not listed is not there.
    until: Option<String>,
}

impl Listed {
    fn presence(&self, key: &str) -> Presence {
        if self.keys.contains(key) {
            Presence::Present
        } else if self.complete || self.until.as_deref().is_some_and(|last| key < last) {
            Presence::Absent
        } else {
            Presence::Unknown
        }
    }
}

/// The check cache and the keys that it does not have yet.
struct Noted {
    cache: CheckCache,
    keys: Vec<String>,
}

impl Noted {
    fn note(&mut self, key: String) {
        self.keys.push(key);
        if self.keys.len() >= CHECK_BATCH {
            self.flush();
        }
    }

    fn flush(&mut self) {
        self.cache.store(&self.keys);
        self.keys.clear();
    }
}

/// The content of a file, held to its hash: what changed since is not stored under a name that is not its own.
async fn read_checked(item: &Item) -> Result<Bytes> {
    let (path, hash, size) = (item.path.clone(), item.hash.clone(), item.size);
    let read = move || {
        let mut content = vec![0; size as usize + 1];
        let filled = File::open(&path)
            .and_then(|mut file| read_full(&mut file, &mut content))
            .map_err(|err| unreadable(&path, &err))?;
        content.truncate(filled);
        if hash_bytes(&content) != hash {
            return Err(changed(&path));
        }
        Ok(Bytes::from(content))
    };
    match tokio::task::spawn_blocking(read).await {
        Ok(result) => result,
        Err(err) => Err(CoreError::Attachments(format!("Reading {} was ended: {err}.", item.path.display()))),
    }
}

pub(crate) fn changed(path: &Path) -> CoreError {
    CoreError::Attachments(format!(
        "{} was changed after it was hashed, so it was not uploaded. Submit again, or make the \
         manifest anew, when no program writes it.",
        path.display()
    ))
}
