//! From an action of a template to a command that can be started.

use std::collections::HashMap;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::time::Duration;

use openjd_expr::format_string::{FormatString, FormatStringOptions};
use openjd_expr::function_library::FunctionLibrary;
use openjd_expr::symbol_table::SymbolTable;
use openjd_expr::{ExprType, ExprValue};
use openjd_model::job::{Action, CancelationMode};

/// The schema's limit for literal values; values of expressions are only known here.
const LONGEST_NOTIFY_SECONDS: i64 = 600;

/// What a canceled action is granted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum CancelMethod {
    /// Killed at once.
    Terminate,
    /// Told, and killed when this long has passed.
    NotifyThenTerminate(Duration),
}

/// An action with its format strings resolved.
#[derive(Debug)]
pub(super) struct ResolvedAction {
    /// Program and arguments, never empty.
    pub(super) arguments: Vec<String>,
    pub(super) timeout: Option<Duration>,
    pub(super) cancel_method: CancelMethod,
}

/// Resolves `action`. `notify_default` is the schema's grace for its place (120 s for tasks, 30 s for environments).
pub(super) fn resolve(
    action: &Action,
    symbols: &SymbolTable,
    library: &FunctionLibrary,
    notify_default: Duration,
) -> Result<ResolvedAction, String> {
    let options = FormatStringOptions::new().with_library(library);
    let failed = |what: &str, err: &dyn std::fmt::Display| format!("The {what} cannot be resolved: {err}");
    let command = action.command.resolve_string_with(symbols, &options).map_err(|err| failed("command", &err))?;
    let mut arguments = vec![command];
    for argument in action.args.iter().flatten() {
        match argument.resolve_with(symbols, &options).map_err(|err| failed("arguments", &err))? {
            // An expression that is null is no argument, one that is a list is several.
            ExprValue::Null => {}
            value => match value.list_elements() {
                Some(elements) => arguments.extend(elements.iter().map(ExprValue::to_display_string)),
                None => arguments.push(value.to_display_string()),
            },
        }
    }
    let timeout = seconds("timeout", action.timeout.as_ref(), symbols, &options)?;
    let cancel_method = cancel_method(action.cancelation.as_ref(), symbols, &options, notify_default)?;
    Ok(ResolvedAction { arguments, timeout: timeout.map(|seconds| Duration::from_secs(seconds as u64)), cancel_method })
}

fn cancel_method(
    cancelation: Option<&CancelationMode>,
    symbols: &SymbolTable,
    options: &FormatStringOptions<'_>,
    notify_default: Duration,
) -> Result<CancelMethod, String> {
    let notify = |period: &Option<FormatString>| -> Result<CancelMethod, String> {
        let period = seconds("notifyPeriodInSeconds", period.as_ref(), symbols, options)?;
        match period {
            Some(period) if period > LONGEST_NOTIFY_SECONDS => {
                Err(format!("The notifyPeriodInSeconds must be at most {LONGEST_NOTIFY_SECONDS}, but it is {period}"))
            }
            Some(period) => Ok(CancelMethod::NotifyThenTerminate(Duration::from_secs(period as u64))),
            None => Ok(CancelMethod::NotifyThenTerminate(notify_default)),
        }
    };
    match cancelation {
        None | Some(CancelationMode::Terminate) => Ok(CancelMethod::Terminate),
        Some(CancelationMode::NotifyThenTerminate { notify_period_in_seconds }) => notify(notify_period_in_seconds),
        Some(CancelationMode::DeferredMode { mode, notify_period_in_seconds }) => {
            let mode = mode
                .resolve_with(symbols, options)
                .map_err(|err| format!("The cancelation mode cannot be resolved: {err}"))?;
            match mode {
                ExprValue::Null => Ok(CancelMethod::Terminate),
                mode => match mode.to_display_string().as_str() {
                    "TERMINATE" => Ok(CancelMethod::Terminate),
                    "NOTIFY_THEN_TERMINATE" => notify(notify_period_in_seconds),
                    other => Err(format!(
                        "The cancelation mode must be TERMINATE or NOTIFY_THEN_TERMINATE, but it is '{other}'"
                    )),
                },
            }
        }
    }
}

/// A positive number of seconds; a field whose expression is null counts as left out.
fn seconds(
    what: &str,
    field: Option<&FormatString>,
    symbols: &SymbolTable,
    options: &FormatStringOptions<'_>,
) -> Result<Option<i64>, String> {
    let Some(field) = field else { return Ok(None) };
    let value = field.resolve_with(symbols, options).map_err(|err| format!("The {what} cannot be resolved: {err}"))?;
    if matches!(value, ExprValue::Null) {
        return Ok(None);
    }
    let number = match value.clone().coerce(&ExprType::INT, openjd_expr::PathFormat::host()) {
        Ok(ExprValue::Int(number)) => Some(number),
        _ => value.to_display_string().trim().parse::<i64>().ok(),
    };
    match number {
        Some(number) if number > 0 => Ok(Some(number)),
        _ => Err(format!("The {what} must be a positive number of seconds, but it is '{}'", value.to_display_string())),
    }
}

/// Where the program lies. Looked up here rather than by the system, which looks in the host's PATH instead of the session's,
/// and whose error names no place.
pub(super) fn find_program(
    program: &str,
    variables: &HashMap<OsString, OsString>,
    working_directory: &Path,
) -> Result<PathBuf, String> {
    if cfg!(windows) {
        // CreateProcess knows about extensions and App Paths; the error comes from there.
        return Ok(PathBuf::from(program));
    }
    if program.is_empty() {
        return Err("The command is empty".into());
    }
    if program.contains('/') {
        let path = working_directory.join(program);
        return match std::fs::metadata(&path) {
            Ok(metadata) if metadata.is_dir() => Err(format!("The command '{program}' is a folder")),
            Ok(metadata) if !executable(&metadata) => Err(format!("The command '{program}' is not executable")),
            Ok(_) => Ok(path),
            Err(err) if err.kind() == std::io::ErrorKind::NotFound => {
                Err(format!("The command '{program}' does not exist"))
            }
            Err(err) => Err(format!("The command '{program}' cannot be run: {err}")),
        };
    }
    let search =
        variables.get(std::ffi::OsStr::new("PATH")).cloned().unwrap_or_else(|| "/usr/local/bin:/usr/bin:/bin".into());
    let found = std::env::split_paths(&search)
        .map(|folder| working_directory.join(folder).join(program))
        .find(|path| std::fs::metadata(path).is_ok_and(|metadata| metadata.is_file() && executable(&metadata)));
    found.ok_or_else(|| {
        format!("The command '{program}' was not found on the PATH of the session ({})", search.to_string_lossy())
    })
}

#[cfg(unix)]
fn executable(metadata: &std::fs::Metadata) -> bool {
    use std::os::unix::fs::PermissionsExt;
    metadata.permissions().mode() & 0o111 != 0
}

#[cfg(not(unix))]
fn executable(_metadata: &std::fs::Metadata) -> bool {
    true
}

/// The command line as a person could type it, for the log.
pub(super) fn for_log(arguments: &[String]) -> String {
    let quoted: Vec<String> = arguments
        .iter()
        .map(|argument| {
            let plain = |character: char| character.is_ascii_alphanumeric() || "_-./=:,+@%".contains(character);
            if !argument.is_empty() && argument.chars().all(plain) {
                argument.clone()
            } else {
                format!("'{}'", argument.replace('\'', r"'\''"))
            }
        })
        .collect();
    let line = quoted.join(" ");
    // A script that sets a secret by an argument must not have it logged before the secret is known.
    match line.find("openjd_redacted_env:") {
        Some(at) => format!("{}openjd_redacted_env: ********", &line[..at]),
        None => line,
    }
}
