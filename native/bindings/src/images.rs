//! Contact sheets and image comparison.

use std::path::PathBuf;

use pyo3::prelude::*;
use shotput_core::images;

use crate::runtime;

#[pyfunction]
fn image_size(py: Python<'_>, path: PathBuf) -> PyResult<(u32, u32)> {
    runtime::run(py, move |_| images::image_size(&path))
}

#[pyfunction]
fn thumbnail(py: Python<'_>, path: PathBuf, destination: PathBuf, size: u32) -> PyResult<()> {
    runtime::run(py, move |_| images::thumbnail(&path, &destination, size))
}

#[pyfunction]
#[pyo3(signature = (paths, destination, *, columns, thumbnail_size, labels = None))]
fn contact_sheet(
    py: Python<'_>,
    paths: Vec<PathBuf>,
    destination: PathBuf,
    columns: u32,
    thumbnail_size: u32,
    labels: Option<Vec<String>>,
) -> PyResult<()> {
    runtime::run(py, move |token| {
        images::contact_sheet(&paths, &destination, columns, thumbnail_size, labels.as_deref(), &token)
    })
}

#[pyfunction]
fn mean_difference(py: Python<'_>, a: PathBuf, b: PathBuf) -> PyResult<f64> {
    runtime::run(py, move |_| images::mean_difference(&a, &b))
}

pub(crate) fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_function(wrap_pyfunction!(image_size, module)?)?;
    module.add_function(wrap_pyfunction!(thumbnail, module)?)?;
    module.add_function(wrap_pyfunction!(contact_sheet, module)?)?;
    module.add_function(wrap_pyfunction!(mean_difference, module)?)
}
