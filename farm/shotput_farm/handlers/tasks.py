"""Tasks. A page of a step with a million tasks costs a page: tasks that nothing happened to come from the step."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping, Sequence
from typing import Any

from shotput_farm import targets, wire
from shotput_farm.farm import Farm, page_token, token_for
from shotput_farm.handlers import Request, operation
from shotput_farm.lookup import step_row, task_of
from shotput_farm.protocol.errors import ServiceError
from shotput_farm.store import EVERY_WORKER, Transaction, tasks
from shotput_farm.store import sessions as session_rows


@operation("ListTasks")
def list_tasks(farm: Farm, request: Request) -> dict[str, Any]:
    """List a step's tasks in the order of their parameters."""
    params = request.params
    limit = params.get("maxResults") or 100
    (start,) = page_token(params.get("nextToken")) or (0,)
    with farm.store.read() as db:
        job, step = step_row(db, params)
        stop = min(start + limit, step["task_count"])
        found = task_wires(farm, db, job, step, range(start, stop))
    return {
        "tasks": [wire.only(item, wire.TASK_GOT) for item in found],
        "nextToken": token_for(stop) if stop < step["task_count"] else None,
    }


@operation("GetTask")
def get_task(farm: Farm, request: Request) -> dict[str, Any]:
    """Get a task."""
    with farm.store.read() as db:
        return wire.only(_get(farm, db, request.params), wire.TASK_GOT)


@operation("BatchGetTask")
def batch_get_task(farm: Farm, request: Request) -> dict[str, Any]:
    """Get many tasks; what cannot be got is listed in ``errors``."""
    found: list[Mapping[str, Any]] = []
    errors: list[Mapping[str, Any]] = []
    with farm.store.read() as db:
        for identifier in request.params["identifiers"]:
            try:
                found.append({**_get(farm, db, identifier), "farmId": identifier["farmId"]})
            except ServiceError as error:
                errors.append({**identifier, "code": error.code, "message": error.message})
    return {"tasks": found, "errors": errors}


@operation("UpdateTask")
def update_task(farm: Farm, request: Request) -> None:
    """Ask a target status of a task: requeue it, cancel it, mark it."""
    farm.store.write(lambda tx: _change(tx, request.params, request.identity.principal))


@operation("BatchUpdateTask")
def batch_update_task(farm: Farm, request: Request) -> dict[str, Any]:
    """Ask target statuses of many tasks; what cannot be changed is listed in ``errors``."""

    def work(tx: Transaction) -> list[Mapping[str, Any]]:
        errors: list[Mapping[str, Any]] = []
        for item in request.params["tasks"]:
            try:
                _change(tx, item, request.identity.principal)
            except ServiceError as error:
                ids = {name: item[name] for name in ("farmId", "queueId", "jobId", "stepId", "taskId")}
                errors.append({**ids, "code": error.code, "message": error.message})
        return errors

    return {"errors": farm.store.write(work)}


def task_wires(
    farm: Farm, db: sqlite3.Connection, job: sqlite3.Row, step: sqlite3.Row, ordinals: Sequence[int]
) -> list[dict[str, Any]]:
    """Return tasks of one step, by ordinal."""
    rows = tasks.some(db, step["seq"], ordinals)
    ids = session_rows.ids(db, (row["latest_session"] for row in rows.values() if row["latest_session"] is not None))
    parameters = farm.templates.parameters(db, step, ordinals)
    return [
        wire.task(step, job, ordinal, rows.get(ordinal), values, ids)
        for ordinal, values in zip(ordinals, parameters, strict=True)
    ]


def _get(farm: Farm, db: sqlite3.Connection, params: Mapping[str, Any]) -> dict[str, Any]:
    job, step, ordinal = task_of(db, params)
    (found,) = task_wires(farm, db, job, step, [ordinal])
    return found


def _change(tx: Transaction, params: Mapping[str, Any], principal: str) -> None:
    _, step, ordinal = task_of(tx.db, params)
    targets.retarget_task(tx, step["seq"], ordinal, params["targetRunStatus"], principal)
    tx.wake.add(EVERY_WORKER)
