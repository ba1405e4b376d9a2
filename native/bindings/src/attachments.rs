//! Job attachments: hash, upload, download.

use std::path::PathBuf;

use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict};
use pythonize::{depythonize, pythonize};
use serde::Deserialize;
use shotput_core::CoreError;
use shotput_core::attachments::manifest::Manifest;
use shotput_core::attachments::progress::Progress;
use shotput_core::attachments::s3::S3Access;
use shotput_core::attachments::upload::{self, Destination, UploadOptions};

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

pub(crate) fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_function(wrap_pyfunction!(snapshot, module)?)?;
    module.add_function(wrap_pyfunction!(upload_snapshot, module)?)
}
