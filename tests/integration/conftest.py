"""A real farm for each test: its processes, its HTTP, its database and its object store, in a folder of its own.

Under ``tools/integration``, tests that only talk to a farm share the one that it started.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.config import Config

ENDED = ("SUCCEEDED", "FAILED", "CANCELED", "SUSPENDED", "NOT_COMPATIBLE")
_START_SECONDS = 60


class FarmUnderTest:
    """The farm's process, and boto3 clients that talk to it as any user's program would."""

    def __init__(self, data_dir: Path) -> None:
        self.data_dir = data_dir
        self.process: subprocess.Popen[bytes] | None = None
        self.state: dict[str, Any] = {}

    def start(self, environment: dict[str, str] | None = None) -> FarmUnderTest:
        self.data_dir.mkdir(parents=True, exist_ok=True)
        command = [sys.executable, "-I", "-m", "shotput_farm", "--data-dir", str(self.data_dir)]
        with (self.data_dir / "test-farm.out").open("ab") as out:
            self.process = subprocess.Popen(
                command, stdout=out, stderr=out, env={**os.environ, **(environment or {})}, start_new_session=True
            )
        self.wait(self._serves, "the farm serves", _START_SECONDS)
        return self.attach()

    def attach(self) -> FarmUnderTest:
        """Use the farm that serves in the folder, whoever started it."""
        self.state = json.loads((self.data_dir / "farm.json").read_text())
        return self

    def _serves(self) -> bool:
        assert self.process is not None
        assert self.process.poll() is None, self.output()
        try:
            state = json.loads((self.data_dir / "farm.json").read_text())
        except (OSError, ValueError):
            return False
        return bool(state["pid"] == self.process.pid)

    def stop(self) -> int:
        """End the farm as `shotput farm down` does; its exit code."""
        assert self.process is not None
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(30)

    def kill(self) -> None:
        """kill -9 of the farm's process alone."""
        assert self.process is not None
        self.process.kill()
        self.process.wait(10)

    def output(self) -> str:
        """Everything that could tell what went wrong."""
        files = [self.data_dir / "test-farm.out", *sorted((self.data_dir / "logs").glob("*.log"))]
        return "\n".join(f"== {path}\n{path.read_text()[-6000:]}" for path in files if path.exists())

    def target(self) -> dict[str, Any]:
        from shotput import local_farm

        state = local_farm.state(self.data_dir)
        assert state is not None
        return dict(state.target())

    def client(self, service: str = "deadline") -> Any:
        endpoints = {"deadline": "endpoint_url", "logs": "logs_endpoint_url", "s3": "s3_endpoint_url"}
        return boto3.client(
            service,
            region_name=self.state["region"],
            endpoint_url=self.state[endpoints[service]],
            aws_access_key_id=self.state["access_key_id"],
            aws_secret_access_key=self.state["secret_access_key"],
            config=Config(inject_host_prefix=False, retries={"max_attempts": 1}),
        )

    @property
    def queue(self) -> dict[str, str]:
        return {"farmId": self.state["farm_id"], "queueId": self.state["queue_id"]}

    def submit(self, template: dict[str, Any], **members: Any) -> str:
        reply = self.client().create_job(
            **self.queue,
            template=json.dumps(template),
            templateType="JSON",
            priority=members.pop("priority", 50),
            **members,
        )
        return str(reply["jobId"])

    def job(self, job_id: str) -> dict[str, Any]:
        return dict(self.client().get_job(**self.queue, jobId=job_id))

    def steps(self, job_id: str) -> dict[str, dict[str, Any]]:
        pages = self.client().get_paginator("list_steps").paginate(**self.queue, jobId=job_id)
        return {step["name"]: step for page in pages for step in page["steps"]}

    def tasks(self, job_id: str, step_id: str) -> list[dict[str, Any]]:
        pages = self.client().get_paginator("list_tasks").paginate(**self.queue, jobId=job_id, stepId=step_id)
        return [task for page in pages for task in page["tasks"]]

    def sessions(self, job_id: str) -> list[dict[str, Any]]:
        pages = self.client().get_paginator("list_sessions").paginate(**self.queue, jobId=job_id)
        return [session for page in pages for session in page["sessions"]]

    def actions(self, job_id: str) -> list[dict[str, Any]]:
        """All session actions of a job in full, in the order in which they were run."""
        client = self.client()
        found = []
        for session in self.sessions(job_id):
            pages = client.get_paginator("list_session_actions").paginate(
                **self.queue, jobId=job_id, sessionId=session["sessionId"]
            )
            ids = [action["sessionActionId"] for page in pages for action in page["sessionActions"]]
            ids.sort(key=lambda action_id: int(action_id.rsplit("-", 1)[1]))
            found += [client.get_session_action(**self.queue, jobId=job_id, sessionActionId=one) for one in ids]
        return found

    def log(self, job_id: str) -> str:
        """The text of all sessions of a job."""
        client = self.client("logs")
        group = f"/aws/deadline/{self.state['farm_id']}/{self.state['queue_id']}"
        lines: list[str] = []
        for session in self.sessions(job_id):
            token: dict[str, str] = {}
            while True:
                page = client.get_log_events(
                    logGroupName=group, logStreamName=session["sessionId"], startFromHead=True, **token
                )
                lines += [event["message"] for event in page["events"]]
                if page["nextForwardToken"] == token.get("nextToken"):
                    break
                token = {"nextToken": page["nextForwardToken"]}
        return "\n".join(lines)

    def wait_job(self, job_id: str, timeout: float = 60) -> dict[str, Any]:
        """Wait for the end of a job; what GetJob says then."""
        self.wait(lambda: self.job(job_id).get("taskRunStatus") in ENDED, f"{job_id} ends", timeout)
        return self.job(job_id)

    def wait(self, condition: Callable[[], Any], what: str, timeout: float = 30) -> None:
        deadline = time.monotonic() + timeout
        while not condition():
            assert time.monotonic() < deadline, f"not within {timeout} s: {what}\n{self.output()}"
            time.sleep(0.05)

    def worker_pids(self) -> list[int]:
        """The process ids of the farm's workers: one, and for moments none."""
        return [pid for pid in processes("shotput_farm.worker") if str(self.data_dir) in command_of(pid)]

    def worker_pid(self) -> int:
        """The process id of the farm's worker."""
        (found,) = self.worker_pids()
        return found


def command_of(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
    except OSError:
        return ""


def processes(marker: str) -> list[int]:
    """The live processes that have ``marker`` in their command line."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and int(entry.name) != os.getpid() and marker in command_of(int(entry.name)):
            try:
                state = (entry / "stat").read_text().rpartition(")")[2].split()[0]
            except OSError:
                continue
            if state != "Z":
                found.append(int(entry.name))
    return found


@pytest.fixture
def make_farm(tmp_path: Path) -> Iterator[Callable[..., FarmUnderTest]]:
    if sys.platform != "linux":
        pytest.skip("counts processes through /proc")
    farms: list[FarmUnderTest] = []

    def make(environment: dict[str, str] | None = None, *, folder: Path = tmp_path) -> FarmUnderTest:
        farms.append(FarmUnderTest(folder / f"farm-{len(farms)}"))
        return farms[-1].start(environment)

    yield make
    for farm in farms:
        if farm.process is not None and farm.process.poll() is None:
            try:
                farm.stop()
            except subprocess.TimeoutExpired:
                farm.kill()
                raise
        left = processes(str(farm.data_dir))
        for pid in left:
            os.kill(pid, signal.SIGKILL)
        shutil.rmtree(farm.data_dir / "sessions", ignore_errors=True)
        assert not left, f"processes outlived their farm: {left}"


@pytest.fixture
def own_farm(make_farm: Callable[..., FarmUnderTest]) -> FarmUnderTest:
    """A farm that the test may end and start."""
    return make_farm()


@pytest.fixture
def farm(request: pytest.FixtureRequest) -> FarmUnderTest:
    """A farm that the test only talks to."""
    shared = os.environ.get("SHOTPUT_FARM_UNDER_TEST")
    return FarmUnderTest(Path(shared)).attach() if shared else request.getfixturevalue("own_farm")


@pytest.fixture
def marker() -> str:
    """A text that no other process has in its command line."""
    return f"shotput-test-{uuid.uuid4().hex}"


@pytest.fixture
def count_processes() -> Callable[[str], int]:
    return lambda text: len(processes(text))


def script(text: str, **action: Any) -> dict[str, Any]:
    """An OpenJD action that runs Python code."""
    return {"command": sys.executable, "args": ["-c", text], **action}


def step(
    name: str, on_run: dict[str, Any], *, frames: str | None = None, vcpu: int | None = 1, **members: Any
) -> dict[str, Any]:
    """A step template; ``frames`` makes a task of each number in the range, ``vcpu=None`` takes the whole machine."""
    template: dict[str, Any] = {"name": name, "script": {"actions": {"onRun": on_run}}, **members}
    if frames is not None:
        template["parameterSpace"] = {"taskParameterDefinitions": [{"name": "Frame", "type": "INT", "range": frames}]}
    if vcpu is not None:
        template["hostRequirements"] = {"amounts": [{"name": "amount.worker.vcpu", "min": vcpu}]}
    return template


def job(name: str, *steps: dict[str, Any], **members: Any) -> dict[str, Any]:
    """A job template."""
    return {"specificationVersion": "jobtemplate-2023-09", "name": name, "steps": list(steps), **members}


def environment(name: str, enter: str | None, leave: str | None = None, **members: Any) -> dict[str, Any]:
    """An environment whose actions run Python code."""
    actions = {}
    if enter is not None:
        actions["onEnter"] = script(enter)
    if leave is not None:
        actions["onExit"] = script(leave)
    return {"name": name, "script": {"actions": actions}, **members}


@pytest.fixture
def templates() -> Any:
    """The builders of templates: ``templates.job(…)``, ``.step``, ``.script``, ``.environment``."""
    import types

    return types.SimpleNamespace(job=job, step=step, script=script, environment=environment)
