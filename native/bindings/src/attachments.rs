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
use shotput_core::attachments::outputs::{self, OutputRequest, Scope};
use shotput_core::attachments::progress::Progress;
use shotput_core::attachments::s3::S3Access;
use shotput_core::attachments::sync::{self, Attachments, PathMappingRule, Run, Session, Snapshot};
use shotput_core::attachments::upload::{self, Destination, UploadOptions};

use crate::error::Error;
use crate::runtime::{Raised, run_with};

/// The members of a target that the object store needs.
#[derive(Deserialize, Clone, Default)]
#[serde(default)]
struct Target {
    farm_id: Option<String>,
    queue_id: Option<String>,
    region: Option<String>,
    s3_endpoint_url: Option<String>,
    access_key_id: Option<String>,
    secret_access_key: Option<String>,
    session_token: Option<String>,
    profile: Option<String>,
    /// Account that the bucket must belong to.
    account_id: Option<String>,
}

impl Target {
    fn access(&self) -> Result<S3Access, CoreError> {
        let region = self.region.as_deref().unwrap_or("us-west-2");
        let endpoint = self.s3_endpoint_url.as_deref();
        let mut access = match (&self.access_key_id, &self.secret_access_key) {
            (Some(id), Some(secret)) => S3Access::with_keys(region, endpoint, id, secret, self.session_token.as_deref()),
            _ => S3Access::with_profile(region, endpoint, self.profile.as_deref())?,
        };
        access.expected_bucket_owner.clone_from(&self.account_id);
        Ok(access)
    }
}

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
#[pyo3(signature = (root, manifest, *, bucket, root_prefix, target, cache_dir=None, force_s3_check=false, on_progress=None))]
#[expect(clippy::too_many_arguments, reason = "the names of the Python signature")]
fn upload_snapshot(
    py: Python<'_>,
    root: PathBuf,
    manifest: Vec<u8>,
    bucket: String,
    root_prefix: String,
    target: &Bound<'_, PyAny>,
    cache_dir: Option<PathBuf>,
    force_s3_check: bool,
    on_progress: Option<Py<PyAny>>,
) -> PyResult<Py<PyAny>> {
    let target: Target = depythonize(target)?;
    let callback = Callback::new(on_progress);
    let raised = callback.raised.clone();
    let statistics = run_with(py, &raised, move |token| {
        let manifest = Manifest::decode(&manifest, "given to upload_snapshot")?;
        let destination = Destination {
            access: target.access()?,
            bucket,
            root_prefix,
            farm_id: target.farm_id.unwrap_or_default(),
            queue_id: target.queue_id.unwrap_or_default(),
        };
        let options = UploadOptions { cache_dir: cache_dir.as_deref(), force_s3_check, ..UploadOptions::default() };
        let on_progress = |progress: Progress| callback.call(&progress);
        upload::upload_snapshot(&root, &manifest, &destination, &options, Some(&on_progress), &token)
    })?;
    Ok(pythonize(py, &statistics)?.unbind())
}

/// A folder of attachments in the object store, as far as the caller names it.
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
    /// Asks the service for the queue's settings when the caller did not give them.
    fn complete(&mut self, py: Python<'_>, params: &Bound<'_, PyDict>) -> PyResult<()> {
        if self.bucket.is_some() && self.root_prefix.is_some() {
            return Ok(());
        }
        let kwargs = PyDict::new(py);
        kwargs.set_item("target", params.get_item("target")?)?;
        let service = py.import("shotput._native")?;
        let queue = service.getattr("get_queue")?.call((&self.farm_id, &self.queue_id), Some(&kwargs))?;
        let queue: serde_json::Value = depythonize(&queue)?;
        let settings = &queue["jobAttachmentSettings"];
        let member = |name: &str| settings[name].as_str().map(str::to_owned);
        match (member("s3BucketName"), member("rootPrefix")) {
            (Some(bucket), Some(prefix)) => {
                (self.bucket, self.root_prefix) = (Some(bucket), Some(prefix));
                Ok(())
            }
            _ => Err(Error::from(CoreError::Attachments(format!(
                "The queue {} has no job attachment settings, so its jobs have no outputs to download. Set a bucket for \
                 the queue.",
                self.queue_id
            )))
            .into()),
        }
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
    target: Target,
}

#[pyfunction]
#[pyo3(signature = (params, on_progress=None))]
fn download_job_outputs(
    py: Python<'_>,
    params: &Bound<'_, PyDict>,
    on_progress: Option<Py<PyAny>>,
) -> PyResult<Py<PyAny>> {
    let mut given: DownloadParams = depythonize(params)?;
    given.place.complete(py, params)?;
    let callback = Callback::new(on_progress);
    let raised = callback.raised.clone();
    let downloaded = run_with(py, &raised, move |token| {
        let request = OutputRequest {
            access: given.target.access()?,
            bucket: given.place.bucket.unwrap_or_default(),
            root_prefix: given.place.root_prefix.unwrap_or_default(),
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

#[derive(Deserialize)]
struct SessionParams {
    #[serde(flatten)]
    place: Place,
    session_dir: PathBuf,
    attachments: Attachments,
    #[serde(default)]
    path_mapping_rules: Vec<PathMappingRule>,
    snapshot: Option<Snapshot>,
    target: Target,
    #[serde(default)]
    step_ids: Vec<String>,
    step_id: Option<String>,
    task_id: Option<String>,
    session_action_id: Option<String>,
    started_at: Option<f64>,
}

impl SessionParams {
    fn session(&self) -> Result<Session, CoreError> {
        Ok(Session {
            access: self.target.access()?,
            bucket: self.place.bucket.clone().unwrap_or_default(),
            root_prefix: self.place.root_prefix.clone().unwrap_or_default(),
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
    let mut given: SessionParams = depythonize(params)?;
    given.place.complete(py, params)?;
    let callback = Callback::new(on_progress);
    let raised = callback.raised.clone();
    let synced = run_with(py, &raised, move |token| {
        let on_progress = |progress: Progress| callback.call(&progress);
        sync::sync_inputs(&given.session()?, &given.step_ids, Some(&on_progress), &token)
    })?;
    Ok(pythonize(py, &synced)?.unbind())
}

#[pyfunction]
#[pyo3(signature = (params, on_progress=None))]
fn sync_outputs(py: Python<'_>, params: &Bound<'_, PyDict>, on_progress: Option<Py<PyAny>>) -> PyResult<Py<PyAny>> {
    let mut given: SessionParams = depythonize(params)?;
    given.place.complete(py, params)?;
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
        sync::sync_outputs(&given.session()?, &run, Some(&on_progress), &token)
    })?;
    Ok(pythonize(py, &synced)?.unbind())
}

pub(crate) fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_function(wrap_pyfunction!(snapshot, module)?)?;
    module.add_function(wrap_pyfunction!(upload_snapshot, module)?)?;
    module.add_function(wrap_pyfunction!(download_job_outputs, module)?)?;
    module.add_function(wrap_pyfunction!(sync_inputs, module)?)?;
    module.add_function(wrap_pyfunction!(sync_outputs, module)?)
}
