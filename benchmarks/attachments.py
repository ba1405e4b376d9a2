"""Hashing and uploading 5,000 files of 20 KB and two of 256 MB, whole processes, beside the official client.

Every upload goes to an object store of its own that was empty before; its process's CPU seconds are in the details.
"""

from __future__ import annotations

import json
import shutil
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks.files import BUCKET, PREFIX, make_files, make_large_file, object_store, peer_access, target
from benchmarks.measure import (
    REPEATS,
    Figure,
    Row,
    children_cpu_seconds,
    faster,
    peer_programs,
    run_process,
    scaled,
    seconds,
    within,
)

SMALL_FILES, SMALL_BYTES = scaled(5_000), 20_000
LARGE_FILES, LARGE_BYTES = 2, scaled(256) * 1024 * 1024

_SNAPSHOT = """
import sys
from pathlib import Path
from shotput import _native
done = _native.snapshot(sys.argv[1], cache_dir=sys.argv[2])
Path(sys.argv[3]).write_bytes(done["manifest"])
"""
_UPLOAD = """
import json, sys
from pathlib import Path
from shotput import _native
root, manifest, cache, target, bucket, prefix = sys.argv[1:]
done = _native.upload_snapshot(
    root, Path(manifest).read_bytes(), bucket=bucket, root_prefix=prefix, target=json.loads(target), cache_dir=cache
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
        make_files(data, SMALL_FILES, SMALL_BYTES)
        for index in range(LARGE_FILES):
            make_large_file(data / f"cache{index}.bin", LARGE_BYTES)
        return [*_hashing(folder, data, bin_folder), *_uploading(folder, data, bin_folder)]


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
    place = (BUCKET, PREFIX)

    def ours(endpoint: str) -> None:
        run_process([sys.executable, "-I", "-c", _UPLOAD, data, manifest, cache, target(endpoint), *place])

    def peer(endpoint: str) -> None:
        command = [bin_folder / "python", "-I", "-c", _PEER_UPLOAD, data, manifest, cache, *place]
        run_process(command, peer_access(endpoint, home))

    def s5cmd(endpoint: str) -> None:
        command = [
            bin_folder / "s5cmd",
            "--endpoint-url",
            endpoint,
            "cp",
            f"{data}/",
            f"s3://{BUCKET}/{PREFIX}/Data/",
        ]
        run_process(command, peer_access(endpoint, home))

    measured = {}
    for name, upload in (("ours", ours), ("peer", peer), ("s5cmd", s5cmd)):
        samples, client, server = [], [], []
        for _ in range(REPEATS):
            shutil.rmtree(cache, ignore_errors=True)
            shutil.rmtree(folder / "objects", ignore_errors=True)
            with object_store(folder / "objects") as (endpoint, server_cpu):
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


if __name__ == "__main__":
    print(json.dumps([row.document() for row in run()], indent=2))
