//! Downloads what chosen manifests name: those that a caller holds, and those of the store that it knows the paths of.
//!
//! The outputs of many jobs come in one call. Where several manifests name the same file of this machine, the manifest
//! that was stored last has it. Each group (a job) stands for itself: what fails in one is told, and the others go on.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use futures_util::StreamExt as _;
use tokio_util::sync::CancellationToken;

use super::block_on;
use super::download::{Conflict, fetch};
use super::manifest::{Entry, Manifest};
use super::mapping::{Mapping, PathMappingRule, source_path};
use super::outputs::{PARALLEL, ReadManifest, read_stored};
use super::paths::{Host, check_relative, normalize};
use super::progress::{OnProgress, Statistics, Status, Tracker};
use super::s3::S3Access;
use super::store::Store;
use super::upload::stoppable;
use crate::{CoreError, Result};

/// Where a manifest is.
#[derive(Debug, Clone)]
pub enum Source {
    /// In the store, below `<root prefix>/Manifests/`.
    Stored(String),
    /// Its bytes.
    Given(Vec<u8>),
}

/// A manifest and where its files go.
#[derive(Debug, Clone)]
pub struct Wanted {
    /// What fails and succeeds together; a job's id, or nothing.
    pub group: String,
    /// The manifest.
    pub source: Source,
    /// Where the files lay on the machine that wrote them.
    pub root_path: String,
    /// `posix` or `windows`; without it, that of this machine.
    pub root_path_format: Option<String>,
    /// Rules for the files' paths: what none is for is not downloaded. Without rules the files go to `root_path`.
    pub rules: Option<Vec<PathMappingRule>>,
}

/// Which manifests, from where, and how.
#[derive(Debug, Clone)]
pub struct ManifestRequest {
    /// The object store.
    pub access: S3Access,
    /// `s3BucketName` of the queue.
    pub bucket: String,
    /// `rootPrefix` of the queue.
    pub root_prefix: String,
    /// Prefix of the objects where it is not `<root prefix>/Data`.
    pub data_prefix: Option<String>,
    /// The manifests.
    pub manifests: Vec<Wanted>,
    /// What to do with files that are there and differ.
    pub conflict: Conflict,
    /// Only say what would be downloaded.
    pub dry_run: bool,
}

/// What became of one group.
#[derive(Debug, Clone, Default, PartialEq, Eq, serde::Serialize)]
pub struct Outcome {
    /// Files that are this group's to bring.
    pub total_files: u64,
    /// Their bytes.
    pub total_bytes: u64,
    /// Files that lie in place now.
    pub files: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Why it failed.
    pub error: Option<String>,
    /// Paths of the other machine that no rule is for.
    pub unmapped: Vec<String>,
}

/// What [`download`] did.
#[derive(Debug, Clone, Default, serde::Serialize)]
pub struct DownloadedManifests {
    /// Files that were in place count as skipped.
    pub statistics: Statistics,
    /// Every file that lies in place now, sorted; with `dry_run` those that would.
    pub files: Vec<PathBuf>,
    /// Files per local root.
    pub file_counts_by_root_directory: BTreeMap<String, u64>,
    /// By group.
    pub groups: BTreeMap<String, Outcome>,
}

/// One file of this machine and who brings it.
struct Owned {
    group: String,
    root: PathBuf,
    entry: Entry,
}

/// Downloads the files of manifests.
///
/// # Errors
/// `Attachments` when the store cannot be made use of at all or a rule is not usable; `Canceled`. What fails in one group
/// is in its outcome.
pub fn download(
    request: &ManifestRequest,
    on_progress: OnProgress<'_>,
    token: &CancellationToken,
) -> Result<DownloadedManifests> {
    let store =
        Store::new(&request.access, &request.bucket, &request.root_prefix)?.with_data(request.data_prefix.as_deref());
    block_on(async {
        let search = Tracker::new(Status::DownloadInProgress, 0, 0, None, token);
        let mut done = DownloadedManifests::default();
        let manifests = stoppable(collect(&store, &request.manifests, &mut done.groups), &search).await?;
        let plans = plan(manifests, &mut done.groups)?;
        let total_files = done.groups.values().map(|group| group.total_files).sum();
        let total_bytes = done.groups.values().map(|group| group.total_bytes).sum();
        let tracker = Tracker::new(Status::DownloadInProgress, total_files, total_bytes, on_progress, token);
        for (group, roots) in plans {
            let outcome = done.groups.entry(group).or_default();
            let placed: Vec<(usize, PathBuf, u64)> = if request.dry_run {
                let paths = |(index, (root, manifest)): (usize, &(PathBuf, Manifest))| {
                    let path = |entry: &Entry| (index, root.join(&entry.path), entry.size);
                    manifest.entries().iter().map(path).collect::<Vec<_>>()
                };
                roots.iter().enumerate().flat_map(paths).collect()
            } else {
                match stoppable(fetch(&store, &roots, request.conflict, &tracker), &tracker).await {
                    Ok(placed) => placed.into_iter().map(|file| (file.root, file.path, file.entry.size)).collect(),
                    Err(err @ CoreError::Canceled(_)) => return Err(err),
                    Err(err) => {
                        outcome.error = Some(err.to_string());
                        continue;
                    }
                }
            };
            for (root, path, size) in placed {
                outcome.files += 1;
                outcome.bytes += size;
                let root = roots[root].0.display().to_string();
                *done.file_counts_by_root_directory.entry(root).or_default() += 1;
                done.files.push(path);
            }
        }
        done.files.sort();
        done.statistics = if request.dry_run {
            Statistics { total_files, total_bytes, ..Statistics::default() }
        } else {
            tracker.finish()?
        };
        Ok(done)
    })
}

/// All manifests that can be had, the oldest first. A group whose manifest cannot be had has failed.
async fn collect<'w>(
    store: &Store,
    wanted: &'w [Wanted],
    groups: &mut BTreeMap<String, Outcome>,
) -> Result<Vec<(&'w Wanted, Manifest)>> {
    let reads = wanted.iter().map(|item| async move {
        let stored = match &item.source {
            Source::Stored(path) => read_stored(store, path).await,
            Source::Given(bytes) => {
                Manifest::decode(bytes, &format!("for {}", item.root_path)).map(ReadManifest::given)
            }
        };
        (item, stored)
    });
    let read: Vec<_> = futures_util::stream::iter(reads).buffered(PARALLEL).collect().await;
    let mut found = Vec::with_capacity(read.len());
    for (item, stored) in read {
        let outcome = groups.entry(item.group.clone()).or_default();
        match stored {
            Ok(stored) => found.push((item, stored)),
            Err(err) => {
                outcome.error.get_or_insert(err.to_string());
            }
        }
    }
    found.sort_by_key(|(_, stored)| stored.age());
    Ok(found.into_iter().map(|(item, stored)| (item, stored.manifest)).collect())
}

type Plan = BTreeMap<String, Vec<(PathBuf, Manifest)>>;

/// Who brings which file to where. Groups that have failed bring nothing.
fn plan(manifests: Vec<(&Wanted, Manifest)>, groups: &mut BTreeMap<String, Outcome>) -> Result<Plan> {
    let mut owned: BTreeMap<PathBuf, Owned> = BTreeMap::new();
    for (wanted, manifest) in manifests {
        let outcome = groups.entry(wanted.group.clone()).or_default();
        if outcome.error.is_some() {
            continue;
        }
        let place = match Place::of(wanted.rules.as_deref(), &wanted.root_path, wanted.root_path_format.as_deref()) {
            Ok(place) => place,
            Err(err) => {
                outcome.error = Some(err.to_string());
                continue;
            }
        };
        for entry in manifest.entries() {
            match place.file(entry)? {
                Ok((root, entry)) => {
                    let key = folded(&root.join(&entry.path));
                    owned.insert(key, Owned { group: wanted.group.clone(), root, entry });
                }
                Err(path) => outcome.unmapped.push(path),
            }
        }
    }
    let mut plans: BTreeMap<String, BTreeMap<PathBuf, Vec<Entry>>> = BTreeMap::new();
    for Owned { group, root, entry } in owned.into_values() {
        let outcome = groups.entry(group.clone()).or_default();
        if outcome.error.is_none() {
            outcome.total_files += 1;
            outcome.total_bytes += entry.size;
            plans.entry(group).or_default().entry(root).or_default().push(entry);
        }
    }
    let manifests = |roots: BTreeMap<PathBuf, Vec<Entry>>| {
        roots.into_iter().map(|(root, entries)| (root, Manifest::new(entries))).collect()
    };
    Ok(plans.into_iter().map(|(group, roots)| (group, manifests(roots))).collect())
}

/// The form in which paths of this machine are compared.
fn folded(path: &Path) -> PathBuf {
    if cfg!(windows) { PathBuf::from(path.to_string_lossy().to_lowercase()) } else { path.to_path_buf() }
}

/// Where the files of a root go.
pub(super) enum Place<'a> {
    /// Below one folder.
    Folder(PathBuf),
    /// Where rules say.
    Rules { mapping: Mapping, root: &'a str, format: Host },
}

impl<'a> Place<'a> {
    pub(super) fn of(rules: Option<&[PathMappingRule]>, root: &'a str, format: Option<&str>) -> Result<Self> {
        let format = format.map_or(Ok(Host::current()), Host::parse)?;
        if let Some(rules) = rules {
            return Ok(Self::Rules { mapping: Mapping::new(rules)?, root, format });
        }
        if format != Host::current() || !Path::new(root).is_absolute() {
            return Err(CoreError::Attachments(format!(
                "The outputs belong to {root}, which is no folder of this machine. Name a local folder \
                 for it (--map-root, root_map)."
            )));
        }
        Ok(Self::Folder(normalize(Path::new(root))?))
    }

    /// The root and the entry below it; or the path on the other machine, when it has no place here.
    pub(super) fn file(&self, entry: &Entry) -> Result<std::result::Result<(PathBuf, Entry), String>> {
        match self {
            Self::Folder(root) => Ok(Ok((root.clone(), entry.clone()))),
            Self::Rules { mapping, root, format } => {
                let path = source_path(root, &entry.path, *format);
                // By the rules of the machine that it comes from too: there, a backslash leads somewhere.
                if check_relative(&entry.path, *format).is_err() {
                    return Ok(Err(path));
                }
                match mapping.apply(&path, *format) {
                    Some(mapped) if !mapped.relative.is_empty() => {
                        let root = normalize(&mapped.folder)?;
                        Ok(Ok((root, Entry { path: mapped.relative, ..entry.clone() })))
                    }
                    _ => Ok(Err(path)),
                }
            }
        }
    }
}
