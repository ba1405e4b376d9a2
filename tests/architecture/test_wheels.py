"""The wheels outside a checkout: on the oldest Python, and with the hosts and profiles that the command needs."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

_IMPORTS = """
import importlib, json, pkgutil, sys
sys.path.append(sys.argv[1])
import shotput, shotput_ui.host
names = [module.name for module in pkgutil.iter_modules(shotput.__path__, "shotput.") if module.name != "shotput.cli"]
for name in names:
    importlib.import_module(name)
template = {"specificationVersion": "jobtemplate-2023-09", "name": "Frames", "steps": []}
print(json.dumps([shotput.__file__, len(names), shotput.check_template(template)]))
"""
_HOSTS = """
import json, sys
sys.path.append(sys.argv[1])
from shotput import hosts, profile
print(json.dumps([profile.names(), str(hosts.package_folder(profile.find("blender")))]))
"""


@pytest.fixture
def site(addons: dict[str, Path], tmp_path: Path) -> Path:
    """A site-packages with the wheels of `shotput`, `shotput-ui` and `shotput-integrations`, and nothing else."""
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path / "wheels")]
    subprocess.run(command, cwd=ROOT / "integrations", check=True, capture_output=True)
    with zipfile.ZipFile(addons["blender"]) as content:
        content.extractall(tmp_path, [name for name in content.namelist() if name.startswith("wheels/")])
    for wheel in (tmp_path / "wheels").glob("*.whl"):
        with zipfile.ZipFile(wheel) as content:
            content.extractall(tmp_path / "site")
    return tmp_path / "site"


def answer(python: str, code: str, site: Path) -> list[object]:
    command = [python, "-I", "-S", "-c", code, str(site)]
    done = subprocess.run(command, cwd="/", capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return list(json.loads(done.stdout))


def python_39() -> str:
    places = [*(Path.home() / ".pyenv" / "versions").glob("3.9.*/bin/python"), shutil.which("python3.9")]
    for place in filter(None, places):
        # A version manager's python3.9 on PATH may be a script that only says that there is none.
        if subprocess.run([place, "-c", ""], capture_output=True, check=False).returncode == 0:
            return str(place)
    pytest.skip("there is no Python 3.9 on this machine, neither on PATH nor of pyenv")


def test_everything_but_the_command_imports_on_python_39(site: Path) -> None:
    file, modules, findings = answer(python_39(), _IMPORTS, site)
    assert file == str(site / "shotput" / "__init__.py")
    assert isinstance(modules, int)
    assert modules >= 10
    assert isinstance(findings, list)
    assert [set(finding) for finding in findings] == [{"path", "message"}] * len(findings)
    assert findings


def test_an_installed_command_has_hosts_and_profiles(site: Path) -> None:
    names, folder = answer(sys.executable, _HOSTS, site)
    assert names == ["blender", "houdini", "maya"]
    assert folder == str(site / "shotput_integrations" / "blender")


def test_every_wheel_carries_its_licence(site: Path) -> None:
    licences = {
        path.parents[1].name.split("-")[0]: sorted(item.name for item in path.parent.iterdir())
        for path in site.glob("*.dist-info/licenses/LICENSE")
    }
    assert licences == {
        "shotput": ["LICENSE"],
        "shotput_integrations": ["LICENSE", "LICENSE-GPL-3.0-or-later"],
        "shotput_ui": ["LICENSE"],
    }
