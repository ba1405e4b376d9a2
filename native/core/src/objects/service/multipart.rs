//! Multipart uploads.

use s3s::dto::*;
use s3s::{S3Request, S3Response, S3Result, s3_error};

use super::{Service, limit, metadata, no_such_upload, part_number, stored_encoding};
use crate::objects::access::scope;
use crate::objects::answers::{self, single_checksum, timestamp, with_checksums};
use crate::objects::checksums::Algorithm;
use crate::objects::format::{Description, Headers};
use crate::objects::store::now;
use crate::objects::transfer::{self, Received};
use crate::objects::uploads::{Expected, Named, Refusal, Upload};

impl Service {
    pub(super) async fn create_upload(
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

    pub(super) async fn put_part(&self, mut req: S3Request<UploadPartInput>) -> S3Result<S3Response<UploadPartOutput>> {
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

    pub(super) async fn complete_upload(
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

    pub(super) async fn abort_upload(
        &self,
        req: S3Request<AbortMultipartUploadInput>,
    ) -> S3Result<S3Response<AbortMultipartUploadOutput>> {
        let input = req.input;
        let state = self.upload(&input.upload_id, &input.bucket, &input.key)?;
        self.disk(self.uploads.abort(&state))?;
        Ok(S3Response::new(AbortMultipartUploadOutput::default()))
    }

    pub(super) async fn list_parts_of(&self, req: S3Request<ListPartsInput>) -> S3Result<S3Response<ListPartsOutput>> {
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

    pub(super) async fn list_uploads(
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

    /// The object that an upload became: a client that lost the answer may complete again.
    fn completed_before(&self, id: &str, bucket: &str, key: &str) -> S3Result<Description> {
        let found = self.disk(self.store.open_object(bucket, key))?;
        let made =
            found.map(|(_, description)| description).filter(|description| description.upload.as_deref() == Some(id));
        made.ok_or_else(|| no_such_upload(id))
    }
}
