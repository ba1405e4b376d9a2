"""Steps and their dependencies."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from shotput_farm import targets, wire
from shotput_farm.farm import Farm, page_token, token_for
from shotput_farm.handlers import Request, operation
from shotput_farm.lifecycle import STEP
from shotput_farm.lookup import job_row, pages, step_row
from shotput_farm.protocol.errors import ServiceError
from shotput_farm.store import EVERY_WORKER, Transaction, jobs, records


@operation("ListSteps")
def list_steps(farm: Farm, request: Request) -> dict[str, Any]:
    """List a job's steps in the template's order."""
    return pages(
        farm,
        request.params,
        "steps",
        "step",
        lambda db: {"job_seq": job_row(db, request.params)["seq"]},
        wire.step,
        wire.STEP_LISTED,
    )


@operation("GetStep")
def get_step(farm: Farm, request: Request) -> dict[str, Any]:
    """Get a step."""
    with farm.store.read() as db:
        job, step = step_row(db, request.params)
        return wire.only(wire.step(db, step, job), wire.STEP_GOT)


@operation("BatchGetStep")
def batch_get_step(farm: Farm, request: Request) -> dict[str, Any]:
    """Get many steps; what cannot be got is listed in ``errors``."""
    found: list[Mapping[str, Any]] = []
    errors: list[Mapping[str, Any]] = []
    with farm.store.read() as db:
        for identifier in request.params["identifiers"]:
            try:
                job, step = step_row(db, identifier)
                found.append(wire.step(db, step, job))
            except ServiceError as error:
                errors.append({**identifier, "code": error.code, "message": error.message})
    return {"steps": found, "errors": errors}


@operation("UpdateStep")
def update_step(farm: Farm, request: Request) -> None:
    """Ask a target status of a step's tasks."""

    def work(tx: Transaction) -> None:
        _, step = step_row(tx.db, request.params)
        by = request.identity.principal
        targets.retarget_step(tx, step["seq"], request.params["targetTaskRunStatus"], by)
        records.update(tx.db, "step", step["seq"], {"lifecycle_status": STEP.next(step["lifecycle_status"], "update")})
        tx.wake.add(EVERY_WORKER)

    farm.store.write(work)


@operation("ListStepDependencies")
def list_step_dependencies(farm: Farm, request: Request) -> dict[str, Any]:
    """List the steps that a step depends on, and whether they have succeeded."""
    return _related(
        farm,
        request.params,
        "dependencies",
        jobs.dependencies,
        lambda db, row: row["task_run_status"] == "SUCCEEDED",
    )


@operation("ListStepConsumers")
def list_step_consumers(farm: Farm, request: Request) -> dict[str, Any]:
    """List the steps that depend on a step, and whether all that they depend on has succeeded."""
    return _related(farm, request.params, "consumers", jobs.consumers, lambda db, row: jobs.is_resolved(db, row["seq"]))


def _related(
    farm: Farm,
    params: Mapping[str, Any],
    member: str,
    rows_of: Callable[[sqlite3.Connection, int], Sequence[sqlite3.Row]],
    resolved: Callable[[sqlite3.Connection, sqlite3.Row], bool],
) -> dict[str, Any]:
    limit = params.get("maxResults") or 100
    (after,) = page_token(params.get("nextToken")) or (0,)
    with farm.store.read() as db:
        _, step = step_row(db, params)
        rows = [row for row in rows_of(db, step["seq"]) if row["seq"] > after]
        found = [
            {"stepId": row["step_id"], "status": "RESOLVED" if resolved(db, row) else "UNRESOLVED"}
            for row in rows[:limit]
        ]
    return {member: found, "nextToken": token_for(rows[limit - 1]["seq"]) if len(rows) > limit else None}
