"""The files that suites move, and the object store that they move them to: in a process of its own, empty at first."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

BUCKET, PREFIX = "assets", "Root"
_REGION, _KEY, _SECRET = "us-west-2", "AKIDBENCHMARK", "secret"
_BLOCK = 2**24

_SERVE = """
import sys
from shotput import _native
with _native.ObjectStore(sys.argv[1]) as store:
    store.add_credentials(sys.argv[3], sys.argv[4], bucket=sys.argv[2])
    print(store.endpoint, flush=True)
    sys.stdin.read()
"""


def make_files(folder: Path, count: int, size: int) -> None:
    """``count`` different files of ``size`` bytes that no compression shortens, a hundred to a folder."""
    for index in range(count):
        path = folder / f"{index // 100:04d}" / f"texture{index:06d}.bin"
        if index % 100 == 0:
            path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(os.urandom(size))


def make_large_file(path: Path, size: int) -> None:
    """One file of ``size`` bytes, a multiple of 1 MiB, no two parts of which are the same."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb") as file:
        for start in range(0, size, _BLOCK):
            file.write(os.urandom(min(_BLOCK, size - start)))


@contextmanager
def object_store(root: Path) -> Iterator[tuple[str, Callable[[], float]]]:
    """An object store with one bucket: its endpoint, and the CPU seconds of its process so far."""
    command = [sys.executable, "-I", "-c", _SERVE, root, BUCKET, _KEY, _SECRET]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as server:
        try:
            assert server.stdout is not None
            endpoint = server.stdout.readline().strip()
            yield endpoint, lambda: _cpu_seconds(server.pid)
        finally:
            server.terminate()


def target(endpoint: str) -> str:
    """The store as the native module's ``target``, in JSON."""
    return json.dumps(
        {"region": _REGION, "s3_endpoint_url": endpoint, "access_key_id": _KEY, "secret_access_key": _SECRET}
    )


def peer_access(endpoint: str, home: Path) -> dict[str, str]:
    """Environment variables that lead programs of boto3 to the store. It answers no STS, and says so at once."""
    return {
        "AWS_ACCESS_KEY_ID": _KEY,
        "AWS_SECRET_ACCESS_KEY": _SECRET,
        "AWS_REGION": _REGION,
        "AWS_DEFAULT_REGION": _REGION,
        "AWS_ENDPOINT_URL_S3": endpoint,
        "AWS_ENDPOINT_URL_STS": endpoint,
        "HOME": str(home),
    }


def _cpu_seconds(pid: int) -> float:
    words = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(words[11]) + int(words[12])) / os.sysconf("SC_CLK_TCK")
