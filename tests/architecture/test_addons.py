"""What build_addons.py makes: the same bytes twice, only what may be shipped, notices of all of it, loadable."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
from shotput import profile

ROOT = Path(__file__).parents[2]


def names_in(archive: Path) -> list[str]:
    with zipfile.ZipFile(archive) as content:
        return content.namelist()


def text_in(archive: Path, name: str) -> str:
    with zipfile.ZipFile(archive) as content:
        return content.read(name).decode()


def test_built_twice_they_are_the_same_bytes(
    addons: dict[str, Path], build_addons: Callable[..., dict[str, Path]]
) -> None:
    again = build_addons(*addons)
    assert {host: path.read_bytes() == addons[host].read_bytes() for host, path in again.items()} == dict.fromkeys(
        addons, True
    )


def test_only_our_own_wheels_reach_blenders_shared_site_packages(addons: dict[str, Path]) -> None:
    wheels = [name.split("/")[1].split("-")[0] for name in names_in(addons["blender"]) if name.startswith("wheels/")]
    assert sorted(wheels) == ["shotput", "shotput_ui"]


def test_the_farm_brings_three_service_models(addons: dict[str, Path]) -> None:
    data = "farm/botocore/data/"
    services = {name.removeprefix(data).split("/")[0] for name in names_in(addons["blender"]) if name.startswith(data)}
    assert {name for name in services if "." not in name} == {"deadline", "logs", "sts"}


@pytest.mark.parametrize("host", ["blender", "houdini", "maya"])
def test_notices_name_every_component_with_its_licence(addons: dict[str, Path], host: str) -> None:
    notices = text_in(addons[host], "THIRD-PARTY-NOTICES")
    listed = {
        " ".join(line.split(" ")[:2]).lower() for line in notices.split("=" * 100)[0].splitlines() if "):" in line
    }
    command = ["cargo", "tree", "--locked", "-p", "shotput-native", "-e", "normal,no-proc-macro", "--prefix", "none"]
    tree = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    crates = {line.split(" (")[0].replace(" v", " ") for line in tree.splitlines() if not line.startswith("shotput-")}
    metadata = [name for name in names_in(addons[host]) if name.endswith(".dist-info/METADATA")]
    fields = [dict(line.split(": ", 1) for line in text_in(addons[host], name).splitlines()[:4]) for name in metadata]
    packages = {
        f"{item['Name']} {item['Version']}".lower() for item in fields if not item["Name"].startswith("shotput")
    }
    assert len(crates) > 100
    assert packages
    assert {name for name in crates | packages if name.lower() not in listed} == set()


@pytest.mark.parametrize("host", ["blender", "houdini", "maya"])
def test_the_profile_is_frozen_and_the_licences_are_there(addons: dict[str, Path], host: str) -> None:
    with zipfile.ZipFile(addons[host]) as content:
        names = content.namelist()
        frozen = json.loads(content.read(next(name for name in names if name.endswith("profile.json"))))
    assert frozen == profile.find(host).document
    assert {name for name in names if name.startswith("LICENSE-")} == {
        "LICENSE-Apache-2.0",
        f"LICENSE-{profile.find(host).license}",
    }
    assert not [name for name in names if "__pycache__" in name or name.endswith(".pyc")]


@pytest.mark.parametrize(("host", "folder"), [("houdini", "shotput/python"), ("maya", "scripts")])
def test_hosts_that_are_not_ready_load_and_say_so(
    addons: dict[str, Path], tmp_path: Path, host: str, folder: str
) -> None:
    with zipfile.ZipFile(addons[host]) as content:
        content.extractall(tmp_path)
    starter = next(path for name in ("userSetup.py", "456.py") for path in tmp_path.rglob(name))
    # -S: nothing but the standard library and the add-on, as in a host's Python.
    code = "import sys, runpy; sys.path.append(sys.argv[1]); runpy.run_path(sys.argv[2]); import shotput, shotput_ui"
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-c", code, str(tmp_path / folder), str(starter)],
        cwd="/",
        env={**os.environ, "PYTHONPATH": ""},
        capture_output=True,
        text=True,
        check=False,
    )
    label = profile.find(host).label
    assert done.stderr == (
        f"Shotput for {label} is not ready yet: this version submits from Blender, and from bundles by the shotput "
        "command.\n"
    )
    assert done.returncode == 0


def with_a_dependency(tmp_path: Path, licence: str) -> subprocess.CompletedProcess[str]:
    """Builds Maya's add-on with one more vendored package, of this licence."""
    package = tmp_path / "site" / "someframes-1.0.dist-info"
    package.mkdir(parents=True)
    (package / "METADATA").write_text(
        f"Metadata-Version: 2.4\nName: someframes\nVersion: 1.0\nLicense-Expression: {licence}\n"
    )
    (package / "RECORD").write_text("someframes.py,,\nsomeframes-1.0.dist-info/METADATA,,\n")
    (tmp_path / "site" / "someframes.py").write_text("")
    shutil.copytree(ROOT / "profiles", tmp_path / "profiles")
    changed = tmp_path / "profiles" / "maya.toml"
    changed.write_text(changed.read_text().replace('vendored = ["qtpy"', 'vendored = ["someframes", "qtpy"'))
    environment = {**os.environ, "PYTHONPATH": str(tmp_path / "site"), "SHOTPUT_PROFILES": str(tmp_path / "profiles")}
    command = [sys.executable, str(ROOT / "build_addons.py"), "--output", str(tmp_path / "dist"), "maya"]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)


def test_an_addon_with_a_refused_licence_is_not_built(tmp_path: Path) -> None:
    done = with_a_dependency(tmp_path, "AGPL-3.0-only")
    assert done.stderr == (
        "The add-on for maya is not built: deny.toml does not allow the licences of\n  someframes 1.0: AGPL-3.0-only\n"
    )
    assert done.returncode == 1
    assert not (tmp_path / "dist").exists()


def test_the_same_addon_with_an_allowed_licence_is_built(tmp_path: Path, addons: dict[str, Path]) -> None:
    done = with_a_dependency(tmp_path, "MIT OR AGPL-3.0-only")
    assert done.returncode == 0, done.stderr
    (archive,) = (tmp_path / "dist").glob("*.zip")
    assert "scripts/someframes.py" in names_in(archive)
    assert "someframes 1.0 (Python package): MIT OR AGPL-3.0-only" in text_in(archive, "THIRD-PARTY-NOTICES")
