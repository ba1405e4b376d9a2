"""A workstation with the drop-in: a real farm that all tests of a module share, and a home folder for each test."""

from __future__ import annotations

import importlib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from integration.conftest import FarmUnderTest
from shotput import local_farm

ROOT = Path(__file__).parents[2]
IMPORT_ALL = Path(__file__).with_name("import_all.py")
SUBMITTERS = ("deadline-cloud-for-blender", "deadline-cloud-for-maya", "deadline-cloud-for-houdini")
AGENT = "deadline-cloud-worker-agent"
# What those ask for and the drop-in stands in for: never to be installed.
OVERRIDES = 'deadline; python_version < "0"\ndeadline-job-attachments; python_version < "0"\n'

PARAMETER = {
    "name": "CondaPackages",
    "type": "STRING",
    "default": "blender=4.*",
    "userInterface": {"control": "LINE_EDIT", "groupLabel": "Software"},
}
ENVIRONMENT = {
    "specificationVersion": "environment-2023-09",
    "parameterDefinitions": [PARAMETER],
    "environment": {"name": "Software", "variables": {"PACKAGES": "{{Param.CondaPackages}}"}},
}


def uv(*arguments: str | Path) -> None:
    program = shutil.which("uv") or shutil.which("uv", path=str(ROOT / ".tools" / "bin"))
    assert program is not None, "uv is needed; `make setup` brings it"
    done = subprocess.run([program, *map(str, arguments)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.fixture(scope="session")
def drop_in() -> Path:
    """The Python of .venv-compat, as `make compat` leaves it."""
    done = subprocess.run([ROOT / "tools" / "compat"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return ROOT / ".venv-compat" / "bin" / "python"


@pytest.fixture(scope="session")
def submitters(drop_in: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the newest submitters of PyPI, and what they need but `deadline`."""
    return _site(drop_in, tmp_path_factory.mktemp("submitters"), *SUBMITTERS)


@pytest.fixture(scope="session")
def agent(drop_in: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the newest worker agent of PyPI, and what it needs but `deadline`."""
    return _site(drop_in, tmp_path_factory.mktemp("agent"), AGENT)


def _site(python: Path, folder: Path, *distributions: str) -> Path:
    overrides = folder / "overrides.txt"
    overrides.write_text(OVERRIDES)
    uv("pip", "install", "--python", python, "--target", folder / "site", "--override", overrides, *distributions)
    return folder / "site"


@pytest.fixture(scope="session")
def newest() -> Path:
    """The Python of an environment with the newest official package: the names and signatures that count."""
    done = subprocess.run([ROOT / "tools" / "peers", sys.executable], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return ROOT / ".bench" / "peers" / "bin" / "python"


@pytest.fixture(scope="session")
def official(drop_in: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The Python of an environment with the newest submitters and worker agent, and the newest official package that
    suits them all.
    """
    folder = tmp_path_factory.mktemp("official") / "venv"
    uv("venv", "--python", drop_in, folder)
    uv("pip", "install", "--python", folder / "bin/python", "deadline", *SUBMITTERS, AGENT)
    return folder / "bin" / "python"


def imported(python: Path, packages: list[str], *path: Path, pretend: str = "") -> dict[str, Any]:
    """How the import of every module of packages ends, and which names they take from the client."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(map(str, path))}
    command = [python, IMPORT_ALL, f"--pretend={pretend}", *packages]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    assert done.returncode == 0, done.stderr
    answer: dict[str, Any] = json.loads(done.stdout)
    return answer


def missing_names(names: list[str]) -> list[str]:
    """Those of ``module:name`` that the drop-in does not have, but for the user interface, which is to come."""
    missing = []
    for symbol in names:
        module, _, name = symbol.partition(":")
        if module.startswith("deadline.client.ui"):
            continue
        try:
            found = hasattr(importlib.import_module(module), name)
        except ImportError:
            found = False
        if not found:
            missing.append(symbol)
    return missing


@dataclass
class Workstation:
    """What a test knows of the farm and of the home folder that the configuration lies in."""

    farm: FarmUnderTest
    folder: Path

    @property
    def farm_id(self) -> str:
        return str(self.farm.state["farm_id"])

    @property
    def queue_id(self) -> str:
        return str(self.farm.state["queue_id"])

    @property
    def storage_profile_id(self) -> str:
        return str(self.farm.state["storage_profile_id"])

    @property
    def queue(self) -> dict[str, str]:
        return self.farm.queue

    def file(self, name: str, text: str) -> Path:
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        return path

    def bundle(self, name: str = "bundle", inputs: tuple[Path, ...] = (), code: str = "print('ran')") -> Path:
        """A bundle with one task that runs Python code."""
        action = {"command": "python3", "args": ["-c", code]}
        template = {
            "specificationVersion": "jobtemplate-2023-09",
            "name": "Shot",
            "parameterDefinitions": [{"name": "Frames", "type": "STRING", "default": "1-3"}],
            "steps": [{"name": "Run", "script": {"actions": {"onRun": action}}}],
        }
        references = {"inputs": {"filenames": [str(path) for path in inputs], "directories": []}}
        self.file(f"{name}/template.json", json.dumps(template))
        self.file(f"{name}/asset_references.json", json.dumps({"assetReferences": references}))
        return self.folder / name

    def submit(self, **keywords: Any) -> str:
        from deadline.client import api

        job_id = api.create_job_from_job_bundle(
            str(self.bundle(code=keywords.pop("code", "print('ran')"))),
            print_function_callback=lambda _: None,
            **keywords,
        )
        assert job_id is not None
        return job_id


@pytest.fixture(scope="session")
def shared_farm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FarmUnderTest]:
    """One farm for all tests here: none of them ends it or fills it."""
    farm = FarmUnderTest(tmp_path_factory.mktemp("farm")).start()
    farm.client().create_queue_environment(
        **farm.queue, priority=1, templateType="JSON", template=json.dumps(ENVIRONMENT)
    )
    yield farm
    farm.stop()


@pytest.fixture
def workstation(shared_farm: FarmUnderTest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Workstation]:
    """This process as a program on a workstation that is set up for the farm: variables, home and configuration."""
    before = dict(os.environ)
    for name in [name for name in os.environ if name.startswith(("AWS_", "DEADLINE_", "SHOTPUT_UPDATE"))]:
        monkeypatch.delenv(name)
    state = local_farm.state(shared_farm.data_dir)
    assert state is not None
    for name, value in local_farm.environment(state).items():
        monkeypatch.setenv(name, value)
    home = tmp_path / "home"
    home.mkdir()
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("DEADLINE_CLOUD_TELEMETRY_OPT_OUT", "true")
    monkeypatch.delenv("DEADLINE_CONFIG_FILE_PATH", raising=False)
    monkeypatch.chdir(tmp_path)

    from deadline.client import api
    from deadline.client.api import _session, _telemetry
    from deadline.client.config import set_setting

    place = Workstation(shared_farm, tmp_path)
    set_setting("defaults.farm_id", place.farm_id)
    set_setting("defaults.queue_id", place.queue_id)
    _session.invalidate_boto3_session_cache()
    yield place
    _session.invalidate_boto3_session_cache()
    _telemetry._clients.clear()
    api.session_context.update(dict.fromkeys(api.session_context))
    # Calls change the environment as programs do.
    os.environ.clear()
    os.environ.update(before)
