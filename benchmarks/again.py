"""5,000 files of 20 KB that are known already: hashed again with a warm cache, and downloaded as a job's outputs.

Whole processes, and the call alone inside a process that has loaded what it needs. Both sides write the same manifest,
byte for byte, and bring the same files; ours are held to their hashes on arrival.
"""

from __future__ import annotations

import json
import shutil
import sys
import tempfile
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from benchmarks.files import BUCKET, PREFIX, make_files, object_store, peer_access, target
from benchmarks.measure import REPEATS, Figure, Row, faster, peer_programs, run_process, scaled

FILES, BYTES = scaled(5_000), 20_000
_JOB = ("farm-" + "0" * 32, "queue-" + "0" * 32, "job-" + "0" * 32)
_RUN = f"step-{'0' * 32}/task-{'0' * 32}-0/2024-01-02T03:04:05.000000Z_sessionaction-{'0' * 32}-0"

# Each prints the seconds of the work alone.
_SNAPSHOT = """
import sys, time
from pathlib import Path
from shotput import _native
root, cache, manifest = sys.argv[1:]
started = time.perf_counter()
done = _native.snapshot(root, cache_dir=cache)
Path(manifest).write_bytes(done["manifest"])
print(time.perf_counter() - started)
"""
_PEER_SNAPSHOT = """
import sys, time
from deadline.job_attachments.api.manifest import _manifest_snapshot
root, cache, folder = sys.argv[1:]
started = time.perf_counter()
assert _manifest_snapshot(root=root, destination=folder, name="again", hash_cache_dir=cache)
print(time.perf_counter() - started)
"""
_STORE = """
import json, sys
from pathlib import Path
import boto3
from shotput import _native
root, manifest, target, bucket, prefix, key = sys.argv[1:]
content = Path(manifest).read_bytes()
access = json.loads(target)
_native.upload_snapshot(root, content, bucket=bucket, root_prefix=prefix, target=access)
s3 = boto3.client("s3", region_name=access["region"], endpoint_url=access["s3_endpoint_url"],
    aws_access_key_id=access["access_key_id"], aws_secret_access_key=access["secret_access_key"])
s3.put_object(Bucket=bucket, Key=key, Body=content, Metadata={"asset-root": root})
"""
_DOWNLOAD = """
import json, sys, time
from shotput import _native
farm, queue, job, bucket, prefix, target, root, home = sys.argv[1:]
started = time.perf_counter()
done = _native.download_job_outputs({
    "farm_id": farm, "queue_id": queue, "job_id": job, "bucket": bucket, "root_prefix": prefix,
    "target": json.loads(target), "root_map": {root: home},
})
print(time.perf_counter() - started)
assert done["statistics"]["skipped_files"] == 0, done["statistics"]
"""
_PEER_DOWNLOAD = """
import sys, time
import boto3
from deadline.job_attachments.download import OutputDownloader
from deadline.job_attachments.models import JobAttachmentS3Settings
farm, queue, job, bucket, prefix, root, home = sys.argv[1:]
session = boto3.Session()
started = time.perf_counter()
outputs = OutputDownloader(JobAttachmentS3Settings(bucket, prefix), farm, queue, job, session=session)
outputs.set_root_path(root, home)
outputs.download()
print(time.perf_counter() - started)
"""


def run() -> list[Row]:
    peers = peer_programs()
    with tempfile.TemporaryDirectory(prefix="shotput-bench-") as text:
        folder = Path(text)
        data = folder / "data"
        make_files(data, FILES, BYTES)
        return [*_hashing(folder, data, peers), *_downloading(folder, data, peers)]


def _hashing(folder: Path, data: Path, peers: Path) -> list[Row]:
    cache, manifest, home, manifests = (folder / name for name in ("cache", "manifest", "home", "manifests"))
    for path in (cache, home, manifests):
        path.mkdir()

    ours = [sys.executable, "-I", "-c", _SNAPSHOT, data, cache, manifest]
    peer = [peers / "deadline", "manifest", "snapshot", "--root", data, "--destination", manifests]
    peer_call = [peers / "python", "-I", "-c", _PEER_SNAPSHOT, data, home / ".deadline" / "job_attachments", manifests]
    variables = {"HOME": str(home)}
    # The first ones fill the caches.
    for command in (ours, peer):
        run_process(command, variables)
    mine = [_timed(ours, variables) for _ in range(REPEATS)]
    whole, calls = [], []
    for _ in range(REPEATS):
        shutil.rmtree(manifests)
        manifests.mkdir()
        whole.append(_timed(peer, variables)[0])
        (peer_manifest,) = manifests.glob("*.manifest")
        if peer_manifest.read_bytes() != manifest.read_bytes():
            raise RuntimeError("the two manifests differ")
        calls.append(float(_timed(peer_call, variables)[1]))
    name = f"hash {FILES:,} × 20 KB again, warm cache"
    return [
        faster(f"{name}; deadline manifest snapshot", _figure(taken for taken, _ in mine), _figure(whole), 10),
        faster(f"{name}, the call alone", _figure(float(said) for _, said in mine), _figure(calls), 10),
    ]


def _downloading(folder: Path, data: Path, peers: Path) -> list[Row]:
    manifest = folder / "manifest"
    key = f"{PREFIX}/Manifests/{'/'.join(_JOB)}/{_RUN}/0123456789abcdef0123456789abcdef_output"
    with object_store(folder / "objects") as (endpoint, _):
        access = target(endpoint)
        run_process([sys.executable, "-I", "-c", _STORE, data, manifest, access, BUCKET, PREFIX, key])
        words = [*_JOB, BUCKET, PREFIX]
        commands = (
            [sys.executable, "-I", "-c", _DOWNLOAD, *words, access, data],
            [peers / "python", "-I", "-c", _PEER_DOWNLOAD, *words, data],
        )
        samples: tuple[list[tuple[float, str]], ...] = ([], [])
        # In turns, so that what else the machine does falls on both. Nothing is deleted in between: ext4 makes files
        # slowly (here in 0.4 instead of 0.1 ms) for minutes after many were deleted.
        for turn in range(REPEATS):
            for side, (command, taken) in enumerate(zip(commands, samples, strict=True)):
                place = folder / f"outputs-{side}-{turn}"
                place.mkdir()
                taken.append(_timed([*command, place], peer_access(endpoint, folder / "home")))
                if sum(path.stat().st_size == BYTES for path in place.rglob("*.bin")) != FILES:
                    raise RuntimeError(f"{command[0]} brought not all of the {FILES:,} files")
    whole = [_figure(seconds for seconds, _ in taken) for taken in samples]
    calls = [_figure(float(said) for _, said in taken) for taken in samples]
    name = f"download {FILES:,} × 20 KB"
    return [
        faster(f"{name}; OutputDownloader", *whole, 5),
        faster(f"{name}, the call alone", *calls, 5),
    ]


def _timed(command: list[Any], variables: dict[str, str]) -> tuple[float, str]:
    """Seconds of the whole process, and what it printed."""
    started = time.perf_counter()
    printed = run_process(command, variables)
    return time.perf_counter() - started, printed


def _figure(samples: Iterable[float]) -> Figure:
    return Figure(tuple(samples), "s")


if __name__ == "__main__":
    print(json.dumps([row.document() for row in run()], indent=2))
