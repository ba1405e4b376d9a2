//! Configuration file and credentials: `get_setting` and its kin.

use std::path::PathBuf;

use pyo3::prelude::*;
use pyo3::types::PyDict;
use pythonize::depythonize;
use shotput_core::config::{self, Config};
use shotput_core::credentials::{self, CredentialsSource, Target};
use shotput_core::service::{Service, block_on};
use shotput_core::{CoreError, Result as CoreResult};

use crate::error::Error;
use crate::runtime;

pub(crate) fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_function(wrap_pyfunction!(get_setting, module)?)?;
    module.add_function(wrap_pyfunction!(set_setting, module)?)?;
    module.add_function(wrap_pyfunction!(read_config, module)?)?;
    module.add_function(wrap_pyfunction!(get_credentials_source, module)?)?;
    module.add_function(wrap_pyfunction!(check_auth_status, module)?)?;
    module.add_function(wrap_pyfunction!(check_api_available, module)?)?;
    Ok(())
}

/// Where a call goes: a target that the caller gave whole, or a configuration file to resolve one from.
pub(crate) enum Place {
    Given(Box<Target>),
    Config(Option<PathBuf>),
}

impl Place {
    /// From the arguments that all calls share.
    pub(crate) fn of(config_path: Option<PathBuf>, target: Option<&Bound<'_, PyAny>>) -> PyResult<Self> {
        Ok(match target {
            Some(target) => Self::Given(Box::new(given_target(target)?)),
            None => Self::Config(config_path),
        })
    }

    /// The target; a file that cannot be read is an error.
    pub(crate) async fn resolve(self) -> CoreResult<Target> {
        match self {
            Self::Given(target) => Ok(*target),
            Self::Config(path) => Target::resolve(&Config::read(path.as_deref())?).await,
        }
    }

    /// As [`Place::resolve`]; a file that cannot be read counts as empty.
    async fn resolve_leniently(self) -> CoreResult<Target> {
        match self {
            Self::Given(target) => Ok(*target),
            Self::Config(path) => Target::resolve(&Config::read_lenient(path.as_deref())).await,
        }
    }

    async fn source(&self) -> CredentialsSource {
        match self {
            Self::Given(_) => CredentialsSource::HostProvided,
            Self::Config(path) => credentials::credentials_source(&Config::read_lenient(path.as_deref()))
                .await
                .unwrap_or(CredentialsSource::NotValid),
        }
    }
}

/// A target dict with the network settings of the environment.
pub(crate) fn given_target(target: &Bound<'_, PyAny>) -> PyResult<Target> {
    Ok(depythonize::<Target>(target)?.with_environment())
}

#[pyfunction]
#[pyo3(signature = (name, config_path=None))]
fn get_setting(py: Python<'_>, name: &str, config_path: Option<PathBuf>) -> Result<String, Error> {
    Ok(py.detach(|| Config::read(config_path.as_deref())?.get(name))?)
}

#[pyfunction]
#[pyo3(signature = (name, value, config_path=None))]
fn set_setting(py: Python<'_>, name: &str, value: &str, config_path: Option<PathBuf>) -> Result<(), Error> {
    Ok(py.detach(|| config::set_setting(config_path.as_deref(), name, value))?)
}

#[pyfunction]
#[pyo3(signature = (config_path=None))]
fn read_config(py: Python<'_>, config_path: Option<PathBuf>) -> Result<Bound<'_, PyDict>, Error> {
    let config = py.detach(|| Config::read(config_path.as_deref()))?;
    let sections = PyDict::new(py);
    for section in config.document().sections() {
        let entries = PyDict::new(py);
        for (key, value) in &section.entries {
            entries.set_item(key, value)?;
        }
        sections.set_item(&section.name, entries)?;
    }
    Ok(sections)
}

fn source_name(source: CredentialsSource) -> &'static str {
    match source {
        CredentialsSource::NotValid => "NOT_VALID",
        CredentialsSource::HostProvided => "HOST_PROVIDED",
        CredentialsSource::DeadlineCloudMonitorLogin => "DEADLINE_CLOUD_MONITOR_LOGIN",
    }
}

#[pyfunction]
#[pyo3(signature = (config_path=None))]
fn get_credentials_source(py: Python<'_>, config_path: Option<PathBuf>) -> PyResult<&'static str> {
    runtime::run(py, move |token| {
        block_on(&token, async { Ok(source_name(Place::Config(config_path).source().await)) })
    })
}

/// Whether the service answers the caller. Only a cancel is an error.
async fn answers(place: Place) -> CoreResult<bool> {
    let probe = async { Service::connect(&place.resolve_leniently().await?).await?.probe().await };
    match probe.await {
        Ok(()) => Ok(true),
        Err(err @ CoreError::Canceled(_)) => Err(err),
        Err(_) => Ok(false),
    }
}

#[pyfunction]
#[pyo3(signature = (config_path=None, *, target=None))]
fn check_auth_status<'py>(
    py: Python<'py>,
    config_path: Option<PathBuf>,
    target: Option<&Bound<'py, PyAny>>,
) -> PyResult<Bound<'py, PyDict>> {
    let place = Place::of(config_path, target)?;
    let (source, available) = runtime::run(py, move |token| {
        block_on(&token, async {
            let source = place.source().await;
            Ok((source, answers(place).await?))
        })
    })?;
    let status = match (available, source) {
        (true, _) => "AUTHENTICATED",
        (false, CredentialsSource::DeadlineCloudMonitorLogin) => "NEEDS_LOGIN",
        (false, _) => "CONFIGURATION_ERROR",
    };
    let result = PyDict::new(py);
    result.set_item("credentials_source", source_name(source))?;
    result.set_item("auth_status", status)?;
    result.set_item("api_available", available)?;
    Ok(result)
}

#[pyfunction]
#[pyo3(signature = (config_path=None, *, target=None))]
fn check_api_available(
    py: Python<'_>,
    config_path: Option<PathBuf>,
    target: Option<&Bound<'_, PyAny>>,
) -> PyResult<bool> {
    let place = Place::of(config_path, target)?;
    runtime::run(py, move |token| block_on(&token, answers(place)))
}
