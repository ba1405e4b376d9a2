"""The worker's conversation with its farm: results go out, assignments come in, heartbeats never stop.

One call of UpdateWorkerSchedule at a time. With nothing to tell it is held open by the farm until there is work or a
cancel; a result that comes up meanwhile ends the held call from this side and goes out with the next one. The farm's
answer is a snapshot of all that the worker should be doing, so an answer that is lost costs nothing.
"""

from __future__ import annotations

import contextlib
import logging
import socket
import threading
import time
from collections.abc import Callable, Mapping
from typing import Any, Protocol

from shotput_farm.protocol.errors import Conflict, ResourceNotFound, ServiceError, Throttling
from shotput_farm.worker.reports import Reports, Update
from shotput_farm.worker.session import Session

LOG = logging.getLogger(__name__)

# Results of a session that has more to do wait this long for others: one call then carries many.
_GATHER_SECONDS = 0.05
# The answer to a held call comes before this many seconds have passed; it is also the heartbeat of a quiet worker.
_HOLD_SECONDS = 20.0
_SLOWEST_RETRY_SECONDS = 30.0
_LOG_FLUSH_SECONDS = 10.0


class Farm(Protocol):
    """What the schedule asks of the service."""

    def update_schedule(
        self, updates: Mapping[str, Update], hold: float, wakeup: socket.socket | None
    ) -> dict[str, Any] | None:
        """Call UpdateWorkerSchedule; None when ``wakeup`` became readable before an answer came."""


class FarmGoneError(Exception):
    """The farm of this worker does not run any more."""


class WorkerRefusedError(Exception):
    """The farm does not take this worker for a running one; it has to register anew. The text says why."""


class Schedule:
    """Keeps the worker's sessions equal to what the farm assigns.

    ``open_session(session_id, assignment, closed)`` makes a session that is not started yet; ``flush_logs(timeout)``
    waits until the lines written so far are stored; ``farm_lives()`` tells whether the process that serves is there.
    """

    def __init__(
        self,
        farm: Farm,
        open_session: Callable[[str, Mapping[str, Any], Callable[[str], None]], Session],
        flush_logs: Callable[[float], object],
        farm_lives: Callable[[], bool],
    ) -> None:
        self.reports = Reports(self._wake)
        self.sessions: dict[str, Session] = {}
        self._farm = farm
        self._open_session = open_session
        self._flush_logs = flush_logs
        self._farm_lives = farm_lives
        self._lock = threading.Lock()
        self._due: float | None = None
        self._stop = False
        # A socket pair, because ``select`` on Windows waits for sockets and nothing else.
        self._wakeup, self._waker = socket.socketpair()
        self._wakeup.setblocking(False)
        self._waker.setblocking(False)

    def stop(self) -> None:
        """Make ``run`` return soon. May be called from a signal handler."""
        self._stop = True
        self._ring()

    def run(self) -> None:
        """Talk to the farm until ``stop``, or until it wants the worker stopped.

        Raises FarmGoneError and WorkerRefusedError.
        """
        hold = 0.0
        failures = 0
        while not self._stop:
            self._gather()
            if self._stop:
                return
            try:
                desired = self._exchange(hold)
            except ServiceError as error:
                failures += 1
                self._wait_after(error, failures)
                hold = 0.0
                continue
            except OSError as error:
                if not self._farm_lives():
                    raise FarmGoneError(f"The farm of this worker is gone ({error}).") from error
                failures += 1
                LOG.warning("The farm did not answer, trying again: %s", error)
                self._pause(min(0.1 * 2**failures, 2.0))
                hold = 0.0
                continue
            failures = 0
            if desired == "STOPPED":
                return
            # An interrupted call may have been answered with news that were lost: ask for the whole snapshot first.
            hold = 0.0 if desired == "INTERRUPTED" else _HOLD_SECONDS

    def report(self) -> None:
        """Send what is left to tell, once, and take in no new work."""
        updates = self.reports.take()
        self._flush_logs(_LOG_FLUSH_SECONDS)
        if self._farm.update_schedule(updates, 0.0, None) is not None:
            self.reports.acknowledge(updates)

    def close(self) -> None:
        """Release the wake-up sockets."""
        self._wakeup.close()
        self._waker.close()

    def _exchange(self, hold: float) -> str | None:
        """Make one call and apply its answer. Returns the status that the farm desires, or INTERRUPTED."""
        updates = self.reports.take()
        if any("completedStatus" in update for update in updates.values()):
            # Who sees an action ended must find its log.
            self._flush_logs(_LOG_FLUSH_SECONDS)
        if updates:
            hold = 0.0
        reply = self._farm.update_schedule(updates, hold, self._wakeup if hold else None)
        if reply is None:
            return "INTERRUPTED"
        self.reports.acknowledge(updates)
        self._apply(reply, updates)
        desired: str | None = reply.get("desiredWorkerStatus")
        return desired

    def _apply(self, reply: Mapping[str, Any], sent: Mapping[str, Update]) -> None:
        assigned: Mapping[str, Mapping[str, Any]] = reply["assignedSessions"]
        # An update that says how an action ended is what lifts a session's distrust; a progress line is none.
        acknowledged = {action_id for action_id, update in sent.items() if "completedStatus" in update}
        with self._lock:
            current = dict(self.sessions)
        for session_id, session in current.items():
            if session_id not in assigned:
                session.end()
        for session_id, assignment in assigned.items():
            known = current.get(session_id)
            if known is None:
                known = self._open_session(session_id, assignment, self._forget)
                with self._lock:
                    self.sessions[session_id] = known
                known.assign(assignment["sessionActions"], acknowledged)
                known.start()
            else:
                known.assign(assignment["sessionActions"], acknowledged)
        for session_id, action_ids in reply["cancelSessionActions"].items():
            if session_id in self.sessions:
                self.sessions[session_id].cancel(action_ids)

    def _forget(self, session_id: str) -> None:
        with self._lock:
            self.sessions.pop(session_id, None)

    def _wake(self, urgent: bool) -> None:
        due = time.monotonic() + (0.0 if urgent else _GATHER_SECONDS)
        with self._lock:
            earlier = self._due is None or due < self._due
            if earlier:
                self._due = due
        if earlier:
            self._ring()

    def _ring(self) -> None:
        # Full: it is ringing already. Closed: nobody listens any more.
        with contextlib.suppress(OSError):
            self._waker.send(b"!")

    def _gather(self) -> None:
        """Wait until what is to be told should be sent; returns at once when there is nothing to tell."""
        self._silence()
        while not self._stop:
            with self._lock:
                due = self._due
                left = due - time.monotonic() if due is not None else 0.0
                if left <= 0:
                    self._due = None
                    return
            self._pause(left)
            self._silence()

    def _silence(self) -> None:
        try:
            while self._wakeup.recv(4096):
                pass
        except BlockingIOError:
            pass

    def _pause(self, seconds: float) -> None:
        """Sleep, but no longer than until somebody rings."""
        self._wakeup.settimeout(max(seconds, 0.001))
        try:
            self._wakeup.recv(4096)
        except TimeoutError:
            pass
        finally:
            self._wakeup.setblocking(False)

    def _wait_after(self, error: ServiceError, failures: int) -> None:
        """Decide what an error means for the worker: wait and try again, or give up by raising WorkerRefusedError."""
        if isinstance(error, Conflict) and error.members.get("reason") != "CONCURRENT_MODIFICATION":
            raise WorkerRefusedError(f"The farm takes this worker for offline: {error}") from error
        if isinstance(error, ResourceNotFound):
            raise WorkerRefusedError(f"The farm does not know this worker: {error}") from error
        if not isinstance(error, (Throttling, Conflict)) and error.status < 500:
            raise WorkerRefusedError(f"The farm refuses this worker: {error}") from error
        LOG.warning("The farm cannot answer now, trying again: %s", error)
        time.sleep(min(max(error.retry_after or 0.0, 0.1 * 2 ** min(failures, 10)), _SLOWEST_RETRY_SECONDS))
