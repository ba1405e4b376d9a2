//! What credentials may do with a bucket, found out without leaving anything in it.

use aws_sdk_s3::config::http::HttpResponse;
use aws_sdk_s3::error::SdkError;
use bytes::Bytes;

use super::s3::{Bucket, Fault, PutOptions, S3Access};
use crate::Result;

/// How one attempt ended.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Attempt {
    /// Whether it is allowed; none where the answer does not tell.
    pub allowed: Option<bool>,
    /// The HTTP status, 0 when nothing answered.
    pub status: u16,
    /// S3's error code; empty when there is none.
    pub code: String,
    /// What was said.
    pub message: String,
}

/// What was found out about a bucket.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Report {
    /// `HeadBucket`: whether there is such a bucket.
    pub bucket: Attempt,
    /// The region that it lies in, when the answer names one.
    pub region: Option<String>,
    /// `HeadBucket` for the account that is to own it; none without such an account.
    pub owner: Option<Attempt>,
    /// `ListObjectsV2` below the root prefix.
    pub list: Option<Attempt>,
    /// Whether there is any object below the root prefix.
    pub is_empty: bool,
    /// `HeadObject` of an object below the root prefix.
    pub read: Option<Attempt>,
    /// `UploadPart`, for an upload that does not exist: S3 looks at the rights first, and then has nothing to write to.
    pub write: Option<Attempt>,
}

/// A key and an upload that nobody has.
const NOBODYS_KEY: &str = "shotput-doctor";
const NOBODYS_UPLOAD: &str = "partNumber=1&uploadId=shotput-doctor";

/// Asks for a bucket, for its list, for an object and, unless `read_only`, whether one could be written.
///
/// # Errors
/// `Config` when the certificates that the target names cannot be read.
pub async fn probe(access: &S3Access, name: &str, root_prefix: &str, read_only: bool) -> Result<Report> {
    let anyones = Bucket::new(&S3Access { expected_bucket_owner: None, ..access.clone() }, name)?;
    let prefix = match root_prefix.trim_matches('/') {
        "" => String::new(),
        prefix => format!("{prefix}/"),
    };
    let (bucket, region) = head(&anyones, None).await;
    let mut report = Report { bucket, region, owner: None, list: None, is_empty: true, read: None, write: None };
    if report.bucket.status == 0 || report.bucket.code == "NoSuchBucket" {
        return Ok(report);
    }
    if let Some(owner) = &access.expected_bucket_owner {
        report.owner = Some(head(&anyones, Some(owner)).await.0);
    }
    let (list, key) = first_key(&anyones, &prefix).await;
    report.list = Some(list);
    report.is_empty = key.is_none();
    report.read = Some(match &key {
        Some(key) => attempt(anyones.exists(key).await.map(drop)),
        None => attempt(anyones.exists(&format!("{prefix}{NOBODYS_KEY}")).await.map(drop)),
    });
    if read_only {
        return Ok(report);
    }
    let nothing = PutOptions { query: NOBODYS_UPLOAD, ..PutOptions::default() };
    report.write = Some(match anyones.put(&format!("{prefix}Data/{NOBODYS_KEY}"), Bytes::new(), &nothing).await {
        Err(fault) if fault.code == "NoSuchUpload" => attempt(Ok(())),
        Ok(_) => Attempt {
            allowed: None,
            status: 200,
            code: String::new(),
            message: "the store took a part of an upload that does not exist".into(),
        },
        Err(fault) => attempt(Err(fault)),
    });
    Ok(report)
}

fn attempt(outcome: Result<(), Fault>) -> Attempt {
    match outcome {
        Ok(()) => Attempt { allowed: Some(true), status: 200, code: String::new(), message: String::new() },
        Err(fault) => Attempt {
            allowed: matches!(fault.status, 401 | 403).then_some(false),
            status: fault.status,
            message: fault.to_string(),
            code: fault.code,
        },
    }
}

async fn head(bucket: &Bucket, owner: Option<&String>) -> (Attempt, Option<String>) {
    let answer =
        bucket.sdk().head_bucket().bucket(bucket.name()).set_expected_bucket_owner(owner.cloned()).send().await;
    match answer {
        Ok(found) => (attempt(Ok(())), found.bucket_region),
        Err(err) => {
            let region = region_of(&err);
            let mut attempt = attempt(Err(Fault::from(err)));
            // The answer to HEAD has no body that could name the reason.
            if attempt.status == 404 {
                attempt.code = "NoSuchBucket".into();
            }
            (attempt, region)
        }
    }
}

fn region_of<E>(err: &SdkError<E, HttpResponse>) -> Option<String> {
    err.raw_response()?.headers().get("x-amz-bucket-region").map(str::to_owned)
}

async fn first_key(bucket: &Bucket, prefix: &str) -> (Attempt, Option<String>) {
    match bucket.sdk().list_objects_v2().bucket(bucket.name()).prefix(prefix).max_keys(1).send().await {
        Ok(page) => {
            let key = page.contents.unwrap_or_default().into_iter().find_map(|object| object.key);
            (attempt(Ok(())), key)
        }
        Err(err) => (attempt(Err(Fault::from(err))), None),
    }
}
