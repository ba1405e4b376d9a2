"""The memory of a process that hashes and uploads one file of 4 GB."""

from __future__ import annotations

import json
import sys
import tempfile
from pathlib import Path

from benchmarks.files import BUCKET, PREFIX, make_large_file, object_store, target
from benchmarks.measure import Figure, Row, below, run_process, scaled

BYTES = scaled(4096) * 2**20

# The high-water mark of the process' own pages: `ru_maxrss` would carry over that of the process which started it.
_UPLOAD = """
import json, sys, time
from shotput import _native
root, target, bucket, prefix = sys.argv[1:]
started = time.perf_counter()
manifest = _native.snapshot(root)["manifest"]
done = _native.upload_snapshot(root, manifest, bucket=bucket, root_prefix=prefix, target=json.loads(target))
assert done["statistics"]["processed_files"] == 1 if "statistics" in done else done["processed_files"] == 1, done
status = dict(line.split(":", 1) for line in open("/proc/self/status"))
print(json.dumps([int(status["VmHWM"].split()[0]) / 1024, time.perf_counter() - started]))
"""


def run() -> list[Row]:
    # Beside this folder, because a temporary folder may lie in memory.
    with tempfile.TemporaryDirectory(prefix="shotput-bench-") as text:
        folder = Path(text)
        data = folder / "data"
        make_large_file(data / "simulation.bin", BYTES)
        with object_store(folder / "objects") as (endpoint, _):
            command = [sys.executable, "-I", "-c", _UPLOAD, data, target(endpoint), BUCKET, PREFIX]
            megabytes, taken = json.loads(run_process(command))
    name = f"peak memory of hashing and uploading one file of {BYTES / 2**30:g} GB, in {taken:.1f} s"
    return [below(name, Figure((megabytes,), "MB"), 200, seconds=taken)]


if __name__ == "__main__":
    print(json.dumps([row.document() for row in run()], indent=2))
