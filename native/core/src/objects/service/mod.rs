//! The operations of S3, over the store.

mod listings;
mod multipart;
mod objects;

use std::fs::File;
use std::io;
use std::sync::Arc;

use s3s::dto::*;
use s3s::{S3, S3Request, S3Response, S3Result, s3_error};

use super::answers;
use super::format::Description;
use super::listing::{self, Query};
use super::store::{Staged, Store};
use super::transfer::{Sink, io_error};
use super::uploads::{PartWriter, Refusal, State, Uploads};

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
                s3_error!(
                    EntityTooSmall,
                    "Part {number} is smaller than 5 MiB, the least size of a part that is not the last."
                )
            }
            Refusal::Checksum { expected, found } => {
                s3_error!(
                    BadDigest,
                    "The checksum you specified ({expected}) did not match that of the parts ({found})."
                )
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

fn limit(asked: Option<i32>) -> S3Result<usize> {
    let asked = asked.unwrap_or(PAGE).min(PAGE);
    usize::try_from(asked)
        .map_err(|_| s3_error!(InvalidArgument, "Argument max-keys must be an integer between 0 and 2147483647."))
}

fn part_number(number: i32) -> S3Result<u32> {
    u32::try_from(number)
        .ok()
        .filter(|number| (1..=10_000).contains(number))
        .ok_or_else(|| s3_error!(InvalidArgument, "Part number must be an integer between 1 and 10000, inclusive."))
}

/// `aws-chunked` says how the body came, not what it is.
fn stored_encoding(encoding: String) -> Option<String> {
    let kept: Vec<&str> =
        encoding.split(',').map(str::trim).filter(|name| !name.is_empty() && *name != "aws-chunked").collect();
    (!kept.is_empty()).then(|| kept.join(","))
}

#[async_trait::async_trait]
impl S3 for Service {
    async fn put_object(&self, req: S3Request<PutObjectInput>) -> S3Result<S3Response<PutObjectOutput>> {
        self.put(req).await
    }

    async fn get_object(&self, req: S3Request<GetObjectInput>) -> S3Result<S3Response<GetObjectOutput>> {
        self.get(req).await
    }

    async fn head_object(&self, req: S3Request<HeadObjectInput>) -> S3Result<S3Response<HeadObjectOutput>> {
        self.head(req).await
    }

    async fn copy_object(&self, req: S3Request<CopyObjectInput>) -> S3Result<S3Response<CopyObjectOutput>> {
        self.copy(req).await
    }

    async fn delete_object(&self, req: S3Request<DeleteObjectInput>) -> S3Result<S3Response<DeleteObjectOutput>> {
        self.delete(req).await
    }

    async fn delete_objects(&self, req: S3Request<DeleteObjectsInput>) -> S3Result<S3Response<DeleteObjectsOutput>> {
        self.delete_many(req).await
    }

    async fn list_objects_v2(&self, req: S3Request<ListObjectsV2Input>) -> S3Result<S3Response<ListObjectsV2Output>> {
        self.list_v2(req).await
    }

    async fn list_objects(&self, req: S3Request<ListObjectsInput>) -> S3Result<S3Response<ListObjectsOutput>> {
        self.list_v1(req).await
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
        self.buckets(req).await
    }

    async fn create_multipart_upload(
        &self,
        req: S3Request<CreateMultipartUploadInput>,
    ) -> S3Result<S3Response<CreateMultipartUploadOutput>> {
        self.create_upload(req).await
    }

    async fn upload_part(&self, req: S3Request<UploadPartInput>) -> S3Result<S3Response<UploadPartOutput>> {
        self.put_part(req).await
    }

    async fn complete_multipart_upload(
        &self,
        req: S3Request<CompleteMultipartUploadInput>,
    ) -> S3Result<S3Response<CompleteMultipartUploadOutput>> {
        self.complete_upload(req).await
    }

    async fn abort_multipart_upload(
        &self,
        req: S3Request<AbortMultipartUploadInput>,
    ) -> S3Result<S3Response<AbortMultipartUploadOutput>> {
        self.abort_upload(req).await
    }

    async fn list_parts(&self, req: S3Request<ListPartsInput>) -> S3Result<S3Response<ListPartsOutput>> {
        self.list_parts_of(req).await
    }

    async fn list_multipart_uploads(
        &self,
        req: S3Request<ListMultipartUploadsInput>,
    ) -> S3Result<S3Response<ListMultipartUploadsOutput>> {
        self.list_uploads(req).await
    }
}
