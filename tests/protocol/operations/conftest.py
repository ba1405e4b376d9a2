"""A whole farm behind its real API, and boto3 in front of it. Replies are checked against the service model."""

from __future__ import annotations

import asyncio
import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3
import pytest
import uvicorn
from botocore.config import Config
from shotput_farm.app import Application
from shotput_farm.credentials import CredentialStore
from shotput_farm.farm import BUCKET, Farm

# One session: a fresh one would read the service model again for each client.
_SESSION = boto3.Session()


class Clock:
    """The farm's clock: the system's, ``ahead`` of it by so many seconds."""

    def __init__(self) -> None:
        self.ahead = 0.0

    def __call__(self) -> float:
        return time.time() + self.ahead


@dataclass
class Served:
    """A farm that serves. ``call`` is a boto3 deadline client of the farm's user."""

    farm: Farm
    clock: Clock
    endpoint: str
    ids: dict[str, str]
    call: Any

    @property
    def in_farm(self) -> dict[str, str]:
        return {"farmId": self.ids["farm_id"]}

    @property
    def in_queue(self) -> dict[str, str]:
        return {"farmId": self.ids["farm_id"], "queueId": self.ids["queue_id"]}

    @property
    def in_fleet(self) -> dict[str, str]:
        return {"farmId": self.ids["farm_id"], "fleetId": self.ids["fleet_id"]}

    def client(self, access_key: str, secret: str, token: str | None = None, service: str = "deadline") -> Any:
        return _SESSION.client(
            service,
            region_name="us-west-2",
            endpoint_url=self.endpoint,
            aws_access_key_id=access_key,
            aws_secret_access_key=secret,
            aws_session_token=token,
            config=Config(inject_host_prefix=False, retries={"total_max_attempts": 1}),
        )

    def submit(self, document: dict[str, Any], **more: Any) -> dict[str, str]:
        """Create a job and return the ids that operations on it take."""
        body = {"specificationVersion": "jobtemplate-2023-09", "name": "Shot", **document}
        values = {"priority": 50, "template": json.dumps(body), "templateType": "JSON", **more}
        return {**self.in_queue, "jobId": self.call.create_job(**self.in_queue, **values)["jobId"]}

    def steps(self, job: dict[str, str]) -> dict[str, dict[str, Any]]:
        """Return a job's steps by name."""
        return {step["name"]: step for step in self.call.list_steps(**job)["steps"]}

    def worker(self, vcpu: float = 4, **amounts: float) -> Worker:
        """Register and start a worker."""
        worker_id = self.call.create_worker(**self.in_fleet, hostProperties={"hostName": "render01"})["workerId"]
        worker = Worker(self, {**self.in_fleet, "workerId": worker_id})
        worker.start(vcpu, **amounts)
        return worker


class Worker:
    """A worker that follows the published protocol, with keys of its own."""

    def __init__(self, served: Served, ids: dict[str, str]) -> None:
        self.served = served
        self.ids = ids
        keys = served.call.assume_fleet_role_for_worker(**ids)["credentials"]
        self.keys = (keys["accessKeyId"], keys["secretAccessKey"], keys["sessionToken"])
        self.call = served.client(*self.keys)
        self.sessions: dict[str, Any] = {}
        self.canceled: dict[str, list[str]] = {}

    def start(self, vcpu: float = 4, **amounts: float) -> dict[str, Any]:
        offered = [{"name": "amount.worker.vcpu", "value": vcpu}, {"name": "amount.worker.memory", "value": 8192.0}]
        offered += [{"name": f"amount.worker.{name}", "value": value} for name, value in amounts.items()]
        attributes = [
            {"name": "attr.worker.os.family", "values": ["linux"]},
            {"name": "attr.worker.cpu.arch", "values": ["x86_64"]},
        ]
        capabilities = {"amounts": offered, "attributes": attributes}
        reply: dict[str, Any] = self.call.update_worker(**self.ids, status="STARTED", capabilities=capabilities)
        return reply

    def exchange(self, reports: dict[str, Any] | None = None) -> dict[str, Any]:
        reply: dict[str, Any] = self.call.update_worker_schedule(**self.ids, updatedSessionActions=reports or {})
        self._take(reply)
        return reply

    def wait(self, seconds: float, reports: dict[str, Any] | None = None) -> dict[str, Any]:
        """Exchange like our own worker: the farm may hold the request for so many seconds."""
        client = self.served.client(*self.keys)
        client.meta.events.register(
            "before-sign.deadline.UpdateWorkerSchedule",
            lambda request, **_: request.headers.add_header("X-Shotput-Hold-Seconds", str(seconds)),
        )
        reply: dict[str, Any] = client.update_worker_schedule(**self.ids, updatedSessionActions=reports or {})
        self._take(reply)
        return reply

    def _take(self, reply: dict[str, Any]) -> None:
        self.sessions = reply["assignedSessions"]
        self.canceled = reply["cancelSessionActions"]

    def actions(self) -> list[dict[str, Any]]:
        """Return all queued actions, session after session."""
        return [action for session in self.sessions.values() for action in session["sessionActions"]]

    def kinds(self) -> list[str]:
        """Return what the queued actions are, in order: ``taskRun`` and so on."""
        return [next(iter(action["definition"])) for action in self.actions()]

    def finish(self, number: int = 1000, status: str = "SUCCEEDED") -> dict[str, Any]:
        """End the first ``number`` queued actions with a status and fetch the next schedule."""
        now = time.time()
        report = {"completedStatus": status, "startedAt": now - 0.01, "endedAt": now, "processExitCode": 0}
        if status != "SUCCEEDED":
            report["processExitCode"] = 1
        return self.exchange({action["sessionActionId"]: report for action in self.actions()[:number]})

    def run_out(self, limit: int = 200) -> int:
        """Run everything there is and return how many tasks that was."""
        number = 0
        self.exchange()
        for _ in range(limit):
            if not self.sessions:
                return number
            number += self.kinds().count("taskRun")
            self.finish()
        raise AssertionError(f"After {limit} exchanges there are still sessions: {self.sessions}")


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Served]:
    """A farm of its own."""
    served, stop = serve(tmp_path)
    try:
        yield served
    finally:
        stop()


@pytest.fixture
def serve_folder() -> Callable[[Path], tuple[Served, Callable[[], None]]]:
    """Open and serve the farm of a folder; the second value stops it."""
    return serve


def serve(data_dir: Path) -> tuple[Served, Callable[[], None]]:
    clock = Clock()
    farm = Farm.open(data_dir, clock=clock)
    farm.credentials = CredentialStore(data_dir / "keys.json", bucket=BUCKET)
    sock = socket.create_server(("127.0.0.1", 0))
    ready, loop_of, stopping = threading.Event(), [], asyncio.Event()

    async def serve() -> None:
        farm.on_start()
        app = Application(farm, strict_replies=True)
        config = uvicorn.Config(app, loop="asyncio", http="h11", ws="none", lifespan="off", log_config=None)
        server = uvicorn.Server(config)
        server.install_signal_handlers = lambda: None  # type: ignore[attr-defined]
        serving = asyncio.create_task(server.serve(sockets=[sock]))
        while not server.started:
            await asyncio.sleep(0.005)
        loop_of.append(asyncio.get_running_loop())
        ready.set()
        await stopping.wait()
        app.stop()
        server.should_exit = True
        await farm.on_stop()
        await serving
        await asyncio.to_thread(app.close)

    thread = threading.Thread(target=asyncio.run, args=(serve(),))
    thread.start()
    assert ready.wait(20)

    def stop() -> None:
        loop_of[0].call_soon_threadsafe(stopping.set)
        thread.join(20)
        assert not thread.is_alive()
        farm.close()

    root = farm.credentials.root
    served = Served(farm, clock, f"http://127.0.0.1:{sock.getsockname()[1]}", farm.defaults(), None)
    served.call = served.client(root.access_key_id, root.secret_access_key)
    return served, stop
