"""The hash cache and the S3-check cache: each of the official library and ours finds what the other wrote."""

from __future__ import annotations

import json
import os
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from attachment_files import BUCKET, KEY, PREFIX, SECRET, make_files, run, run_ours, target
from fakes.deadline_service import DeadlineService
from fakes.relay import Relay, relaying
from shotput import _native

HASH = """
import json, os, sys
from deadline.job_attachments.upload import S3AssetManager
root, cache, names = sys.argv[1], sys.argv[2], json.loads(sys.argv[3])
manager = S3AssetManager()
groups = manager.prepare_paths_for_upload([os.path.join(root, name) for name in names], [], [])
statistics, manifests = manager.hash_assets_and_create_manifest(
    groups.asset_groups, groups.total_input_files, groups.total_input_bytes, hash_cache_dir=cache)
print(json.dumps([statistics.processed_files, statistics.skipped_files]))
print(manifests[0].asset_manifest.encode(), end="")
"""
SNAPSHOT = """
done = _native.snapshot(sys.argv[1], cache_dir=sys.argv[2])
print(json.dumps([done["statistics"]["processed_files"], done["statistics"]["skipped_files"]]), flush=True)
sys.stdout.buffer.write(done["manifest"])
"""
UPLOAD = """
import json, os, sys
from deadline.job_attachments.models import JobAttachmentS3Settings
from deadline.job_attachments.upload import S3AssetManager
root, cache, bucket, prefix = sys.argv[1:]
manager = S3AssetManager(
    farm_id="farm-1", queue_id="queue-1", job_attachment_settings=JobAttachmentS3Settings(bucket, prefix))
groups = manager.prepare_paths_for_upload([os.path.join(root, name) for name in os.listdir(root)], [], [])
_, manifests = manager.hash_assets_and_create_manifest(
    groups.asset_groups, groups.total_input_files, groups.total_input_bytes, hash_cache_dir=cache)
statistics, _ = manager.upload_assets(manifests, s3_check_cache_dir=cache)
print(json.dumps([statistics.processed_files, statistics.skipped_files]))
"""
SAMPLE = 30
FILES = 40


@pytest.fixture(scope="session")
def official(peers: Path) -> Path:
    """The Python of an environment that holds the official library."""
    return peers / "python"


def hashed(counts_and_manifest: str) -> tuple[list[int], str]:
    counts, manifest = counts_and_manifest.split("\n", 1)
    return json.loads(counts), manifest


def select(file: Path, query: str) -> list[tuple[Any, ...]]:
    connection = sqlite3.connect(file)
    try:
        return connection.execute(query).fetchall()
    finally:
        connection.close()


def tables(folder: Path) -> list[tuple[Any, ...]]:
    """The definition of the table, and every row as it stands there."""
    file = folder / "hash_cache.db"
    definition = select(file, "SELECT name, sql FROM sqlite_master WHERE type='table'")
    return definition + select(file, "SELECT *, typeof(last_modified_time) FROM hashesV4 ORDER BY file_path")


@pytest.mark.parametrize("zone", ["UTC", "Europe/Berlin", "America/St_Johns"])
def test_hashes_and_manifests_of_the_official_library(official: Path, tmp_path: Path, zone: str) -> None:
    root, ours, theirs = (tmp_path / name for name in ("root", "ours", "theirs"))
    names = make_files(root)
    env = {"TZ": zone}
    counts, manifest = hashed(run_ours(SNAPSHOT, root, ours, env=env))
    peer_counts, peer_manifest = hashed(run(official, HASH, root, theirs, json.dumps(names), env=env))
    assert counts == peer_counts == [len(names), 0]
    assert manifest == peer_manifest
    # The rows are the same, and each finds all of what the other stored.
    stored = tables(ours)
    assert stored == tables(theirs)
    assert hashed(run(official, HASH, root, ours, json.dumps(names), env=env)) == ([0, len(names)], manifest)
    assert hashed(run_ours(SNAPSHOT, root, theirs, env=env)) == ([0, len(names)], manifest)
    assert tables(ours) == tables(theirs) == stored


def test_a_folder_whose_name_is_no_text(official: Path, tmp_path: Path) -> None:
    folder = tmp_path / os.fsdecode(b"caf\xe9")
    try:
        folder.mkdir()
    except OSError:
        pytest.skip("this file system has no such names")
    (folder / "a").write_text("a")
    cache = tmp_path / "cache"
    # In its folder, because no JSON, and so no bundle, can name it.
    code = f"import os; os.chdir({os.fsencode(folder)!r})\n"
    assert hashed(run(official, code + HASH, ".", cache, '["a"]'))[0] == [1, 0]
    assert hashed(run_ours(code + SNAPSHOT, ".", cache))[0] == [0, 1]
    assert len(select(cache / "hash_cache.db", "SELECT 1 FROM hashesV4")) == 1


def test_rows_of_other_clients_keep_their_form(official: Path, tmp_path: Path) -> None:
    """Clients up to 0.50 have a table of their own; the official crates in Rust write times as microseconds."""
    root, cache = tmp_path / "root", tmp_path / "cache"
    root.mkdir()
    cache.mkdir()
    file = root / "a"
    file.write_text("one")
    os.utime(file, ns=(0, 1_700_000_000_123_456_789))
    key = os.fsencode(file.resolve())
    database = cache / "hash_cache.db"
    connection = sqlite3.connect(database)
    old = "hashesV3(file_path blob primary key, hash_algorithm text, file_hash text, last_modified_time timestamp)"
    new = "hashesV4(file_path blob, hash_algorithm text, range_start integer, range_end integer, file_hash text, "
    new += "last_modified_time timestamp, PRIMARY KEY (file_path, hash_algorithm, range_start, range_end))"
    connection.execute(f"CREATE TABLE {old}")
    connection.execute(f"CREATE TABLE {new}")
    connection.execute("INSERT INTO hashesV3 VALUES(?, 'xxh128', 'old', '2023-11-14 22:13:20.123457')", [key])
    rows = [(0, -1, "whole", "1700000000123456"), (0, 2, "part", "1700000000123456")]
    for start, end, digest, time in rows:
        connection.execute("INSERT INTO hashesV4 VALUES(?, 'xxh128', ?, ?, ?, ?)", [key, start, end, digest, time])
    connection.commit()
    connection.close()
    others = (
        "SELECT * FROM hashesV3 UNION ALL SELECT file_path, range_end, file_hash, last_modified_time FROM hashesV4 "
    )
    others += "WHERE range_end > 0"
    before = select(database, others)
    whole = "SELECT file_hash, last_modified_time FROM hashesV4 WHERE range_end = -1"

    done = _native.snapshot(root, cache_dir=cache)
    assert (done["statistics"]["skipped_files"], json.loads(done["manifest"])["paths"][0]["hash"]) == (1, "whole")
    # Changed: the hash is a new one, in a row of the same form.
    file.write_text("two")
    os.utime(file, ns=(0, 1_700_000_060_000_000_000))
    assert _native.snapshot(root, cache_dir=cache)["statistics"]["processed_files"] == 1
    assert select(database, whole) == [(_native.hash_bytes(b"two"), 1_700_000_060_000_000)]
    assert _native.snapshot(root, cache_dir=cache)["statistics"]["skipped_files"] == 1
    # The official library makes the row its own; from then on it is one of its form for us too.
    assert hashed(run(official, HASH, root, cache, '["a"]', env={"TZ": "UTC"}))[0] == [1, 0]
    assert select(database, whole) == [(_native.hash_bytes(b"two"), "2023-11-14 22:14:20")]
    assert hashed(run_ours(SNAPSHOT, root, cache, env={"TZ": "UTC"}))[0] == [0, 1]
    assert select(database, others) == before


def test_a_changed_file_is_hashed_again(tmp_path: Path) -> None:
    root, cache = tmp_path / "root", tmp_path / "cache"
    root.mkdir()
    (root / "a").write_text("one")
    first = _native.snapshot(root, cache_dir=cache)
    (root / "a").write_text("two")
    os.utime(root / "a", ns=(1, 1_600_000_000_000_000_000))
    second = _native.snapshot(root, ["a"], cache_dir=cache)
    assert second["statistics"]["processed_files"] == 1
    assert first["manifest"] != second["manifest"]
    assert _native.snapshot(root, cache_dir=cache)["statistics"]["skipped_files"] == 1
    (tmp_path / "empty").mkdir()
    assert _native.snapshot(tmp_path / "empty")["manifest"] is None


def test_a_damaged_cache_is_done_without(tmp_path: Path) -> None:
    root, cache = tmp_path / "root", tmp_path / "cache"
    root.mkdir()
    cache.mkdir()
    (root / "a").write_text("one")
    (cache / "hash_cache.db").write_bytes(b"no database" * 1000)
    assert _native.snapshot(root, cache_dir=cache)["statistics"]["processed_files"] == 1
    assert (cache / "hash_cache.db").read_bytes() == b"no database" * 1000


@pytest.fixture
def relay(tmp_path: Path) -> Iterator[Relay]:
    """An object store behind a relay."""
    with _native.ObjectStore(tmp_path / "objects") as store:
        store.add_credentials(KEY, SECRET, bucket=BUCKET)
        with relaying(store.endpoint) as relay:
            yield relay


@pytest.fixture
def official_environment(relay: Relay, service: DeadlineService, config_path: Path) -> dict[str, str]:
    """What leads the official library to the object store."""
    return {
        "AWS_ACCESS_KEY_ID": KEY,
        "AWS_SECRET_ACCESS_KEY": SECRET,
        "AWS_DEFAULT_REGION": "us-west-2",
        "AWS_ENDPOINT_URL_S3": relay.endpoint,
        "AWS_ENDPOINT_URL_STS": str(service.target()["sts_endpoint_url"]),
    }


def test_objects_that_the_other_has_seen_are_not_asked_for(
    official: Path, relay: Relay, official_environment: dict[str, str], tmp_path: Path
) -> None:
    root = tmp_path / "root"
    root.mkdir()
    for index in range(FILES):
        (root / f"{index:02}").write_text(f"file {index}")
    manifest = _native.snapshot(root)["manifest"]

    def theirs(cache: Path) -> tuple[list[int], dict[str, int]]:
        counts = json.loads(run(official, UPLOAD, root, cache, BUCKET, PREFIX, env=official_environment))
        return counts, relay.taken()

    def ours(cache: Path) -> tuple[list[int], dict[str, int]]:
        sent = _native.upload_snapshot(
            root, manifest, bucket=BUCKET, root_prefix=PREFIX, target=target(relay.endpoint), cache_dir=cache
        )
        return [sent["processed_files"], sent["skipped_files"]], relay.taken()

    assert theirs(tmp_path / "theirs")[0] == [FILES, 0]
    # A sample is looked for, to know that the store is the one that the cache speaks of; nothing else is asked or sent.
    assert ours(tmp_path / "theirs") == ([0, FILES], {"HEAD Data": SAMPLE})
    # The store has all objects, and a new cache is filled from what is found there.
    assert ours(tmp_path / "ours")[0] == [0, FILES]
    assert theirs(tmp_path / "ours") == ([0, FILES], {"HEAD Data": SAMPLE, "PUT Manifests": 1})
    everything = "SELECT s3_key, typeof(last_seen_time) FROM s3checkV1 ORDER BY s3_key"
    definition = "SELECT name, sql FROM sqlite_master WHERE type='table'"
    databases = [tmp_path / name / "s3_check_cache.db" for name in ("ours", "theirs")]
    assert select(databases[0], everything) == select(databases[1], everything)
    assert select(databases[0], definition) == select(databases[1], definition)
    assert select(databases[0], everything)[0][0].startswith(f"{BUCKET}/{PREFIX}/Data/")


def test_what_was_seen_a_month_ago_is_looked_for_by_both(
    official: Path, relay: Relay, official_environment: dict[str, str], tmp_path: Path
) -> None:
    root, cache = tmp_path / "root", tmp_path / "cache"
    root.mkdir()
    (root / "a").write_text("a")
    manifest = _native.snapshot(root)["manifest"]
    place: dict[str, Any] = {"bucket": BUCKET, "root_prefix": PREFIX, "target": target(relay.endpoint)}
    assert _native.upload_snapshot(root, manifest, **place, cache_dir=cache)["processed_files"] == 1

    def age(seconds: int) -> None:
        connection = sqlite3.connect(cache / "s3_check_cache.db")
        connection.execute("UPDATE s3checkV1 SET last_seen_time = unixepoch() - ?", [seconds])
        connection.commit()
        connection.close()
        relay.taken()

    def ours() -> None:
        _native.upload_snapshot(root, manifest, **place, cache_dir=cache)

    def theirs() -> None:
        run(official, UPLOAD, root, cache, BUCKET, PREFIX, env=official_environment)

    for upload in (ours, theirs):
        for days, is_noted_anew in ((29, False), (31, True)):
            age(days * 24 * 60 * 60)
            upload()
            # Either way one request tells that it is there: that of the sample, the question before it would be sent,
            # or, where a file is so small that asking takes as long, sending it.
            taken = {kind: count for kind, count in relay.taken().items() if kind != "PUT Manifests"}
            assert sum(taken.values()) == 1
            assert is_noted_anew or taken == {"HEAD Data": 1}
            young = "SELECT last_seen_time > unixepoch() - 60 FROM s3checkV1"
            assert select(cache / "s3_check_cache.db", young) == [(is_noted_anew,)], upload
