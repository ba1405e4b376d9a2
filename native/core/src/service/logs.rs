//! Session logs: `GetLogEvents` of CloudWatch Logs, by one signed call.
//!
//! One operation of a JSON protocol does not carry the build time of an SDK crate.

use std::time::{Duration, SystemTime};

use aws_credential_types::provider::ProvideCredentials;
use aws_sigv4::http_request::{SignableBody, SignableRequest, SigningSettings, sign};
use aws_sigv4::sign::v4;
use aws_smithy_runtime_api::client::http::{HttpConnector, HttpConnectorSettings};
use aws_smithy_runtime_api::client::orchestrator::HttpRequest;
use aws_smithy_types::body::SdkBody;
use http_body_util::BodyExt;
use serde_json::{Value, json};

use super::{QueueRole, Service, chain, service_error, service_error_text, silent, without_credentials};
use crate::credentials::{Endpoint, host, is_loopback};
use crate::error::{CoreError, Result};

const OPERATION: &str = "GetLogEvents";
const TARGET: &str = "Logs_20140328.GetLogEvents";
const ATTEMPTS: u32 = 3;

/// Which events of a session's log to get.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogQuery {
    /// Oldest first, or newest first.
    pub start_from_head: bool,
    /// Where an earlier answer ended.
    pub next_token: Option<String>,
    /// At most this many events, 1 to 10,000.
    pub limit: u32,
}

impl Default for LogQuery {
    fn default() -> Self {
        Self { start_from_head: true, next_token: None, limit: 10_000 }
    }
}

impl Service {
    /// `GetLogEvents` of a session: `{"events": [{timestamp, message, ingestionTime}], "nextForwardToken", ...}`.
    pub async fn get_session_log(
        &self,
        farm_id: &str,
        queue_id: &str,
        session_id: &str,
        query: &LogQuery,
    ) -> Result<Value> {
        let mut body = json!({
            "logGroupName": format!("/aws/deadline/{farm_id}/{queue_id}"),
            "logStreamName": session_id,
            "startFromHead": query.start_from_head,
            "limit": query.limit,
        });
        if let Some(token) = &query.next_token {
            body["nextToken"] = token.clone().into();
        }
        let url = format!("{}/", self.target.url(Endpoint::Logs)?);
        let mut attempt = 1;
        loop {
            match self.log_call(&url, farm_id, queue_id, &body).await {
                Err(CoreError::Service { code, status, .. })
                    if attempt < ATTEMPTS && (status >= 500 || code == "ThrottlingException") =>
                {
                    tokio::time::sleep(Duration::from_millis(100 << attempt)).await;
                    attempt += 1;
                }
                outcome => return outcome,
            }
        }
    }

    async fn log_call(&self, url: &str, farm_id: &str, queue_id: &str, body: &Value) -> Result<Value> {
        let refuse = |what: String| service_error_text(OPERATION, format!("{OPERATION} was not sent: {what}."));
        let credentials = if self.target.is_monitor_login() {
            // Users of the monitor have no rights of their own on logs.
            QueueRole::new(self, farm_id, queue_id, "", true).credentials().await?
        } else {
            self.target
                .credentials()
                .await?
                .provide_credentials()
                .await
                .map_err(|err| without_credentials(OPERATION, &err))?
        };
        let text = body.to_string();
        let region = self.target.region()?;
        let identity = credentials.into();
        let parameters = v4::SigningParams::builder()
            .identity(&identity)
            .region(region.as_ref())
            .name("logs")
            .time(SystemTime::now())
            .settings(SigningSettings::default())
            .build()
            .map_err(|err| refuse(chain(&err)))?
            .into();
        let headers = [("content-type", "application/x-amz-json-1.1"), ("x-amz-target", TARGET)];
        let signable = SignableRequest::new("POST", url, headers.into_iter(), SignableBody::Bytes(text.as_bytes()))
            .map_err(|err| refuse(chain(&err)))?;
        let (instructions, _) = sign(signable, &parameters).map_err(|err| refuse(chain(&err)))?.into_parts();
        let mut request = http::Request::post(url);
        for (name, value) in headers {
            request = request.header(name, value);
        }
        let mut request = request.body(SdkBody::from(text)).map_err(|err| refuse(chain(&err)))?;
        instructions.apply_to_request_http1x(&mut request);
        let request = HttpRequest::try_from(request).map_err(|err| refuse(chain(&err)))?;
        let settings = HttpConnectorSettings::builder()
            .connect_timeout(Duration::from_secs(if host(url).is_some_and(is_loopback) { 2 } else { 10 }))
            .read_timeout(Duration::from_secs(60))
            .build();
        let lost = |why: String| silent(OPERATION, url.trim_end_matches('/'), why);
        let response =
            self.target.network().connector(url, settings)?.call(request).await.map_err(|err| lost(chain(&err)))?;
        let status = response.status().as_u16();
        let bytes = response.into_body().collect().await.map_err(|err| lost(err.to_string()))?.to_bytes();
        let answer: Value = serde_json::from_slice(&bytes).unwrap_or_default();
        if (200..300).contains(&status) && answer.is_object() {
            return Ok(answer);
        }
        let code = answer["__type"]
            .as_str()
            .map_or_else(|| format!("HTTP {status}"), |name| name.rsplit('#').next().unwrap_or(name).to_owned());
        let message = answer["message"].as_str().or_else(|| answer["Message"].as_str());
        let fallback = format!("{url} answered {OPERATION} without a reason");
        Err(service_error(OPERATION, &code, status, message.unwrap_or(&fallback)))
    }
}
