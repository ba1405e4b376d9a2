//! Sessions: the environments and tasks of a job, run as subprocesses, one after another.
//!
//! Templates are resolved by `openjd-model` and `openjd-expr`; the subprocesses are ours. `openjd-sessions` 0.6.0 was tried
//! first and measured against this (2 cores, a process of 300 MB resident, `/bin/true`):
//! - it forks, because it sets up its children by `pre_exec`, and a fork copies the page tables of the process that hosts
//!   us: 44 to 82 tasks/s where `posix_spawn` does 870/s;
//! - a task that is canceled with `NOTIFY_THEN_TERMINATE` is killed about 6 s later, whatever `notifyPeriodInSeconds` grants,
//!   and its output is read for 1 s of that;
//! - a child that leaves the process group outlives the kill, and children read the standard input of the host;
//! - its log lines go through the process-global `log` facade, which belongs to the host.
//!
//! What its older releases lacked it has by now (a cancel handle; environments exit after a canceled task), and the order of
//! things here follows it: a session is a stack of environments, whoever ran something that did not succeed can only end.
//!
//! Events (log lines and statuses, in their order) go through a bounded queue to a thread that calls the owner. The thread
//! that reads a process's output never calls anybody.

mod command;
mod directives;
mod events;
mod files;
mod orphans;
mod process;
mod session;
mod symbols;

pub use openjd_expr::path_mapping::PathMappingRule;

pub use events::{Event, LogLine, Sink};
pub use orphans::{MARKER_VARIABLE, SESSION_VARIABLE, find_orphans, kill_orphans};
pub use session::{Session, SessionOptions, SessionState, TaskRun};

use std::time::{Duration, SystemTime};

/// How an action stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum ActionState {
    /// Its process runs.
    Running,
    /// Exit code 0, and no `openjd_fail`.
    Success,
    /// It could not start, failed, or said so.
    Failed,
    /// It was canceled.
    Canceled,
    /// Its time was up.
    Timeout,
}

/// How an action stands, with what it said of itself. Times are epoch seconds.
#[derive(Debug, Clone, PartialEq, serde::Serialize)]
pub struct ActionStatus {
    /// Number of the action within its session, from 1.
    pub action: u64,
    /// `enter`, `exit` or `task`.
    pub kind: &'static str,
    /// Place of the task in its batch; `None` for environments.
    pub task_index: Option<usize>,
    /// The environment; `None` for tasks.
    pub environment_id: Option<String>,
    /// How it stands.
    pub state: ActionState,
    /// Percent, from `openjd_progress`.
    pub progress: Option<f64>,
    /// From `openjd_status`.
    pub status_message: Option<String>,
    /// From `openjd_fail`, or why the action could not run.
    pub fail_message: Option<String>,
    /// Of the process; minus the signal's number when a signal ended it. `None` when nothing ran.
    pub exit_code: Option<i32>,
    /// When it began.
    pub started_at: f64,
    /// When it ended.
    pub ended_at: Option<f64>,
}

/// A request to end the running action.
#[derive(Debug, Clone, Copy, Default)]
pub struct CancelRequest {
    /// At most so long until it is killed; zero kills at once. `None` leaves it to the template.
    pub time_limit: Option<Duration>,
    /// Report it as failed rather than canceled.
    pub mark_failed: bool,
}

fn epoch_seconds() -> f64 {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs_f64()
}
