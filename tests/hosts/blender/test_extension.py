"""The built extension in a Blender that has nothing of the repository: valid, small, and renders through its farm."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from shotput import _native

FIXTURES = Path(__file__).parents[2] / "fixtures" / "blender"
ROAD = FIXTURES / "extension_road.py"


@pytest.fixture(scope="session")
def archive(addons: dict[str, Path]) -> Path:
    return addons["blender"]


def blender_python(blender: Path) -> Path:
    python = blender.parent / "python"
    if not python.exists():
        pytest.skip(f"{blender} is no bpy wheel; its Python cannot be asked for Blender's extension tool")
    return python


def extension_tool(blender: Path) -> Path:
    found = sorted(blender.parents[1].glob("lib/python*/site-packages/bpy/*/scripts/addons_core/bl_pkg/cli/*_ext.py"))
    if not found:
        pytest.skip(f"there is no blender_ext.py beside {blender}")
    return found[0]


def processes_that_name(text: str) -> list[str]:
    lines = []
    for file in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):
            lines.append(file.read_bytes().replace(b"\0", b" ").decode(errors="replace"))
    return [line for line in lines if text in line]


def test_blenders_own_validator_accepts_the_zip(archive: Path, blender: Path) -> None:
    command = [str(blender_python(blender)), str(extension_tool(blender)), "validate", str(archive)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout == f'Success parsing TOML in "{archive}"\n'


def test_the_size_is_what_users_are_promised(archive: Path, tmp_path: Path) -> None:
    assert archive.stat().st_size <= 40_000_000
    with zipfile.ZipFile(archive) as content:
        content.extractall(tmp_path / "extension")
    for wheel in (tmp_path / "extension" / "wheels").glob("*.whl"):
        with zipfile.ZipFile(wheel) as content:
            content.extractall(tmp_path / "site-packages")
    # As installed. The first submission adds the copy of the farm, with one more native module; a release's is smaller.
    assert sum(path.stat().st_size for path in tmp_path.rglob("*") if path.is_file()) <= 110_000_000


@pytest.mark.slow
def test_installed_extension_renders_through_the_farm_that_it_brings(
    archive: Path, blender: Path, tmp_path: Path
) -> None:
    if sys.platform != "linux":
        pytest.skip("counts processes through /proc")
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "SHOTPUT"))}
    environment.update(
        BLENDER_USER_RESOURCES=str(tmp_path / "blender"),
        SHOTPUT_DATA_DIR=str(tmp_path / "data"),
        SHOTPUT_BLENDER=str(blender),
    )
    python = blender.parent / "python"
    start = (
        [str(python), "-I", str(ROAD)]
        if python.exists()
        else [str(blender), "--background", "--python-exit-code", "1", "--python", str(ROAD), "--"]
    )
    done = subprocess.run(
        [*start, str(archive), str(tmp_path)], cwd="/", env=environment, capture_output=True, text=True, timeout=240
    )
    assert done.returncode == 0, done.stdout + done.stderr
    line = next(line for line in done.stdout.splitlines() if line.startswith("road: "))
    said = json.loads(line.removeprefix("road: "))
    python_of_farm, isolated, script = said.pop("farm")[:3]
    # From a copy, so that an update of the extension takes nothing away from a farm that runs.
    assert Path(script).is_relative_to(tmp_path / "data" / "programs")
    assert isolated == "-I"
    assert Path(python_of_farm).exists()
    assert Path(said.pop("shotput")).is_relative_to(tmp_path / "blender" / "extensions" / ".local")
    assert said == {
        "install": ["FINISHED"],
        "enabled": True,
        "importable": ["shotput", "shotput_ui"],
        "farm_importable": [],
        "export": ["FINISHED"],
        "submit": ["FINISHED"],
        "stopped": True,
        "left": [],
    }
    frames = sorted((tmp_path / "frames").rglob("*.png"))
    assert [frame.name for frame in frames] == ["shot_0001.png", "shot_0002.png"]
    assert [_native.image_size(str(frame)) for frame in frames] == [(32, 32), (32, 32)]
    assert (tmp_path / "bundle" / "template.yaml").is_file()
    (bundles,) = (tmp_path / "data").glob("farm-*/bundles")
    assert list(bundles.iterdir()) == []
    assert processes_that_name(str(tmp_path)) == []
