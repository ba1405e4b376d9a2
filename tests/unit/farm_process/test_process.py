"""The farm as processes: started, attached to, killed, stopped."""

from __future__ import annotations

import errno
import json
import os
import signal
import stat
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from shotput import local_farm
from shotput.errors import FarmError
from shotput.local_farm import FarmState
from shotput_farm import process

TINY = [sys.executable, "-I", str(Path(__file__).with_name("tiny.py"))]


def wait_for(condition: Callable[[], Any], seconds: float = 20.0) -> Any:
    deadline = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.02)
    return found


def alive(pid: int) -> bool:
    """Tell whether a process runs; one that ended and was not collected does not."""
    try:
        status = Path(f"/proc/{pid}/stat").read_text()
    except FileNotFoundError:
        return False
    return status.rpartition(")")[2].split()[0] != "Z"


def workers(folder: Path) -> list[int]:
    path = folder / "workers"
    return [int(line) for line in path.read_text().split()] if path.exists() else []


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    path = tmp_path / "farm"
    yield path
    local_farm.stop(data_dir=path)
    for pid in workers(path):
        assert not alive(pid)


def start(folder: Path, **options: Any) -> FarmState:
    return local_farm.start(data_dir=folder, launcher=TINY, timeout=30, **options)


def test_a_farm_starts_once_serves_and_stops(folder: Path) -> None:
    assert local_farm.state(folder) is None
    farm = start(folder)
    assert local_farm.state(folder) == farm
    assert start(folder) == farm
    with urllib.request.urlopen(f"{farm.sts_endpoint_url}/health") as response:
        assert response.read() == b"ok"
    assert stat.S_IMODE((folder / "farm.json").stat().st_mode) == 0o600
    assert stat.S_IMODE((folder / "keys.json").stat().st_mode) == 0o600
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    document = json.loads((folder / "farm.json").read_text())
    assert document["endpoint_url"] == f"http://localhost:{document['endpoint_url'].rpartition(':')[2]}"
    assert document["pid"] == farm.pid
    assert farm.secret_access_key not in repr(farm)
    assert local_farm.stop(data_dir=folder) is True
    assert local_farm.state(folder) is None
    assert not (folder / "farm.json").exists()
    assert (folder / "stopped").exists()
    assert (folder / "closed").exists()
    assert not alive(farm.pid)
    assert local_farm.stop(data_dir=folder) is False


def test_target_and_environment_of_a_farm(folder: Path) -> None:
    farm = start(folder, worker=False)
    assert farm.target() == {
        "farm_id": "the farm_id",
        "queue_id": "the queue_id",
        "storage_profile_id": "the storage_profile_id",
        "region": "us-west-2",
        "endpoint_url": farm.endpoint_url,
        "s3_endpoint_url": farm.s3_endpoint_url,
        "sts_endpoint_url": farm.sts_endpoint_url,
        "logs_endpoint_url": farm.logs_endpoint_url,
        "access_key_id": farm.access_key_id,
        "secret_access_key": farm.secret_access_key,
        "session_token": None,
        "profile": None,
    }
    assert local_farm.environment(farm) == {
        "AWS_ENDPOINT_URL_DEADLINE": farm.endpoint_url,
        "AWS_ENDPOINT_URL_STS": farm.sts_endpoint_url,
        "AWS_ENDPOINT_URL_S3": farm.s3_endpoint_url,
        "AWS_ENDPOINT_URL_CLOUDWATCH_LOGS": farm.logs_endpoint_url,
        "AWS_ENDPOINT_URL_CLOUDWATCHLOGS": farm.logs_endpoint_url,
        "AWS_ACCESS_KEY_ID": farm.access_key_id,
        "AWS_SECRET_ACCESS_KEY": farm.secret_access_key,
        "AWS_DEFAULT_REGION": "us-west-2",
        "AWS_REGION": "us-west-2",
        "AWS_DISABLE_HOST_PREFIX_INJECTION": "true",
    }
    assert workers(folder) == []


def test_starters_at_the_same_time_get_the_same_farm(folder: Path) -> None:
    found: list[FarmState] = []
    threads = [threading.Thread(target=lambda: found.append(start(folder, worker=False))) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 3
    assert len({farm.pid for farm in found}) == 1


def test_a_second_farm_in_the_folder_says_so(folder: Path) -> None:
    farm = start(folder, worker=False)
    second = subprocess.run([*TINY, "--data-dir", str(folder)], capture_output=True, text=True, timeout=30)
    assert second.returncode == local_farm.ALREADY_RUNNING
    assert second.stderr == (
        f"A farm runs in {folder} already at {farm.endpoint_url}, as process {farm.pid}. Use that one, or stop it with "
        "`shotput farm down`.\n"
    )
    assert local_farm.state(folder) == farm


def test_a_killed_farm_comes_back_with_its_keys_and_ports(folder: Path) -> None:
    first = start(folder)
    (worker,) = wait_for(lambda: workers(folder))
    os.kill(first.pid, signal.SIGKILL)
    wait_for(lambda: local_farm.state(folder) is None)
    assert (folder / "farm.json").exists()
    wait_for(lambda: not alive(worker))
    assert (folder / f"worker-{worker}-ended").exists()
    second = start(folder)
    assert second.pid != first.pid
    assert second.access_key_id == first.access_key_id
    assert second.secret_access_key == first.secret_access_key
    assert second.endpoint_url == first.endpoint_url
    assert second.s3_endpoint_url == first.s3_endpoint_url


def test_a_killed_worker_is_started_again(folder: Path) -> None:
    start(folder)
    (first,) = wait_for(lambda: workers(folder))
    os.kill(first, signal.SIGKILL)
    assert wait_for(lambda: workers(folder)[1:])
    assert "The worker ended with code -9" in (folder / "logs" / "farm.log").read_text()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_stops_the_farm_and_its_worker(folder: Path, number: int) -> None:
    process_ = subprocess.Popen([*TINY, "--data-dir", str(folder)])
    (worker,) = wait_for(lambda: local_farm.state(folder) and workers(folder))
    process_.send_signal(number)
    assert process_.wait(20) == 0
    assert not alive(worker)
    assert not (folder / "farm.json").exists()


def test_an_idle_farm_ends_itself_and_a_busy_one_does_not(folder: Path) -> None:
    folder.mkdir()
    (folder / "busy").touch()
    start(folder, idle_timeout=1.0, worker=False)
    time.sleep(3)
    assert local_farm.state(folder) is not None
    (folder / "busy").unlink()
    wait_for(lambda: not local_farm.is_locked(folder))
    assert "Stop: idle for 1 s" in (folder / "logs" / "farm.log").read_text()


def test_a_stop_file_stops_the_farm(folder: Path) -> None:
    start(folder, worker=False)
    (folder / "farm.stop").touch()
    wait_for(lambda: not local_farm.is_locked(folder))
    assert not (folder / "farm.stop").exists()


def test_a_port_in_use_is_named(folder: Path) -> None:
    with process.listen(0) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(FarmError) as raised:
            start(folder, port=port)
    assert str(raised.value) == (
        f"Port {port} is in use by another program. Free it, or leave --port out: the farm then takes a free one."
    )
    assert local_farm.state(folder) is None


def test_a_last_port_that_is_taken_is_replaced(folder: Path) -> None:
    first = start(folder, worker=False)
    local_farm.stop(data_dir=folder)
    with process.listen(int(first.endpoint_url.rpartition(":")[2])):
        assert start(folder, worker=False).endpoint_url != first.endpoint_url


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
    direct = subprocess.run([*TINY, "--data-dir", str(folder)], capture_output=True, text=True, timeout=30)
    assert (direct.returncode, direct.stderr) == (
        process.FOLDER_UNUSABLE,
        f"The farm cannot use its folder {folder} (Not a directory). Make it writable, or name another one in "
        "SHOTPUT_DATA_DIR or --data-dir.\n",
    )


def test_a_folder_on_a_read_only_disk_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def touch(self: Path) -> None:
        raise OSError(errno.EROFS, os.strerror(errno.EROFS), str(self))

    monkeypatch.setattr(Path, "touch", touch)
    with pytest.raises(process.StartError) as raised:
        process.run(process.Settings(tmp_path))
    assert str(raised.value) == (
        f"The farm cannot use its folder {tmp_path} (Read-only file system). Make it writable, or name another one in "
        "SHOTPUT_DATA_DIR or --data-dir."
    )
    assert raised.value.code == process.FOLDER_UNUSABLE


def test_keys_that_cannot_be_understood_are_named(folder: Path) -> None:
    folder.mkdir()
    (folder / "keys.json").write_text("{")
    with pytest.raises(FarmError) as raised:
        start(folder)
    assert str(raised.value) == (
        f"The farm's keys in {folder / 'keys.json'} cannot be understood (Expecting property name enclosed in double "
        "quotes: line 1 column 2 (char 1)). Move that file away; the farm makes new keys when it starts again."
    )
    assert "cannot be understood" in (folder / "logs" / "farm.log").read_text()


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


def test_a_state_file_without_a_lock_is_no_farm(folder: Path) -> None:
    start(folder, worker=False)
    text = (folder / "farm.json").read_text()
    local_farm.stop(data_dir=folder)
    (folder / "farm.json").write_text(text)
    assert local_farm.state(folder) is None


def test_the_folder_is_per_user_and_host(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("socket.gethostname", lambda: "box 1/x")
    monkeypatch.setenv("SHOTPUT_DATA_DIR", str(tmp_path))
    assert local_farm.data_dir() == tmp_path / "farm-box-1-x"
    monkeypatch.delenv("SHOTPUT_DATA_DIR")
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setenv("XDG_DATA_HOME", "/data")
    assert local_farm.data_dir() == Path("/data/shotput/farm-box-1-x")
    monkeypatch.delenv("XDG_DATA_HOME")
    monkeypatch.setenv("HOME", "/home/a")
    assert local_farm.data_dir() == Path("/home/a/.local/share/shotput/farm-box-1-x")
    monkeypatch.setattr(sys, "platform", "darwin")
    assert local_farm.data_dir() == Path("/home/a/Library/Application Support/Shotput/farm-box-1-x")


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


def test_a_farm_that_fails_to_start_names_its_log(folder: Path) -> None:
    folder.mkdir()
    (folder / "broken").touch()
    with pytest.raises(FarmError) as raised:
        start(folder)
    log = folder / "logs" / "farm.log"
    assert str(raised.value) == f"The farm failed (RuntimeError: the cellar is flooded). Its log {log} says where."
    assert "Traceback" in log.read_text()
    assert not local_farm.is_locked(folder)
