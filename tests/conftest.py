"""What all tests share: signals as a terminal has them, and the add-ons, built once for those that need them."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]

# A test run in the background of a script inherits an ignored SIGINT, and so would all that a test interrupts.
signal.signal(signal.SIGINT, signal.default_int_handler)
# A run that is terminated takes its farms down as an interrupted one does.
signal.signal(signal.SIGTERM, signal.default_int_handler)


@pytest.fixture
def make_disk(tmp_path: Path) -> Iterator[Callable[[int], Path]]:
    """Makes a disk of so many bytes, to be filled or made read-only; that needs root."""
    disks: list[Path] = []

    def make(size: int) -> Path:
        disk = tmp_path / f"disk-{len(disks)}"
        disk.mkdir()
        mount = ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(disk)]
        if sys.platform == "win32" or os.geteuid() != 0 or subprocess.run(mount, check=False).returncode:
            pytest.skip("mounting a disk needs root")
        disks.append(disk)
        return disk

    yield make
    for disk in disks:
        subprocess.run(["umount", "-l", str(disk)], check=True)


@pytest.fixture(scope="session")
def build_addons(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., dict[str, Path]]:
    """Runs build_addons.py in the development profile: the archives by host."""

    def run(*hosts: str) -> dict[str, Path]:
        folder = tmp_path_factory.mktemp("dist")
        command = [sys.executable, str(ROOT / "build_addons.py"), "--output", str(folder), *hosts]
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
        return {host: next(folder.glob(f"shotput_{host}-*.zip")) for host in hosts}

    return run


@pytest.fixture(scope="session")
def addons(build_addons: Callable[..., dict[str, Path]]) -> dict[str, Path]:
    """Every host's add-on."""
    return build_addons("blender", "houdini", "maya")


@pytest.fixture(scope="session")
def peers() -> Path:
    """The folder of the official programs, and of a Python that has their packages."""
    if not (shutil.which("uv") or (ROOT / ".tools" / "bin" / "uv").exists()):
        pytest.skip("uv is not installed, so the official programs cannot be; `make setup` brings it")
    subprocess.run([ROOT / "tools" / "peers", sys.executable], check=True)
    return ROOT / ".bench" / "peers" / "bin"
