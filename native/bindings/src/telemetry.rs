//! `TelemetryClient`.

use std::path::{Path, PathBuf};

use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyBool, PyDict, PyFloat, PyInt, PyString};
use serde_json::{Map, Value};
use shotput_core::config::Config;
use shotput_core::service::block_on;
use shotput_core::telemetry::Telemetry;
use shotput_core::{CoreError, Result as CoreResult};
use tokio_util::sync::CancellationToken;

use crate::runtime::{self, Detached};

pub(crate) fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_class::<PyTelemetryClient>()
}

/// The client of a configuration, with what is known of this interpreter.
pub(crate) fn client(config: &Config, named: Option<&Path>, token: &CancellationToken) -> CoreResult<Telemetry> {
    let mut telemetry = block_on(token, async { Ok(Telemetry::resolve(config, named).await) })?;
    if telemetry.is_on() {
        telemetry.describe(surroundings()?);
    }
    Ok(telemetry)
}

/// What is known of this interpreter.
pub(crate) fn surroundings() -> CoreResult<Map<String, Value>> {
    Python::attach(ask_platform).map_err(|err| CoreError::Operation(format!("Cannot ask Python's platform: {err}.")))
}

fn ask_platform(py: Python<'_>) -> PyResult<Map<String, Value>> {
    static KNOWN: PyOnceLock<(String, String)> = PyOnceLock::new();
    let (python, system) = KNOWN.get_or_try_init(py, || {
        let platform = py.import("platform")?;
        let ask = |name: &str| platform.call_method0(name)?.extract::<String>();
        Ok::<_, PyErr>((ask("python_version")?, ask("release")?))
    })?;
    Ok(Map::from_iter([
        ("python_version".to_owned(), python.as_str().into()),
        ("osVersion".to_owned(), system.as_str().into()),
    ]))
}

/// Sends telemetry events in the background.
#[pyclass(name = "TelemetryClient", module = "shotput._native", frozen)]
struct PyTelemetryClient(Detached<Telemetry>);

#[pymethods]
impl PyTelemetryClient {
    #[new]
    #[pyo3(signature = (config_path=None, *, package_name=None, package_version=None))]
    fn new(
        py: Python<'_>,
        config_path: Option<PathBuf>,
        package_name: Option<String>,
        package_version: Option<String>,
    ) -> PyResult<Self> {
        let telemetry = runtime::run(py, move |token| {
            let config = Config::read_lenient(config_path.as_deref());
            let mut telemetry = client(&config, config_path.as_deref(), &token)?;
            telemetry.speak_for(package_name, package_version.as_deref());
            Ok(telemetry)
        })?;
        Ok(Self(Detached::new(telemetry)))
    }

    #[getter]
    fn telemetry_opted_out(&self) -> bool {
        self.0.is_opted_out()
    }

    #[pyo3(signature = (event_type, event_details=None, *, details=None, from_gui=false))]
    fn record_event(
        &self,
        py: Python<'_>,
        event_type: String,
        event_details: Option<&Bound<'_, PyDict>>,
        details: Option<&Bound<'_, PyDict>>,
        from_gui: bool,
    ) -> PyResult<()> {
        let details = plain(one_of("record_event", event_details, details)?)?;
        runtime::briefly(py, || self.0.record_event(&event_type, details, from_gui))
    }

    #[pyo3(signature = (event_details=None, exception_type=None, from_gui=false, *, details=None))]
    fn record_error(
        &self,
        py: Python<'_>,
        event_details: Option<&Bound<'_, PyDict>>,
        exception_type: Option<String>,
        from_gui: bool,
        details: Option<&Bound<'_, PyDict>>,
    ) -> PyResult<()> {
        let details = plain(one_of("record_error", event_details, details)?)?;
        let exception_type =
            exception_type.ok_or_else(|| PyTypeError::new_err("record_error() needs the argument 'exception_type'"))?;
        runtime::briefly(py, || self.0.record_error(details, &exception_type, from_gui))
    }

    fn update_common_details(&self, py: Python<'_>, details: &Bound<'_, PyDict>) -> PyResult<()> {
        let details = plain(details)?;
        runtime::briefly(py, || self.0.update_common_details(details))
    }

    fn close(&self, py: Python<'_>) -> PyResult<()> {
        runtime::briefly(py, || {
            self.0.close();
            Ok(())
        })
    }
}

/// The details under either of their names: official clients differ.
fn one_of<'a, 'py>(
    method: &str,
    event_details: Option<&'a Bound<'py, PyDict>>,
    details: Option<&'a Bound<'py, PyDict>>,
) -> PyResult<&'a Bound<'py, PyDict>> {
    match (event_details, details) {
        (Some(given), None) | (None, Some(given)) => Ok(given),
        (None, None) => Err(PyTypeError::new_err(format!("{method}() needs the argument 'event_details'"))),
        (Some(_), Some(_)) => {
            Err(PyTypeError::new_err(format!("{method}() takes either 'event_details' or 'details', not both")))
        }
    }
}

/// Plain values as they are, everything else as its text.
fn plain(details: &Bound<'_, PyDict>) -> PyResult<Map<String, Value>> {
    details.iter().map(|(key, value)| Ok((key.str()?.to_string(), plain_value(&value)?))).collect()
}

fn plain_value(value: &Bound<'_, PyAny>) -> PyResult<Value> {
    let plain = if value.is_none() {
        Some(Value::Null)
    } else if let Ok(flag) = value.cast_exact::<PyBool>() {
        Some(flag.is_true().into())
    } else if value.is_instance_of::<PyInt>() {
        value.extract::<i64>().ok().map(Value::from)
    } else if let Ok(number) = value.cast::<PyFloat>() {
        serde_json::Number::from_f64(number.value()).map(Value::Number)
    } else if let Ok(text) = value.cast::<PyString>() {
        Some(text.to_string_lossy().into_owned().into())
    } else {
        None
    };
    match plain {
        Some(plain) => Ok(plain),
        None => Ok(value.str()?.to_string_lossy().into_owned().into()),
    }
}
