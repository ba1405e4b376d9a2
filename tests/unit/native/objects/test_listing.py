"""Keys of all kinds, and listing them."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from fakes.s3_requests import BUCKET, Raw, files_below, keys, refused

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
    "path",
    ["/shotput-local/../../x", "/shotput-local/%2e%2e/%2e%2e/x", "/shotput-local/..%2f..%2fx", "/../x", "/..%2fx/y"],
)
def test_paths_that_climb_stay_inside(raw: Raw, root: Path, tmp_path: Path, path: str) -> None:
    raw.send("PUT", path, body=b"x")
    outside = [path for path in files_below(tmp_path) if not path.is_relative_to(root)]
    assert outside == []
    assert sorted(path.name for path in root.iterdir()) == ["buckets", "damaged", "lock", "temporary", "uploads"]
    assert [path.name for path in (root / "buckets").iterdir()] == [BUCKET]


def test_a_key_too_long_is_refused(s3: Any) -> None:
    assert refused(s3.put_object, Bucket=BUCKET, Key="x" * 1025, Body=b"")[:2] == ("KeyTooLongError", 400)


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
