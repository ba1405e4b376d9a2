"""The ``shotput`` command with a real scene: what a submission leaves behind, and what a failed export says."""

from __future__ import annotations

import json
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from integration.command import Command
from shotput import local_farm


@pytest.fixture(scope="module")
def shotput(blender: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Command]:
    command = Command(tmp_path_factory.mktemp("command"), {"SHOTPUT_BLENDER": str(blender)})
    yield command
    local_farm.stop(data_dir=command.data)


@pytest.fixture(scope="module")
def plain(build: Callable[..., Any]) -> Path:
    scene: Path = build("plain")
    return scene


def test_a_bundle_goes_when_its_job_is_made_and_stays_when_it_is_not(
    shotput: Command, plain: Path, tmp_path: Path
) -> None:
    chosen = ["-s", "frames=3", "-s", "layers=Beauty", "-s", f"output_path={tmp_path}"]
    bundles = shotput.data / "bundles"
    answer = shotput.document("submit", plain, *chosen, "--wait")
    assert (answer["source"], answer["taskRunStatus"]) == (str(plain), "SUCCEEDED")
    assert answer["outputs"]["files"] == [str(tmp_path / "Beauty" / "pic_03.png")]
    assert list(bundles.iterdir()) == []
    said = json.loads(shotput("submit", plain, *chosen, "-p", "Nope=1", "--json", code=3))["error"]["message"]
    assert said == ('There is no parameter "Nope" in the template or in an environment of the queue. Correct the name.')
    (kept,) = bundles.iterdir()
    assert kept.name.endswith("-plain")
    assert shotput("check", kept) == f"✓ {kept} is valid.\n"


def test_a_failed_export_names_the_log_of_the_host_alone(shotput: Command, tmp_path: Path) -> None:
    scene = tmp_path / "junk.blend"
    scene.write_text("junk")
    hosts = shotput.data / "logs" / "hosts"
    before = set(hosts.glob("*"))
    answer = shotput.end(shotput.start("export", scene, "-o", "b"))
    (log,) = set(hosts.glob("*")) - before
    assert (answer.code, answer.out) == (3, "")
    assert answer.err == (
        f'Error: Blender cannot export {scene}: File format is not supported in file "{scene}". Open the scene in '
        f"Blender to see what is wrong with it, or name another Blender with --executable.\nLog: {log}\n"
    )
    assert not (shotput.work / "b").exists()


def test_a_wrong_setting_is_a_mistake_of_the_command_line(shotput: Command, plain: Path) -> None:
    error = shotput.document("export", plain, "-o", "b", "-s", "chunk_size=0", code=2)["error"]
    said = "The export setting chunk_size=0 does not fit: it must be at least 1."
    assert (error["message"], error["kind"], error["exitCode"]) == (said, "USAGE", 2)
    assert not (shotput.work / "b").exists()


@pytest.mark.slow
def test_a_demo_that_is_ended_leaves_nothing_that_runs(shotput: Command) -> None:
    process = shotput.start("demo", "-o", "demo", "--json")
    root = shotput.work / "demo"
    deadline = time.monotonic() + 120
    while not (root / "project-away").exists():
        assert time.monotonic() < deadline
        assert process.poll() is None
        time.sleep(0.02)
    time.sleep(1)
    process.send_signal(signal.SIGTERM)
    answer = shotput.end(process, 60)
    document = json.loads(answer.out)
    assert (answer.code, answer.err) == (143, "")
    assert document == {
        "error": {
            "message": "Canceled. The demo's farm is stopped, and its job with it.",
            "kind": "TERMINATED",
            "exitCode": 143,
            "log": str(shotput.log),
        },
        "jobId": document["jobId"],
    }
    assert (root / "project").is_dir()
    assert not local_farm.is_locked(root / "farm")
