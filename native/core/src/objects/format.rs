//! The file of an object: the body, then a description of it.
//!
//! ```text
//! body bytes | description (JSON) | trailer: JSON length u32, version u32, body length u64, CRC64 u64, magic 8 bytes
//! ```
//!
//! The description comes last so that a body is written as it arrives, before its length and checksums are known, and so
//! that a file whose writing was cut short has no valid trailer: it is not an object, whatever its name. The trailer's CRC
//! covers the description and the lengths; the description holds the CRC of the body, which every whole read verifies.
//! So nothing is synced to disk per object: after a power loss a file is whole, or is not taken for an object, or is found
//! out when it is read, and then set aside (and uploaded again by a client that asks what is there).

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};

use serde::{Deserialize, Serialize};

use super::checksums::Stored;

const MAGIC: [u8; 8] = *b"SHOTPUT\x01";
const VERSION: u32 = 1;
const TRAILER: usize = 32;
/// Read from the end of a file at once; holds the description of all but the most talkative objects.
const TAIL: usize = 2048;
/// S3 allows 2 KiB of user metadata and 8 KiB of headers; anything larger is no description of ours.
const DESCRIPTION_LIMIT: usize = 1 << 20;

/// What is known of an object besides its bytes.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(super) struct Description {
    /// The whole key: the name on disk is derived from it.
    pub key: String,
    pub size: u64,
    /// Without quotes.
    pub etag: String,
    /// CRC64-NVME of the body.
    pub crc64: u64,
    /// Milliseconds since 1970.
    pub modified: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub checksum: Option<Stored>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parts: Option<Parts>,
    /// The multipart upload that made it, so that completing twice is answered twice.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub upload: Option<String>,
    #[serde(default)]
    pub headers: Headers,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub metadata: BTreeMap<String, String>,
}

/// How a multipart object was put together.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub(super) struct Parts {
    pub count: u32,
    /// Size of every part but the last; 0 when they differ.
    pub stride: u64,
}

/// Headers that are kept with an object and given back with it.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(super) struct Headers {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub content_type: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub content_encoding: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub content_language: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub content_disposition: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cache_control: Option<String>,
}

/// The bytes that end an object's file.
pub(super) fn footer(description: &Description) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::with_capacity(512);
    serde_json::to_writer(&mut bytes, description)?;
    let length = u32::try_from(bytes.len()).ok().filter(|&length| length as usize <= DESCRIPTION_LIMIT);
    let length =
        length.ok_or_else(|| io::Error::new(io::ErrorKind::InvalidInput, "the object's metadata is too long"))?;
    bytes.extend(length.to_le_bytes());
    bytes.extend(VERSION.to_le_bytes());
    bytes.extend(description.size.to_le_bytes());
    let crc = super::checksums::crc64(&bytes);
    bytes.extend(crc.to_le_bytes());
    bytes.extend(MAGIC);
    Ok(bytes)
}

/// Reads the description of an open file; `None` when the file is not a whole object.
pub(super) fn read(file: &mut File) -> io::Result<Option<Description>> {
    let length = file.metadata()?.len();
    let Ok(tail_length) = usize::try_from(length.min(TAIL as u64)) else { return Ok(None) };
    if tail_length < TRAILER {
        return Ok(None);
    }
    let mut tail = vec![0; tail_length];
    file.seek(SeekFrom::Start(length - tail_length as u64))?;
    file.read_exact(&mut tail)?;
    let trailer = &tail[tail_length - TRAILER..];
    if trailer[24..] != MAGIC || trailer[4..8] != VERSION.to_le_bytes() {
        return Ok(None);
    }
    let json_length = u32::from_le_bytes(trailer[..4].try_into().unwrap_or_default()) as usize;
    let body_length = u64::from_le_bytes(trailer[8..16].try_into().unwrap_or_default());
    let crc = u64::from_le_bytes(trailer[16..24].try_into().unwrap_or_default());
    let expected = body_length.checked_add((json_length + TRAILER) as u64);
    if json_length > DESCRIPTION_LIMIT || expected != Some(length) {
        return Ok(None);
    }
    if json_length + TRAILER > tail_length {
        tail = vec![0; json_length + TRAILER];
        file.seek(SeekFrom::Start(body_length))?;
        file.read_exact(&mut tail)?;
    }
    let signed = &tail[tail.len() - TRAILER - json_length..tail.len() - 16];
    if super::checksums::crc64(signed) != crc {
        return Ok(None);
    }
    let description: Description = match serde_json::from_slice(&signed[..json_length]) {
        Ok(description) => description,
        Err(_) => return Ok(None),
    };
    Ok((description.size == body_length).then_some(description))
}
