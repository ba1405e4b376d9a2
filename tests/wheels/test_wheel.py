"""The wheel of `shotput`: its content, and the oldest glibc that it loads on.

``make wheels`` names the released wheel in ``SHOTPUT_WHEEL``. Otherwise it is what maturin makes of the native module
as it was built for the tests.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
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
