"""`shotput doctor` as people run it: against the local farm, and against that farm as a target in the cloud."""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fakes.deadline_service import FARM, QUEUE, DeadlineService
from integration.command import Command, bundle, writer
from shotput import local_farm


@pytest.fixture
def shotput(tmp_path: Path) -> Iterator[Command]:
    command = Command(tmp_path / "alone")
    yield command
    local_farm.stop(data_dir=command.data)


def configure(command: Command, farm_id: str, queue_id: str) -> None:
    command("config", "set", "defaults.farm_id", farm_id)
    command("config", "set", "defaults.queue_id", queue_id)


def plates(folder: Path) -> Path:
    """A bundle with one input file."""
    (folder / "plate.raw").write_bytes(b"x" * 2000)
    return bundle(
        folder / "bundle",
        writer("Plates"),
        {"OutputDir": str(folder / "out")},
        inputs=[str(folder / "plate.raw")],
        outputs=[str(folder / "out")],
    )


def by_check(document: Any) -> dict[str, dict[str, Any]]:
    return {finding["check"]: finding for finding in document["findings"]}


def until_a_worker_is_there(command: Command) -> None:
    deadline = time.monotonic() + 30
    while by_check(command.document("doctor"))["fleets.Local fleet"]["status"] != "ok":
        assert time.monotonic() < deadline
        time.sleep(0.2)


def test_the_local_farm(shotput: Command, tmp_path: Path) -> None:
    folder = plates(tmp_path)
    shotput("farm", "up")
    until_a_worker_is_there(shotput)
    document = shotput.document("doctor", folder)
    assert document["target"] == "local"
    assert document["bundle"] == str(folder)
    findings = by_check(document)
    assert {finding["status"] for finding in findings.values()} == {"ok"}
    assert document["summary"] == {"ok": len(document["findings"]), "warning": 0, "failed": 0, "unknown": 0}
    assert findings["bundle.files"] == {
        "check": "bundle.files",
        "status": "ok",
        "found": f"1 file, 2.0 KB, below {tmp_path}",
        "next": None,
        "value": [{"root": str(tmp_path), "location_name": None, "files": 1, "bytes": 2000, "outputs": 1}],
    }
    assert findings["steps.Write"]["found"] == "runs on Local fleet"
    assert findings["identity.credentials"]["found"] == "the key of the local farm"
    # Nothing was left in the store, and no job made.
    assert [path for path in (shotput.data / "objects" / "buckets").rglob("*") if path.is_file()] == []
    assert shotput.document("job", "list") == {"jobs": []}
    text = shotput("doctor", folder)
    assert text.startswith("Target\n  ✓  configuration")
    passed = len(document["findings"])
    assert text.endswith(f"✓ Ready. {passed} passed\n  Next: shotput submit {folder} --target local\n")
    assert shotput.farm["secret_access_key"] not in text
    # What it promises holds.
    assert shotput.document("submit", folder, "--wait")["taskRunStatus"] == "SUCCEEDED"


def test_the_same_farm_as_a_target_in_the_cloud(shotput: Command, tmp_path: Path) -> None:
    shotput("farm", "up")
    until_a_worker_is_there(shotput)
    shotput.environment.update(shotput.document("farm", "env"))
    configure(shotput, shotput.farm["farm_id"], shotput.farm["queue_id"])
    folder = plates(tmp_path)
    document = shotput.document("doctor", folder, "--target", "cloud", "-k", tmp_path)
    findings = by_check(document)
    assert (document["summary"]["failed"], document["summary"]["warning"]) == (0, 0)
    assert findings["rights.CreateJob"]["status"] == "unknown"
    assert findings["bucket.write"]["found"].endswith("can be written; nothing was written to find out")
    # What it says about files of which nobody said that they may leave, the submission does.
    document = shotput.document("doctor", folder, "--target", "cloud")
    assert [finding["check"] for finding in document["findings"] if finding["status"] == "warning"] == ["bundle.known"]
    said = shotput.refused("submit", folder, "--target", "cloud", "--yes", code=130)
    assert said.startswith(
        "The submission was canceled, because auto_accept covers no files outside of the known folders. 1 input file "
        f"lies outside of the known folders:\n  {tmp_path}/plate.raw\n"
    )
    answer = shotput.document("submit", folder, "--target", "cloud", "--yes", "-k", tmp_path, "--wait")
    assert answer["taskRunStatus"] == "SUCCEEDED"
    # The official command goes on from there.
    assert shotput.document("config", "get", "defaults.job_id")["value"] == answer["jobId"]


def test_what_fails_ends_with_one(shotput: Command, tmp_path: Path) -> None:
    template = writer("Plates")
    template["steps"][0]["hostRequirements"] = {
        "attributes": [{"name": "attr.worker.os.family", "anyOf": ["windows" if sys.platform != "win32" else "linux"]}]
    }
    folder = bundle(tmp_path / "bundle", template, {"OutputDir": str(tmp_path / "out")}, inputs=[str(tmp_path / "no")])
    document = shotput.document("doctor", folder, code=1)
    failed = [finding["check"] for finding in document["findings"] if finding["status"] == "failed"]
    assert failed == ["bundle.files", "steps.Write"]
    assert all(finding["next"] for finding in document["findings"] if finding["status"] == "failed")
    text = shotput("doctor", folder, code=1)
    assert "✗ Not ready." in text
    assert text.endswith("\n  ✗ bundle: files\n  ✗ steps: Write\n")


def test_no_farm_to_look_at(shotput: Command, tmp_path: Path) -> None:
    shotput.environment.update(AWS_EC2_METADATA_DISABLED="true", AWS_DEFAULT_REGION="us-west-2")
    shotput.environment["AWS_ENDPOINT_URL_DEADLINE"] = "http://127.0.0.1:9"
    document = shotput.document("doctor", "--target", "cloud", "--timeout", "0.5", code=1)
    assert by_check(document)["target.configuration"] == {
        "check": "target.configuration",
        "status": "failed",
        "found": "no farm is chosen (region us-west-2, no AWS profile by name)",
        "next": "Choose one: shotput config set defaults.farm_id farm-…",
        "value": by_check(document)["target.configuration"]["value"],
    }
    scene = tmp_path / "shot.blend"
    scene.touch()
    assert shotput.refused("doctor", scene, code=3) == (
        f"{scene} is not a folder; name a job bundle's folder. A scene becomes one by `shotput export`."
    )


@pytest.mark.parametrize("arguments", [[], ["--json"]])
def test_an_interrupt_ends_it_at_once(shotput: Command, arguments: list[str]) -> None:
    with DeadlineService() as service:
        shotput.environment.update(
            AWS_ACCESS_KEY_ID="AKIATEST",
            AWS_SECRET_ACCESS_KEY="secret",
            AWS_DEFAULT_REGION="us-west-2",
            AWS_ENDPOINT_URL=service.endpoint,
        )
        configure(shotput, FARM, QUEUE)
        service.answer("GET", f"/queues/{QUEUE}", body=service.queue, delay=20)
        process = shotput.start("doctor", "--target", "cloud", "--timeout", "600", *arguments)
        while not service.sent("GET", f"/queues/{QUEUE}"):
            time.sleep(0.01)
        asked = time.monotonic()
        os.kill(process.pid, signal.SIGINT)
        answer = shotput.end(process)
        # Far less than the silence of the service.
        assert time.monotonic() - asked < 10
        assert answer.code == 130
        assert "Canceled." in (answer.out if arguments else answer.err)
