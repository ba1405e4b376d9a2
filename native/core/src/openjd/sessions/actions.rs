//! One action from its template to its end.

use std::collections::HashMap;
use std::ffi::OsString;
use std::time::Duration;

use openjd_expr::ExprType;
use openjd_expr::ExprValue;
use openjd_expr::format_string::FormatStringOptions;
use openjd_expr::function_library::FunctionLibrary;
use openjd_expr::symbol_table::SymbolTable;
use openjd_model::job::Action;

use super::command::{self, ResolvedAction};
use super::directives::{Directive, OutputFilter, Secrets};
use super::files::Files;
use super::process::{self, Answer, Ended, Heard, Start};
use super::session::{Cancel, Session};
use super::{ActionState, ActionStatus, epoch_seconds};
use crate::openjd::job::Environment;

/// The schema's grace for environments that name none.
const ENVIRONMENT_NOTIFY: Duration = Duration::from_secs(30);
/// The schema's limit for the value of an environment variable.
const LONGEST_VARIABLE: usize = 2048;

/// One action on its way.
pub(super) struct Run<'a> {
    pub(super) kind: &'static str,
    pub(super) title: String,
    pub(super) task_index: Option<usize>,
    pub(super) environment_id: Option<String>,
    pub(super) redaction: bool,
    pub(super) environment: &'a [(String, String)],
}

/// What an action changed for those after it.
pub(super) struct Outcome {
    pub(super) status: ActionStatus,
    pub(super) changes: Vec<(String, Option<String>)>,
}

impl Session {
    /// `variables` of the environment, resolved.
    pub(super) fn static_variables(
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

    pub(super) fn environment_action(
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
    pub(super) fn perform(
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

pub(super) fn let_bindings(
    bindings: &[String],
    symbols: &SymbolTable,
    library: &FunctionLibrary,
) -> Result<SymbolTable, String> {
    openjd_model::evaluate_let_bindings(bindings, symbols, Some(library), openjd_expr::PathFormat::host())
        .map_err(|err| format!("The let bindings cannot be evaluated: {err}"))
}
