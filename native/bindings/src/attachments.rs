//! Job attachments: hash, upload, download.

use std::collections::BTreeMap;
use std::path::PathBuf;

use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict};
use pythonize::{depythonize, pythonize};
use serde::Deserialize;
use shotput_core::CoreError;
use shotput_core::attachments::download::Conflict;
use shotput_core::attachments::manifest::Manifest;
use shotput_core::attachments::outputs::{self, OutputRequest, Scope, SnapshotRequest};
use shotput_core::attachments::progress::Progress;
use shotput_core::attachments::s3::S3Access;
use shotput_core::attachments::sync::{self, Attachments, PathMappingRule, Run, Session, Snapshot};
use shotput_core::attachments::upload::{self, Destination, UploadOptions};
use shotput_core::credentials::Target;
use shotput_core::service::{QueueRole, Service, block_on};
use tokio_util::sync::CancellationToken;

use crate::config as target;
use crate::error::Error;
use crate::runtime::{Raised, run_with};

/// A Python callable as a callback of the core: truthy goes on; an exception cancels and comes out of the call.
struct Callback {
    callable: Option<Py<PyAny>>,
    raised: Raised,
}

impl Callback {
    fn new(callable: Option<Py<PyAny>>) -> Self {
        Self { callable, raised: Raised::default() }
    }

    fn call(&self, progress: &Progress) -> bool {
        let Some(callable) = &self.callable else { return true };
        Python::attach(|py| {
            let answer = pythonize(py, progress)
                .map_err(PyErr::from)
                .and_then(|report| callable.bind(py).call1((report,)))
                .and_then(|answer| answer.is_truthy());
            answer.unwrap_or_else(|err| {
                self.raised.set(err);
                false
            })
        })
    }
}

#[pyfunction]
#[pyo3(signature = (root, paths=None, *, cache_dir=None, on_progress=None))]
fn snapshot(
    py: Python<'_>,
    root: PathBuf,
    paths: Option<Vec<PathBuf>>,
    cache_dir: Option<PathBuf>,
    on_progress: Option<Py<PyAny>>,
) -> PyResult<Py<PyDict>> {
    let callback = Callback::new(on_progress);
    let raised = callback.raised.clone();
    let (manifest, statistics) = run_with(py, &raised, move |token| {
        let on_progress = |progress: Progress| callback.call(&progress);
        let (manifest, statistics) =
            upload::snapshot(&root, paths.as_deref(), cache_dir.as_deref(), Some(&on_progress), &token)?;
        Ok((manifest.map(|manifest| manifest.encode()), statistics))
    })?;
    let result = PyDict::new(py);
    result.set_item("manifest", manifest.map(|bytes| PyBytes::new(py, &bytes)))?;
    result.set_item("statistics", pythonize(py, &statistics)?)?;
    Ok(result.unbind())
}

#[pyfunction]
#[pyo3(signature = (root, manifest, *, bucket, root_prefix, target=None, cache_dir=None, force_s3_check=false, on_progress=None))]
#[expect(clippy::too_many_arguments, reason = "the names of the Python signature")]
fn upload_snapshot(
    py: Python<'_>,
    root: PathBuf,
    manifest: Vec<u8>,
    bucket: String,
    root_prefix: String,
    target: Option<&Bound<'_, PyAny>>,
    cache_dir: Option<PathBuf>,
    force_s3_check: bool,
    on_progress: Option<Py<PyAny>>,
) -> PyResult<Py<PyAny>> {
    let target = target::Place::of(None, target)?;
    let callback = Callback::new(on_progress);
    let raised = callback.raised.clone();
    let statistics = run_with(py, &raised, move |token| {
        let target = block_on(&token, target.resolve())?;
        let access = block_on(&token, S3Access::of_target(&target))?;
        let manifest = Manifest::decode(&manifest, "given to upload_snapshot")?;
        let destination =
            Destination { access, bucket, root_prefix, farm_id: target.farm_id, queue_id: target.queue_id };
        let options = UploadOptions { cache_dir: cache_dir.as_deref(), force_s3_check, ..UploadOptions::default() };
        let on_progress = |progress: Progress| callback.call(&progress);
        upload::upload_snapshot(&root, &manifest, &destination, &options, Some(&on_progress), &token)
    })?;
    Ok(pythonize(py, &statistics)?.unbind())
}

#[pyfunction]
#[pyo3(signature = (snapshots, *, bucket, root_prefix, target=None, conflict_resolution="CREATE_COPY", on_progress=None))]
fn download_snapshots(
    py: Python<'_>,
    snapshots: Vec<(PathBuf, Vec<u8>)>,
    bucket: String,
    root_prefix: String,
    target: Option<&Bound<'_, PyAny>>,
    conflict_resolution: &str,
    on_progress: Option<Py<PyAny>>,
) -> PyResult<Py<PyAny>> {
    let target = target::Place::of(None, target)?;
    let conflict = Conflict::parse(conflict_resolution).map_err(Error::from)?;
    let callback = Callback::new(on_progress);
    let raised = callback.raised.clone();
    let downloaded = run_with(py, &raised, move |token| {
        let access = block_on(&token, async { S3Access::of_target(&target.resolve().await?).await })?;
        let decoded = snapshots
            .into_iter()
            .map(|(root, bytes)| Ok((root, Manifest::decode(&bytes, "given to download_snapshots")?)))
            .collect::<Result<Vec<_>, CoreError>>()?;
        let request = SnapshotRequest { access, bucket, root_prefix, conflict };
        let on_progress = |progress: Progress| callback.call(&progress);
        outputs::download_snapshots(&decoded, &request, Some(&on_progress), &token)
    })?;
    Ok(pythonize(py, &downloaded)?.unbind())
}

/// A job's attachments in the object store, as far as the caller names the place.
#[derive(Deserialize, Default)]
#[serde(default)]
struct Place {
    bucket: Option<String>,
    root_prefix: Option<String>,
    farm_id: String,
    queue_id: String,
    job_id: String,
}

impl Place {
    /// Access, bucket and root prefix. Without a bucket the service is asked for the queue's, and for the rights of the
    /// role that its users have to read it.
    async fn locate(&self, target: &Target) -> Result<(S3Access, String, String), CoreError> {
        if let (Some(bucket), Some(prefix)) = (&self.bucket, &self.root_prefix) {
            return Ok((S3Access::of_target(target).await?, bucket.clone(), prefix.clone()));
        }
        let service = Service::connect(target).await?;
        let queue = service.get_queue(&self.farm_id, &self.queue_id).await?;
        let settings = &queue["jobAttachmentSettings"];
        let member = |name: &str| settings[name].as_str().map(str::to_owned);
        let (Some(bucket), Some(prefix)) = (member("s3BucketName"), member("rootPrefix")) else {
            return Err(CoreError::Attachments(format!(
                "The queue {} has no job attachment settings, so its jobs have no files to download. Set a bucket for the \
                 queue.",
                self.queue_id
            )));
        };
        let name = queue["displayName"].as_str().unwrap_or(&self.queue_id);
        let role = QueueRole::new(&service, &self.farm_id, &self.queue_id, name, true);
        // Asked for once here, so that a refusal is told as what it is and not as a failed download.
        role.credentials().await?;
        Ok((S3Access::of_target_with(target, role.provider())?, bucket, prefix))
    }
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct DownloadParams {
    #[serde(flatten)]
    place: Place,
    step_id: Option<String>,
    task_id: Option<String>,
    root_map: BTreeMap<String, PathBuf>,
    conflict_resolution: Option<String>,
}

#[pyfunction]
#[pyo3(signature = (params, on_progress=None))]
fn download_job_outputs(
    py: Python<'_>,
    params: &Bound<'_, PyDict>,
    on_progress: Option<Py<PyAny>>,
) -> PyResult<Py<PyAny>> {
    let given: DownloadParams = depythonize(params)?;
    let target = target_of(params)?;
    let callback = Callback::new(on_progress);
    let raised = callback.raised.clone();
    let downloaded = run_with(py, &raised, move |token| {
        let (access, bucket, root_prefix) =
            block_on(&token, async { given.place.locate(&target.resolve().await?).await })?;
        let request = OutputRequest {
            access,
            bucket,
            root_prefix,
            scope: Scope {
                farm_id: given.place.farm_id,
                queue_id: given.place.queue_id,
                job_id: given.place.job_id,
                step_id: given.step_id,
                task_id: given.task_id,
            },
            root_map: given.root_map,
            conflict: given.conflict_resolution.as_deref().map_or(Ok(Conflict::default()), Conflict::parse)?,
        };
        let on_progress = |progress: Progress| callback.call(&progress);
        outputs::download(&request, Some(&on_progress), &token)
    })?;
    Ok(pythonize(py, &downloaded)?.unbind())
}

/// The target among the params: a dict, else the configuration's.
fn target_of(params: &Bound<'_, PyDict>) -> PyResult<target::Place> {
    target::Place::of(None, params.get_item("target")?.filter(|target| !target.is_none()).as_ref())
}

#[derive(Deserialize)]
struct SessionParams {
    #[serde(flatten)]
    place: Place,
    session_dir: PathBuf,
    attachments: Attachments,
    #[serde(default)]
    path_mapping_rules: Vec<PathMappingRule>,
    snapshot: Option<Snapshot>,
    #[serde(default)]
    step_ids: Vec<String>,
    step_id: Option<String>,
    task_id: Option<String>,
    session_action_id: Option<String>,
    started_at: Option<f64>,
}

impl SessionParams {
    fn session(&self, target: target::Place, token: &CancellationToken) -> Result<Session, CoreError> {
        let (access, bucket, root_prefix) =
            block_on(token, async { self.place.locate(&target.resolve().await?).await })?;
        Ok(Session {
            access,
            bucket,
            root_prefix,
            farm_id: self.place.farm_id.clone(),
            queue_id: self.place.queue_id.clone(),
            job_id: self.place.job_id.clone(),
            folder: self.session_dir.clone(),
            attachments: self.attachments.clone(),
            rules: self.path_mapping_rules.clone(),
            snapshot: self.snapshot.clone().unwrap_or_default(),
        })
    }
}

#[pyfunction]
#[pyo3(signature = (params, on_progress=None))]
fn sync_inputs(py: Python<'_>, params: &Bound<'_, PyDict>, on_progress: Option<Py<PyAny>>) -> PyResult<Py<PyAny>> {
    let given: SessionParams = depythonize(params)?;
    let target = target_of(params)?;
    let callback = Callback::new(on_progress);
    let raised = callback.raised.clone();
    let synced = run_with(py, &raised, move |token| {
        let on_progress = |progress: Progress| callback.call(&progress);
        sync::sync_inputs(&given.session(target, &token)?, &given.step_ids, Some(&on_progress), &token)
    })?;
    Ok(pythonize(py, &synced)?.unbind())
}

#[pyfunction]
#[pyo3(signature = (params, on_progress=None))]
fn sync_outputs(py: Python<'_>, params: &Bound<'_, PyDict>, on_progress: Option<Py<PyAny>>) -> PyResult<Py<PyAny>> {
    let given: SessionParams = depythonize(params)?;
    let target = target_of(params)?;
    let missing = |name: &str| PyValueError::new_err(format!("sync_outputs needs {name:?} in its params."));
    let run = Run {
        step_id: given.step_id.clone().ok_or_else(|| missing("step_id"))?,
        task_id: given.task_id.clone(),
        session_action_id: given.session_action_id.clone().ok_or_else(|| missing("session_action_id"))?,
        started_at: given.started_at.ok_or_else(|| missing("started_at"))?,
    };
    let callback = Callback::new(on_progress);
    let raised = callback.raised.clone();
    let synced = run_with(py, &raised, move |token| {
        let on_progress = |progress: Progress| callback.call(&progress);
        sync::sync_outputs(&given.session(target, &token)?, &run, Some(&on_progress), &token)
    })?;
    Ok(pythonize(py, &synced)?.unbind())
}

pub(crate) fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_function(wrap_pyfunction!(snapshot, module)?)?;
    module.add_function(wrap_pyfunction!(upload_snapshot, module)?)?;
    module.add_function(wrap_pyfunction!(download_snapshots, module)?)?;
    module.add_function(wrap_pyfunction!(download_job_outputs, module)?)?;
    module.add_function(wrap_pyfunction!(sync_inputs, module)?)?;
    module.add_function(wrap_pyfunction!(sync_outputs, module)?)
}
