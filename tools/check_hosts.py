"""Types of every ready host package, against the stubs of the oldest and the newest generation in its profile.

Stubs of several generations cannot be installed side by side, so each runs in an environment of its own, made by uv.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from shotput import profile

ROOT = Path(__file__).resolve().parents[1]


def command(stubs: str, python: str, package: str) -> list[str]:
    """The command that checks one package against one generation's stubs."""
    isolated = ["uv", "run", "--isolated", "--no-project", "--python", f"{sys.version_info[0]}.{sys.version_info[1]}"]
    checked = ["mypy", "--strict", "--python-version", python, "-p", package]
    return [*isolated, "--with", "mypy", "--with", stubs, *checked]


def main() -> int:
    """Run all checks; the number of those that failed."""
    failed = 0
    paths = os.pathsep.join(str(ROOT / folder) for folder in ("native/python", "shared_ui"))
    for name in profile.names():
        host = profile.find(name)
        with_stubs = [generation for generation in host.generations if generation.stubs] if host.ready else []
        for generation in dict.fromkeys((*with_stubs[:1], *with_stubs[-1:])):
            folder = ROOT / "integrations" / name
            print(f"{host.label} {generation.version}", flush=True)
            done = subprocess.run(
                command(generation.stubs, generation.python, host.package),
                cwd=folder,
                env={**os.environ, "MYPYPATH": paths},
                check=False,
            )
            failed += done.returncode != 0
    return failed


if __name__ == "__main__":
    sys.exit(main())
