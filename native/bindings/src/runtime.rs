//! How a blocking call runs: off the caller's stack, without the GIL, interruptible.
//!
//! Threads of a DCC can have small stacks, so the work runs on a thread of our own. The calling thread waits without the
//! GIL and looks for signals now and then, so that `KeyboardInterrupt` comes out of the call.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use pyo3::exceptions::PyRuntimeError;
use pyo3::prelude::*;
use shotput_core::CoreError;
use tokio_util::sync::CancellationToken;

use crate::error::Error;

const STACK_SIZE: usize = 8 * 1024 * 1024;
const SIGNAL_CHECK: Duration = Duration::from_millis(50);

/// Where a callback leaves the Python exception that it raised, so that it comes out of the call unchanged.
#[derive(Clone, Default)]
pub(crate) struct Raised(Arc<Mutex<Option<PyErr>>>);

impl Raised {
    /// Keeps the first exception.
    pub(crate) fn set(&self, err: PyErr) {
        let mut slot = self.0.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        slot.get_or_insert(err);
    }

    /// Runs the caller's Python code. What it raises is kept, ends the work by its token and counts as no.
    pub(crate) fn call(&self, token: &CancellationToken, code: impl FnOnce(Python<'_>) -> PyResult<bool>) -> bool {
        Python::attach(code).unwrap_or_else(|err| {
            self.set(err);
            token.cancel();
            false
        })
    }

    fn take(&self) -> Option<PyErr> {
        self.0.lock().unwrap_or_else(|poisoned| poisoned.into_inner()).take()
    }
}

/// Runs `work` on a thread of our own. The token is cancelled when a signal handler raises.
pub(crate) fn run<T, F>(py: Python<'_>, work: F) -> PyResult<T>
where
    T: Send + 'static,
    F: FnOnce(CancellationToken) -> Result<T, CoreError> + Send + 'static,
{
    run_with(py, &Raised::default(), work)
}

/// As [`run`], for work with callbacks: an exception in `raised` wins over the result.
pub(crate) fn run_with<T, F>(py: Python<'_>, raised: &Raised, work: F) -> PyResult<T>
where
    T: Send + 'static,
    F: FnOnce(CancellationToken) -> Result<T, CoreError> + Send + 'static,
{
    let token = CancellationToken::new();
    let (sender, receiver) = mpsc::channel();
    let receiver = Mutex::new(receiver);
    let thread_token = token.clone();
    std::thread::Builder::new()
        .name("shotput-call".into())
        .stack_size(STACK_SIZE)
        .spawn(move || {
            let outcome = catch_unwind(AssertUnwindSafe(|| work(thread_token)));
            // The receiver lives until an outcome came.
            let _ = sender.send(outcome);
        })
        .map_err(|err| PyRuntimeError::new_err(format!("Cannot start a thread for the call: {err}")))?;
    let mut interrupted = None;
    let outcome = loop {
        let received = py.detach(|| {
            // `Receiver` is not `Sync`, which `detach` asks of what it borrows; the lock is never contended.
            let receiver = receiver.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
            receiver.recv_timeout(SIGNAL_CHECK)
        });
        match received {
            Ok(outcome) => break outcome,
            Err(RecvTimeoutError::Disconnected) => {
                return Err(PyRuntimeError::new_err("The thread of the call ended without a result"));
            }
            Err(RecvTimeoutError::Timeout) => {
                if interrupted.is_none()
                    && let Err(err) = py.check_signals()
                {
                    token.cancel();
                    interrupted = Some(err);
                }
            }
        }
    };
    if let Some(err) = interrupted.or_else(|| raised.take()) {
        return Err(err);
    }
    match outcome {
        Ok(Ok(value)) => Ok(value),
        Ok(Err(err)) => Err(Error::from(err).into()),
        Err(panic) => {
            let text = panic
                .downcast_ref::<String>()
                .map(String::as_str)
                .or_else(|| panic.downcast_ref::<&str>().copied())
                .unwrap_or("unknown panic");
            Err(PyRuntimeError::new_err(format!(
                "Internal error in the native module: {text}. Please report it with `shotput report`."
            )))
        }
    }
}
