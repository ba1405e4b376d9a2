//! The thread that sends events, one request each, in the order they were recorded.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, mpsc};
use std::thread::JoinHandle;
use std::time::Duration;

use aws_smithy_runtime_api::client::http::{HttpConnector, HttpConnectorSettings};
use aws_smithy_runtime_api::client::orchestrator::HttpRequest;
use aws_smithy_types::body::SdkBody;
use http_body_util::BodyExt as _;
use tokio::sync::mpsc as queue;
use tokio::sync::mpsc::error::TrySendError;
use tokio_util::sync::CancellationToken;

use crate::credentials::Network;

/// Events that wait; the next one is dropped.
const CAPACITY: usize = 25;
const ATTEMPTS: u32 = 4;
const TIMEOUT: Duration = Duration::from_secs(10);
const LONGEST_PAUSE: f64 = 10.0;
/// TLS and its certificates need more than a thread that only waits.
const STACK_SIZE: usize = 1024 * 1024;

/// A thread with nothing to send ends; the next event starts another one.
const IDLE: Duration = Duration::from_secs(5);

/// The thread and the queue before it.
#[derive(Debug)]
pub(super) struct Sender {
    events: queue::Sender<String>,
    /// The endpoint does not want events.
    refused: Arc<AtomicBool>,
    token: CancellationToken,
    /// Closed when the thread is done.
    done: mpsc::Receiver<()>,
    thread: JoinHandle<()>,
    process: u32,
}

impl Sender {
    /// Starts the thread; `None` when the system gives none.
    pub(super) fn start(url: &str, network: &Network) -> Option<Self> {
        let (events, mut waiting) = queue::channel(CAPACITY);
        let (finished, done) = mpsc::channel();
        let token = CancellationToken::new();
        let refused = Arc::new(AtomicBool::new(false));
        let theirs = Arc::clone(&refused);
        let (url, network, stop) = (url.to_owned(), network.clone(), token.clone());
        let thread = std::thread::Builder::new()
            .name("shotput-telemetry".into())
            .stack_size(STACK_SIZE)
            .spawn(move || {
                let outcome = run(&url, &network, &mut waiting, &stop);
                theirs.store(outcome.is_none(), Ordering::Relaxed);
                // Whoever finds it closed knows why.
                drop(waiting);
                drop(finished);
            })
            .ok()?;
        Some(Self { events, refused, token, done, thread, process: std::process::id() })
    }

    /// Whether this is the memory of a forked process, in which the thread does not exist.
    pub(super) fn is_of_another_process(&self) -> bool {
        self.process != std::process::id()
    }

    /// Queues an event, unless the queue is full or the endpoint was found not to want any. Gives it back when the
    /// thread has ended because there was nothing to send.
    pub(super) fn send(&self, body: String) -> Option<String> {
        match self.events.try_send(body) {
            Err(TrySendError::Closed(body)) if !self.refused.load(Ordering::Relaxed) => Some(body),
            Ok(()) | Err(_) => None,
        }
    }

    /// Waits until all is sent, but not longer than `limit`; then the thread ends in any case.
    pub(super) fn finish(self, limit: Duration) {
        if self.is_of_another_process() {
            // There is no thread to wait for, and what it locked stays locked.
            std::mem::forget(self);
            return;
        }
        drop(self.events);
        let _ = self.done.recv_timeout(limit);
        self.token.cancel();
        // A thread that panicked has nothing to tell.
        let _ = self.thread.join();
    }
}

/// Sends what comes until nothing has come for a while; `None` when no other event needs to be tried.
fn run(url: &str, network: &Network, waiting: &mut queue::Receiver<String>, stop: &CancellationToken) -> Option<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().enable_time().build().ok()?;
    let settings = HttpConnectorSettings::builder().connect_timeout(TIMEOUT).read_timeout(TIMEOUT).build();
    let connector = network.connector(url, settings).ok()?;
    let outcome = runtime.block_on(async {
        let deliver_all = async {
            while let Some(body) = next(waiting).await {
                deliver(&connector, url, &body).await?;
            }
            Some(())
        };
        tokio::select! {
            outcome = deliver_all => outcome,
            () = stop.cancelled() => None,
        }
    });
    runtime.shutdown_background();
    outcome
}

async fn next(waiting: &mut queue::Receiver<String>) -> Option<String> {
    if let Ok(next) = tokio::time::timeout(IDLE, waiting.recv()).await {
        return next;
    }
    // From now on events are given back; those that just came are still sent.
    waiting.close();
    waiting.recv().await
}

/// Sends one event; `None` when no other needs to be tried.
async fn deliver(connector: &impl HttpConnector, url: &str, body: &str) -> Option<()> {
    for attempt in 0..ATTEMPTS {
        let request = http::Request::post(url)
            .header("accept", "application-json")
            .header("content-type", "application-json")
            .body(SdkBody::from(body))
            .ok()?;
        let response = connector.call(HttpRequest::try_from(request).ok()?).await.ok()?;
        let status = response.status().as_u16();
        // A connection goes back to its pool only when the answer was read.
        response.into_body().collect().await.ok()?;
        match status {
            200..300 => return Some(()),
            429 | 500 => tokio::time::sleep(pause(attempt)).await,
            _ => return None,
        }
    }
    None
}

/// Anything between nothing and a limit that doubles, so that clients do not come back together.
fn pause(attempt: u32) -> Duration {
    let limit = LONGEST_PAUSE.min(0.5 * f64::from(2_u32.pow(attempt)));
    let share = f64::from(uuid::Uuid::new_v4().as_fields().0) / f64::from(u32::MAX);
    Duration::from_secs_f64(limit * share)
}
