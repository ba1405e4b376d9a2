"""The wheels without native code: each holds its sources, its licence, and nothing else."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

# Project, import package, licences, Pythons.
WHEELS = [
    ("shared_ui", "shotput_ui", ["LICENSE"], ">=3.9"),
    ("farm", "shotput_farm", ["LICENSE"], ">=3.11"),
    ("compat", "deadline", ["LICENSE"], ">=3.9"),
    ("integrations", "shotput_integrations", ["LICENSE", "LICENSE-GPL-3.0-or-later"], ">=3.9"),
]


@pytest.mark.parametrize(("project", "package", "licences", "pythons"), WHEELS, ids=[row[0] for row in WHEELS])
def test_it_holds_its_sources_and_its_licence(
    project: str, package: str, licences: list[str], pythons: str, tmp_path: Path
) -> None:
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)]
    subprocess.run(command, cwd=ROOT / project, check=True, capture_output=True)
    (wheel,) = tmp_path.iterdir()
    with zipfile.ZipFile(wheel) as content:
        names = content.namelist()
        about = next(name for name in names if name.endswith(".dist-info/METADATA")).removesuffix("METADATA")
        metadata = content.read(about + "METADATA").decode()
    assert wheel.name.endswith("-py3-none-any.whl")
    assert sorted(name for name in names if "/licenses/" in name) == [f"{about}licenses/{name}" for name in licences]
    assert f"\nRequires-Python: {pythons}\n" in metadata
    assert "\nLicense-Expression: Apache-2.0" in metadata
    assert sorted(name for name in names if not name.startswith(about)) == sorted(sources(project, package))


def sources(project: str, package: str) -> dict[str, Path]:
    """The files that a wheel is made of, by their names in it."""
    if project != "integrations":
        return files(ROOT / project / package, package)
    found = files(ROOT / "profiles", f"{package}/profiles")
    for folder in (ROOT / project).glob("*/shotput_*"):
        found |= files(folder, f"{package}/{folder.parent.name}/{folder.name}")
    return found


def files(folder: Path, name: str) -> dict[str, Path]:
    listed = (path for path in folder.rglob("*") if path.is_file() and path.suffix != ".pyc")
    return {f"{name}/{path.relative_to(folder).as_posix()}": path for path in listed}


def test_make_builds_all_of_them() -> None:
    members = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["tool"]["uv"]["workspace"]["members"]
    built = subprocess.run(["make", "-n", "pure-wheels"], cwd=ROOT, check=True, capture_output=True, text=True)
    projects = re.search(r"in ([a-z_ ]+);", built.stdout)
    assert projects
    assert set(projects[1].split()) == set(members) - {"native"} == {project for project, *_ in WHEELS}
