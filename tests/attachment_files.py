"""Files whose names and times are hard to write down, an object store, and the official library beside ours."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

BUCKET, PREFIX = "assets", "Root"
KEY, SECRET = "AKIDTEST", "secret of the tests"
NAMES = [
    "ä.png",
    "日本語.exr",
    "🎬 take.mov",
    "\ue000",
    "tab\tname",
    'quote"back\\slash',
    "new\nline",
    "\x7fdel",
    "a/ü/b",
    "plain.txt",
]
# Nanoseconds since 1970, for one name each.
TIMES = [
    1_700_000_000_123_456_789,  # a microsecond that is not that of the double in `st_mtime`
    1_711_846_800_000_000_000,  # a whole second: the text has no fraction; summer time begins in Berlin
    1_711_850_399_999_999_999,  # rounds up to a whole second
    -1_500_000_001,  # before 1970
    1_729_989_000_000_000_000,  # 02:30 in Berlin in the night when summer time ends,
    1_729_992_600_000_000_000,  # and 02:30 once more, an hour later
    1_730_606_400_250_000_000,  # the same in St. John's, half an hour beside the others,
    1_730_610_000_250_000_000,
    1_600_000_000_000_000_500,  # half a microsecond
    0,
]


def make_files(folder: Path) -> list[str]:
    """Files of different lengths, below a folder: their names."""
    for index, (name, time) in enumerate(zip(NAMES, TIMES, strict=True)):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(bytes([index]) * (index * 1000 + 1))
        os.utime(path, ns=(time, time))
    return NAMES


def run(python: Path | str, code: str, *words: object, env: dict[str, str] | None = None) -> str:
    """What code prints in a process of its own."""
    command = [str(python), "-I", "-c", code, *map(str, words)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env={**os.environ, **(env or {})})
    assert done.returncode == 0, done.stderr
    return done.stdout


def run_ours(code: str, *words: object, env: dict[str, str] | None = None) -> str:
    return run(sys.executable, f"import json, sys\nfrom shotput import _native\n{code}", *words, env=env)


def target(endpoint: str) -> dict[str, Any]:
    """A target that leads to an object store and to no service."""
    return {
        "farm_id": "farm-1",
        "queue_id": "queue-1",
        "region": "us-west-2",
        "s3_endpoint_url": endpoint,
        "access_key_id": KEY,
        "secret_access_key": SECRET,
    }
