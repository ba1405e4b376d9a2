//! Telemetry: sent to the endpoint that the user configured for the service, and to nobody else.
//!
//! Off unless such an endpoint is set, in the environment or the AWS profile: AWS itself is never told anything. Whoever
//! opts out, in the environment or in the configuration, has opted out. Nothing here fails a call, and nothing is written
//! but the identifier, into a configuration file that the caller named.

mod sender;

use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde_json::{Map, Value, json};
use uuid::Uuid;

use crate::config::{self, Config};
use crate::credentials::{Endpoint, Network, Target};
use crate::error::{CoreError, Result};

use sender::Sender;

/// The environment variable that opts out.
pub const OPT_OUT_VARIABLE: &str = "DEADLINE_CLOUD_TELEMETRY_OPT_OUT";
/// How long the end of a client waits for what is still to be sent.
pub const FLUSH: Duration = Duration::from_secs(2);

/// The type of [`Telemetry::record_error`].
pub const ERROR_EVENT: &str = "com.amazon.rum.deadline.error";
/// How long a function took.
pub const LATENCY_EVENT: &str = "com.amazon.rum.deadline.latency";

/// The service that events are said to come from, as the official client names it.
const SERVICE: &str = "deadline-cloud-library";

/// Where events go and who they are said to come from.
#[derive(Debug, Clone, PartialEq)]
struct Destination {
    url: String,
    network: Network,
    user_id: String,
    metadata: Map<String, Value>,
}

/// A client. Its thread lives while there are events, until [`Telemetry::close`] or the drop.
#[derive(Debug)]
pub struct Telemetry {
    destination: Option<Destination>,
    opted_out: bool,
    session_id: Uuid,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    common: Map<String, Value>,
    sender: Option<Sender>,
    closed: bool,
}

impl Telemetry {
    /// A client that sends nothing.
    #[must_use]
    pub fn off() -> Self {
        Self::new(None, false)
    }

    fn new(destination: Option<Destination>, opted_out: bool) -> Self {
        Self { destination, opted_out, session_id: Uuid::new_v4(), state: Mutex::default() }
    }

    /// The client of a configuration. `named` is the file that the caller named: an identifier that is missing is
    /// stored there, and nowhere when there is none.
    pub async fn resolve(config: &Config, named: Option<&Path>) -> Self {
        if opted_out(config) {
            return Self::new(None, true);
        }
        let Ok(target) = Target::resolve(config).await else { return Self::off() };
        Self::new(Destination::of(config, &target, named), false)
    }

    /// Has events come from a package: `None` stays as it is. Of its version the first three numbers are told.
    pub fn speak_for(&mut self, package: Option<String>, version: Option<&str>) {
        let Some(destination) = &mut self.destination else { return };
        if let Some(package) = package {
            destination.metadata.insert("service".into(), package.into());
        }
        if let Some(version) = version {
            destination.metadata.insert("version".into(), three_numbers(version).into());
        }
    }

    /// Adds what the caller knows of the machine and its interpreter, e.g. `python_version`, `osVersion`.
    pub fn describe(&mut self, surroundings: Map<String, Value>) {
        if let Some(destination) = &mut self.destination {
            destination.metadata.extend(surroundings);
        }
    }

    /// Whether the user opted out.
    #[must_use]
    pub fn is_opted_out(&self) -> bool {
        self.opted_out
    }

    /// Whether events go anywhere.
    #[must_use]
    pub fn is_on(&self) -> bool {
        self.destination.is_some()
    }

    /// Records an event. What the queue has no room for is dropped.
    ///
    /// # Errors
    /// `Operation` when the client is closed.
    pub fn record_event(&self, event_type: &str, details: Map<String, Value>, from_gui: bool) -> Result<()> {
        let mut state = self.state();
        if state.closed {
            return Err(closed());
        }
        let Some(destination) = &self.destination else { return Ok(()) };
        let mut all = state.common.clone();
        all.insert("usage_mode".into(), if from_gui { "GUI" } else { "CLI" }.into());
        all.extend(details);
        let body = self.body(destination, event_type, &all);
        // A child of a fork has the client and not its thread.
        if state.sender.as_ref().is_some_and(Sender::is_of_another_process) {
            std::mem::forget(state.sender.take());
        }
        let unsent = match &state.sender {
            Some(sender) => sender.send(body),
            None => Some(body),
        };
        if let Some(body) = unsent {
            // The first event, or the first after a while without any.
            state.sender = Sender::start(&destination.url, &destination.network);
            if let Some(sender) = &state.sender {
                sender.send(body);
            }
        }
        Ok(())
    }

    /// Records an error; `exception_type` joins the details.
    ///
    /// # Errors
    /// `Operation` when the client is closed.
    pub fn record_error(&self, mut details: Map<String, Value>, exception_type: &str, from_gui: bool) -> Result<()> {
        details.insert("exception_type".into(), exception_type.into());
        self.record_event(ERROR_EVENT, details, from_gui)
    }

    /// Adds details to all later events.
    ///
    /// # Errors
    /// `Operation` when the client is closed.
    pub fn update_common_details(&self, details: Map<String, Value>) -> Result<()> {
        let mut state = self.state();
        if state.closed {
            return Err(closed());
        }
        state.common.extend(details);
        Ok(())
    }

    /// Sends what is still to be sent, for [`FLUSH`] at most, and ends the thread. May be called again.
    pub fn close(&self) {
        let sender = {
            let mut state = self.state();
            state.closed = true;
            state.sender.take()
        };
        if let Some(sender) = sender {
            sender.finish(FLUSH);
        }
    }

    fn body(&self, destination: &Destination, event_type: &str, details: &Map<String, Value>) -> String {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        json!({
            "BatchId": Uuid::new_v4().to_string(),
            "RumEvents": [{
                "details": Value::Object(details.clone()).to_string(),
                "id": Uuid::new_v4().to_string(),
                "metadata": Value::Object(destination.metadata.clone()).to_string(),
                "timestamp": now,
                "type": event_type,
            }],
            "UserDetails": { "sessionId": self.session_id.to_string(), "userId": destination.user_id },
        })
        .to_string()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}

impl Destination {
    /// Where the events of a target go: nowhere without an endpoint of the user's.
    fn of(config: &Config, target: &Target, named: Option<&Path>) -> Option<Self> {
        let endpoint = target.endpoint(Endpoint::Deadline)?;
        let mut metadata = Map::from_iter([
            ("service".to_owned(), SERVICE.into()),
            ("version".to_owned(), three_numbers(env!("CARGO_PKG_VERSION")).into()),
            ("osName".to_owned(), os_name().into()),
        ]);
        for (key, value) in [("user_id", &target.principal_id), ("monitor_id", &target.monitor_id)] {
            if let Some(value) = value {
                metadata.insert(key.into(), value.clone().into());
            }
        }
        Some(Self {
            url: telemetry_url(endpoint, target.injects_host_prefix()),
            network: target.network(),
            user_id: identifier(config, named),
            metadata,
        })
    }
}

impl Drop for Telemetry {
    fn drop(&mut self) {
        self.close();
    }
}

/// A client for what the core records by itself: it never fails and never waits.
#[derive(Debug, Clone)]
pub struct Recorder {
    client: Arc<Telemetry>,
    from_gui: bool,
}

/// The clients of calls that keep none, with where their events go.
static SHARED: Mutex<Vec<(Destination, Recorder)>> = Mutex::new(Vec::new());
/// Places that a process talks to at once; the client of the oldest one goes.
const MOST_SHARED: usize = 4;

impl Recorder {
    /// The recorder of calls that keep no client, one a process for each place and person: it costs a call next to
    /// nothing. `describe` says what is known of the machine, once. Its identifier is never stored.
    ///
    /// # Errors
    /// Those of `describe`.
    pub fn shared(
        config: &Config,
        target: &Target,
        describe: impl FnOnce() -> Result<Map<String, Value>>,
    ) -> Result<Self> {
        if target.endpoint(Endpoint::Deadline).is_none() || opted_out(config) {
            return Ok(Self::off());
        }
        let Some(destination) = Destination::of(config, target, None) else { return Ok(Self::off()) };
        if let Some((_, recorder)) = shared().iter().find(|(of, _)| *of == destination) {
            return Ok(recorder.clone());
        }
        let mut client = Telemetry::new(Some(destination.clone()), false);
        client.describe(describe()?);
        let recorder = Self::new(client, false);
        let oldest = {
            let mut shared = shared();
            shared.push((destination, recorder.clone()));
            (shared.len() > MOST_SHARED).then(|| shared.remove(0))
        };
        // Its last events are sent, without the lock.
        drop(oldest);
        Ok(recorder)
    }

    /// Sends what the shared recorders still have, for [`FLUSH`] at most, when the process ends.
    pub fn close_shared() {
        let all = std::mem::take(&mut *shared());
        std::thread::scope(|scope| {
            for (_, recorder) in &all {
                scope.spawn(|| recorder.client.close());
            }
        });
    }

    /// Whether what is recorded goes anywhere.
    #[must_use]
    pub fn is_on(&self) -> bool {
        self.client.is_on()
    }

    /// Records with `client`.
    #[must_use]
    pub fn new(client: Telemetry, from_gui: bool) -> Self {
        Self { client: Arc::new(client), from_gui }
    }

    /// Records nothing.
    #[must_use]
    pub fn off() -> Self {
        Self::new(Telemetry::off(), false)
    }

    /// Records an event of the service's own family, `com.amazon.rum.deadline.<name>`. `details` is an object.
    pub fn record(&self, name: &str, details: Value) {
        let Value::Object(details) = details else { return };
        // Closed only by its drop and at the end of the process, so nothing can be wrong.
        let _ = self.client.record_event(&format!("com.amazon.rum.deadline.{name}"), details, self.from_gui);
    }

    /// Records how long a function took.
    pub fn record_latency(&self, function: &str, taken: Duration) {
        let nanoseconds = u64::try_from(taken.as_nanos()).unwrap_or(u64::MAX);
        self.record("latency", json!({ "latency": nanoseconds, "function_call": function }));
    }

    /// Records whether something went well, with the class of the error when it did not.
    pub fn record_outcome<T>(&self, name: &str, outcome: &Result<T>) {
        match outcome {
            Ok(_) => self.record(name, json!({ "is_success": true })),
            Err(err) => self.record(name, json!({ "is_success": false, "exception_type": err.class_name() })),
        }
    }
}

fn shared() -> MutexGuard<'static, Vec<(Destination, Recorder)>> {
    SHARED.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
}

fn closed() -> CoreError {
    CoreError::Operation("The telemetry client is closed and records nothing more. Make another one.".into())
}

fn opted_out(config: &Config) -> bool {
    is_opted_out(config, std::env::var(OPT_OUT_VARIABLE).ok().as_deref())
}

/// Opted out by either of them; what cannot be understood counts as opted out.
fn is_opted_out(config: &Config, variable: Option<&str>) -> bool {
    let by_variable =
        variable.filter(|value| !value.is_empty()).is_some_and(|value| config::parse_bool(value).unwrap_or(true));
    by_variable || config.get_bool("telemetry.opt_out").unwrap_or(true)
}

fn telemetry_url(endpoint: &str, inject_host_prefix: bool) -> String {
    let endpoint = endpoint.trim_end_matches('/');
    let endpoint = match endpoint.strip_prefix("https://") {
        Some(rest) if inject_host_prefix => format!("https://management.{rest}"),
        _ => endpoint.to_owned(),
    };
    format!("{endpoint}/2023-10-12/telemetry")
}

fn three_numbers(version: &str) -> String {
    version.splitn(4, '.').take(3).collect::<Vec<_>>().join(".")
}

fn os_name() -> &'static str {
    match std::env::consts::OS {
        "macos" => "macOS",
        "windows" => "Windows",
        _ => "Linux",
    }
}

/// The stored identifier, else a new one. Without a file to store it in, one a process.
fn identifier(config: &Config, named: Option<&Path>) -> String {
    static OF_PROCESS: OnceLock<Uuid> = OnceLock::new();
    let stored = config.get("telemetry.identifier").unwrap_or_default();
    if Uuid::parse_str(&stored).is_ok_and(|id| id.get_version_num() == 4) {
        return stored;
    }
    if let Some(path) = named {
        let fresh = Uuid::new_v4().to_string();
        // A file that cannot be written is no reason to fail: the next client makes another identifier.
        if let Err(err) = config::set_setting(Some(path), "telemetry.identifier", &fresh) {
            tracing::debug!("{err}");
        }
        return fresh;
    }
    OF_PROCESS.get_or_init(Uuid::new_v4).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn opting_out_wins_wherever_it_is_said() {
        let mut config = Config::empty();
        assert!(!is_opted_out(&config, None));
        assert!(!is_opted_out(&config, Some("")));
        assert!(!is_opted_out(&config, Some("false")));
        assert!(is_opted_out(&config, Some("true")));
        assert!(is_opted_out(&config, Some("please")));
        config.set("telemetry.opt_out", "true").unwrap();
        assert!(is_opted_out(&config, None));
        assert!(is_opted_out(&config, Some("false")));
        config.set("telemetry.opt_out", "please").unwrap();
        assert!(is_opted_out(&config, None));
    }

    #[test]
    fn the_prefix_goes_before_a_name_that_is_served_over_tls() {
        let url = |endpoint| telemetry_url(endpoint, true);
        assert_eq!(url("https://farm.example.com/"), "https://management.farm.example.com/2023-10-12/telemetry");
        assert_eq!(url("http://localhost:8000"), "http://localhost:8000/2023-10-12/telemetry");
        assert_eq!(telemetry_url("https://a.b", false), "https://a.b/2023-10-12/telemetry");
    }
}
