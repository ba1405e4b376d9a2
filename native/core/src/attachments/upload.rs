//! From files to a job's attachments: hash, upload what is missing, record the manifests.
//!
//! Objects are named by their content, so an upload that was ended in the middle goes on where it was: the next one
//! finds what is there and sends the rest. Objects come first and a manifest last, so that no manifest in the store
//! names an object that was never sent.

use std::collections::{HashMap, HashSet};
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use serde_json::{Value, json};
use tokio::sync::Mutex;
use tokio_util::sync::CancellationToken;

use super::cache::CheckCache;
use super::grouping::{Group, Prepared, References, prepare};
use super::hash::{hash_bytes, hash_files, read_full, unreadable};
use super::manifest::{Entry, HASH_ALGORITHM, Manifest};
use super::paths::{Host, disk_fault, normalize, relative_text};
use super::progress::{OnProgress, Statistics, Status, Tracker};
use super::s3::{Bucket, Fault, Put, PutOptions, S3Access};
use super::{block_on, multipart};
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

/// A group whose files are hashed.
#[derive(Debug, Clone)]
pub struct HashedGroup {
    /// Where the files lie.
    pub root: PathBuf,
    /// Name of the LOCAL location that the group lies in.
    pub location_name: Option<String>,
    /// Its input files; none when there are only outputs.
    pub manifest: Option<Manifest>,
    /// Output folders below the root, with this machine's separators; `.` is the root.
    pub output_relative_directories: Vec<String>,
}

/// What [`hash`] found.
#[derive(Debug, Clone)]
pub struct Hashed {
    /// As prepared, same order.
    pub groups: Vec<HashedGroup>,
    /// Files that the cache knew count as skipped.
    pub statistics: Statistics,
}

/// Hashes the input files of all groups and makes their manifests.
///
/// # Errors
/// `Attachments` when a file cannot be read, is written meanwhile, or has a name that is not Unicode; `Canceled`.
pub fn hash(
    prepared: &Prepared,
    cache_dir: Option<&Path>,
    on_progress: OnProgress<'_>,
    token: &CancellationToken,
) -> Result<Hashed> {
    let tracker =
        Tracker::new(Status::PreparingInProgress, prepared.total_files, prepared.total_bytes, on_progress, token);
    let paths: Vec<&Path> =
        prepared.groups.iter().flat_map(|group| group.inputs.iter().map(|input| input.path.as_path())).collect();
    let mut hashes = hash_files(&paths, cache_dir, &tracker)?.into_iter();
    let mut groups = Vec::with_capacity(prepared.groups.len());
    for group in &prepared.groups {
        let mut entries = Vec::with_capacity(group.inputs.len());
        for (input, found) in group.inputs.iter().zip(hashes.by_ref()) {
            let path = relative_text(&input.path, &group.root, '/')?;
            entries.push(Entry { path, hash: found.hash, size: found.size, mtime: found.mtime });
        }
        let mut outputs = Vec::with_capacity(group.outputs.len());
        for output in &group.outputs {
            let text = relative_text(output, &group.root, std::path::MAIN_SEPARATOR)?;
            outputs.push(if text.is_empty() { ".".into() } else { text });
        }
        groups.push(HashedGroup {
            root: group.root.clone(),
            location_name: group.location_name.clone(),
            manifest: (!entries.is_empty()).then(|| Manifest::new(entries)),
            output_relative_directories: outputs,
        });
    }
    Ok(Hashed { groups, statistics: tracker.finish()? })
}

/// Where a job's attachments go.
#[derive(Debug, Clone)]
pub struct Destination {
    /// The object store.
    pub access: S3Access,
    /// `s3BucketName` of the queue.
    pub bucket: String,
    /// `rootPrefix` of the queue.
    pub root_prefix: String,
    /// The farm of the job.
    pub farm_id: String,
    /// The queue of the job.
    pub queue_id: String,
}

/// How the worker sees the files.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum FileSystem {
    /// As copies.
    #[default]
    Copied,
    /// Through a virtual file system, where the worker has one.
    Virtual,
}

impl FileSystem {
    /// The word on the wire.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Copied => "COPIED",
            Self::Virtual => "VIRTUAL",
        }
    }
}

/// What an upload may do otherwise.
#[derive(Debug, Clone, Default)]
pub struct UploadOptions<'a> {
    /// Folder of the S3-check cache; without it every object is looked for.
    pub cache_dir: Option<&'a Path>,
    /// Look for every object in the store, whatever the cache says.
    pub force_s3_check: bool,
    /// Folder that gets `manifests/`, a copy of each manifest and a list of their keys.
    pub manifest_write_dir: Option<&'a Path>,
    /// Goes into the attachments as it is.
    pub file_system: FileSystem,
}

/// What [`upload`] did.
#[derive(Debug, Clone)]
pub struct Uploaded {
    /// Objects that were there count as skipped.
    pub statistics: Statistics,
    /// The member `attachments` of CreateJob.
    pub attachments: Value,
}

/// Uploads the objects that are missing, then the manifests.
///
/// # Errors
/// `Attachments` with one sentence when the store cannot be reached, refuses, is full or read-only, or when a file is
/// not what was hashed; `Canceled`.
pub fn upload(
    hashed: &Hashed,
    destination: &Destination,
    options: &UploadOptions<'_>,
    on_progress: OnProgress<'_>,
    token: &CancellationToken,
) -> Result<Uploaded> {
    let sources: Vec<Source<'_>> = hashed
        .groups
        .iter()
        .filter_map(|group| Some(Source { root: &group.root, manifest: group.manifest.as_ref()? }))
        .collect();
    let store = Store::new(&destination.access, &destination.bucket, &destination.root_prefix)?;
    let tracker = tracker_for(&sources, on_progress, token);
    let folder = format!("{}/{}/Inputs/{}", destination.farm_id, destination.queue_id, uuid::Uuid::new_v4().simple());
    block_on(async {
        let mut manifests = Vec::with_capacity(hashed.groups.len());
        let work = async {
            store.upload_objects(&sources, options.cache_dir, options.force_s3_check, &tracker).await?;
            for group in &hashed.groups {
                let root = group.root.to_string_lossy();
                let mut properties = json!({"rootPath": root, "rootPathFormat": Host::current().path_format()});
                if let Some(name) = &group.location_name {
                    properties["fileSystemLocationName"] = json!(name);
                }
                if let Some(manifest) = &group.manifest {
                    let name = format!("{}_input", hash_bytes(root.as_bytes()));
                    let path = format!("{folder}/{name}");
                    let bytes = manifest.encode();
                    properties["inputManifestHash"] = json!(hash_bytes(&bytes));
                    let key = store.manifest_key(&path);
                    if let Some(folder) = options.manifest_write_dir {
                        keep_manifest(folder, &name, &key, &bytes)?;
                    }
                    store.put_manifest(&key, bytes, &[]).await?;
                    properties["inputManifestPath"] = json!(path);
                }
                if !group.output_relative_directories.is_empty() {
                    properties["outputRelativeDirectories"] = json!(group.output_relative_directories);
                }
                manifests.push(properties);
            }
            Ok(())
        };
        stoppable(work, &tracker).await?;
        let attachments = json!({"manifests": manifests, "fileSystem": options.file_system.as_str()});
        Ok(Uploaded { statistics: tracker.finish()?, attachments })
    })
}

/// The manifest of all files below a folder, or of some of them; none when there is no file.
///
/// # Errors
/// As [`hash`]; `MissingInputs` when a path does not exist, is a folder, or is a link in the folder that leads out of
/// it; `Attachments` when a path does not lie below `root`.
pub fn snapshot(
    root: &Path,
    paths: Option<&[PathBuf]>,
    cache_dir: Option<&Path>,
    on_progress: OnProgress<'_>,
    token: &CancellationToken,
) -> Result<(Option<Manifest>, Statistics)> {
    let root = normalize(root)?;
    let references = match paths {
        // A relative path means one below the root here, wherever the process is.
        Some(paths) => References {
            input_files: paths.iter().map(|path| root.join(path)).collect(),
            ..References::default()
        },
        None => References { input_directories: vec![root.clone()], ..References::default() },
    };
    let found = prepare(&references, &[], true, token)?;
    let inputs = found.groups.into_iter().flat_map(|group| group.inputs).collect();
    let group = Group { root, location_name: None, inputs, outputs: Vec::new(), references: Vec::new() };
    let prepared = Prepared {
        groups: vec![group],
        total_files: found.total_files,
        total_bytes: found.total_bytes,
        warnings: Vec::new(),
    };
    let hashed = hash(&prepared, cache_dir, on_progress, token)?;
    let manifest = hashed.groups.into_iter().next().and_then(|group| group.manifest);
    Ok((manifest, hashed.statistics))
}

/// Uploads the objects of one manifest of files below `root`, and no manifest.
///
/// # Errors
/// As [`upload`].
pub fn upload_snapshot(
    root: &Path,
    manifest: &Manifest,
    destination: &Destination,
    options: &UploadOptions<'_>,
    on_progress: OnProgress<'_>,
    token: &CancellationToken,
) -> Result<Statistics> {
    let store = Store::new(&destination.access, &destination.bucket, &destination.root_prefix)?;
    let sources = [Source { root, manifest }];
    let tracker = tracker_for(&sources, on_progress, token);
    block_on(async {
        let work = store.upload_objects(&sources, options.cache_dir, options.force_s3_check, &tracker);
        stoppable(work, &tracker).await?;
        tracker.finish()
    })
}

/// Ends work at once when its phase is canceled: open requests are dropped with their connections.
pub(crate) async fn stoppable<T>(work: impl Future<Output = Result<T>>, tracker: &Tracker<'_>) -> Result<T> {
    tokio::select! {
        result = work => result,
        () = tracker.token().cancelled() => Err(tracker.canceled()),
    }
}

fn keep_manifest(folder: &Path, name: &str, key: &str, bytes: &[u8]) -> Result<()> {
    use std::io::Write as _;
    let folder = folder.join("manifests");
    let write = || {
        std::fs::create_dir_all(&folder)?;
        std::fs::write(folder.join(name), bytes)?;
        let mut list = File::options().create(true).append(true).open(folder.join("manifest_s3_mapping"))?;
        // The form that the official client reads: a Python dict per line.
        writeln!(list, "{{'local_file': '{name}', 's3_key': '{key}'}}")
    };
    write().map_err(|err| {
        CoreError::Attachments(format!("Cannot write the manifest to {}: {}.", folder.display(), disk_fault(&err)))
    })
}

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
}

impl Store {
    pub(crate) fn new(access: &S3Access, bucket: &str, root_prefix: &str) -> Result<Self> {
        let prefix = root_prefix.trim_matches('/');
        let prefix = if prefix.is_empty() { String::new() } else { format!("{prefix}/") };
        Ok(Self { bucket: Arc::new(Bucket::new(access, bucket)?), prefix })
    }

    /// Prefix of all objects.
    pub(crate) fn data_prefix(&self) -> String {
        format!("{}Data/", self.prefix)
    }

    /// The key of an object.
    pub(crate) fn data_key(&self, hash: &str) -> String {
        format!("{}Data/{hash}.{HASH_ALGORITHM}", self.prefix)
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
        let (small, large): (Vec<_>, Vec<_>) = to_send.into_iter().partition(|(item, _)| item.size <= SINGLE_PUT);
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
            other => other.map_err(|fault| self.bucket.explain("list", &prefix, &fault)),
        };
        let read = async {
            let (keys, complete) = self.bucket.list(&prefix, Some(1)).await?;
            let last = keys.last().cloned();
            let mut listed = Listed { keys: keys.into_iter().collect(), complete, until: last };
            if !complete {
                let share = listed.until.as_deref().map_or(1.0, |key| hash_share(key, &prefix));
                let pages = (1.0 / share.max(1e-9)) as usize;
                if pages <= items.len() / OBJECTS_PER_PAGE {
                    listed = Listed { keys: self.bucket.list_hashes(&prefix).await?, complete: true, until: None };
                }
            }
            Ok(listed)
        };
        optional(read.await)
    }

    async fn send_small(&self, items: &[(Item, bool)], cache: &Mutex<Noted>, tracker: &Tracker<'_>) -> Result<()> {
        let requests = if self.bucket.is_local() { NEAR_REQUESTS } else { FAR_REQUESTS };
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
        let put = put.map_err(|fault| self.bucket.explain(&format!("upload {} to", item.path.display()), &item.key, &fault))?;
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
        let filled =
            File::open(&path).and_then(|mut file| read_full(&mut file, &mut content)).map_err(|err| unreadable(&path, &err))?;
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
        "{} was changed after it was hashed, so it was not uploaded. Submit again when no program writes it.",
        path.display()
    ))
}
