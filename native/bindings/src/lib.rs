//! The Python module `shotput._native`: registration only.

mod attachments;
mod auth;
mod awaitable;
mod config;
mod diagnosis;
mod error;
mod images;
mod manifests;
mod objects;
mod plain;
mod preparation;
mod resources;
mod runtime;
mod sessions;
mod submission;
mod telemetry;
mod template;

use pyo3::prelude::*;

#[pymodule]
fn _native(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add("__version__", env!("CARGO_PKG_VERSION"))?;
    error::register(module)?;
    runtime::register(module)?;
    awaitable::register(module)?;
    config::register(module)?;
    auth::register(module)?;
    resources::register(module)?;
    diagnosis::register(module)?;
    submission::register(module)?;
    telemetry::register(module)?;
    attachments::register(module)?;
    manifests::register(module)?;
    preparation::register(module)?;
    template::register(module)?;
    sessions::register(module)?;
    objects::register(module)?;
    images::register(module)?;
    Ok(())
}
