//! The configuration file: `get_setting` and its kin, and the target that a call goes to.

use std::path::PathBuf;

use pyo3::prelude::*;
use pyo3::types::PyDict;
use shotput_core::Result as CoreResult;
use shotput_core::config::{self, Config};
use shotput_core::credentials::{self, CredentialsSource, Target};
use shotput_core::service::Service;
use shotput_core::telemetry::Recorder;

use crate::plain::plain;
use crate::runtime;
use crate::telemetry;

pub(crate) fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_function(wrap_pyfunction!(get_setting, module)?)?;
    module.add_function(wrap_pyfunction!(set_setting, module)?)?;
    module.add_function(wrap_pyfunction!(list_settings, module)?)?;
    module.add_function(wrap_pyfunction!(read_config, module)?)
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

    /// The service there; a file that cannot be read is an error.
    pub(crate) async fn connect(self) -> CoreResult<Service> {
        match self {
            Self::Given(target) => Service::connect(&target).await,
            Self::Config(path) => connect(&Config::read(path.as_deref())?).await,
        }
    }

    /// As [`Place::connect`]; a file that cannot be read counts as empty.
    pub(crate) async fn connect_leniently(self) -> CoreResult<Service> {
        match self {
            Self::Given(target) => Service::connect(&target).await,
            Self::Config(path) => connect(&Config::read_lenient(path.as_deref())).await,
        }
    }

    pub(crate) async fn source(&self) -> CredentialsSource {
        match self {
            Self::Given(_) => CredentialsSource::HostProvided,
            Self::Config(path) => credentials::credentials_source(&Config::read_lenient(path.as_deref()))
                .await
                .unwrap_or(CredentialsSource::NotValid),
        }
    }
}

async fn connect(config: &Config) -> CoreResult<Service> {
    let target = Target::resolve(config).await?;
    let recorder = Recorder::shared(config, &target, telemetry::surroundings)?;
    Ok(Service::connect(&target).await?.recorded_by(&recorder))
}

/// A target dict with the network settings of the environment.
pub(crate) fn given_target(target: &Bound<'_, PyAny>) -> PyResult<Target> {
    Ok(plain::<Target>(target)?.with_environment())
}

#[pyfunction]
#[pyo3(signature = (name, config_path=None))]
fn get_setting(py: Python<'_>, name: &str, config_path: Option<PathBuf>) -> PyResult<String> {
    runtime::briefly(py, || Config::read(config_path.as_deref())?.get(name))
}

#[pyfunction]
#[pyo3(signature = (name, value, config_path=None))]
fn set_setting(py: Python<'_>, name: &str, value: &str, config_path: Option<PathBuf>) -> PyResult<()> {
    runtime::briefly(py, || config::set_setting(config_path.as_deref(), name, value))
}

#[pyfunction]
#[pyo3(signature = (config_path=None))]
fn list_settings(py: Python<'_>, config_path: Option<PathBuf>) -> PyResult<Bound<'_, PyDict>> {
    let found = runtime::briefly(py, || {
        let config = Config::read(config_path.as_deref())?;
        let entry = |setting: &'static config::Setting| {
            Ok((setting, config.get(setting.name)?, config.stored(setting.name)?.is_some()))
        };
        let settings: CoreResult<Vec<_>> = config::SETTINGS.iter().map(entry).collect();
        Ok((config.path().to_owned(), settings?))
    })?;
    let settings = PyDict::new(py);
    for (known, value, is_stored) in found.1 {
        let setting = PyDict::new(py);
        setting.set_item("value", value)?;
        setting.set_item("is_stored", is_stored)?;
        setting.set_item("default", known.default)?;
        setting.set_item("depends_on", known.scope)?;
        setting.set_item("description", known.description)?;
        settings.set_item(known.name, setting)?;
    }
    let result = PyDict::new(py);
    result.set_item("path", found.0.as_os_str())?;
    result.set_item("settings", settings)?;
    Ok(result)
}

#[pyfunction]
#[pyo3(signature = (config_path=None))]
fn read_config(py: Python<'_>, config_path: Option<PathBuf>) -> PyResult<Bound<'_, PyDict>> {
    let config = runtime::briefly(py, || Config::read(config_path.as_deref()))?;
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
