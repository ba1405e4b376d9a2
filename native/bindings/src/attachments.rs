//! Job attachments: hash, upload, download.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::time::{Duration, UNIX_EPOCH};

use aws_credential_types::Credentials;
use aws_credential_types::provider::error::CredentialsError;
use aws_credential_types::provider::{ProvideCredentials, SharedCredentialsProvider, future};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict};
use pythonize::pythonize;
use serde::Deserialize;
use shotput_core::CoreError;
use shotput_core::attachments::download::Conflict;
use shotput_core::attachments::manifest::Manifest;
use shotput_core::attachments::outputs::{self, OutputRequest, Scope};
use shotput_core::attachments::progress::Progress;
use shotput_core::attachments::s3::S3Access;
use shotput_core::attachments::sync::{self, Attachments, PathMappingRule, Run, Session, Snapshot};
use shotput_core::attachments::upload::{self, Destination, UploadOptions};
use shotput_core::credentials::Target;
use shotput_core::service::{Service, block_on};
use tokio_util::sync::CancellationToken;

use crate::config as target;
use crate::plain::{argument, path_text};
use crate::runtime::{Raised, run_with};

/// A Python callable as a callback of the core: truthy goes on; an exception cancels and comes out of the call.
pub(crate) struct Callback {
    callable: Option<Py<PyAny>>,
    pub(crate) raised: Raised,
}

impl Callback {
    pub(crate) fn new(callable: Option<Py<PyAny>>) -> Self {
        Self { callable, raised: Raised::default() }
    }

    pub(crate) fn call(&self, progress: &Progress) -> bool {
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
#[pyo3(signature = (
    root, manifest, *, bucket=None, root_prefix=None, data_prefix=None, farm_id=None, queue_id=None, target=None,
    cache_dir=None, force_s3_check=false, credentials=None, on_progress=None
))]
#[expect(clippy::too_many_arguments, reason = "the names of the Python signature")]
fn upload_snapshot(
    py: Python<'_>,
    root: PathBuf,
    manifest: Vec<u8>,
    bucket: Option<String>,
    root_prefix: Option<String>,
    data_prefix: Option<String>,
    farm_id: Option<String>,
    queue_id: Option<String>,
    target: Option<&Bound<'_, PyAny>>,
    cache_dir: Option<PathBuf>,
    force_s3_check: bool,
    credentials: Option<Py<PyAny>>,
    on_progress: Option<Py<PyAny>>,
) -> PyResult<Py<PyAny>> {
    let target = target::Place::of(None, target)?;
    let callback = Callback::new(on_progress);
    let raised = callback.raised.clone();
    let keys = credentials.map(|callable| PythonCredentials::provider(callable, raised.clone()));
    let place = Place { data_prefix, ..Place::new(bucket, root_prefix, farm_id, queue_id) };
    let statistics = run_with(py, &raised, move |token| {
        let manifest = Manifest::decode(&manifest, "given to upload_snapshot")?;
        let destination = block_on(&token, async { place.destination(target.resolve().await?, keys).await })?;
        let options = UploadOptions { cache_dir: cache_dir.as_deref(), force_s3_check, ..UploadOptions::default() };
        let on_progress = |progress: Progress| callback.call(&progress);
        upload::upload_snapshot(&root, &manifest, &destination, &options, Some(&on_progress), &token)
    })?;
    Ok(pythonize(py, &statistics)?.unbind())
}

/// A job's attachments in the object store, as far as the caller names the place.
#[derive(Deserialize, Default)]
#[serde(default)]
pub(crate) struct Place {
    bucket: Option<String>,
    root_prefix: Option<String>,
    pub(crate) data_prefix: Option<String>,
    pub(crate) farm_id: String,
    pub(crate) queue_id: String,
    pub(crate) job_id: String,
}

impl Place {
    pub(crate) fn new(
        bucket: Option<String>,
        root_prefix: Option<String>,
        farm_id: Option<String>,
        queue_id: Option<String>,
    ) -> Self {
        let (farm_id, queue_id) = (farm_id.unwrap_or_default(), queue_id.unwrap_or_default());
        Self { bucket, root_prefix, farm_id, queue_id, ..Self::default() }
    }

    /// Access, bucket and root prefix. Without a bucket the service is asked for the queue's, and for the rights that
    /// its users have: those to read, or all.
    pub(crate) async fn locate(
        &self,
        target: &Target,
        read_only: bool,
    ) -> Result<(S3Access, String, String), CoreError> {
        if let (Some(bucket), Some(prefix)) = (&self.bucket, &self.root_prefix) {
            return Ok((S3Access::of_target(target).await?, bucket.clone(), prefix.clone()));
        }
        let service = Service::connect(target).await?;
        let farm_id = if self.farm_id.is_empty() { &target.farm_id } else { &self.farm_id };
        let queue_id = if self.queue_id.is_empty() { &target.queue_id } else { &self.queue_id };
        let queue = service.get_queue(farm_id, queue_id).await?;
        let settings = &queue["jobAttachmentSettings"];
        let member = |name: &str| settings[name].as_str().map(str::to_owned);
        let (Some(bucket), Some(prefix)) = (member("s3BucketName"), member("rootPrefix")) else {
            return Err(CoreError::Attachments(format!(
                "The queue {queue_id} has no job attachment settings, so its jobs have no files to download. Set a \
                 bucket for the queue."
            )));
        };
        let name = queue["displayName"].as_str().unwrap_or(queue_id);
        Ok((S3Access::of_queue(&service, farm_id, queue_id, name, read_only).await?, bucket, prefix))
    }

    /// As [`Place::locate`], of a target that is still to be resolved, and only to read.
    pub(crate) fn open(
        &self,
        target: target::Place,
        token: &CancellationToken,
    ) -> Result<(S3Access, String, String), CoreError> {
        block_on(token, async { self.locate(&target.resolve().await?, true).await })
    }

    /// The job, or one step or task of it.
    pub(crate) fn scope(self, step_id: Option<String>, task_id: Option<String>) -> Scope {
        Scope { farm_id: self.farm_id, queue_id: self.queue_id, job_id: self.job_id, step_id, task_id }
    }

    /// Where an upload goes, with the caller's keys in place of the target's.
    pub(crate) async fn destination(
        self,
        target: Target,
        keys: Option<SharedCredentialsProvider>,
    ) -> Result<Destination, CoreError> {
        let (access, bucket, root_prefix) = match (keys, &self.bucket, &self.root_prefix) {
            (Some(keys), Some(bucket), Some(prefix)) => {
                let service = Service::connect(&target).await?;
                (S3Access::pinned(&service, keys).await?, bucket.clone(), prefix.clone())
            }
            _ => self.locate(&target, false).await?,
        };
        let Self { data_prefix, farm_id, queue_id, .. } = self;
        Ok(Destination { access, bucket, root_prefix, data_prefix, farm_id, queue_id })
    }
}

/// Keys that Python code gives, asked for again before they expire.
pub(crate) struct PythonCredentials {
    callable: Py<PyAny>,
    raised: Raised,
}

#[derive(Deserialize)]
struct Keys {
    access_key_id: String,
    secret_access_key: String,
    session_token: Option<String>,
    /// Seconds since 1970.
    expiration: Option<f64>,
}

impl PythonCredentials {
    pub(crate) fn provider(callable: Py<PyAny>, raised: Raised) -> SharedCredentialsProvider {
        SharedCredentialsProvider::new(Self { callable, raised })
    }

    /// Asks the caller; what it raises is kept, to come out of the call.
    fn ask(callable: Py<PyAny>, raised: &Raised) -> Result<Credentials, CredentialsError> {
        let keys = Python::attach(|py| argument::<Keys>(&callable.bind(py).call0()?, "What credentials() gave"));
        let keys = keys.map_err(|err| {
            raised.set(err);
            CredentialsError::provider_error("the caller gave no keys")
        })?;
        let expires = keys.expiration.and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
        let expires = expires.map(|since| UNIX_EPOCH + since);
        Ok(Credentials::new(keys.access_key_id, keys.secret_access_key, keys.session_token, expires, "caller"))
    }
}

impl fmt::Debug for PythonCredentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PythonCredentials")
    }
}

impl ProvideCredentials for PythonCredentials {
    fn provide_credentials<'a>(&'a self) -> future::ProvideCredentials<'a>
    where
        Self: 'a,
    {
        let (callable, raised) = (Python::attach(|py| self.callable.clone_ref(py)), self.raised.clone());
        future::ProvideCredentials::new(async move {
            // Whoever holds the GIL must not hold up the transfer of others.
            let asked = tokio::task::spawn_blocking(move || Self::ask(callable, &raised)).await;
            asked.unwrap_or_else(|err| Err(CredentialsError::provider_error(err)))
        })
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
    path_mapping_rules: Option<Vec<PathMappingRule>>,
    conflict_resolution: Option<String>,
}

#[pyfunction]
#[pyo3(signature = (params, on_progress=None))]
fn download_job_outputs(
    py: Python<'_>,
    params: &Bound<'_, PyDict>,
    on_progress: Option<Py<PyAny>>,
) -> PyResult<Py<PyAny>> {
    let given: DownloadParams = argument(with_plain_roots(params)?.as_any(), "params of download_job_outputs")?;
    let target = target_of(params)?;
    let callback = Callback::new(on_progress);
    let raised = callback.raised.clone();
    let downloaded = run_with(py, &raised, move |token| {
        let (access, bucket, root_prefix) = given.place.open(target, &token)?;
        let request = OutputRequest {
            access,
            bucket,
            root_prefix,
            scope: given.place.scope(given.step_id, given.task_id),
            root_map: given.root_map,
            rules: given.path_mapping_rules,
            conflict: given.conflict_resolution.as_deref().map_or(Ok(Conflict::default()), Conflict::parse)?,
        };
        let on_progress = |progress: Progress| callback.call(&progress);
        outputs::download(&request, Some(&on_progress), &token)
    })?;
    Ok(pythonize(py, &downloaded)?.unbind())
}

/// The params with the folders of `root_map` as text.
fn with_plain_roots<'py>(params: &Bound<'py, PyDict>) -> PyResult<Bound<'py, PyDict>> {
    let params = params.copy()?;
    if let Some(root_map) = params.get_item("root_map")? {
        if root_map.is_none() {
            params.del_item("root_map")?;
        } else if let Ok(folders) = root_map.cast::<PyDict>() {
            let plain = PyDict::new(params.py());
            for (root, folder) in folders {
                plain.set_item(path_text(root)?, path_text(folder)?)?;
            }
            params.set_item("root_map", plain)?;
        }
    }
    Ok(params)
}

/// The target among the params: a dict, else the configuration's.
pub(crate) fn target_of(params: &Bound<'_, PyDict>) -> PyResult<target::Place> {
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
        let (access, bucket, root_prefix) = self.place.open(target, token)?;
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
    let given: SessionParams = argument(params, "params of sync_inputs")?;
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
    let given: SessionParams = argument(params, "params of sync_outputs")?;
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
    module.add_function(wrap_pyfunction!(download_job_outputs, module)?)?;
    module.add_function(wrap_pyfunction!(sync_inputs, module)?)?;
    module.add_function(wrap_pyfunction!(sync_outputs, module)?)
}
