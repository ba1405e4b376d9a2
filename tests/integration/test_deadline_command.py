"""The official `deadline` command, in an environment of its own, against our farm."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest
from shotput import local_farm

pytestmark = pytest.mark.slow


class Command:
    """Runs the command with nothing but the farm's environment variables and an empty home folder."""

    def __init__(self, program: Path, farm: Any, home: Path) -> None:
        state = local_farm.state(farm.data_dir)
        assert state is not None
        self._program = program
        home.mkdir()
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "DEADLINE_"))}
        self._environment = {
            **kept,
            **local_farm.environment(state),
            "HOME": str(home),
            "DEADLINE_CONFIG_FILE_PATH": str(home / "config"),
        }
        self.run("config", "set", "defaults.farm_id", state.farm_id)
        self.run("config", "set", "defaults.queue_id", state.queue_id)
        self.run("config", "set", "settings.storage_profile_id", state.storage_profile_id)
        self.run("config", "set", "telemetry.opt_out", "true")

    def run(self, *words: str, code: int = 0) -> str:
        done = subprocess.run(
            [self._program, *words], env=self._environment, capture_output=True, text=True, check=False, timeout=120
        )
        assert done.returncode == code, f"deadline {' '.join(words)}: {done.returncode}\n{done.stdout}\n{done.stderr}"
        return done.stdout


@pytest.fixture
def command(peers: Path, farm: Any, tmp_path: Path) -> Command:
    return Command(peers / "deadline", farm, tmp_path / "home")


def test_farms_and_queues(command: Command, farm: Any) -> None:
    assert farm.state["farm_id"] in command.run("farm", "list")
    assert farm.state["farm_id"] in command.run("farm", "get")
    assert farm.state["queue_id"] in command.run("queue", "list")
    assert "shotput-local" in command.run("queue", "get")


def make_bundle(folder: Path, templates: Any, code: str) -> Path:
    bundle = folder / "bundle"
    project = folder / "project"
    bundle.mkdir()
    project.mkdir()
    (project / "scene.txt").write_text("the scene")
    template = templates.job(
        "from the command",
        templates.step("Render", templates.script(code), frames="1-2"),
        parameterDefinitions=[
            {"name": "Scene", "type": "PATH", "objectType": "FILE", "dataFlow": "IN"},
            {"name": "Out", "type": "PATH", "objectType": "DIRECTORY", "dataFlow": "OUT"},
        ],
    )
    values = [
        {"name": "Scene", "value": str(project / "scene.txt")},
        {"name": "Out", "value": str(project / "renders")},
    ]
    (bundle / "template.json").write_text(json.dumps(template))
    (bundle / "parameter_values.json").write_text(json.dumps({"parameterValues": values}))
    return bundle


def submit(command: Command, bundle: Path) -> str:
    said = command.run("bundle", "submit", "--yes", "--known-asset-path", str(bundle.parent), str(bundle))
    return next(word.strip(".,") for word in said.split() if word.startswith("job-"))


def test_submit_logs_and_outputs(command: Command, farm: Any, templates: Any, tmp_path: Path) -> None:
    code = (
        "import pathlib; print('rendering {{Task.Param.Frame}}'); out = pathlib.Path(r'{{Param.Out}}'); "
        "out.mkdir(parents=True, exist_ok=True); "
        "(out / '{{Task.Param.Frame}}.txt').write_text(pathlib.Path(r'{{Param.Scene}}').read_text())"
    )
    job_id = submit(command, make_bundle(tmp_path, templates, code))
    assert farm.wait_job(job_id)["taskRunStatus"] == "SUCCEEDED", farm.output() + farm.log(job_id)
    assert job_id in command.run("job", "list")
    assert "SUCCEEDED" in command.run("job", "get", "--job-id", job_id)
    shown = [
        event["message"]
        for session in farm.sessions(job_id)
        for event in json.loads(
            command.run("job", "logs", "--job-id", job_id, "--session-id", session["sessionId"], "--output", "json")
        )["events"]
    ]
    assert sorted(line for line in shown if line.startswith("rendering")) == ["rendering 1", "rendering 2"]
    command.run("job", "download-output", "--job-id", job_id, "--yes")
    renders = tmp_path / "project" / "renders"
    assert {path.name: path.read_text() for path in renders.iterdir()} == {"1.txt": "the scene", "2.txt": "the scene"}


def test_cancel(command: Command, farm: Any, templates: Any, tmp_path: Path, marker: str, count_processes: Any) -> None:
    bundle = make_bundle(tmp_path, templates, f"import time; time.sleep(60)  # {marker}")
    job_id = submit(command, bundle)
    farm.wait(lambda: count_processes(marker) > 0, "a task runs")
    command.run("job", "cancel", "--job-id", job_id, "--yes")
    assert farm.wait_job(job_id)["taskRunStatus"] == "CANCELED"
    farm.wait(lambda: count_processes(marker) == 0, "the task is gone")
