//! The bounded queue between a session and its owner, and the thread that empties it.

use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::thread::{self, JoinHandle, ThreadId};
use std::time::{Duration, SystemTime};

use super::ActionStatus;
use crate::error::{CoreError, Result};

/// Lines that wait at most; then the process that writes them waits.
const MOST_EVENTS: usize = 8192;
/// Bytes that wait at most, as lines can be long.
const MOST_BYTES: usize = 8 << 20;
/// A batch is handed over at once when it has this many events.
const FULL_BATCH: usize = 512;
/// How long a first event waits for company: a call into Python costs more than a line.
const LINGER: Duration = Duration::from_millis(20);

/// A line of a session's log.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct LogLine {
    /// Milliseconds since the epoch.
    pub timestamp: u64,
    /// The text, secrets replaced.
    pub message: String,
    /// Number of the action it belongs to, 0 outside of any.
    pub action: u64,
}

/// What a session tells.
#[derive(Debug, Clone, PartialEq)]
pub enum Event {
    /// A line of its log.
    Log(LogLine),
    /// A change of its running action.
    Status(ActionStatus),
}

/// Who is told, on a thread of the session: events in their order, never an empty batch.
pub type Sink = Box<dyn Fn(Vec<Event>) + Send + Sync>;

pub(super) struct Events {
    shared: Arc<Shared>,
    dispatcher: Mutex<Option<JoinHandle<()>>>,
    dispatcher_id: Option<ThreadId>,
}

struct Shared {
    queue: Mutex<Queue>,
    /// Something came in, or nothing more will.
    work: Condvar,
    /// Something went out.
    space: Condvar,
}

#[derive(Default)]
struct Queue {
    events: VecDeque<Event>,
    bytes: usize,
    delivering: bool,
    waiting_for_flush: usize,
    closed: bool,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}

impl Events {
    pub(super) fn new(session_id: &str, sink: Option<Sink>) -> Result<Self> {
        let shared = Arc::new(Shared { queue: Mutex::default(), work: Condvar::new(), space: Condvar::new() });
        let Some(sink) = sink else {
            shared.lock().closed = true;
            return Ok(Self { shared, dispatcher: Mutex::new(None), dispatcher_id: None });
        };
        let theirs = Arc::clone(&shared);
        let dispatcher = thread::Builder::new()
            .name("shotput-events".into())
            .spawn(move || dispatch(&theirs, &sink))
            .map_err(|err| {
            CoreError::Session(format!("The session '{session_id}' cannot start a thread for its log: {err}."))
        })?;
        let dispatcher_id = Some(dispatcher.thread().id());
        Ok(Self { shared, dispatcher: Mutex::new(Some(dispatcher)), dispatcher_id })
    }

    pub(super) fn log(&self, action: u64, message: impl Into<String>) {
        let timestamp = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_millis() as u64;
        self.push(Event::Log(LogLine { timestamp, message: message.into(), action }));
    }

    pub(super) fn status(&self, status: ActionStatus) {
        self.push(Event::Status(status));
    }

    /// The caller is the dispatcher, that is, code that was called with events.
    pub(super) fn is_dispatcher(&self) -> bool {
        self.dispatcher_id == Some(thread::current().id())
    }

    fn push(&self, event: Event) {
        let mut queue = self.shared.lock();
        while !queue.closed && (queue.events.len() >= MOST_EVENTS || queue.bytes >= MOST_BYTES) && !self.is_dispatcher()
        {
            queue = self.shared.space.wait(queue).unwrap_or_else(|poisoned| poisoned.into_inner());
        }
        if queue.closed {
            return;
        }
        queue.bytes += size(&event);
        queue.events.push_back(event);
        if queue.events.len() == 1 || queue.events.len() == FULL_BATCH {
            self.shared.work.notify_one();
        }
    }

    /// Waits until everything that came in so far was handed over. Nothing to wait for when called from the owner's callback.
    pub(super) fn flush(&self) {
        if self.is_dispatcher() {
            return;
        }
        let mut queue = self.shared.lock();
        queue.waiting_for_flush += 1;
        self.shared.work.notify_one();
        while !queue.events.is_empty() || queue.delivering {
            queue = self.shared.space.wait(queue).unwrap_or_else(|poisoned| poisoned.into_inner());
        }
        queue.waiting_for_flush -= 1;
    }

    /// Hands over what is left and ends the thread, without waiting.
    pub(super) fn close(&self) {
        self.shared.lock().closed = true;
        self.shared.work.notify_one();
        self.shared.space.notify_all();
    }

    /// Waits for the end of the thread after [`Self::close`].
    pub(super) fn join(&self) {
        if self.is_dispatcher() {
            return;
        }
        let dispatcher = self.dispatcher.lock().unwrap_or_else(|poisoned| poisoned.into_inner()).take();
        if let Some(dispatcher) = dispatcher {
            // A sink that panics loses its events, not the session.
            let _ = dispatcher.join();
        }
    }
}

impl Drop for Events {
    fn drop(&mut self) {
        self.close();
    }
}

fn size(event: &Event) -> usize {
    match event {
        Event::Log(line) => line.message.len(),
        Event::Status(_) => 0,
    }
}

fn dispatch(shared: &Shared, sink: &Sink) {
    let mut queue = shared.lock();
    loop {
        while queue.events.is_empty() {
            if queue.closed {
                return;
            }
            queue = shared.work.wait(queue).unwrap_or_else(|poisoned| poisoned.into_inner());
        }
        let in_no_hurry =
            |queue: &mut Queue| !queue.closed && queue.waiting_for_flush == 0 && queue.events.len() < FULL_BATCH;
        let waited = shared.work.wait_timeout_while(queue, LINGER, in_no_hurry);
        queue = waited.unwrap_or_else(|poisoned| poisoned.into_inner()).0;
        let batch = Vec::from(std::mem::take(&mut queue.events));
        queue.bytes = 0;
        queue.delivering = true;
        drop(queue);
        let _ = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| sink(batch)));
        queue = shared.lock();
        queue.delivering = false;
        shared.space.notify_all();
    }
}
