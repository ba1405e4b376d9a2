//! OpenJD templates, jobs and parameter spaces.

use pyo3::exceptions::{PyIndexError, PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyList, PyString};
use pythonize::pythonize;
use serde_json::{Map, Value};
use shotput_core::error::Finding;
use shotput_core::openjd::job::{self, PathOptions};
use shotput_core::openjd::parameter_space;
use shotput_core::openjd::template::{self, TemplateKind};
use shotput_core::openjd::values::{job_parameters, task_parameters_json};
use shotput_core::openjd::{document, entity};

use crate::error::Error;
use crate::plain::{plain, refuse_deep};
use crate::runtime;

pub(crate) fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_class::<JobTemplate>()?;
    module.add_class::<EnvironmentTemplate>()?;
    module.add_class::<Job>()?;
    module.add_class::<Step>()?;
    module.add_class::<StepScript>()?;
    module.add_class::<Environment>()?;
    module.add_class::<ParameterSpace>()?;
    module.add_function(wrap_pyfunction!(check_template, module)?)?;
    module.add_function(wrap_pyfunction!(decode_job_template, module)?)?;
    module.add_function(wrap_pyfunction!(decode_environment_template, module)?)?;
    module.add_function(wrap_pyfunction!(parse_template, module)?)?;
    module.add_function(wrap_pyfunction!(create_job, module)?)?;
    module.add_function(wrap_pyfunction!(step_from_template, module)?)?;
    module.add_function(wrap_pyfunction!(environment_from_template, module)?)?;
    Ok(())
}

/// A document as text, or as plain Python values.
fn document_of(document: &Bound<'_, PyAny>) -> PyResult<Result<Value, Finding>> {
    if let Ok(text) = document.cast::<PyString>() {
        // Deeply nested text needs a stack, and a long one its time.
        let text = text.to_cow()?.into_owned();
        return runtime::run(document.py(), move |_| Ok(document::parse(&text)));
    }
    if !document.is_instance_of::<PyDict>() {
        let kind = document.get_type().name()?;
        return Err(PyTypeError::new_err(format!("A template is a str (YAML or JSON) or a dict, not {kind}.")));
    }
    if let Err(err) = refuse_deep(document) {
        return Ok(Err(Finding { path: String::new(), message: err.to_string() }));
    }
    Ok(plain::<Value>(document).map_err(|err| Finding {
        path: String::new(),
        message: format!(
            "The document holds something that is neither a text, a number, a boolean, a list nor a mapping: {err}"
        ),
    }))
}

fn valid_document(document: &Bound<'_, PyAny>, what: &str) -> PyResult<Value> {
    document_of(document)?.map_err(|finding| Error::from(template::template_error(what, vec![finding])).into())
}

fn kind_of(kind: &str) -> PyResult<TemplateKind> {
    match kind {
        "job" => Ok(TemplateKind::Job),
        "environment" => Ok(TemplateKind::Environment),
        other => Err(PyValueError::new_err(format!("kind must be 'job' or 'environment', not '{other}'."))),
    }
}

pub(crate) fn mapping_of(values: Option<&Bound<'_, PyAny>>) -> PyResult<Value> {
    match values {
        None => Ok(Value::Object(Map::new())),
        Some(values) => Ok(plain(values)?),
    }
}

#[pyfunction]
#[pyo3(signature = (document, kind = "job"))]
fn check_template<'py>(document: &Bound<'py, PyAny>, kind: &str) -> PyResult<Bound<'py, PyAny>> {
    let py = document.py();
    let kind = kind_of(kind)?;
    let findings = match document_of(document)? {
        Ok(document) => runtime::run(py, move |_| Ok(template::check(&document, kind)))?,
        Err(finding) => vec![finding],
    };
    Ok(pythonize(py, &findings)?)
}

#[pyfunction]
fn decode_job_template(document: &Bound<'_, PyAny>) -> PyResult<JobTemplate> {
    let value = valid_document(document, "The job template is not valid")?;
    runtime::run(document.py(), move |_| template::JobTemplate::decode(value)).map(JobTemplate)
}

#[pyfunction]
fn decode_environment_template(document: &Bound<'_, PyAny>) -> PyResult<EnvironmentTemplate> {
    let value = valid_document(document, "The environment template is not valid")?;
    runtime::run(document.py(), move |_| template::EnvironmentTemplate::decode(value)).map(EnvironmentTemplate)
}

#[pyfunction]
fn parse_template(py: Python<'_>, text: String) -> PyResult<Bound<'_, PyAny>> {
    let value = runtime::run(py, move |_| {
        document::parse(&text).map_err(|finding| template::template_error("The template cannot be read", vec![finding]))
    })?;
    Ok(pythonize(py, &value)?)
}

#[pyfunction]
#[pyo3(signature = (template, parameter_values = None, *, environment_templates = None, job_template_dir = None, current_dir = None))]
fn create_job(
    template: &Bound<'_, PyAny>,
    parameter_values: Option<&Bound<'_, PyAny>>,
    environment_templates: Option<Vec<Bound<'_, PyAny>>>,
    job_template_dir: Option<String>,
    current_dir: Option<String>,
) -> PyResult<Job> {
    let py = template.py();
    let template = match template.cast::<JobTemplate>() {
        Ok(decoded) => decoded.get().clone(),
        Err(_) => decode_job_template(template)?,
    };
    let Value::Object(values) = mapping_of(parameter_values)? else {
        return Err(PyTypeError::new_err("parameter_values is a dict of names to values."));
    };
    let environments: Vec<template::EnvironmentTemplate> = environment_templates
        .unwrap_or_default()
        .iter()
        .map(|environment| match environment.cast::<EnvironmentTemplate>() {
            Ok(decoded) => Ok(decoded.get().0.clone()),
            Err(_) => decode_environment_template(environment).map(|decoded| decoded.0),
        })
        .collect::<PyResult<_>>()?;
    runtime::run(py, move |_| {
        job::create_job(&template.0, &values, &environments, &PathOptions { job_template_dir, current_dir })
    })
    .map(Job)
}

#[pyfunction]
#[pyo3(signature = (template, parameters = None, *, schema_version = "jobtemplate-2023-09", extensions = None, job_name = None))]
fn step_from_template(
    template: &Bound<'_, PyAny>,
    parameters: Option<&Bound<'_, PyAny>>,
    schema_version: &str,
    extensions: Option<Vec<String>>,
    job_name: Option<String>,
) -> PyResult<Step> {
    let value = valid_document(template, "The template of the step is not valid")?;
    let parameters = mapping_of(parameters)?;
    let schema_version = schema_version.to_string();
    runtime::run(template.py(), move |_| {
        entity::step(&value, &job_parameters(&parameters)?, &schema_version, extensions.as_deref(), job_name.as_deref())
    })
    .map(Step)
}

#[pyfunction]
#[pyo3(signature = (template, parameters = None, *, schema_version = "jobtemplate-2023-09", extensions = None))]
fn environment_from_template(
    template: &Bound<'_, PyAny>,
    parameters: Option<&Bound<'_, PyAny>>,
    schema_version: &str,
    extensions: Option<Vec<String>>,
) -> PyResult<Environment> {
    let value = valid_document(template, "The template of the environment is not valid")?;
    let parameters = mapping_of(parameters)?;
    let schema_version = schema_version.to_string();
    runtime::run(template.py(), move |_| {
        entity::environment(&value, &job_parameters(&parameters)?, &schema_version, extensions.as_deref())
    })
    .map(Environment)
}

#[pyclass(frozen, skip_from_py_object, module = "shotput._native")]
#[derive(Clone)]
pub(crate) struct JobTemplate(template::JobTemplate);

#[pymethods]
impl JobTemplate {
    #[getter]
    fn name(&self) -> &str {
        self.0.name()
    }

    #[getter]
    fn step_names(&self) -> Vec<&str> {
        self.0.step_names()
    }

    #[getter]
    fn document<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        Ok(pythonize(py, self.0.document())?)
    }

    fn __repr__(&self) -> String {
        format!("<JobTemplate {:?}, {} steps>", self.name(), self.0.step_names().len())
    }
}

#[pyclass(frozen, module = "shotput._native")]
pub(crate) struct EnvironmentTemplate(template::EnvironmentTemplate);

#[pymethods]
impl EnvironmentTemplate {
    #[getter]
    fn name(&self) -> &str {
        self.0.name()
    }

    #[getter]
    fn document<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        Ok(pythonize(py, self.0.document())?)
    }

    fn __repr__(&self) -> String {
        format!("<EnvironmentTemplate {:?}>", self.name())
    }
}

#[pyclass(frozen, module = "shotput._native")]
pub(crate) struct Job(pub(crate) job::Job);

#[pymethods]
impl Job {
    #[getter]
    fn name(&self) -> &str {
        self.0.name()
    }

    #[getter]
    fn description(&self) -> Option<&str> {
        self.0.description()
    }

    #[getter]
    fn parameters<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        Ok(pythonize(py, &self.0.parameters_json())?)
    }

    #[getter]
    fn steps(&self) -> Vec<Step> {
        self.0.steps().iter().cloned().map(Step).collect()
    }

    #[getter]
    fn queue_environments(&self) -> Vec<Environment> {
        self.0.queue_environments().iter().cloned().map(Environment).collect()
    }

    #[getter]
    fn job_environments(&self) -> Vec<Environment> {
        self.0.job_environments().iter().cloned().map(Environment).collect()
    }

    fn to_dict<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        Ok(pythonize(py, &self.0.to_json())?)
    }

    fn __repr__(&self) -> String {
        format!("<Job {:?}, {} steps>", self.name(), self.0.steps().len())
    }
}

#[pyclass(frozen, module = "shotput._native")]
pub(crate) struct Step(pub(crate) job::Step);

#[pymethods]
impl Step {
    #[getter]
    fn name(&self) -> &str {
        self.0.name()
    }

    #[getter]
    fn dependencies(&self) -> Vec<&str> {
        self.0.dependencies()
    }

    #[getter]
    fn host_requirements<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        Ok(pythonize(py, &self.0.host_requirements_json())?)
    }

    #[getter]
    fn environments(&self) -> Vec<Environment> {
        self.0.environments().iter().cloned().map(Environment).collect()
    }

    #[getter]
    fn script(&self) -> StepScript {
        StepScript(self.0.script().clone())
    }

    #[getter]
    fn parameter_space(&self) -> ParameterSpace {
        ParameterSpace(self.0.clone())
    }

    fn to_dict<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        Ok(pythonize(py, &self.0.to_json())?)
    }

    fn __repr__(&self) -> String {
        format!("<Step {:?}, {} tasks>", self.name(), self.0.parameter_space().len())
    }
}

#[pyclass(frozen, module = "shotput._native")]
pub(crate) struct StepScript(pub(crate) job::StepScript);

#[pymethods]
impl StepScript {
    #[getter]
    fn step_name(&self) -> &str {
        self.0.step_name()
    }

    fn to_dict<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        Ok(pythonize(py, &self.0.to_json())?)
    }

    fn __repr__(&self) -> String {
        format!("<StepScript of {:?}>", self.step_name())
    }
}

#[pyclass(frozen, module = "shotput._native")]
pub(crate) struct Environment(pub(crate) job::Environment);

#[pymethods]
impl Environment {
    #[getter]
    fn name(&self) -> &str {
        self.0.name()
    }

    fn to_dict<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        Ok(pythonize(py, &self.0.to_json())?)
    }

    fn __repr__(&self) -> String {
        format!("<Environment {:?}>", self.name())
    }
}

/// Holds the step, whose space it is.
#[pyclass(frozen, module = "shotput._native", sequence)]
pub(crate) struct ParameterSpace(job::Step);

impl ParameterSpace {
    fn space(&self) -> &parameter_space::ParameterSpace {
        self.0.parameter_space()
    }

    fn past_the_end(&self, ordinal: i64) -> PyErr {
        PyIndexError::new_err(format!(
            "There is no task {ordinal}: the step '{}' has {} tasks, counted from 0.",
            self.0.name(),
            self.space().len()
        ))
    }
}

#[pymethods]
impl ParameterSpace {
    fn __len__(&self) -> PyResult<usize> {
        usize::try_from(self.space().len()).map_err(|err| PyValueError::new_err(err.to_string()))
    }

    #[getter]
    fn names(&self) -> Vec<&str> {
        self.space().names()
    }

    #[getter]
    fn task_count(&self) -> u64 {
        self.space().task_count()
    }

    #[getter]
    fn is_adaptive(&self) -> bool {
        self.space().is_adaptive()
    }

    #[getter]
    fn chunk_parameter(&self) -> Option<&str> {
        self.space().chunk_parameter()
    }

    #[getter]
    fn default_task_count(&self) -> Option<u64> {
        self.space().default_task_count()
    }

    #[getter]
    fn target_runtime_seconds(&self) -> Option<u64> {
        self.space().target_runtime_seconds()
    }

    #[getter]
    fn range_constraint(&self) -> Option<&'static str> {
        self.space().range_constraint()
    }

    fn get<'py>(&self, py: Python<'py>, ordinal: i64) -> PyResult<Bound<'py, PyAny>> {
        let parameters = u64::try_from(ordinal).ok().and_then(|ordinal| self.space().get(ordinal));
        let parameters = parameters.ok_or_else(|| self.past_the_end(ordinal))?;
        Ok(pythonize(py, &task_parameters_json(&parameters))?)
    }

    fn __getitem__<'py>(&self, py: Python<'py>, ordinal: i64) -> PyResult<Bound<'py, PyAny>> {
        self.get(py, ordinal)
    }

    fn slice<'py>(&self, py: Python<'py>, start: i64, stop: i64) -> PyResult<Bound<'py, PyList>> {
        if start < 0 || stop < 0 {
            return Err(PyValueError::new_err(format!(
                "A slice of tasks counts from 0, but {start} to {stop} was asked for."
            )));
        }
        let stop = (stop as u64).min(self.space().len());
        let list = PyList::empty(py);
        for ordinal in start as u64..stop {
            list.append(self.get(py, ordinal as i64)?)?;
        }
        Ok(list)
    }

    fn chunk<'py>(&self, py: Python<'py>, offset: i64, count: u64) -> PyResult<(Bound<'py, PyAny>, u64)> {
        let chunk = u64::try_from(offset).ok().and_then(|offset| self.space().chunk(offset, count));
        let chunk = chunk.ok_or_else(|| self.past_the_end(offset))?;
        Ok((pythonize(py, &task_parameters_json(&chunk.parameters))?, chunk.count))
    }

    fn to_dict<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        Ok(pythonize(py, &self.space().to_json())?)
    }

    fn __repr__(&self) -> String {
        let adaptive = if self.space().is_adaptive() { ", adaptive" } else { "" };
        format!("<ParameterSpace of {:?}, {} tasks{adaptive}>", self.0.name(), self.space().len())
    }
}
