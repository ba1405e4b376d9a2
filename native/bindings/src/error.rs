//! The one mapping from core errors to the exception classes of `shotput/errors.py`.

use pyo3::prelude::*;
use pythonize::pythonize;
use shotput_core::CoreError;

mod classes {
    use pyo3::import_exception;

    import_exception!(shotput.errors, DeadlineOperationError);
    import_exception!(shotput.errors, DeadlineOperationCanceled);
    import_exception!(shotput.errors, UserInitiatedCancel);
    import_exception!(shotput.errors, LoginCanceled);
    import_exception!(shotput.errors, CreateJobWaiterCanceled);
    import_exception!(shotput.errors, DeadlineOperationTimedOut);
    import_exception!(shotput.errors, ConfigError);
    import_exception!(shotput.errors, UnsupportedProfileTypeForLoginLogout);
    import_exception!(shotput.errors, ServiceError);
    import_exception!(shotput.errors, TemplateError);
    import_exception!(shotput.errors, BundleError);
    import_exception!(shotput.errors, AttachmentsError);
    import_exception!(shotput.errors, MissingInputsError);
    import_exception!(shotput.errors, SessionError);
    import_exception!(shotput.errors, ObjectStoreError);
    import_exception!(shotput.errors, ImageError);
}

pub(crate) use classes::DeadlineOperationError;

/// Orphan rules forbid `From<CoreError> for PyErr`; this is the newtype that `?` goes through.
pub(crate) struct Error(PyErr);

impl From<PyErr> for Error {
    fn from(err: PyErr) -> Self {
        Self(err)
    }
}

impl From<Error> for PyErr {
    fn from(err: Error) -> Self {
        err.0
    }
}

impl From<CoreError> for Error {
    fn from(err: CoreError) -> Self {
        let text = err.to_string();
        Self(match err {
            CoreError::Operation(_) => classes::DeadlineOperationError::new_err(text),
            CoreError::Canceled(_) => classes::DeadlineOperationCanceled::new_err(text),
            CoreError::UserCanceled(_) => classes::UserInitiatedCancel::new_err(text),
            CoreError::LoginCanceled(_) => classes::LoginCanceled::new_err(text),
            CoreError::WaiterCanceled(_) => classes::CreateJobWaiterCanceled::new_err(text),
            CoreError::TimedOut(_) => classes::DeadlineOperationTimedOut::new_err(text),
            CoreError::Config(_) => classes::ConfigError::new_err(text),
            CoreError::UnsupportedProfile(_) => classes::UnsupportedProfileTypeForLoginLogout::new_err(text),
            CoreError::Service { operation, code, status, .. } => {
                classes::ServiceError::new_err((text, code, operation, status))
            }
            CoreError::Template { findings, .. } => Python::attach(|py| match pythonize(py, &findings) {
                Ok(list) => classes::TemplateError::new_err((text, list.unbind())),
                Err(err) => err.into(),
            }),
            CoreError::Bundle(_) => classes::BundleError::new_err(text),
            CoreError::Attachments(_) => classes::AttachmentsError::new_err(text),
            CoreError::MissingInputs { paths, .. } => {
                let paths: Vec<String> = paths.iter().map(|path| path.to_string_lossy().into_owned()).collect();
                classes::MissingInputsError::new_err((text, paths))
            }
            CoreError::Session(_) => classes::SessionError::new_err(text),
            CoreError::ObjectStore(_) => classes::ObjectStoreError::new_err(text),
            CoreError::Image(_) => classes::ImageError::new_err(text),
        })
    }
}

pub(crate) fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add("DeadlineOperationError", module.py().get_type::<DeadlineOperationError>())
}
