"""Blender for tests: $SHOTPUT_BLENDER, the repository's .bpy/bin/blender, or the one on PATH."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from shotput import _native, hosts

ROOT = Path(__file__).parents[3]
SCENES = ROOT / "tests" / "fixtures" / "blender" / "scenes.py"
TIMEOUT = 240


@pytest.fixture(scope="session")
def blender() -> Path:
    # Fails without one: `make test` brings a renderer, and a road that was not walked must not read as passed.
    return hosts.find_executable("blender")


@pytest.fixture(scope="session")
def build(blender: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """Builds a scene of tests/fixtures/blender/scenes.py in a folder of its own; the .blend."""

    def make(name: str) -> Path:
        folder = tmp_path_factory.mktemp(name)
        command = [
            str(blender),
            "--background",
            "--factory-startup",
            "--python-exit-code",
            "1",
            "--python",
            str(SCENES),
        ]
        done = subprocess.run([*command, "--", name, str(folder)], capture_output=True, text=True, timeout=TIMEOUT)
        assert done.returncode == 0, done.stdout + done.stderr
        line = next(line for line in done.stdout.splitlines() if line.startswith("built: "))
        return Path(line.removeprefix("built: "))

    return make


@dataclass
class Run:
    """One run of a task's command: its exit code, its output, and what the probe read in Blender afterwards."""

    code: int
    output: str
    probe: Any = None

    def says(self, kind: str) -> list[str]:
        start = f"openjd_{kind}: "
        return [line.removeprefix(start) for line in self.output.splitlines() if line.startswith(start)]


class Bundle:
    """An exported bundle, read back, and run the way a worker does: format strings resolved natively, nothing of ours
    on the path of the Blender that renders."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.template: dict[str, Any] = _native.parse_template((folder / "template.yaml").read_text("utf-8"))
        self.references = _native.parse_template((folder / "asset_references.yaml").read_text("utf-8"))[
            "assetReferences"
        ]
        listed = _native.parse_template((folder / "parameter_values.yaml").read_text("utf-8"))["parameterValues"]
        self.values = {item["name"]: item["value"] for item in listed}

    def run(
        self,
        work: Path,
        *,
        frames: str,
        step: int = 0,
        rules: list[dict[str, str]] | None = None,
        probe: str = "",
        **changed: Any,
    ) -> Run:
        """Runs one chunk. ``changed`` are job parameters by name, ``probe`` an expression read after the render."""
        work.mkdir(parents=True, exist_ok=True)
        values = {**self.values, **changed}
        assert set(values) == set(self.values)
        script = self.template["steps"][step]["script"]
        names = {"Session.HasPathMappingRules": "true" if rules else "false"}
        (work / "rules.json").write_text(json.dumps({"version": "pathmapping-1.0", "path_mapping_rules": rules or []}))
        names["Session.PathMappingRulesFile"] = str(work / "rules.json")
        for file in script["embeddedFiles"]:
            (work / file["filename"]).write_text(file["data"], encoding="utf-8")
            names[f"Task.File.{file['name']}"] = str(work / file["filename"])
        types = {item["name"]: item["type"] for item in self.template["parameterDefinitions"]}
        for name, value in values.items():
            mapped = _mapped(str(value), rules or []) if types.get(name) == "PATH" else str(value)
            names[f"Param.{name}"], names[f"RawParam.{name}"] = mapped, str(value)
        names["Task.Param.Frame"] = frames
        action = script["actions"]["onRun"]
        command = [_resolved(text, names) for text in (action["command"], *action["args"])]
        if probe:
            place = command.index("--")
            read = (
                f"import bpy, json; scene = bpy.data.scenes[{values['Scene']!r}]; print('probe:' + json.dumps({probe}))"
            )
            command[place:place] = ["--python-expr", read]
        done = subprocess.run(command, cwd=work, capture_output=True, text=True, timeout=TIMEOUT)
        read_back = [line for line in done.stdout.splitlines() if line.startswith("probe:")]
        return Run(done.returncode, done.stdout + done.stderr, json.loads(read_back[-1][6:]) if read_back else None)


def _mapped(path: str, rules: list[dict[str, str]]) -> str:
    for rule in rules:
        if path == rule["source_path"] or path.startswith(rule["source_path"] + "/"):
            return rule["destination_path"] + path[len(rule["source_path"]) :]
    return path


def _resolved(text: str, names: dict[str, str]) -> str:
    for name, value in names.items():
        text = text.replace("{{" + name + "}}", value)
    assert "{{" not in text, text
    return text


@pytest.fixture(scope="session")
def export(blender: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[..., tuple[Bundle, dict[str, Any]]]:
    """Exports a scene: the bundle, and what the exporter said."""

    def make(scene: Path, /, **options: Any) -> tuple[Bundle, dict[str, Any]]:
        folder = tmp_path_factory.mktemp("bundle")
        said = hosts.export_scene(scene, folder, executable=blender, options=options, timeout=TIMEOUT)
        return Bundle(folder), said

    return make


@pytest.fixture(scope="session")
def read_bundle() -> type[Bundle]:
    return Bundle
