//! What a diagnosis asks before anything is sent: where calls go, who the caller is, what may be done with a bucket,
//! and what a submission would come to.

use std::path::PathBuf;
use std::time::Duration;

use pyo3::exceptions::{PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::PyDict;
use pythonize::pythonize;
use serde_json::{Value, json};
use shotput_core::attachments::probe;
use shotput_core::attachments::s3::S3Access;
use shotput_core::config::Config;
use shotput_core::credentials::Endpoint;
use shotput_core::service::{Service, block_on, reach};
use shotput_core::submission::{Params, Submission, preview};

use crate::config::Place;
use crate::plain::plain;
use crate::runtime;
use crate::submission::known_members;

pub(crate) fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_function(wrap_pyfunction!(resolve_target, module)?)?;
    module.add_function(wrap_pyfunction!(reach_service, module)?)?;
    module.add_function(wrap_pyfunction!(get_caller_identity, module)?)?;
    module.add_function(wrap_pyfunction!(probe_bucket, module)?)?;
    module.add_function(wrap_pyfunction!(preview_submission, module)?)
}

const SERVICES: [(&str, Endpoint); 4] =
    [("deadline", Endpoint::Deadline), ("s3", Endpoint::S3), ("sts", Endpoint::Sts), ("logs", Endpoint::Logs)];

#[pyfunction]
#[pyo3(signature = (config_path=None, *, target=None))]
fn resolve_target<'py>(
    py: Python<'py>,
    config_path: Option<PathBuf>,
    target: Option<&Bound<'py, PyAny>>,
) -> PyResult<Bound<'py, PyAny>> {
    let place = Place::of(config_path, target)?;
    let found = runtime::run(py, move |token| {
        let source = block_on(&token, async { Ok(place.source().await) })?;
        let target = block_on(&token, place.resolve())?;
        let mut endpoints = serde_json::Map::new();
        for (name, endpoint) in SERVICES {
            endpoints.insert(name.to_owned(), target.url(endpoint)?.into());
        }
        Ok(json!({
            "farm_id": target.farm_id,
            "queue_id": target.queue_id,
            "storage_profile_id": target.storage_profile_id,
            "region": target.region()?.to_string(),
            "profile": target.profile,
            "credentials_source": source,
            "endpoints": endpoints,
            "proxy": target.proxy,
            "ca_bundle": target.ca_bundle,
        }))
    })?;
    Ok(pythonize(py, &found)?)
}

#[pyfunction]
#[pyo3(signature = (service, config_path=None, *, target=None, timeout=10.0))]
fn reach_service<'py>(
    py: Python<'py>,
    service: &str,
    config_path: Option<PathBuf>,
    target: Option<&Bound<'py, PyAny>>,
    timeout: f64,
) -> PyResult<Bound<'py, PyAny>> {
    let Some((_, endpoint)) = SERVICES.into_iter().find(|(name, _)| *name == service) else {
        let names: Vec<_> = SERVICES.iter().map(|(name, _)| *name).collect();
        return Err(PyValueError::new_err(format!("service is {service:?}; it must be one of {}", names.join(", "))));
    };
    let timeout = Duration::try_from_secs_f64(timeout)
        .map_err(|err| PyValueError::new_err(format!("timeout is {timeout} seconds: {err}")))?;
    let place = Place::of(config_path, target)?;
    let reached = runtime::run(py, move |token| {
        block_on(&token, async { reach(&place.resolve().await?, endpoint, timeout).await })
    })?;
    Ok(pythonize(py, &reached)?)
}

#[pyfunction]
#[pyo3(signature = (config_path=None, *, target=None))]
fn get_caller_identity<'py>(
    py: Python<'py>,
    config_path: Option<PathBuf>,
    target: Option<&Bound<'py, PyAny>>,
) -> PyResult<Bound<'py, PyAny>> {
    let place = Place::of(config_path, target)?;
    let caller = runtime::run(py, move |token| {
        block_on(&token, async {
            let service = Service::connect(&place.resolve().await?).await?;
            service.caller(service.target().credentials().await?).await
        })
    })?;
    Ok(pythonize(py, &caller)?)
}

#[pyfunction]
#[pyo3(signature = (farm_id, queue_id, bucket, root_prefix, config_path=None, *, target=None, read_only=false))]
#[expect(clippy::too_many_arguments, reason = "the names of the Python signature")]
fn probe_bucket<'py>(
    py: Python<'py>,
    farm_id: String,
    queue_id: String,
    bucket: String,
    root_prefix: String,
    config_path: Option<PathBuf>,
    target: Option<&Bound<'py, PyAny>>,
    read_only: bool,
) -> PyResult<Bound<'py, PyAny>> {
    let place = Place::of(config_path, target)?;
    let (report, account) = runtime::run(py, move |token| {
        block_on(&token, async {
            let service = Service::connect(&place.resolve().await?).await?;
            let access = S3Access::of_queue(&service, &farm_id, &queue_id, "", read_only).await?;
            Ok((probe::probe(&access, &bucket, &root_prefix, read_only).await?, access.expected_bucket_owner))
        })
    })?;
    let result = pythonize(py, &report)?;
    result.set_item("account", account)?;
    Ok(result)
}

#[pyfunction]
#[pyo3(signature = (params, storage_profile=None))]
fn preview_submission<'py>(
    py: Python<'py>,
    params: &Bound<'py, PyDict>,
    storage_profile: Option<&Bound<'py, PyAny>>,
) -> PyResult<Bound<'py, PyAny>> {
    let given = |key: &str| Ok::<_, PyErr>(params.get_item(key)?.filter(|value| !value.is_none()));
    let config_path: Option<PathBuf> = given("config_path")?.map(|path| path.extract()).transpose()?;
    let target = given("target")?;
    let place = Place::of(config_path.clone(), target.as_ref())?;
    let known: Params = plain(&known_members(params)?)
        .map_err(|err| PyTypeError::new_err(format!("params of preview_submission: {err}")))?;
    let storage_profile: Option<Value> = storage_profile.map(plain).transpose()?;
    let found = runtime::run(py, move |token| {
        // A target that was given whole leaves nothing to a file that was not named.
        let config = match (&config_path, &place) {
            (None, Place::Given(_)) => Config::empty(),
            _ => Config::read_lenient(config_path.as_deref()),
        };
        let submission = Submission::resolve(known, &config, block_on(&token, place.resolve())?)?;
        preview(&submission, storage_profile.as_ref(), &token)
    })?;
    Ok(pythonize(py, &found)?)
}
