//! Objects: put, get, head, copy, delete.

use s3s::dto::*;
use s3s::{S3Request, S3Response, S3Result, s3_error};

use super::{Service, metadata, part_number, stored_encoding};
use crate::objects::access::scope;
use crate::objects::answers::{self, ReadConditions, last_modified, single_checksum, timestamp, with_checksums};
use crate::objects::checksums::{Algorithm, Stored};
use crate::objects::format::{self, Description, Headers};
use crate::objects::store::{Condition, now};
use crate::objects::transfer::{self, Received, Sending};

/// The conditions of a request to read.
macro_rules! read_conditions {
    ($input:expr) => {
        ReadConditions {
            if_match: $input.if_match,
            if_none_match: $input.if_none_match,
            if_modified_since: $input.if_modified_since,
            if_unmodified_since: $input.if_unmodified_since,
        }
    };
}

/// What GetObject and HeadObject both say of an object; their shapes are two types with the same members.
macro_rules! described {
    ($shape:ident, $description:expr, $selected:expr, $checksum:expr) => {{
        let (description, selected, checksum): (&Description, &Selected, Option<&Stored>) =
            (&$description, &$selected, $checksum);
        $shape {
            accept_ranges: Some("bytes".into()),
            cache_control: description.headers.cache_control.clone(),
            checksum_type: checksum.map(answers::checksum_type),
            content_disposition: description.headers.content_disposition.clone(),
            content_encoding: description.headers.content_encoding.clone(),
            content_language: description.headers.content_language.clone(),
            content_length: i64::try_from(selected.range.end - selected.range.start).ok(),
            content_range: selected.header(description),
            content_type: description.headers.content_type.clone().or_else(|| Some("binary/octet-stream".into())),
            e_tag: Some(answers::etag(&description.etag)),
            last_modified: Some(last_modified(description.modified)),
            metadata: Some(description.metadata.clone().into_iter().collect()),
            parts_count: selected.parts_count,
            ..with_checksums!($shape, checksum)
        }
    }};
}

impl Service {
    pub(super) async fn put(&self, mut req: S3Request<PutObjectInput>) -> S3Result<S3Response<PutObjectOutput>> {
        let input = &mut req.input;
        if input.write_offset_bytes.is_some() {
            return Err(s3_error!(NotImplemented, "The object store does not append to objects."));
        }
        let checksum = single_checksum!(input)?;
        let mut claims = answers::claims(&req.headers, input.content_length, input.content_md5.take(), checksum)?;
        if let (None, None, Some(named)) = (&claims.checksum, claims.trailer, &input.checksum_algorithm) {
            claims.wanted = Algorithm::from_name(named.as_str());
        }
        let condition = answers::condition(input.if_match.take(), input.if_none_match.take())?;
        if condition != Condition::Always
            && !self.disk(self.store.would_publish(&input.bucket, &input.key, &condition))?
        {
            return Err(answers::precondition_failed());
        }
        let stage = || self.disk(self.store.stage());
        let root = self.store.root();
        let (received, staged) =
            transfer::receive(input.body.take(), &claims, req.trailing_headers.as_ref(), root, true, stage).await?;
        let (Received::Gathered(_, digested) | Received::Written(digested)) = &received;
        let description = Description {
            key: input.key.clone(),
            size: claims.length,
            etag: digested.etag(claims.length),
            crc64: digested.crc64,
            modified: now(),
            checksum: Some(digested.stored()),
            headers: Headers {
                content_type: input.content_type.take(),
                content_encoding: input.content_encoding.take().and_then(stored_encoding),
                content_language: input.content_language.take(),
                content_disposition: input.content_disposition.take(),
                cache_control: input.cache_control.take(),
            },
            metadata: metadata(input.metadata.take()),
            ..Default::default()
        };
        let footer = self.disk(format::footer(&description))?;
        let mut staged = match staged {
            Some(staged) => staged,
            None => stage()?,
        };
        let chunks = if let Received::Gathered(chunks, _) = &received { chunks.as_slice() } else { &[] };
        self.disk(staged.write_chunks(chunks, &footer))?;
        // The bucket's folder is made with its access keys; without it nothing may appear.
        self.bucket(&input.bucket)?;
        if !self.disk(self.store.publish(staged, &input.bucket, &input.key, &condition))? {
            return Err(answers::precondition_failed());
        }
        let output = with_checksums!(PutObjectOutput, description.checksum.as_ref());
        Ok(S3Response::new(PutObjectOutput {
            e_tag: Some(answers::etag(&description.etag)),
            checksum_type: description.checksum.as_ref().map(answers::checksum_type),
            ..output
        }))
    }

    pub(super) async fn get(&self, req: S3Request<GetObjectInput>) -> S3Result<S3Response<GetObjectOutput>> {
        let input = req.input;
        let (file, description) = self.object(&input.bucket, &input.key)?;
        read_conditions!(input).check(&description)?;
        let selected = select(&description, input.range, input.part_number)?;
        let body = self.disk(Sending::new(&self.store, &input.bucket, file, &description, selected.range.clone()))?;
        let whole = selected.range == (0..description.size);
        let wanted = input.checksum_mode.is_some_and(|mode| mode.as_str() == ChecksumMode::ENABLED) && whole;
        let checksum = description.checksum.as_ref().filter(|_| wanted);
        let mut output = described!(GetObjectOutput, description, selected, checksum);
        output.body = Some(StreamingBlob::new(body));
        Ok(selected.reply(output))
    }

    pub(super) async fn head(&self, req: S3Request<HeadObjectInput>) -> S3Result<S3Response<HeadObjectOutput>> {
        let input = req.input;
        let (_, description) = self.object(&input.bucket, &input.key)?;
        read_conditions!(input).check(&description)?;
        let selected = select(&description, input.range, input.part_number)?;
        let wanted = input.checksum_mode.is_some_and(|mode| mode.as_str() == ChecksumMode::ENABLED);
        let checksum = description.checksum.as_ref().filter(|_| wanted);
        Ok(selected.reply(described!(HeadObjectOutput, description, selected, checksum)))
    }

    pub(super) async fn copy(&self, mut req: S3Request<CopyObjectInput>) -> S3Result<S3Response<CopyObjectOutput>> {
        let scope = scope(&req)?.clone();
        let input = &mut req.input;
        let CopySource::Bucket { bucket, key, .. } = &input.copy_source else {
            return Err(s3_error!(NotImplemented, "The object store copies from buckets only."));
        };
        scope.check(bucket, key)?;
        let (file, source) = self.object(bucket, key)?;
        let conditions = ReadConditions {
            if_match: input.copy_source_if_match.take(),
            if_none_match: input.copy_source_if_none_match.take(),
            if_modified_since: input.copy_source_if_modified_since.take(),
            if_unmodified_since: input.copy_source_if_unmodified_since.take(),
        };
        // A copy is made or it is not; there is no "not modified".
        conditions.check(&source).map_err(|_| answers::precondition_failed())?;
        let replace = input.metadata_directive.as_ref().is_some_and(|how| how.as_str() == MetadataDirective::REPLACE);
        let mut description = Description { key: input.key.clone(), modified: now(), upload: None, ..source };
        if replace {
            description.metadata = metadata(input.metadata.take());
            description.headers = Headers {
                content_type: input.content_type.take(),
                content_encoding: input.content_encoding.take(),
                content_language: input.content_language.take(),
                content_disposition: input.content_disposition.take(),
                cache_control: input.cache_control.take(),
            };
        } else if **bucket == *input.bucket && **key == *input.key {
            return Err(s3_error!(
                InvalidRequest,
                "This copy request is illegal because it is trying to copy an object to itself without changing its metadata."
            ));
        }
        let footer = self.disk(format::footer(&description))?;
        let mut staged = self.disk(self.store.stage())?;
        self.disk(transfer::copy_body(file, description.size, &mut staged.file))?;
        self.disk(staged.write(&footer))?;
        self.bucket(&input.bucket)?;
        self.disk(self.store.publish(staged, &input.bucket, &input.key, &Condition::Always))?;
        let result = with_checksums!(CopyObjectResult, description.checksum.as_ref());
        let result = CopyObjectResult {
            e_tag: Some(answers::etag(&description.etag)),
            last_modified: Some(timestamp(description.modified)),
            checksum_type: description.checksum.as_ref().map(answers::checksum_type),
            ..result
        };
        Ok(S3Response::new(CopyObjectOutput { copy_object_result: Some(result), ..Default::default() }))
    }

    pub(super) async fn delete(&self, req: S3Request<DeleteObjectInput>) -> S3Result<S3Response<DeleteObjectOutput>> {
        self.bucket(&req.input.bucket)?;
        let condition = answers::condition(req.input.if_match, None)?;
        if !self.disk(self.store.delete(&req.input.bucket, &req.input.key, &condition))? {
            return Err(answers::precondition_failed());
        }
        Ok(S3Response::new(DeleteObjectOutput::default()))
    }

    pub(super) async fn delete_many(
        &self,
        req: S3Request<DeleteObjectsInput>,
    ) -> S3Result<S3Response<DeleteObjectsOutput>> {
        let scope = scope(&req)?.clone();
        let input = req.input;
        self.bucket(&input.bucket)?;
        let quiet = input.delete.quiet.unwrap_or_default();
        let mut deleted = Vec::new();
        let mut errors = Vec::new();
        for object in input.delete.objects {
            let condition = match object.e_tag {
                Some(etag) => Condition::Matches(etag.into_value()),
                None => Condition::Always,
            };
            let outcome = scope.check(&input.bucket, &object.key).and_then(|()| {
                if self.disk(self.store.delete(&input.bucket, &object.key, &condition))? {
                    Ok(())
                } else {
                    Err(answers::precondition_failed())
                }
            });
            match outcome {
                Ok(()) if quiet => {}
                Ok(()) => deleted.push(DeletedObject { key: Some(object.key), ..Default::default() }),
                Err(err) => errors.push(Error {
                    code: Some(err.code().as_str().to_owned()),
                    key: Some(object.key),
                    message: err.message().map(str::to_owned),
                    version_id: None,
                }),
            }
        }
        Ok(S3Response::new(DeleteObjectsOutput { deleted: Some(deleted), errors: Some(errors), request_charged: None }))
    }
}

/// What of an object is asked for.
struct Selected {
    range: std::ops::Range<u64>,
    partial: bool,
    parts_count: Option<i32>,
}

impl Selected {
    fn header(&self, description: &Description) -> Option<String> {
        let last = self.range.end.checked_sub(1)?;
        self.partial.then(|| format!("bytes {}-{last}/{}", self.range.start, description.size))
    }

    fn reply<T>(&self, output: T) -> S3Response<T> {
        let mut response = S3Response::new(output);
        if self.partial {
            response.status = Some(http::StatusCode::PARTIAL_CONTENT);
        }
        response
    }
}

fn select(description: &Description, range: Option<Range>, part: Option<i32>) -> S3Result<Selected> {
    let whole = 0..description.size;
    match (range, part) {
        (None, None) => Ok(Selected { range: whole, partial: false, parts_count: None }),
        (Some(_), Some(_)) => {
            Err(s3_error!(InvalidRequest, "Cannot specify both Range header and partNumber query parameter."))
        }
        (Some(range), None) => {
            let range = range
                .check(description.size)
                .map_err(|_| s3_error!(InvalidRange, "The requested range is not satisfiable."))?;
            Ok(Selected { range, partial: true, parts_count: None })
        }
        (None, Some(number)) => {
            let number = u64::from(part_number(number)?);
            let (count, stride) =
                description.parts.map_or((1, description.size), |parts| (u64::from(parts.count), parts.stride));
            if number > count {
                return Err(s3_error!(InvalidPart, "The requested partnumber is not satisfiable."));
            }
            if stride == 0 && count > 1 {
                return Err(s3_error!(
                    NotImplemented,
                    "Parts of different sizes cannot be read by number. Ask for a range."
                ));
            }
            let start = (number - 1) * stride;
            let end = if number == count { description.size } else { start + stride };
            let parts_count = description.parts.and_then(|parts| i32::try_from(parts.count).ok());
            Ok(Selected { range: start..end, partial: true, parts_count })
        }
    }
}
