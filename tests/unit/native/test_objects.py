"""The object store, seen by boto3, s5cmd and raw requests."""

from __future__ import annotations

import hashlib
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from base64 import b64encode
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta, timezone
from io import BytesIO
from pathlib import Path
from typing import Any

import boto3
import pytest
from boto3.s3.transfer import TransferConfig
from botocore.config import Config
from botocore.exceptions import ClientError
from shotput import _native
from shotput.errors import ObjectStoreError

sys.path.insert(0, str(Path(__file__).parent))
from s3_raw import Raw, crc32, exchange

BUCKET = "shotput-local"
KEY, SECRET = "AKIDTEST", "secret of the tests"
MEBIBYTE = 1024 * 1024


def client(endpoint: str, key: str = KEY, secret: str = SECRET, token: str | None = None, **config: Any) -> Any:
    return boto3.client(
        "s3",
        endpoint_url=endpoint,
        aws_access_key_id=key,
        aws_secret_access_key=secret,
        aws_session_token=token,
        region_name="us-west-2",
        config=Config(s3={"addressing_style": "path"}, retries={"total_max_attempts": 1}, **config),
    )


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "objects"


@pytest.fixture
def store(root: Path) -> Iterator[Any]:
    with _native.ObjectStore(str(root)) as store:
        store.add_credentials(KEY, SECRET, bucket=BUCKET)
        yield store


@pytest.fixture
def s3(store: Any) -> Iterator[Any]:
    s3 = client(store.endpoint)
    yield s3
    s3.close()


@pytest.fixture
def raw(store: Any) -> Raw:
    return Raw(store.endpoint, KEY, SECRET)


def refused(call: Any, **arguments: Any) -> tuple[str, int, str]:
    with pytest.raises(ClientError) as caught:
        call(**arguments)
    response = caught.value.response
    return response["Error"]["Code"], response["ResponseMetadata"]["HTTPStatusCode"], response["Error"].get("Message", "")


def files_below(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file())


def keys(s3: Any, **arguments: Any) -> list[str]:
    pages = s3.get_paginator("list_objects_v2").paginate(Bucket=BUCKET, **arguments)
    return [entry["Key"] for page in pages for entry in page.get("Contents", [])]


# Objects


def test_an_object_comes_back_with_all_that_was_said_of_it(s3: Any) -> None:
    put = s3.put_object(
        Bucket=BUCKET,
        Key="DeadlineCloud/Manifests/a_input",
        Body=b"hello",
        ContentType="text/plain",
        CacheControl="no-store",
        ContentDisposition="inline",
        Metadata={"asset-root": "/shots/a b"},
        ExpectedBucketOwner="000000000000",
    )
    got = s3.get_object(Bucket=BUCKET, Key="DeadlineCloud/Manifests/a_input", ExpectedBucketOwner="000000000000")
    assert got["Body"].read() == b"hello"
    assert got["ContentType"] == "text/plain"
    assert got["CacheControl"] == "no-store"
    assert got["ContentDisposition"] == "inline"
    assert got["Metadata"] == {"asset-root": "/shots/a b"}
    assert got["ETag"] == put["ETag"]
    assert "ContentEncoding" not in got
    head = s3.head_object(Bucket=BUCKET, Key="DeadlineCloud/Manifests/a_input")
    assert (head["ContentLength"], head["ETag"], head["Metadata"]) == (5, put["ETag"], {"asset-root": "/shots/a b"})
    assert abs(datetime.now(timezone.utc) - head["LastModified"]) < timedelta(seconds=60)


@pytest.mark.parametrize("size", [0, 1, 20_000, MEBIBYTE, MEBIBYTE + 1, 9_000_000])
def test_bodies_of_all_sizes_come_back(s3: Any, size: int) -> None:
    body = os.urandom(size)
    s3.put_object(Bucket=BUCKET, Key="x", Body=body)
    assert s3.get_object(Bucket=BUCKET, Key="x")["Body"].read() == body


def test_an_object_is_one_file(s3: Any, root: Path) -> None:
    s3.put_object(Bucket=BUCKET, Key="DeadlineCloud/Data/0f.xxh128", Body=b"x" * 100)
    (file,) = [path for path in files_below(root) if path.name != "lock"]
    assert file.relative_to(root).as_posix() == "buckets/shotput-local/%44eadline%43loud/%44ata/0f.xxh128="
    assert file.read_bytes().startswith(b"x" * 100 + b"{")


def test_a_put_replaces_the_object(s3: Any) -> None:
    first = s3.put_object(Bucket=BUCKET, Key="x", Body=b"one")
    second = s3.put_object(Bucket=BUCKET, Key="x", Body=b"second")
    assert first["ETag"] != second["ETag"]
    assert s3.get_object(Bucket=BUCKET, Key="x")["Body"].read() == b"second"


def test_an_etag_is_no_md5_unless_the_client_sent_one(s3: Any) -> None:
    assert s3.put_object(Bucket=BUCKET, Key="x", Body=b"hello")["ETag"].endswith('-1"')
    md5 = hashlib.md5(b"hello")
    put = s3.put_object(Bucket=BUCKET, Key="y", Body=b"hello", ContentMD5=b64encode(md5.digest()).decode())
    assert put["ETag"] == f'"{md5.hexdigest()}"'


@pytest.mark.parametrize(
    ("asked", "start", "end"),
    [("bytes=0-9", 0, 10), ("bytes=5-", 5, 1000), ("bytes=-7", 993, 1000), ("bytes=990-5000", 990, 1000)],
)
def test_ranges(s3: Any, asked: str, start: int, end: int) -> None:
    body = os.urandom(1000)
    s3.put_object(Bucket=BUCKET, Key="x", Body=body)
    got = s3.get_object(Bucket=BUCKET, Key="x", Range=asked)
    assert got["Body"].read() == body[start:end]
    assert got["ContentRange"] == f"bytes {start}-{end - 1}/1000"
    assert got["ResponseMetadata"]["HTTPStatusCode"] == 206


def test_a_range_behind_the_end_is_refused(s3: Any) -> None:
    s3.put_object(Bucket=BUCKET, Key="x", Body=b"abc")
    answer = refused(s3.get_object, Bucket=BUCKET, Key="x", Range="bytes=3-")
    assert answer == ("InvalidRange", 416, "The requested range is not satisfiable.")


def test_what_is_not_there_is_named(s3: Any) -> None:
    answer = refused(s3.get_object, Bucket=BUCKET, Key="a/b")
    assert answer == ("NoSuchKey", 404, "The key a/b does not exist in the bucket shotput-local.")
    assert refused(s3.head_object, Bucket=BUCKET, Key="a/b")[:2] == ("404", 404)
    s3.delete_object(Bucket=BUCKET, Key="a/b")


def test_buckets(s3: Any) -> None:
    assert [bucket["Name"] for bucket in s3.list_buckets()["Buckets"]] == [BUCKET]
    assert s3.head_bucket(Bucket=BUCKET)["ResponseMetadata"]["HTTPStatusCode"] == 200
    assert s3.get_bucket_location(Bucket=BUCKET)["LocationConstraint"] is None
    answer = refused(s3.get_bucket_policy, Bucket=BUCKET)
    assert answer == ("NotImplemented", 501, "The object store does not have the operation GetBucketPolicy.")


# Conditions


def test_a_put_that_must_not_replace(s3: Any) -> None:
    s3.put_object(Bucket=BUCKET, Key="x", Body=b"one", IfNoneMatch="*")
    for body in (b"two", os.urandom(2 * MEBIBYTE)):
        answer = refused(s3.put_object, Bucket=BUCKET, Key="x", Body=body, IfNoneMatch="*")
        assert answer == (
            "PreconditionFailed",
            412,
            "At least one of the pre-conditions you specified did not hold.",
        )
    assert s3.get_object(Bucket=BUCKET, Key="x")["Body"].read() == b"one"


def test_of_many_puts_that_must_not_replace_one_wins(s3: Any) -> None:
    def put(number: int) -> bool:
        try:
            s3.put_object(Bucket=BUCKET, Key="x", Body=b"%d" % number, IfNoneMatch="*")
        except ClientError as err:
            assert err.response["Error"]["Code"] == "PreconditionFailed"
            return False
        return True

    with ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(put, range(40))) == 1


def test_a_put_that_replaces_one_version(s3: Any) -> None:
    first = s3.put_object(Bucket=BUCKET, Key="x", Body=b"one")["ETag"]
    s3.put_object(Bucket=BUCKET, Key="x", Body=b"two", IfMatch=first)
    assert refused(s3.put_object, Bucket=BUCKET, Key="x", Body=b"three", IfMatch=first)[:2] == ("PreconditionFailed", 412)
    assert s3.get_object(Bucket=BUCKET, Key="x")["Body"].read() == b"two"


def test_reads_on_conditions(s3: Any) -> None:
    etag = s3.put_object(Bucket=BUCKET, Key="x", Body=b"one")["ETag"]
    assert refused(s3.get_object, Bucket=BUCKET, Key="x", IfNoneMatch=etag)[1] == 304
    assert refused(s3.get_object, Bucket=BUCKET, Key="x", IfMatch='"other"')[1] == 412
    assert s3.get_object(Bucket=BUCKET, Key="x", IfMatch=etag)["Body"].read() == b"one"
    later = datetime.now(timezone.utc) + timedelta(hours=1)
    earlier = later - timedelta(hours=2)
    assert refused(s3.head_object, Bucket=BUCKET, Key="x", IfModifiedSince=later)[1] == 304
    assert refused(s3.head_object, Bucket=BUCKET, Key="x", IfUnmodifiedSince=earlier)[1] == 412
    assert s3.head_object(Bucket=BUCKET, Key="x", IfModifiedSince=earlier)["ETag"] == etag


# Keys

ODD_KEYS = [
    "a",
    "a/",
    "a/b",
    "a//b",
    "/a",
    "..",
    "../../../etc/passwd",
    "a/../b",
    "a/./b",
    "a\\..\\b",
    "A",
    "con",
    "aux/NUL.txt",
    "ключ/鍵/🎬.exr",
    "é" * 400,
    "x" * 1024,
    "spaces and + and % and ? & #",
    "trailing.",
    ".hidden",
    "a=",
    "%41",
]


def test_odd_keys_stay_apart_and_inside(s3: Any, root: Path, tmp_path: Path) -> None:
    for key in ODD_KEYS:
        s3.put_object(Bucket=BUCKET, Key=key, Body=key.encode())
    for key in ODD_KEYS:
        assert s3.get_object(Bucket=BUCKET, Key=key)["Body"].read() == key.encode()
    assert keys(s3) == sorted(ODD_KEYS, key=str.encode)
    assert [path for path in files_below(tmp_path) if not path.is_relative_to(root)] == []
    inside = [path for path in files_below(root) if path.is_relative_to(root / "buckets" / BUCKET)]
    assert len(inside) == len(ODD_KEYS)
    for key in ODD_KEYS:
        s3.delete_object(Bucket=BUCKET, Key=key)
    assert list((root / "buckets" / BUCKET).iterdir()) == []


@pytest.mark.parametrize(
    "path", ["/shotput-local/../../x", "/shotput-local/%2e%2e/%2e%2e/x", "/shotput-local/..%2f..%2fx", "/../x", "/..%2fx/y"]
)
def test_paths_that_climb_stay_inside(raw: Raw, root: Path, tmp_path: Path, path: str) -> None:
    raw.send("PUT", path, body=b"x")
    outside = [path for path in files_below(tmp_path) if not path.is_relative_to(root)]
    assert outside == []
    assert sorted(path.name for path in root.iterdir()) == ["buckets", "damaged", "lock", "temporary", "uploads"]
    assert [path.name for path in (root / "buckets").iterdir()] == [BUCKET]


def test_a_key_too_long_is_refused(s3: Any) -> None:
    assert refused(s3.put_object, Bucket=BUCKET, Key="x" * 1025, Body=b"")[:2] == ("KeyTooLongError", 400)


# Listing


def test_many_keys_in_pages(s3: Any) -> None:
    expected = [f"Data/{number:05}.xxh128" for number in range(2500)]
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda key: s3.put_object(Bucket=BUCKET, Key=key, Body=b""), reversed(expected)))
    s3.put_object(Bucket=BUCKET, Key="Data.txt", Body=b"")
    s3.put_object(Bucket=BUCKET, Key="Manifests/x", Body=b"")
    assert keys(s3, Prefix="Data/") == expected
    assert keys(s3) == ["Data.txt", *expected, "Manifests/x"]
    first = s3.list_objects_v2(Bucket=BUCKET, Prefix="Data/")
    assert (first["KeyCount"], first["IsTruncated"], first["MaxKeys"]) == (1000, True, 1000)
    assert keys(s3, Prefix="Data/", StartAfter="Data/02490.xxh128") == expected[2491:]
    assert keys(s3, Prefix="Data/0249", PaginationConfig={"PageSize": 3}) == expected[2490:]


def test_common_prefixes(s3: Any) -> None:
    for key in ["a", "a-b", "a/1", "a/2", "a/b/3", "b/c/d", "c"]:
        s3.put_object(Bucket=BUCKET, Key=key, Body=b"")

    def listed(size: int, **arguments: Any) -> list[str]:
        pages = s3.get_paginator("list_objects_v2").paginate(
            Bucket=BUCKET, Delimiter="/", PaginationConfig={"PageSize": size}, **arguments
        )
        found: list[str] = []
        for page in pages:
            found += [entry["Key"] for entry in page.get("Contents", [])]
            found += [entry["Prefix"] for entry in page.get("CommonPrefixes", [])]
        return sorted(found)

    for size in (1, 2, 1000):
        assert listed(size) == ["a", "a-b", "a/", "b/", "c"]
        assert listed(size, Prefix="a/") == ["a/1", "a/2", "a/b/"]
        assert listed(size, Prefix="b") == ["b/"]
    assert listed(1000, Prefix="nothing") == []
    old = s3.list_objects(Bucket=BUCKET, Delimiter="/", MaxKeys=3)
    assert [entry["Key"] for entry in old["Contents"]] == ["a", "a-b"]
    assert [entry["Prefix"] for entry in old["CommonPrefixes"]] == ["a/"]
    rest = s3.list_objects(Bucket=BUCKET, Delimiter="/", Marker=old["NextMarker"])
    assert [entry["Prefix"] for entry in rest["CommonPrefixes"]] == ["b/"]
    assert [entry["Key"] for entry in rest["Contents"]] == ["c"]


def test_a_listing_sees_what_was_put_and_deleted_just_now(s3: Any) -> None:
    for number in range(20):
        s3.put_object(Bucket=BUCKET, Key=f"x/{number:02}", Body=b"")
        assert len(keys(s3, Prefix="x/")) == number + 1
    s3.delete_objects(Bucket=BUCKET, Delete={"Objects": [{"Key": f"x/{number:02}"} for number in range(19)]})
    assert keys(s3) == ["x/19"]


def test_a_wrong_token_is_refused(s3: Any) -> None:
    answer = refused(s3.list_objects_v2, Bucket=BUCKET, ContinuationToken="!")
    assert answer == ("InvalidArgument", 400, "The continuation token provided is incorrect.")


# Copies and removal


def test_a_copy_keeps_or_replaces_what_is_said_of_the_object(s3: Any) -> None:
    s3.put_object(Bucket=BUCKET, Key="a b", Body=b"body", ContentType="text/plain", Metadata={"k": "v"})
    source = {"Bucket": BUCKET, "Key": "a b"}
    s3.copy_object(Bucket=BUCKET, Key="kept", CopySource=source)
    s3.copy_object(Bucket=BUCKET, Key="new", CopySource=source, MetadataDirective="REPLACE", Metadata={"n": "w"})
    kept, new = (s3.get_object(Bucket=BUCKET, Key=key) for key in ("kept", "new"))
    assert (kept["Body"].read(), kept["ContentType"], kept["Metadata"]) == (b"body", "text/plain", {"k": "v"})
    assert (new["Body"].read(), new["ContentType"], new["Metadata"]) == (b"body", "binary/octet-stream", {"n": "w"})
    assert refused(s3.copy_object, Bucket=BUCKET, Key="z", CopySource={"Bucket": BUCKET, "Key": "?"})[1] == 404


def test_many_are_removed_at_once(s3: Any) -> None:
    for key in "abc":
        s3.put_object(Bucket=BUCKET, Key=key, Body=b"")
    done = s3.delete_objects(Bucket=BUCKET, Delete={"Objects": [{"Key": "a"}, {"Key": "b"}, {"Key": "nothing"}]})
    assert [entry["Key"] for entry in done["Deleted"]] == ["a", "b", "nothing"]
    assert "Errors" not in done
    assert keys(s3) == ["c"]


# Multipart


def test_a_large_file_goes_up_in_parts_and_is_one_file(s3: Any, root: Path) -> None:
    body = os.urandom(27 * MEBIBYTE + 5)
    s3.upload_fileobj(BytesIO(body), BUCKET, "big", Config=TransferConfig(multipart_chunksize=8 * MEBIBYTE))
    target = BytesIO()
    s3.download_fileobj(BUCKET, "big", target)
    assert target.getvalue() == body
    assert s3.head_object(Bucket=BUCKET, Key="big")["ETag"].endswith('-4"')
    assert list((root / "uploads").iterdir()) == []
    assert list((root / "temporary").iterdir()) == []
    part = s3.get_object(Bucket=BUCKET, Key="big", PartNumber=4)
    assert part["Body"].read() == body[24 * MEBIBYTE :]
    assert part["PartsCount"] == 4


def begin(s3: Any, **arguments: Any) -> str:
    return str(s3.create_multipart_upload(Bucket=BUCKET, Key="big", **arguments)["UploadId"])


def part(s3: Any, upload: str, number: int, body: bytes, **arguments: Any) -> dict[str, Any]:
    put = s3.upload_part(Bucket=BUCKET, Key="big", UploadId=upload, PartNumber=number, Body=body, **arguments)
    named = {"PartNumber": number, "ETag": put["ETag"]}
    return {**named, **{name: value for name, value in put.items() if name.startswith("Checksum")}}


def complete(s3: Any, upload: str, parts: list[dict[str, Any]], **arguments: Any) -> Any:
    return s3.complete_multipart_upload(
        Bucket=BUCKET, Key="big", UploadId=upload, MultipartUpload={"Parts": parts}, **arguments
    )


@pytest.mark.parametrize("sizes", [(6, 5, 7), (7, 6), (5, 8, 5, 1), (5,), (8, 8, 2)])
@pytest.mark.parametrize("backwards", [False, True])
def test_parts_of_any_size_in_any_order(s3: Any, root: Path, sizes: tuple[int, ...], backwards: bool) -> None:
    bodies = [os.urandom(size * MEBIBYTE + index) for index, size in enumerate(sizes)]
    upload = begin(s3)
    numbers = list(range(1, len(sizes) + 1))
    sent = {number: part(s3, upload, number, bodies[number - 1]) for number in (numbers[::-1] if backwards else numbers)}
    complete(s3, upload, [sent[number] for number in numbers])
    assert s3.get_object(Bucket=BUCKET, Key="big")["Body"].read() == b"".join(bodies)
    assert list((root / "uploads").iterdir()) == []


def test_a_part_sent_again_replaces_the_first(s3: Any) -> None:
    upload = begin(s3)
    old = part(s3, upload, 1, b"o" * 5 * MEBIBYTE)
    new = part(s3, upload, 1, b"n" * 5 * MEBIBYTE)
    last = part(s3, upload, 2, b"end")
    assert refused(lambda: complete(s3, upload, [old, last]))[:2] == ("InvalidPart", 400)
    complete(s3, upload, [new, last])
    assert s3.get_object(Bucket=BUCKET, Key="big")["Body"].read() == b"n" * 5 * MEBIBYTE + b"end"


def test_only_the_named_parts_become_the_object(s3: Any) -> None:
    upload = begin(s3)
    named = part(s3, upload, 1, b"a" * 5 * MEBIBYTE)
    part(s3, upload, 2, b"b" * 5 * MEBIBYTE)
    last = part(s3, upload, 3, b"c" * 10)
    complete(s3, upload, [named, last])
    assert s3.get_object(Bucket=BUCKET, Key="big")["Body"].read() == b"a" * 5 * MEBIBYTE + b"c" * 10


def test_wrong_completions_are_refused(s3: Any) -> None:
    upload = begin(s3)
    one, two = part(s3, upload, 1, b"1"), part(s3, upload, 2, b"2")
    assert refused(lambda: complete(s3, upload, [two, one])) == (
        "InvalidPartOrder",
        400,
        "The list of parts was not in ascending order.",
    )
    assert refused(lambda: complete(s3, upload, [one, two])) == (
        "EntityTooSmall",
        400,
        "Part 1 is smaller than 5 MiB, the least size of a part that is not the last.",
    )
    assert refused(lambda: complete(s3, upload, [{**one, "PartNumber": 7}])) == (
        "InvalidPart",
        400,
        "Part 7 was not uploaded, or its ETag or checksum is another. Upload it again.",
    )
    assert refused(lambda: complete(s3, "0" * 32, [one])) == (
        "NoSuchUpload",
        404,
        f"The upload {'0' * 32} does not exist: it was completed or aborted. Begin a new one.",
    )
    assert refused(lambda: complete(s3, "../../x", [one]))[0] == "NoSuchUpload"
    complete(s3, upload, [one])
    assert s3.get_object(Bucket=BUCKET, Key="big")["Body"].read() == b"1"


def test_completing_twice_is_answered_twice(s3: Any) -> None:
    upload = begin(s3)
    one = part(s3, upload, 1, b"1")
    assert complete(s3, upload, [one])["ETag"] == complete(s3, upload, [one])["ETag"]


def test_an_upload_that_must_not_replace(s3: Any) -> None:
    s3.put_object(Bucket=BUCKET, Key="big", Body=b"there")
    upload = begin(s3)
    one = part(s3, upload, 1, b"1")
    assert refused(lambda: complete(s3, upload, [one], IfNoneMatch="*"))[:2] == ("PreconditionFailed", 412)
    assert s3.get_object(Bucket=BUCKET, Key="big")["Body"].read() == b"there"


def test_an_aborted_upload_leaves_nothing(s3: Any, root: Path) -> None:
    upload = begin(s3)
    part(s3, upload, 1, b"1" * MEBIBYTE)
    assert [found["UploadId"] for found in s3.list_multipart_uploads(Bucket=BUCKET)["Uploads"]] == [upload]
    s3.abort_multipart_upload(Bucket=BUCKET, Key="big", UploadId=upload)
    assert "Uploads" not in s3.list_multipart_uploads(Bucket=BUCKET)
    assert list((root / "uploads").iterdir()) == []
    assert refused(lambda: part(s3, upload, 2, b"2"))[0] == "NoSuchUpload"


def test_parts_survive_a_restart(root: Path) -> None:
    bodies = [os.urandom(5 * MEBIBYTE), os.urandom(5 * MEBIBYTE), b"end"]
    with _native.ObjectStore(str(root)) as store:
        store.add_credentials(KEY, SECRET, bucket=BUCKET)
        s3 = client(store.endpoint)
        upload = begin(s3, Metadata={"k": "v"})
        part(s3, upload, 1, bodies[0])
        part(s3, upload, 3, bodies[2])
        s3.close()
    with _native.ObjectStore(str(root)) as store:
        store.add_credentials(KEY, SECRET, bucket=BUCKET)
        s3 = client(store.endpoint)
        listed = s3.list_parts(Bucket=BUCKET, Key="big", UploadId=upload)["Parts"]
        assert [(found["PartNumber"], found["Size"]) for found in listed] == [(1, 5 * MEBIBYTE), (3, 3)]
        two = part(s3, upload, 2, bodies[1])
        first, last = ({"PartNumber": found["PartNumber"], "ETag": found["ETag"]} for found in listed)
        complete(s3, upload, [first, two, last])
        got = s3.get_object(Bucket=BUCKET, Key="big")
        assert (got["Body"].read(), got["Metadata"]) == (b"".join(bodies), {"k": "v"})
        s3.close()


# Checksums

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
    assert answer == ("BadDigest", 400, f"The Content-MD5 you specified ({md5}) did not match what we received ({found}).")
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
        tampered = b"j" + body[1:]
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


# Access


def test_requests_must_be_signed(store: Any, raw: Raw) -> None:
    answer = exchange(store.endpoint, b"GET /shotput-local/x HTTP/1.1\r\nhost: x\r\n\r\n")
    assert (answer.status, answer.code) == (403, "AccessDenied")
    assert answer.message == (
        "The request for GetObject is not signed. Sign it with the keys that `shotput farm env` prints."
    )


def test_a_wrong_secret_and_an_unknown_key_are_refused(store: Any) -> None:
    answer = Raw(store.endpoint, KEY, "wrong").send("GET", f"/{BUCKET}/x")
    assert (answer.status, answer.code) == (403, "SignatureDoesNotMatch")
    answer = Raw(store.endpoint, "AKIDOTHER", SECRET).send("GET", f"/{BUCKET}/x")
    assert (answer.status, answer.code) == (403, "InvalidAccessKeyId")
    assert answer.message == (
        "The access key AKIDOTHER is not known to this farm. Use the keys that `shotput farm env` prints."
    )


def test_signature_version_2_is_refused(store: Any) -> None:
    s3 = client(store.endpoint, signature_version="s3")
    answer = refused(s3.put_object, Bucket=BUCKET, Key="x", Body=b"")
    assert answer == ("AccessDenied", 403, "Only signature version 4 (AWS4-HMAC-SHA256) is accepted.")
    s3.close()


@pytest.mark.parametrize("skew", [timedelta(minutes=16), timedelta(minutes=-16)])
def test_old_and_early_requests_are_refused(store: Any, skew: timedelta) -> None:
    answer = Raw(store.endpoint, KEY, SECRET, skew=skew).send("GET", f"/{BUCKET}/x")
    assert (answer.status, answer.code) == (403, "RequestTimeTooSkewed")


def test_keys_come_and_go_while_the_store_runs(store: Any) -> None:
    raw = Raw(store.endpoint, "AKIDNEW", "new")
    assert raw.send("GET", f"/{BUCKET}").status == 403
    store.add_credentials("AKIDNEW", "new", bucket=BUCKET)
    assert raw.send("GET", f"/{BUCKET}").status == 200
    assert store.remove_credentials("AKIDNEW") is True
    assert store.remove_credentials("AKIDNEW") is False
    assert raw.send("GET", f"/{BUCKET}").status == 403


def test_temporary_keys_need_their_token(store: Any) -> None:
    store.add_credentials("ASIATEMP", "temp", "the token", bucket=BUCKET, expires_at=time.time() + 60)
    assert Raw(store.endpoint, "ASIATEMP", "temp", "the token").send("GET", f"/{BUCKET}").status == 200
    for token in (None, "another token", ""):
        answer = Raw(store.endpoint, "ASIATEMP", "temp", token).send("GET", f"/{BUCKET}")
        assert (answer.status, answer.code, answer.message) == (
            400,
            "InvalidToken",
            "The session token is not the one of access key ASIATEMP. Use key, secret and token of one set.",
        )
    answer = Raw(store.endpoint, KEY, SECRET, "a token that this key has not").send("GET", f"/{BUCKET}")
    assert answer.code == "InvalidToken"


def test_expired_keys_are_refused(store: Any) -> None:
    store.add_credentials("ASIATEMP", "temp", "token", bucket=BUCKET, expires_at=time.time() - 1)
    answer = Raw(store.endpoint, "ASIATEMP", "temp", "token").send("GET", f"/{BUCKET}")
    assert (answer.status, answer.code) == (400, "ExpiredToken")
    assert answer.message == "The access key ASIATEMP has expired. Ask for a new one."


def test_presigned_requests(store: Any) -> None:
    s3 = client(store.endpoint, signature_version="s3v4")
    s3.put_object(Bucket=BUCKET, Key="x", Body=b"hello")

    def get(url: str) -> Any:
        path = url.removeprefix(store.endpoint)
        host = store.endpoint.removeprefix("http://")
        return exchange(store.endpoint, f"GET {path} HTTP/1.1\r\nhost: {host}\r\n\r\n".encode())

    url = s3.generate_presigned_url("get_object", {"Bucket": BUCKET, "Key": "x"}, ExpiresIn=60)
    assert "X-Amz-Signature" in url
    assert get(url).body == b"hello"
    assert get(url.replace("/x?", "/y?")).code == "SignatureDoesNotMatch"
    short = s3.generate_presigned_url("get_object", {"Bucket": BUCKET, "Key": "x"}, ExpiresIn=1)
    time.sleep(2.1)
    assert (get(short).status, get(short).code, get(short).message) == (403, "AccessDenied", "Request has expired")
    store.add_credentials("ASIATEMP", "temp", "token", bucket=BUCKET)
    temporary = client(store.endpoint, "ASIATEMP", "temp", "token", signature_version="s3v4")
    assert get(temporary.generate_presigned_url("get_object", {"Bucket": BUCKET, "Key": "x"})).body == b"hello"
    temporary.close()
    stolen = client(store.endpoint, "ASIATEMP", "temp", signature_version="s3v4")
    assert get(stolen.generate_presigned_url("get_object", {"Bucket": BUCKET, "Key": "x"})).code == "InvalidToken"
    stolen.close()
    s3.close()


def test_a_key_for_a_folder_opens_nothing_else(store: Any, s3: Any) -> None:
    for key in ("Farm/x", "Farmer/x", "other"):
        s3.put_object(Bucket=BUCKET, Key=key, Body=b"body")
    store.add_credentials("AKIDFARM", "farm", bucket=BUCKET, prefix="Farm")
    store.add_credentials("AKIDELSE", "else", bucket="another-bucket")
    farm, other = client(store.endpoint, "AKIDFARM", "farm"), client(store.endpoint, "AKIDELSE", "else")
    assert farm.get_object(Bucket=BUCKET, Key="Farm/x")["Body"].read() == b"body"
    assert keys(farm, Prefix="Farm/") == ["Farm/x"]
    farm.put_object(Bucket=BUCKET, Key="Farm/y", Body=b"")
    text = "This access key is for s3://shotput-local/Farm, not for s3://shotput-local/{}."
    # Keys are texts: this one lies in the folder, and is not the other object.
    assert refused(farm.get_object, Bucket=BUCKET, Key="Farm/../other")[0] == "NoSuchKey"
    for key in ("Farmer/x", "other"):
        assert refused(farm.get_object, Bucket=BUCKET, Key=key)[:2] == ("AccessDenied", 403)
        assert refused(farm.put_object, Bucket=BUCKET, Key=key, Body=b"")[:2] == ("AccessDenied", 403)
    for prefix in ("", "Farm", "Farmer/"):
        assert refused(farm.list_objects_v2, Bucket=BUCKET, Prefix=prefix) == ("AccessDenied", 403, text.format(prefix))
        assert refused(farm.list_objects, Bucket=BUCKET, Prefix=prefix)[0] == "AccessDenied"
        assert refused(farm.list_multipart_uploads, Bucket=BUCKET, Prefix=prefix)[0] == "AccessDenied"
    copy = {"CopySource": {"Bucket": BUCKET, "Key": "other"}, "Bucket": BUCKET, "Key": "Farm/z"}
    assert refused(farm.copy_object, **copy) == ("AccessDenied", 403, text.format("other"))
    done = farm.delete_objects(Bucket=BUCKET, Delete={"Objects": [{"Key": "Farm/y"}, {"Key": "other"}]})
    assert [entry["Key"] for entry in done["Deleted"]] == ["Farm/y"]
    assert [(entry["Key"], entry["Code"]) for entry in done["Errors"]] == [("other", "AccessDenied")]
    assert refused(other.get_object, Bucket=BUCKET, Key="other")[0] == "AccessDenied"
    assert refused(other.list_objects_v2, Bucket=BUCKET)[0] == "AccessDenied"
    assert [bucket["Name"] for bucket in other.list_buckets()["Buckets"]] == ["another-bucket"]
    assert keys(s3) == ["Farm/x", "Farmer/x", "other"]
    farm.close()
    other.close()


def test_the_parameters_of_a_listing_cannot_hide_its_prefix(store: Any, s3: Any) -> None:
    s3.put_object(Bucket=BUCKET, Key="other", Body=b"")
    store.add_credentials("AKIDFARM", "farm", bucket=BUCKET, prefix="Farm")
    raw = Raw(store.endpoint, "AKIDFARM", "farm")
    for query in ({"list-type": "2"}, {"prefix": "", "list-type": "2"}, {"Prefix": "Farm/", "list-type": "2"}, {}):
        assert raw.send("GET", f"/{BUCKET}", query).code == "AccessDenied"


def test_keys_that_only_read(store: Any, s3: Any) -> None:
    s3.put_object(Bucket=BUCKET, Key="x", Body=b"body")
    store.add_credentials("AKIDREAD", "read", bucket=BUCKET, read_only=True)
    reader = client(store.endpoint, "AKIDREAD", "read")
    assert reader.get_object(Bucket=BUCKET, Key="x")["Body"].read() == b"body"
    assert keys(reader) == ["x"]
    denied = ("AccessDenied", 403, "The access key AKIDREAD may only read.")
    assert refused(reader.put_object, Bucket=BUCKET, Key="x", Body=b"") == denied
    assert refused(reader.delete_object, Bucket=BUCKET, Key="x") == denied
    assert refused(reader.delete_objects, Bucket=BUCKET, Delete={"Objects": [{"Key": "x"}]}) == denied
    assert refused(reader.create_multipart_upload, Bucket=BUCKET, Key="y") == denied
    assert refused(reader.copy_object, Bucket=BUCKET, Key="y", CopySource={"Bucket": BUCKET, "Key": "x"}) == denied
    reader.close()


# Faults


def test_concurrent_writers_of_one_key_leave_one_whole_object(s3: Any, root: Path) -> None:
    bodies = [bytes([number]) * (400_000 * (number % 4 + 1)) for number in range(24)]
    seen = []
    stop = threading.Event()

    def read() -> None:
        while not stop.is_set():
            seen.append(s3.get_object(Bucket=BUCKET, Key="x")["Body"].read())

    s3.put_object(Bucket=BUCKET, Key="x", Body=bodies[0])
    reader = threading.Thread(target=read)
    reader.start()
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda body: s3.put_object(Bucket=BUCKET, Key="x", Body=body), bodies))
    stop.set()
    reader.join()
    assert s3.get_object(Bucket=BUCKET, Key="x")["Body"].read() in bodies
    assert all(body in bodies for body in seen)
    assert len(files_below(root)) == 2
    assert list((root / "temporary").iterdir()) == []


SERVER = """
import sys, time
from shotput import _native
store = _native.ObjectStore(sys.argv[1])
store.start()
store.add_credentials("AKIDTEST", "secret of the tests", bucket="shotput-local")
print(store.endpoint, flush=True)
time.sleep(600)
"""


def test_a_killed_store_leaves_whole_objects_and_nothing_else(root: Path) -> None:
    process = subprocess.Popen([sys.executable, "-c", SERVER, str(root)], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    endpoint = process.stdout.readline().strip()
    raw = Raw(endpoint, KEY, SECRET)
    assert raw.send("PUT", f"/{BUCKET}/whole", body=b"whole").status == 200
    assert raw.send("PUT", f"/{BUCKET}/replaced", body=b"before").status == 200
    host, port = endpoint.removeprefix("http://").split(":")
    halves = []
    real_exchange = exchange
    for key in ("torn", "replaced"):
        # Half of a large body is with the store when it is killed.
        connection = socket.create_connection((host, int(port)))
        halves.append(connection)

        def send_half(endpoint: str, request: bytes, *, head_only: bool = False, to: Any = connection) -> Any:
            to.sendall(request[: len(request) - 4 * MEBIBYTE])
            return None

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("s3_raw.exchange", send_half)
            raw.send("PUT", f"/{BUCKET}/{key}", body=os.urandom(8 * MEBIBYTE))
    assert exchange is real_exchange
    temporary = root / "temporary"
    deadline = time.monotonic() + 20
    while sum(path.stat().st_size for path in temporary.iterdir()) < 6 * MEBIBYTE:
        assert time.monotonic() < deadline, "the halves did not arrive"
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    process.wait()
    process.stdout.close()
    for connection in halves:
        connection.close()
    assert len(list(temporary.iterdir())) == 2
    with _native.ObjectStore(str(root)) as store:
        store.add_credentials(KEY, SECRET, bucket=BUCKET)
        s3 = client(store.endpoint)
        assert list(temporary.iterdir()) == []
        assert keys(s3) == ["replaced", "whole"]
        assert s3.get_object(Bucket=BUCKET, Key="replaced")["Body"].read() == b"before"
        s3.close()


def test_torn_files_are_no_objects(s3: Any, root: Path) -> None:
    for name in ("cut", "footer", "zeros"):
        s3.put_object(Bucket=BUCKET, Key=name, Body=b"x" * 5000)
    s3.put_object(Bucket=BUCKET, Key="whole", Body=b"x" * 5000)
    folder = root / "buckets" / BUCKET
    content = (folder / "cut=").read_bytes()
    (folder / "cut=").write_bytes(content[:-1])
    (folder / "footer=").write_bytes(content[:-100] + b"?" + content[-99:])
    (folder / "zeros=").write_bytes(bytes(len(content)))
    (folder / "empty=").write_bytes(b"")
    (folder / "no name of ours!").write_bytes(content)
    assert keys(s3) == ["whole"]
    for name in ("cut", "footer", "zeros", "empty"):
        assert refused(s3.head_object, Bucket=BUCKET, Key=name)[1] == 404
        s3.put_object(Bucket=BUCKET, Key=name, Body=b"again", IfNoneMatch="*")
    assert keys(s3) == ["cut", "empty", "footer", "whole", "zeros"]


def test_a_damaged_body_is_not_given_out_and_makes_room(s3: Any, root: Path) -> None:
    s3.put_object(Bucket=BUCKET, Key="x", Body=os.urandom(3 * MEBIBYTE))
    file = root / "buckets" / BUCKET / "x="
    with file.open("r+b") as stream:
        stream.seek(2 * MEBIBYTE)
        stream.write(b"damage")
    with pytest.raises(Exception, match="(?i)incomplete|broken|closed|read"):
        s3.get_object(Bucket=BUCKET, Key="x")["Body"].read()
    assert refused(s3.head_object, Bucket=BUCKET, Key="x")[1] == 404
    assert len(list((root / "damaged").iterdir())) == 1


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_a_full_disk_is_one_clear_answer(s3: Any, root: Path) -> None:
    # A link to /dev/full in the place of the next temporary file would be refused as existing, so the limit of file sizes
    # of this process stands for the disk.
    import resource

    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    old = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (MEBIBYTE, before[1]))
    try:
        for body in (b"x" * (MEBIBYTE - 10), b"x" * 4 * MEBIBYTE):
            code, status, message = refused(s3.put_object, Bucket=BUCKET, Key="x", Body=body)
            assert (code, status) == ("InsufficientStorage", 507)
            assert message == (
                f"The object store in {root} cannot store this: no space is left on its disk. "
                "Free some space there and send the request again. (File too large (os error 27))"
            )
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, old)
    assert list((root / "temporary").iterdir()) == []
    assert keys(s3) == []
    s3.put_object(Bucket=BUCKET, Key="x", Body=b"now there is room")


@pytest.mark.skipif(os.name != "posix", reason="needs permissions of POSIX")
def test_a_folder_that_cannot_be_written_is_one_clear_answer(s3: Any, root: Path) -> None:
    folder = root / "temporary"
    folder.chmod(0o500)
    made_immutable = os.geteuid() == 0
    if made_immutable and subprocess.run(["chattr", "+i", str(folder)], capture_output=True, check=False).returncode:
        pytest.skip("root writes everywhere here")
    try:
        code, status, message = refused(s3.put_object, Bucket=BUCKET, Key="x", Body=b"x")
    finally:
        if made_immutable:
            subprocess.run(["chattr", "-i", str(folder)], check=True)
        folder.chmod(0o700)
    assert (code, status) == ("InsufficientStorage", 507)
    assert message.startswith(
        f"The object store in {root} cannot store this: its folder cannot be written. "
        "Make it writable for this user and send the request again."
    )


# Starting and stopping


def test_a_port_in_use_is_named(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(ObjectStoreError) as caught:
            _native.ObjectStore(str(tmp_path / "objects"), port=port).start()
    assert str(caught.value) == (
        f"The object store cannot listen on 127.0.0.1:{port}: the port is in use. "
        "Stop the program that uses it, or choose another port (0 takes any free one)."
    )
    assert not (tmp_path / "objects").exists()


def test_only_loopback_is_served(tmp_path: Path) -> None:
    with pytest.raises(ObjectStoreError) as caught:
        _native.ObjectStore(str(tmp_path), host="0.0.0.0").start()
    assert str(caught.value) == 'The object store listens on loopback only, and "0.0.0.0" is not: use 127.0.0.1.'


def test_a_folder_is_served_once(store: Any, root: Path) -> None:
    with pytest.raises(ObjectStoreError) as caught:
        _native.ObjectStore(str(root)).start()
    assert str(caught.value) == (
        f"The object store in {root} is in use by another process. Stop that farm first, or choose another folder."
    )


def test_a_root_that_is_a_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(ObjectStoreError, match=r"^Cannot create .*file/buckets for the object store: "):
        _native.ObjectStore(str(tmp_path / "file")).start()


def test_a_bad_bucket_name_is_refused(store: Any) -> None:
    with pytest.raises(ObjectStoreError) as caught:
        store.add_credentials("K", "s", bucket="../x")
    assert str(caught.value) == (
        '"../x" is not a bucket name: use 3 to 63 lower-case letters, digits, dots and hyphens.'
    )


def test_closing_ends_all_threads_and_frees_the_port(root: Path) -> None:
    def threads() -> int:
        return len(list(Path("/proc/self/task").iterdir()))

    before = threads()
    for _ in range(3):
        store = _native.ObjectStore(str(root))
        store.start()
        store.start()
        store.add_credentials(KEY, SECRET, bucket=BUCKET)
        s3 = client(store.endpoint)
        s3.put_object(Bucket=BUCKET, Key="x", Body=b"x")
        endpoint = store.endpoint
        assert threads() > before
        store.close()
        store.close()
        s3.close()
        deadline = time.monotonic() + 5
        while threads() > before and time.monotonic() < deadline:
            time.sleep(0.01)
        assert threads() <= before
        with pytest.raises(ObjectStoreError) as caught:
            _ = store.endpoint
        assert str(caught.value) == "The object store is not running: call start() first."
    port = int(endpoint.rsplit(":", 1)[1])
    again = _native.ObjectStore(str(root), port=port)
    again.start()
    assert again.endpoint == endpoint
    again.close()


# s5cmd


def test_s5cmd_copies_there_and_back(store: Any, s3: Any, tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.mkdir()
    contents = {f"{number:03}.bin": os.urandom(3000 + number) for number in range(60)}
    contents["großes 🎬.bin"] = os.urandom(60 * MEBIBYTE)
    for name, body in contents.items():
        (source / name).write_bytes(body)
    environment = {
        **os.environ,
        "AWS_ACCESS_KEY_ID": KEY,
        "AWS_SECRET_ACCESS_KEY": SECRET,
        "AWS_REGION": "us-west-2",
    }

    def s5cmd(*arguments: str) -> str:
        command = [str(Path(sys.executable).with_name("s5cmd")), "--endpoint-url", store.endpoint, *arguments]
        return subprocess.run(command, env=environment, check=True, capture_output=True, text=True).stdout

    s5cmd("cp", f"{source}/", f"s3://{BUCKET}/up/")
    assert keys(s3, Prefix="up/") == sorted(f"up/{name}" for name in contents)
    listed = s5cmd("ls", f"s3://{BUCKET}/up/*")
    assert len(listed.splitlines()) == len(contents)
    target = tmp_path / "target"
    s5cmd("cp", f"s3://{BUCKET}/up/*", f"{target}/")
    assert {path.name: path.read_bytes() for path in target.iterdir()} == contents
    s5cmd("rm", f"s3://{BUCKET}/up/*")
    assert keys(s3) == []
