//! The worker's side: a job's inputs come into the session's folder, what its tasks write goes to the store.
//!
//! Between the two a [`Snapshot`] is carried along: which files lie in the session, and how they looked when they were
//! synced. It is plain data, so that it crosses to Python and back.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use sha3::Shake256;
use sha3::digest::{ExtendableOutput as _, Update as _, XofReader as _};
use tokio_util::sync::CancellationToken;
use walkdir::WalkDir;

use super::block_on;
use super::cache::microseconds;
use super::download::{Conflict, fetch};
use super::hash::{hash_bytes, hash_files, unreadable};
use super::manifest::{Entry, Manifest};
use super::mapping::Mapping;
pub use super::mapping::PathMappingRule;
use super::outputs::{Scope, output_manifests};
use super::paths::{Host, check_relative, normalize, relative_text};
use super::progress::{OnProgress, Statistics, Status, Tracker};
use super::s3::S3Access;
use super::store::{Source, Store, tracker_for};
use super::upload::{metadata_of, stoppable};
use crate::{CoreError, Result};

/// One entry of the job's `attachments.manifests`.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ManifestProperties {
    /// Where the files lay on the submitting machine.
    pub root_path: String,
    /// `posix` or `windows`.
    pub root_path_format: String,
    /// Location of the storage profile.
    pub file_system_location_name: Option<String>,
    /// Below `<root prefix>/Manifests/`.
    pub input_manifest_path: Option<String>,
    /// Hash of the manifest's bytes.
    pub input_manifest_hash: Option<String>,
    /// Folders that tasks write into, below the root.
    pub output_relative_directories: Vec<String>,
}

/// The job's attachments as the service gives them.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Attachments {
    /// One per root.
    pub manifests: Vec<ManifestProperties>,
}

/// A file of the session as it was synced.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SyncedFile {
    /// Content hash.
    pub hash: String,
    /// Bytes.
    pub size: u64,
    /// Nanoseconds since 1970.
    pub mtime: i64,
}

/// What lies in the session: root path of the job → file below it → how it was.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Snapshot {
    /// By root path and location.
    pub roots: BTreeMap<String, BTreeMap<String, SyncedFile>>,
}

/// Where a session's files come from and go to.
#[derive(Debug, Clone)]
pub struct Session {
    /// The object store.
    pub access: S3Access,
    /// `s3BucketName` of the queue.
    pub bucket: String,
    /// `rootPrefix` of the queue.
    pub root_prefix: String,
    /// Farm of the job.
    pub farm_id: String,
    /// Queue of the job.
    pub queue_id: String,
    /// The job.
    pub job_id: String,
    /// Folder of the session.
    pub folder: PathBuf,
    /// The job's attachments.
    pub attachments: Attachments,
    /// Rules that are known already; those of storage profiles say where a location's root lies.
    pub rules: Vec<PathMappingRule>,
    /// From the last sync of this session.
    pub snapshot: Snapshot,
}

/// What [`sync_inputs`] did.
#[derive(Debug, Clone, Serialize)]
pub struct SyncedInputs {
    /// One rule per root.
    pub path_mapping_rules: Vec<PathMappingRule>,
    /// Files that lay in place count as skipped.
    pub statistics: Statistics,
    /// For the next sync.
    pub snapshot: Snapshot,
}

impl Session {
    fn store(&self) -> Result<Store> {
        Store::new(&self.access, &self.bucket, &self.root_prefix)
    }

    /// Where a root lies here: by a rule when it belongs to a location that is mapped, else in a folder of its own.
    fn destination(&self, properties: &ManifestProperties) -> Result<PathBuf> {
        if properties.file_system_location_name.is_some() {
            let format = Host::parse(&properties.root_path_format)?;
            if let Some(mapped) = Mapping::new(&self.rules)?.apply(&properties.root_path, format) {
                return normalize(&mapped.folder.join(mapped.relative));
            }
        }
        Ok(normalize(&self.folder)?.join(format!("assetroot-{}", shake_hex(&properties.root_path))))
    }
}

/// 20 hexadecimal digits of SHAKE256, by which the official worker names a root's folder too.
fn shake_hex(text: &str) -> String {
    let mut shake = Shake256::default();
    shake.update(text.as_bytes());
    let mut digest = [0; 10];
    shake.finalize_xof().read(&mut digest);
    hex::encode(digest)
}

/// The key of a root in a snapshot.
fn root_key(properties: &ManifestProperties) -> String {
    format!("{}\n{}", properties.file_system_location_name.as_deref().unwrap_or_default(), properties.root_path)
}

/// Brings the job's inputs, and the outputs of the steps that a step depends on, into the session's folder.
///
/// A file that a former sync of this session brought is left as it is now, even when a task has changed it since.
///
/// # Errors
/// `Attachments` when a manifest is not the recorded one or leads out of its root, an object is missing or damaged, or
/// the disk is full; `Canceled`.
pub fn sync_inputs(
    session: &Session,
    step_dependencies: &[String],
    on_progress: OnProgress<'_>,
    token: &CancellationToken,
) -> Result<SyncedInputs> {
    let store = session.store()?;
    block_on(async {
        let search = Tracker::new(Status::DownloadInProgress, 0, 0, None, token);
        let manifests = stoppable(wanted(session, &store, step_dependencies), &search).await?;
        let mut snapshot = session.snapshot.clone();
        let mut rules = Vec::new();
        let mut plan = Vec::new();
        let mut keys = Vec::new();
        for (properties, manifest) in session.attachments.manifests.iter().zip(manifests) {
            let destination = session.destination(properties)?;
            rules.push(PathMappingRule {
                source_path_format: properties.root_path_format.to_ascii_uppercase(),
                source_path: properties.root_path.clone(),
                destination_path: destination.display().to_string(),
            });
            let key = root_key(properties);
            let synced = snapshot.roots.entry(key.clone()).or_default();
            let fresh = |entry: &&Entry| synced.get(&entry.path).is_none_or(|file| file.hash != entry.hash);
            plan.push((destination, Manifest::new(manifest.entries().iter().filter(fresh).cloned().collect())));
            keys.push(key);
        }
        let files = plan.iter().map(|(_, manifest)| manifest.entries().len() as u64).sum();
        let bytes = plan.iter().map(|(_, manifest)| manifest.total_size()).sum();
        let tracker = Tracker::new(Status::DownloadInProgress, files, bytes, on_progress, token);
        let placed = stoppable(fetch(&store, &plan, Conflict::Overwrite, &tracker), &tracker).await?;
        for file in placed {
            let metadata = file.path.metadata().map_err(|err| unreadable(&file.path, &err))?;
            let modified = metadata.modified().map_err(|err| unreadable(&file.path, &err))?;
            let (hash, size) = (file.entry.hash, file.entry.size);
            let synced = SyncedFile { hash, size, mtime: nanoseconds(modified) };
            snapshot.roots.entry(keys[file.root].clone()).or_default().insert(file.entry.path, synced);
        }
        Ok(SyncedInputs { path_mapping_rules: rules, statistics: tracker.finish()?, snapshot })
    })
}

fn nanoseconds(time: SystemTime) -> i64 {
    match time.duration_since(UNIX_EPOCH) {
        Ok(since) => i64::try_from(since.as_nanos()).unwrap_or(i64::MAX),
        Err(before) => -i64::try_from(before.duration().as_nanos()).unwrap_or(i64::MAX),
    }
}

/// One manifest per root of the job: its inputs, overlaid by the outputs of the steps it depends on.
async fn wanted(session: &Session, store: &Store, step_dependencies: &[String]) -> Result<Vec<Manifest>> {
    let mut outputs = Vec::new();
    for step_id in step_dependencies {
        let scope = Scope {
            farm_id: session.farm_id.clone(),
            queue_id: session.queue_id.clone(),
            job_id: session.job_id.clone(),
            step_id: Some(step_id.clone()),
            task_id: None,
        };
        outputs.extend(output_manifests(store, &scope).await?);
    }
    let mut manifests = Vec::with_capacity(session.attachments.manifests.len());
    for properties in &session.attachments.manifests {
        let mut layers = Vec::new();
        if let Some(path) = &properties.input_manifest_path {
            let key = store.manifest_key(path);
            let got = store.bucket.get_whole(&key).await;
            let bytes = got.map_err(|fault| store.bucket.explain("download the manifest", &key, &fault))?.bytes;
            let source = format!("s3://{}/{key}", store.bucket.name());
            if properties.input_manifest_hash.as_ref().is_some_and(|hash| *hash != hash_bytes(&bytes)) {
                return Err(CoreError::Attachments(format!(
                    "The manifest {source} is not the one that was submitted: its hash differs. Submit the job again."
                )));
            }
            layers.push(Manifest::decode(&bytes, &source)?);
        }
        let own = |output: &&super::outputs::ReadManifest| {
            // A name that is not ASCII cannot be told beside the manifest.
            let location = properties.file_system_location_name.as_deref().filter(|name| name.is_ascii());
            output.root.as_deref() == Some(&properties.root_path)
                && output.location_name.as_deref().unwrap_or_default() == location.unwrap_or_default()
        };
        layers.extend(outputs.iter().filter(own).map(|output| output.manifest.clone()));
        manifests.push(Manifest::merge(layers));
    }
    Ok(manifests)
}

/// The run whose outputs are stored.
#[derive(Debug, Clone)]
pub struct Run {
    /// The step.
    pub step_id: String,
    /// The task; none for a chunk of several tasks.
    pub task_id: Option<String>,
    /// The session action.
    pub session_action_id: String,
    /// When it started, seconds since 1970.
    pub started_at: f64,
}

/// What [`sync_outputs`] did.
#[derive(Debug, Clone, Serialize)]
pub struct SyncedOutputs {
    /// In the order of the job's manifests.
    pub manifests: Vec<StoredManifest>,
    /// Objects that were there count as skipped.
    pub statistics: Statistics,
    /// For the next sync: what was stored is not stored again.
    pub snapshot: Snapshot,
}

/// An output manifest as it is recorded; empty where a root had no new files.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct StoredManifest {
    /// Below `<root prefix>/Manifests/`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub output_manifest_path: Option<String>,
    /// Hash of the manifest's bytes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub output_manifest_hash: Option<String>,
}

struct RootOutputs {
    folder: PathBuf,
    manifest: Manifest,
}

/// Stores what is new or changed in the output folders of every root: objects first, then a manifest per root.
///
/// # Errors
/// `Attachments` when a file cannot be read, the store cannot be reached, refuses, or is full; `Canceled`.
pub fn sync_outputs(
    session: &Session,
    run: &Run,
    on_progress: OnProgress<'_>,
    token: &CancellationToken,
) -> Result<SyncedOutputs> {
    let store = session.store()?;
    let mut snapshot = session.snapshot.clone();
    let mut roots = Vec::with_capacity(session.attachments.manifests.len());
    for properties in &session.attachments.manifests {
        let folder = session.destination(properties)?;
        let synced = snapshot.roots.entry(root_key(properties)).or_default();
        let found = new_files(properties, &folder, synced, token)?;
        let paths: Vec<&Path> = found.iter().map(|(path, _)| path.as_path()).collect();
        // Without a cache: these paths never come again.
        let quiet = Tracker::new(Status::PreparingInProgress, paths.len() as u64, 0, None, token);
        let hashes = hash_files(&paths, None, &quiet)?;
        let mut entries = Vec::with_capacity(found.len());
        for ((path, mtime), hashed) in found.iter().zip(hashes) {
            let relative = relative_text(path, &folder, '/')?;
            let file = SyncedFile { hash: hashed.hash.clone(), size: hashed.size, mtime: *mtime };
            synced.insert(relative.clone(), file);
            entries.push(Entry { path: relative, hash: hashed.hash, size: hashed.size, mtime: hashed.mtime });
        }
        roots.push(RootOutputs { folder, manifest: Manifest::new(entries) });
    }
    let sources: Vec<Source<'_>> =
        roots.iter().map(|root| Source { root: &root.folder, manifest: &root.manifest }).collect();
    let tracker = tracker_for(&sources, on_progress, token);
    let place = run_folder(session, run)?;
    block_on(async {
        let work = async {
            store.upload_objects(&sources, None, false, &tracker).await?;
            let mut stored = Vec::with_capacity(roots.len());
            for (properties, root) in session.attachments.manifests.iter().zip(&roots) {
                stored.push(store_manifest(&store, &place, properties, &root.manifest).await?);
            }
            Ok(stored)
        };
        let manifests = stoppable(work, &tracker).await?;
        Ok(SyncedOutputs { manifests, statistics: tracker.finish()?, snapshot })
    })
}

/// Where the manifests of a run lie below `Manifests/`.
fn run_folder(session: &Session, run: &Run) -> Result<String> {
    let started = UNIX_EPOCH + Duration::try_from_secs_f64(run.started_at).unwrap_or_default();
    let started = DateTime::<Utc>::from_timestamp_micros(microseconds(started)).ok_or_else(|| {
        CoreError::Attachments(format!("The start time {} of the action is not usable.", run.started_at))
    })?;
    let started = started.format("%Y-%m-%dT%H:%M:%S%.6fZ");
    let task = run.task_id.as_ref().map(|task| format!("{task}/")).unwrap_or_default();
    Ok(format!(
        "{}/{}/{}/{}/{task}{started}_{}",
        session.farm_id, session.queue_id, session.job_id, run.step_id, run.session_action_id
    ))
}

async fn store_manifest(
    store: &Store,
    place: &str,
    properties: &ManifestProperties,
    manifest: &Manifest,
) -> Result<StoredManifest> {
    if manifest.is_empty() {
        return Ok(StoredManifest::default());
    }
    let location = properties.file_system_location_name.as_deref().unwrap_or_default();
    let name = hash_bytes(format!("{location}{}", properties.root_path).as_bytes());
    let path = format!("{place}/{name}_output");
    let metadata = metadata_of(&properties.root_path, location);
    let bytes = manifest.encode();
    let hash = hash_bytes(&bytes);
    store.put_manifest(&store.manifest_key(&path), bytes, &metadata).await?;
    Ok(StoredManifest { output_manifest_path: Some(path), output_manifest_hash: Some(hash) })
}

/// Files of the output folders that were not synced, or were changed since; with their times in nanoseconds.
fn new_files(
    properties: &ManifestProperties,
    root: &Path,
    synced: &BTreeMap<String, SyncedFile>,
    token: &CancellationToken,
) -> Result<Vec<(PathBuf, i64)>> {
    let mut found = BTreeMap::new();
    let Ok(canonical_root) = root.canonicalize() else { return Ok(Vec::new()) };
    for relative in &properties.output_relative_directories {
        let folder = output_folder(properties, root, relative)?;
        // A task may have replaced the folder by a link: what lies elsewhere is not an output.
        let Ok(canonical) = folder.canonicalize() else { continue };
        if !canonical.starts_with(&canonical_root) {
            log::warn!("The output folder {} leads out of its root and is left out", folder.display());
            continue;
        }
        for entry in WalkDir::new(&folder).sort_by_file_name() {
            if token.is_cancelled() {
                return Err(CoreError::Canceled(format!("Looking for outputs in {} was canceled.", folder.display())));
            }
            let entry = entry.map_err(|err| {
                let path = err.path().unwrap_or(&folder).to_path_buf();
                unreadable(&path, &err.into_io_error().unwrap_or_else(|| std::io::Error::other("a loop of links")))
            })?;
            let path = entry.path();
            if entry.file_type().is_dir() {
                continue;
            }
            // A link counts when what it shows lies in the session: renderers link "latest" to a frame.
            if entry.file_type().is_symlink()
                && !path.canonicalize().is_ok_and(|target| target.starts_with(&canonical_root))
            {
                log::warn!("The output {} is a link that leads out of its root and is left out", path.display());
                continue;
            }
            let metadata = path.metadata().map_err(|err| unreadable(path, &err))?;
            if !metadata.is_file() {
                continue;
            }
            let mtime = nanoseconds(metadata.modified().map_err(|err| unreadable(path, &err))?);
            let known = synced.get(&relative_text(path, root, '/')?);
            // Programs that keep the time of a file they rewrite are found by its size.
            if known.is_none_or(|file| file.mtime != mtime || file.size != metadata.len()) {
                found.insert(path.to_path_buf(), mtime);
            }
        }
    }
    Ok(found.into_iter().collect())
}

/// An output folder of the submitting machine on this one.
fn output_folder(properties: &ManifestProperties, root: &Path, relative: &str) -> Result<PathBuf> {
    let windows = properties.root_path_format.eq_ignore_ascii_case("windows");
    let relative = if windows { relative.replace('\\', "/") } else { relative.to_owned() };
    let relative = relative.trim_end_matches('/');
    if relative.is_empty() || relative == "." {
        return Ok(root.to_path_buf());
    }
    check_relative(relative, Host::current())
        .map_err(|what| CoreError::Attachments(format!("An output directory of the job is not usable: {what}.")))?;
    Ok(root.join(relative))
}
