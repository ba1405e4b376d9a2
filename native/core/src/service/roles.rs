//! Credentials of a queue's role, and who the caller is.
//!
//! Whoever submits reads and writes the queue's bucket with the role of the queue, not with keys of their own. Role
//! credentials are kept for the process, by target and queue, and asked for again before they expire.

use std::collections::HashMap;
use std::sync::Mutex;
use std::time::{Duration, SystemTime};

use aws_credential_types::Credentials;
use aws_credential_types::provider::error::CredentialsError;
use aws_credential_types::provider::{ProvideCredentials, SharedCredentialsProvider, future};

use super::{Service, chain, find, service_error_text, shapes, silent, without_credentials};
use crate::credentials::{Endpoint, Target};
use crate::error::{CoreError, Result};

/// Credentials that end sooner are asked for anew.
const MARGIN: Duration = Duration::from_secs(5 * 60);

type Key = (Target, String, String, bool);

static HELD: Mutex<Option<HashMap<Key, Credentials>>> = Mutex::new(None);

/// The role of one queue.
#[derive(Debug, Clone)]
pub struct QueueRole {
    service: Service,
    farm_id: String,
    queue_id: String,
    queue_name: String,
    read_only: bool,
}

impl QueueRole {
    /// The role that a user of the queue has, or with `read_only` the one that only reads. `queue_name` is what error
    /// messages call the queue.
    pub fn new(service: &Service, farm_id: &str, queue_id: &str, queue_name: &str, read_only: bool) -> Self {
        Self {
            service: service.clone(),
            farm_id: farm_id.to_owned(),
            queue_id: queue_id.to_owned(),
            queue_name: if queue_name.is_empty() { queue_id.to_owned() } else { queue_name.to_owned() },
            read_only,
        }
    }

    /// Credentials that hold for some minutes at least.
    pub async fn credentials(&self) -> Result<Credentials> {
        let key = (self.service.target.clone(), self.farm_id.clone(), self.queue_id.clone(), self.read_only);
        if let Some(held) = lock().get_or_insert_default().get(&key)
            && held.expiry().is_none_or(|expiry| expiry > SystemTime::now() + MARGIN)
        {
            return Ok(held.clone());
        }
        let fresh = self.assume().await?;
        lock().get_or_insert_default().insert(key, fresh.clone());
        Ok(fresh)
    }

    /// A provider that asks again before the credentials expire.
    pub fn provider(&self) -> SharedCredentialsProvider {
        SharedCredentialsProvider::new(self.clone())
    }

    async fn assume(&self) -> Result<Credentials> {
        // Uploads ask from a runtime of their own. A connection that is kept alive on another one would never answer
        // there.
        let service = Service::connect(&self.service.target).await?;
        let answer = Service { recorder: self.service.recorder.clone(), ..service }
            .assume_queue_role(&self.farm_id, &self.queue_id, self.read_only)
            .await
            .map_err(|err| self.explain(err))?;
        let member = |key: &str| answer["credentials"][key].as_str().filter(|text| !text.is_empty());
        let (Some(key), Some(secret), Some(token)) =
            (member("accessKeyId"), member("secretAccessKey"), member("sessionToken"))
        else {
            return Err(service_error_text(
                self.operation(),
                format!(
                    "The role of the queue {} gave empty credentials. Ask the farm's administrator whether the queue \
                     has a role.",
                    self.queue_name
                ),
            ));
        };
        let expiry =
            shapes::moment(&answer["credentials"]["expiration"]).and_then(|moment| SystemTime::try_from(moment).ok());
        Ok(Credentials::new(key, secret, Some(token.to_owned()), expiry, "queue role"))
    }

    fn operation(&self) -> &'static str {
        if self.read_only { "AssumeQueueRoleForRead" } else { "AssumeQueueRoleForUser" }
    }

    fn explain(&self, err: CoreError) -> CoreError {
        let CoreError::Service { operation, code, status, message } = err else { return err };
        let name = &self.queue_name;
        let message = match code.as_str() {
            "" => message,
            "ThrottlingException" => format!(
                "Assuming the role of the queue {name} was throttled. Try again in a moment, or have the account's \
                 request rate raised. {message}"
            ),
            "InternalServerErrorException" | "InternalServerException" => {
                format!("The service failed to assume the role of the queue {name}. Try again in a moment. {message}")
            }
            _ => format!(
                "Cannot assume the role of the queue {name}. Ask the farm's administrator for access to the queue. \
                 {message}"
            ),
        };
        CoreError::Service { operation, code, status, message }
    }
}

impl ProvideCredentials for QueueRole {
    fn provide_credentials<'a>(&'a self) -> future::ProvideCredentials<'a>
    where
        Self: 'a,
    {
        future::ProvideCredentials::new(async { self.credentials().await.map_err(CredentialsError::provider_error) })
    }
}

fn lock() -> std::sync::MutexGuard<'static, Option<HashMap<Key, Credentials>>> {
    HELD.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
}

/// Drops all role credentials that are held.
pub fn forget_queue_roles() {
    *lock() = None;
}

/// Who credentials belong to.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Caller {
    /// The AWS account.
    pub account: String,
    /// The user or role.
    pub arn: String,
}

impl Service {
    /// The account of the given credentials.
    pub async fn caller_account(&self, credentials: SharedCredentialsProvider) -> Result<String> {
        Ok(self.caller(credentials).await?.account)
    }

    /// Whose the given credentials are: `GetCallerIdentity` of STS, which needs no rights.
    pub async fn caller(&self, credentials: SharedCredentialsProvider) -> Result<Caller> {
        const OPERATION: &str = "GetCallerIdentity";
        let config = self.target.sdk_config_with(Endpoint::Sts, credentials)?;
        let answer = aws_sdk_sts::Client::new(&config).get_caller_identity().send().await.map_err(|err| {
            if let Some(context) = err.as_service_error() {
                let meta = context.meta();
                let status = err.raw_response().map_or(0, |response| response.status().as_u16());
                return super::service_error(
                    OPERATION,
                    meta.code().unwrap_or("Unknown"),
                    status,
                    meta.message().unwrap_or(""),
                );
            }
            if let Some(inner) = find::<CredentialsError>(&err) {
                return without_credentials(OPERATION, inner);
            }
            let place = self.target.endpoint(Endpoint::Sts).unwrap_or("AWS STS");
            silent(OPERATION, place, chain(&err))
        })?;
        let account = answer.account().map(str::to_owned).ok_or_else(|| {
            service_error_text(OPERATION, format!("{OPERATION} named no account. Check the STS endpoint."))
        })?;
        Ok(Caller { account, arn: answer.arn().unwrap_or_default().to_owned() })
    }
}
