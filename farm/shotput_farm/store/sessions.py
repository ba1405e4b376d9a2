"""Sessions and their actions."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from shotput_farm.store.database import Transaction

_ACTION_COLUMNS = (
    "session_seq, number, kind, step_seq, ordinal, environment_id, status, open_session, started_at, ended_at,"
    " worker_updated_at, progress_percent, progress_message, exit_code, manifests"
)


def open_on_worker(db: sqlite3.Connection, worker_id: str) -> list[sqlite3.Row]:
    """Return a worker's sessions that have not ended, oldest first, each with its job's id."""
    return db.execute(
        "SELECT session.*, job.job_id FROM session JOIN job ON job.seq = job_seq"
        " WHERE worker_id = ? AND session.ended_at IS NULL ORDER BY session.seq",
        (worker_id,),
    ).fetchall()


def workers_of_job(db: sqlite3.Connection, job_seq: int) -> set[str]:
    """Return the workers that have an open session of a job."""
    rows = db.execute("SELECT DISTINCT worker_id FROM session WHERE job_seq = ? AND ended_at IS NULL", (job_seq,))
    return {row[0] for row in rows}


def open_on_step(db: sqlite3.Connection, step_seq: int, job_seq: int) -> int:
    """Return how many open sessions run a step's tasks."""
    (number,) = db.execute(
        "SELECT count(*) FROM session WHERE job_seq = ? AND step_seq = ? AND ended_at IS NULL", (job_seq, step_seq)
    ).fetchone()
    return int(number)


def open_actions(db: sqlite3.Connection, session_seq: int) -> list[sqlite3.Row]:
    """Return a session's actions that wait for a result, in order."""
    return db.execute(
        "SELECT * FROM session_action INDEXED BY session_action_open WHERE open_session = ? ORDER BY number",
        (session_seq,),
    ).fetchall()


def environments(db: sqlite3.Connection, session_seq: int) -> list[sqlite3.Row]:
    """Return a session's envEnter and envExit actions in order."""
    return db.execute(
        "SELECT * FROM session_action WHERE session_seq = ? AND kind IN ('envEnter', 'envExit') ORDER BY number",
        (session_seq,),
    ).fetchall()


def action(db: sqlite3.Connection, session_seq: int, number: int) -> sqlite3.Row | None:
    """Return one action, or None."""
    row: sqlite3.Row | None = db.execute(
        "SELECT * FROM session_action WHERE session_seq = ? AND number = ?", (session_seq, number)
    ).fetchone()
    return row


def add_actions(tx: Transaction, session_seq: int, first: int, new: Iterable[Mapping[str, Any]]) -> int:
    """Append actions from number ``first`` on and return the next free number.

    Each holds ``kind``, ``status`` and, by kind, ``step_seq``, ``ordinal``, ``environment_id``.
    """
    rows = [
        (
            session_seq,
            first + i,
            item["kind"],
            item.get("step_seq"),
            item.get("ordinal"),
            item.get("environment_id"),
            item["status"],
            session_seq,
        )
        for i, item in enumerate(new)
    ]
    tx.db.executemany(
        "INSERT INTO session_action (session_seq, number, kind, step_seq, ordinal, environment_id, status, "
        "open_session) VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
        rows,
    )
    tx.db.execute("UPDATE session SET next_action = ? WHERE seq = ?", (first + len(rows), session_seq))
    return first + len(rows)


def end_actions(tx: Transaction, session_seq: int, ended: Sequence[Mapping[str, Any]]) -> None:
    """Write results. Each holds ``number``, ``status``, ``started_at``, ``ended_at``, ``worker_updated_at``,
    ``progress_percent``, ``progress_message``, ``exit_code``, ``manifests`` (None: leave what is there)."""
    tx.db.executemany(
        "UPDATE session_action SET status = :status, open_session = NULL,"
        " started_at = coalesce(:started_at, started_at), ended_at = :ended_at,"
        " worker_updated_at = coalesce(:worker_updated_at, worker_updated_at),"
        " progress_percent = coalesce(:progress_percent, progress_percent),"
        " progress_message = coalesce(:progress_message, progress_message),"
        " exit_code = :exit_code, manifests = :manifests WHERE session_seq = :session AND number = :number",
        [{**item, "session": session_seq} for item in ended],
    )


def progress_actions(tx: Transaction, session_seq: int, running: Sequence[Mapping[str, Any]]) -> None:
    """Write the progress of actions that go on: ``number``, ``status``, ``started_at``, ``worker_updated_at``,
    ``progress_percent``, ``progress_message`` (None: leave what is there)."""
    tx.db.executemany(
        "UPDATE session_action SET status = :status, started_at = coalesce(:started_at, started_at),"
        " worker_updated_at = coalesce(:worker_updated_at, worker_updated_at),"
        " progress_percent = coalesce(:progress_percent, progress_percent),"
        " progress_message = coalesce(:progress_message, progress_message)"
        " WHERE session_seq = :session AND number = :number",
        [{**item, "session": session_seq} for item in running],
    )


def set_action_status(tx: Transaction, session_seq: int, numbers: Iterable[int], status: str) -> None:
    """Set the status of open actions."""
    tx.db.executemany(
        "UPDATE session_action SET status = ? WHERE session_seq = ? AND number = ?",
        [(status, session_seq, number) for number in numbers],
    )


def page_of_actions(
    db: sqlite3.Connection,
    job_seq: int,
    *,
    after: tuple[int, int],
    limit: int,
    session_seq: int | None = None,
    task: tuple[int, int] | None = None,
) -> list[sqlite3.Row]:
    """Return actions of a job behind (session, number), in that order, each with its ``session_id``.

    ``session_seq`` or ``task`` (step, ordinal) narrows them.
    """
    where, values = ["session.job_seq = ?"], [job_seq]
    if session_seq is not None:
        where.append("session_action.session_seq = ?")
        values.append(session_seq)
    if task is not None:
        where.append("session_action.kind = 'taskRun' AND session_action.step_seq = ? AND session_action.ordinal = ?")
        values.extend(task)
    return db.execute(
        f"SELECT session_action.*, session.session_id FROM session_action JOIN session ON session.seq = session_seq"
        f" WHERE {' AND '.join(where)} AND (session_seq, number) > (?, ?) ORDER BY session_seq, number LIMIT ?",
        (*values, *after, limit),
    ).fetchall()


def ids(db: sqlite3.Connection, seqs: Iterable[int]) -> dict[int, str]:
    """Return {seq: session id}."""
    wanted = sorted(set(seqs))
    found: dict[int, str] = {}
    for start in range(0, len(wanted), 500):
        part = wanted[start : start + 500]
        marks = ", ".join("?" * len(part))
        found.update(
            (row[0], row[1]) for row in db.execute(f"SELECT seq, session_id FROM session WHERE seq IN ({marks})", part)
        )
    return found


def double_runs(db: sqlite3.Connection) -> list[tuple[int, int]]:
    """Return the tasks, as (step, ordinal), that more than one open action has: always none."""
    rows = db.execute(
        "SELECT step_seq, ordinal FROM session_action WHERE open_session IS NOT NULL AND kind = 'taskRun'"
        " GROUP BY step_seq, ordinal HAVING count(*) > 1"
    )
    return [(row[0], row[1]) for row in rows]


def of_association(db: sqlite3.Connection, queue_id: str, fleet_id: str) -> list[sqlite3.Row]:
    """Return the sessions of a queue on a fleet's workers that have not ended."""
    return db.execute(
        "SELECT * FROM session WHERE queue_id = ? AND fleet_id = ? AND ended_at IS NULL ORDER BY seq",
        (queue_id, fleet_id),
    ).fetchall()


def worker_had_job(db: sqlite3.Connection, worker_id: str, job_seq: int) -> bool:
    """Tell whether a worker has or had a session of a job."""
    row = db.execute(
        "SELECT 1 FROM session WHERE job_seq = ? AND worker_id = ? LIMIT 1", (job_seq, worker_id)
    ).fetchone()
    return row is not None
