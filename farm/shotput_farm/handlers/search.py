"""Search for jobs, steps, tasks and workers."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping
from typing import Any

from shotput_farm import wire
from shotput_farm.farm import Farm
from shotput_farm.handlers import Request, operation
from shotput_farm.lookup import fleet_row, queue_row
from shotput_farm.protocol.errors import Validation
from shotput_farm.store import records, search
from shotput_farm.store import sessions as session_rows


@operation("SearchJobs")
def search_jobs(farm: Farm, request: Request) -> dict[str, Any]:
    """Search the jobs of up to ten queues."""
    params = request.params
    query = _query(search.JOBS, params, tie="job.seq")
    with farm.store.read() as db:
        _check_queues(db, params)
        offset, limit = _window(params)
        total, rows = search.jobs(db, query, params["queueIds"], offset=offset, limit=limit)
        return _reply("jobs", [wire.only(wire.job_found(db, row), wire.JOB_FOUND) for row in rows], total, offset)


@operation("SearchSteps")
def search_steps(farm: Farm, request: Request) -> dict[str, Any]:
    """Search the steps of up to ten queues, or of one job."""
    params = request.params
    query = _query(search.STEPS, params, tie="step.seq")
    with farm.store.read() as db:
        _check_queues(db, params)
        offset, limit = _window(params)
        total, rows = search.steps(db, query, params["queueIds"], params.get("jobId"), offset=offset, limit=limit)
        return _reply("steps", [wire.only(wire.step(db, row), wire.STEP_FOUND) for row in rows], total, offset)


@operation("SearchTasks")
def search_tasks(farm: Farm, request: Request) -> dict[str, Any]:
    """Search the tasks of up to ten queues, or of one job, those that nothing happened to as well."""
    params = request.params
    query = _query(search.TASKS, params, tie="task.step_seq, task.ordinal")
    with farm.store.read() as db:
        _check_queues(db, params)

        def parameters(step_seq: int, ordinal: int) -> Mapping[str, Any]:
            (found,) = farm.templates.parameters(db, records.by_seq(db, "step", step_seq), [ordinal])
            return found

        search.parameters_function(db, parameters)
        offset, limit = _window(params)
        total, rows = search.tasks(db, query, params["queueIds"], params.get("jobId"), offset=offset, limit=limit)
        ids = session_rows.ids(db, (row["latest_session"] for row in rows if row["latest_session"] is not None))
        found = []
        for row in rows:
            step = records.by_seq(db, "step", row["step_seq"])
            job = records.by_seq(db, "job", step["job_seq"])
            values = parameters(row["step_seq"], row["ordinal"])
            found.append(wire.only(wire.task(step, job, row["ordinal"], row, values, ids), wire.TASK_FOUND))
    return _reply("tasks", found, total, offset)


@operation("SearchWorkers")
def search_workers(farm: Farm, request: Request) -> dict[str, Any]:
    """Search the workers of up to ten fleets."""
    params = request.params
    query = _query(search.WORKERS, params, tie="worker.seq")
    with farm.store.read() as db:
        for fleet_id in params["fleetIds"]:
            fleet_row(db, {"farmId": params["farmId"], "fleetId": fleet_id})
        offset, limit = _window(params)
        total, rows = search.workers(db, query, params["fleetIds"], offset=offset, limit=limit)
        return _reply("workers", [wire.only(wire.worker(db, row), wire.WORKER_FOUND) for row in rows], total, offset)


def _query(vocabulary: search.Vocabulary, params: Mapping[str, Any], *, tie: str) -> search.Query:
    try:
        return search.compile_query(vocabulary, params.get("filterExpressions"), params.get("sortExpressions"), tie=tie)
    except search.SearchError as error:
        raise Validation(str(error), [(error.path, str(error))]) from error


def _check_queues(db: sqlite3.Connection, params: Mapping[str, Any]) -> None:
    for queue_id in params["queueIds"]:
        queue_row(db, {"farmId": params["farmId"], "queueId": queue_id})


def _window(params: Mapping[str, Any]) -> tuple[int, int]:
    return params["itemOffset"], params.get("pageSize") or 100


def _reply(member: str, found: list[dict[str, Any]], total: int, offset: int) -> dict[str, Any]:
    following = offset + len(found)
    return {
        member: found,
        "totalResults": total,
        "nextItemOffset": following if found and following < total else None,
    }
