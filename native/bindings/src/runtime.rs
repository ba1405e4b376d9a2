//! How a blocking call runs: off the caller's stack, without the GIL, interruptible.
//!
//! Threads of a DCC can have small stacks, so the work runs on a thread of our own. The calling thread waits without the
//! GIL and looks for signals now and then, so that `KeyboardInterrupt` comes out of the call.
//!
//! A thread and a runtime are made for each call. Measured on two busy cores they cost 0.15 to 0.3 ms, of the 1.8 ms that
//! a `GetFarm` over loopback takes; in return nothing outlives a call, so that a fork finds no threads that it would lose.
//!
//! A thread that comes back from a call while the interpreter shuts down is ended by it, through our frames, which no
//! Rust program survives. So calls are ended and waited for before the interpreter goes.

use std::cell::RefCell;
use std::collections::HashMap;
use std::ops::Deref;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::thread::{self, ThreadId};
use std::time::{Duration, Instant};

use pyo3::exceptions::PyRuntimeError;
use pyo3::prelude::*;
use shotput_core::CoreError;
use shotput_core::telemetry::Recorder;
use tokio_util::sync::CancellationToken;

use crate::error::Error;

pub(crate) const STACK_SIZE: usize = 8 * 1024 * 1024;
const SIGNAL_CHECK: Duration = Duration::from_millis(50);
/// How long the exit of the interpreter waits for calls that were told to end.
const LAST_WAIT: Duration = Duration::from_secs(5);

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
    let (outcome, interrupted) = match given_token() {
        // The caller's thread is one of ours, with a token of its own: an awaitable call.
        Some(token) => (py.detach(|| catch_unwind(AssertUnwindSafe(|| work(token)))), None),
        None => on_a_thread(py, work)?,
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

/// Runs something quick that may wait for a disk, on the caller's thread.
pub(crate) fn briefly<T: Send>(py: Python<'_>, work: impl FnOnce() -> Result<T, CoreError> + Send) -> PyResult<T> {
    refuse_when_closing()?;
    let running = Running::enter(&CancellationToken::new());
    let outcome = py.detach(work);
    drop(running);
    outcome.map_err(|err| Error::from(err).into())
}

/// What an object of Python's holds. Its drop may have to wait for a thread or a disk, and does so without the GIL.
pub(crate) struct Detached<T: Send>(Option<T>);

impl<T: Send> Detached<T> {
    pub(crate) fn new(value: T) -> Self {
        Self(Some(value))
    }
}

impl<T: Send> Deref for Detached<T> {
    type Target = T;

    fn deref(&self) -> &T {
        self.0.as_ref().unwrap_or_else(|| unreachable!("only the drop takes it"))
    }
}

impl<T: Send> Drop for Detached<T> {
    fn drop(&mut self) {
        let value = self.0.take();
        // While the interpreter shuts down there may be nobody left to give the GIL to; then it is dropped all the same.
        let _ = Python::try_attach(move |py| py.detach(move || drop(value)));
    }
}

type Outcome<T> = thread::Result<Result<T, CoreError>>;

fn on_a_thread<T, F>(py: Python<'_>, work: F) -> PyResult<(Outcome<T>, Option<PyErr>)>
where
    T: Send + 'static,
    F: FnOnce(CancellationToken) -> Result<T, CoreError> + Send + 'static,
{
    refuse_when_closing()?;
    let token = CancellationToken::new();
    // Until this thread has the GIL again.
    let _running = Running::enter(&token);
    let (sender, receiver) = mpsc::channel();
    let receiver = Mutex::new(receiver);
    let thread_token = token.clone();
    thread::Builder::new()
        .name("shotput-call".into())
        .stack_size(STACK_SIZE)
        .spawn(move || {
            let outcome = catch_unwind(AssertUnwindSafe(|| work(thread_token)));
            // The receiver lives until an outcome came.
            let _ = sender.send(outcome);
        })
        .map_err(|err| PyRuntimeError::new_err(format!("Cannot start a thread for the call: {err}")))?;
    let mut interrupted = None;
    loop {
        let received = py.detach(|| {
            // `Receiver` is not `Sync`, which `detach` asks of what it borrows; the lock is never contended.
            let receiver = receiver.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
            receiver.recv_timeout(SIGNAL_CHECK)
        });
        match received {
            Ok(outcome) => return Ok((outcome, interrupted)),
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
    }
}

thread_local! {
    static GIVEN: RefCell<Option<CancellationToken>> = const { RefCell::new(None) };
}

fn given_token() -> Option<CancellationToken> {
    GIVEN.with_borrow(Clone::clone)
}

/// Runs `code` on a thread of our own; the calls in it are ended by `token`.
pub(crate) fn with_token<T>(token: &CancellationToken, code: impl FnOnce() -> T) -> T {
    let before = GIVEN.replace(Some(token.clone()));
    let outcome = code();
    GIVEN.set(before);
    outcome
}

/// The calls that run.
struct Calls {
    /// A fork has the memory of its parent's calls and none of their threads.
    process: u32,
    tokens: Option<HashMap<u64, CancellationToken>>,
    last: u64,
    /// The thread in which the interpreter shuts down.
    closing: Option<ThreadId>,
}

static CALLS: Mutex<Calls> = Mutex::new(Calls { process: 0, tokens: None, last: 0, closing: None });
static ENDED: Condvar = Condvar::new();

fn calls() -> MutexGuard<'static, Calls> {
    let mut calls = CALLS.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
    let process = std::process::id();
    if calls.process != process {
        // Tokens may be locked by threads that are not there.
        std::mem::forget(calls.tokens.take());
        calls.process = process;
        calls.closing = None;
    }
    calls
}

/// A call while it runs, until it needs Python no more.
pub(crate) struct Running(u64);

impl Running {
    /// Notes a call that `token` ends.
    pub(crate) fn enter(token: &CancellationToken) -> Self {
        let mut calls = calls();
        calls.last += 1;
        let number = calls.last;
        calls.tokens.get_or_insert_default().insert(number, token.clone());
        Self(number)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        calls().tokens.get_or_insert_default().remove(&self.0);
        ENDED.notify_all();
    }
}

fn refuse_when_closing() -> PyResult<()> {
    if calls().closing.is_some_and(|thread| thread != thread::current().id()) {
        return Err(PyRuntimeError::new_err("The interpreter is shutting down; no call can be made."));
    }
    Ok(())
}

/// Ends all calls and waits for them: the interpreter shuts down.
#[pyfunction]
fn end_calls(py: Python<'_>) {
    py.detach(|| {
        let mut calls = calls();
        calls.closing = Some(thread::current().id());
        let deadline = Instant::now() + LAST_WAIT;
        loop {
            let tokens = calls.tokens.get_or_insert_default();
            if tokens.is_empty() {
                break;
            }
            for token in tokens.values() {
                token.cancel();
            }
            let Some(left) = deadline.checked_duration_since(Instant::now()) else { break };
            calls = ENDED.wait_timeout(calls, left).unwrap_or_else(|poisoned| poisoned.into_inner()).0;
        }
        drop(calls);
        // What the last calls told.
        Recorder::close_shared();
    });
}

pub(crate) fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    // Threads that are no daemons have ended before what is registered here is called.
    let end_calls = wrap_pyfunction!(end_calls, module)?;
    module.py().import("atexit")?.call_method1("register", (end_calls,)).map(drop)
}
