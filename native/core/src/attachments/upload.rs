//! From files to a job's attachments: hash, upload what is missing, record the manifests.
//!
//! Objects are named by their content, so an upload that was ended in the middle goes on where it was: the next one
//! finds what is there and sends the rest. Objects come first and a manifest last, so that no manifest in the store
//! names an object that was never sent.

use std::fs::File;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use super::block_on;
use super::grouping::{Group, Prepared, References, prepare};
use super::hash::{hash_bytes, hash_files};
use super::manifest::{Entry, Manifest, ascii_json};
use super::paths::{Host, check_relative, disk_fault, normalize, relative_text};
use super::progress::{OnProgress, Statistics, Status, Tracker};
use super::s3::S3Access;
use super::store::{Source, Store, tracker_for};
use crate::{CoreError, Result};

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
    /// Prefix of the objects where it is not `<root prefix>/Data`.
    pub data_prefix: Option<String>,
    /// The farm of the job.
    pub farm_id: String,
    /// The queue of the job.
    pub queue_id: String,
}

impl Destination {
    fn store(&self) -> Result<Store> {
        Ok(Store::new(&self.access, &self.bucket, &self.root_prefix)?.with_data(self.data_prefix.as_deref()))
    }
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

/// Where the manifests of one submission go, below `Manifests`.
pub(super) fn inputs_folder(farm_id: &str, queue_id: &str) -> String {
    format!("{farm_id}/{queue_id}/Inputs/{}", uuid::Uuid::new_v4().simple())
}

/// The manifest of a group's input files.
pub(super) struct InputManifest {
    /// As it is recorded: the folder and the name.
    pub(super) path: String,
    pub(super) name: String,
    pub(super) bytes: Vec<u8>,
}

/// A group as CreateJob takes it.
pub(super) struct Described {
    pub(super) properties: Value,
    pub(super) manifest: Option<InputManifest>,
}

pub(super) fn describe(group: &HashedGroup, folder: &str) -> Described {
    let root = group.root.to_string_lossy();
    let mut properties = json!({"rootPath": root, "rootPathFormat": Host::current().path_format()});
    if let Some(name) = &group.location_name {
        properties["fileSystemLocationName"] = json!(name);
    }
    let manifest = group.manifest.as_ref().map(|manifest| {
        let name = format!("{}_input", hash_bytes(root.as_bytes()));
        let path = format!("{folder}/{name}");
        let bytes = manifest.encode();
        properties["inputManifestHash"] = json!(hash_bytes(&bytes));
        properties["inputManifestPath"] = json!(path);
        InputManifest { path, name, bytes }
    });
    if !group.output_relative_directories.is_empty() {
        properties["outputRelativeDirectories"] = json!(group.output_relative_directories);
    }
    Described { properties, manifest }
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
    let store = destination.store()?;
    let tracker = tracker_for(&sources, on_progress, token);
    let folder = inputs_folder(&destination.farm_id, &destination.queue_id);
    block_on(async {
        let mut manifests = Vec::with_capacity(hashed.groups.len());
        let work = async {
            store.upload_objects(&sources, options.cache_dir, options.force_s3_check, &tracker).await?;
            for group in &hashed.groups {
                let described = describe(group, &folder);
                if let Some(InputManifest { path, name, bytes }) = described.manifest {
                    let key = store.manifest_key(&path);
                    if let Some(folder) = options.manifest_write_dir {
                        keep_manifest(folder, &name, &key, &bytes)?;
                    }
                    store.put_manifest(&key, bytes, &[]).await?;
                }
                manifests.push(described.properties);
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
        Some(paths) => {
            References { input_files: paths.iter().map(|path| root.join(path)).collect(), ..References::default() }
        }
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
    let store = destination.store()?;
    let sources = [Source { root, manifest }];
    let tracker = tracker_for(&sources, on_progress, token);
    block_on(async {
        let work = store.upload_objects(&sources, options.cache_dir, options.force_s3_check, &tracker);
        stoppable(work, &tracker).await?;
        tracker.finish()
    })
}

/// The user metadata that says which root a manifest is for: ASCII, other roots as JSON.
pub(crate) fn metadata_of(root: &str, location: &str) -> Vec<(String, String)> {
    let mut metadata = Vec::new();
    if root.is_ascii() {
        metadata.push(("asset-root".to_owned(), root.to_owned()));
    } else {
        let text = ascii_json(root);
        metadata.push(("asset-root".to_owned(), text.clone()));
        metadata.push(("asset-root-json".to_owned(), text));
    }
    if !location.is_empty() && location.is_ascii() {
        metadata.push(("file-system-location-name".to_owned(), location.to_owned()));
    }
    metadata
}

/// Stores one manifest, and none of its objects, at `path` below `Manifests`; gives the hash of its bytes.
///
/// With a root, it is told beside the manifest, as it is beside those of outputs.
///
/// # Errors
/// `Attachments` when the path is not usable, or the store cannot be reached, refuses, or is full; `Canceled`.
pub fn upload_manifest(
    manifest: &Manifest,
    path: &str,
    root: Option<(&str, &str)>,
    destination: &Destination,
    token: &CancellationToken,
) -> Result<String> {
    check_relative(path, Host::Posix)
        .map_err(|what| CoreError::Attachments(format!("The manifest cannot be stored: {what}.")))?;
    let store = destination.store()?;
    let bytes = manifest.encode();
    let hash = hash_bytes(&bytes);
    let metadata = root.map(|(root, location)| metadata_of(root, location)).unwrap_or_default();
    let tracker = Tracker::new(Status::UploadInProgress, 1, bytes.len() as u64, None, token);
    block_on(stoppable(store.put_manifest(&store.manifest_key(path), bytes, &metadata), &tracker))?;
    Ok(hash)
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
