"""Submissions whose upload does not come through: killed in the middle, a full disk, a disk that may not be written."""

from __future__ import annotations

import json
import os
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from integration.command import Command, bundle, writer
from shotput import local_farm

FILE_SIZE = 3_000_000


@pytest.fixture
def shotput(tmp_path: Path) -> Iterator[Command]:
    command = Command(tmp_path / "alone")
    yield command
    local_farm.stop(data_dir=command.data)


class Disk:
    """What the farm's objects lie on: 24 MB, and what becomes of it. Needs root."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._mounted: list[Path] = []

    def mount(self, options: str, folder: Path) -> None:
        command = ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(folder)]
        if os.geteuid() != 0 or subprocess.run(command, capture_output=True, check=False).returncode:
            pytest.skip("mounting a small disk needs root")
        self._mounted.append(folder)

    def forbid_writing(self) -> None:
        """Where objects are written first becomes a read-only disk; the whole cannot, while the farm's lock is open."""
        self.mount("ro", self.folder / "temporary")

    def make_good(self) -> None:
        """Room, and writable."""
        for folder in self._mounted[1:]:
            subprocess.run(["umount", folder], check=True)
        del self._mounted[1:]
        subprocess.run(["mount", "-o", "remount,size=200m", self.folder], check=True)

    def unmount(self) -> None:
        for folder in reversed(self._mounted):
            subprocess.run(["umount", "-l", folder], check=True)


@pytest.fixture
def disk(shotput: Command) -> Iterator[Disk]:
    made = Disk(shotput.data / "objects")
    made.folder.mkdir(parents=True)
    made.mount("size=24m", made.folder)
    yield made
    local_farm.stop(data_dir=shotput.data)
    made.unmount()


def plates(folder: Path, count: int) -> Path:
    """A bundle with ``count`` input files of which no two are equal."""
    (folder / "plates").mkdir(parents=True)
    files = [folder / "plates" / f"{number:03d}.raw" for number in range(count)]
    for path in files:
        path.write_bytes(os.urandom(64) + bytes(FILE_SIZE - 64))
    out = str(folder / "out")
    return bundle(
        folder / "bundle", writer("Plates"), {"OutputDir": out}, inputs=[str(path) for path in files], outputs=[out]
    )


def objects(shotput: Command) -> dict[str, tuple[int, int, int]]:
    """The input files in the object store: name to size, inode and time of writing."""
    found = {}
    for path in (shotput.data / "objects" / "buckets").rglob("*.xxh128=*"):
        state = path.stat()
        found[path.name] = (state.st_size, state.st_ino, state.st_mtime_ns)
    return found


def drafts(shotput: Command) -> list[Path]:
    return list((shotput.data / "objects" / "temporary").iterdir())


def until(condition: Callable[[], Any], seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "not in time"
        time.sleep(0.01)


def test_a_killed_submission_goes_on_where_it_was(shotput: Command, tmp_path: Path) -> None:
    count = 100
    folder = plates(tmp_path, count)
    shotput("farm", "up")
    process = shotput.start("submit", folder)
    until(lambda: len(objects(shotput)) >= 5)
    process.kill()
    process.communicate()
    until(lambda: not drafts(shotput), 20)
    there = objects(shotput)
    assert 5 <= len(there) < count, "killed too late to be in the middle"
    assert shotput.document("job", "list") == {"jobs": []}
    answer = shotput.document("submit", folder, "--wait")
    missing = count - len(there)
    assert answer["sent"] == {"files": missing, "bytes": missing * FILE_SIZE, "skippedFiles": len(there)}
    assert answer["taskRunStatus"] == "SUCCEEDED"
    now = objects(shotput)
    # What was there was not written again.
    assert {name: now[name] for name in there} == there
    assert len([name for name, (size, _, _) in now.items() if size >= FILE_SIZE]) == count


def sentence_of(error: dict[str, Any], folder: Path) -> str:
    """The error's sentence, without the names that depend on which file was met first."""
    message: str = error["message"]
    (path,) = (str(path) for path in (folder / "plates").iterdir() if f" {path} " in message)
    digest = message.partition(".xxh128")[0].rpartition("/")[2]
    return message.replace(path, "FILE").replace(digest, "HASH")


@pytest.mark.parametrize("fault", ["full", "read-only"])
def test_a_disk_that_takes_no_upload_is_one_sentence(shotput: Command, disk: Disk, tmp_path: Path, fault: str) -> None:
    folder = plates(tmp_path, 12)
    shotput("farm", "up")
    if fault == "read-only":
        disk.forbid_writing()
    error = shotput.document("submit", folder, code=7)["error"]
    place = f"s3://{shotput.farm['bucket']}/{shotput.farm['root_prefix']}/Data/HASH.xxh128"
    store = shotput.farm["s3_endpoint_url"]
    why = {
        "full": f"no space is left on the disk of the object store at {store}. Free some and try again; what is "
        "already there is not sent twice.",
        "read-only": f"the folder of the object store at {store} is read-only. Make it writable and try again.",
    }[fault]
    assert sentence_of(error, tmp_path) == f"Cannot upload FILE to {place}: {why}"
    assert (error["kind"], error["log"]) == ("TRANSFER", str(shotput.log))
    assert shotput.document("job", "list") == {"jobs": []}
    assert drafts(shotput) == []
    assert {size // FILE_SIZE for size, _, _ in objects(shotput).values()} <= {1}
    disk.make_good()
    there = len(objects(shotput))
    answer = shotput.document("submit", folder, "--wait")
    assert (answer["taskRunStatus"], answer["sent"]["files"]) == ("SUCCEEDED", 12 - there)
    assert json.loads((folder / "template.yaml").read_text())["name"] == "Plates"
