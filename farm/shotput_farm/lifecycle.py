"""The state machines of the farm: one transition table per entity, and the only place where a status is decided.

Everything that changes a status asks a ``Machine`` for the next one; a change that no table allows is an
``IllegalTransitionError``. What a step's or job's status follows from its tasks is ``aggregate``. This module knows
no SQL, no clock and no protocol beyond the statuses' names, which are the service model's, verbatim.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

TASK_STATUSES: Final = (
    "PENDING",
    "READY",
    "ASSIGNED",
    "STARTING",
    "SCHEDULED",
    "INTERRUPTING",
    "RUNNING",
    "SUSPENDED",
    "CANCELED",
    "FAILED",
    "SUCCEEDED",
    "NOT_COMPATIBLE",
)
"""TaskRunStatus, in the order of the service model."""

IN_FLIGHT: Final = frozenset({"ASSIGNED", "STARTING", "SCHEDULED", "INTERRUPTING", "RUNNING"})
"""Task statuses that a session action stands behind: exactly one open action has the task."""

ENDED: Final = frozenset({"SUSPENDED", "CANCELED", "FAILED", "SUCCEEDED", "NOT_COMPATIBLE"})
"""Statuses with which a task, step or job comes to rest; nothing happens to it until somebody asks."""

FINISHED: Final = ENDED - {"SUSPENDED"}
"""Statuses in which a step or job has an end time; a suspended one is to go on."""

ACTION_OPEN: Final = frozenset({"ASSIGNED", "SCHEDULED", "RUNNING", "CANCELING"})
"""Session action statuses that wait for a result."""

WORKER_SERVING: Final = frozenset({"STARTED", "RUNNING", "IDLE"})
"""Worker statuses that may be given work."""

WORKER_REPORTING: Final = WORKER_SERVING | {"STOPPING"}
"""Worker statuses in which results are taken."""


class IllegalTransitionError(Exception):
    """A status change that no table allows. ``entity``, ``status`` and ``event`` say which."""

    def __init__(self, entity: str, status: str, event: str, allowed: tuple[str, ...]) -> None:
        super().__init__(
            f"A {entity} in status {status} cannot take the event {event}. "
            + (f"From {status} it can take: {', '.join(allowed)}." if allowed else f"Nothing follows {status}.")
        )
        self.entity = entity
        self.status = status
        self.event = event

    def __reduce__(self) -> tuple[object, ...]:
        return type(self), (self.entity, self.status, self.event, ())


class Machine:
    """One entity's transition table: (status, event) → status.

    ``table`` maps each event to the statuses it leads from, and where to. ``initial`` are the statuses an entity may be
    born with.
    """

    def __init__(self, entity: str, initial: tuple[str, ...], table: Mapping[str, Mapping[str, str]]) -> None:
        self.entity = entity
        self.initial = frozenset(initial)
        self.table = {event: dict(moves) for event, moves in table.items()}
        self.statuses = self.initial.union(*({*moves, *moves.values()} for moves in self.table.values()))

    def next(self, status: str, event: str) -> str:
        """Return the status after ``event``; raises IllegalTransitionError when the table has no such row."""
        try:
            return self.table[event][status]
        except KeyError:
            raise IllegalTransitionError(self.entity, status, event, self.events(status)) from None

    def allows(self, status: str, event: str) -> bool:
        """Tell whether ``event`` may happen in ``status``."""
        return status in self.table.get(event, {})

    def sources(self, event: str) -> dict[str, str]:
        """Return {from status: to status} of one event."""
        return dict(self.table[event])

    def events(self, status: str) -> tuple[str, ...]:
        """Return the events that ``status`` can take, in the table's order."""
        return tuple(event for event, moves in self.table.items() if status in moves)


def _all(statuses: tuple[str, ...] | frozenset[str], to: str) -> dict[str, str]:
    return dict.fromkeys(sorted(statuses), to)


_IDLE: Final = ("PENDING", "READY", "SUSPENDED", "NOT_COMPATIBLE")

TASK: Final = Machine(
    "task",
    ("PENDING", "READY", "SUSPENDED"),
    {
        # The steps it depends on have succeeded, or no longer have.
        "resolve": {"PENDING": "READY"},
        "block": {"READY": "PENDING"},
        # The way through a session.
        "assign": {"READY": "ASSIGNED"},
        "schedule": {"ASSIGNED": "SCHEDULED"},
        "launch": _all(("ASSIGNED", "SCHEDULED"), "STARTING"),
        "start": _all(("ASSIGNED", "SCHEDULED", "STARTING"), "RUNNING"),
        "interrupt": _all(IN_FLIGHT - {"INTERRUPTING"}, "INTERRUPTING"),
        # How an attempt ends.
        "succeed": _all(IN_FLIGHT, "SUCCEEDED"),
        "fail": _all(IN_FLIGHT, "FAILED"),
        "retry": _all(IN_FLIGHT, "READY"),
        "release": _all(IN_FLIGHT, "READY"),
        "end_canceled": _all(IN_FLIGHT, "CANCELED"),
        "end_suspended": _all(IN_FLIGHT, "SUSPENDED"),
        # What a person asks of a task that no session has.
        "cancel": _all(_IDLE, "CANCELED"),
        "suspend": _all(("PENDING", "READY"), "SUSPENDED"),
        "resume": {"SUSPENDED": "PENDING"},
        "requeue": _all(ENDED, "PENDING"),
        "mark_failed": _all((*_IDLE, "CANCELED", "SUCCEEDED"), "FAILED"),
        "mark_succeeded": _all((*_IDLE, "CANCELED", "FAILED"), "SUCCEEDED"),
        "mark_canceled": _all((*_IDLE, "FAILED", "SUCCEEDED"), "CANCELED"),
        # No worker offers what its step needs, or one does again.
        "exclude": _all(("PENDING", "READY"), "NOT_COMPATIBLE"),
        "include": {"NOT_COMPATIBLE": "PENDING"},
    },
)

JOB: Final = Machine(
    "job",
    ("CREATE_IN_PROGRESS", "CREATE_COMPLETE"),
    {
        "complete": {"CREATE_IN_PROGRESS": "CREATE_COMPLETE"},
        "refuse": {"CREATE_IN_PROGRESS": "CREATE_FAILED"},
        "update": _all(("CREATE_COMPLETE", "UPDATE_SUCCEEDED"), "UPDATE_SUCCEEDED"),
        "archive": _all(("CREATE_COMPLETE", "CREATE_FAILED", "UPDATE_SUCCEEDED"), "ARCHIVED"),
    },
)

STEP: Final = Machine(
    "step",
    ("CREATE_COMPLETE",),
    {"update": _all(("CREATE_COMPLETE", "UPDATE_SUCCEEDED"), "UPDATE_SUCCEEDED")},
)

SESSION: Final = Machine(
    "session",
    ("STARTED",),
    {
        # Somebody asked for its end; its environments are still to be left.
        "close": {"STARTED": "UPDATE_IN_PROGRESS"},
        "end": _all(("STARTED", "UPDATE_IN_PROGRESS"), "ENDED"),
    },
)

ACTION: Final = Machine(
    "session action",
    ("ASSIGNED",),
    {
        "schedule": {"ASSIGNED": "SCHEDULED"},
        "start": _all(("ASSIGNED", "SCHEDULED"), "RUNNING"),
        "cancel": _all(("ASSIGNED", "SCHEDULED", "RUNNING"), "CANCELING"),
        "succeed": _all(ACTION_OPEN, "SUCCEEDED"),
        "fail": _all(ACTION_OPEN, "FAILED"),
        "interrupt": _all(ACTION_OPEN, "INTERRUPTED"),
        "end_canceled": _all(ACTION_OPEN, "CANCELED"),
        "skip": _all(ACTION_OPEN, "NEVER_ATTEMPTED"),
    },
)

ACTION_RESULTS: Final = {
    "SUCCEEDED": "succeed",
    "FAILED": "fail",
    "INTERRUPTED": "interrupt",
    "CANCELED": "end_canceled",
    "NEVER_ATTEMPTED": "skip",
}
"""completedStatus of a worker's report → the event of ``ACTION``."""

WORKER: Final = Machine(
    "worker",
    ("CREATED",),
    {
        # A worker that crashed comes back through STARTED from whatever it was; one that is stopping has to stop first.
        "start": _all(("CREATED", "STARTED", "RUNNING", "IDLE", "STOPPED", "NOT_RESPONDING"), "STARTED"),
        "occupy": _all(WORKER_SERVING, "RUNNING"),
        "vacate": _all(WORKER_SERVING, "IDLE"),
        "begin_stop": _all(("STARTED", "RUNNING", "IDLE", "STOPPING", "NOT_RESPONDING"), "STOPPING"),
        "stop": _all(
            ("CREATED", "STARTED", "RUNNING", "IDLE", "STOPPING", "STOPPED", "NOT_RESPONDING", "NOT_COMPATIBLE"),
            "STOPPED",
        ),
        "lose": _all(("STARTED", "RUNNING", "IDLE", "STOPPING"), "NOT_RESPONDING"),
        "exclude": _all(("STARTED", "RUNNING", "IDLE"), "NOT_COMPATIBLE"),
    },
)

WORKER_REQUESTS: Final = {"STARTED": "start", "STOPPING": "begin_stop", "STOPPED": "stop"}
"""The status that a worker reports of itself → the event of ``WORKER``."""

TARGETS: Final = ("READY", "FAILED", "SUCCEEDED", "CANCELED", "SUSPENDED", "PENDING")
"""TaskTargetRunStatus: what a person may ask of a job, step or task."""

_GROUP_TARGETS: Final = {
    # A job or step keeps what is finished: canceling a job must not hide which frames had failed.
    "CANCELED": dict.fromkeys(_IDLE, "cancel"),
    "FAILED": dict.fromkeys(_IDLE, "mark_failed"),
    "SUCCEEDED": dict.fromkeys((*_IDLE, "CANCELED", "FAILED"), "mark_succeeded"),
    "SUSPENDED": dict.fromkeys(("PENDING", "READY"), "suspend"),
    "READY": {"SUSPENDED": "resume"},
    "PENDING": dict.fromkeys(sorted(ENDED), "requeue"),
}

_TASK_TARGETS: Final = {
    # A single task that somebody points at follows, whatever it was.
    "CANCELED": {**dict.fromkeys(_IDLE, "cancel"), **dict.fromkeys(("FAILED", "SUCCEEDED"), "mark_canceled")},
    "FAILED": dict.fromkeys((*_IDLE, "CANCELED", "SUCCEEDED"), "mark_failed"),
    "SUCCEEDED": dict.fromkeys((*_IDLE, "CANCELED", "FAILED"), "mark_succeeded"),
    "SUSPENDED": dict.fromkeys(("PENDING", "READY"), "suspend"),
    "READY": dict.fromkeys(sorted(ENDED), "requeue"),
    "PENDING": dict.fromkeys(sorted(ENDED), "requeue"),
}


def target_events(target: str, *, single: bool) -> dict[str, str]:
    """Return {status: event} by which tasks that no session has follow the target status ``target``.

    ``single`` is for one task that was pointed at, otherwise the target is a whole step's or job's. Statuses that are
    not in the reply stay as they are. Tasks in flight are interrupted and follow when their action ends
    (``settle_event``), except that READY, a resume, leaves them alone.
    """
    return dict((_TASK_TARGETS if single else _GROUP_TARGETS)[target])


def interrupts(target: str, *, single: bool) -> bool:
    """Tell whether a task in flight is interrupted for ``target``: a resume lets it run, everything else does not."""
    return target != "READY" and (single or target != "PENDING")


def settle_event(result: str, target: str | None) -> tuple[str, ...]:
    """Return the events of a task, in order, when its action ended with ``result`` while it was to become ``target``.

    ``result`` is an action's final status other than a failure that is charged to the task (see ``charge``). Work
    that was done before the interruption arrived counts, unless the task was to run again.
    """
    if result == "SUCCEEDED":
        return ("succeed", "requeue") if target == "PENDING" else ("succeed",)
    if target == "CANCELED":
        return ("end_canceled",)
    if target == "SUSPENDED":
        return ("end_suspended",)
    if target == "FAILED":
        return ("fail",)
    if target == "SUCCEEDED":
        return ("succeed",)
    return ("release",)


def charge(failures: int, max_retries: int) -> str:
    """Return the event of a task whose attempt failed after ``failures`` failed attempts before: retry or fail."""
    return "retry" if failures < max_retries else "fail"


_ACTIVE_ORDER: Final = ("RUNNING", "INTERRUPTING", "STARTING", "ASSIGNED", "SCHEDULED", "READY", "PENDING")
_REST_ORDER: Final = ("SUSPENDED", "FAILED", "CANCELED", "NOT_COMPATIBLE", "SUCCEEDED")


def aggregate(counts: Mapping[str, int], target: str | None = None) -> str:
    """Return the status of a step or job with so many tasks in each status.

    While anything is active the most active status wins. At rest, the status that somebody asked for (``target``) wins
    when any task has it; then SUSPENDED, FAILED, CANCELED, NOT_COMPATIBLE, SUCCEEDED. Raises ValueError without any
    task.
    """
    for status in _ACTIVE_ORDER:
        if counts.get(status, 0):
            return status
    if target is not None and target in ENDED and counts.get(target, 0):
        return target
    for status in _REST_ORDER:
        if counts.get(status, 0):
            return status
    raise ValueError("A step or job without tasks has no status; every step has at least one task.")
