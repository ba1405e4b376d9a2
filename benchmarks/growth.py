"""Hashing and uploading 1,000 to 100,000 files of 2 KB: the time grows as the number of files does."""

from __future__ import annotations

import json
import shutil
import sys
import tempfile
from pathlib import Path

from benchmarks.files import BUCKET, PREFIX, make_files, object_store, target
from benchmarks.measure import QUICK, Figure, Row, below, run_process

COUNTS = (200, 2_000) if QUICK else (1_000, 10_000, 100_000)
BYTES = 2_000
# What a file may cost beside the cheapest of a smaller number. Disks alone make a quarter of a difference; what grows
# with n log n would cost 1.67 times as much a file from 1,000 to 100,000 files.
_SLACK = 1.5

_WORK = """
import json, sys, time
from shotput import _native
root, cache, target, bucket, prefix = sys.argv[1:]
started = time.perf_counter()
manifest = _native.snapshot(root, cache_dir=cache)["manifest"]
hashed = time.perf_counter()
_native.upload_snapshot(
    root, manifest, bucket=bucket, root_prefix=prefix, target=json.loads(target), cache_dir=cache
)
print(json.dumps([hashed - started, time.perf_counter() - hashed]))
"""


def run() -> list[Row]:
    rows = []
    cheapest: dict[str, float] = {}
    for count in COUNTS:
        for work, taken in zip(("hash", "upload"), _measured(count), strict=True):
            each = taken / count * 1e6
            ceiling = round(cheapest.get(work, each) * _SLACK, 1)
            row = below(f"{work} {count:,} files of 2 KB: {taken:.2f} s", Figure((each,), "µs/file"), ceiling)
            rows.append(row)
            cheapest[work] = min(each, cheapest.get(work, each))
    return rows


def _measured(count: int) -> tuple[float, float]:
    """Seconds of hashing and of uploading, the best of three, of two for the largest number."""
    with tempfile.TemporaryDirectory(prefix="shotput-bench-") as text:
        folder = Path(text)
        data, cache = folder / "data", folder / "cache"
        make_files(data, count, BYTES)
        samples = []
        for _ in range(2 if count == COUNTS[-1] else 3):
            shutil.rmtree(cache, ignore_errors=True)
            cache.mkdir()
            with object_store(folder / "objects") as (endpoint, _):
                command = [sys.executable, "-I", "-c", _WORK, data, cache, target(endpoint), BUCKET, PREFIX]
                samples.append(json.loads(run_process(command)))
            shutil.rmtree(folder / "objects")
    hashing, upload = (min(column) for column in zip(*samples, strict=True))
    return hashing, upload


if __name__ == "__main__":
    print(json.dumps([row.document() for row in run()], indent=2))
