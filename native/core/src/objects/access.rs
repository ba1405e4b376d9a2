//! Who may do what: access keys, and the checks that the S3 framework leaves to its users.
//!
//! `s3s` verifies signatures, and nothing else: not the session token of temporary keys, not their expiry, not what a key
//! is for. It also takes signature version 2, whose requests carry no scope and never grow old; it is refused here.

use std::collections::HashMap;
use std::sync::{Arc, RwLock};
use std::time::{SystemTime, UNIX_EPOCH};

use s3s::access::{S3Access, S3AccessContext};
use s3s::auth::{S3Auth, SecretKey};
use s3s::path::S3Path;
use s3s::{S3Error, S3ErrorCode, S3Result, s3_error};

/// An access key and what it may do.
#[derive(Clone)]
pub struct AccessKey {
    /// The secret that signs requests.
    pub secret_access_key: String,
    /// Temporary keys come with a token that every request must carry.
    pub session_token: Option<String>,
    /// The one bucket that the key opens.
    pub bucket: String,
    /// Keys at or below this folder only; empty for the whole bucket.
    pub prefix: String,
    /// Seconds since 1970 after which the key is refused; `None` for never.
    pub expires_at: Option<f64>,
    /// Whether the key may only read.
    pub read_only: bool,
}

impl std::fmt::Debug for AccessKey {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // Secrets stay out of logs.
        formatter
            .debug_struct("AccessKey")
            .field("bucket", &self.bucket)
            .field("prefix", &self.prefix)
            .field("expires_at", &self.expires_at)
            .field("read_only", &self.read_only)
            .finish_non_exhaustive()
    }
}

/// What the key of a request covers; travels with the request to the operations.
#[derive(Debug, Clone)]
pub(super) struct Scope(Arc<AccessKey>);

impl Scope {
    pub(super) fn bucket(&self) -> &str {
        &self.0.bucket
    }

    /// Refuses keys of other buckets and folders.
    pub(super) fn check(&self, bucket: &str, key: &str) -> S3Result<()> {
        let inside = key.strip_prefix(self.0.prefix.trim_end_matches('/'));
        let covered = self.0.prefix.is_empty() || inside.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
        if bucket == self.0.bucket && covered { Ok(()) } else { Err(self.denied(bucket, key)) }
    }

    /// Refuses listings that could show keys outside.
    pub(super) fn check_listing(&self, bucket: &str, prefix: &str) -> S3Result<()> {
        let folder = self.0.prefix.trim_end_matches('/');
        let covered = folder.is_empty() || prefix.strip_prefix(folder).is_some_and(|rest| rest.starts_with('/'));
        if bucket == self.0.bucket && covered { Ok(()) } else { Err(self.denied(bucket, prefix)) }
    }

    fn denied(&self, bucket: &str, key: &str) -> S3Error {
        s3_error!(
            AccessDenied,
            "This access key is for s3://{}/{}, not for s3://{bucket}/{key}.",
            self.0.bucket,
            self.0.prefix
        )
    }
}

/// The keys of a store; shared, and changed at run time.
#[derive(Clone, Default)]
pub(super) struct Keys(Arc<RwLock<HashMap<String, Arc<AccessKey>>>>);

impl Keys {
    pub(super) fn add(&self, access_key_id: String, key: AccessKey) {
        let mut keys = self.0.write().unwrap_or_else(|poisoned| poisoned.into_inner());
        // Temporary keys are added every hour and rarely removed: the expired ones go here.
        keys.retain(|_, key| !is_expired(key, EXPIRED_KEPT));
        keys.insert(access_key_id, Arc::new(key));
    }

    pub(super) fn remove(&self, access_key_id: &str) -> bool {
        self.0.write().unwrap_or_else(|poisoned| poisoned.into_inner()).remove(access_key_id).is_some()
    }

    fn get(&self, access_key_id: &str) -> S3Result<Arc<AccessKey>> {
        let keys = self.0.read().unwrap_or_else(|poisoned| poisoned.into_inner());
        keys.get(access_key_id).cloned().ok_or_else(|| {
            s3_error!(
                InvalidAccessKeyId,
                "The access key {access_key_id} is not known to this farm. Use the keys that `shotput farm env` prints."
            )
        })
    }
}

/// Expired keys are answered as such, rather than as unknown, for a day.
const EXPIRED_KEPT: f64 = 24.0 * 3600.0;

fn is_expired(key: &AccessKey, since: f64) -> bool {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64();
    key.expires_at.is_some_and(|expires_at| now >= expires_at + since)
}

#[async_trait::async_trait]
impl S3Auth for Keys {
    async fn get_secret_key(&self, access_key: &str) -> S3Result<SecretKey> {
        Ok(SecretKey::from(self.get(access_key)?.secret_access_key.as_str()))
    }
}

#[derive(PartialEq)]
enum Kind {
    Read,
    Write,
}

/// Every operation that is served; all others are refused by name.
fn kind(operation: &str) -> Option<Kind> {
    Some(match operation {
        "ListBuckets"
        | "HeadBucket"
        | "GetBucketLocation"
        | "ListObjects"
        | "ListObjectsV2"
        | "ListMultipartUploads"
        | "GetObject"
        | "HeadObject"
        | "ListParts" => Kind::Read,
        "PutObject"
        | "CopyObject"
        | "DeleteObject"
        | "DeleteObjects"
        | "CreateMultipartUpload"
        | "UploadPart"
        | "CompleteMultipartUpload"
        | "AbortMultipartUpload" => Kind::Write,
        _ => return None,
    })
}

#[async_trait::async_trait]
impl S3Access for Keys {
    async fn check(&self, cx: &mut S3AccessContext<'_>) -> S3Result<()> {
        let operation = cx.s3_op().name();
        let Some(credentials) = cx.credentials() else {
            return Err(s3_error!(
                AccessDenied,
                "The request for {operation} is not signed. Sign it with the keys that `shotput farm env` prints."
            ));
        };
        let query = cx.uri().query().unwrap_or_default();
        let header = |name: &str| cx.headers().get(name).and_then(|value| value.to_str().ok());
        let version_2 = header("authorization").is_some_and(|value| value.starts_with("AWS "));
        if version_2 || parameter(query, "Signature").is_some() {
            return Err(s3_error!(AccessDenied, "Only signature version 4 (AWS4-HMAC-SHA256) is accepted."));
        }
        let key = self.get(&credentials.access_key)?;
        if is_expired(&key, 0.0) {
            return Err(s3_error!(
                ExpiredToken,
                "The access key {} has expired. Ask for a new one.",
                credentials.access_key
            ));
        }
        let from_query = parameter(query, "X-Amz-Security-Token");
        let token = header("x-amz-security-token").or(from_query.as_deref());
        if !same(token.unwrap_or_default(), key.session_token.as_deref().unwrap_or_default()) {
            return Err(s3_error!(
                InvalidToken,
                "The session token is not the one of access key {}. Use key, secret and token of one set.",
                credentials.access_key
            ));
        }
        let Some(kind) = kind(operation) else {
            return Err(s3_error!(NotImplemented, "The object store does not have the operation {operation}."));
        };
        if key.read_only && kind == Kind::Write {
            return Err(s3_error!(AccessDenied, "The access key {} may only read.", credentials.access_key));
        }
        let scope = Scope(key);
        match cx.s3_path() {
            S3Path::Root => {}
            // What DeleteObjects and listings name is read by the operations, and checked there.
            S3Path::Bucket { bucket } if **bucket != *scope.bucket() => return Err(scope.denied(bucket, "")),
            S3Path::Bucket { .. } => {}
            S3Path::Object { bucket, key } => scope.check(bucket, key)?,
        }
        cx.extensions_mut().insert(scope);
        Ok(())
    }
}

/// The scope of a request that passed [`Keys::check`].
pub(super) fn scope<T>(request: &s3s::S3Request<T>) -> S3Result<&Scope> {
    request.extensions.get::<Scope>().ok_or_else(|| S3Error::new(S3ErrorCode::AccessDenied))
}

/// Compares in a time that does not depend on where the texts differ.
fn same(a: &str, b: &str) -> bool {
    a.len() == b.len() && a.bytes().zip(b.bytes()).fold(0, |differ, (a, b)| differ | (a ^ b)) == 0
}

/// The first value of a query parameter.
fn parameter(query: &str, name: &str) -> Option<String> {
    let pairs = query.split('&').map(|pair| pair.split_once('=').unwrap_or((pair, "")));
    let (_, value) = pairs.into_iter().find(|(found, _)| decode(found) == name)?;
    Some(decode(value))
}

fn decode(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, tail @ ..] = rest {
        let escaped = match (first, tail) {
            (b'%', [high, low, ..]) => {
                std::str::from_utf8(&[*high, *low]).ok().and_then(|digits| u8::from_str_radix(digits, 16).ok())
            }
            _ => None,
        };
        bytes.push(escaped.unwrap_or(if *first == b'+' { b' ' } else { *first }));
        rest = if escaped.is_some() { &tail[2..] } else { tail };
    }
    String::from_utf8_lossy(&bytes).into_owned()
}
