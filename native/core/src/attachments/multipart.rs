//! Large files: parts in parallel, resumed where an earlier upload of the same content was ended.
//!
//! Part sizes follow from the file's size alone and the key from its content, so the parts of an upload that was killed
//! are those of the next one. An upload that fails is left open on purpose; one whose file changed is aborted.

use std::collections::HashMap;
use std::fs::File;
use std::path::PathBuf;
use std::sync::Arc;

use aws_sdk_s3::types::{ChecksumAlgorithm, CompletedMultipartUpload, CompletedPart};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use tokio::task::JoinSet;

use super::hash::{Hasher, read_full, unreadable};
use super::progress::Tracker;
use super::s3::{Bucket, Fault, Put, PutOptions, encode_key};
use super::store::{Item, changed};
use crate::{CoreError, Result};

const MIN_PART: u64 = 16 * 1024 * 1024;
/// S3 takes 10,000 parts; the rest is left for whoever counts differently.
const MAX_PARTS: u64 = 9_000;
/// Parts under way at once: with the one that is read, this bounds the memory.
const PARALLEL: usize = 4;
/// Uploads that are begun for one file when others end them.
const ATTEMPTS: u32 = 3;

struct Part {
    number: i32,
    tag: String,
    /// CRC32 in base64; empty when the store told none.
    checksum: String,
    size: u64,
}

/// Part size for a file: 16 MiB, or more for files beyond 140 GB.
fn part_size(size: u64) -> u64 {
    const MIB: u64 = 1024 * 1024;
    size.div_ceil(MAX_PARTS).div_ceil(MIB).max(MIN_PART / MIB) * MIB
}

fn crc32(bytes: &[u8]) -> String {
    let checksum = crc_fast::checksum(crc_fast::CrcAlgorithm::Crc32IsoHdlc, bytes) as u32;
    STANDARD.encode(checksum.to_be_bytes())
}

/// Sends one large object.
pub(crate) async fn upload(bucket: &Arc<Bucket>, item: &Item, tracker: &Tracker<'_>) -> Result<()> {
    let explain = |fault: Fault| bucket.explain(&format!("upload {} to", item.path.display()), &item.key, &fault);
    let (mut upload_id, mut known) = match resumable(bucket, item).await.map_err(explain)? {
        Some(found) => found,
        None => (create(bucket, item).await.map_err(explain)?, HashMap::new()),
    };
    for attempt in 1.. {
        let mut counted = 0;
        let sent = match send_parts(bucket, item, &upload_id, known, tracker, &mut counted).await? {
            Ok(parts) => complete(bucket, item, &upload_id, parts).await,
            Err(fault) => Err(fault),
        };
        match sent {
            Ok(()) => break,
            // Another one who sends the same file completed the upload, or gave it up: it is not there any more.
            Err(fault) if fault.code == "NoSuchUpload" => {
                tracker.take_back(counted);
                if bucket.exists(&item.key).await.map_err(explain)? {
                    tracker.skipped(1, item.size);
                    return Ok(());
                }
                if attempt == ATTEMPTS {
                    return Err(explain(fault));
                }
            }
            Err(fault) => return Err(explain(fault)),
        }
        (upload_id, known) = (create(bucket, item).await.map_err(explain)?, HashMap::new());
    }
    tracker.processed(0);
    Ok(())
}

/// The newest open upload of this key and its parts.
async fn resumable(bucket: &Bucket, item: &Item) -> Result<Option<(String, HashMap<i32, Part>)>, Fault> {
    let uploads = bucket
        .sdk()
        .list_multipart_uploads()
        .bucket(bucket.name())
        .prefix(&item.key)
        .set_expected_bucket_owner(bucket.owner())
        .send()
        .await
        .map_err(Fault::from);
    let uploads = match uploads {
        Ok(answer) => answer.uploads.unwrap_or_default(),
        // Roles without s3:ListBucketMultipartUploads, and stores without the operation, start anew.
        Err(fault) if matches!(fault.status, 403 | 404 | 405 | 501) => Vec::new(),
        Err(fault) => return Err(fault),
    };
    let newest = uploads
        .into_iter()
        .filter(|upload| upload.key.as_deref() == Some(item.key.as_str()))
        .max_by_key(|upload| upload.initiated.map(|time| (time.secs(), time.subsec_nanos())));
    let Some(upload_id) = newest.and_then(|upload| upload.upload_id) else { return Ok(None) };
    let mut parts = HashMap::new();
    let mut marker = None;
    loop {
        let page = bucket
            .sdk()
            .list_parts()
            .bucket(bucket.name())
            .key(&item.key)
            .upload_id(&upload_id)
            .set_expected_bucket_owner(bucket.owner())
            .set_part_number_marker(marker)
            .send()
            .await
            .map_err(Fault::from);
        let page = match page {
            Ok(page) => page,
            // Completed or aborted by somebody else meanwhile.
            Err(fault) if matches!(fault.status, 403 | 404 | 501) => return Ok(None),
            Err(fault) => return Err(fault),
        };
        for part in page.parts.unwrap_or_default() {
            if let (Some(number), Some(tag), Some(size)) = (part.part_number, part.e_tag, part.size) {
                let checksum = part.checksum_crc32.unwrap_or_default();
                parts.insert(number, Part { number, tag, checksum, size: u64::try_from(size).unwrap_or(0) });
            }
        }
        match page.next_part_number_marker {
            Some(next) if page.is_truncated == Some(true) => marker = Some(next),
            _ => return Ok(Some((upload_id, parts))),
        }
    }
}

async fn create(bucket: &Bucket, item: &Item) -> Result<String, Fault> {
    let answer = bucket
        .sdk()
        .create_multipart_upload()
        .bucket(bucket.name())
        .key(&item.key)
        .checksum_algorithm(ChecksumAlgorithm::Crc32)
        .set_expected_bucket_owner(bucket.owner())
        .send()
        .await
        .map_err(Fault::from)?;
    answer.upload_id.ok_or_else(|| Fault {
        status: 200,
        code: String::new(),
        message: "the store began no multipart upload".into(),
    })
}

/// Reads the file once, from front to back, and sends the parts that are not there. `counted` are the bytes that the
/// tracker was told.
async fn send_parts(
    bucket: &Arc<Bucket>,
    item: &Item,
    upload_id: &str,
    mut known: HashMap<i32, Part>,
    tracker: &Tracker<'_>,
    counted: &mut u64,
) -> Result<Result<Vec<Part>, Fault>> {
    let size = part_size(item.size);
    let mut reader = Reader::open(item.path.clone(), size).await?;
    let mut parts = Vec::new();
    let mut sending: JoinSet<Result<Part, Fault>> = JoinSet::new();
    let parallel = PARALLEL.min(bucket.limits().connections);
    let mut count = |bytes: u64| {
        tracker.bytes(bytes);
        *counted += bytes;
    };
    for number in 1.. {
        let Some(body) = reader.next().await? else { break };
        let checksum = crc32(&body);
        let length = body.len() as u64;
        let kept = known
            .remove(&number)
            .filter(|part| part.size == length && (part.checksum.is_empty() || part.checksum == checksum));
        if let Some(part) = kept {
            count(length);
            parts.push(Part { checksum, ..part });
            continue;
        }
        while sending.len() >= parallel {
            match finished(&mut sending).await {
                Ok(part) => {
                    count(part.size);
                    parts.push(part);
                }
                Err(fault) => return Ok(Err(fault)),
            }
        }
        let (bucket, key) = (Arc::clone(bucket), item.key.clone());
        let query = format!("partNumber={number}&uploadId={}", encode_key(upload_id).replace('/', "%2F"));
        sending.spawn(async move {
            let options = PutOptions { query: &query, ..PutOptions::default() };
            match bucket.put(&key, body, &options).await? {
                Put::Stored(tag) => Ok(Part { number, tag, checksum, size: length }),
                // Parts are put without a condition.
                Put::Existed => Ok(Part { number, tag: String::new(), checksum, size: length }),
            }
        });
    }
    while !sending.is_empty() {
        match finished(&mut sending).await {
            Ok(part) => {
                count(part.size);
                parts.push(part);
            }
            Err(fault) => return Ok(Err(fault)),
        }
    }
    if reader.digest() != item.hash {
        let abort = bucket.sdk().abort_multipart_upload().bucket(bucket.name()).key(&item.key).upload_id(upload_id);
        // When even that fails, the store's own rule for open uploads cleans up.
        let _ = abort.set_expected_bucket_owner(bucket.owner()).send().await;
        return Err(changed(&item.path));
    }
    parts.sort_by_key(|part| part.number);
    Ok(Ok(parts))
}

async fn finished(sending: &mut JoinSet<Result<Part, Fault>>) -> Result<Part, Fault> {
    match sending.join_next().await {
        Some(Ok(result)) => result,
        Some(Err(err)) => Err(Fault { status: 0, code: String::new(), message: format!("a part was ended: {err}") }),
        None => Err(Fault { status: 0, code: String::new(), message: "no part is under way".into() }),
    }
}

async fn complete(bucket: &Bucket, item: &Item, upload_id: &str, parts: Vec<Part>) -> Result<(), Fault> {
    let parts = parts.into_iter().map(|part| {
        CompletedPart::builder().part_number(part.number).e_tag(part.tag).checksum_crc32(part.checksum).build()
    });
    let completed = CompletedMultipartUpload::builder().set_parts(Some(parts.collect())).build();
    let answer = bucket
        .sdk()
        .complete_multipart_upload()
        .bucket(bucket.name())
        .key(&item.key)
        .upload_id(upload_id)
        .multipart_upload(completed)
        .set_expected_bucket_owner(bucket.owner())
        .send()
        .await
        .map_err(Fault::from);
    match answer {
        Ok(_) => Ok(()),
        // An answer was lost, and this is the retry.
        Err(fault) if fault.status == 404 && bucket.exists(&item.key).await? => Ok(()),
        Err(fault) => Err(fault),
    }
}

/// Reads a file part by part and hashes what it reads.
struct Reader {
    path: PathBuf,
    size: usize,
    state: Option<(File, Hasher)>,
    digest: String,
}

impl Reader {
    async fn open(path: PathBuf, size: u64) -> Result<Self> {
        let file = File::open(&path).map_err(|err| unreadable(&path, &err))?;
        Ok(Self { path, size: size as usize, state: Some((file, Hasher::default())), digest: String::new() })
    }

    /// The next part; none at the end of the file.
    async fn next(&mut self) -> Result<Option<Bytes>> {
        let Some((mut file, mut hasher)) = self.state.take() else { return Ok(None) };
        let size = self.size;
        let read = move || {
            let mut part = vec![0; size];
            let filled = read_full(&mut file, &mut part)?;
            part.truncate(filled);
            hasher.update(&part);
            Ok::<_, std::io::Error>((file, hasher, part))
        };
        let ended = |err| CoreError::Attachments(format!("Reading {} was ended: {err}.", self.path.display()));
        let (file, hasher, part) =
            tokio::task::spawn_blocking(read).await.map_err(ended)?.map_err(|err| unreadable(&self.path, &err))?;
        if part.is_empty() {
            self.digest = hasher.finish();
            return Ok(None);
        }
        self.state = Some((file, hasher));
        Ok(Some(Bytes::from(part)))
    }

    fn digest(&self) -> &str {
        &self.digest
    }
}
