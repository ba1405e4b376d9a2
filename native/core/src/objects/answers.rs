//! Between the protocol's shapes and ours.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use s3s::dto::{ChecksumAlgorithm, ChecksumType, ETag, ETagCondition, Timestamp};
use s3s::{S3Result, s3_error};

use super::checksums::{Algorithm, Stored};
use super::format::Description;
use super::store::Condition;
use super::transfer::Claims;

/// A time in milliseconds since 1970.
pub(super) fn timestamp(milliseconds: u64) -> Timestamp {
    Timestamp::from(UNIX_EPOCH + Duration::from_millis(milliseconds))
}

/// The time as `Last-Modified` gives it: whole seconds.
pub(super) fn last_modified(milliseconds: u64) -> Timestamp {
    timestamp(milliseconds / 1000 * 1000)
}

pub(super) fn system_time(time: SystemTime) -> Timestamp {
    Timestamp::from(time)
}

/// The checksum members that many shapes of the protocol share.
#[derive(Default)]
pub(super) struct Checksums {
    pub crc32: Option<String>,
    pub crc32c: Option<String>,
    pub crc64nvme: Option<String>,
    pub sha1: Option<String>,
    pub sha256: Option<String>,
}

impl Checksums {
    pub(super) fn of(stored: Option<&Stored>) -> Self {
        let mut members = Self::default();
        if let Some(stored) = stored {
            let member = match stored.algorithm {
                Algorithm::Crc32 => &mut members.crc32,
                Algorithm::Crc32c => &mut members.crc32c,
                Algorithm::Crc64Nvme => &mut members.crc64nvme,
                Algorithm::Sha1 => &mut members.sha1,
                Algorithm::Sha256 => &mut members.sha256,
            };
            *member = Some(stored.value.clone());
        }
        members
    }

    /// The one value that is there; an error when there are several.
    pub(super) fn single(self) -> S3Result<Option<Stored>> {
        let all = [
            (Algorithm::Crc32, self.crc32),
            (Algorithm::Crc32c, self.crc32c),
            (Algorithm::Crc64Nvme, self.crc64nvme),
            (Algorithm::Sha1, self.sha1),
            (Algorithm::Sha256, self.sha256),
        ];
        let mut found = None;
        for (algorithm, value) in all {
            if let Some(value) = value
                && found.replace(Stored { algorithm, value, composite: false }).is_some()
            {
                return Err(s3_error!(InvalidRequest, "Expecting a single x-amz-checksum- header."));
            }
        }
        Ok(found)
    }
}

/// Fills the checksum members of a shape.
macro_rules! with_checksums {
    ($shape:expr, $stored:expr) => {{
        let members = $crate::objects::answers::Checksums::of($stored);
        let mut shape = $shape;
        shape.checksum_crc32 = members.crc32;
        shape.checksum_crc32c = members.crc32c;
        shape.checksum_crc64nvme = members.crc64nvme;
        shape.checksum_sha1 = members.sha1;
        shape.checksum_sha256 = members.sha256;
        shape
    }};
}

/// Reads the checksum members of a shape.
macro_rules! single_checksum {
    ($shape:expr) => {
        $crate::objects::answers::Checksums {
            crc32: $shape.checksum_crc32.take(),
            crc32c: $shape.checksum_crc32c.take(),
            crc64nvme: $shape.checksum_crc64nvme.take(),
            sha1: $shape.checksum_sha1.take(),
            sha256: $shape.checksum_sha256.take(),
        }
        .single()
    };
}

pub(super) use {single_checksum, with_checksums};

pub(super) fn checksum_type(stored: &Stored) -> ChecksumType {
    ChecksumType::from_static(if stored.composite { ChecksumType::COMPOSITE } else { ChecksumType::FULL_OBJECT })
}

pub(super) fn checksum_algorithm(algorithm: Algorithm) -> ChecksumAlgorithm {
    ChecksumAlgorithm::from_static(algorithm.name())
}

pub(super) fn etag(etag: &str) -> ETag {
    ETag::Strong(etag.to_owned())
}

/// What the headers of an upload say about its body.
pub(super) fn claims(
    headers: &http::HeaderMap,
    length: Option<i64>,
    md5: Option<String>,
    checksum: Option<Stored>,
) -> S3Result<Claims> {
    let length = length.and_then(|length| u64::try_from(length).ok());
    let length =
        length.ok_or_else(|| s3_error!(MissingContentLength, "You must provide the Content-Length HTTP header."))?;
    let trailers = headers.get_all("x-amz-trailer").iter().filter_map(|value| value.to_str().ok());
    let trailer = trailers.flat_map(|value| value.split(',')).find_map(Algorithm::from_header);
    if let (Some(checksum), Some(_)) = (&checksum, trailer) {
        return Err(s3_error!(
            InvalidRequest,
            "Expecting a single x-amz-checksum- header: {} came besides a trailer.",
            checksum.algorithm.header()
        ));
    }
    Ok(Claims { length, md5, checksum, trailer, wanted: None })
}

/// The condition of a request that writes.
pub(super) fn condition(if_match: Option<ETagCondition>, if_none_match: Option<ETagCondition>) -> S3Result<Condition> {
    match (if_match, if_none_match) {
        (None, None) => Ok(Condition::Always),
        (None, Some(ETagCondition::Any)) => Ok(Condition::Absent),
        (Some(ETagCondition::Any), None) => Ok(Condition::Matches("*".into())),
        (Some(ETagCondition::ETag(etag)), None) => Ok(Condition::Matches(etag.into_value())),
        _ => Err(s3_error!(
            NotImplemented,
            "A header you provided implies functionality that is not implemented: If-None-Match takes * only."
        )),
    }
}

/// The conditions of a request that reads.
pub(super) struct ReadConditions {
    pub if_match: Option<ETagCondition>,
    pub if_none_match: Option<ETagCondition>,
    pub if_modified_since: Option<Timestamp>,
    pub if_unmodified_since: Option<Timestamp>,
}

impl ReadConditions {
    /// In the order of RFC 9110, section 13.2.2.
    pub(super) fn check(&self, description: &Description) -> S3Result<()> {
        let matches = |condition: &ETagCondition| match condition {
            ETagCondition::Any => true,
            ETagCondition::ETag(etag) => etag.value() == description.etag,
        };
        let modified = last_modified(description.modified);
        let failed = match &self.if_match {
            Some(condition) => !matches(condition),
            None => self.if_unmodified_since.as_ref().is_some_and(|since| modified > *since),
        };
        if failed {
            return Err(precondition_failed());
        }
        let unchanged = match &self.if_none_match {
            Some(condition) => matches(condition),
            None => self.if_modified_since.as_ref().is_some_and(|since| modified <= *since),
        };
        if unchanged {
            let mut answer = s3_error!(NotModified, "Not Modified");
            let mut headers = http::HeaderMap::new();
            if let Ok(etag) = http::HeaderValue::from_str(&format!("\"{}\"", description.etag)) {
                headers.insert(http::header::ETAG, etag);
            }
            answer.set_headers(headers);
            return Err(answer);
        }
        Ok(())
    }
}

pub(super) fn precondition_failed() -> s3s::S3Error {
    s3_error!(PreconditionFailed, "At least one of the pre-conditions you specified did not hold.")
}
