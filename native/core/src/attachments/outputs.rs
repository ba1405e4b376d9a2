//! The outputs of a job, step or task, found by their manifests in the store.
//!
//! A task's folder holds one folder per run, named by its start; the last one counts. Chunked steps have no task in
//! their keys: all their runs count, in the order of their starts, so that a later run of a frame wins.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use futures_util::{StreamExt as _, TryStreamExt as _};
use tokio_util::sync::CancellationToken;

use super::download::{Conflict, fetch};
use super::manifest::{Entry, Manifest};
use super::progress::{OnProgress, Statistics, Status, Tracker};
use super::s3::S3Access;
use super::store::Store;
use super::upload::stoppable;
use super::{block_on, paths::normalize};
use crate::{CoreError, Result};

/// Manifests that are fetched at once.
const PARALLEL: usize = 10;

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
        let plan = by_destination(manifests, &request.root_map)?;
        place(&store, &plan, request.conflict, on_progress, token).await
    })
}

/// Where the objects of manifests come from, and what to do with files that are there and differ.
#[derive(Debug, Clone)]
pub struct SnapshotRequest {
    /// The object store.
    pub access: S3Access,
    /// `s3BucketName` of the queue.
    pub bucket: String,
    /// `rootPrefix` of the queue.
    pub root_prefix: String,
    /// What to do with files that are there and differ.
    pub conflict: Conflict,
}

/// Downloads the files of manifests that the caller has, each below its own folder.
///
/// # Errors
/// As [`download`].
pub fn download_snapshots(
    snapshots: &[(PathBuf, Manifest)],
    request: &SnapshotRequest,
    on_progress: OnProgress<'_>,
    token: &CancellationToken,
) -> Result<Downloaded> {
    let store = Store::new(&request.access, &request.bucket, &request.root_prefix)?;
    let roots = snapshots.iter().map(|(root, manifest)| Ok((normalize(root)?, manifest.clone())));
    let plan = roots.collect::<Result<Vec<_>>>()?;
    block_on(place(&store, &plan, request.conflict, on_progress, token))
}

async fn place(
    store: &Store,
    plan: &[(PathBuf, Manifest)],
    conflict: Conflict,
    on_progress: OnProgress<'_>,
    token: &CancellationToken,
) -> Result<Downloaded> {
    let files = plan.iter().map(|(_, manifest)| manifest.entries().len() as u64).sum();
    let bytes = plan.iter().map(|(_, manifest)| manifest.total_size()).sum();
    let tracker = Tracker::new(Status::DownloadInProgress, files, bytes, on_progress, token);
    let placed = stoppable(fetch(store, plan, conflict, &tracker), &tracker).await?;
    let mut downloaded = Downloaded { statistics: tracker.finish()?, ..Downloaded::default() };
    for file in placed {
        let root = plan[file.root].0.display().to_string();
        *downloaded.file_counts_by_root_directory.entry(root).or_default() += 1;
        downloaded.files.push(file.path);
    }
    downloaded.files.sort();
    Ok(downloaded)
}

/// One output manifest and what was written beside it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct OutputManifest {
    pub(crate) root: String,
    pub(crate) location_name: Option<String>,
    pub(crate) manifest: Manifest,
}

/// The manifests that count, in the order of the runs that wrote them.
pub(crate) async fn output_manifests(store: &Store, scope: &Scope) -> Result<Vec<OutputManifest>> {
    let mut job = format!("{}/{}/{}/", scope.farm_id, scope.queue_id, scope.job_id);
    let prefix = {
        let mut prefix = job.clone();
        match (&scope.step_id, &scope.task_id) {
            (Some(step), Some(task)) => prefix.push_str(&format!("{step}/{task}/")),
            (Some(step), None) => prefix.push_str(&format!("{step}/")),
            (None, None) => {}
            (None, Some(task)) => {
                return Err(CoreError::Attachments(format!("The task {task} was named without its step. Name both.")));
            }
        }
        store.manifest_key(&prefix)
    };
    job = store.manifest_key(&job);
    let listed = store.bucket.list(&prefix, None).await;
    let (keys, _) = listed.map_err(|fault| store.bucket.explain("list", &prefix, &fault))?;
    let fetches = latest(&keys, &job).into_iter().map(|key| async move {
        let (bytes, metadata) = store
            .bucket
            .get_whole(&key)
            .await
            .map_err(|fault| store.bucket.explain("download the manifest", &key, &fault))?;
        let source = format!("s3://{}/{key}", store.bucket.name());
        let value = |name: &str| metadata.iter().find(|(key, _)| key == name).map(|(_, value)| value.clone());
        let root = match value("asset-root-json") {
            Some(text) => serde_json::from_str(&text).ok(),
            None => value("asset-root"),
        };
        let root = root.ok_or_else(|| {
            CoreError::Attachments(format!("The manifest {source} does not say which root it is for (asset-root)."))
        })?;
        let manifest = Manifest::decode(&bytes, &source)?;
        Ok::<_, CoreError>(OutputManifest { root, location_name: value("file-system-location-name"), manifest })
    });
    futures_util::stream::iter(fetches).buffered(PARALLEL).try_collect().await
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

/// One manifest per local folder. Files of two roots that meet in one folder under one name are kept apart by the
/// name of their root.
fn by_destination(
    manifests: Vec<OutputManifest>,
    root_map: &BTreeMap<String, PathBuf>,
) -> Result<Vec<(PathBuf, Manifest)>> {
    let mut by_root: BTreeMap<String, Vec<Manifest>> = BTreeMap::new();
    for item in manifests {
        by_root.entry(item.root).or_default().push(item.manifest);
    }
    let mut plan: BTreeMap<PathBuf, BTreeMap<String, Entry>> = BTreeMap::new();
    for (root, manifests) in by_root {
        let local = match root_map.get(&root) {
            Some(local) => normalize(local)?,
            None if Path::new(&root).is_absolute() => normalize(Path::new(&root))?,
            None => {
                return Err(CoreError::Attachments(format!(
                    "The outputs belong to {root}, which is no folder of this machine. Name a local folder for it."
                )));
            }
        };
        let files = plan.entry(local).or_default();
        for mut entry in Manifest::merge(manifests).entries().iter().cloned() {
            if files.contains_key(&entry.path) {
                let (folder, name) = entry.path.rsplit_once('/').map_or(("", entry.path.as_str()), |split| split);
                let mark = root.replace(['/', '\\', ':'], "_");
                let slash = if folder.is_empty() { "" } else { "/" };
                entry.path = format!("{folder}{slash}{mark}_{name}");
            }
            files.insert(entry.path.clone(), entry);
        }
    }
    Ok(plan.into_iter().map(|(root, files)| (root, Manifest::new(files.into_values().collect()))).collect())
}
