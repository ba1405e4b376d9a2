"""The farm as processes: started, attached to, killed, stopped."""

from __future__ import annotations

import json
import os
import signal
import stat
import subprocess
import sys
import threading
import time
import urllib.request
from pathlib import Path

import pytest
from shotput import local_farm
from shotput.local_farm import FarmState
from shotput.task_environment import inherited
from shotput_farm import process
from shotput_farm.credentials import CredentialStore
from shotput_farm.protocol.client import FarmClient
from unit.farm_process.processes import FARM, alive, log, start, wait_for, workers

TEMPLATE = {
    "specificationVersion": "jobtemplate-2023-09",
    "name": "waits",
    "steps": [{"name": "Wait", "script": {"actions": {"onRun": {"command": "/bin/true"}}}}],
}


def change_jobs(farm: FarmState, job_id: str | None = None) -> str:
    """Submit a job that waits for a worker, or cancel it."""
    key = CredentialStore(Path(farm.data_dir) / "keys.json", bucket="").root
    client = FarmClient(farm.endpoint_url, key)
    queue = {"farmId": farm.farm_id, "queueId": farm.queue_id}
    if job_id is None:
        job = {"template": json.dumps(TEMPLATE), "templateType": "JSON", "priority": 50}
        job_id = str(client.call("CreateJob", **queue, **job)["jobId"])
    else:
        client.call("UpdateJob", **queue, jobId=job_id, targetTaskRunStatus="CANCELED")
    client.close()
    return job_id


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
    assert log(folder).endswith(" INFO shotput_farm.process: Farm stopped\n")
    assert not alive(farm.pid)
    assert local_farm.stop(data_dir=folder) is False


def test_target_and_environment_of_a_farm(folder: Path) -> None:
    farm = start(folder, worker=False)
    assert farm.target() == {
        "farm_id": farm.farm_id,
        "queue_id": farm.queue_id,
        "storage_profile_id": farm.storage_profile_id,
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
    second = subprocess.run([*FARM, "--data-dir", str(folder)], capture_output=True, text=True, timeout=30)
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
    assert "The worker ended with code -9; its last words are in" in log(folder)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_stops_the_farm_and_its_worker(folder: Path, number: int) -> None:
    process_ = subprocess.Popen([*FARM, "--data-dir", str(folder)])
    (worker,) = wait_for(lambda: local_farm.state(folder) and workers(folder))
    process_.send_signal(number)
    assert process_.wait(20) == 0
    assert not alive(worker)
    assert not (folder / "farm.json").exists()


def test_an_idle_farm_ends_itself_and_a_busy_one_does_not(folder: Path) -> None:
    job_id = change_jobs(start(folder, worker=False))
    local_farm.stop(data_dir=folder)
    farm = start(folder, idle_timeout=1.0, worker=False)
    time.sleep(3)
    assert local_farm.state(folder) == farm
    change_jobs(farm, job_id)
    wait_for(lambda: not local_farm.is_locked(folder))
    assert "Stop: idle for 1 s" in log(folder)


def age(folder: Path) -> FarmState:
    """Let the running farm be one of an older version, to all who look for it."""
    path = folder / "farm.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "version": "0.0.9"}))
    farm = local_farm.state(folder)
    assert farm is not None
    return farm


def test_an_older_farm_is_used_until_its_jobs_are_done_and_then_replaced(folder: Path) -> None:
    job_id = change_jobs(start(folder, worker=False))
    old = age(folder)
    assert start(folder, worker=False) == old
    assert not (folder / "farm.replace").exists()
    change_jobs(old, job_id)
    new = start(folder, worker=False)
    assert (new.version, new.endpoint_url) == (local_farm.__version__, old.endpoint_url)
    assert new.pid != old.pid
    assert not alive(old.pid)
    assert "Stop: a newer Shotput takes over" in log(folder)
    assert start(folder, worker=False) == new


def test_a_farm_and_its_worker_take_what_is_listed_of_their_starters_environment(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GITHUB_TOKEN", "secret")
    monkeypatch.setenv("SHOTPUT_SESSION_MARKER", "of a task")
    monkeypatch.setenv("OCIO", "/show/config.ocio")
    farm = start(folder)
    (worker,) = wait_for(lambda: workers(folder))
    expected = {f"{name}={value}" for name, value in inherited(os.environ).items()}
    assert "OCIO=/show/config.ocio" in expected
    for pid in (farm.pid, worker):
        found = wait_for(lambda pid=pid: Path(f"/proc/{pid}/environ").read_bytes()).decode().rstrip("\0")
        assert set(found.split("\0")) == expected


def test_a_stop_file_stops_the_farm(folder: Path) -> None:
    start(folder, worker=False)
    (folder / "farm.stop").touch()
    wait_for(lambda: not local_farm.is_locked(folder))
    assert not (folder / "farm.stop").exists()


def test_a_last_port_that_is_taken_is_replaced(folder: Path) -> None:
    first = start(folder, worker=False)
    local_farm.stop(data_dir=folder)
    with process.listen(int(first.endpoint_url.rpartition(":")[2])):
        assert start(folder, worker=False).endpoint_url != first.endpoint_url


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
