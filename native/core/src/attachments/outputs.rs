//! The outputs of a job, step or task, found by their manifests in the store.
//!
//! A task's folder holds one folder per run, named by its start; the last one counts. Chunked steps have no task in
//! their keys: all their runs count, in the order of their starts, so that a later run of a frame wins.

use std::collections::BTreeMap;
use std::path::PathBuf;

use futures_util::{StreamExt as _, TryStreamExt as _};
use tokio_util::sync::CancellationToken;

use super::by_manifest::Place;
use super::download::{Conflict, fetch};
use super::manifest::{Entry, Manifest};
use super::mapping::PathMappingRule;
use super::progress::{OnProgress, Statistics, Status, Tracker};
use super::s3::S3Access;
use super::store::Store;
use super::upload::stoppable;
use super::{block_on, paths::normalize};
use crate::{CoreError, Result};

/// Manifests that are fetched at once.
pub(super) const PARALLEL: usize = 10;

/// Whose outputs are asked for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Scope {
    /// Farm of the job.
    pub farm_id: String,
    /// Queue of the job.
    pub queue_id: String,
    /// The job.
    pub job_id: String,
    /// One step of it.
    pub step_id: Option<String>,
    /// One task of that step.
    pub task_id: Option<String>,
}

/// Where outputs come from and go to.
#[derive(Debug, Clone)]
pub struct OutputRequest {
    /// The object store.
    pub access: S3Access,
    /// `s3BucketName` of the queue.
    pub bucket: String,
    /// `rootPrefix` of the queue.
    pub root_prefix: String,
    /// Whose outputs.
    pub scope: Scope,
    /// Original root → local folder; a root that is not in it is used as it is.
    pub root_map: BTreeMap<String, PathBuf>,
    /// Rules for the paths of files below other roots; what none is for is not downloaded.
    pub rules: Option<Vec<PathMappingRule>>,
    /// What to do with files that are there and differ.
    pub conflict: Conflict,
}

/// What a download did.
#[derive(Debug, Clone, Default, serde::Serialize)]
pub struct Downloaded {
    /// Files that were in place count as skipped.
    pub statistics: Statistics,
    /// Every file that lies in place now, sorted; not those that were kept instead.
    pub files: Vec<PathBuf>,
    /// Files per local root.
    pub file_counts_by_root_directory: BTreeMap<String, u64>,
    /// Paths of the other machine that no rule is for, sorted.
    pub unmapped: Vec<String>,
}

/// Downloads the outputs of a job, step or task.
///
/// # Errors
/// `Attachments` when the store cannot be reached, a manifest is not usable or leads out of its root, an object is
/// damaged or missing, the disk is full, or a root is no folder of this machine; `Canceled`.
pub fn download(request: &OutputRequest, on_progress: OnProgress<'_>, token: &CancellationToken) -> Result<Downloaded> {
    let store = Store::new(&request.access, &request.bucket, &request.root_prefix)?;
    block_on(async {
        let search = Tracker::new(Status::DownloadInProgress, 0, 0, None, token);
        let manifests = stoppable(output_manifests(&store, &request.scope), &search).await?;
        let (plan, unmapped) = by_destination(manifests, request)?;
        let files = plan.iter().map(|(_, manifest)| manifest.entries().len() as u64).sum();
        let bytes = plan.iter().map(|(_, manifest)| manifest.total_size()).sum();
        let tracker = Tracker::new(Status::DownloadInProgress, files, bytes, on_progress, token);
        let placed = stoppable(fetch(&store, &plan, request.conflict, &tracker), &tracker).await?;
        let mut downloaded = Downloaded { statistics: tracker.finish()?, unmapped, ..Downloaded::default() };
        for file in placed {
            let root = plan[file.root].0.display().to_string();
            *downloaded.file_counts_by_root_directory.entry(root).or_default() += 1;
            downloaded.files.push(file.path);
        }
        downloaded.files.sort();
        Ok(downloaded)
    })
}

/// A manifest of the store and what was written beside it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReadManifest {
    /// Below `<root prefix>/Manifests/`.
    pub path: String,
    /// Which root it is for; manifests of inputs do not say.
    pub root: Option<String>,
    /// The location of the storage profile that the root lies in.
    pub location_name: Option<String>,
    /// When it was stored, seconds since 1970; 0 when the store does not say.
    pub last_modified: i64,
    /// The files.
    pub manifest: Manifest,
}

impl ReadManifest {
    /// A manifest that is in no store: older than all that are.
    pub(super) fn given(manifest: Manifest) -> Self {
        Self { path: String::new(), root: None, location_name: None, last_modified: 0, manifest }
    }

    /// Orders manifests by when they were stored. The store counts in seconds; within one, the start of the run decides,
    /// which is in the path.
    pub(super) fn age(&self) -> (i64, String) {
        let run = self.path.rsplit('/').nth(1).unwrap_or_default();
        (self.last_modified, run.to_owned())
    }
}

/// Which manifests of the store are read.
#[derive(Debug, Clone)]
pub enum Selection {
    /// The outputs of a job, step or task.
    Outputs(Scope),
    /// Those at these paths below `<root prefix>/Manifests/`, in this order.
    Paths(Vec<String>),
}

/// The paths of all output manifests of a job, step or task, below `<root prefix>/Manifests/`: those of every run.
///
/// # Errors
/// `Attachments` when the store cannot be reached; `Canceled`.
pub fn list_manifests(
    access: &S3Access,
    bucket: &str,
    root_prefix: &str,
    scope: &Scope,
    token: &CancellationToken,
) -> Result<Vec<String>> {
    let store = Store::new(access, bucket, root_prefix)?;
    let prefix = folder_of(&store, scope)?;
    let search = Tracker::new(Status::DownloadInProgress, 0, 0, None, token);
    let list = async {
        let listed = store.bucket.list(&prefix, None).await;
        listed.map_err(|fault| store.bucket.explain("list", &prefix, &fault))
    };
    let (keys, _) = block_on(stoppable(list, &search))?;
    let top = store.manifest_key("");
    let is_output = |path: &&str| path.rsplit('/').next().is_some_and(|name| name.contains("output"));
    Ok(keys.iter().filter_map(|key| key.strip_prefix(&top)).filter(is_output).map(str::to_owned).collect())
}

/// The prefix of the manifests of a job, step or task.
fn folder_of(store: &Store, scope: &Scope) -> Result<String> {
    let job = store.manifest_key(&format!("{}/{}/{}/", scope.farm_id, scope.queue_id, scope.job_id));
    match (&scope.step_id, &scope.task_id) {
        (Some(step), Some(task)) => Ok(format!("{job}{step}/{task}/")),
        (Some(step), None) => Ok(format!("{job}{step}/")),
        (None, None) => Ok(job),
        (None, Some(task)) => {
            Err(CoreError::Attachments(format!("The task {task} was named without its step. Name both.")))
        }
    }
}

/// Reads manifests and none of their objects.
///
/// # Errors
/// `Attachments` when the store cannot be reached, or a manifest is missing or not usable; `Canceled`.
pub fn read_manifests(
    access: &S3Access,
    bucket: &str,
    root_prefix: &str,
    selection: &Selection,
    token: &CancellationToken,
) -> Result<Vec<ReadManifest>> {
    let store = Store::new(access, bucket, root_prefix)?;
    let search = Tracker::new(Status::DownloadInProgress, 0, 0, None, token);
    block_on(async {
        match selection {
            Selection::Outputs(scope) => stoppable(output_manifests(&store, scope), &search).await,
            Selection::Paths(paths) => {
                let reads = paths.iter().map(|path| read_stored(&store, path));
                let all = futures_util::stream::iter(reads).buffered(PARALLEL).try_collect();
                stoppable(all, &search).await
            }
        }
    })
}

/// One manifest of the store.
pub(super) async fn read_stored(store: &Store, path: &str) -> Result<ReadManifest> {
    let key = store.manifest_key(path);
    let whole = store.bucket.get_whole(&key).await;
    let whole = whole.map_err(|fault| store.bucket.explain("download the manifest", &key, &fault))?;
    let value = |name: &str| whole.metadata.iter().find(|(key, _)| key == name).map(|(_, value)| value.clone());
    let root = match value("asset-root-json") {
        Some(text) => serde_json::from_str(&text).ok(),
        None => value("asset-root"),
    };
    let manifest = Manifest::decode(&whole.bytes, &format!("s3://{}/{key}", store.bucket.name()))?;
    Ok(ReadManifest {
        path: path.to_owned(),
        root,
        location_name: value("file-system-location-name"),
        last_modified: whole.last_modified,
        manifest,
    })
}

/// The manifests that count, in the order of the runs that wrote them.
pub(crate) async fn output_manifests(store: &Store, scope: &Scope) -> Result<Vec<ReadManifest>> {
    let job = store.manifest_key(&format!("{}/{}/{}/", scope.farm_id, scope.queue_id, scope.job_id));
    let prefix = folder_of(store, scope)?;
    let listed = store.bucket.list(&prefix, None).await;
    let (keys, _) = listed.map_err(|fault| store.bucket.explain("list", &prefix, &fault))?;
    let top = store.manifest_key("");
    let reads = latest(&keys, &job).into_iter().map(|key| {
        let path = key.strip_prefix(&top).unwrap_or(&key).to_owned();
        async move {
            let read = read_stored(store, &path).await?;
            if read.root.is_none() {
                return Err(CoreError::Attachments(format!(
                    "The manifest s3://{}/{key} does not say which root it is for (asset-root).",
                    store.bucket.name()
                )));
            }
            Ok::<_, CoreError>(read)
        }
    });
    futures_util::stream::iter(reads).buffered(PARALLEL).try_collect().await
}

/// Of all keys below a job those of the last run of each task, and all of chunked steps; by the start of the runs.
fn latest(keys: &[String], job: &str) -> Vec<String> {
    let mut tasks: BTreeMap<(&str, &str), (&str, Vec<&String>)> = BTreeMap::new();
    let mut chosen: Vec<(&str, &String)> = Vec::new();
    for key in keys {
        let Some(rest) = key.strip_prefix(job) else { continue };
        let parts: Vec<&str> = rest.split('/').collect();
        match parts[..] {
            [step, task, run, name] if name.contains("output") => {
                let (newest, names) = tasks.entry((step, task)).or_insert((run, Vec::new()));
                if run > *newest {
                    *newest = run;
                    names.clear();
                }
                if run == *newest {
                    names.push(key);
                }
            }
            [_, run, name] if name.contains("output") => chosen.push((run, key)),
            _ => {}
        }
    }
    for (run, names) in tasks.into_values() {
        chosen.extend(names.into_iter().map(|key| (run, key)));
    }
    chosen.sort();
    chosen.into_iter().map(|(_, key)| key.clone()).collect()
}

/// A manifest for each local folder.
type Roots = Vec<(PathBuf, Manifest)>;

/// One manifest per local folder. Files of two roots that meet in one folder under one name are kept apart by the
/// name of their root. Also gives the paths that rules leave without a place.
fn by_destination(manifests: Vec<ReadManifest>, request: &OutputRequest) -> Result<(Roots, Vec<String>)> {
    let mut by_root: BTreeMap<String, Vec<Manifest>> = BTreeMap::new();
    for item in manifests {
        by_root.entry(item.root.unwrap_or_default()).or_default().push(item.manifest);
    }
    // The outputs of a job come from one machine, whose format its rules name.
    let format = request.rules.as_ref().and_then(|rules| rules.first()).map(|rule| rule.source_path_format.as_str());
    let mut plan: BTreeMap<PathBuf, BTreeMap<String, Entry>> = BTreeMap::new();
    let mut unmapped = Vec::new();
    for (root, manifests) in by_root {
        let place = match request.root_map.get(&root) {
            Some(local) => Place::Folder(normalize(local)?),
            None => Place::of(request.rules.as_deref(), &root, format)?,
        };
        for entry in Manifest::merge(manifests).entries() {
            let (local, mut entry) = match place.file(entry)? {
                Ok(found) => found,
                Err(path) => {
                    unmapped.push(path);
                    continue;
                }
            };
            let files = plan.entry(local).or_default();
            if files.contains_key(&entry.path) {
                let (folder, name) = entry.path.rsplit_once('/').map_or(("", entry.path.as_str()), |split| split);
                let mark = root.replace(['/', '\\', ':'], "_");
                let slash = if folder.is_empty() { "" } else { "/" };
                entry.path = format!("{folder}{slash}{mark}_{name}");
            }
            files.insert(entry.path.clone(), entry);
        }
    }
    unmapped.sort();
    let plan = plan.into_iter().map(|(root, files)| (root, Manifest::new(files.into_values().collect()))).collect();
    Ok((plan, unmapped))
}
