//! OpenJD sessions.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use pyo3::exceptions::{PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyList};
use pythonize::pythonize;
use serde_json::{Value, json};
use shotput_core::CoreError;
use shotput_core::openjd::sessions::{
    self, ActionStatus, CancelRequest, Event, LogLine, PathMappingRule, SessionOptions, Sink, TaskRun,
    find_orphans as core_find_orphans, kill_orphans as core_kill_orphans,
};
use shotput_core::openjd::values::{job_parameters, task_parameters};

use crate::plain::plain;
use crate::runtime::{self, Detached, Raised};
use crate::template::{Environment, StepScript, mapping_of};

/// Rules in either spelling: `source_path` as OpenJD's files have it, `sourcePath` as the service does.
fn rules_of(rules: Option<&Bound<'_, PyAny>>) -> PyResult<Vec<PathMappingRule>> {
    let Some(rules) = rules else { return Ok(Vec::new()) };
    let rules: Vec<Value> = plain(rules)?;
    let field = |rule: &Value, snake: &str, camel: &str| {
        rule.get(snake).or_else(|| rule.get(camel)).cloned().unwrap_or_default()
    };
    rules
        .iter()
        .map(|rule| {
            let format = field(rule, "source_path_format", "sourcePathFormat");
            let plain = json!({
                "source_path_format": format.as_str().map(str::to_uppercase),
                "source_path": field(rule, "source_path", "sourcePath"),
                "destination_path": field(rule, "destination_path", "destinationPath"),
            });
            serde_json::from_value(plain).map_err(|err| {
                PyValueError::new_err(format!(
                    "The path mapping rule {rule} cannot be used: {err}. It needs source_path_format (POSIX or WINDOWS), source_path and destination_path."
                ))
            })
        })
        .collect()
}

pub(crate) fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_class::<Session>()?;
    module.add_function(wrap_pyfunction!(find_orphans, module)?)?;
    module.add_function(wrap_pyfunction!(kill_orphans, module)?)?;
    Ok(())
}

#[pyfunction]
fn find_orphans(py: Python<'_>, marker: &str) -> Vec<u32> {
    py.detach(|| core_find_orphans(marker))
}

#[pyfunction]
fn kill_orphans(py: Python<'_>, marker: String) -> PyResult<usize> {
    runtime::run(py, move |_| core_kill_orphans(&marker))
}

type Variables = Option<HashMap<String, String>>;

fn pairs(variables: Variables) -> Vec<(String, String)> {
    variables.unwrap_or_default().into_iter().collect()
}

#[pyclass(frozen, module = "shotput._native")]
struct Session {
    inner: Detached<Arc<sessions::Session>>,
    raised: Raised,
}

impl Session {
    /// Runs `work`; what callbacks raised until its end comes out.
    fn run<T, F>(&self, py: Python<'_>, work: F) -> PyResult<T>
    where
        T: Send + 'static,
        F: FnOnce(&sessions::Session) -> Result<T, CoreError> + Send + 'static,
    {
        let inner = Arc::clone(&self.inner);
        // A callback that calls back is on the thread that the flush would wait for.
        let flush = !inner.in_callback();
        runtime::run_with(py, &self.raised, move |token| {
            inner.interrupt_with(token);
            let outcome = work(&inner);
            if flush {
                inner.flush();
            }
            outcome
        })
    }
}

#[pymethods]
impl Session {
    #[new]
    #[pyo3(signature = (
        session_id, *, parameters = None, path_mapping_rules = None, session_root = None, environment = None, log = None,
        status = None, retain_working_dir = false, low_priority = false, marker = None
    ))]
    #[expect(clippy::too_many_arguments, reason = "keyword-only in Python")]
    fn new(
        py: Python<'_>,
        session_id: String,
        parameters: Option<&Bound<'_, PyAny>>,
        path_mapping_rules: Option<&Bound<'_, PyAny>>,
        session_root: Option<PathBuf>,
        environment: Variables,
        log: Option<Py<PyAny>>,
        status: Option<Py<PyAny>>,
        retain_working_dir: bool,
        low_priority: bool,
        marker: Option<String>,
    ) -> PyResult<Self> {
        for (name, callback) in [("log", &log), ("status", &status)] {
            if let Some(callback) = callback
                && !callback.bind(py).is_callable()
            {
                return Err(PyTypeError::new_err(format!("{name} must be callable or None.")));
            }
        }
        let parameters = mapping_of(parameters)?;
        let rules = rules_of(path_mapping_rules)?;
        let raised = Raised::default();
        let sink = (log.is_some() || status.is_some()).then(|| sink(log, status, raised.clone()));
        let inner = runtime::run(py, move |_| {
            sessions::Session::new(SessionOptions {
                session_id,
                parameters: job_parameters(&parameters)?,
                path_mapping_rules: rules,
                session_root,
                environment: pairs(environment),
                retain_working_dir,
                low_priority,
                marker,
                sink,
            })
        })?;
        Ok(Self { inner: Detached::new(Arc::new(inner)), raised })
    }

    #[getter]
    fn session_id(&self) -> &str {
        self.inner.id()
    }

    #[getter]
    fn working_directory(&self) -> String {
        self.inner.working_directory().to_string_lossy().into_owned()
    }

    #[getter]
    fn state(&self) -> &'static str {
        self.inner.state().as_str()
    }

    #[getter]
    fn environments_entered(&self) -> Vec<String> {
        self.inner.environments_entered()
    }

    #[getter]
    fn action_status<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyAny>>> {
        self.inner.action_status().map(|status| Ok(pythonize(py, &status)?)).transpose()
    }

    #[pyo3(signature = (environment, *, identifier = None, variables = None))]
    fn enter_environment<'py>(
        &self,
        py: Python<'py>,
        environment: &Bound<'py, Environment>,
        identifier: Option<String>,
        variables: Variables,
    ) -> PyResult<Bound<'py, PyAny>> {
        let environment = environment.get().0.clone();
        let status =
            self.run(py, move |session| session.enter_environment(&environment, identifier, &pairs(variables)))?;
        Ok(pythonize(py, &status)?)
    }

    #[pyo3(signature = (identifier, *, keep_running = false, variables = None))]
    fn exit_environment<'py>(
        &self,
        py: Python<'py>,
        identifier: String,
        keep_running: bool,
        variables: Variables,
    ) -> PyResult<Bound<'py, PyAny>> {
        let status =
            self.run(py, move |session| session.exit_environment(&identifier, keep_running, &pairs(variables)))?;
        Ok(pythonize(py, &status)?)
    }

    #[pyo3(signature = (script, parameters = None, *, variables = None))]
    fn run_task<'py>(
        &self,
        py: Python<'py>,
        script: &Bound<'py, StepScript>,
        parameters: Option<&Bound<'py, PyAny>>,
        variables: Variables,
    ) -> PyResult<Bound<'py, PyAny>> {
        let script = script.get().0.clone();
        let parameters = mapping_of(parameters)?;
        let status = self.run(py, move |session| {
            let task = TaskRun { parameters: task_parameters(&parameters)?, environment: pairs(variables) };
            session.run_task(&script, task)
        })?;
        Ok(pythonize(py, &status)?)
    }

    #[pyo3(signature = (script, parameters, *, variables = None))]
    fn run_tasks<'py>(
        &self,
        py: Python<'py>,
        script: &Bound<'py, StepScript>,
        parameters: Vec<Bound<'py, PyAny>>,
        variables: Option<Vec<HashMap<String, String>>>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let script = script.get().0.clone();
        let count = parameters.len();
        let variables = variables.unwrap_or_else(|| vec![HashMap::new(); count]);
        if variables.len() != count {
            return Err(PyValueError::new_err(format!(
                "There are {count} tasks, but variables for {}.",
                variables.len()
            )));
        }
        let parameters =
            parameters.iter().map(|parameters| mapping_of(Some(parameters))).collect::<PyResult<Vec<_>>>()?;
        let statuses = self.run(py, move |session| {
            let tasks = parameters
                .iter()
                .zip(variables)
                .map(|(parameters, variables)| {
                    Ok(TaskRun {
                        parameters: task_parameters(parameters)?,
                        environment: variables.into_iter().collect(),
                    })
                })
                .collect::<Result<Vec<_>, CoreError>>()?;
            session.run_tasks(&script, &tasks)
        })?;
        Ok(pythonize(py, &statuses)?)
    }

    #[pyo3(signature = (*, time_limit = None, mark_failed = false))]
    fn cancel(&self, py: Python<'_>, time_limit: Option<f64>, mark_failed: bool) -> PyResult<bool> {
        let limit = time_limit.map(Duration::try_from_secs_f64).transpose();
        let time_limit = limit.map_err(|_| PyValueError::new_err("time_limit is a number of seconds, 0 or more."))?;
        Ok(py.detach(|| self.inner.cancel(CancelRequest { time_limit, mark_failed })))
    }

    fn flush(&self, py: Python<'_>) -> PyResult<()> {
        self.run(py, |_| Ok(()))
    }

    fn close(&self, py: Python<'_>) -> PyResult<()> {
        self.run(py, sessions::Session::close)
    }

    fn __repr__(&self) -> String {
        format!("<Session {:?}, {}>", self.inner.id(), self.inner.state().as_str())
    }
}

/// Calls into Python, on the session's own thread. An interpreter that ends is no longer told.
fn sink(log: Option<Py<PyAny>>, status: Option<Py<PyAny>>, raised: Raised) -> Sink {
    Box::new(move |events| {
        Python::try_attach(|py| {
            let mut lines: Vec<LogLine> = Vec::new();
            for event in events {
                match event {
                    Event::Log(line) if log.is_some() => lines.push(line),
                    Event::Log(_) => {}
                    Event::Status(new) => {
                        if let Some(status) = &status {
                            tell_lines(py, log.as_ref(), &mut lines, &raised);
                            keep(tell_status(py, status, &new), &raised);
                        }
                    }
                }
            }
            tell_lines(py, log.as_ref(), &mut lines, &raised);
        });
    })
}

fn keep(outcome: PyResult<()>, raised: &Raised) {
    if let Err(err) = outcome {
        raised.set(err);
    }
}

fn tell_status(py: Python<'_>, status: &Py<PyAny>, new: &ActionStatus) -> PyResult<()> {
    status.call1(py, (pythonize(py, new)?,)).map(drop)
}

fn tell_lines(py: Python<'_>, log: Option<&Py<PyAny>>, lines: &mut Vec<LogLine>, raised: &Raised) {
    let Some(log) = log.filter(|_| !lines.is_empty()) else { return };
    let call = || {
        let list = PyList::empty(py);
        for line in lines.iter() {
            let dict = PyDict::new(py);
            dict.set_item(pyo3::intern!(py, "timestamp"), line.timestamp)?;
            dict.set_item(pyo3::intern!(py, "message"), &line.message)?;
            dict.set_item(pyo3::intern!(py, "action"), line.action)?;
            list.append(dict)?;
        }
        log.call1(py, (list,)).map(drop)
    };
    keep(call(), raised);
    lines.clear();
}
