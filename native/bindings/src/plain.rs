//! Plain values from Python.

use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyList, PyTuple};
use pythonize::{PythonizeError, depythonize};
use serde::de::{DeserializeOwned, Error as _};

/// As deep as a template's text may be; the caller's stack, which can be a small one, holds it.
const MAX_DEPTH: usize = 128;

/// A value of Python's, as what the core takes.
pub(crate) fn plain<T: DeserializeOwned>(value: &Bound<'_, PyAny>) -> Result<T, PythonizeError> {
    refuse_deep(value)?;
    depythonize(value)
}

/// [`plain`] for the argument `what` of a call: of another shape it is a `TypeError`, also where a member is missing.
pub(crate) fn argument<T: DeserializeOwned>(value: &Bound<'_, PyAny>, what: &str) -> PyResult<T> {
    plain(value).map_err(|err| PyTypeError::new_err(format!("{what}: {err}")))
}

/// `os.PathLike` as text; anything else as it is.
pub(crate) fn path_text(value: Bound<'_, PyAny>) -> PyResult<Bound<'_, PyAny>> {
    if value.hasattr("__fspath__")? { value.call_method0("__fspath__") } else { Ok(value) }
}

/// Refuses what would need more stack than there is; a list that holds itself, too.
pub(crate) fn refuse_deep(value: &Bound<'_, PyAny>) -> Result<(), PythonizeError> {
    if is_deeper_than(MAX_DEPTH, value) {
        return Err(PythonizeError::custom(format!(
            "The value is nested more than {MAX_DEPTH} levels deep, or holds itself."
        )));
    }
    Ok(())
}

fn is_deeper_than(levels: usize, value: &Bound<'_, PyAny>) -> bool {
    let inner: Vec<Bound<'_, PyAny>> = if let Ok(dict) = value.cast::<PyDict>() {
        dict.values().iter().collect()
    } else if let Ok(list) = value.cast::<PyList>() {
        list.iter().collect()
    } else if let Ok(tuple) = value.cast::<PyTuple>() {
        tuple.iter().collect()
    } else {
        return false;
    };
    levels == 0 || inner.iter().any(|item| is_deeper_than(levels - 1, item))
}
