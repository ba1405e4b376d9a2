//! Why the object store did not do what was asked, and the sentence that says so.

use std::fmt;

use aws_sdk_s3::error::{ProvideErrorMetadata, SdkError};
use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use http_body_util::BodyExt as _;

/// An error document is read up to this size.
const MAX_ERROR_BODY: usize = 64 * 1024;

/// Why a request had no success.
#[derive(Debug, Clone)]
pub(crate) struct Fault {
    /// 0 when nothing answered.
    pub(crate) status: u16,
    pub(crate) code: String,
    pub(crate) message: String,
}

impl Fault {
    pub(super) fn transport(message: String) -> Self {
        Self { status: 0, code: String::new(), message }
    }

    pub(crate) fn is_missing(&self) -> bool {
        self.status == 404 && self.code != "NoSuchBucket"
    }

    fn is_disk_full(&self) -> bool {
        self.status == 507
            || matches!(self.code.as_str(), "InsufficientStorage" | "StorageFull" | "XMinioStorageFull")
            || self.message.to_ascii_lowercase().contains("no space left")
    }

    /// Our object store says "cannot be written" with the status of a full disk.
    fn is_read_only(&self) -> bool {
        let message = self.message.to_ascii_lowercase();
        message.contains("read-only") || (self.status == 507 && message.contains("cannot be written"))
    }

    /// Whether the signature, or the keys it was made with, came too late.
    pub(super) fn is_about_time(&self) -> bool {
        let codes = ["ExpiredToken", "RequestExpired", "RequestTimeTooSkewed", "TokenRefreshRequired"];
        codes.contains(&self.code.as_str())
    }

    /// Whether the store does not say why it refuses: the answer to a HEAD has no body.
    pub(super) fn is_refusal_without_reason(&self) -> bool {
        matches!(self.status, 400 | 403) && self.code.is_empty()
    }

    pub(super) fn is_transient(&self) -> bool {
        let code = matches!(self.code.as_str(), "SlowDown" | "RequestTimeout" | "InternalError" | "ServiceUnavailable");
        (matches!(self.status, 0 | 408 | 429 | 500 | 502 | 503 | 504) || code)
            && !self.is_disk_full()
            && !self.is_read_only()
    }

    /// What was tried with which object, why it failed, and what to do next.
    pub(super) fn sentence(&self, action: &str, object: &str, endpoint: &str) -> String {
        if self.is_read_only() {
            format!(
                "Cannot {action} {object}: the folder of the object store at {endpoint} is read-only. Make it writable \
                 and try again."
            )
        } else if self.is_disk_full() {
            format!(
                "Cannot {action} {object}: no space is left on the disk of the object store at {endpoint}. Free some and \
                 try again; what is already there is not sent twice."
            )
        } else {
            let advice = match (self.status, self.code.as_str()) {
                (0, _) => {
                    "Check that the farm runs (`shotput farm status`) or that the network is up, and try again; what is already there is not sent twice."
                }
                (_, "ExpiredToken" | "TokenRefreshRequired") => "The credentials have expired: sign in again.",
                (_, "NoSuchBucket") => "Check the bucket in the queue's job attachment settings.",
                (403, _) if self.message.contains("kms:") => {
                    "Check the bucket's encryption settings: a key of your own needs kms:GenerateDataKey, kms:Decrypt and kms:DescribeKey."
                }
                (403, _) => {
                    "Check the credentials and that their role has s3:PutObject, s3:GetObject and s3:ListBucket for this bucket."
                }
                (404, _) => "Check the bucket and the root prefix in the queue's job attachment settings.",
                (400, _) => "Check the bucket and that it lies in this region.",
                _ => "Try again later; what is already there is not sent twice.",
            };
            format!("Cannot {action} {object} at {endpoint}: {self}. {advice}")
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.status, self.code.is_empty()) {
            (0, _) => f.write_str(&self.message),
            (status, true) => write!(f, "HTTP {status} {}", self.message),
            (status, false) => write!(f, "{} ({}, HTTP {status})", self.message, self.code),
        }
    }
}

impl<E, R> From<SdkError<E, R>> for Fault
where
    E: ProvideErrorMetadata + std::error::Error + 'static,
    R: StatusOf + fmt::Debug,
{
    fn from(err: SdkError<E, R>) -> Self {
        let status = err.raw_response().map_or(0, StatusOf::status_of);
        match err.code() {
            Some(code) => {
                let message = err.message().unwrap_or_default().trim_end_matches('.').to_owned();
                Self { status, code: code.into(), message }
            }
            None => Self { status, code: String::new(), message: innermost(&err) },
        }
    }
}

/// The HTTP status of an SDK response.
pub(crate) trait StatusOf {
    fn status_of(&self) -> u16;
}

impl StatusOf for HttpResponse {
    fn status_of(&self) -> u16 {
        self.status().as_u16()
    }
}

/// The cause at the bottom says "Connection refused"; those above it say "dispatch failure".
pub(super) fn innermost(err: &dyn std::error::Error) -> String {
    let mut cause = err;
    while let Some(next) = cause.source() {
        cause = next;
    }
    let text = cause.to_string();
    let text = text.split(" (os error").next().unwrap_or_default();
    text.trim_end_matches('.').to_owned()
}

pub(super) fn connection_fault(err: &(dyn std::error::Error + 'static)) -> String {
    let text = innermost(err);
    match text.as_str() {
        "Connection refused" => "the connection was refused".into(),
        _ => format!("the connection failed ({text})"),
    }
}

pub(super) async fn error_of(status: u16, response: HttpResponse) -> Fault {
    let body = response.into_body().collect().await.map(|body| body.to_bytes()).unwrap_or_default();
    let text = String::from_utf8_lossy(&body[..body.len().min(MAX_ERROR_BODY)]);
    let code = element(&text, "Code");
    let mut message = element(&text, "Message").trim_end_matches('.').to_owned();
    if message.is_empty() {
        message = match http::StatusCode::from_u16(status).ok().and_then(|status| status.canonical_reason()) {
            Some(reason) => reason.to_owned(),
            None => "no reason was given".into(),
        };
    }
    Fault { status, code, message }
}

/// The text of the first element of this name in an error document of S3.
fn element(document: &str, name: &str) -> String {
    let text = document
        .split_once(&format!("<{name}>"))
        .and_then(|(_, rest)| rest.split_once(&format!("</{name}>")))
        .map_or("", |(text, _)| text);
    text.replace("&lt;", "<").replace("&gt;", ">").replace("&quot;", "\"").replace("&apos;", "'").replace("&amp;", "&")
}
