//! Job bundles: `read_bundle` and `create_job_from_job_bundle`.

use std::path::PathBuf;

use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyString};
use pythonize::pythonize;
use shotput_core::attachments::progress::Progress;
use shotput_core::bundle::Bundle;
use shotput_core::config::Config;
use shotput_core::credentials::Target;
use shotput_core::service::block_on;
use shotput_core::submission::{Callbacks, Params, PauseSwitch, Submission, submit};
use shotput_core::telemetry::{Recorder, Telemetry};
use tokio_util::sync::CancellationToken;

use crate::config::given_target;
use crate::plain::{argument, path_text};
use crate::runtime::{self, Raised};
use crate::telemetry;

pub(crate) fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_function(wrap_pyfunction!(read_bundle, module)?)?;
    module.add_function(wrap_pyfunction!(create_job_from_job_bundle, module)?)?;
    module.add_class::<PyPauseSwitch>()
}

/// Holds submissions for a while.
#[pyclass(name = "PauseSwitch", module = "shotput._native", frozen)]
struct PyPauseSwitch(PauseSwitch);

#[pymethods]
impl PyPauseSwitch {
    #[new]
    fn new() -> Self {
        Self(PauseSwitch::default())
    }

    #[getter]
    fn is_paused(&self) -> bool {
        self.0.is_paused()
    }

    fn pause(&self) {
        self.0.pause();
    }

    fn resume(&self) {
        self.0.resume();
    }
}

/// The caller's callables. What one of them raises ends the submission and comes out of the call.
struct Asked {
    on_print: Option<Py<PyAny>>,
    on_hashing_progress: Option<Py<PyAny>>,
    on_upload_progress: Option<Py<PyAny>>,
    on_confirm: Option<Py<PyAny>>,
    on_continue: Option<Py<PyAny>>,
    pause: Option<PauseSwitch>,
    raised: Raised,
}

impl Asked {
    fn progress(&self, token: &CancellationToken, callable: &Py<PyAny>, progress: &Progress) -> bool {
        self.raised.call(token, |py| callable.bind(py).call1((pythonize(py, progress)?,))?.is_truthy())
    }
}

/// The members that a submission knows: others may hold what is no plain value.
pub(crate) fn known_members<'py>(params: &Bound<'py, PyDict>) -> PyResult<Bound<'py, PyAny>> {
    let known = PyDict::new(params.py());
    for member in Params::MEMBERS {
        if let Some(value) = params.get_item(member)? {
            if *member == "known_asset_paths" && !value.is_none() {
                // A text is a sequence too, of letters: "/" among them would make every file a known one.
                if value.is_instance_of::<PyString>() || value.hasattr("__fspath__")? {
                    return Err(PyTypeError::new_err(format!(
                        "known_asset_paths must be a list of paths, and is {}. Write [{}].",
                        value.repr()?,
                        value.repr()?
                    )));
                }
                let texts: Vec<_> = value.try_iter()?.map(|path| path_text(path?)).collect::<PyResult<_>>()?;
                known.set_item(member, texts)?;
            } else {
                known.set_item(member, path_text(value)?)?;
            }
        }
    }
    Ok(known.into_any())
}

fn run(
    submission: &Submission,
    asked: &Asked,
    token: &CancellationToken,
) -> Result<Option<String>, shotput_core::CoreError> {
    let print = asked.on_print.as_ref().map(|callable| {
        move |line: &str| {
            asked.raised.call(token, |py| callable.bind(py).call1((line,)).map(|_| true));
        }
    });
    let hashing = asked
        .on_hashing_progress
        .as_ref()
        .map(|callable| move |progress: Progress| asked.progress(token, callable, &progress));
    let upload = asked
        .on_upload_progress
        .as_ref()
        .map(|callable| move |progress: Progress| asked.progress(token, callable, &progress));
    let confirm = asked.on_confirm.as_ref().map(|callable| {
        move |message: &str, default: bool| {
            asked.raised.call(token, |py| callable.bind(py).call1((message, default))?.is_truthy())
        }
    });
    let go_on = asked
        .on_continue
        .as_ref()
        .map(|callable| move || asked.raised.call(token, |py| callable.bind(py).call0()?.is_truthy()));
    let callbacks = Callbacks {
        on_print: print.as_ref().map(|call| call as _),
        on_hashing_progress: hashing.as_ref().map(|call| call as _),
        on_upload_progress: upload.as_ref().map(|call| call as _),
        on_confirm: confirm.as_ref().map(|call| call as _),
        on_continue: go_on.as_ref().map(|call| call as _),
        pause: asked.pause.as_ref(),
    };
    submit(submission, &callbacks, token)
}

#[pyfunction]
#[pyo3(signature = (path, *, as_official_client=false))]
fn read_bundle(py: Python<'_>, path: PathBuf, as_official_client: bool) -> PyResult<Bound<'_, PyAny>> {
    let bundle = runtime::run(py, move |_| Ok(Bundle::read_as(&path, as_official_client)?.to_value()))?;
    Ok(pythonize(py, &bundle)?)
}

#[pyfunction]
#[pyo3(signature = (
    params, on_print=None, on_hashing_progress=None, on_upload_progress=None, on_confirm=None, on_continue=None, *,
    pause=None
))]
#[expect(clippy::too_many_arguments, reason = "the names of the Python signature")]
fn create_job_from_job_bundle<'py>(
    py: Python<'py>,
    params: &Bound<'py, PyDict>,
    on_print: Option<Py<PyAny>>,
    on_hashing_progress: Option<Py<PyAny>>,
    on_upload_progress: Option<Py<PyAny>>,
    on_confirm: Option<Py<PyAny>>,
    on_continue: Option<Py<PyAny>>,
    pause: Option<&PyPauseSwitch>,
) -> PyResult<Bound<'py, PyDict>> {
    let given = |key: &str| Ok::<_, PyErr>(params.get_item(key)?.filter(|value| !value.is_none()));
    let config_path: Option<PathBuf> = given("config_path")?.map(|path| path.extract()).transpose()?;
    let target: Option<Target> = given("target")?.map(|target| given_target(&target)).transpose()?;
    let known: Params = argument(&known_members(params)?, "params of create_job_from_job_bundle")?;
    let raised = Raised::default();
    let pause = pause.map(|switch| switch.0.clone());
    let raised_in = raised.clone();
    let asked =
        Asked { on_print, on_hashing_progress, on_upload_progress, on_confirm, on_continue, pause, raised: raised_in };
    let job_id = runtime::run_with(py, &raised, move |token| {
        // A target that was given whole leaves nothing to a file that was not named.
        let (config, telemetry) = match (&config_path, &target) {
            (None, Some(_)) => (Config::empty(), Telemetry::off()),
            _ => {
                let config = Config::read_lenient(config_path.as_deref());
                let telemetry = telemetry::client(&config, config_path.as_deref(), &token)?;
                (config, telemetry)
            }
        };
        let target = match target {
            Some(target) => target,
            None => block_on(&token, Target::resolve(&config))?,
        };
        let mut submission = Submission::resolve(known, &config, target)?;
        submission.recorder = Recorder::new(telemetry, submission.from_gui);
        run(&submission, &asked, &token)
    })?;
    let result = PyDict::new(py);
    result.set_item("job_id", job_id)?;
    Ok(result)
}
