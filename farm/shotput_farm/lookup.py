"""From the ids of a request to rows, or the error that names what is not there; and lists cut into pages."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from shotput_farm.farm import Farm, page_token, token_for
from shotput_farm.protocol.errors import ResourceNotFound
from shotput_farm.store import records
from shotput_farm.wire import only

_TASK = re.compile(r"task-([0-9a-f]{32})-(0|[1-9]\d{0,17})")


def farm_row(db: sqlite3.Connection, params: Mapping[str, Any]) -> sqlite3.Row:
    """Return the farm of ``farmId``."""
    return _get(db, "farm", params["farmId"])


def queue_row(db: sqlite3.Connection, params: Mapping[str, Any]) -> sqlite3.Row:
    """Return the queue of ``farmId`` and ``queueId``."""
    return _below_farm(db, "queue", params["queueId"], params)


def fleet_row(db: sqlite3.Connection, params: Mapping[str, Any]) -> sqlite3.Row:
    """Return the fleet of ``farmId`` and ``fleetId``."""
    return _below_farm(db, "fleet", params["fleetId"], params)


def profile_row(db: sqlite3.Connection, params: Mapping[str, Any]) -> sqlite3.Row:
    """Return the storage profile of ``farmId`` and ``storageProfileId``."""
    return _below_farm(db, "storage_profile", params["storageProfileId"], params, noun="storageProfile")


def environment_row(db: sqlite3.Connection, params: Mapping[str, Any]) -> sqlite3.Row:
    """Return the queue environment of ``farmId``, ``queueId`` and ``queueEnvironmentId``."""
    queue_row(db, params)
    row = _get(db, "queue_environment", params["queueEnvironmentId"], "queueEnvironment")
    if row["queue_id"] != params["queueId"]:
        raise ResourceNotFound("queueEnvironment", params["queueEnvironmentId"])
    return row


def worker_row(db: sqlite3.Connection, params: Mapping[str, Any]) -> sqlite3.Row:
    """Return the worker of ``farmId``, ``fleetId`` and ``workerId``."""
    row = _below_farm(db, "worker", params["workerId"], params)
    if row["fleet_id"] != params["fleetId"]:
        raise ResourceNotFound("worker", params["workerId"])
    return row


def job_row(db: sqlite3.Connection, params: Mapping[str, Any]) -> sqlite3.Row:
    """Return the job of ``farmId``, ``queueId`` and ``jobId``."""
    row = _below_farm(db, "job", params["jobId"], params)
    if row["queue_id"] != params["queueId"]:
        raise ResourceNotFound("job", params["jobId"])
    return row


def step_row(db: sqlite3.Connection, params: Mapping[str, Any]) -> tuple[sqlite3.Row, sqlite3.Row]:
    """Return the job and the step of ``farmId``, ``queueId``, ``jobId`` and ``stepId``."""
    job = job_row(db, params)
    row = _get(db, "step", params["stepId"])
    if row["job_seq"] != job["seq"]:
        raise ResourceNotFound("step", params["stepId"])
    return job, row


def task_of(db: sqlite3.Connection, params: Mapping[str, Any]) -> tuple[sqlite3.Row, sqlite3.Row, int]:
    """Return the job, the step and the ordinal of a request's ``taskId``."""
    job, step = step_row(db, params)
    match = _TASK.fullmatch(params["taskId"])
    if match is None or match[1] != step["step_id"][5:] or int(match[2]) >= step["task_count"]:
        raise ResourceNotFound("task", params["taskId"])
    return job, step, int(match[2])


def task_of_job(db: sqlite3.Connection, job: sqlite3.Row, task_id: str) -> tuple[sqlite3.Row, int]:
    """Return the step and the ordinal of any task of a job."""
    match = _TASK.fullmatch(task_id)
    step = records.get(db, "step", f"step-{match[1]}") if match else None
    if match is None or step is None or step["job_seq"] != job["seq"] or int(match[2]) >= step["task_count"]:
        raise ResourceNotFound("task", task_id)
    return step, int(match[2])


def session_row(db: sqlite3.Connection, params: Mapping[str, Any]) -> tuple[sqlite3.Row, sqlite3.Row]:
    """Return the job and the session of ``farmId``, ``queueId``, ``jobId`` and ``sessionId``."""
    job = job_row(db, params)
    row = _get(db, "session", params["sessionId"])
    if row["job_seq"] != job["seq"]:
        raise ResourceNotFound("session", params["sessionId"])
    return job, row


def pages(
    farm: Farm,
    params: Mapping[str, Any],
    member: str,
    table: str,
    check: Callable[[sqlite3.Connection], Mapping[str, Any]],
    wire: Callable[[sqlite3.Connection, sqlite3.Row], Mapping[str, Any]],
    names: Sequence[str] | None = None,
    keep: Callable[[Mapping[str, Any]], bool] = lambda item: True,
) -> dict[str, Any]:
    """Answer a List operation: ``{member: [...], "nextToken"}``.

    ``check`` makes sure that what the list hangs off exists and returns the column values to list by; ``wire`` maps a
    row; ``names`` are the members that the list shows (None: all); ``keep`` filters by what only the mapped item shows.
    """
    limit = params.get("maxResults") or 100
    (after,) = page_token(params.get("nextToken")) or (0,)
    found: list[Mapping[str, Any]] = []
    with farm.store.read() as db:
        where = check(db)
        while True:
            rows = records.page(db, table, where, after=after, limit=limit + 1)
            for row in rows[:limit]:
                item = wire(db, row)
                after = row["seq"]
                if keep(item):
                    found.append(item if names is None else only(item, names))
                    if len(found) == limit:
                        break
            if len(found) == limit or len(rows) <= limit:
                break
        more = bool(records.page(db, table, where, after=after, limit=1))
    return {member: found, "nextToken": token_for(after) if more else None}


def _get(db: sqlite3.Connection, table: str, identifier: str, noun: str | None = None) -> sqlite3.Row:
    row = records.get(db, table, identifier)
    if row is None:
        raise ResourceNotFound(noun or table, identifier)
    return row


def _below_farm(
    db: sqlite3.Connection, table: str, identifier: str, params: Mapping[str, Any], noun: str | None = None
) -> sqlite3.Row:
    farm_row(db, params)
    row = _get(db, table, identifier, noun)
    if row["farm_id"] != params["farmId"]:
        raise ResourceNotFound(noun or table, identifier)
    return row
