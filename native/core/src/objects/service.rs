//! The operations of S3, over the store.

use std::fs::File;
use std::io;
use std::sync::Arc;

use s3s::dto::*;
use s3s::{S3, S3Request, S3Response, S3Result, s3_error};

use super::access::scope;
use super::answers::{self, ReadConditions, last_modified, single_checksum, timestamp, with_checksums};
use super::checksums::Algorithm;
use super::format::{self, Description, Headers};
use super::listing::{self, Entry, Query};
use super::store::{Condition, Staged, Store, now};
use super::transfer::{self, Received, Sending, Sink, io_error};
use super::uploads::{Expected, Named, PartWriter, Refusal, State, Upload, Uploads};

const PAGE: i32 = 1000;

pub(super) struct Service {
    store: Arc<Store>,
    uploads: Uploads,
}

impl Sink for Staged {
    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        Staged::write(self, bytes)
    }
}

impl Sink for PartWriter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        PartWriter::write(self, bytes)
    }
}

impl Service {
    pub(super) fn new(store: Arc<Store>, uploads: Uploads) -> Self {
        Self { store, uploads }
    }

    fn disk<T>(&self, result: io::Result<T>) -> S3Result<T> {
        result.map_err(|err| io_error(self.store.root(), &err))
    }

    fn bucket(&self, bucket: &str) -> S3Result<()> {
        if self.store.has_bucket(bucket) {
            return Ok(());
        }
        Err(s3_error!(NoSuchBucket, "The bucket {bucket} does not exist."))
    }

    fn object(&self, bucket: &str, key: &str) -> S3Result<(File, Description)> {
        match self.disk(self.store.open_object(bucket, key))? {
            Some(found) => Ok(found),
            None => {
                self.bucket(bucket)?;
                Err(s3_error!(NoSuchKey, "The key {key} does not exist in the bucket {bucket}."))
            }
        }
    }

    fn upload(&self, id: &str, bucket: &str, key: &str) -> S3Result<Arc<State>> {
        self.disk(self.uploads.find(id, bucket, key))?.ok_or_else(|| no_such_upload(id))
    }

    fn list(&self, bucket: &str, query: &Query<'_>) -> S3Result<listing::Page> {
        self.bucket(bucket)?;
        self.disk(listing::list(&self.store, bucket, query))
    }

    fn refusal(&self, id: &str, refusal: Refusal) -> s3s::S3Error {
        match refusal {
            Refusal::NoSuchUpload => no_such_upload(id),
            Refusal::PreconditionFailed => answers::precondition_failed(),
            Refusal::Part(number) => s3_error!(
                InvalidPart,
                "Part {number} was not uploaded, or its ETag or checksum is another. Upload it again."
            ),
            Refusal::Order => s3_error!(InvalidPartOrder, "The list of parts was not in ascending order."),
            Refusal::TooSmall(number) => {
                s3_error!(EntityTooSmall, "Part {number} is smaller than 5 MiB, the least size of a part that is not the last.")
            }
            Refusal::Checksum { expected, found } => {
                s3_error!(BadDigest, "The checksum you specified ({expected}) did not match that of the parts ({found}).")
            }
            Refusal::Size { expected, found } => s3_error!(
                InvalidRequest,
                "The x-amz-mp-object-size header says {expected}, and the parts have {found} bytes."
            ),
            Refusal::Io(err) => io_error(self.store.root(), &err),
        }
    }
}

fn no_such_upload(id: &str) -> s3s::S3Error {
    s3_error!(NoSuchUpload, "The upload {id} does not exist: it was completed or aborted. Begin a new one.")
}

fn metadata(metadata: Option<Metadata>) -> std::collections::BTreeMap<String, String> {
    metadata.into_iter().flatten().collect()
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

fn limit(asked: Option<i32>) -> S3Result<usize> {
    let asked = asked.unwrap_or(PAGE).min(PAGE);
    usize::try_from(asked).map_err(|_| s3_error!(InvalidArgument, "Argument max-keys must be an integer between 0 and 2147483647."))
}

#[async_trait::async_trait]
impl S3 for Service {
    async fn put_object(&self, mut req: S3Request<PutObjectInput>) -> S3Result<S3Response<PutObjectOutput>> {
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
        if condition != Condition::Always && !self.disk(self.store.would_publish(&input.bucket, &input.key, &condition))? {
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
        let output = with_checksums!(PutObjectOutput::default(), description.checksum.as_ref());
        Ok(S3Response::new(PutObjectOutput {
            e_tag: Some(answers::etag(&description.etag)),
            checksum_type: description.checksum.as_ref().map(answers::checksum_type),
            ..output
        }))
    }

    async fn get_object(&self, req: S3Request<GetObjectInput>) -> S3Result<S3Response<GetObjectOutput>> {
        let input = req.input;
        let (file, description) = self.object(&input.bucket, &input.key)?;
        let conditions = ReadConditions {
            if_match: input.if_match,
            if_none_match: input.if_none_match,
            if_modified_since: input.if_modified_since,
            if_unmodified_since: input.if_unmodified_since,
        };
        conditions.check(&description)?;
        let selected = select(&description, input.range, input.part_number)?;
        let body = self.disk(Sending::new(&self.store, &input.bucket, file, &description, selected.range.clone()))?;
        let whole = selected.range == (0..description.size);
        let wanted = input.checksum_mode.is_some_and(|mode| mode.as_str() == ChecksumMode::ENABLED) && whole;
        let checksum = description.checksum.as_ref().filter(|_| wanted);
        let output = with_checksums!(GetObjectOutput::default(), checksum);
        let mut response = S3Response::new(GetObjectOutput {
            accept_ranges: Some("bytes".into()),
            body: Some(StreamingBlob::new(body)),
            cache_control: description.headers.cache_control.clone(),
            checksum_type: checksum.map(answers::checksum_type),
            content_disposition: description.headers.content_disposition.clone(),
            content_encoding: description.headers.content_encoding.clone(),
            content_language: description.headers.content_language.clone(),
            content_length: i64::try_from(selected.range.end - selected.range.start).ok(),
            content_range: selected.header(&description),
            content_type: description.headers.content_type.clone().or_else(|| Some("binary/octet-stream".into())),
            e_tag: Some(answers::etag(&description.etag)),
            last_modified: Some(last_modified(description.modified)),
            metadata: Some(description.metadata.clone().into_iter().collect()),
            parts_count: selected.parts_count,
            ..output
        });
        if selected.partial {
            response.status = Some(http::StatusCode::PARTIAL_CONTENT);
        }
        Ok(response)
    }

    async fn head_object(&self, req: S3Request<HeadObjectInput>) -> S3Result<S3Response<HeadObjectOutput>> {
        let input = req.input;
        let (_, description) = self.object(&input.bucket, &input.key)?;
        let conditions = ReadConditions {
            if_match: input.if_match,
            if_none_match: input.if_none_match,
            if_modified_since: input.if_modified_since,
            if_unmodified_since: input.if_unmodified_since,
        };
        conditions.check(&description)?;
        let selected = select(&description, input.range, input.part_number)?;
        let wanted = input.checksum_mode.is_some_and(|mode| mode.as_str() == ChecksumMode::ENABLED);
        let checksum = description.checksum.as_ref().filter(|_| wanted);
        let output = with_checksums!(HeadObjectOutput::default(), checksum);
        let mut response = S3Response::new(HeadObjectOutput {
            accept_ranges: Some("bytes".into()),
            cache_control: description.headers.cache_control.clone(),
            checksum_type: checksum.map(answers::checksum_type),
            content_disposition: description.headers.content_disposition.clone(),
            content_encoding: description.headers.content_encoding.clone(),
            content_language: description.headers.content_language.clone(),
            content_length: i64::try_from(selected.range.end - selected.range.start).ok(),
            content_range: selected.header(&description),
            content_type: description.headers.content_type.clone().or_else(|| Some("binary/octet-stream".into())),
            e_tag: Some(answers::etag(&description.etag)),
            last_modified: Some(last_modified(description.modified)),
            metadata: Some(description.metadata.clone().into_iter().collect()),
            parts_count: selected.parts_count,
            ..output
        });
        if selected.partial {
            response.status = Some(http::StatusCode::PARTIAL_CONTENT);
        }
        Ok(response)
    }

    async fn copy_object(&self, mut req: S3Request<CopyObjectInput>) -> S3Result<S3Response<CopyObjectOutput>> {
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
        let result = with_checksums!(CopyObjectResult::default(), description.checksum.as_ref());
        let result = CopyObjectResult {
            e_tag: Some(answers::etag(&description.etag)),
            last_modified: Some(timestamp(description.modified)),
            checksum_type: description.checksum.as_ref().map(answers::checksum_type),
            ..result
        };
        Ok(S3Response::new(CopyObjectOutput { copy_object_result: Some(result), ..Default::default() }))
    }

    async fn delete_object(&self, req: S3Request<DeleteObjectInput>) -> S3Result<S3Response<DeleteObjectOutput>> {
        self.bucket(&req.input.bucket)?;
        let condition = answers::condition(req.input.if_match, None)?;
        if !self.disk(self.store.delete(&req.input.bucket, &req.input.key, &condition))? {
            return Err(answers::precondition_failed());
        }
        Ok(S3Response::new(DeleteObjectOutput::default()))
    }

    async fn delete_objects(&self, req: S3Request<DeleteObjectsInput>) -> S3Result<S3Response<DeleteObjectsOutput>> {
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

    async fn list_objects_v2(&self, req: S3Request<ListObjectsV2Input>) -> S3Result<S3Response<ListObjectsV2Output>> {
        use base64::Engine as _;
        use base64::engine::general_purpose::URL_SAFE_NO_PAD;
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
        let (after, skip) = if let Some(common) = position.strip_prefix('p') { (common, Some(common)) } else { (&position[1..], None) };
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

    async fn list_objects(&self, req: S3Request<ListObjectsInput>) -> S3Result<S3Response<ListObjectsOutput>> {
        let prefix = req.input.prefix.clone().unwrap_or_default();
        scope(&req)?.check_listing(&req.input.bucket, &prefix)?;
        let input = req.input;
        let delimiter = input.delimiter.clone().unwrap_or_default();
        let after = input.marker.clone().unwrap_or_default();
        // The marker of a page that ended with a common prefix is that prefix.
        let skip = (!delimiter.is_empty() && after.ends_with(&delimiter)).then_some(after.as_str());
        let limit = limit(input.max_keys)?;
        let page = self.list(&input.bucket, &Query { prefix: &prefix, delimiter: &delimiter, after: &after, skip, limit })?;
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

    async fn head_bucket(&self, req: S3Request<HeadBucketInput>) -> S3Result<S3Response<HeadBucketOutput>> {
        self.bucket(&req.input.bucket)?;
        Ok(S3Response::new(HeadBucketOutput::default()))
    }

    async fn get_bucket_location(
        &self,
        req: S3Request<GetBucketLocationInput>,
    ) -> S3Result<S3Response<GetBucketLocationOutput>> {
        self.bucket(&req.input.bucket)?;
        Ok(S3Response::new(GetBucketLocationOutput::default()))
    }

    async fn list_buckets(&self, req: S3Request<ListBucketsInput>) -> S3Result<S3Response<ListBucketsOutput>> {
        let name = scope(&req)?.bucket().to_owned();
        let created = self.disk(self.store.bucket_created(&name))?;
        let bucket =
            Bucket { name: Some(name), creation_date: Some(answers::system_time(created)), ..Default::default() };
        Ok(S3Response::new(ListBucketsOutput { buckets: Some(vec![bucket]), ..Default::default() }))
    }

    async fn create_multipart_upload(
        &self,
        mut req: S3Request<CreateMultipartUploadInput>,
    ) -> S3Result<S3Response<CreateMultipartUploadOutput>> {
        let input = &mut req.input;
        self.bucket(&input.bucket)?;
        let algorithm = input.checksum_algorithm.as_ref().and_then(|named| Algorithm::from_name(named.as_str()));
        let composite = match (&input.checksum_type, algorithm) {
            (Some(kind), _) => kind.as_str() == ChecksumType::COMPOSITE,
            (None, Some(Algorithm::Crc64Nvme) | None) => false,
            (None, Some(_)) => true,
        };
        let combines = !matches!(algorithm, Some(Algorithm::Sha1 | Algorithm::Sha256));
        if (composite && algorithm == Some(Algorithm::Crc64Nvme)) || (!composite && !combines) {
            return Err(s3_error!(InvalidRequest, "The checksum type cannot be used with this checksum algorithm."));
        }
        let upload = Upload {
            id: uuid::Uuid::new_v4().simple().to_string(),
            bucket: input.bucket.clone(),
            key: input.key.clone(),
            initiated: now(),
            headers: Headers {
                content_type: input.content_type.take(),
                content_encoding: input.content_encoding.take().and_then(stored_encoding),
                content_language: input.content_language.take(),
                content_disposition: input.content_disposition.take(),
                cache_control: input.cache_control.take(),
            },
            metadata: metadata(input.metadata.take()),
            algorithm,
            composite,
        };
        let id = upload.id.clone();
        self.disk(self.uploads.create(upload))?;
        Ok(S3Response::new(CreateMultipartUploadOutput {
            bucket: Some(input.bucket.clone()),
            key: Some(input.key.clone()),
            upload_id: Some(id),
            checksum_algorithm: algorithm.map(answers::checksum_algorithm),
            checksum_type: algorithm.map(|_| {
                ChecksumType::from_static(if composite { ChecksumType::COMPOSITE } else { ChecksumType::FULL_OBJECT })
            }),
            ..Default::default()
        }))
    }

    async fn upload_part(&self, mut req: S3Request<UploadPartInput>) -> S3Result<S3Response<UploadPartOutput>> {
        let input = &mut req.input;
        let number = part_number(input.part_number)?;
        let state = self.upload(&input.upload_id, &input.bucket, &input.key)?;
        let checksum = single_checksum!(input)?;
        let mut claims = answers::claims(&req.headers, input.content_length, input.content_md5.take(), checksum)?;
        let sent = claims.checksum.as_ref().map(|claimed| claimed.algorithm).or(claims.trailer);
        if let (Some(sent), Some(agreed)) = (sent, state.upload.algorithm)
            && sent != agreed
        {
            return Err(s3_error!(
                InvalidRequest,
                "Checksum Type mismatch occurred, expected checksum Type: {}, actual checksum Type: {}.",
                agreed.name(),
                sent.name()
            ));
        }
        claims.wanted = state.upload.algorithm;
        let id = input.upload_id.clone();
        let writer = || self.disk(state.begin_part(number, claims.length))?.ok_or_else(|| no_such_upload(&id));
        let root = self.store.root();
        let (received, writer) =
            transfer::receive(input.body.take(), &claims, req.trailing_headers.as_ref(), root, false, writer).await?;
        let (Received::Gathered(_, digested) | Received::Written(digested)) = received;
        let record = match writer {
            Some(writer) => self.disk(writer.finish(&digested))?,
            None => None,
        };
        let record = record.ok_or_else(|| no_such_upload(&id))?;
        let output = with_checksums!(UploadPartOutput::default(), Some(&record.checksum));
        Ok(S3Response::new(UploadPartOutput { e_tag: Some(answers::etag(&record.etag)), ..output }))
    }

    async fn complete_multipart_upload(
        &self,
        mut req: S3Request<CompleteMultipartUploadInput>,
    ) -> S3Result<S3Response<CompleteMultipartUploadOutput>> {
        let input = &mut req.input;
        let condition = answers::condition(input.if_match.take(), input.if_none_match.take())?;
        let expected = Expected {
            checksum: single_checksum!(input)?,
            size: input.mpu_object_size.and_then(|size| u64::try_from(size).ok()),
        };
        let id = input.upload_id.clone();
        let found = self.disk(self.uploads.find(&id, &input.bucket, &input.key))?;
        let description = match found {
            None => self.completed_before(&id, &input.bucket, &input.key)?,
            Some(state) => {
                let mut named = Vec::new();
                for mut part in input.multipart_upload.take().and_then(|upload| upload.parts).unwrap_or_default() {
                    named.push(Named {
                        number: part_number(part.part_number.unwrap_or_default())?,
                        etag: part.e_tag.take().map(ETag::into_value),
                        checksum: single_checksum!(part)?,
                    });
                }
                match self.uploads.complete(&state, &named, &condition, &expected) {
                    Ok(description) => description,
                    // Another request was faster.
                    Err(Refusal::NoSuchUpload) => self.completed_before(&id, &input.bucket, &input.key)?,
                    Err(refusal) => return Err(self.refusal(&id, refusal)),
                }
            }
        };
        let output = with_checksums!(CompleteMultipartUploadOutput::default(), description.checksum.as_ref());
        Ok(S3Response::new(CompleteMultipartUploadOutput {
            bucket: Some(input.bucket.clone()),
            key: Some(input.key.clone()),
            location: Some(format!("/{}/{}", input.bucket, input.key)),
            e_tag: Some(answers::etag(&description.etag)),
            checksum_type: description.checksum.as_ref().map(answers::checksum_type),
            ..output
        }))
    }

    async fn abort_multipart_upload(
        &self,
        req: S3Request<AbortMultipartUploadInput>,
    ) -> S3Result<S3Response<AbortMultipartUploadOutput>> {
        let input = req.input;
        let state = self.upload(&input.upload_id, &input.bucket, &input.key)?;
        self.disk(self.uploads.abort(&state))?;
        Ok(S3Response::new(AbortMultipartUploadOutput::default()))
    }

    async fn list_parts(&self, req: S3Request<ListPartsInput>) -> S3Result<S3Response<ListPartsOutput>> {
        let input = req.input;
        let state = self.upload(&input.upload_id, &input.bucket, &input.key)?;
        let after = input.part_number_marker.unwrap_or_default();
        let limit = limit(input.max_parts)?;
        let mut parts = state.parts();
        parts.retain(|part| i64::from(part.number) > i64::from(after));
        let truncated = parts.len() > limit;
        parts.truncate(limit);
        let next = parts.last().and_then(|part| i32::try_from(part.number).ok());
        let parts = parts.iter().map(|part| {
            let shape = with_checksums!(Part::default(), Some(&part.checksum));
            Part {
                e_tag: Some(answers::etag(&part.etag)),
                last_modified: Some(timestamp(part.modified)),
                part_number: i32::try_from(part.number).ok(),
                size: i64::try_from(part.size).ok(),
                ..shape
            }
        });
        Ok(S3Response::new(ListPartsOutput {
            bucket: Some(input.bucket),
            key: Some(input.key),
            upload_id: Some(input.upload_id),
            parts: Some(parts.collect()),
            part_number_marker: Some(after),
            next_part_number_marker: next,
            max_parts: i32::try_from(limit).ok(),
            is_truncated: Some(truncated),
            checksum_algorithm: state.upload.algorithm.map(answers::checksum_algorithm),
            storage_class: Some(StorageClass::from_static(StorageClass::STANDARD)),
            ..Default::default()
        }))
    }

    async fn list_multipart_uploads(
        &self,
        req: S3Request<ListMultipartUploadsInput>,
    ) -> S3Result<S3Response<ListMultipartUploadsOutput>> {
        let prefix = req.input.prefix.clone().unwrap_or_default();
        scope(&req)?.check_listing(&req.input.bucket, &prefix)?;
        let input = req.input;
        self.bucket(&input.bucket)?;
        let mut uploads = self.disk(self.uploads.list(&input.bucket, &prefix))?;
        if let Some(marker) = &input.key_marker {
            let behind = input.upload_id_marker.as_ref();
            let mut passed = false;
            uploads.retain(|upload| {
                let same = upload.key == *marker;
                let keep = upload.key > *marker || (same && passed);
                passed |= same && behind.is_some_and(|id| *id == upload.id);
                keep
            });
        }
        let limit = limit(input.max_uploads)?;
        let truncated = uploads.len() > limit;
        uploads.truncate(limit);
        let last = uploads.last().filter(|_| truncated);
        Ok(S3Response::new(ListMultipartUploadsOutput {
            bucket: Some(input.bucket),
            prefix: Some(prefix),
            key_marker: input.key_marker,
            upload_id_marker: input.upload_id_marker,
            next_key_marker: last.map(|upload| upload.key.clone()),
            next_upload_id_marker: last.map(|upload| upload.id.clone()),
            max_uploads: i32::try_from(limit).ok(),
            is_truncated: Some(truncated),
            uploads: Some(
                uploads
                    .into_iter()
                    .map(|upload| MultipartUpload {
                        key: Some(upload.key),
                        upload_id: Some(upload.id),
                        initiated: Some(timestamp(upload.initiated)),
                        storage_class: Some(StorageClass::from_static(StorageClass::STANDARD)),
                        ..Default::default()
                    })
                    .collect(),
            ),
            ..Default::default()
        }))
    }
}

impl Service {
    /// The object that an upload became: a client that lost the answer may complete again.
    fn completed_before(&self, id: &str, bucket: &str, key: &str) -> S3Result<Description> {
        let found = self.disk(self.store.open_object(bucket, key))?;
        let made = found.map(|(_, description)| description).filter(|description| description.upload.as_deref() == Some(id));
        made.ok_or_else(|| no_such_upload(id))
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
}

fn select(description: &Description, range: Option<Range>, part: Option<i32>) -> S3Result<Selected> {
    let whole = 0..description.size;
    match (range, part) {
        (None, None) => Ok(Selected { range: whole, partial: false, parts_count: None }),
        (Some(_), Some(_)) => Err(s3_error!(InvalidRequest, "Cannot specify both Range header and partNumber query parameter.")),
        (Some(range), None) => {
            let range = range.check(description.size).map_err(|_| s3_error!(InvalidRange, "The requested range is not satisfiable."))?;
            Ok(Selected { range, partial: true, parts_count: None })
        }
        (None, Some(number)) => {
            let number = u64::from(part_number(number)?);
            let (count, stride) = description.parts.map_or((1, description.size), |parts| (u64::from(parts.count), parts.stride));
            if number > count {
                return Err(s3_error!(InvalidPart, "The requested partnumber is not satisfiable."));
            }
            if stride == 0 && count > 1 {
                return Err(s3_error!(NotImplemented, "Parts of different sizes cannot be read by number. Ask for a range."));
            }
            let start = (number - 1) * stride;
            let end = if number == count { description.size } else { start + stride };
            let parts_count = description.parts.and_then(|parts| i32::try_from(parts.count).ok());
            Ok(Selected { range: start..end, partial: true, parts_count })
        }
    }
}

fn part_number(number: i32) -> S3Result<u32> {
    u32::try_from(number).ok().filter(|number| (1..=10_000).contains(number)).ok_or_else(|| {
        s3_error!(InvalidArgument, "Part number must be an integer between 1 and 10000, inclusive.")
    })
}

/// `aws-chunked` says how the body came, not what it is.
fn stored_encoding(encoding: String) -> Option<String> {
    let kept: Vec<&str> = encoding.split(',').map(str::trim).filter(|name| !name.is_empty() && *name != "aws-chunked").collect();
    (!kept.is_empty()).then(|| kept.join(","))
}

fn encoded(text: String, encoding: Option<&EncodingType>) -> String {
    if encoding.is_none_or(|encoding| encoding.as_str() != EncodingType::URL) {
        return text;
    }
    let mut result = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' | b'/' | b'*' => result.push(byte as char),
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
