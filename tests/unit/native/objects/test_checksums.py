"""Checksums in headers and trailers."""

from __future__ import annotations

import hashlib
import os
from base64 import b64encode
from pathlib import Path
from typing import Any

import pytest
from fakes.s3_requests import BUCKET, MEBIBYTE, Raw, begin, complete, crc32, files_below, part, refused

ALGORITHMS = ["CRC32", "SHA1", "SHA256"]


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_checksums_are_kept_and_given_back(s3: Any, algorithm: str) -> None:
    put = s3.put_object(Bucket=BUCKET, Key="x", Body=b"hello", ChecksumAlgorithm=algorithm)
    got = s3.get_object(Bucket=BUCKET, Key="x", ChecksumMode="ENABLED")
    assert got["Body"].read() == b"hello"
    assert got[f"Checksum{algorithm}"] == put[f"Checksum{algorithm}"]
    upload = begin(s3, ChecksumAlgorithm=algorithm)
    parts = [part(s3, upload, 1, b"a" * 5 * MEBIBYTE, ChecksumAlgorithm=algorithm)]
    parts.append(part(s3, upload, 2, b"b", ChecksumAlgorithm=algorithm))
    done = complete(s3, upload, parts)
    assert done[f"Checksum{algorithm}"].endswith("-2")
    assert done["ChecksumType"] == "COMPOSITE"
    assert s3.get_object(Bucket=BUCKET, Key="big", ChecksumMode="ENABLED")["Body"].read()[-2:] == b"ab"


def test_the_crc_of_a_whole_upload_is_verified(s3: Any) -> None:
    body = b"a" * 5 * MEBIBYTE + b"b"
    upload = begin(s3, ChecksumAlgorithm="CRC32", ChecksumType="FULL_OBJECT")
    parts = [part(s3, upload, 1, body[:-1], ChecksumAlgorithm="CRC32")]
    parts.append(part(s3, upload, 2, b"b", ChecksumAlgorithm="CRC32"))
    wrong = crc32(b"other")
    assert refused(lambda: complete(s3, upload, parts, ChecksumCRC32=wrong, ChecksumType="FULL_OBJECT")) == (
        "BadDigest",
        400,
        f"The checksum you specified ({wrong}) did not match that of the parts ({crc32(body)}).",
    )
    done = complete(s3, upload, parts, ChecksumCRC32=crc32(body), ChecksumType="FULL_OBJECT")
    assert done["ChecksumCRC32"] == crc32(body)


def test_a_wrong_checksum_stores_nothing(s3: Any, root: Path) -> None:
    wrong = crc32(b"other")
    for body in (b"hello", os.urandom(2 * MEBIBYTE)):
        answer = refused(s3.put_object, Bucket=BUCKET, Key="x", Body=body, ChecksumCRC32=wrong)
        text = f"The CRC32 you specified ({wrong}) did not match the calculated checksum ({crc32(body)})."
        assert answer == ("BadDigest", 400, text)
    md5, found = (b64encode(hashlib.md5(body).digest()).decode() for body in (b"other", b"hello"))
    answer = refused(s3.put_object, Bucket=BUCKET, Key="x", Body=b"hello", ContentMD5=md5)
    text = f"The Content-MD5 you specified ({md5}) did not match what we received ({found})."
    assert answer == ("BadDigest", 400, text)
    answer = refused(s3.put_object, Bucket=BUCKET, Key="x", Body=b"hello", ChecksumCRC32="no")
    assert answer == ("InvalidRequest", 400, "Value for x-amz-checksum-crc32 header is invalid.")
    assert [path.name for path in files_below(root)] == ["lock"]


def test_a_tampered_trailer_stores_nothing(raw: Raw, root: Path) -> None:
    name = "x-amz-checksum-crc32"
    for body in (b"hello" * 1000, os.urandom(2 * MEBIBYTE)):
        wrong = crc32(b"other")
        answer = raw.put_chunked(f"/{BUCKET}/x", body, {name: wrong}, name)
        text = f"The CRC32 you specified ({wrong}) did not match the calculated checksum ({crc32(body)})."
        assert (answer.status, answer.code, answer.message) == (400, "BadDigest", text)
        tampered = bytes([body[0] ^ 1]) + body[1:]
        answer = raw.put_chunked(f"/{BUCKET}/x", tampered, {name: crc32(body)}, name)
        assert (answer.status, answer.code) == (400, "BadDigest")
        answer = raw.put_chunked(f"/{BUCKET}/x", body, {}, name)
        text = f"The trailer {name} was announced and did not come."
        assert (answer.status, answer.code, answer.message) == (400, "InvalidRequest", text)
        answer = raw.put_chunked(f"/{BUCKET}/x", body, {name: "!"}, name)
        text = f"Value for {name} trailing header is invalid."
        assert (answer.status, answer.code, answer.message) == (400, "InvalidRequest", text)
    assert [path.name for path in files_below(root)] == ["lock"]
    assert raw.put_chunked(f"/{BUCKET}/x", body, {name: crc32(body)}, name).status == 200
    assert raw.send("GET", f"/{BUCKET}/x").body == body


def test_a_tampered_body_stores_nothing(raw: Raw, root: Path) -> None:
    claimed = hashlib.sha256(b"what was signed").hexdigest()
    for body in (b"what was sent..", os.urandom(2 * MEBIBYTE)):
        answer = raw.send("PUT", f"/{BUCKET}/x", body=body, payload=claimed)
        text = "The provided 'x-amz-content-sha256' header does not match what was computed."
        assert (answer.status, answer.code, answer.message) == (400, "XAmzContentSHA256Mismatch", text)
    assert [path.name for path in files_below(root)] == ["lock"]


def test_a_body_of_another_length_stores_nothing(raw: Raw, root: Path) -> None:
    name = "x-amz-checksum-crc32"
    for length in ("4", "6"):
        headers = {"x-amz-decoded-content-length": length}
        answer = raw.put_chunked(f"/{BUCKET}/x", b"hello", {name: crc32(b"hello")}, name, **headers)
        text = f"The body has 5 bytes where {length} were announced."
        assert (answer.status, answer.code, answer.message) == (400, "IncompleteBody", text)
    assert [path.name for path in files_below(root)] == ["lock"]
