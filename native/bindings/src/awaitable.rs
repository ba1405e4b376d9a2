//! Awaitable calls: a function of this module on a thread of its own, for asyncio.
//!
//! The function is the blocking one, so that there is one way to do a thing. Cancelling what is awaited ends its work
//! by the call's token.

use std::any::Any;
use std::future::Future;
use std::pin::Pin;
use std::sync::Mutex;
use std::task::{Context, Poll};

use pyo3::exceptions::PyRuntimeError;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyTuple};
use pyo3_async_runtimes::TaskLocals;
use pyo3_async_runtimes::generic::{self, ContextExt, JoinError, Runtime};
use tokio::runtime::Handle;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::runtime::{Running, STACK_SIZE, with_token};

pub(crate) fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_function(wrap_pyfunction!(call_async, module)?)
}

#[pyfunction]
#[pyo3(signature = (function, args, kwargs=None))]
fn call_async<'py>(
    py: Python<'py>,
    function: Py<PyAny>,
    args: Py<PyTuple>,
    kwargs: Option<Py<PyDict>>,
) -> PyResult<Bound<'py, PyAny>> {
    // Dropped with the future: when it is done, or when whoever awaited it was cancelled.
    let token = CancellationToken::new();
    let guard = token.clone().drop_guard();
    let (sender, receiver) = tokio::sync::oneshot::channel();
    let work = move || {
        let running = Running::enter(&token);
        let outcome = with_token(&token, || {
            Python::attach(|py| {
                let kwargs = kwargs.as_ref().map(|kwargs| kwargs.bind(py));
                let outcome = function.bind(py).call(args.bind(py), kwargs).map(Bound::unbind);
                // Python's values go while the interpreter is there.
                drop((function, args));
                outcome
            })
        });
        // Nobody waits any more when it was cancelled.
        let _ = sender.send(outcome);
        drop(running);
    };
    let start = move || std::thread::Builder::new().name("shotput-call".into()).stack_size(STACK_SIZE).spawn(work);
    generic::future_into_py::<Waiters, _, _>(py, async move {
        let _guard = guard;
        start().map_err(|err| PyRuntimeError::new_err(format!("Cannot start a thread for the call: {err}")))?;
        receiver.await.unwrap_or_else(|_| Err(PyRuntimeError::new_err("The thread of the call ended without a result")))
    })
}

/// The tasks that wait for calls. They do nothing else, so one thread is enough for all.
struct Waiters;

/// Which process the threads are of, and the way to them.
static HANDLE: Mutex<Option<(u32, Handle)>> = Mutex::new(None);

fn handle() -> Handle {
    let mut held = HANDLE.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
    let process = std::process::id();
    if let Some((of, handle)) = &*held
        && *of == process
    {
        return handle.clone();
    }
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .thread_name("shotput-await")
        .enable_all()
        .build()
        .unwrap_or_else(|err| panic!("cannot start a thread for awaitable calls: {err}"));
    let handle = runtime.handle().clone();
    // It lives as long as the process. In a forked one the old one has no threads and cannot be ended.
    std::mem::forget(runtime);
    std::mem::forget(held.replace((process, handle.clone())));
    handle
}

impl Runtime for Waiters {
    type JoinError = Failure;
    type JoinHandle = Joined;

    fn spawn<F>(fut: F) -> Self::JoinHandle
    where
        F: Future<Output = ()> + Send + 'static,
    {
        Joined(handle().spawn(fut))
    }

    fn spawn_blocking<F>(f: F) -> Self::JoinHandle
    where
        F: FnOnce() + Send + 'static,
    {
        let running = Running::enter(&CancellationToken::new());
        Joined(handle().spawn_blocking(move || {
            f();
            drop(running);
        }))
    }
}

tokio::task_local! {
    static LOCALS: TaskLocals;
}

impl ContextExt for Waiters {
    fn scope<F, R>(locals: TaskLocals, fut: F) -> Pin<Box<dyn Future<Output = R> + Send>>
    where
        F: Future<Output = R> + Send + 'static,
    {
        Box::pin(LOCALS.scope(locals, fut))
    }

    fn get_task_locals() -> Option<TaskLocals> {
        LOCALS.try_with(Clone::clone).ok()
    }
}

/// A task of [`Waiters`].
struct Joined(JoinHandle<()>);

impl Future for Joined {
    type Output = Result<(), Failure>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        Pin::new(&mut self.0).poll(cx).map_err(Failure)
    }
}

/// A task that did not end well.
struct Failure(tokio::task::JoinError);

impl JoinError for Failure {
    fn is_panic(&self) -> bool {
        self.0.is_panic()
    }

    fn into_panic(self) -> Box<dyn Any + Send + 'static> {
        self.0.into_panic()
    }
}
