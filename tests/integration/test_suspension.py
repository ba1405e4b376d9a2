"""A submission held by Ctrl-Z: what it was connected to, and what it was let in with, are gone when it goes on."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from fakes.deadline_service import FARM, JOB, QUEUE, DeadlineService
from integration.command import PROGRAM, Command, bundle, writer
from shotput import _native

# Long enough for connections to be closed and for role credentials to come near their end.
SECONDS = 4.0
FILES = 120
FILE_SIZE = 2_000_000
# The margin with which role credentials are asked for again.
MARGIN = 300

pytestmark = pytest.mark.skipif(not hasattr(signal, "SIGTSTP"), reason="this system has no Ctrl-Z")


class Role:
    """Credentials of the queue's role, one set after another."""

    def __init__(self, service: DeadlineService, store: _native.ObjectStore) -> None:
        self.service, self.store, self.number = service, store, 0

    def issue(self, seconds: float) -> None:
        if self.number:
            self.let_in(expires_at=time.time())
        self.number += 1
        self.service.credentials = {
            "accessKeyId": f"ASIA{self.number}",
            "secretAccessKey": "secret",
            "sessionToken": "token",
            "expiration": (datetime.now(UTC) + timedelta(seconds=seconds)).isoformat(),
        }
        self.let_in()

    def let_in(self, **rights: float) -> None:
        self.store.add_credentials(f"ASIA{self.number}", "secret", "token", bucket="studio", prefix="Root", **rights)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[_native.ObjectStore]:
    with _native.ObjectStore(tmp_path / "objects") as running:
        yield running


@pytest.fixture
def service() -> Iterator[DeadlineService]:
    with DeadlineService() as running:
        running.queue["jobAttachmentSettings"] = {"s3BucketName": "studio", "rootPrefix": "Root"}
        yield running


@pytest.fixture
def shotput(tmp_path: Path, service: DeadlineService, store: _native.ObjectStore) -> Command:
    environment = {
        "AWS_ACCESS_KEY_ID": "AKIATEST",
        "AWS_SECRET_ACCESS_KEY": "secret",
        "AWS_DEFAULT_REGION": "us-west-2",
        "AWS_ENDPOINT_URL_DEADLINE": service.endpoint,
        "AWS_ENDPOINT_URL_STS": f"{service.endpoint}/sts",
        "AWS_ENDPOINT_URL_S3": store.endpoint,
    }
    command = Command(tmp_path / "alone", environment)
    command("config", "set", "defaults.farm_id", FARM)
    command("config", "set", "defaults.queue_id", QUEUE)
    return command


def objects(folder: Path) -> int:
    return sum(1 for _ in (folder / "objects" / "buckets").rglob("*.xxh128=*"))


def state(pid: int) -> str:
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]


def test_a_submission_that_is_held_goes_on(
    shotput: Command, service: DeadlineService, store: _native.ObjectStore, tmp_path: Path
) -> None:
    if sys.platform != "linux":
        pytest.skip("looks by /proc whether a process is held")
    for number in range(FILES):
        (tmp_path / f"{number:03d}.raw").write_bytes(os.urandom(64) + bytes(FILE_SIZE - 64))
    inputs = [str(path) for path in sorted(tmp_path.glob("*.raw"))]
    folder = bundle(tmp_path / "bundle", writer("Plates"), {"OutputDir": str(tmp_path)}, inputs=inputs)
    role = Role(service, store)
    role.issue(MARGIN + SECONDS)
    # A group of its own, as a shell gives a command; a session of its own could not be held.
    process = subprocess.Popen(
        [*PROGRAM, "submit", str(folder), "--target", "cloud", "--yes", "-k", str(tmp_path), "--json"],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=shotput.work,
        env=shotput.variables(),
        process_group=0,
    )
    try:
        while objects(tmp_path) < 3:
            assert process.poll() is None, process.communicate()
            time.sleep(0.002)
        os.kill(process.pid, signal.SIGTSTP)
        while state(process.pid) != "T":
            time.sleep(0.002)
        there = objects(tmp_path)
        assert there < FILES, "held too late to be in the middle"
        # The store goes, with every connection, and comes back with other keys.
        port = int(store.endpoint.rpartition(":")[2])
        store.close()
        time.sleep(SECONDS)
        with _native.ObjectStore(tmp_path / "objects", port=port) as again:
            role.store = again
            role.issue(3600)
            os.kill(process.pid, signal.SIGCONT)
            out, err = process.communicate(timeout=120)
    finally:
        process.kill()
    assert (process.returncode, err) == (0, ""), out
    answer = json.loads(out)
    assert answer["jobId"] == JOB
    assert answer["sent"] == {"files": FILES, "bytes": FILES * FILE_SIZE, "skippedFiles": 0}
    assert objects(tmp_path) >= FILES
    assert len(service.sent("GET", "/user-roles")) >= 2
    assert len(service.sent("POST", f"{QUEUE}/jobs")) == 1
