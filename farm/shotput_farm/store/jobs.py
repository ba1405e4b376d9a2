"""Jobs and steps: their rows, their counts of tasks by status, their dependencies, and which of them have work."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from shotput_farm.lifecycle import TASK_STATUSES

COLUMNS: Final = {status: f"n_{status.lower()}" for status in TASK_STATUSES}
"""Task status → the column that counts it, in ``job`` and in ``step``."""

_SUMS: Final = ", ".join(f"sum({column}) AS {column}" for column in COLUMNS.values())


def counts(row: Mapping[str, Any] | sqlite3.Row) -> dict[str, int]:
    """Return {status: number of tasks} of a job's or step's row, every status included."""
    return {status: row[column] or 0 for status, column in COLUMNS.items()}


def set_counts(db: sqlite3.Connection, table: str, seq: int, numbers: Mapping[str, int]) -> None:
    """Write the counts of one ``job`` or ``step`` row."""
    assignments = ", ".join(f"{COLUMNS[status]} = ?" for status in numbers)
    db.execute(
        f"UPDATE {'job' if table == 'job' else 'step'} SET {assignments} WHERE seq = ?", (*numbers.values(), seq)
    )


def sum_counts(db: sqlite3.Connection, job_seq: int) -> dict[str, int]:
    """Return the sum of the counts of a job's steps."""
    return counts(db.execute(f"SELECT {_SUMS} FROM step WHERE job_seq = ?", (job_seq,)).fetchone())


def insert_document(db: sqlite3.Connection, values: Mapping[str, Any]) -> None:
    """Keep a job's template and what was decoded from it."""
    columns = ", ".join(values)
    db.execute(f"INSERT INTO job_document ({columns}) VALUES ({', '.join('?' * len(values))})", tuple(values.values()))


def document(db: sqlite3.Connection, job_seq: int) -> sqlite3.Row:
    """Return a job's ``job_document`` row."""
    row: sqlite3.Row = db.execute("SELECT * FROM job_document WHERE job_seq = ?", (job_seq,)).fetchone()
    return row


def steps(db: sqlite3.Connection, job_seq: int) -> list[sqlite3.Row]:
    """Return a job's steps in the template's order."""
    return db.execute("SELECT * FROM step WHERE job_seq = ? ORDER BY seq", (job_seq,)).fetchall()


def insert_dependencies(db: sqlite3.Connection, pairs: Iterable[tuple[int, int]]) -> None:
    """Insert (step, step it depends on) pairs, both by ``seq``."""
    db.executemany("INSERT INTO step_dependency (step_seq, depends_on) VALUES (?, ?)", pairs)


def dependencies(db: sqlite3.Connection, step_seq: int) -> list[sqlite3.Row]:
    """Return the steps that a step depends on."""
    return db.execute(
        "SELECT step.* FROM step_dependency JOIN step ON step.seq = depends_on WHERE step_seq = ? ORDER BY step.seq",
        (step_seq,),
    ).fetchall()


def consumers(db: sqlite3.Connection, step_seq: int) -> list[sqlite3.Row]:
    """Return the steps that depend on a step."""
    return db.execute(
        "SELECT step.* FROM step_dependency JOIN step ON step.seq = step_seq WHERE depends_on = ? ORDER BY step.seq",
        (step_seq,),
    ).fetchall()


def is_resolved(db: sqlite3.Connection, step_seq: int) -> bool:
    """Tell whether all steps that a step depends on have succeeded."""
    row = db.execute(
        "SELECT 1 FROM step_dependency JOIN step ON step.seq = depends_on"
        " WHERE step_seq = ? AND step.task_run_status <> 'SUCCEEDED' LIMIT 1",
        (step_seq,),
    ).fetchone()
    return row is None


def job_dependencies(db: sqlite3.Connection, job_seq: int) -> list[tuple[int, int]]:
    """Return all (step, step it depends on) pairs of a job."""
    rows = db.execute(
        "SELECT step_seq, depends_on FROM step_dependency JOIN step ON step.seq = step_seq WHERE job_seq = ?",
        (job_seq,),
    )
    return [(row[0], row[1]) for row in rows]


def candidates(db: sqlite3.Connection, queue_ids: Sequence[str]) -> list[sqlite3.Row]:
    """Return the steps with READY tasks of these queues, with what scheduling needs of their jobs.

    Ordered by priority (highest first), fewest open sessions, longest without a turn, and age. Beyond the step's
    columns: ``priority``, ``turn``, ``queue_id``, ``max_worker_count``, ``open_sessions`` of the job.
    """
    marks = ", ".join("?" * len(queue_ids))
    return db.execute(
        f"""
        SELECT step.*, job.priority, job.turn, job.queue_id, job.max_worker_count, job.job_id,
               (SELECT count(*) FROM session WHERE session.job_seq = job.seq AND ended_at IS NULL) AS open_sessions
        FROM step JOIN job ON job.seq = step.job_seq
        WHERE step.n_ready > 0 AND job.queue_id IN ({marks}) AND job.lifecycle_status <> 'ARCHIVED'
        ORDER BY job.priority DESC, open_sessions, job.turn, job.seq, step.seq
        """,
        tuple(queue_ids),
    ).fetchall()


def take_turn(db: sqlite3.Connection, job_seq: int) -> None:
    """Put a job behind all others of its priority."""
    db.execute("UPDATE job SET turn = (SELECT max(turn) + 1 FROM job) WHERE seq = ?", (job_seq,))


def has_work(db: sqlite3.Connection) -> bool:
    """Tell whether any job has tasks that wait or run, or any session is open."""
    row = db.execute(
        "SELECT 1 FROM job WHERE lifecycle_status <> 'ARCHIVED' AND task_run_status IN"
        " ('PENDING', 'READY', 'ASSIGNED', 'STARTING', 'SCHEDULED', 'INTERRUPTING', 'RUNNING') LIMIT 1"
    ).fetchone()
    return row is not None or db.execute("SELECT 1 FROM session WHERE ended_at IS NULL LIMIT 1").fetchone() is not None


def resolution(db: sqlite3.Connection, step_seq: int) -> dict[str, int]:
    """Return a step's ``dependencyCounts``: how many dependencies and consumers are resolved and not.

    A dependency is resolved when it has succeeded; a consumer when all its dependencies have.
    """
    upstream = [row["task_run_status"] == "SUCCEEDED" for row in dependencies(db, step_seq)]
    downstream = [is_resolved(db, row["seq"]) for row in consumers(db, step_seq)]
    return {
        "dependenciesResolved": sum(upstream),
        "dependenciesUnresolved": len(upstream) - sum(upstream),
        "consumersResolved": sum(downstream),
        "consumersUnresolved": len(downstream) - sum(downstream),
    }


def first_start(db: sqlite3.Connection, job_seq: int) -> int | None:
    """Return when the first step of a job started, or None."""
    (first,) = db.execute("SELECT min(started_at) FROM step WHERE job_seq = ?", (job_seq,)).fetchone()
    return first if first is None else int(first)


def queue_has_work(db: sqlite3.Connection, queue_id: str) -> bool:
    """Tell whether any job of a queue has tasks that wait or run."""
    row = db.execute(
        "SELECT 1 FROM job WHERE queue_id = ? AND lifecycle_status <> 'ARCHIVED' AND task_run_status IN"
        " ('PENDING', 'READY', 'ASSIGNED', 'STARTING', 'SCHEDULED', 'INTERRUPTING', 'RUNNING') LIMIT 1",
        (queue_id,),
    ).fetchone()
    return row is not None
