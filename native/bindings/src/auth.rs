//! Who the caller is: `check_auth_status` and its kin, `login`, `logout`.

use std::path::PathBuf;
use std::time::Instant;

use pyo3::prelude::*;
use pyo3::types::PyDict;
use pythonize::pythonize;
use serde::Serialize;
use shotput_core::Result as CoreResult;
use shotput_core::config::Config;
use shotput_core::credentials::CredentialsSource;
use shotput_core::login::{AuthStatus, Login, is_answered};
use shotput_core::service::block_on;
use shotput_core::telemetry::Recorder;
use tokio_util::sync::CancellationToken;

use crate::config::Place;
use crate::runtime::{self, Raised};
use crate::telemetry;

pub(crate) fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_function(wrap_pyfunction!(get_credentials_source, module)?)?;
    module.add_function(wrap_pyfunction!(check_auth_status, module)?)?;
    module.add_function(wrap_pyfunction!(check_auth_status_with_progress, module)?)?;
    module.add_function(wrap_pyfunction!(check_api_available, module)?)?;
    module.add_function(wrap_pyfunction!(login, module)?)?;
    module.add_function(wrap_pyfunction!(logout, module)?)
}

#[pyfunction]
#[pyo3(signature = (config_path=None))]
fn get_credentials_source(py: Python<'_>, config_path: Option<PathBuf>) -> PyResult<Bound<'_, PyAny>> {
    let source =
        runtime::run(py, move |token| block_on(&token, async { Ok(Place::Config(config_path).source().await) }))?;
    Ok(pythonize(py, &source)?)
}

#[derive(Serialize)]
struct Status {
    credentials_source: CredentialsSource,
    auth_status: AuthStatus,
    api_available: bool,
}

/// The status, with a word before each step.
fn status(place: Place, token: &CancellationToken, say: &dyn Fn(&str)) -> CoreResult<Status> {
    block_on(token, async {
        say("Looking for credentials...");
        let credentials_source = place.source().await;
        say("Asking Deadline Cloud who you are...");
        let api_available = is_answered(place.connect_leniently()).await?;
        let auth_status = AuthStatus::of(api_available, credentials_source);
        say(match auth_status {
            AuthStatus::Authenticated => "Authenticated.",
            AuthStatus::NeedsLogin => "A login is needed.",
            AuthStatus::ConfigurationError => "Deadline Cloud does not answer with these credentials.",
        });
        Ok(Status { credentials_source, auth_status, api_available })
    })
}

#[pyfunction]
#[pyo3(signature = (config_path=None, *, target=None))]
fn check_auth_status<'py>(
    py: Python<'py>,
    config_path: Option<PathBuf>,
    target: Option<&Bound<'py, PyAny>>,
) -> PyResult<Bound<'py, PyAny>> {
    let place = Place::of(config_path, target)?;
    let found = runtime::run(py, move |token| status(place, &token, &|_| {}))?;
    Ok(pythonize(py, &found)?)
}

#[pyfunction]
#[pyo3(signature = (config_path=None, on_progress=None, *, target=None))]
fn check_auth_status_with_progress<'py>(
    py: Python<'py>,
    config_path: Option<PathBuf>,
    on_progress: Option<Py<PyAny>>,
    target: Option<&Bound<'py, PyAny>>,
) -> PyResult<Bound<'py, PyAny>> {
    let place = Place::of(config_path, target)?;
    let raised = Raised::default();
    let kept = raised.clone();
    let found = runtime::run_with(py, &raised, move |token| {
        let say = |message: &str| {
            if let Some(callable) = &on_progress {
                kept.call(&token, |py| callable.bind(py).call1((message,)).map(|_| true));
            }
        };
        status(place, &token, &say)
    })?;
    Ok(pythonize(py, &found)?)
}

#[pyfunction]
#[pyo3(signature = (config_path=None, *, target=None))]
fn check_api_available(
    py: Python<'_>,
    config_path: Option<PathBuf>,
    target: Option<&Bound<'_, PyAny>>,
) -> PyResult<bool> {
    let place = Place::of(config_path, target)?;
    runtime::run(py, move |token| block_on(&token, is_answered(place.connect_leniently())))
}

#[pyfunction]
#[pyo3(signature = (config_path=None, on_pending_authorization=None, on_cancellation_check=None))]
fn login(
    py: Python<'_>,
    config_path: Option<PathBuf>,
    on_pending_authorization: Option<Py<PyAny>>,
    on_cancellation_check: Option<Py<PyAny>>,
) -> PyResult<String> {
    let raised = Raised::default();
    let kept = raised.clone();
    runtime::run_with(py, &raised, move |token| {
        let is_canceled = || {
            on_cancellation_check.as_ref().is_some_and(|callable| {
                // An exception cancels by the token; its own text comes out then.
                kept.call(&token, |py| callable.bind(py).call0()?.is_truthy())
            })
        };
        timed("login", config_path, &token, |login| {
            let on_pending = || {
                if let Some(callable) = &on_pending_authorization {
                    kept.call(&token, |py| pending(py, callable, login.source()).map(|()| true));
                }
            };
            login.log_in(&on_pending, &is_canceled, &token)
        })
    })
}

/// Tells the caller that a program waits for a person.
fn pending(py: Python<'_>, callable: &Py<PyAny>, source: CredentialsSource) -> PyResult<()> {
    let sources = py.import("shotput.auth")?.getattr("AwsCredentialsSource")?;
    let source = sources.call1((pythonize(py, &source)?,))?;
    let keywords = PyDict::new(py);
    keywords.set_item("credentials_source", source)?;
    callable.bind(py).call((), Some(&keywords)).map(drop)
}

#[pyfunction]
#[pyo3(signature = (config_path=None))]
fn logout(py: Python<'_>, config_path: Option<PathBuf>) -> PyResult<String> {
    runtime::run(py, move |token| timed("logout", config_path, &token, |login| login.log_out(&token)))
}

/// Does something with the login of a configuration, and records how long it took.
fn timed(
    function: &str,
    config_path: Option<PathBuf>,
    token: &CancellationToken,
    work: impl FnOnce(&Login) -> CoreResult<String>,
) -> CoreResult<String> {
    let config = Config::read_lenient(config_path.as_deref());
    let recorder = Recorder::new(telemetry::client(&config, config_path.as_deref(), token)?, false);
    let started = Instant::now();
    let outcome = work(&Login::of(config, token)?);
    recorder.record_latency(function, started.elapsed());
    outcome
}
