//! What a session runs: environments in and out, tasks one after another.

use std::time::Duration;

use openjd_model::types::ModelExtension;

use super::actions::{Run, let_bindings};
use super::command;
use super::files::Files;
use super::session::{Entered, Session, SessionState, TaskRun};
use super::{ActionState, ActionStatus};
use crate::error::{CoreError, Result};
use crate::openjd::job::{Environment, StepScript};

/// The schema's grace for tasks that name none.
const TASK_NOTIFY: Duration = Duration::from_secs(120);
/// The schema's time for `onExit` without a timeout.
const EXIT_TIMEOUT: Duration = Duration::from_secs(300);

impl Session {
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
}
