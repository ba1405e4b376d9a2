//! A session: a folder, a stack of environments, and one action at a time.

use std::collections::HashMap;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::sync::{Condvar, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use openjd_expr::format_string::FormatStringOptions;
use openjd_expr::path_mapping::PathMappingRule;
use openjd_expr::symbol_table::SymbolTable;
use openjd_expr::{ExprType, ExprValue};
use openjd_model::job::Action;
use openjd_model::types::{JobParameterValues, ModelExtension, TaskParameterSet};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::command::{self, ResolvedAction};
use super::directives::{Directive, OutputFilter, Secrets};
use super::events::{Events, Sink};
use super::files::Files;
use super::orphans::{MARKER_VARIABLE, SESSION_VARIABLE, kill_marked};
use super::process::{self, Answer, Ended, Heard, Start};
use super::symbols::Scope;
use super::{ActionState, ActionStatus, CancelRequest, epoch_seconds};
use crate::error::{CoreError, Result};
use crate::openjd::job::{Environment, StepScript};

/// The schema's grace for tasks and for environments that name none.
const TASK_NOTIFY: Duration = Duration::from_secs(120);
const ENVIRONMENT_NOTIFY: Duration = Duration::from_secs(30);
/// The schema's time for `onExit` without a timeout.
const EXIT_TIMEOUT: Duration = Duration::from_secs(300);
/// How long closing waits for a running action that it killed.
const CLOSE_PATIENCE: Duration = Duration::from_secs(30);
/// The schema's limit for the value of an environment variable.
const LONGEST_VARIABLE: usize = 2048;

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
    id: String,
    folder: PathBuf,
    files_folder: PathBuf,
    retain: bool,
    low_priority: bool,
    scope: Scope,
    variables: HashMap<OsString, OsString>,
    events: Events,
    state: Mutex<State>,
    idle: Condvar,
}

struct State {
    phase: SessionState,
    entered: Vec<Entered>,
    secrets: Secrets,
    actions: u64,
    cancel: Option<watch::Sender<Option<CancelRequest>>>,
    last: Option<ActionStatus>,
    interrupt: CancellationToken,
}

/// How the running call can be ended from elsewhere.
#[derive(Clone)]
pub(super) struct Cancel {
    pub(super) request: watch::Receiver<Option<CancelRequest>>,
    pub(super) interrupt: CancellationToken,
}

impl Cancel {
    fn requested(&self) -> bool {
        self.interrupt.is_cancelled() || self.request.borrow().is_some()
    }
}

struct Entered {
    id: String,
    environment: Environment,
    /// In their order; `None` unsets.
    changes: Vec<(String, Option<String>)>,
}

/// One action on its way.
struct Run<'a> {
    kind: &'static str,
    title: String,
    task_index: Option<usize>,
    environment_id: Option<String>,
    redaction: bool,
    environment: &'a [(String, String)],
}

/// What an action changed for those after it.
struct Outcome {
    status: ActionStatus,
    changes: Vec<(String, Option<String>)>,
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
        // 0700, as all temporary folders.
        let folder = tempfile::Builder::new().prefix(&prefix).tempdir_in(&root).map_err(|err| unusable(&root, err))?;
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

    /// Sets the environment's variables and runs its `onEnter`. It counts as entered, and is to be exited, however that ends.
    ///
    /// # Errors
    /// [`CoreError::Session`] when the session is busy, ending or closed, or the identifier is taken. What goes wrong in the
    /// action is in its status.
    pub fn enter_environment(
        &self,
        environment: &Environment,
        identifier: Option<String>,
        variables: &[(String, String)],
    ) -> Result<ActionStatus> {
        let identifier = identifier.unwrap_or_else(|| format!("{}:{}", self.id, uuid::Uuid::new_v4().simple()));
        let cancel = self.begin(|state| {
            if state.entered.iter().any(|entered| entered.id == identifier) {
                return Err(format!(
                    "The environment '{identifier}' is already entered in the session '{}'. Exit it first.",
                    self.id
                ));
            }
            Ok(())
        })?;
        self.lock().entered.push(Entered {
            id: identifier.clone(),
            environment: environment.clone(),
            changes: Vec::new(),
        });
        let run = Run {
            kind: "enter",
            title: format!("Entering environment: {}", environment.name()),
            task_index: None,
            environment_id: Some(identifier.clone()),
            redaction: environment.profile.has_extension(ModelExtension::RedactedEnvVars),
            environment: variables,
        };
        let model = &environment.model;
        let outcome = self.perform(&run, &cancel, |session| {
            let symbols = session.scope.symbols(model.resolved_symtab.as_ref())?;
            let changes = session.static_variables(environment, &symbols)?;
            if let Some(entered) = session.lock().entered.last_mut() {
                entered.changes = changes;
            }
            let action = model.script.as_ref().and_then(|script| script.actions.on_enter.as_ref());
            action.map(|action| session.environment_action(environment, action, symbols, None)).transpose()
        });
        if let Some(entered) = self.lock().entered.last_mut() {
            entered.changes.extend(outcome.changes);
        }
        Ok(self.end(outcome.status, false))
    }

    /// Runs the `onExit` of the innermost environment and takes its variables away. It counts as exited however that ends.
    ///
    /// `keep_running`: other environments and tasks may follow.
    ///
    /// # Errors
    /// [`CoreError::Session`] when the session is busy or closed, or another environment is to be exited first.
    pub fn exit_environment(
        &self,
        identifier: &str,
        keep_running: bool,
        variables: &[(String, String)],
    ) -> Result<ActionStatus> {
        let ending = self.lock().phase == SessionState::ReadyEnding;
        let cancel = self.begin_with(ending, |state| match state.entered.last() {
            Some(innermost) if innermost.id == identifier => Ok(()),
            Some(innermost) if state.entered.iter().any(|entered| entered.id == identifier) => Err(format!(
                "The environment '{identifier}' cannot be exited before '{}', which was entered after it.",
                innermost.id
            )),
            _ => Err(format!("No environment '{identifier}' is entered in the session '{}'.", self.id)),
        })?;
        let environment = self.lock().entered.last().map(|entered| entered.environment.clone());
        let Some(environment) = environment else {
            return Err(CoreError::Session("No environment is entered.".into()));
        };
        let run = Run {
            kind: "exit",
            title: format!("Exiting environment: {}", environment.name()),
            task_index: None,
            environment_id: Some(identifier.to_string()),
            redaction: environment.profile.has_extension(ModelExtension::RedactedEnvVars),
            environment: variables,
        };
        let outcome = self.perform(&run, &cancel, |session| {
            let symbols = session.scope.symbols(environment.model.resolved_symtab.as_ref())?;
            let action = environment.model.script.as_ref().and_then(|script| script.actions.on_exit.as_ref());
            action
                .map(|action| session.environment_action(&environment, action, symbols, Some(EXIT_TIMEOUT)))
                .transpose()
        });
        self.lock().entered.pop();
        Ok(self.end(outcome.status, ending || !keep_running))
    }

    /// Runs one task; see [`Self::run_tasks`].
    pub fn run_task(&self, script: &StepScript, task: TaskRun) -> Result<ActionStatus> {
        let mut statuses = self.run_tasks(script, &[task])?;
        statuses.pop().ok_or_else(|| {
            CoreError::Session(format!("The task was canceled before it began in the session '{}'.", self.id))
        })
    }

    /// Runs tasks of one step, one after another, up to the first that does not succeed or to a cancel: the statuses are of
    /// those that began. Statuses go to the sink as well, in order with the log.
    ///
    /// # Errors
    /// [`CoreError::Session`] when the session is busy, ending or closed.
    pub fn run_tasks(&self, script: &StepScript, tasks: &[TaskRun]) -> Result<Vec<ActionStatus>> {
        let cancel = self.begin(|_| Ok(()))?;
        let library = self.scope.library(&script.profile);
        let model = &script.model;
        // What all tasks share is resolved once.
        let shared = self.scope.symbols(script.symbols.as_deref()).and_then(|mut symbols| {
            let files = Files::allocate(model.embedded_files.as_deref(), &self.files_folder)?;
            files.declare("Task.File", &mut symbols)?;
            Ok((symbols, files))
        });
        let mut statuses: Vec<ActionStatus> = Vec::with_capacity(tasks.len());
        for (index, task) in tasks.iter().enumerate() {
            let canceled = cancel.requested();
            let failed = statuses.last().is_some_and(|status| status.state != ActionState::Success);
            if failed || (canceled && index > 0) {
                break;
            }
            let parameters: Vec<String> = task
                .parameters
                .iter()
                .map(|(name, parameter)| {
                    format!(" {name}({})={}", parameter.param_type.as_spec_str(), parameter.value.to_display_string())
                })
                .collect();
            let run = Run {
                kind: "task",
                title: format!(
                    "Running task of {}:{}",
                    script.step_name(),
                    if parameters.is_empty() { " no parameters".into() } else { parameters.concat() }
                ),
                task_index: Some(index),
                environment_id: None,
                redaction: script.profile.has_extension(ModelExtension::RedactedEnvVars),
                environment: &task.environment,
            };
            let outcome = self.perform(&run, &cancel, |session| {
                let (symbols, files) = shared.as_ref().map_err(Clone::clone)?;
                let mut symbols = symbols.clone();
                session.scope.add_task(&mut symbols, &task.parameters)?;
                if let Some(bindings) = &model.let_bindings {
                    symbols = let_bindings(bindings, &symbols, &library)?;
                }
                files.write(&symbols, &library)?;
                command::resolve(&model.actions.on_run, &symbols, &library, TASK_NOTIFY).map(Some)
            });
            statuses.push(outcome.status);
        }
        let canceled = cancel.requested();
        match statuses.last().cloned() {
            Some(last) => {
                self.end(last, canceled);
            }
            None => self.rest(if canceled { SessionState::ReadyEnding } else { SessionState::Ready }),
        }
        Ok(statuses)
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

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    fn begin(&self, check: impl FnOnce(&State) -> Result<(), String>) -> Result<Cancel> {
        self.begin_with(false, check)
    }

    /// Makes the session busy, or says why it cannot be.
    fn begin_with(&self, ending: bool, check: impl FnOnce(&State) -> Result<(), String>) -> Result<Cancel> {
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

    fn end(&self, status: ActionStatus, ending: bool) -> ActionStatus {
        let succeeded = status.state == ActionState::Success;
        self.rest(if succeeded && !ending { SessionState::Ready } else { SessionState::ReadyEnding });
        status
    }

    fn rest(&self, phase: SessionState) {
        let mut state = self.lock();
        state.phase = phase;
        state.cancel = None;
        drop(state);
        self.idle.notify_all();
    }

    /// `variables` of the environment, resolved.
    fn static_variables(
        &self,
        environment: &Environment,
        symbols: &SymbolTable,
    ) -> Result<Vec<(String, Option<String>)>, String> {
        let library = self.scope.library(&environment.profile);
        let text = ExprType::STRING;
        let options = FormatStringOptions::new().with_library(&*library).with_target_type(&text);
        let mut variables = Vec::new();
        for (name, value) in environment.model.variables.iter().flatten() {
            let value = value
                .resolve_with(symbols, &options)
                .map_err(|err| format!("The variable '{name}' cannot be resolved: {err}"))?;
            let value = match value {
                ExprValue::String(text) => text,
                other => other.to_display_string(),
            };
            if value.contains('\0') {
                return Err(format!("The value of the variable '{name}' contains a NUL byte and cannot be set"));
            }
            if value.chars().count() > LONGEST_VARIABLE {
                return Err(format!(
                    "The value of the variable '{name}' has {} characters; {LONGEST_VARIABLE} are allowed",
                    value.chars().count()
                ));
            }
            variables.push((name.clone(), Some(value)));
        }
        Ok(variables)
    }

    fn environment_action(
        &self,
        environment: &Environment,
        action: &Action,
        mut symbols: SymbolTable,
        default_timeout: Option<Duration>,
    ) -> Result<ResolvedAction, String> {
        let library = self.scope.library(&environment.profile);
        if let Some(script) = &environment.model.script {
            let files = Files::allocate(script.embedded_files.as_deref(), &self.files_folder)?;
            files.declare("Env.File", &mut symbols)?;
            if let Some(bindings) = &script.let_bindings {
                symbols = let_bindings(bindings, &symbols, &library)?;
            }
            files.write(&symbols, &library)?;
        }
        let mut resolved = command::resolve(action, &symbols, &library, ENVIRONMENT_NOTIFY)?;
        resolved.timeout = resolved.timeout.or(default_timeout);
        Ok(resolved)
    }

    /// Runs one action; whatever goes wrong is in the status. `prepare` gives `None` when there is nothing to run.
    fn perform(
        &self,
        run: &Run<'_>,
        cancel: &Cancel,
        prepare: impl FnOnce(&Self) -> Result<Option<ResolvedAction>, String>,
    ) -> Outcome {
        let number = {
            let mut state = self.lock();
            state.actions += 1;
            state.actions
        };
        let status = ActionStatus {
            action: number,
            kind: run.kind,
            task_index: run.task_index,
            environment_id: run.environment_id.clone(),
            state: ActionState::Running,
            progress: None,
            status_message: None,
            fail_message: None,
            exit_code: None,
            started_at: epoch_seconds(),
            ended_at: None,
        };
        let mut watcher = Watcher {
            session: self,
            number,
            status,
            changes: Vec::new(),
            said_fail: false,
            secrets: self.lock().secrets.clone(),
        };
        watcher.log(&format!("--------- {}", run.title));
        watcher.tell();
        let ended = prepare(self).and_then(|resolved| match resolved {
            Some(resolved) => self.execute(run, resolved, number, cancel, &mut watcher).map(Some),
            None => Ok(None),
        });
        let mark_failed = cancel.request.borrow().is_some_and(|request| request.mark_failed);
        watcher.status.state = match &ended {
            Err(reason) => {
                let sentence = format!("{reason}.");
                watcher.log(&sentence);
                watcher.status.fail_message = Some(sentence);
                ActionState::Failed
            }
            Ok(None) => ActionState::Success,
            Ok(Some(ended)) if ended.timed_out => ActionState::Timeout,
            Ok(Some(ended)) if ended.canceled && !mark_failed => ActionState::Canceled,
            Ok(Some(ended)) if ended.exit_code == Some(0) && !watcher.said_fail && !ended.canceled => {
                ActionState::Success
            }
            Ok(Some(_)) => ActionState::Failed,
        };
        if let Ok(Some(ended)) = &ended {
            watcher.status.exit_code = ended.exit_code;
            watcher.log(&match ended.exit_code {
                Some(code) => format!("Exit code: {code}"),
                None => "Exit code: none".to_string(),
            });
        }
        watcher.status.ended_at = Some(epoch_seconds());
        watcher.tell();
        let Watcher { status, changes, secrets, .. } = watcher;
        self.lock().secrets = secrets;
        Outcome { status, changes }
    }

    fn execute(
        &self,
        run: &Run<'_>,
        resolved: ResolvedAction,
        number: u64,
        cancel: &Cancel,
        watcher: &mut Watcher<'_>,
    ) -> Result<Ended, String> {
        let variables = self.variables(run.environment);
        let program = command::find_program(&resolved.arguments[0], &variables, &self.folder)?;
        watcher.log(&format!("Running command {}", command::for_log(&resolved.arguments)));
        let start = Start {
            program,
            arguments: resolved.arguments[1..].to_vec(),
            variables,
            working_directory: self.folder.clone(),
            low_priority: self.low_priority,
            action_id: format!("{}:{number}:{}", self.id, std::process::id()),
            timeout: resolved.timeout,
            cancel_method: resolved.cancel_method,
        };
        // One thread: the caller's. Tasks come one after another, and a pool would only add switches between threads.
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.map_err(|err| format!("The session cannot watch processes: {err}"))?;
        let mut secrets = std::mem::take(&mut watcher.secrets);
        let ended = {
            let mut filter = OutputFilter::new(&mut secrets, run.redaction);
            runtime.block_on(process::run(start, cancel.clone(), |heard| match heard {
                Heard::Started(id) => {
                    watcher.log(&format!("Started as pid {id}"));
                    Answer::GoOn
                }
                Heard::Note(note) => {
                    watcher.log(&note);
                    Answer::GoOn
                }
                Heard::Line(line) => {
                    let (shown, directive) = filter.line(line);
                    if let Some(shown) = shown {
                        watcher.session.events.log(number, shown);
                    }
                    directive.map_or(Answer::GoOn, |directive| watcher.directive(directive))
                }
            }))
        };
        watcher.secrets = secrets;
        ended
    }

    /// Variables of a process: the session's, the action's, then what the entered environments changed, in their order.
    fn variables(&self, action: &[(String, String)]) -> HashMap<OsString, OsString> {
        let mut variables = self.variables.clone();
        variables.extend(action.iter().map(|(name, value)| (name.into(), value.into())));
        for (name, value) in self.lock().entered.iter().flat_map(|entered| &entered.changes) {
            match value {
                Some(value) => variables.insert(name.into(), value.into()),
                None => variables.remove(std::ffi::OsStr::new(name)),
            };
        }
        variables
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

/// Hears what the process says and keeps the status.
struct Watcher<'a> {
    session: &'a Session,
    number: u64,
    status: ActionStatus,
    changes: Vec<(String, Option<String>)>,
    said_fail: bool,
    secrets: Secrets,
}

impl Watcher<'_> {
    fn log(&self, text: &str) {
        self.session.events.log(self.number, self.secrets.redact(text));
    }

    fn tell(&self) {
        self.session.lock().last = Some(self.status.clone());
        self.session.events.status(self.status.clone());
    }

    fn directive(&mut self, directive: Directive) -> Answer {
        let mut answer = Answer::GoOn;
        match directive {
            Directive::Progress(percent) => self.status.progress = Some(percent),
            Directive::Status(message) => self.status.status_message = Some(message),
            Directive::Fail(message) => {
                self.status.fail_message = Some(message);
                self.said_fail = true;
            }
            // Of environments alone: what a task sets would be seen by the tasks that happen to follow it here.
            Directive::SetVariable { name, value } => {
                self.changes.push((name, Some(value)));
                return answer;
            }
            Directive::UnsetVariable(name) => {
                self.changes.push((name, None));
                return answer;
            }
            Directive::Malformed(message) => {
                self.status.fail_message = Some(message);
                self.said_fail = true;
                answer = Answer::Stop;
            }
        }
        self.tell();
        answer
    }
}

fn let_bindings(
    bindings: &[String],
    symbols: &SymbolTable,
    library: &openjd_expr::function_library::FunctionLibrary,
) -> Result<SymbolTable, String> {
    openjd_model::evaluate_let_bindings(bindings, symbols, Some(library), openjd_expr::PathFormat::host())
        .map_err(|err| format!("The let bindings cannot be evaluated: {err}"))
}
