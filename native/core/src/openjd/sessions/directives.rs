//! What a process says to its session in its output (`openjd_progress: 50`), and secrets that must not be logged.

use std::collections::HashSet;

/// What stands in the log instead of a secret.
const REDACTED: &str = "********";

/// A sentence from a process to its session.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Directive {
    Progress(f64),
    Status(String),
    Fail(String),
    SetVariable {
        name: String,
        value: String,
    },
    UnsetVariable(String),
    /// Cannot be understood, and going on would run with a wrong environment.
    Malformed(String),
}

/// Reads the output of one action. Secrets of earlier actions of the session are known from the beginning.
pub(super) struct OutputFilter<'a> {
    secrets: &'a mut Secrets,
    redaction: bool,
    /// Lines are logged from this level on; output itself is INFO (20).
    level: u32,
}

impl<'a> OutputFilter<'a> {
    /// `redaction`: the job has the REDACTED_ENV_VARS extension, so redacted variables are set too.
    pub(super) fn new(secrets: &'a mut Secrets, redaction: bool) -> Self {
        Self { secrets, redaction, level: 20 }
    }

    /// The line as it is logged (`None`: not at all), and what it says.
    pub(super) fn line(&mut self, line: &str) -> (Option<String>, Option<Directive>) {
        let (text, directive) = self.read(line);
        let shown = (self.level <= 20).then(|| self.secrets.redact(&text));
        // Messages are shown to people just as lines are.
        let directive = directive.map(|directive| match directive {
            Directive::Status(message) => Directive::Status(self.secrets.redact(&message)),
            Directive::Fail(message) => Directive::Fail(self.secrets.redact(&message)),
            Directive::Malformed(message) => Directive::Malformed(self.secrets.redact(&message)),
            other => other,
        });
        (shown, directive)
    }

    fn read(&mut self, line: &str) -> (String, Option<Directive>) {
        let Some((name, payload)) = line
            .strip_prefix("openjd_")
            .and_then(|rest| rest.split_once(": "))
            .filter(|(_, payload)| !payload.is_empty())
        else {
            return match malformed(line) {
                Some(message) => {
                    // What follows may be the secret itself.
                    if line.trim_start().to_lowercase().starts_with("openjd_redacted_env") {
                        return (
                            "openjd_redacted_env: ********".into(),
                            Some(Directive::Malformed("Incorrectly formatted openjd_redacted_env command".into())),
                        );
                    }
                    (format!("{line} -- ERROR: {message}"), Some(Directive::Malformed(message)))
                }
                None => (line.to_string(), None),
            };
        };
        let refused = |message: String| (format!("{line} -- ERROR: {message}"), Some(Directive::Malformed(message)));
        match name {
            "progress" => match payload.trim().parse::<f64>() {
                Ok(percent) if (0.0..=100.0).contains(&percent) => {
                    (line.to_string(), Some(Directive::Progress(percent)))
                }
                _ => (
                    format!(
                        "{line} -- ERROR: Progress must be a floating point value between 0.0 and 100.0, inclusive."
                    ),
                    None,
                ),
            },
            "status" => (line.to_string(), Some(Directive::Status(payload.to_string()))),
            "fail" => (line.to_string(), Some(Directive::Fail(payload.to_string()))),
            "env" => match assignment(payload) {
                Ok((name, value)) => (line.to_string(), Some(Directive::SetVariable { name, value })),
                Err(message) => refused(message),
            },
            "unset_env" => match payload.trim() {
                name if is_name(name) => (line.to_string(), Some(Directive::UnsetVariable(name.to_string()))),
                _ => refused("Failed to parse environment variable name.".into()),
            },
            "redacted_env" => self.redacted(payload),
            "session_runtime_loglevel" => {
                let level = match payload.trim().to_uppercase().as_str() {
                    "DEBUG" => Some(10),
                    "INFO" => Some(20),
                    "WARNING" => Some(30),
                    "ERROR" => Some(40),
                    _ => None,
                };
                self.level = level.unwrap_or(self.level);
                (line.to_string(), None)
            }
            _ => (line.to_string(), None),
        }
    }

    fn redacted(&mut self, payload: &str) -> (String, Option<Directive>) {
        match assignment(payload) {
            Ok((name, value)) => {
                self.secrets.add(&value);
                let shown = format!("openjd_redacted_env: {name}={REDACTED}");
                (shown, self.redaction.then_some(Directive::SetVariable { name, value }))
            }
            Err(message) => {
                self.secrets.add(payload.split_once('=').map_or(payload, |(_, value)| value).trim());
                (
                    format!("openjd_redacted_env: {REDACTED} -- ERROR: {message}"),
                    (!self.redaction).then_some(Directive::Malformed(message)),
                )
            }
        }
    }
}

fn malformed(line: &str) -> Option<String> {
    let lower = line.trim_start().to_lowercase();
    let near = ["openjd_env", "openjd_redacted_env", "openjd_unset_env"].iter().any(|name| {
        lower.strip_prefix(name).is_some_and(|rest| rest.is_empty() || rest.starts_with(':') || rest.starts_with(' '))
    });
    near.then(|| format!("Open Job Description: Incorrectly formatted openjd env command ({line})"))
}

fn is_name(name: &str) -> bool {
    let mut characters = name.chars();
    characters.next().is_some_and(|first| first.is_ascii_alphabetic() || first == '_')
        && characters.all(|rest| rest.is_ascii_alphanumeric() || rest == '_')
}

/// `NAME=value`, or the same as a JSON text, by which a value can hold line breaks.
fn assignment(payload: &str) -> Result<(String, String), String> {
    let payload = payload.trim_start();
    let failed = || "Failed to parse environment variable assignment.".to_string();
    let text = if payload.starts_with('"') {
        serde_json::from_str::<String>(payload).map_err(|_| failed())?
    } else {
        payload.to_string()
    };
    let (name, value) = text.split_once('=').ok_or_else(failed)?;
    if !is_name(name) {
        return Err(failed());
    }
    if value.contains('\0') {
        return Err(format!("The value of the environment variable '{name}' contains a NUL byte and cannot be set."));
    }
    Ok((name.to_string(), value.to_string()))
}

/// Values that are not to be seen in the log.
#[derive(Debug, Clone, Default)]
pub(super) struct Secrets {
    values: HashSet<String>,
}

impl Secrets {
    fn add(&mut self, value: &str) {
        // Each line of a value is a secret of its own, as output is logged by the line.
        self.values.extend(value.split('\n').map(str::trim_end).filter(|part| !part.is_empty()).map(String::from));
    }

    /// `text` with every secret replaced; overlapping ones as one.
    pub(super) fn redact(&self, text: &str) -> String {
        let mut spans: Vec<(usize, usize)> = Vec::new();
        for value in &self.values {
            let mut from = 0;
            while let Some(at) = text[from..].find(value.as_str()) {
                let start = from + at;
                spans.push((start, start + value.len()));
                // The next occurrence may overlap this one.
                from = start + text[start..].chars().next().map_or(1, char::len_utf8);
            }
        }
        if spans.is_empty() {
            return text.to_string();
        }
        spans.sort_unstable();
        let mut redacted = String::with_capacity(text.len());
        let mut end = 0;
        for (start, stop) in spans {
            if start >= end {
                redacted.push_str(&text[end..start]);
                redacted.push_str(REDACTED);
            }
            end = end.max(stop);
        }
        redacted.push_str(&text[end..]);
        redacted
    }
}
