//! The steps of a submission before anything is hashed, one by one, for callers that take them one by one.

use std::collections::BTreeMap;
use std::path::PathBuf;

use pyo3::prelude::*;
use pyo3::types::{PyAny, PyDict, PyList};
use pythonize::pythonize;
use serde_json::{Value, json};
use shotput_core::attachments::grouping::{self, References};
use shotput_core::attachments::hash;
use shotput_core::bundle::AssetReferences;
use shotput_core::bundle::parameters::{self, Parameter};

use crate::error::Error;
use crate::plain::plain;
use crate::runtime;

pub(crate) fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_function(wrap_pyfunction!(apply_job_parameters, module)?)?;
    module.add_function(wrap_pyfunction!(coerce_parameter, module)?)?;
    module.add_function(wrap_pyfunction!(get_parameter_control, module)?)?;
    module.add_function(wrap_pyfunction!(compare_parameters, module)?)?;
    module.add_function(wrap_pyfunction!(group_paths, module)?)?;
    module.add_function(wrap_pyfunction!(hash_bytes, module)?)
}

#[pyfunction]
#[pyo3(signature = (parameters, values, current_dir=None, *, allow_uris=false))]
fn apply_job_parameters<'py>(
    py: Python<'py>,
    parameters: &Bound<'py, PyAny>,
    values: &Bound<'py, PyAny>,
    current_dir: Option<PathBuf>,
    allow_uris: bool,
) -> Result<Bound<'py, PyAny>, Error> {
    let mut applied: Vec<Parameter> = plain(parameters).map_err(PyErr::from)?;
    let given: BTreeMap<String, Value> = plain(values).map_err(PyErr::from)?;
    let given: Vec<_> = given.into_iter().collect();
    let current_dir = match current_dir {
        Some(folder) => folder,
        None => std::env::current_dir().map_err(PyErr::from)?,
    };
    parameters::apply(&mut applied, &given, &current_dir, allow_uris)?;
    let mut references = AssetReferences::default();
    references.add_parameters(&applied, allow_uris);
    let result = json!({ "parameters": applied, "assetReferences": references.to_document()["assetReferences"] });
    Ok(pythonize(py, &result).map_err(PyErr::from)?)
}

#[pyfunction]
fn coerce_parameter<'py>(
    definition: &Bound<'py, PyAny>,
    value: &Bound<'py, PyAny>,
) -> Result<Bound<'py, PyAny>, Error> {
    let py = value.py();
    let (definition, value): (Parameter, Value) =
        (plain(definition).map_err(PyErr::from)?, plain(value).map_err(PyErr::from)?);
    Ok(pythonize(py, &parameters::coerce(&definition, &value)?).map_err(PyErr::from)?)
}

#[pyfunction]
fn get_parameter_control(definition: &Bound<'_, PyAny>) -> Result<String, Error> {
    let definition: Value = plain(definition).map_err(PyErr::from)?;
    let parameter = parameters::check_definition(&definition, "the call", false)?;
    let named = parameter.get("userInterface").and_then(|interface| interface.get("control")).and_then(Value::as_str);
    Ok(named.unwrap_or_else(|| parameters::infer_control(&parameter)).to_owned())
}

#[pyfunction]
fn compare_parameters(one: &Bound<'_, PyAny>, other: &Bound<'_, PyAny>) -> PyResult<Vec<&'static str>> {
    let (one, other): (Parameter, Parameter) = (plain(one)?, plain(other)?);
    Ok(parameters::differences(&one, &other))
}

#[pyfunction]
#[pyo3(signature = (
    input_files=Vec::new(), output_directories=Vec::new(), referenced_paths=Vec::new(), *,
    locations=None, require_paths_exist=false
))]
fn group_paths<'py>(
    py: Python<'py>,
    input_files: Vec<PathBuf>,
    output_directories: Vec<PathBuf>,
    referenced_paths: Vec<PathBuf>,
    locations: Option<&Bound<'py, PyAny>>,
    require_paths_exist: bool,
) -> PyResult<Bound<'py, PyDict>> {
    let locations: Value = locations.map(plain).transpose()?.unwrap_or_default();
    let locations = grouping::locations(&json!({ "fileSystemLocations": locations }));
    let references = References { input_files, input_directories: Vec::new(), output_directories, referenced_paths };
    let prepared =
        runtime::run(py, move |token| grouping::prepare(&references, &locations, require_paths_exist, &token))?;
    // Built by hand: names of files need not be UTF-8, and JSON must be.
    let groups = PyList::empty(py);
    for group in &prepared.groups {
        let texts = |paths: &[PathBuf]| paths.iter().map(|path| path.as_os_str().to_owned()).collect::<Vec<_>>();
        let inputs: Vec<_> = group.inputs.iter().map(|input| input.path.as_os_str()).collect();
        let entry = PyDict::new(py);
        entry.set_item("root", group.root.as_os_str())?;
        entry.set_item("location_name", &group.location_name)?;
        entry.set_item("inputs", inputs)?;
        entry.set_item("outputs", texts(&group.outputs))?;
        entry.set_item("references", texts(&group.references))?;
        groups.append(entry)?;
    }
    let result = PyDict::new(py);
    result.set_item("groups", groups)?;
    result.set_item("total_files", prepared.total_files)?;
    result.set_item("total_bytes", prepared.total_bytes)?;
    result.set_item("warnings", prepared.warnings)?;
    Ok(result)
}

#[pyfunction]
fn hash_bytes(py: Python<'_>, data: &[u8]) -> String {
    py.detach(|| hash::hash_bytes(data))
}
