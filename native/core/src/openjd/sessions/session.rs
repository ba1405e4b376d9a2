//! A session: a folder, a stack of environments, and one action at a time.

use std::collections::HashMap;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::sync::{Condvar, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use openjd_expr::path_mapping::PathMappingRule;
use openjd_model::types::{JobParameterValues, TaskParameterSet};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::directives::Secrets;
use super::events::{Events, Sink};
use super::orphans::{MARKER_VARIABLE, SESSION_VARIABLE, kill_marked};
use super::symbols::Scope;
use super::{ActionState, ActionStatus, CancelRequest};
use crate::error::{CoreError, Result};
use crate::openjd::job::Environment;

/// How long closing waits for a running action that it killed.
const CLOSE_PATIENCE: Duration = Duration::from_secs(30);

/// What a session is made of.
pub struct SessionOptions {
    /// Names the session; in the log, in the name of its folder and in the environment of its processes.
    pub session_id: String,
    /// Bound job parameters.
    pub parameters: JobParameterValues,
    /// Where paths of the submitting machine lie on this one.
    pub path_mapping_rules: Vec<PathMappingRule>,
    /// Folder in which the session makes its own (default: the system's for temporary files).
    pub session_root: Option<PathBuf>,
    /// Variables for all processes, added to those of this process.
    pub environment: Vec<(String, String)>,
    /// Keep the folder when the session is closed.
    pub retain_working_dir: bool,
    /// Processes yield to everything else on the machine.
    pub low_priority: bool,
    /// By what the owner finds the processes of all its sessions again, should it be killed.
    pub marker: Option<String>,
    /// Who hears of log lines and statuses.
    pub sink: Option<Sink>,
}

/// What a session can do next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SessionState {
    /// Anything.
    Ready,
    /// An action runs.
    Running,
    /// Something did not succeed, or an environment was exited: only exit environments.
    ReadyEnding,
    /// Nothing: it is closed.
    Ended,
}

impl SessionState {
    /// As OpenJD writes it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Ready => "READY",
            Self::Running => "RUNNING",
            Self::ReadyEnding => "READY_ENDING",
            Self::Ended => "ENDED",
        }
    }
}

/// One task to run.
#[derive(Debug, Clone, Default)]
pub struct TaskRun {
    /// Its parameters.
    pub parameters: TaskParameterSet,
    /// Variables for its processes alone.
    pub environment: Vec<(String, String)>,
}

/// A session. Methods that run something block; they may be called from any thread, one at a time.
pub struct Session {
    pub(super) id: String,
    pub(super) folder: PathBuf,
    pub(super) files_folder: PathBuf,
    pub(super) retain: bool,
    pub(super) low_priority: bool,
    pub(super) scope: Scope,
    pub(super) variables: HashMap<OsString, OsString>,
    pub(super) events: Events,
    pub(super) state: Mutex<State>,
    pub(super) idle: Condvar,
}

pub(super) struct State {
    pub(super) phase: SessionState,
    pub(super) entered: Vec<Entered>,
    pub(super) secrets: Secrets,
    pub(super) actions: u64,
    pub(super) cancel: Option<watch::Sender<Option<CancelRequest>>>,
    pub(super) last: Option<ActionStatus>,
    pub(super) interrupt: CancellationToken,
}

/// How the running call can be ended from elsewhere.
#[derive(Clone)]
pub(super) struct Cancel {
    pub(super) request: watch::Receiver<Option<CancelRequest>>,
    pub(super) interrupt: CancellationToken,
}

impl Cancel {
    pub(super) fn requested(&self) -> bool {
        self.interrupt.is_cancelled() || self.request.borrow().is_some()
    }
}

pub(super) struct Entered {
    pub(super) id: String,
    pub(super) environment: Environment,
    /// In their order; `None` unsets.
    pub(super) changes: Vec<(String, Option<String>)>,
}

impl Session {
    /// Makes the session's folder; runs nothing.
    pub fn new(options: SessionOptions) -> Result<Self> {
        let root = options.session_root.unwrap_or_else(std::env::temp_dir);
        let unusable = |path: &Path, err: std::io::Error| {
            CoreError::Session(format!(
                "The folder of the session '{}' cannot be made in {}: {err}.",
                options.session_id,
                path.display()
            ))
        };
        let root = std::path::absolute(&root).map_err(|err| unusable(&root, err))?;
        std::fs::create_dir_all(&root).map_err(|err| unusable(&root, err))?;
        let plain = |character: char| {
            if character.is_ascii_alphanumeric() || "-_.".contains(character) { character } else { '_' }
        };
        let prefix: String = options.session_id.chars().map(plain).take(100).chain(['-']).collect();
        let mut builder = tempfile::Builder::new();
        builder.prefix(&prefix);
        // Scripts of jobs hold what other users of the machine should not read.
        #[cfg(unix)]
        builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o700));
        let folder = builder.tempdir_in(&root).map_err(|err| unusable(&root, err))?;
        let files_folder = folder.path().join("embedded_files");
        std::fs::create_dir(&files_folder).map_err(|err| unusable(folder.path(), err))?;
        let scope = Scope::new(options.parameters, options.path_mapping_rules, folder.path())?;
        let mut variables: HashMap<OsString, OsString> = std::env::vars_os().collect();
        variables.insert("OPENJD_SESSION_WORKING_DIR".into(), folder.path().into());
        variables.insert("DEADLINE_SESSION_ID".into(), options.session_id.clone().into());
        variables.extend(options.environment.into_iter().map(|(name, value)| (name.into(), value.into())));
        variables.insert(SESSION_VARIABLE.into(), options.session_id.clone().into());
        match options.marker {
            Some(marker) => variables.insert(MARKER_VARIABLE.into(), marker.into()),
            None => variables.remove(std::ffi::OsStr::new(MARKER_VARIABLE)),
        };
        let events = Events::new(&options.session_id, options.sink)?;
        let session = Self {
            id: options.session_id,
            folder: folder.keep(),
            files_folder,
            retain: options.retain_working_dir,
            low_priority: options.low_priority,
            scope,
            variables,
            events,
            state: Mutex::new(State {
                phase: SessionState::Ready,
                entered: Vec::new(),
                secrets: Secrets::default(),
                actions: 0,
                cancel: None,
                last: None,
                interrupt: CancellationToken::new(),
            }),
            idle: Condvar::new(),
        };
        session.events.log(0, format!("Session {} ({}, {})", session.id, std::env::consts::OS, std::env::consts::ARCH));
        session.events.log(0, format!("Working directory: {}", session.folder.display()));
        Ok(session)
    }

    /// Its name.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// The folder in which its processes start.
    pub fn working_directory(&self) -> &Path {
        &self.folder
    }

    /// What it can do next.
    pub fn state(&self) -> SessionState {
        self.lock().phase
    }

    /// Ids of the environments that are entered, the innermost last.
    pub fn environments_entered(&self) -> Vec<String> {
        self.lock().entered.iter().map(|entered| entered.id.clone()).collect()
    }

    /// How the newest action stands or ended.
    pub fn action_status(&self) -> Option<ActionStatus> {
        self.lock().last.clone()
    }

    /// Ends the running action, and what its call would run after it. False when nothing runs.
    pub fn cancel(&self, request: CancelRequest) -> bool {
        let state = self.lock();
        match &state.cancel {
            Some(cancel) => {
                cancel.send_replace(Some(request));
                true
            }
            None => false,
        }
    }

    /// The next call that runs something ends, as by [`Self::cancel`], when `token` is cancelled.
    pub fn interrupt_with(&self, token: CancellationToken) {
        let mut state = self.lock();
        if state.phase != SessionState::Running {
            state.interrupt = token;
        }
    }

    /// Waits until everything that happened so far was told.
    pub fn flush(&self) {
        self.events.flush();
    }

    /// The caller is being called by the session.
    pub fn in_callback(&self) -> bool {
        self.events.is_dispatcher()
    }

    /// Kills what runs, everything that was left running, and removes the folder unless it is retained. Environments are not
    /// exited: that is the owner's to do before. May be called twice.
    pub fn close(&self) -> Result<()> {
        let mut state = self.lock();
        let deadline = Instant::now() + CLOSE_PATIENCE;
        while state.phase == SessionState::Running {
            if let Some(cancel) = &state.cancel {
                cancel.send_replace(Some(CancelRequest { time_limit: Some(Duration::ZERO), mark_failed: false }));
            }
            if self.events.is_dispatcher() || Instant::now() > deadline {
                return Err(CoreError::Session(format!(
                    "The session '{}' cannot be closed while an action runs in it. Wait for its end.",
                    self.id
                )));
            }
            state = self
                .idle
                .wait_timeout(state, Duration::from_millis(100))
                .unwrap_or_else(|poisoned| poisoned.into_inner())
                .0;
        }
        let first = state.phase != SessionState::Ended;
        state.phase = SessionState::Ended;
        drop(state);
        if !first {
            return Ok(());
        }
        let cleaned = self.clean_up();
        if let Err(err) = &cleaned {
            self.events.log(0, err.to_string());
        }
        self.events.flush();
        self.events.close();
        self.events.join();
        cleaned
    }

    fn clean_up(&self) -> Result<()> {
        // A persistent program that an environment started and did not stop.
        kill_marked(&[&format!("{SESSION_VARIABLE}={}", self.id)])?;
        if self.retain {
            return Ok(());
        }
        self.events.log(0, format!("Removing {}", self.folder.display()));
        match std::fs::remove_dir_all(&self.folder) {
            Err(err) if err.kind() != std::io::ErrorKind::NotFound => Err(CoreError::Session(format!(
                "The folder of the session '{}' cannot be removed: {}: {err}.",
                self.id,
                self.folder.display()
            ))),
            _ => Ok(()),
        }
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    pub(super) fn begin(&self, check: impl FnOnce(&State) -> Result<(), String>) -> Result<Cancel> {
        self.begin_with(false, check)
    }

    /// Makes the session busy, or says why it cannot be.
    pub(super) fn begin_with(&self, ending: bool, check: impl FnOnce(&State) -> Result<(), String>) -> Result<Cancel> {
        let mut state = self.lock();
        let refused = match state.phase {
            SessionState::Ready => None,
            SessionState::ReadyEnding if ending => None,
            SessionState::ReadyEnding => Some(
                "is ending, because an action did not succeed or an environment was exited. Only environments can be exited now.",
            ),
            SessionState::Running => Some("is busy: another action runs in it. Wait for its end, or cancel it."),
            SessionState::Ended => Some("is closed. Make another one."),
        };
        if let Some(refused) = refused {
            return Err(CoreError::Session(format!("The session '{}' {refused}", self.id)));
        }
        check(&state).map_err(CoreError::Session)?;
        let (sender, receiver) = watch::channel(None);
        state.phase = SessionState::Running;
        state.cancel = Some(sender);
        Ok(Cancel { request: receiver, interrupt: state.interrupt.clone() })
    }

    pub(super) fn end(&self, status: ActionStatus, ending: bool) -> ActionStatus {
        let succeeded = status.state == ActionState::Success;
        self.rest(if succeeded && !ending { SessionState::Ready } else { SessionState::ReadyEnding });
        status
    }

    pub(super) fn rest(&self, phase: SessionState) {
        let mut state = self.lock();
        state.phase = phase;
        state.cancel = None;
        drop(state);
        self.idle.notify_all();
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        if self.lock().phase != SessionState::Ended {
            // Nobody is left to be told; what remains is seen in the folder.
            let _ = self.clean_up();
        }
    }
}
