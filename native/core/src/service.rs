//! The Deadline Cloud service: AWS itself or the local farm, by the same protocol.
//!
//! Every operation gives the JSON that came over the wire, with nothing lost and nothing renamed; lists come with all
//! their pages. What the Python contract promises in another shape is made from it in [`shapes`].

mod logs;
mod operations;
mod queue_parameters;
mod reach;
mod roles;
mod search;
pub mod shapes;

use std::error::Error as StdError;
use std::future::Future;
use std::sync::{Arc, Mutex};
use std::time::Instant;

use aws_credential_types::provider::error::CredentialsError;
use aws_sdk_deadline::error::{ProvideErrorMetadata, SdkError};
use aws_smithy_runtime_api::box_error::BoxError;
use aws_smithy_runtime_api::client::endpoint::EndpointPrefix;
use aws_smithy_runtime_api::client::interceptors::context::{
    AfterDeserializationInterceptorContextRef, BeforeSerializationInterceptorContextMut,
    BeforeTransmitInterceptorContextMut,
};
use aws_smithy_runtime_api::client::interceptors::{Intercept, dyn_dispatch_hint};
use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use aws_smithy_types::config_bag::ConfigBag;
use serde_json::Value;
use tokio_util::sync::CancellationToken;

use crate::credentials::{Endpoint, Target, host, is_loopback};
use crate::error::{CoreError, Result};
use crate::telemetry::Recorder;

pub use logs::LogQuery;
pub use operations::{JobChange, SessionActionFilter};
pub use reach::{Reached, reach};
pub use roles::{Caller, QueueRole, forget_queue_roles};
pub use search::JobSearch;

/// A connection to the service of one target.
#[derive(Debug, Clone)]
pub struct Service {
    target: Target,
    sdk: aws_sdk_deadline::Client,
    recorder: Option<Recorder>,
}

impl Service {
    /// Prepares a connection; nothing is sent.
    pub async fn connect(target: &Target) -> Result<Self> {
        let config = target.sdk_config(Endpoint::Deadline).await?;
        Ok(Self { target: target.clone(), sdk: aws_sdk_deadline::Client::new(&config), recorder: None })
    }

    /// Has telemetry know how long each operation takes.
    #[must_use]
    pub fn recorded_by(self, recorder: &Recorder) -> Self {
        Self { recorder: Some(recorder.clone()).filter(Recorder::is_on), ..self }
    }

    /// The target.
    pub fn target(&self) -> &Target {
        &self.target
    }

    fn tap(&self, answer: &Answer) -> Tap {
        Tap {
            answer: answer.clone(),
            keep_host: !self.target.injects_host_prefix(),
            submitter: self.target.submitter.clone(),
        }
    }

    fn finish<T, E>(
        &self,
        operation: &str,
        outcome: Result<T, SdkError<E, HttpResponse>>,
        answer: &Answer,
        started: Instant,
    ) -> Result<Value>
    where
        E: ProvideErrorMetadata + StdError + Send + Sync + 'static,
    {
        if let Some(recorder) = &self.recorder {
            recorder.record_latency(&snake_case(operation), started.elapsed());
        }
        let heard = answer.0.lock().unwrap_or_else(|poisoned| poisoned.into_inner()).take();
        if let Some((status, body)) = &heard
            && (200..300).contains(status)
        {
            let text: &[u8] = if body.is_empty() { b"{}" } else { body };
            return serde_json::from_slice(text).map_err(|err| CoreError::Service {
                operation: operation.to_owned(),
                code: String::new(),
                status: *status,
                message: format!(
                    "{operation} got an answer that is not JSON from {}: {err}. Check that the endpoint is Deadline \
                     Cloud or a Shotput farm.",
                    self.place()
                ),
            });
        }
        match outcome {
            Ok(_) => Err(self.silent(operation, "the answer was lost".into())),
            Err(err) => Err(self.failure(operation, &err, heard)),
        }
    }

    fn failure<E>(&self, operation: &str, err: &SdkError<E, HttpResponse>, heard: Option<Heard>) -> CoreError
    where
        E: ProvideErrorMetadata + StdError + Send + Sync + 'static,
    {
        if let SdkError::ServiceError(context) = err {
            let status = context.raw().status().as_u16();
            let body: Value = heard.and_then(|(_, body)| serde_json::from_slice(&body).ok()).unwrap_or_default();
            let text = |key: &str| body.get(key).and_then(Value::as_str).map(str::to_owned);
            let code = context.err().code().map(str::to_owned).unwrap_or_else(|| format!("HTTP {status}"));
            let message = context
                .err()
                .message()
                .map(str::to_owned)
                .or_else(|| text("message"))
                .or_else(|| text("Message"))
                .unwrap_or_else(|| format!("{} answered {operation} without a reason", self.place()));
            return service_error(operation, &code, status, &message);
        }
        if let SdkError::ConstructionFailure(_) = err {
            let cause = err.source().map_or_else(|| err.to_string(), chain);
            return service_error_text(operation, format!("{operation} was not sent: {cause}. Correct the arguments."));
        }
        if let Some(fault) = find::<CredentialsError>(err) {
            return without_credentials(operation, fault);
        }
        self.silent(operation, chain(err))
    }

    fn silent(&self, operation: &str, why: String) -> CoreError {
        silent(operation, &self.place(), why)
    }

    fn place(&self) -> String {
        match self.target.endpoint(Endpoint::Deadline) {
            Some(url) => url.to_owned(),
            None => format!("Deadline Cloud in {}", self.target.region),
        }
    }
}

/// `GetFarm` as `get_farm`.
fn snake_case(operation: &str) -> String {
    let mut name = String::with_capacity(operation.len() + 4);
    for letter in operation.chars() {
        if letter.is_ascii_uppercase() && !name.is_empty() {
            name.push('_');
        }
        name.push(letter.to_ascii_lowercase());
    }
    name
}

fn service_error(operation: &str, code: &str, status: u16, message: &str) -> CoreError {
    CoreError::Service {
        operation: operation.to_owned(),
        code: code.to_owned(),
        status,
        message: format!("{code}: {message}"),
    }
}

fn service_error_text(operation: &str, message: String) -> CoreError {
    CoreError::Service { operation: operation.to_owned(), code: String::new(), status: 0, message }
}

/// Nothing was sent, because there was nothing to sign it with.
fn without_credentials(operation: &str, fault: &CredentialsError) -> CoreError {
    let why = fault.source().map_or_else(|| chain(fault), chain);
    CoreError::Service {
        operation: operation.to_owned(),
        code: "NoCredentials".into(),
        status: 0,
        message: format!(
            "{operation} was not sent, because there are no usable AWS credentials: {why}. Log in, or set the profile \
             (defaults.aws_profile_name) or the keys (AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY)."
        ),
    }
}

fn silent(operation: &str, place: &str, why: String) -> CoreError {
    let hint = if host(place).is_some_and(is_loopback) {
        "Start the local farm with `shotput farm up`, or correct the endpoint."
    } else {
        "Check the network, the proxy and the endpoint."
    };
    service_error_text(operation, format!("{operation} got no answer from {place}: {why}. {hint}"))
}

/// An error with all its causes, in one line. A cause that the text before it already holds is left out.
pub(crate) fn chain(err: &(dyn StdError + 'static)) -> String {
    let mut text = String::new();
    let mut next = Some(err);
    while let Some(err) = next {
        let part = err.to_string();
        let part = part.trim().trim_end_matches('.');
        if !part.is_empty() && !text.contains(part) {
            if !text.is_empty() {
                text.push_str(": ");
            }
            text.push_str(part);
        }
        next = err.source();
    }
    text
}

fn find<'a, T: StdError + 'static>(err: &'a (dyn StdError + 'static)) -> Option<&'a T> {
    let mut next = Some(err);
    while let Some(err) = next {
        if let Some(found) = err.downcast_ref::<T>() {
            return Some(found);
        }
        next = err.source();
    }
    None
}

/// Runs a light call to its end on this thread; the token ends it early.
pub fn block_on<T>(token: &CancellationToken, work: impl Future<Output = Result<T>>) -> Result<T> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(|err| {
        CoreError::Operation(format!("Cannot start a network call: {err}. Close programs, and try again."))
    })?;
    let outcome = runtime.block_on(async {
        tokio::select! {
            biased;
            () = token.cancelled() => Err(CoreError::Canceled("The call was canceled.".into())),
            outcome = work => outcome,
        }
    });
    // A name look-up that hangs must not hold the caller.
    runtime.shutdown_background();
    outcome
}

/// An answer as it came over the wire: status and body.
type Heard = (u16, Vec<u8>);

/// The last answer, filled while the call is on its way.
#[derive(Debug, Clone, Default)]
struct Answer(Arc<Mutex<Option<Heard>>>);

/// Listens to the wire and puts the last touch on requests.
#[derive(Debug)]
struct Tap {
    answer: Answer,
    keep_host: bool,
    submitter: Option<String>,
}

#[dyn_dispatch_hint]
impl Intercept for Tap {
    fn name(&self) -> &'static str {
        "Tap"
    }

    fn modify_before_serialization(
        &self,
        _context: &mut BeforeSerializationInterceptorContextMut<'_>,
        _components: &RuntimeComponents,
        cfg: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        // The operation's own interceptor has set the prefix before.
        if self.keep_host {
            cfg.interceptor_state().unset::<EndpointPrefix>();
        }
        Ok(())
    }

    fn modify_before_transmit(
        &self,
        context: &mut BeforeTransmitInterceptorContextMut<'_>,
        _components: &RuntimeComponents,
        _cfg: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        // The user agent is no part of the signature.
        if let Some(submitter) = &self.submitter {
            let headers = context.request_mut().headers_mut();
            let agent = headers.get("user-agent").unwrap_or_default().to_owned();
            headers
                .try_insert("user-agent", format!("{agent} submitter/{}", agent_token(submitter)).trim().to_owned())?;
        }
        Ok(())
    }

    fn read_after_deserialization(
        &self,
        context: &AfterDeserializationInterceptorContextRef<'_>,
        _components: &RuntimeComponents,
        _cfg: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let response = context.response();
        let body = response.body().bytes().unwrap_or_default().to_vec();
        *self.answer.0.lock().unwrap_or_else(|poisoned| poisoned.into_inner()) =
            Some((response.status().as_u16(), body));
        Ok(())
    }
}

/// A name as it may stand in a user agent.
fn agent_token(name: &str) -> String {
    name.chars().map(|c| if c.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~".contains(c) { c } else { '-' }).collect()
}
