"""OpenJD sessions for Python: typed shapes, and environments that are exited whatever happens.

The work is done by the native module: ``Session`` runs environments and tasks as subprocesses, one action at a time.
This module names what it tells and keeps its one rule, that whatever was entered is exited in reverse order.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any, Literal, TypedDict, cast

from shotput._native import Environment, Job, Session, StepScript, find_orphans, kill_orphans
from shotput.errors import SessionError

ActionState = Literal["RUNNING", "SUCCESS", "FAILED", "CANCELED", "TIMEOUT"]


class LogLine(TypedDict):
    """A line of a session's log: ``timestamp`` in milliseconds since the epoch, ``action`` 0 outside of any."""

    timestamp: int
    message: str
    action: int


class ActionStatus(TypedDict):
    """How an action stands or ended; times are epoch seconds. See ``shotput._native.Session``."""

    action: int
    kind: Literal["enter", "exit", "task"]
    task_index: int | None
    environment_id: str | None
    state: ActionState
    progress: float | None
    status_message: str | None
    fail_message: str | None
    exit_code: int | None
    started_at: float
    ended_at: float | None


def describe(status: ActionStatus) -> str:
    """Return how an action ended in a few words, e.g. ``failed with exit code 3``."""
    words = {
        "RUNNING": "is running",
        "SUCCESS": "succeeded",
        "FAILED": "failed",
        "CANCELED": "was canceled",
        "TIMEOUT": "ran out of time",
    }[status["state"]]
    if status["state"] == "FAILED":
        if status["fail_message"]:
            return f"{words}: {status['fail_message']}"
        if status["exit_code"] is not None:
            return f"{words} with exit code {status['exit_code']}"
    return words


@contextmanager
def entered(session: Session, environments: Iterable[Environment]) -> Iterator[list[str]]:
    """Enter ``environments`` in order, and exit them in reverse order at the end, whatever happens in between.

    Gives their ids. Raises SessionError when one cannot be entered, or when, everything else having gone well, one
    cannot be exited. Several of these can be nested, for the environments of a job and of its steps.
    """
    identifiers: list[str] = []
    failure = ""
    try:
        for environment in environments:
            status = cast("ActionStatus", session.enter_environment(environment))
            identifiers.append(cast("str", status["environment_id"]))
            if status["state"] != "SUCCESS":
                raise SessionError(f"Entering the environment '{environment.name}' {describe(status)}.")
        yield identifiers
    finally:
        for identifier in reversed(identifiers):
            status = cast("ActionStatus", session.exit_environment(identifier, keep_running=True))
            if status["state"] != "SUCCESS" and not failure:
                failure = f"Exiting an environment {describe(status)}."
    if failure:
        raise SessionError(failure)


def session_for(job: Job, session_id: str, **options: Any) -> Session:
    """Make a session for a job: its bound parameters, and the options of ``Session``."""
    return Session(session_id, parameters=job.parameters, **options)


__all__ = [
    "ActionState",
    "ActionStatus",
    "Environment",
    "LogLine",
    "Session",
    "StepScript",
    "describe",
    "entered",
    "find_orphans",
    "kill_orphans",
    "session_for",
]
