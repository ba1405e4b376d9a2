//! Bodies in both directions.
//!
//! File calls are made right where the bytes are, on the store's own threads: a write into the page cache takes less time
//! than handing it to another thread, and nothing else runs on these threads. Small bodies are gathered and written, with
//! their footer, by one system call.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::{Bytes, BytesMut};
use futures_util::{Stream, StreamExt};
use s3s::dto::StreamingBlob;

use s3s::stream::{ByteStream, RemainingLength};
use s3s::{S3Error, S3ErrorCode, S3Result, StdError, TrailingHeaders, s3_error};

use super::checksums::{Algorithm, BodyDigest, Crc64, Digested, Stored, is_well_formed};
use super::format::Description;
use super::store::Store;

/// Bodies up to this size are gathered in memory.
const GATHERED: u64 = 1024 * 1024;
/// Bytes of a file that are read at once for a client.
const READ: u64 = 512 * 1024;

/// What a client says about the body that it sends.
#[derive(Debug, Default)]
pub(super) struct Claims {
    pub length: u64,
    pub md5: Option<String>,
    /// A checksum from the headers.
    pub checksum: Option<Stored>,
    /// A checksum that comes behind the body.
    pub trailer: Option<Algorithm>,
    /// An algorithm to apply though no value was sent.
    pub wanted: Option<Algorithm>,
}

/// Where a body goes.
pub(super) trait Sink {
    fn write(&mut self, bytes: &[u8]) -> io::Result<()>;
}

/// A body that was received whole and verified.
pub(super) enum Received {
    Gathered(Vec<Bytes>, Digested),
    Written(Digested),
}

/// Receives a body, into `sink` when it is large, and verifies all that was claimed of it.
pub(super) async fn receive<S: Sink>(
    body: Option<StreamingBlob>,
    claims: &Claims,
    trailers: Option<&TrailingHeaders>,
    root: &std::path::Path,
    gather: bool,
    sink: impl FnOnce() -> S3Result<S>,
) -> S3Result<(Received, Option<S>)> {
    if let Some(claimed) = claims.checksum.as_ref().filter(|claimed| !is_well_formed(claimed.algorithm, &claimed.value))
    {
        return Err(s3_error!(InvalidRequest, "Value for {} header is invalid.", claimed.algorithm.header()));
    }
    let algorithm = claims.checksum.as_ref().map(|claimed| claimed.algorithm).or(claims.trailer).or(claims.wanted);
    let mut digest = BodyDigest::new(claims.md5.is_some(), algorithm);
    let mut chunks = Vec::new();
    let mut length = 0;
    let mut sink = if gather && claims.length <= GATHERED { None } else { Some(sink()?) };
    if let Some(mut body) = body {
        while let Some(chunk) = body.next().await {
            let chunk = chunk.map_err(|err| body_error(&*err))?;
            length += chunk.len() as u64;
            if length > claims.length {
                return Err(incomplete(claims.length, length));
            }
            digest.update(&chunk);
            match &mut sink {
                Some(sink) => sink.write(&chunk).map_err(|err| io_error(root, &err))?,
                None => chunks.push(chunk),
            }
        }
    }
    if length != claims.length {
        return Err(incomplete(claims.length, length));
    }
    let digested = digest.finish();
    verify(claims, trailers, &digested)?;
    let received = if sink.is_some() { Received::Written(digested) } else { Received::Gathered(chunks, digested) };
    Ok((received, sink))
}

fn verify(claims: &Claims, trailers: Option<&TrailingHeaders>, digested: &Digested) -> S3Result<()> {
    use base64::Engine as _;
    if let (Some(claimed), Some(found)) = (&claims.md5, digested.md5) {
        let found = base64::engine::general_purpose::STANDARD.encode(found);
        if *claimed != found {
            return Err(s3_error!(
                BadDigest,
                "The Content-MD5 you specified ({claimed}) did not match what we received ({found})."
            ));
        }
    }
    let Some(found) = &digested.named else { return Ok(()) };
    let header = found.algorithm.header();
    let mut claimed = claims.checksum.as_ref().map(|claimed| claimed.value.clone());
    if claims.trailer == Some(found.algorithm) {
        let sent = trailers.and_then(|trailers| {
            trailers.read(|headers| headers.get(header).and_then(|value| value.to_str().ok().map(str::to_owned)))
        });
        let Some(value) = sent.flatten() else {
            return Err(s3_error!(InvalidRequest, "The trailer {header} was announced and did not come."));
        };
        if !is_well_formed(found.algorithm, &value) {
            return Err(s3_error!(InvalidRequest, "Value for {header} trailing header is invalid."));
        }
        claimed = Some(value);
    }
    match claimed {
        Some(claimed) if claimed != found.value => Err(s3_error!(
            BadDigest,
            "The {} you specified ({claimed}) did not match the calculated checksum ({}).",
            found.algorithm.name(),
            found.value
        )),
        _ => Ok(()),
    }
}

fn incomplete(expected: u64, found: u64) -> S3Error {
    s3_error!(IncompleteBody, "The body has {found} bytes where {expected} were announced.")
}

/// An error of the body's stream. The framework's error types are private, so their texts tell them apart.
fn body_error(err: &(dyn std::error::Error + Send + Sync + 'static)) -> S3Error {
    let text = err.to_string();
    if text.contains("Sha256Mismatch") {
        let mut err = S3Error::with_message(
            S3ErrorCode::Custom("XAmzContentSHA256Mismatch".into()),
            "The provided 'x-amz-content-sha256' header does not match what was computed.",
        );
        err.set_status_code(http::StatusCode::BAD_REQUEST);
        err
    } else if text.contains("SignatureMismatch") {
        s3_error!(SignatureDoesNotMatch, "The signature of a chunk of the body does not match.")
    } else if text.contains("Incomplete") || text.contains("LengthMismatch") {
        s3_error!(IncompleteBody, "The body ended before, or after, the announced length.")
    } else if text.contains("AwsChunkedStreamError") {
        s3_error!(InvalidRequest, "The aws-chunked body cannot be read: {text}.")
    } else {
        s3_error!(IncompleteBody, "The connection ended in the middle of the body: {text}.")
    }
}

/// An error of the disk, as an answer that clients do not repeat: 507 is not in their lists of passing faults.
pub(super) fn io_error(root: &std::path::Path, err: &io::Error) -> S3Error {
    let what = match err.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::FileTooLarge => {
            "no space is left on its disk. Free some space there and send the request again"
        }
        io::ErrorKind::ReadOnlyFilesystem | io::ErrorKind::PermissionDenied => {
            "its folder cannot be written. Make it writable for this user and send the request again"
        }
        io::ErrorKind::InvalidFilename => return s3_error!(KeyTooLongError, "Your key is too long."),
        _ => {
            return s3_error!(
                InternalError,
                "The object store in {} failed: {err}. See the farm's log.",
                root.display()
            );
        }
    };
    let mut answer = S3Error::with_message(
        S3ErrorCode::Custom("InsufficientStorage".into()),
        format!("The object store in {} cannot store this: {what}. ({err})", root.display()),
    );
    answer.set_status_code(http::StatusCode::INSUFFICIENT_STORAGE);
    answer
}

/// The body of an answer: a part of an object's file.
pub(super) struct Sending {
    file: File,
    left: u64,
    buffer: BytesMut,
    /// Verifies whole bodies; a damaged one is not finished, so that no client takes it for good.
    check: Option<Check>,
}

struct Check {
    crc64: Crc64,
    store: Arc<Store>,
    bucket: String,
    description: Description,
}

impl Sending {
    /// `range` of an open object.
    pub(super) fn new(
        store: &Arc<Store>,
        bucket: &str,
        mut file: File,
        description: &Description,
        range: std::ops::Range<u64>,
    ) -> io::Result<Self> {
        file.seek(SeekFrom::Start(range.start))?;
        let whole = range.start == 0 && range.end == description.size;
        let check = whole.then(|| Check {
            crc64: Crc64::new(),
            store: Arc::clone(store),
            bucket: bucket.to_owned(),
            description: description.clone(),
        });
        Ok(Self { file, left: range.end - range.start, buffer: BytesMut::new(), check })
    }

    fn chunk(&mut self) -> io::Result<Bytes> {
        let length = usize::try_from(self.left.min(READ)).unwrap_or_default();
        // The buffer is used again once the connection has let go of what it held.
        self.buffer.resize(length, 0);
        self.file.read_exact(&mut self.buffer)?;
        let chunk = self.buffer.split().freeze();
        self.left -= length as u64;
        if let Some(check) = &mut self.check {
            check.crc64.update(&chunk);
            if self.left == 0 && check.crc64.value() != check.description.crc64 {
                check.store.set_aside(&check.bucket, &check.description);
                let key = &check.description.key;
                tracing::error!(key, "the object's body is damaged; it was set aside");
                return Err(io::Error::new(io::ErrorKind::InvalidData, format!("the object {key} is damaged on disk")));
            }
        }
        Ok(chunk)
    }
}

impl Stream for Sending {
    type Item = Result<Bytes, StdError>;

    fn poll_next(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if self.left == 0 {
            return Poll::Ready(None);
        }
        let chunk = self.chunk();
        if chunk.is_err() {
            self.left = 0;
        }
        Poll::Ready(Some(chunk.map_err(Into::into)))
    }
}

impl ByteStream for Sending {
    fn remaining_length(&self) -> RemainingLength {
        RemainingLength::new_exact(usize::try_from(self.left).unwrap_or(usize::MAX))
    }
}

/// Copies the body of an open object. The standard library copies inside the kernel, and shares blocks where the file
/// system can.
pub(super) fn copy_body(mut source: File, size: u64, target: &mut File) -> io::Result<()> {
    source.seek(SeekFrom::Start(0))?;
    if io::copy(&mut source.take(size), target)? == size { Ok(()) } else { Err(io::ErrorKind::UnexpectedEof.into()) }
}
