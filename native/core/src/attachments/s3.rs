//! The way to the object store: one connection pool, the SDK for what is rare, and signed requests of our own for
//! what is done per file.
//!
//! A PutObject of the SDK passes endpoint rules, retries, interceptors and a checksum trailer in chunked encoding before
//! it is signed and sent; on one machine, where store and client share the cores, thousands of small files are a matter
//! of CPU time. Bodies go unsigned, with a CRC32 in a signed header instead of a SHA-256 over every byte on both sides.

use std::collections::HashSet;
use std::fmt;
use std::time::{Duration, SystemTime};

use aws_credential_types::Credentials;
use aws_credential_types::provider::ProvideCredentials as _;
use aws_sigv4::http_request::{
    PayloadChecksumKind, PercentEncodingMode, SignableBody, SignableRequest, SigningSettings, UriPathNormalizationMode,
    sign,
};
use aws_smithy_runtime_api::client::http::{HttpConnector as _, SharedHttpConnector};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_types::body::SdkBody;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use chrono::DateTime;
use http_body_util::BodyExt as _;
use tokio::sync::Mutex;

use crate::{CoreError, Result};

mod access;
mod fault;

pub use access::{Limits, S3Access, client};
use access::{client_with, connector};
pub(crate) use fault::Fault;
use fault::{connection_fault, error_of, innermost};

/// How long an answer may take beyond the time that its bytes need on a slow line.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(60);
const SLOW_LINE: u64 = 64 * 1024;
/// Waits between attempts; their number is the number of retries.
const RETRY_WAITS: [Duration; 3] = [Duration::from_millis(100), Duration::from_millis(500), Duration::from_secs(2)];
/// Credentials are asked for again this long before they expire.
const REFRESH_BEFORE: Duration = Duration::from_secs(300);

/// A signature of this age may be refused for it: S3 takes them for 15 minutes, by its own clock.
const OLD_SIGNATURE: Duration = Duration::from_secs(300);

/// What a put did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Put {
    /// The object is there now; its entity tag.
    Stored(String),
    /// It was there before (only with `If-None-Match`).
    Existed,
}

/// Members of a put beyond key and body.
#[derive(Debug, Default, Clone)]
pub(crate) struct PutOptions<'a> {
    /// Encoded query, e.g. `partNumber=1&uploadId=x`.
    pub(crate) query: &'a str,
    /// Only when no object has this key.
    pub(crate) if_none_match: bool,
    /// `x-amz-meta-*`; ASCII.
    pub(crate) metadata: &'a [(String, String)],
}

/// A whole object.
pub(crate) struct Whole {
    pub(crate) bytes: Bytes,
    /// User metadata, without `x-amz-meta-`.
    pub(crate) metadata: Vec<(String, String)>,
    /// Seconds since 1970; 0 when it is not told.
    pub(crate) last_modified: i64,
}

/// One bucket of an object store.
pub(crate) struct Bucket {
    access: S3Access,
    name: String,
    /// Scheme, host and, in path style, the bucket.
    base: String,
    sdk: aws_sdk_s3::Client,
    connector: SharedHttpConnector,
    keys: Mutex<Option<Credentials>>,
}

impl Bucket {
    pub(crate) fn new(access: &S3Access, name: &str) -> Result<Self> {
        let base = match &access.endpoint_url {
            Some(url) => format!("{}/{name}", url.trim_end_matches('/')),
            None => {
                let suffix = if access.region.starts_with("cn-") { "amazonaws.com.cn" } else { "amazonaws.com" };
                // A certificate covers one label: names with dots need the path style.
                if name.contains('.') {
                    format!("https://s3.{}.{suffix}/{name}", access.region)
                } else {
                    format!("https://{name}.s3.{}.{suffix}", access.region)
                }
            }
        };
        let connector = connector(access)?;
        let sdk = client_with(access, connector.clone());
        Ok(Self { access: access.clone(), name: name.into(), base, sdk, connector, keys: Mutex::new(None) })
    }

    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    pub(crate) fn sdk(&self) -> &aws_sdk_s3::Client {
        &self.sdk
    }

    pub(crate) fn limits(&self) -> Limits {
        self.access.limits
    }

    pub(crate) fn owner(&self) -> Option<String> {
        self.access.expected_bucket_owner.clone()
    }

    /// Whether requests stay on this machine, where latency is nothing and CPU time is everything.
    pub(crate) fn is_local(&self) -> bool {
        self.access.is_loopback()
    }

    fn endpoint(&self) -> String {
        self.access.endpoint_url.clone().unwrap_or_else(|| format!("AWS ({})", self.access.region))
    }

    /// The sentence for a person: what was done, where, why not, what to do next.
    pub(crate) fn explain(&self, action: &str, key: &str, fault: &Fault) -> CoreError {
        let object = format!("s3://{}/{key}", self.name);
        let endpoint = self.endpoint();
        CoreError::Attachments(fault.sentence(action, &object, &endpoint))
    }

    /// Stores bytes under a key, with retries.
    pub(crate) async fn put(&self, key: &str, body: Bytes, options: &PutOptions<'_>) -> Result<Put, Fault> {
        let checksum = crc_fast::checksum(crc_fast::CrcAlgorithm::Crc32IsoHdlc, &body) as u32;
        let checksum = STANDARD.encode(checksum.to_be_bytes());
        let length = body.len().to_string();
        let mut headers: Vec<(&str, &str)> = vec![("content-length", &length), ("x-amz-checksum-crc32", &checksum)];
        if options.if_none_match {
            headers.push(("if-none-match", "*"));
        }
        let metadata: Vec<(String, &str)> =
            options.metadata.iter().map(|(name, value)| (format!("x-amz-meta-{name}"), value.as_str())).collect();
        headers.extend(metadata.iter().map(|(name, value)| (name.as_str(), *value)));
        let mut sent = self.send("PUT", key, options.query, &headers, &body).await;
        // 409: another put of this object is on its way, and may never arrive; 501: a store that knows no conditions.
        // Who writes the object last writes the same bytes.
        if options.if_none_match && sent.as_ref().is_err_and(|fault| matches!(fault.status, 409 | 501)) {
            headers.retain(|(name, _)| *name != "if-none-match");
            sent = self.send("PUT", key, options.query, &headers, &body).await;
        }
        match sent {
            Ok(response) => {
                let tag = response.headers().get("etag").unwrap_or_default().to_owned();
                drain(response).await?;
                Ok(Put::Stored(tag))
            }
            Err(fault) if options.if_none_match && fault.status == 412 => Ok(Put::Existed),
            Err(fault) => Err(fault),
        }
    }

    /// Whether there is an object of this key.
    pub(crate) async fn exists(&self, key: &str) -> Result<bool, Fault> {
        match self.send("HEAD", key, "", &[], &Bytes::new()).await {
            Ok(_) => Ok(true),
            Err(fault) if fault.status == 404 => Ok(false),
            Err(fault) => Err(fault),
        }
    }

    /// The answer to a GET from byte `start` on; its body is still to be read.
    pub(crate) async fn get(&self, key: &str, start: u64) -> Result<HttpResponse, Fault> {
        let range = format!("bytes={start}-");
        let headers: &[(&str, &str)] = if start > 0 { &[("range", &range)] } else { &[] };
        self.send("GET", key, "", headers, &Bytes::new()).await
    }

    /// A whole object and what is told beside it.
    pub(crate) async fn get_whole(&self, key: &str) -> Result<Whole, Fault> {
        let mut attempt = 0;
        loop {
            let response = self.get(key, 0).await?;
            let metadata = response
                .headers()
                .iter()
                .filter_map(|(name, value)| Some((name.strip_prefix("x-amz-meta-")?.to_owned(), value.to_owned())))
                .collect();
            let modified =
                response.headers().get("last-modified").and_then(|text| DateTime::parse_from_rfc2822(text).ok());
            let last_modified = modified.map_or(0, |time| time.timestamp());
            match response.into_body().collect().await {
                Ok(body) => return Ok(Whole { bytes: body.to_bytes(), metadata, last_modified }),
                Err(err) if attempt >= RETRY_WAITS.len() => {
                    return Err(Fault::transport(format!("the connection was lost ({})", innermost(&*err))));
                }
                Err(_) => tokio::time::sleep(RETRY_WAITS[attempt]).await,
            }
            attempt += 1;
        }
    }

    /// Keys below a prefix, at most `limit` pages; and whether that was all.
    pub(crate) async fn list(&self, prefix: &str, limit: Option<usize>) -> Result<(Vec<String>, bool), Fault> {
        let mut keys = Vec::new();
        let mut continuation = None;
        let mut pages = 0;
        loop {
            let page = self
                .sdk
                .list_objects_v2()
                .bucket(&self.name)
                .prefix(prefix)
                .set_expected_bucket_owner(self.owner())
                .set_continuation_token(continuation.take())
                .send()
                .await
                .map_err(Fault::from)?;
            keys.extend(page.contents.unwrap_or_default().into_iter().filter_map(|object| object.key));
            pages += 1;
            continuation = page.next_continuation_token;
            if continuation.is_none() {
                return Ok((keys, true));
            }
            if limit.is_some_and(|limit| pages >= limit) {
                return Ok((keys, false));
            }
        }
    }

    /// As [`Self::list`] without a limit, over 16 prefixes at once: for keys that go on with a hexadecimal hash.
    pub(crate) async fn list_hashes(&self, prefix: &str) -> Result<HashSet<String>, Fault> {
        let lists = "0123456789abcdef".chars().map(|digit| {
            let prefix = format!("{prefix}{digit}");
            async move { self.list(&prefix, None).await }
        });
        let mut keys = HashSet::new();
        for list in futures_util::future::try_join_all(lists).await? {
            keys.extend(list.0);
        }
        Ok(keys)
    }

    async fn keys(&self) -> Result<Credentials, Fault> {
        let mut slot = self.keys.lock().await;
        if let Some(keys) = slot.as_ref().filter(|keys| is_fresh(keys)) {
            return Ok(keys.clone());
        }
        let keys = self
            .access
            .credentials
            .provide_credentials()
            .await
            .map_err(|err| Fault::transport(format!("there are no credentials: {}", innermost(&err))))?;
        *slot = Some(keys.clone());
        Ok(keys)
    }

    /// Asks for keys again at the next request, unless another one did so.
    async fn forget(&self, keys: &Credentials) {
        let mut slot = self.keys.lock().await;
        if slot.as_ref().is_some_and(|kept| kept.access_key_id() == keys.access_key_id()) {
            *slot = None;
        }
    }

    async fn send(
        &self,
        method: &'static str,
        key: &str,
        query: &str,
        headers: &[(&str, &str)],
        body: &Bytes,
    ) -> Result<HttpResponse, Fault> {
        let mut waits = RETRY_WAITS.iter();
        let mut is_signed_anew = false;
        loop {
            let keys = self.keys().await?;
            let signed_at = SystemTime::now();
            let fault = match self.send_once(&keys, method, key, query, headers, body).await {
                Ok(response) => return Ok(response),
                Err(fault) => fault,
            };
            // A process that was held, or a machine that slept, sends what it signed before.
            let is_late = !is_fresh(&keys) || signed_at.elapsed().is_ok_and(|age| age > OLD_SIGNATURE);
            if !is_signed_anew && (fault.is_about_time() || (fault.is_refusal_without_reason() && is_late)) {
                is_signed_anew = true;
                self.forget(&keys).await;
                continue;
            }
            match waits.next() {
                Some(wait) if fault.is_transient() => tokio::time::sleep(*wait).await,
                _ => return Err(fault),
            }
        }
    }

    async fn send_once(
        &self,
        keys: &Credentials,
        method: &'static str,
        key: &str,
        query: &str,
        headers: &[(&str, &str)],
        body: &Bytes,
    ) -> Result<HttpResponse, Fault> {
        let mut url = format!("{}/{}", self.base, encode_key(key));
        if !query.is_empty() {
            url.push('?');
            url.push_str(query);
        }
        let mut builder = http::Request::builder().method(method).uri(&url);
        for (name, value) in headers {
            builder = builder.header(*name, *value);
        }
        if let Some(owner) = &self.access.expected_bucket_owner {
            builder = builder.header("x-amz-expected-bucket-owner", owner);
        }
        let mut request = builder
            .body(SdkBody::from(body.clone()))
            .map_err(|err| Fault::transport(format!("the address {url} is not usable: {err}")))?;
        self.sign(&mut request, &url, keys)?;
        let request = HttpRequest::try_from(request).map_err(|err| Fault::transport(innermost(&err)))?;
        let limit = ANSWER_TIMEOUT + Duration::from_secs(body.len() as u64 / SLOW_LINE);
        let response = match tokio::time::timeout(limit, self.connector.call(request)).await {
            Ok(Ok(response)) => response,
            Ok(Err(err)) => return Err(Fault::transport(connection_fault(&err))),
            Err(_) => return Err(Fault::transport(format!("no answer came within {} s", limit.as_secs()))),
        };
        let status = response.status().as_u16();
        if (200..300).contains(&status) {
            return Ok(response);
        }
        Err(error_of(status, response).await)
    }

    fn sign(&self, request: &mut http::Request<SdkBody>, url: &str, keys: &Credentials) -> Result<(), Fault> {
        let identity = keys.clone().into();
        let mut settings = SigningSettings::default();
        settings.payload_checksum_kind = PayloadChecksumKind::XAmzSha256;
        settings.percent_encoding_mode = PercentEncodingMode::Single;
        settings.uri_path_normalization_mode = UriPathNormalizationMode::Disabled;
        let unsigned = |err: &dyn fmt::Display| Fault::transport(format!("the request cannot be signed: {err}"));
        let params = aws_sigv4::sign::v4::SigningParams::builder()
            .identity(&identity)
            .region(&self.access.region)
            .name("s3")
            .time(SystemTime::now())
            .settings(settings)
            .build()
            .map_err(|err| unsigned(&err))?
            .into();
        let headers = request.headers().iter().map(|(name, value)| (name.as_str(), value.to_str().unwrap_or_default()));
        let signable = SignableRequest::new(request.method().as_str(), url, headers, SignableBody::UnsignedPayload)
            .map_err(|err| unsigned(&err))?;
        let (instructions, _) = sign(signable, &params).map_err(|err| unsigned(&err))?.into_parts();
        instructions.apply_to_request_http1x(request);
        Ok(())
    }
}

fn is_fresh(keys: &Credentials) -> bool {
    keys.expiry().is_none_or(|expiry| expiry > SystemTime::now() + REFRESH_BEFORE)
}

/// A connection goes back to its pool only when the answer was read.
async fn drain(response: HttpResponse) -> Result<(), Fault> {
    let body = response.into_body().collect().await;
    body.map(|_| ()).map_err(|err| Fault::transport(format!("the connection was lost ({})", innermost(&*err))))
}

/// Percent encoding of a key in a path, `/` kept.
pub(crate) fn encode_key(key: &str) -> String {
    let mut text = String::with_capacity(key.len());
    for byte in key.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' | b'/' => text.push(char::from(byte)),
            other => {
                const DIGITS: &[u8; 16] = b"0123456789ABCDEF";
                text.push('%');
                text.push(char::from(DIGITS[usize::from(other >> 4)]));
                text.push(char::from(DIGITS[usize::from(other & 15)]));
            }
        }
    }
    text
}
