"""The copy of the farm that a host starts: versioned, whole or not there, and never touched again."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from shotput import __version__, installed_farm, local_farm
from shotput.errors import FarmError


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("SHOTPUT_DATA_DIR", str(tmp_path / "data"))
    return tmp_path / "data"


@pytest.fixture
def brought(tmp_path: Path) -> Path:
    """A folder as an add-on has it, with a farm that says where it and `shotput` are."""
    folder = tmp_path / "addon" / "farm"
    (folder / "__pycache__").mkdir(parents=True)
    (folder / "__pycache__" / "run_farm.cpython-311.pyc").write_bytes(b"stale")
    (folder / "run_farm.py").write_text(
        "import sys; sys.path.insert(0, __file__.rpartition('/')[0]); import shotput; print(shotput.__file__)"
    )
    return folder


def test_the_copy_runs_without_the_addon(data: Path, brought: Path) -> None:
    python, isolated, script = installed_farm.install(brought)
    assert (python, isolated) == (sys.executable, "-I")
    program = Path(script).parent
    assert program.parent == data / "programs"
    assert program.name.startswith(f"{__version__}-")
    brought.rename(brought.with_name("gone"))
    done = subprocess.run([python, "-I", "-S", script], capture_output=True, text=True, check=False)
    assert done.stdout.strip() == str(program / "shotput" / "__init__.py"), done.stderr
    assert not list(program.glob("__pycache__"))


def test_the_same_farm_is_copied_once_and_a_changed_one_beside_it(data: Path, brought: Path) -> None:
    first = installed_farm.install(brought)
    written = Path(first[2]).stat().st_mtime_ns
    assert installed_farm.install(brought) == first
    assert Path(first[2]).stat().st_mtime_ns == written
    (brought / "run_farm.py").write_text("print('next')")
    second = installed_farm.install(brought, python="/opt/python")
    assert second[0] == "/opt/python"
    assert sorted(path.name for path in (data / "programs").iterdir()) == sorted(
        {Path(first[2]).parent.name, Path(second[2]).parent.name}
    )
    assert len({first[2], second[2]}) == 2


def test_copies_that_nobody_runs_go_when_the_farm_is_updated(data: Path, brought: Path, tmp_path: Path) -> None:
    def copy(text: str) -> Path:
        (brought / "run_farm.py").write_text(text)
        return Path(installed_farm.install(brought)[2])

    def yesterday(*paths: Path) -> None:
        for path in paths:
            os.utime(path, (time.time() - 100_000,) * 2)

    # It never serves, and is a farm all the same: what holds the lock is the process.
    up, stop = tmp_path / "up", tmp_path / "stop"
    wait = f"while not pathlib.Path({str(stop)!r}).exists(): time.sleep(0.01)"
    running = copy(f"import pathlib, time; pathlib.Path({str(up)!r}).touch()\n{wait}")
    unused, asked_for = copy("# unused"), copy("# asked for today")
    unfinished = data / "programs" / ".0.1.0-half"
    unfinished.mkdir()
    with ThreadPoolExecutor(1) as pool:
        launcher = [sys.executable, "-I", str(running)]
        starting = pool.submit(local_farm.start, data_dir=tmp_path / "farm", launcher=launcher, timeout=120)
        try:
            while not up.exists():
                time.sleep(0.01)
            yesterday(running.parent, unused.parent, unfinished)
            current = copy("# newest")
            left = set((data / "programs").iterdir())
        finally:
            stop.touch()
        with pytest.raises(FarmError):
            starting.result()
    assert left == {running.parent, asked_for.parent, current.parent}
    yesterday(running.parent, asked_for.parent)
    assert copy("# newest") == current
    assert list((data / "programs").iterdir()) == [current.parent]


def test_hosts_that_copy_at_once_share_one_copy(data: Path, brought: Path) -> None:
    with ThreadPoolExecutor(3) as pool:
        launchers = list(pool.map(lambda _: installed_farm.install(brought), range(3)))
    assert launchers == [launchers[0]] * 3
    assert len(list((data / "programs").iterdir())) == 1


def test_a_folder_without_a_farm_is_refused(data: Path, tmp_path: Path) -> None:
    with pytest.raises(FarmError) as raised:
        installed_farm.install(tmp_path)
    assert str(raised.value) == (f"There is no farm in {tmp_path}: run_farm.py is missing. Install the add-on again.")


def test_a_data_folder_that_cannot_be_written_is_named(data: Path, brought: Path) -> None:
    data.write_text("in the way")
    with pytest.raises(FarmError) as raised:
        installed_farm.install(brought)
    assert str(raised.value) == (
        f"The farm of {brought} cannot be copied to {data / 'programs'} (Not a directory: {data / 'programs'}). Make "
        "room or the folder writable, or name another one in SHOTPUT_DATA_DIR."
    )
    assert data.read_text() == "in the way"
