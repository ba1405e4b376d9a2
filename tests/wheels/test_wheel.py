"""The wheel of `shotput`: its content, and that it installs and works on old and new Pythons and Linux systems.

``make wheels`` names the released wheel in ``SHOTPUT_WHEEL``. Otherwise it is what maturin makes of the native module
as it was built for the tests, and only the Pythons of this machine are tried.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
import shotput

ROOT = Path(__file__).parents[2]
SMOKE = Path(__file__).with_name("smoke.py")
RELEASED = os.environ.get("SHOTPUT_WHEEL")


@pytest.fixture(scope="session")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    if RELEASED:
        return Path(RELEASED).absolute()
    folder = tmp_path_factory.mktemp("wheel")
    command = [str(Path(sys.executable).with_name("maturin")), "build", "--profile", "dev", "--out", str(folder)]
    subprocess.run(command, cwd=ROOT / "native", check=True, capture_output=True)
    (made,) = folder.iterdir()
    return made


def run(*arguments: str | Path, folder: Path) -> str:
    # Nothing of this environment, so that what the wheel lacks is missed.
    kept = {name: os.environ[name] for name in ("PATH", "HOME", "TMPDIR") if name in os.environ}
    done = subprocess.run(arguments, cwd=folder, env=kept, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{arguments}\n{done.stdout}\n{done.stderr}"
    return done.stdout


def test_it_holds_module_wrappers_stubs_and_licences(wheel: Path) -> None:
    package = ROOT / "native" / "python"
    wrappers = [path.relative_to(package).as_posix() for path in package.rglob("*.py")]
    native = ["shotput/_native.abi3.so", "shotput/_native.pyi", "shotput/py.typed"]
    about = ["METADATA", "RECORD", "WHEEL", "entry_points.txt", "licenses/LICENSE"]
    about += ["sboms/shotput-native.cyclonedx.json"]
    with zipfile.ZipFile(wheel) as content:
        names = content.namelist()
        folder = next(name for name in names if name.endswith("/METADATA")).removesuffix("METADATA")
        metadata = content.read(folder + "METADATA").decode()
        if RELEASED:
            about.append("licenses/THIRD-PARTY-LICENSES")
            assert b"aws-sdk-deadline " in content.read(folder + about[-1])
    assert wrappers
    assert sorted(names) == sorted([*wrappers, *native, *(folder + name for name in about)])
    assert "\nRequires-Python: >=3.9\n" in metadata
    assert "\nLicense-Expression: Apache-2.0\n" in metadata


@pytest.mark.skipif(not RELEASED, reason="a wheel of this machine is linked against this machine's glibc")
def test_it_asks_for_no_newer_glibc_than_its_name_says(wheel: Path) -> None:
    assert wheel.name.endswith("manylinux_2_17_x86_64.whl")
    assert "-cp39-abi3-" in wheel.name
    with zipfile.ZipFile(wheel) as content:
        module = content.read("shotput/_native.abi3.so")
    asked = {(int(major), int(minor)) for major, minor in re.findall(rb"\0GLIBC_(\d+)\.(\d+)", module)}
    assert asked
    assert max(asked) <= (2, 17)


def python(version: str) -> str:
    """A Python of this machine: on PATH, or of pyenv."""
    places = [*(Path.home() / ".pyenv" / "versions").glob(f"{version}.*/bin/python"), shutil.which(f"python{version}")]
    for place in filter(None, places):
        # A version manager's script on PATH may only say that there is none.
        if subprocess.run([place, "-c", ""], capture_output=True, check=False).returncode == 0:
            return str(place)
    pytest.skip(f"there is no Python {version} on this machine, neither on PATH nor of pyenv")


@pytest.mark.parametrize("version", ["3.9", "3.11", "3.13"])
def test_it_works_on_the_pythons_of_this_machine(wheel: Path, version: str, tmp_path: Path) -> None:
    run(python(version), "-m", "venv", "venv", folder=tmp_path)
    installed = tmp_path / "venv" / "bin" / "python"
    run(installed, "-m", "pip", "install", "--quiet", "--no-index", wheel, folder=tmp_path)
    assert run(installed, "-I", "-W", "error", SMOKE, folder=tmp_path).strip() == shotput.__version__


@pytest.mark.timeout(1800)
@pytest.mark.skipif(not RELEASED, reason="whole systems are set up for released wheels only")
@pytest.mark.parametrize(("suite", "version"), [("bullseye", "3.9"), ("bookworm", "3.11"), ("trixie", "3.13")])
def test_it_works_on_other_systems(wheel: Path, suite: str, version: str) -> None:
    if os.geteuid() != 0 or not shutil.which("debootstrap"):
        pytest.skip("setting up a Debian needs root and debootstrap")
    system = ROOT / ".tools" / "debian" / suite
    if not (system / "ready").exists():
        shutil.rmtree(system, ignore_errors=True)
        include = "--include=python3,python3-venv"
        command = ["debootstrap", "--variant=minbase", include, suite, str(system)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if "Failed getting release file" in done.stdout + done.stderr:
            pytest.skip(f"no mirror of Debian answers: {(done.stderr or done.stdout).strip().splitlines()[-1]}")
        assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
        (system / "ready").touch()
    work = system / "smoke"
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir()
    shutil.copy(wheel, work)
    shutil.copy(SMOKE, work)
    script = (
        "cd /smoke && python3 -m venv venv && venv/bin/python -m pip install --quiet --no-index *.whl && "
        f"venv/bin/python -c 'import sys; assert sys.version.startswith(\"{version}.\"), sys.version' && "
        "venv/bin/python -I -W error smoke.py"
    )
    said = run("chroot", system, "/bin/sh", "-c", script, folder=ROOT)
    assert said.strip() == shotput.__version__
