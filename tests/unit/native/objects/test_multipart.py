"""Multipart uploads, by boto3 and part by part; and s5cmd, whose large files go that way."""

from __future__ import annotations

import os
import subprocess
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from boto3.s3.transfer import TransferConfig
from fakes.s3_requests import BUCKET, KEY, MEBIBYTE, SECRET, begin, client, complete, keys, part, refused
from shotput import _native


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


@pytest.mark.parametrize("sizes", [(6, 5, 7), (7, 6), (5, 8, 5, 1), (5,), (8, 8, 2)])
@pytest.mark.parametrize("backwards", [False, True])
def test_parts_of_any_size_in_any_order(s3: Any, root: Path, sizes: tuple[int, ...], backwards: bool) -> None:
    bodies = [os.urandom(size * MEBIBYTE + index) for index, size in enumerate(sizes)]
    upload = begin(s3)
    numbers = list(range(1, len(sizes) + 1))
    order = numbers[::-1] if backwards else numbers
    sent = {number: part(s3, upload, number, bodies[number - 1]) for number in order}
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
    with _native.ObjectStore(root) as store:
        store.add_credentials(KEY, SECRET, bucket=BUCKET)
        s3 = client(store.endpoint)
        upload = begin(s3, Metadata={"k": "v"})
        part(s3, upload, 1, bodies[0])
        part(s3, upload, 3, bodies[2])
        s3.close()
    with _native.ObjectStore(root) as store:
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


def test_s5cmd_copies_there_and_back(store: Any, s3: Any, tmp_path: Path, peers: Path) -> None:
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
        command = [str(peers / "s5cmd"), "--endpoint-url", store.endpoint, *arguments]
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
