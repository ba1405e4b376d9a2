"""Objects that are put, read, copied and removed."""

from __future__ import annotations

import hashlib
import os
from base64 import b64encode
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError
from fakes.s3_requests import BUCKET, MEBIBYTE, files_below, keys, refused


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
    assert abs(datetime.now(UTC) - head["LastModified"]) < timedelta(seconds=60)


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
    def put(number: int) -> str:
        try:
            s3.put_object(Bucket=BUCKET, Key="x", Body=b"%d" % number, IfNoneMatch="*")
        except ClientError as err:
            return str(err.response["Error"]["Code"])
        return "won"

    with ThreadPoolExecutor(8) as pool:
        assert sorted(pool.map(put, range(40))) == ["PreconditionFailed"] * 39 + ["won"]


def test_a_put_that_replaces_one_version(s3: Any) -> None:
    first = s3.put_object(Bucket=BUCKET, Key="x", Body=b"one")["ETag"]
    s3.put_object(Bucket=BUCKET, Key="x", Body=b"two", IfMatch=first)
    answer = refused(s3.put_object, Bucket=BUCKET, Key="x", Body=b"three", IfMatch=first)
    assert answer[:2] == ("PreconditionFailed", 412)
    assert s3.get_object(Bucket=BUCKET, Key="x")["Body"].read() == b"two"


def test_reads_on_conditions(s3: Any) -> None:
    etag = s3.put_object(Bucket=BUCKET, Key="x", Body=b"one")["ETag"]
    assert refused(s3.get_object, Bucket=BUCKET, Key="x", IfNoneMatch=etag)[1] == 304
    assert refused(s3.get_object, Bucket=BUCKET, Key="x", IfMatch='"other"')[1] == 412
    assert s3.get_object(Bucket=BUCKET, Key="x", IfMatch=etag)["Body"].read() == b"one"
    later = datetime.now(UTC) + timedelta(hours=1)
    earlier = later - timedelta(hours=2)
    assert refused(s3.head_object, Bucket=BUCKET, Key="x", IfModifiedSince=later)[1] == 304
    assert refused(s3.head_object, Bucket=BUCKET, Key="x", IfUnmodifiedSince=earlier)[1] == 412
    assert s3.head_object(Bucket=BUCKET, Key="x", IfModifiedSince=earlier)["ETag"] == etag


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
