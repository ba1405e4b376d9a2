"""What the worker has to tell about its session actions and the farm has not acknowledged yet."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any, Literal

Outcome = Literal["SUCCEEDED", "FAILED", "INTERRUPTED", "CANCELED", "NEVER_ATTEMPTED"]
Update = dict[str, Any]

_LONGEST_MESSAGE = 4096


class Reports:
    """The latest update of every session action, kept until a call that carried it came back. Safe from any thread.

    Times are epoch seconds.

    ``wake`` is called after each update, with True when the farm should hear of it at once (a session has nothing left
    to do) and False when it may wait for others.
    """

    def __init__(self, wake: Callable[[bool], None]) -> None:
        self._wake = wake
        self._lock = threading.Lock()
        self._updates: dict[str, Update] = {}

    def started(self, action_id: str, at: float) -> None:
        """Note that an action runs since ``at``."""
        with self._lock:
            self._updates[action_id] = {"startedAt": at, "updatedAt": at}
        self._wake(False)

    def progressed(
        self, action_id: str, started: float, *, percent: float | None = None, message: str | None = None
    ) -> None:
        """Note how far a running action has come (percent 0 to 100) and what it says about itself."""
        with self._lock:
            # Merged into what is not delivered yet: a message must not wipe out the percentage before it.
            update = self._updates.setdefault(action_id, {"startedAt": started})
            if "completedStatus" in update:
                return
            changed = {**update, "updatedAt": time.time()}
            if percent is not None:
                changed["progressPercent"] = percent
            if message is not None:
                changed["progressMessage"] = message[:_LONGEST_MESSAGE]
            self._updates[action_id] = changed
        self._wake(False)

    def completed(
        self,
        action_id: str,
        outcome: Outcome,
        *,
        started: float,
        ended: float,
        exit_code: int | None = None,
        percent: float | None = None,
        message: str | None = None,
        manifests: list[dict[str, str]] | None = None,
        urgent: bool = False,
    ) -> None:
        """Note how an action ended. ``manifests`` are its output manifests in the order of the job's attachments."""
        update: Update = {"completedStatus": outcome, "startedAt": started, "endedAt": ended}
        if exit_code is not None:
            update["processExitCode"] = exit_code
        if percent is not None:
            update["progressPercent"] = percent
        if message:
            update["progressMessage"] = message[:_LONGEST_MESSAGE]
        if manifests is not None:
            update["manifests"] = manifests
        with self._lock:
            self._updates[action_id] = update
        self._wake(urgent)

    def never_attempted(self, action_ids: list[str]) -> None:
        """Note that actions will not be run. They carry no times."""
        with self._lock:
            for action_id in action_ids:
                self._updates[action_id] = {"completedStatus": "NEVER_ATTEMPTED"}
        if action_ids:
            self._wake(False)

    def take(self) -> dict[str, Update]:
        """Return all that is not acknowledged, by action id, to be sent now."""
        with self._lock:
            return dict(self._updates)

    def acknowledge(self, sent: dict[str, Update]) -> None:
        """Forget what ``take`` returned, apart from updates that came since."""
        with self._lock:
            for action_id, update in sent.items():
                if self._updates.get(action_id) is update:
                    del self._updates[action_id]

    def __len__(self) -> int:
        with self._lock:
            return len(self._updates)
