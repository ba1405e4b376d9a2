"""The life of a worker: it registers with its farm, works, and leaves in order."""

from __future__ import annotations

import contextlib
import json
import logging
import signal
import sys
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from types import FrameType
from typing import Any

from shotput import local_farm
from shotput.local_farm import FarmState

from shotput_farm.credentials import write_private
from shotput_farm.protocol.errors import Conflict, ResourceNotFound, ServiceError
from shotput_farm.worker import host
from shotput_farm.worker.execution import NativeExecution
from shotput_farm.worker.logs import LogShipper
from shotput_farm.worker.schedule import FarmGoneError, Schedule, WorkerRefusedError
from shotput_farm.worker.service import WorkerService
from shotput_farm.worker.session import Execution, Session

LOG = logging.getLogger(__name__)

# How long a running action gets to end by itself when the worker is told to stop: what the official agent grants.
_DRAIN_GRACE_SECONDS = 4.0
_DRAIN_JOIN_SECONDS = 10.0
_REGISTER_SECONDS = 30.0


class Agent:
    """One worker of the farm that serves ``data_dir``. ``vcpu`` offers another number of cores than there are."""

    def __init__(self, data_dir: Path, state: FarmState, *, vcpu: int | None = None) -> None:
        self._data_dir = data_dir
        self._sessions_dir = data_dir / "sessions"
        self._sessions_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._vcpu = vcpu
        self._service = WorkerService(state)
        self._logs = LogShipper(self._service.put_log_events)
        self._schedule = Schedule(self._service, self._open_session, self._logs.flush, self._farm_lives)

    def run(self) -> None:
        """Work until SIGTERM, SIGINT, or the end of the farm. Returns when all sessions are over."""
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._on_signal)
        threading.Thread(target=self._watch_farm, name="farm-watch", daemon=True).start()
        try:
            while True:
                self._register()
                try:
                    self._schedule.run()
                except WorkerRefusedError as refusal:
                    LOG.warning("%s Registering again.", refusal)
                    self._end_sessions(grace=0.0)
                    continue
                break
            self._drain()
        except FarmGoneError as gone:
            LOG.info("%s Ending.", gone)
            # Nobody takes the lines any more; sessions must not wait for it.
            self._logs.close(0.0)
            self._end_sessions(grace=0.0)
        finally:
            self._logs.close(1.0)
            self._schedule.close()
            self._service.close()

    def _on_signal(self, number: int, _frame: FrameType | None) -> None:
        LOG.info("Got %s: ending the sessions.", signal.Signals(number).name)
        self._schedule.stop()

    def _watch_farm(self) -> None:
        """Wait for the end of standard input: the farm holds it open, and its end is the farm's, however that came."""
        with contextlib.suppress(OSError, ValueError):
            while sys.stdin.buffer.read(4096):
                pass
        self._schedule.stop()

    def _register(self) -> None:
        """Become a STARTED worker, as the one that this data directory had before, if the farm still knows it."""
        deadline = time.monotonic() + _REGISTER_SECONDS
        while True:
            try:
                self._try_register()
                return
            except (OSError, ServiceError) as error:
                refused = isinstance(error, ServiceError) and error.status < 500 and not isinstance(error, Conflict)
                if not self._farm_lives():
                    raise FarmGoneError(f"The farm of this worker is gone ({error}).") from error
                if refused or time.monotonic() > deadline:
                    raise
                LOG.warning("Cannot register yet, trying again: %s", error)
                time.sleep(0.5)

    def _try_register(self) -> None:
        path = self._data_dir / "worker.json"
        properties = host.properties()
        capabilities = host.capabilities(self._sessions_dir, vcpu=self._vcpu)
        service = self._service
        service.use_farm_keys()
        try:
            worker_id = service.register(_persisted_id(path, service.state.fleet_id), properties)
            write_private(path, json.dumps({"worker_id": worker_id, "fleet_id": service.state.fleet_id}))
            service.assume_fleet_role()
            service.update_worker("STARTED", capabilities=capabilities, hostProperties=properties)
        except ResourceNotFound:
            # Deleted by its user, or the database is another one: begin as a new worker.
            path.unlink(missing_ok=True)
            raise Conflict(
                f"The farm does not know the worker of {path}.", "STATUS_CONFLICT", "worker", service.worker_id
            ) from None
        except Conflict as conflict:
            status = conflict.members.get("context", {}).get("status")
            if status in ("STOPPING", "NOT_COMPATIBLE"):
                service.update_worker("STOPPED")
            raise
        LOG.info("Registered as %s with %s.", service.worker_id, _amounts(capabilities))

    def _open_session(self, session_id: str, assignment: Mapping[str, Any], closed: Callable[[str], None]) -> Session:
        options = assignment["logConfiguration"]["options"]
        stream = self._logs.stream(options["logGroupName"], options["logStreamName"])

        def forget(session_id: str) -> None:
            self._logs.remove(stream, 5.0)
            closed(session_id)

        def open_execution() -> Execution:
            return NativeExecution(
                self._service,
                session_id,
                assignment["queueId"],
                assignment["jobId"],
                data_dir=self._data_dir,
                log=stream,
            )

        return Session(session_id, open_execution, self._schedule.reports, forget)

    def _farm_lives(self) -> bool:
        # Its lock and not its state file: a farm that stops in order removes the file before it stops its worker.
        return local_farm.is_locked(self._data_dir)

    def _drain(self) -> None:
        """Tell the farm that this worker stops, interrupt the sessions, report them, say good-bye."""
        if not self._farm_lives():
            raise FarmGoneError("The farm of this worker is gone.")
        try:
            self._service.update_worker("STOPPING")
            self._end_sessions(grace=_DRAIN_GRACE_SECONDS)
            self._schedule.report()
            self._service.update_worker("STOPPED")
            LOG.info("Stopped.")
        except (OSError, ServiceError) as error:
            LOG.warning("Cannot leave in order, the farm will find out by itself: %s", error)
            self._end_sessions(grace=0.0)

    def _end_sessions(self, grace: float) -> None:
        sessions = list(self._schedule.sessions.values())
        for session in sessions:
            session.end(grace)
        deadline = time.monotonic() + grace + _DRAIN_JOIN_SECONDS
        for session in sessions:
            if not session.join(max(0.1, deadline - time.monotonic())):
                LOG.warning("%s does not end.", session.session_id)


def _persisted_id(path: Path, fleet_id: str) -> str:
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
        return str(document["worker_id"]) if document["fleet_id"] == fleet_id else ""
    except (OSError, ValueError, KeyError, TypeError):
        # Missing or not understood: the farm forgets a worker that does not come back.
        return ""


def _amounts(capabilities: Mapping[str, Any]) -> str:
    return ", ".join(
        f"{amount['name'].removeprefix('amount.worker.')} {amount['value']:g}" for amount in capabilities["amounts"]
    )
