"""A cold process: importing the package, and the first list of farms, beside ``deadline.client.api``.

A measured process notes its own clock and memory; the interpreter's start is part of neither figure, because both sides
have the same one. Memory is the high-water mark of the process' own pages: ``ru_maxrss`` would carry over that of the
process which started it.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from benchmarks.measure import REPEATS, Figure, Row, below, peer_programs, run_process

_MEASURE = """
import json, time
started = time.perf_counter()
{importing}
imported = time.perf_counter()
{calling}
called = time.perf_counter()
status = dict(line.split(":", 1) for line in open("/proc/self/status"))
print(json.dumps([imported - started, called - imported, int(status["VmHWM"].split()[0]) / 1024]))
"""

_OURS = _MEASURE.format(importing="import shotput", calling="from shotput import _native; assert _native.list_farms()")
_PEER = _MEASURE.format(importing="import deadline.client.api as api", calling="assert api.list_farms()")

_FARMS = json.dumps(
    {
        "farms": [
            {
                "farmId": f"farm-{number:032x}",
                "displayName": f"Farm {number}",
                "createdAt": "2024-01-02T03:04:05.678000Z",
                "createdBy": "somebody",
            }
            for number in range(3)
        ]
    }
).encode()


class _Farms(BaseHTTPRequestHandler):
    """Answers every request with three farms."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(_FARMS)))
        self.end_headers()
        self.wfile.write(_FARMS)

    def log_message(self, *_: object) -> None:
        """Nobody reads it."""


@contextmanager
def _service() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Farms)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def _forget(python: str | Path) -> None:
    """Take the native modules of an environment out of the system's file cache."""
    code = "import sysconfig; print(sysconfig.get_path('platlib'))"
    for path in Path(run_process([python, "-I", "-c", code]).strip()).rglob("*.so"):
        with path.open("rb") as file:
            os.fsync(file.fileno())
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def _samples(python: str | Path, code: str, environment: dict[str, str]) -> list[list[float]]:
    command = [python, "-I", "-c", code]
    _forget(python)
    # One more than counts: the first one writes byte code and warms the file cache, as an installer does.
    return [json.loads(run_process(command, env=environment)) for _ in range(REPEATS + 1)][1:]


def run() -> list[Row]:
    """Import and first call in milliseconds, resident memory in megabytes, each below its own ceiling."""
    peer_python = peer_programs() / "python"
    with _service() as endpoint, tempfile.TemporaryDirectory() as home:
        environment = {
            "HOME": home,
            "AWS_ACCESS_KEY_ID": "AKIABENCHMARK",
            "AWS_SECRET_ACCESS_KEY": "benchmark",
            "AWS_DEFAULT_REGION": "us-west-2",
            "AWS_ENDPOINT_URL_DEADLINE": endpoint,
            "AWS_DISABLE_HOST_PREFIX_INJECTION": "true",
            "AWS_EC2_METADATA_DISABLED": "true",
            "DEADLINE_CLOUD_TELEMETRY_OPT_OUT": "true",
            "DEADLINE_CONFIG_FILE_PATH": str(Path(home) / "config"),
        }
        ours = _samples(sys.executable, _OURS, environment)
        peer = _samples(peer_python, _PEER, environment)
    return [
        below(name, _figure(ours, index, scale, unit), ceiling, _figure(peer, index, scale, unit))
        for name, index, scale, unit, ceiling in (
            ("import in a cold process", 0, 1000, "ms", 20),
            ("first list of farms in a cold process", 1, 1000, "ms", 30),
            ("resident memory after it", 2, 1, "MB", 30),
        )
    ]


def _figure(samples: list[list[float]], index: int, scale: float, unit: str) -> Figure:
    return Figure(tuple(sample[index] * scale for sample in samples), unit)
