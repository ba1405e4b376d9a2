//! The object store server.

use std::path::PathBuf;
use std::sync::Arc;

use pyo3::prelude::*;
use shotput_core::objects::{AccessKey, ObjectStore};

use crate::error::Error;
use crate::runtime::{self, Detached};

/// A folder behind the S3 protocol.
#[pyclass(name = "ObjectStore", module = "shotput._native", frozen)]
struct PyObjectStore(Detached<Arc<ObjectStore>>);

#[pymethods]
impl PyObjectStore {
    #[new]
    #[pyo3(signature = (root, *, host = "127.0.0.1", port = 0))]
    fn new(root: PathBuf, host: &str, port: u16) -> Self {
        Self(Detached::new(Arc::new(ObjectStore::new(&root, host, port))))
    }

    fn start(&self, py: Python<'_>) -> PyResult<()> {
        let store = Arc::clone(&self.0);
        runtime::run(py, move |_| store.start())
    }

    #[getter]
    fn endpoint(&self, py: Python<'_>) -> PyResult<String> {
        Ok(py.detach(|| self.0.endpoint()).map_err(Error::from)?)
    }

    #[pyo3(signature = (
        access_key_id, secret_access_key, session_token = None, *, bucket, prefix = "", expires_at = None,
        read_only = false
    ))]
    #[expect(clippy::too_many_arguments, reason = "keywords in Python")]
    fn add_credentials(
        &self,
        py: Python<'_>,
        access_key_id: String,
        secret_access_key: String,
        session_token: Option<String>,
        bucket: String,
        prefix: &str,
        expires_at: Option<f64>,
        read_only: bool,
    ) -> PyResult<()> {
        let key =
            AccessKey { secret_access_key, session_token, bucket, prefix: prefix.to_owned(), expires_at, read_only };
        Ok(py.detach(|| self.0.add_credentials(&access_key_id, key)).map_err(Error::from)?)
    }

    fn remove_credentials(&self, py: Python<'_>, access_key_id: &str) -> bool {
        py.detach(|| self.0.remove_credentials(access_key_id))
    }

    fn close(&self, py: Python<'_>) {
        py.detach(|| self.0.close());
    }

    fn __enter__<'py>(slf: Bound<'py, Self>, py: Python<'py>) -> PyResult<Bound<'py, Self>> {
        slf.get().start(py)?;
        Ok(slf)
    }

    #[pyo3(signature = (*_exception))]
    fn __exit__(&self, py: Python<'_>, _exception: &Bound<'_, pyo3::types::PyTuple>) {
        self.close(py);
    }
}

pub(crate) fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_class::<PyObjectStore>()
}
