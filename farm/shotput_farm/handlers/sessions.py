"""Sessions and session actions."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping, Sequence
from typing import Any

from shotput_farm import sessions, targets, wire
from shotput_farm.farm import Farm, page_token, token_for
from shotput_farm.handlers import Request, operation
from shotput_farm.lookup import job_row, pages, session_row, task_of_job, worker_row
from shotput_farm.protocol.errors import ResourceNotFound, ServiceError
from shotput_farm.store import Transaction, records
from shotput_farm.store import sessions as session_rows


@operation("ListSessions")
def list_sessions(farm: Farm, request: Request) -> dict[str, Any]:
    """List a job's sessions, oldest first."""
    return pages(
        farm,
        request.params,
        "sessions",
        "session",
        lambda db: {"job_seq": job_row(db, request.params)["seq"]},
        wire.session,
        wire.SESSION_LISTED,
    )


@operation("ListSessionsForWorker")
def list_sessions_for_worker(farm: Farm, request: Request) -> dict[str, Any]:
    """List a worker's sessions, oldest first."""
    return pages(
        farm,
        request.params,
        "sessions",
        "session",
        lambda db: {"worker_id": worker_row(db, request.params)["worker_id"]},
        wire.session,
        wire.SESSION_OF_WORKER,
    )


@operation("GetSession")
def get_session(farm: Farm, request: Request) -> dict[str, Any]:
    """Get a session, with the place of its log."""
    with farm.store.read() as db:
        _, row = session_row(db, request.params)
        return wire.only(wire.session(db, row), wire.SESSION_GOT)


@operation("BatchGetSession")
def batch_get_session(farm: Farm, request: Request) -> dict[str, Any]:
    """Get many sessions; what cannot be got is listed in ``errors``."""
    found: list[Mapping[str, Any]] = []
    errors: list[Mapping[str, Any]] = []
    with farm.store.read() as db:
        for identifier in request.params["identifiers"]:
            try:
                found.append(wire.session(db, session_row(db, identifier)[1]))
            except ServiceError as error:
                errors.append({**identifier, "code": error.code, "message": error.message})
    return {"sessions": found, "errors": errors}


@operation("UpdateSession")
def update_session(farm: Farm, request: Request) -> None:
    """End a session: what it runs is interrupted and waits again."""

    def work(tx: Transaction) -> None:
        _, session = session_row(tx.db, request.params)
        if session["ended_at"] is None:
            targets.release_session(tx, session)
            values = {"updated_at": tx.now, "updated_by": request.identity.principal}
            records.update(tx.db, "session", session["seq"], values)

    farm.store.write(work)


@operation("ListSessionActions")
def list_session_actions(farm: Farm, request: Request) -> dict[str, Any]:
    """List a job's session actions, those of one session or of one task if asked, in the order they were queued."""
    params = request.params
    limit = params.get("maxResults") or 100
    position = page_token(params.get("nextToken"))
    after = (position[0], position[1] - 1) if len(position) == 2 else (0, -1)
    with farm.store.read() as db:
        job = job_row(db, params)
        session_seq = session_row(db, params)[1]["seq"] if "sessionId" in params else None
        task = None
        if "taskId" in params:
            step, ordinal = task_of_job(db, job, params["taskId"])
            task = (step["seq"], ordinal)
        rows = session_rows.page_of_actions(
            db, job["seq"], after=after, limit=limit + 1, session_seq=session_seq, task=task
        )
        more, rows = rows[limit:], rows[:limit]
        found = [wire.only(item, wire.ACTION_LISTED) for item in _wires(farm, db, rows)]
    return {
        "sessionActions": found,
        "nextToken": token_for(more[0]["session_seq"], more[0]["number"]) if more else None,
    }


@operation("GetSessionAction")
def get_session_action(farm: Farm, request: Request) -> dict[str, Any]:
    """Get a session action."""
    with farm.store.read() as db:
        return _get(farm, db, request.params)


@operation("BatchGetSessionAction")
def batch_get_session_action(farm: Farm, request: Request) -> dict[str, Any]:
    """Get many session actions; what cannot be got is listed in ``errors``."""
    found: list[Mapping[str, Any]] = []
    errors: list[Mapping[str, Any]] = []
    with farm.store.read() as db:
        for identifier in request.params["identifiers"]:
            ids = {name: identifier[name] for name in ("farmId", "queueId", "jobId")}
            try:
                found.append({**ids, **_get(farm, db, identifier)})
            except ServiceError as error:
                errors.append({**identifier, "code": error.code, "message": error.message})
    return {"sessionActions": found, "errors": errors}


def _get(farm: Farm, db: sqlite3.Connection, params: Mapping[str, Any]) -> dict[str, Any]:
    job = job_row(db, params)
    identifier = params["sessionActionId"]
    session_id, number = sessions.session_of(identifier)
    session = records.get(db, "session", session_id)
    row = session_rows.action(db, session["seq"], number) if session is not None else None
    if session is None or row is None or session["job_seq"] != job["seq"]:
        raise ResourceNotFound("sessionAction", identifier)
    (definition,) = farm.templates.action_definitions(db, [row])
    return wire.action(row, session_id, definition)


def _wires(farm: Farm, db: sqlite3.Connection, rows: Sequence[sqlite3.Row]) -> list[dict[str, Any]]:
    definitions = farm.templates.action_definitions(db, rows)
    return [wire.action(row, row["session_id"], definition) for row, definition in zip(rows, definitions, strict=True)]
