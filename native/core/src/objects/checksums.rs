//! Checksums of bodies: what is verified, what is kept.
//!
//! CRC64-NVME is always taken: with carry-less multiplication it costs next to nothing, it finds damaged files, and the
//! CRCs of parts combine into that of the whole. Everything else is computed only when the client sent a value to check.
//! MD5 above all: it would cost more than all the rest of an upload together, so an ETag is the MD5 only when the client
//! sent `Content-MD5`; else it is made of CRC and size and has the form of a multipart ETag (`…-1`), which clients never
//! take for an MD5.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use crc_fast::{CrcAlgorithm, Digest};
use s3s::crypto::{Checksum as _, Md5, Sha1, Sha256};
use serde::{Deserialize, Serialize};

/// A checksum algorithm of the S3 protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Algorithm {
    #[serde(rename = "CRC32")]
    Crc32,
    #[serde(rename = "CRC32C")]
    Crc32c,
    #[serde(rename = "CRC64NVME")]
    Crc64Nvme,
    #[serde(rename = "SHA1")]
    Sha1,
    #[serde(rename = "SHA256")]
    Sha256,
}

impl Algorithm {
    pub(super) const ALL: [Self; 5] = [Self::Crc32, Self::Crc32c, Self::Crc64Nvme, Self::Sha1, Self::Sha256];

    /// As in `x-amz-sdk-checksum-algorithm`.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Crc32 => "CRC32",
            Self::Crc32c => "CRC32C",
            Self::Crc64Nvme => "CRC64NVME",
            Self::Sha1 => "SHA1",
            Self::Sha256 => "SHA256",
        }
    }

    /// The header, or trailer, that carries a value.
    pub(super) fn header(self) -> &'static str {
        match self {
            Self::Crc32 => "x-amz-checksum-crc32",
            Self::Crc32c => "x-amz-checksum-crc32c",
            Self::Crc64Nvme => "x-amz-checksum-crc64nvme",
            Self::Sha1 => "x-amz-checksum-sha1",
            Self::Sha256 => "x-amz-checksum-sha256",
        }
    }

    pub(super) fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|algorithm| algorithm.name().eq_ignore_ascii_case(name))
    }

    pub(super) fn from_header(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|algorithm| algorithm.header().eq_ignore_ascii_case(name.trim()))
    }

    fn crc(self) -> Option<(CrcAlgorithm, usize)> {
        match self {
            Self::Crc32 => Some((CrcAlgorithm::Crc32IsoHdlc, 4)),
            Self::Crc32c => Some((CrcAlgorithm::Crc32Iscsi, 4)),
            Self::Crc64Nvme => Some((CrcAlgorithm::Crc64Nvme, 8)),
            Self::Sha1 | Self::Sha256 => None,
        }
    }

    fn length(self) -> usize {
        match self {
            Self::Crc32 | Self::Crc32c => 4,
            Self::Crc64Nvme => 8,
            Self::Sha1 => 20,
            Self::Sha256 => 32,
        }
    }
}

/// A checksum that is kept with an object or part.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Stored {
    pub algorithm: Algorithm,
    /// Base64; a composite one ends in `-<parts>`.
    pub value: String,
    /// A checksum of the parts' checksums, as S3 makes for multipart objects.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub composite: bool,
}

/// CRC64-NVME of some bytes.
pub(super) fn crc64(bytes: &[u8]) -> u64 {
    crc_fast::checksum(CrcAlgorithm::Crc64Nvme, bytes)
}

/// The CRC64-NVME of `first` followed by `second_length` bytes whose CRC is `second`.
pub(super) fn combine_crc64(first: u64, second: u64, second_length: u64) -> u64 {
    crc_fast::checksum_combine(CrcAlgorithm::Crc64Nvme, first, second, second_length)
}

/// A running CRC64-NVME.
pub(super) struct Crc64(Digest);

impl Crc64 {
    pub(super) fn new() -> Self {
        Self(Digest::new(CrcAlgorithm::Crc64Nvme))
    }

    pub(super) fn update(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    pub(super) fn value(&self) -> u64 {
        self.0.finalize()
    }
}

enum Hasher {
    Crc(Digest, usize),
    Sha1(Box<Sha1>),
    Sha256(Box<Sha256>),
    /// The CRC64 that is taken anyway.
    Shared,
}

/// The checksums of a body while it arrives.
pub(super) struct BodyDigest {
    crc64: Crc64,
    md5: Option<Md5>,
    named: Option<(Algorithm, Hasher)>,
}

/// The checksums of a whole body.
#[derive(Debug, Clone)]
pub(super) struct Digested {
    pub crc64: u64,
    pub md5: Option<[u8; 16]>,
    pub named: Option<Stored>,
}

impl BodyDigest {
    pub(super) fn new(md5: bool, algorithm: Option<Algorithm>) -> Self {
        let named = algorithm.map(|algorithm| {
            let hasher = match algorithm {
                Algorithm::Crc64Nvme => Hasher::Shared,
                Algorithm::Crc32 => Hasher::Crc(Digest::new(CrcAlgorithm::Crc32IsoHdlc), 4),
                Algorithm::Crc32c => Hasher::Crc(Digest::new(CrcAlgorithm::Crc32Iscsi), 4),
                Algorithm::Sha1 => Hasher::Sha1(Box::new(Sha1::new())),
                Algorithm::Sha256 => Hasher::Sha256(Box::new(Sha256::new())),
            };
            (algorithm, hasher)
        });
        Self { crc64: Crc64::new(), md5: md5.then(Md5::new), named }
    }

    pub(super) fn update(&mut self, bytes: &[u8]) {
        self.crc64.update(bytes);
        if let Some(md5) = &mut self.md5 {
            md5.update(bytes);
        }
        match &mut self.named {
            Some((_, Hasher::Crc(digest, _))) => digest.update(bytes),
            Some((_, Hasher::Sha1(digest))) => digest.update(bytes),
            Some((_, Hasher::Sha256(digest))) => digest.update(bytes),
            Some((_, Hasher::Shared)) | None => {}
        }
    }

    pub(super) fn finish(self) -> Digested {
        let crc64 = self.crc64.value();
        let named = self.named.map(|(algorithm, hasher)| {
            let value = match hasher {
                Hasher::Shared => encode_crc(crc64, 8),
                Hasher::Crc(digest, length) => encode_crc(digest.finalize(), length),
                Hasher::Sha1(digest) => STANDARD.encode(digest.finalize()),
                Hasher::Sha256(digest) => STANDARD.encode(digest.finalize()),
            };
            Stored { algorithm, value, composite: false }
        });
        Digested { crc64, md5: self.md5.map(|md5| md5.finalize()), named }
    }
}

impl Digested {
    /// The ETag of a body (see the module's text).
    pub(super) fn etag(&self, size: u64) -> String {
        match self.md5 {
            Some(md5) => hex::encode(md5),
            None => etag(self.crc64, size, 1),
        }
    }

    /// What is kept with the object: the client's algorithm, else the CRC64 that S3 adds too.
    pub(super) fn stored(&self) -> Stored {
        self.named.clone().unwrap_or_else(|| full_crc64(self.crc64))
    }
}

/// An ETag that is no MD5: CRC64, size, number of parts.
pub(super) fn etag(crc64: u64, size: u64, parts: usize) -> String {
    format!("{crc64:016x}{size:016x}-{parts}")
}

/// A CRC64-NVME as it is kept.
pub(super) fn full_crc64(crc64: u64) -> Stored {
    Stored { algorithm: Algorithm::Crc64Nvme, value: encode_crc(crc64, 8), composite: false }
}

/// Whether a text can be a value of the algorithm.
pub(super) fn is_well_formed(algorithm: Algorithm, value: &str) -> bool {
    STANDARD.decode(value).is_ok_and(|bytes| bytes.len() == algorithm.length())
}

/// The checksum of the parts' checksums; `None` when a value is not of the algorithm.
pub(super) fn composite<'a>(algorithm: Algorithm, parts: impl Iterator<Item = &'a str>) -> Option<Stored> {
    let mut digest = BodyDigest::new(false, Some(algorithm));
    let mut count = 0;
    for part in parts {
        digest.update(&STANDARD.decode(part).ok().filter(|bytes| bytes.len() == algorithm.length())?);
        count += 1;
    }
    let value = digest.finish().named?.value;
    Some(Stored { algorithm, value: format!("{value}-{count}"), composite: true })
}

/// The CRC of the whole from the parts' CRCs and sizes; `None` for algorithms that do not combine.
pub(super) fn combined<'a>(algorithm: Algorithm, parts: impl Iterator<Item = (&'a str, u64)>) -> Option<Stored> {
    let (crc, length) = algorithm.crc()?;
    let mut whole: Option<u64> = None;
    for (value, size) in parts {
        let bytes = STANDARD.decode(value).ok().filter(|bytes| bytes.len() == length)?;
        let part = bytes.iter().fold(0u64, |number, &byte| number << 8 | u64::from(byte));
        whole = Some(whole.map_or(part, |before| crc_fast::checksum_combine(crc, before, part, size)));
    }
    Some(Stored { algorithm, value: encode_crc(whole?, length), composite: false })
}

fn encode_crc(crc: u64, length: usize) -> String {
    STANDARD.encode(&crc.to_be_bytes()[8 - length..])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn digest(algorithm: Algorithm, bytes: &[u8]) -> String {
        let mut digest = BodyDigest::new(false, Some(algorithm));
        digest.update(bytes);
        digest.finish().stored().value
    }

    #[test]
    fn values_are_those_of_the_published_check_inputs() {
        // "123456789" is the check input of the CRC catalogue.
        assert_eq!(digest(Algorithm::Crc32, b"123456789"), STANDARD.encode([0xcb, 0xf4, 0x39, 0x26]));
        assert_eq!(digest(Algorithm::Crc32c, b"123456789"), STANDARD.encode([0xe3, 0x06, 0x92, 0x83]));
        let crc64 = 0xae8b_1486_0a79_9888_u64;
        assert_eq!(digest(Algorithm::Crc64Nvme, b"123456789"), STANDARD.encode(crc64.to_be_bytes()));
        assert_eq!(digest(Algorithm::Sha1, b"abc"), "qZk+NkcGgWq6PiVxeFDCbJzQ2J0=");
        assert_eq!(digest(Algorithm::Sha256, b"abc"), "ungWv48Bz+pBQUDeXa4iI7ADYaOWF3qctBD/YfIAFa0=");
    }

    #[test]
    fn crcs_of_parts_combine_into_that_of_the_whole() {
        let whole = vec![7u8; 300_000];
        let (first, second) = whole.split_at(123_456);
        for algorithm in [Algorithm::Crc32, Algorithm::Crc32c, Algorithm::Crc64Nvme] {
            let parts =
                [(digest(algorithm, first), first.len() as u64), (digest(algorithm, second), second.len() as u64)];
            let combined = combined(algorithm, parts.iter().map(|(value, size)| (value.as_str(), *size)));
            assert_eq!(combined.map(|stored| stored.value), Some(digest(algorithm, &whole)));
        }
        assert_eq!(combined(Algorithm::Sha1, std::iter::empty()), None);
    }
}
