"""Why a farm does not start: one sentence each, and nothing left running."""

from __future__ import annotations

import contextlib
import os
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from shotput import local_farm
from shotput.errors import FarmError
from shotput_farm import process
from unit.farm_process.processes import FARM, log, start


def refuse(folder: Path) -> tuple[int, str]:
    """Start a farm that cannot start: its exit code and all that it says."""
    done = subprocess.run([*FARM, "--data-dir", str(folder)], capture_output=True, text=True, timeout=30)
    return done.returncode, done.stderr


@contextlib.contextmanager
def database(folder: Path) -> Iterator[sqlite3.Connection]:
    """Open the database of a farm that has run."""
    start(folder, worker=False)
    local_farm.stop(data_dir=folder)
    with contextlib.closing(sqlite3.connect(folder / "farm.sqlite3", isolation_level=None)) as db:
        yield db


def test_a_port_in_use_is_named(folder: Path) -> None:
    with process.listen(0) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(FarmError) as raised:
            start(folder, port=port)
    assert str(raised.value) == (
        f"Port {port} is in use by another program. Free it, or leave --port out: the farm then takes a free one."
    )
    assert local_farm.state(folder) is None


def test_a_folder_that_cannot_be_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    folder = tmp_path / "file" / "farm"
    assert local_farm.state(folder) is None
    with pytest.raises(FarmError) as raised:
        start(folder)
    assert str(raised.value) == (
        f"The farm cannot be started: its folder {folder} cannot be used (Not a directory). Make it writable, or name "
        "another one in SHOTPUT_DATA_DIR."
    )
    assert refuse(folder) == (
        process.FOLDER_UNUSABLE,
        f"The farm cannot use its folder {folder} (Not a directory). Make it writable, or name another one in "
        "SHOTPUT_DATA_DIR or --data-dir.\n",
    )


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path, make_disk: Callable[[int], Path]) -> None:
    if os.geteuid() == 0:
        folder, reason = make_disk(1 << 20) / "farm", "Read-only file system"
        folder.mkdir()
        subprocess.run(["mount", "-o", "remount,ro", str(folder.parent)], check=True)
    else:
        folder, reason = tmp_path / "farm", "Permission denied"
        folder.mkdir(mode=0o500)
    assert refuse(folder) == (
        process.FOLDER_UNUSABLE,
        f"The farm cannot use its folder {folder} ({reason}). Make it writable, or name another one in "
        "SHOTPUT_DATA_DIR or --data-dir.\n",
    )


@pytest.mark.parametrize("left", [0, 8192, 65536, 131072])
def test_a_full_disk_is_one_sentence_and_a_farm_once_it_has_room(make_disk: Callable[[int], Path], left: int) -> None:
    disk = make_disk(1 << 20)
    folder = disk / "farm"
    folder.mkdir()
    filler = disk / "filler"
    with filler.open("wb") as stream, contextlib.suppress(OSError):
        stream.write(b"x" * (1 << 21))
    os.truncate(filler, filler.stat().st_size - left)
    code, said = refuse(folder)
    full = "database or disk is full"
    assert code == process.FAILED
    assert said in (
        "The disk that holds the farm's data is full. Free space on it, then try again.\n",
        f"The farm's log database {folder}/logs.sqlite3 cannot be opened ({full}). Free the disk or make it writable, "
        "or move that file away: the farm makes a new one.\n",
        f"The farm's database {folder}/farm.sqlite3 cannot be opened ({full}). Nothing was changed; free space on its "
        "disk or make the file writable, then try again.\n",
    )
    filler.unlink()
    start(folder, worker=False)
    assert local_farm.stop(data_dir=folder)


def test_keys_that_cannot_be_understood_are_named(folder: Path) -> None:
    folder.mkdir()
    (folder / "keys.json").write_text("{")
    with pytest.raises(FarmError) as raised:
        start(folder)
    assert str(raised.value) == (
        f"The farm's keys in {folder / 'keys.json'} cannot be understood (Expecting property name enclosed in double "
        "quotes: line 1 column 2 (char 1)). Move that file away; the farm makes new keys when it starts again."
    )
    assert "cannot be understood" in log(folder)


def test_a_python_that_is_not_there_is_named(folder: Path) -> None:
    with pytest.raises(FarmError) as raised:
        local_farm.start("/no/python", data_dir=folder)
    assert str(raised.value) == (
        "The farm cannot be started: /no/python cannot be run (No such file or directory). Name another Python."
    )


def test_a_farm_that_does_not_come_up_in_time_is_ended(folder: Path) -> None:
    sleeper = [sys.executable, "-I", "-c", "import time; time.sleep(60)"]
    with pytest.raises(FarmError) as raised:
        local_farm.start(data_dir=folder, launcher=sleeper, timeout=0.5)
    assert str(raised.value) == (
        "The farm did not serve within 0.5 s; its log says how far it came. Try again with a longer time."
    )
    # It never wrote the log of its own, so what it printed is named.
    assert raised.value.log == str(folder / "logs" / "farm.out")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--port", "0"], "argument --port: '0' is no port: give a number from 1 to 65535"),
        (["--idle-timeout", "soon"], "argument --idle-timeout: 'soon' is no number of seconds"),
    ],
)
def test_a_wrong_option_is_named(arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    from shotput_farm.__main__ import main

    with pytest.raises(SystemExit) as raised:
        main(arguments)
    assert raised.value.code == 2
    assert capsys.readouterr().err.splitlines()[-1] == f"python -m shotput_farm: error: {message}"


def test_a_log_database_that_is_none_is_named(folder: Path) -> None:
    folder.mkdir()
    (folder / "logs.sqlite3").write_text("no database " * 100)
    with pytest.raises(FarmError) as raised:
        start(folder)
    assert str(raised.value) == (
        f"The farm's log database {folder / 'logs.sqlite3'} cannot be opened (file is not a database). Free the disk "
        "or make it writable, or move that file away: the farm makes a new one."
    )


def test_a_database_that_lost_a_table_is_named(folder: Path) -> None:
    with database(folder) as db:
        db.execute("DROP TABLE worker")
    with pytest.raises(FarmError) as raised:
        start(folder)
    path = folder / "farm.sqlite3"
    assert str(raised.value) == (
        f"The farm's database {path} cannot be written (no such table: worker). It is damaged: move it away, and the "
        "farm starts with an empty one."
    )


def test_a_farm_that_fails_to_start_names_its_log(folder: Path) -> None:
    with database(folder) as db:
        db.execute("UPDATE queue SET detail = '{}'")
    with pytest.raises(FarmError) as raised:
        start(folder)
    path = folder / "logs" / "farm.log"
    assert str(raised.value) == f"The farm failed (KeyError: 'jobAttachmentSettings'). Its log {path} says where."
    assert "Traceback" in log(folder)
    assert not local_farm.is_locked(folder)


def test_a_folder_that_cannot_be_made_is_named_and_not_the_python() -> None:
    with pytest.raises(FarmError) as raised:
        local_farm.start(data_dir="/proc/nope/farm")
    assert str(raised.value) == (
        "The farm cannot be started: its folder /proc/nope/farm cannot be used (No such file or directory). Make it "
        "writable, or name another one in SHOTPUT_DATA_DIR."
    )
    assert raised.value.log == ""


def test_the_last_words_of_a_farm_are_whole_lines(folder: Path) -> None:
    lines = [f"{number} {'x' * 300}" for number in range(20)]
    code = f"import sys; sys.stdout.write({chr(10).join(lines)!r}); sys.exit(1)"
    with pytest.raises(FarmError) as raised:
        local_farm.start(data_dir=folder, launcher=[sys.executable, "-I", "-c", code])
    assert str(raised.value).splitlines() == lines[-7:]
    code = f"import sys; sys.stdout.write({'y' * 5000!r}); sys.exit(1)"
    with pytest.raises(FarmError) as raised:
        local_farm.start(data_dir=folder, launcher=[sys.executable, "-I", "-c", code])
    assert str(raised.value) == "y" * 5000
    with pytest.raises(FarmError) as raised:
        local_farm.start(data_dir=folder, launcher=[sys.executable, "-I", "-c", "raise SystemExit(9)"])
    assert str(raised.value) == "The farm ended at once with code 9 and did not say why. Start it again."


def test_a_farm_whose_words_find_no_room_is_said_to_have_a_full_disk(make_disk: Callable[[int], Path]) -> None:
    disk = make_disk(1 << 20)
    with (disk / "filler").open("wb") as stream, contextlib.suppress(OSError):
        stream.write(b"x" * (1 << 21))
    with pytest.raises(FarmError) as raised:
        local_farm.start(data_dir=disk, launcher=[sys.executable, "-I", "-c", "raise SystemExit(120)"])
    assert str(raised.value) == (
        f"The farm cannot be started: the disk that holds {disk} is full. Free space on it, then try again."
    )
