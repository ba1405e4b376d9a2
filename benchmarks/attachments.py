"""Hashing and uploading 5,000 files of 20 KB and two of 256 MB, whole processes, beside the official client.

Every upload goes to an object store of its own that was empty before; its process's CPU seconds are in the details.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from benchmarks.measure import (
    REPEATS,
    Figure,
    Row,
    children_cpu_seconds,
    faster,
    peer_programs,
    run_process,
    seconds,
    within,
)

SMALL_FILES, SMALL_BYTES = 5_000, 20_000
LARGE_FILES, LARGE_BYTES = 2, 256 * 1024 * 1024
_BUCKET, _PREFIX, _KEY, _SECRET = "assets", "Root", "AKIDBENCHMARK", "secret"

_SNAPSHOT = """
import sys
from pathlib import Path
from shotput import _native
done = _native.snapshot(sys.argv[1], cache_dir=sys.argv[2])
Path(sys.argv[3]).write_bytes(done["manifest"])
"""
_SERVE = """
import sys
from shotput import _native
with _native.ObjectStore(sys.argv[1]) as store:
    store.add_credentials(sys.argv[3], sys.argv[4], bucket=sys.argv[2])
    print(store.endpoint, flush=True)
    sys.stdin.read()
"""
_UPLOAD = """
import sys
from pathlib import Path
from shotput import _native
root, manifest, cache, endpoint, bucket, prefix, key, secret = sys.argv[1:]
target = {"region": "us-west-2", "s3_endpoint_url": endpoint, "access_key_id": key, "secret_access_key": secret}
done = _native.upload_snapshot(
    root, Path(manifest).read_bytes(), bucket=bucket, root_prefix=prefix, target=target, cache_dir=cache
)
assert done["skipped_files"] == 0, done
"""
_PEER_UPLOAD = """
import sys
from pathlib import Path
import boto3
from deadline.job_attachments.asset_manifests.decode import decode_manifest
from deadline.job_attachments.models import AssetRootManifest, JobAttachmentS3Settings
from deadline.job_attachments.upload import S3AssetManager
root, manifest, cache, bucket, prefix = sys.argv[1:]
manager = S3AssetManager("farm-0", "queue-0", JobAttachmentS3Settings(bucket, prefix), session=boto3.Session())
decoded = decode_manifest(Path(manifest).read_text())
manifests = [AssetRootManifest(root_path=root, asset_manifest=decoded)]
statistics, _ = manager.upload_assets(manifests, s3_check_cache_dir=cache)
assert statistics.skipped_files == 0, statistics
"""


def run() -> list[Row]:
    bin_folder = peer_programs()
    with tempfile.TemporaryDirectory(prefix="shotput-bench-") as text:
        folder = Path(text)
        data = folder / "data"
        _make_files(data)
        return [*_hashing(folder, data, bin_folder), *_uploading(folder, data, bin_folder)]


def _make_files(data: Path) -> None:
    for index in range(SMALL_FILES):
        path = data / f"{index % 50:02d}" / f"texture{index:05d}.bin"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(os.urandom(SMALL_BYTES))
    for index in range(LARGE_FILES):
        with (data / f"cache{index}.bin").open("wb") as file:
            for _ in range(LARGE_BYTES // 2**24):
                file.write(os.urandom(2**24))


def _hashing(folder: Path, data: Path, bin_folder: Path) -> list[Row]:
    cache, manifest = folder / "hash-cache", folder / "manifest.json"
    home, peer_manifests = folder / "home", folder / "peer-manifests"
    files = [str(path) for path in sorted(data.rglob("*")) if path.is_file()]

    def cold() -> None:
        for path in (cache, home, peer_manifests):
            shutil.rmtree(path, ignore_errors=True)
            path.mkdir()

    def peer_snapshot() -> None:
        command = [bin_folder / "deadline", "manifest", "snapshot", "--root", data, "--destination", peer_manifests]
        run_process(command, {"HOME": str(home)})

    ours, cpu = _with_cpu(lambda: run_process([sys.executable, "-I", "-c", _SNAPSHOT, data, cache, manifest]), cold)
    peer, peer_cpu = _with_cpu(peer_snapshot, cold)
    limit = seconds(lambda: run_process(["xxhsum", "-H2", *files]))
    (peer_manifest,) = peer_manifests.glob("*.manifest")
    if peer_manifest.read_bytes() != manifest.read_bytes():
        raise RuntimeError("the two manifests differ")
    details = {"cpu_seconds": cpu, "peer_cpu_seconds": peer_cpu}
    return [
        faster("hash 5,000 × 20 KB + 2 × 256 MB, cold cache; deadline manifest snapshot", ours, peer, 10, **details),
        within("the same; xxhsum -H2", ours, limit, 3),
    ]


def _uploading(folder: Path, data: Path, bin_folder: Path) -> list[Row]:
    manifest, cache, home = folder / "manifest.json", folder / "check-cache", folder / "home"
    keys = {"AWS_ACCESS_KEY_ID": _KEY, "AWS_SECRET_ACCESS_KEY": _SECRET, "AWS_REGION": "us-west-2", "HOME": str(home)}
    place = (_BUCKET, _PREFIX)

    def ours(endpoint: str) -> None:
        command = [sys.executable, "-I", "-c", _UPLOAD, data, manifest, cache, endpoint, *place, _KEY, _SECRET]
        run_process(command)

    def peer(endpoint: str) -> None:
        # Without an account to ask STS for: the store has none.
        env = {
            **keys,
            "AWS_ENDPOINT_URL_S3": endpoint,
            "AWS_ENDPOINT_URL_STS": endpoint,
            "AWS_DEFAULT_REGION": "us-west-2",
        }
        run_process([bin_folder / "python", "-I", "-c", _PEER_UPLOAD, data, manifest, cache, *place], env)

    def s5cmd(endpoint: str) -> None:
        command = [
            bin_folder / "s5cmd",
            "--endpoint-url",
            endpoint,
            "cp",
            f"{data}/",
            f"s3://{_BUCKET}/{_PREFIX}/Data/",
        ]
        run_process(command, keys)

    measured = {}
    for name, upload in (("ours", ours), ("peer", peer), ("s5cmd", s5cmd)):
        samples, client, server = [], [], []
        for _ in range(REPEATS):
            shutil.rmtree(cache, ignore_errors=True)
            shutil.rmtree(folder / "objects", ignore_errors=True)
            with _object_store(folder / "objects") as (endpoint, server_cpu):
                cpu_before, server_before = children_cpu_seconds(), server_cpu()
                started = time.perf_counter()
                upload(endpoint)
                samples.append(time.perf_counter() - started)
                client.append(children_cpu_seconds() - cpu_before)
                server.append(server_cpu() - server_before)
        measured[name] = (Figure(tuple(samples), "s"), Figure(tuple(client), "s"), Figure(tuple(server), "s"))

    def details(other: str) -> dict[str, Any]:
        return {
            "client_cpu_seconds": measured["ours"][1].median,
            "server_cpu_seconds": measured["ours"][2].median,
            "peer_client_cpu_seconds": measured[other][1].median,
            "peer_server_cpu_seconds": measured[other][2].median,
        }

    name = "upload the same{}; S3AssetManager.upload_assets"
    return [
        faster(
            name.format(_cpu_text(measured["ours"])), measured["ours"][0], measured["peer"][0], 4, **details("peer")
        ),
        within(
            f"the same; s5cmd cp{_cpu_text(measured['s5cmd'])}",
            measured["ours"][0],
            measured["s5cmd"][0],
            1.25,
            **details("s5cmd"),
        ),
    ]


def _cpu_text(measured: tuple[Figure, Figure, Figure]) -> str:
    return f" (CPU: client {measured[1].median:.2f} s, server {measured[2].median:.2f} s)"


def _with_cpu(work: Callable[[], object], before: Callable[[], object]) -> tuple[Figure, float]:
    started = children_cpu_seconds()
    figure = seconds(work, before=before)
    return figure, (children_cpu_seconds() - started) / REPEATS


@contextmanager
def _object_store(root: Path) -> Iterator[tuple[str, Callable[[], float]]]:
    """An object store in a process of its own: its endpoint, and its CPU seconds so far."""
    command = [sys.executable, "-I", "-c", _SERVE, root, _BUCKET, _KEY, _SECRET]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as server:
        try:
            assert server.stdout is not None
            endpoint = server.stdout.readline().strip()
            yield endpoint, lambda: _cpu_seconds(server.pid)
        finally:
            server.terminate()


def _cpu_seconds(pid: int) -> float:
    words = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(words[11]) + int(words[12])) / os.sysconf("SC_CLK_TCK")


if __name__ == "__main__":
    print(json.dumps([row.document() for row in run()], indent=2))
