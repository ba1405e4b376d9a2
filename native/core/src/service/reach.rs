//! Whether something answers at the address of a service at all: a question without credentials.

use std::time::{Duration, Instant, SystemTime};

use aws_smithy_runtime_api::client::http::{HttpConnector, HttpConnectorSettings};
use aws_smithy_runtime_api::client::orchestrator::HttpRequest;
use aws_smithy_types::DateTime;
use aws_smithy_types::body::SdkBody;
use aws_smithy_types::date_time::Format;

use super::{chain, service_error_text, silent};
use crate::credentials::{Endpoint, Target};
use crate::error::Result;

/// What came back.
#[derive(Debug, Clone, PartialEq, serde::Serialize)]
pub struct Reached {
    /// The address.
    pub url: String,
    /// The HTTP status. Any will do: without credentials a service refuses.
    pub status: u16,
    /// Seconds from the question to the head of the answer, the connection among them.
    pub seconds: f64,
    /// Seconds by which the clock over there is ahead of this machine's, to about one; none when it did not say.
    pub clock_ahead: Option<f64>,
    /// The proxy that the question went through.
    pub proxy: Option<String>,
}

/// Asks the address of a service for anything.
pub async fn reach(target: &Target, endpoint: Endpoint, timeout: Duration) -> Result<Reached> {
    const OPERATION: &str = "A first request";
    let url = target.url(endpoint)?;
    let network = target.network();
    let request = http::Request::get(format!("{url}/"))
        .body(SdkBody::empty())
        .map_err(|err| service_error_text(OPERATION, format!("The address {url} cannot be used: {err}.")))?;
    let request = HttpRequest::try_from(request)
        .map_err(|err| service_error_text(OPERATION, format!("The address {url} cannot be used: {err}.")))?;
    // One limit for all of it, below: the connector's own say less.
    let connector = network.connector(&url, HttpConnectorSettings::builder().build())?;
    let (asked, asked_at) = (Instant::now(), SystemTime::now());
    let answer = tokio::time::timeout(timeout, connector.call(request)).await;
    let answer = answer
        .map_err(|_| silent(OPERATION, &url, format!("it is silent for {} s", timeout.as_secs_f64())))?
        .map_err(|err| silent(OPERATION, &url, chain(&err)))?;
    let seconds = asked.elapsed().as_secs_f64();
    let date = answer.headers().get("date").and_then(|date| DateTime::from_str(date, Format::HttpDate).ok());
    let clock_ahead = date.and_then(|date| {
        let here = asked_at.duration_since(SystemTime::UNIX_EPOCH).ok()?.as_secs_f64() + seconds / 2.0;
        // Their date is cut to whole seconds: half of one is what is lost on average.
        Some(date.as_secs_f64() + 0.5 - here)
    });
    Ok(Reached { status: answer.status().as_u16(), seconds, clock_ahead, proxy: network.proxy_for(&url), url })
}
