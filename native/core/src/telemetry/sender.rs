//! The thread that sends events, one request each, in the order they were recorded.

use std::sync::mpsc;
use std::thread::JoinHandle;
use std::time::Duration;

use aws_smithy_runtime_api::client::http::{HttpConnector, HttpConnectorSettings};
use aws_smithy_runtime_api::client::orchestrator::HttpRequest;
use aws_smithy_types::body::SdkBody;
use http_body_util::BodyExt as _;
use tokio::sync::mpsc as queue;
use tokio_util::sync::CancellationToken;

use crate::credentials::Network;

/// Events that wait; the next one is dropped.
const CAPACITY: usize = 25;
const ATTEMPTS: u32 = 4;
const TIMEOUT: Duration = Duration::from_secs(10);
const LONGEST_PAUSE: f64 = 10.0;
/// TLS and its certificates need more than a thread that only waits.
const STACK_SIZE: usize = 1024 * 1024;

/// The thread and the queue before it.
#[derive(Debug)]
pub(super) struct Sender {
    events: queue::Sender<String>,
    token: CancellationToken,
    /// Closed when the thread is done.
    done: mpsc::Receiver<()>,
    thread: JoinHandle<()>,
    process: u32,
}

impl Sender {
    /// Starts the thread; `None` when the system gives none.
    pub(super) fn start(url: &str, network: &Network) -> Option<Self> {
        let (events, waiting) = queue::channel(CAPACITY);
        let (finished, done) = mpsc::channel();
        let token = CancellationToken::new();
        let (url, network, stop) = (url.to_owned(), network.clone(), token.clone());
        let thread = std::thread::Builder::new()
            .name("shotput-telemetry".into())
            .stack_size(STACK_SIZE)
            .spawn(move || {
                run(&url, &network, waiting, &stop);
                drop(finished);
            })
            .ok()?;
        Some(Self { events, token, done, thread, process: std::process::id() })
    }

    /// Whether this is the memory of a forked process, in which the thread does not exist.
    pub(super) fn is_of_another_process(&self) -> bool {
        self.process != std::process::id()
    }

    /// Queues an event, unless the queue is full or the endpoint was found not to want any.
    pub(super) fn send(&self, body: String) {
        let _ = self.events.try_send(body);
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

fn run(url: &str, network: &Network, mut waiting: queue::Receiver<String>, stop: &CancellationToken) {
    let Ok(runtime) = tokio::runtime::Builder::new_current_thread().enable_io().enable_time().build() else { return };
    let settings = HttpConnectorSettings::builder().connect_timeout(TIMEOUT).read_timeout(TIMEOUT).build();
    let Ok(connector) = network.connector(url, settings) else { return };
    runtime.block_on(async {
        let deliver_all = async {
            while let Some(body) = waiting.recv().await {
                if deliver(&connector, url, &body).await.is_none() {
                    return;
                }
            }
        };
        tokio::select! {
            () = deliver_all => {}
            () = stop.cancelled() => {}
        }
    });
    runtime.shutdown_background();
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
