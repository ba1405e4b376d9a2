//! Listings of objects and buckets.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use s3s::dto::*;
use s3s::{S3Request, S3Response, S3Result, s3_error};

use super::{Service, limit};
use crate::objects::access::scope;
use crate::objects::answers::{self, timestamp};
use crate::objects::listing::{self, Entry, Query};

impl Service {
    pub(super) async fn list_v2(
        &self,
        req: S3Request<ListObjectsV2Input>,
    ) -> S3Result<S3Response<ListObjectsV2Output>> {
        let prefix = req.input.prefix.clone().unwrap_or_default();
        scope(&req)?.check_listing(&req.input.bucket, &prefix)?;
        let input = req.input;
        let position = match &input.continuation_token {
            None => input.start_after.clone().map(|key| format!("k{key}")),
            Some(token) => {
                let text = URL_SAFE_NO_PAD.decode(token).ok().and_then(|bytes| String::from_utf8(bytes).ok());
                let text = text.filter(|text| text.starts_with(['k', 'p']));
                Some(text.ok_or_else(|| s3_error!(InvalidArgument, "The continuation token provided is incorrect."))?)
            }
        };
        let position = position.unwrap_or_else(|| "k".into());
        let (after, skip) =
            if let Some(common) = position.strip_prefix('p') { (common, Some(common)) } else { (&position[1..], None) };
        let delimiter = input.delimiter.clone().unwrap_or_default();
        let limit = limit(input.max_keys)?;
        let page = self.list(&input.bucket, &Query { prefix: &prefix, delimiter: &delimiter, after, skip, limit })?;
        let next = next_position(&page).map(|position| URL_SAFE_NO_PAD.encode(position));
        let truncated = page.truncated;
        let (contents, common_prefixes) = entries(page);
        Ok(S3Response::new(ListObjectsV2Output {
            name: Some(input.bucket),
            prefix: Some(prefix),
            max_keys: i32::try_from(limit).ok(),
            key_count: i32::try_from(contents.len() + common_prefixes.len()).ok(),
            continuation_token: input.continuation_token,
            is_truncated: Some(truncated),
            next_continuation_token: next,
            contents: Some(encoded_objects(contents, input.encoding_type.as_ref())),
            common_prefixes: Some(encoded_prefixes(common_prefixes, input.encoding_type.as_ref())),
            delimiter: input.delimiter,
            encoding_type: input.encoding_type,
            start_after: input.start_after,
            ..Default::default()
        }))
    }

    pub(super) async fn list_v1(&self, req: S3Request<ListObjectsInput>) -> S3Result<S3Response<ListObjectsOutput>> {
        let prefix = req.input.prefix.clone().unwrap_or_default();
        scope(&req)?.check_listing(&req.input.bucket, &prefix)?;
        let input = req.input;
        let delimiter = input.delimiter.clone().unwrap_or_default();
        let after = input.marker.clone().unwrap_or_default();
        // The marker of a page that ended with a common prefix is that prefix.
        let skip = (!delimiter.is_empty() && after.ends_with(&delimiter)).then_some(after.as_str());
        let limit = limit(input.max_keys)?;
        let page =
            self.list(&input.bucket, &Query { prefix: &prefix, delimiter: &delimiter, after: &after, skip, limit })?;
        let next = next_position(&page).map(|position| position[1..].to_owned());
        let truncated = page.truncated;
        let (contents, common_prefixes) = entries(page);
        Ok(S3Response::new(ListObjectsOutput {
            name: Some(input.bucket),
            prefix: Some(prefix),
            marker: input.marker,
            max_keys: i32::try_from(limit).ok(),
            is_truncated: Some(truncated),
            next_marker: next.map(|next| encoded(next, input.encoding_type.as_ref())),
            contents: Some(encoded_objects(contents, input.encoding_type.as_ref())),
            common_prefixes: Some(encoded_prefixes(common_prefixes, input.encoding_type.as_ref())),
            delimiter: input.delimiter,
            encoding_type: input.encoding_type,
            request_charged: None,
        }))
    }

    pub(super) async fn buckets(&self, req: S3Request<ListBucketsInput>) -> S3Result<S3Response<ListBucketsOutput>> {
        let name = scope(&req)?.bucket().to_owned();
        let created = self.disk(self.store.bucket_created(&name))?;
        let bucket =
            Bucket { name: Some(name), creation_date: Some(answers::system_time(created)), ..Default::default() };
        Ok(S3Response::new(ListBucketsOutput { buckets: Some(vec![bucket]), ..Default::default() }))
    }
}

/// The listed entries, apart.
fn entries(page: listing::Page) -> (Vec<Object>, Vec<CommonPrefix>) {
    let mut objects = Vec::new();
    let mut prefixes = Vec::new();
    for entry in page.entries {
        match entry {
            Entry::Prefix(prefix) => prefixes.push(CommonPrefix { prefix: Some(prefix) }),
            Entry::Object(found) => objects.push(Object {
                checksum_algorithm: found.checksum.as_ref().map(|sum| vec![answers::checksum_algorithm(sum.algorithm)]),
                checksum_type: found.checksum.as_ref().map(answers::checksum_type),
                e_tag: Some(answers::etag(&found.etag)),
                key: Some(found.key),
                last_modified: Some(timestamp(found.modified)),
                size: i64::try_from(found.size).ok(),
                storage_class: Some(ObjectStorageClass::from_static(ObjectStorageClass::STANDARD)),
                ..Default::default()
            }),
        }
    }
    (objects, prefixes)
}

/// Where the next page begins: `k` and a key, or `p` and a common prefix.
fn next_position(page: &listing::Page) -> Option<String> {
    match page.entries.last().filter(|_| page.truncated)? {
        Entry::Object(found) => Some(format!("k{}", found.key)),
        Entry::Prefix(prefix) => Some(format!("p{prefix}")),
    }
}

fn encoded(text: String, encoding: Option<&EncodingType>) -> String {
    if encoding.is_none_or(|encoding| encoding.as_str() != EncodingType::URL) {
        return text;
    }
    let mut result = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' | b'/' | b'*' => {
                result.push(byte as char)
            }
            _ => result.push_str(&format!("%{byte:02X}")),
        }
    }
    result
}

fn encoded_objects(mut objects: Vec<Object>, encoding: Option<&EncodingType>) -> Vec<Object> {
    for object in &mut objects {
        object.key = object.key.take().map(|key| encoded(key, encoding));
    }
    objects
}

fn encoded_prefixes(mut prefixes: Vec<CommonPrefix>, encoding: Option<&EncodingType>) -> Vec<CommonPrefix> {
    for common in &mut prefixes {
        common.prefix = common.prefix.take().map(|prefix| encoded(prefix, encoding));
    }
    prefixes
}
