"""What the figures were measured on and against, in one sentence."""

from __future__ import annotations

import json
import os
import platform
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

from benchmarks.measure import peer_programs, run_process

_PEERS = ("deadline", "openjd-cli", "openjd-sessions", "s5cmd")
_VERSIONS = f"""
import json
from importlib.metadata import version
print(json.dumps([f"{{name}} {{version(name)}}" for name in {_PEERS}]))
"""


def description() -> str:
    """Day, processor, cores, memory, system, Python, and the versions of both sides."""
    memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 2**30
    system = platform.freedesktop_os_release()["PRETTY_NAME"]
    peers = json.loads(run_process([peer_programs() / "python", "-I", "-c", _VERSIONS]))
    return (
        f"{datetime.now(UTC):%Y-%m-%d}; {_processor()}, {os.cpu_count()} cores, {memory:.0f} GiB; {system}, Linux "
        f"{platform.release().partition('-')[0]}; Python {platform.python_version()}; shotput {version('shotput')} "
        f"beside {', '.join(peers)}."
    )


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        name, _, value = line.partition(":")
        if name.strip() == "model name":
            return value.strip()
    return platform.machine()
