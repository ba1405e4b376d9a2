"""Tasks: only those that something happened to are rows; the rest of a step is one number and one status.

Every change here reports what entered and left each status in ``Transaction.deltas``; nothing else may change a task.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from shotput_farm.lifecycle import IN_FLIGHT, TASK
from shotput_farm.store.database import Transaction

_WINDOW = 256


def get(db: sqlite3.Connection, step_seq: int, ordinal: int) -> sqlite3.Row | None:
    """Return a task's row, or None while nothing has happened to it."""
    row: sqlite3.Row | None = db.execute(
        "SELECT * FROM task WHERE step_seq = ? AND ordinal = ?", (step_seq, ordinal)
    ).fetchone()
    return row


def between(db: sqlite3.Connection, step_seq: int, start: int, stop: int) -> dict[int, sqlite3.Row]:
    """Return {ordinal: row} of the touched tasks of ``range(start, stop)``."""
    rows = db.execute(
        "SELECT * FROM task WHERE step_seq = ? AND ordinal >= ? AND ordinal < ? ORDER BY ordinal",
        (step_seq, start, stop),
    )
    return {row["ordinal"]: row for row in rows}


def some(db: sqlite3.Connection, step_seq: int, ordinals: Sequence[int]) -> dict[int, sqlite3.Row]:
    """Return {ordinal: row} of these tasks as far as they are rows."""
    found: dict[int, sqlite3.Row] = {}
    for start in range(0, len(ordinals), 500):
        part = ordinals[start : start + 500]
        marks = ", ".join("?" * len(part))
        rows = db.execute(f"SELECT * FROM task WHERE step_seq = ? AND ordinal IN ({marks})", (step_seq, *part))
        found.update((row["ordinal"], row) for row in rows)
    return found


def untouched(db: sqlite3.Connection, step: Mapping[str, Any] | sqlite3.Row, start: int) -> Iterator[int]:
    """Yield the ordinals from ``start`` on that are no rows, in order."""
    cursor = max(start, step["next_ordinal"])
    while cursor < step["task_count"]:
        stop = min(cursor + _WINDOW, step["task_count"])
        rows = db.execute(
            "SELECT ordinal FROM task WHERE step_seq = ? AND ordinal >= ? AND ordinal < ?", (step["seq"], cursor, stop)
        )
        taken = {row[0] for row in rows}
        yield from (ordinal for ordinal in range(cursor, stop) if ordinal not in taken)
        cursor = stop


def assign(tx: Transaction, step_seq: int, limit: int, session: int, first_action: int) -> list[int]:
    """Take up to ``limit`` READY tasks of a step for a session and return their ordinals.

    Their latest actions become ``first_action``, ``first_action + 1``, … of the session. Tasks that ran before come
    first, so that a failed frame is not the last to be known.
    """
    db = tx.db
    to = TASK.next("READY", "assign")
    again = [
        row[0]
        for row in db.execute(
            "SELECT ordinal FROM task WHERE step_seq = ? AND status = 'READY' ORDER BY ordinal LIMIT ?",
            (step_seq, limit),
        )
    ]
    db.executemany(
        "UPDATE task SET status = ?, latest_session = ?, latest_action = ?, updated_at = ?"
        " WHERE step_seq = ? AND ordinal = ?",
        [(to, session, first_action + i, tx.now, step_seq, ordinal) for i, ordinal in enumerate(again)],
    )
    fresh: list[int] = []
    step = db.execute("SELECT * FROM step WHERE seq = ?", (step_seq,)).fetchone()
    if len(again) < limit and step["untouched_status"] == "READY" and step["untouched"]:
        for ordinal in untouched(db, step, 0):
            fresh.append(ordinal)
            if len(again) + len(fresh) == limit:
                break
        start = first_action + len(again)
        db.executemany(
            "INSERT INTO task (step_seq, ordinal, status, latest_session, latest_action, updated_at)"
            " VALUES (?, ?, ?, ?, ?, ?)",
            [(step_seq, ordinal, to, session, start + i, tx.now) for i, ordinal in enumerate(fresh)],
        )
        if fresh:
            db.execute(
                "UPDATE step SET untouched = untouched - ?, next_ordinal = ? WHERE seq = ?",
                (len(fresh), fresh[-1] + 1, step_seq),
            )
    moved(tx, step_seq, "READY", to, len(again) + len(fresh))
    return again + fresh


def moved(tx: Transaction, step_seq: int, source: str, to: str, number: int = 1) -> None:
    """Report that ``number`` tasks of a step went from one status to another."""
    if number and source != to:
        delta = tx.deltas[step_seq]
        delta[source] -= number
        delta[to] += number


def touch(tx: Transaction, step_seq: int, ordinal: int) -> sqlite3.Row:
    """Return a task's row, making it one first if nothing has happened to it yet."""
    row = get(tx.db, step_seq, ordinal)
    if row is None:
        tx.db.execute(
            "INSERT INTO task (step_seq, ordinal, status) SELECT seq, ?, untouched_status FROM step WHERE seq = ?",
            (ordinal, step_seq),
        )
        tx.db.execute("UPDATE step SET untouched = untouched - 1 WHERE seq = ?", (step_seq,))
        row = get(tx.db, step_seq, ordinal)
        assert row is not None
    return row


def set_target(tx: Transaction, step_seq: int, ordinals: Iterable[int], target: str | None, by: str | None) -> None:
    """Note what these tasks are to become; ``by`` is who asked."""
    tx.db.executemany(
        "UPDATE task SET target_status = ?, updated_at = ?, updated_by = coalesce(?, updated_by)"
        " WHERE step_seq = ? AND ordinal = ?",
        [(target, tx.now, by, step_seq, ordinal) for ordinal in ordinals],
    )


def move(tx: Transaction, step_seq: int, changes: Sequence[Mapping[str, Any]]) -> None:
    """Move tasks that are rows from one status to another, all in one go.

    Each change holds ``ordinal``, ``source``, ``to`` (as ``lifecycle`` decided), ``failures`` (the new failure count),
    ``started_at``, ``ended_at`` (None: leave), ``clear_times`` and ``clear_target`` (bool).
    """
    tx.db.executemany(
        "UPDATE task SET status = :to, failure_retry_count = :failures,"
        " started_at = CASE WHEN :clear_times THEN NULL ELSE coalesce(:started_at, started_at) END,"
        " ended_at = CASE WHEN :clear_times THEN NULL ELSE coalesce(:ended_at, ended_at) END,"
        " target_status = CASE WHEN :clear_target THEN NULL ELSE target_status END, updated_at = :now"
        " WHERE step_seq = :step AND ordinal = :ordinal",
        [{**change, "now": tx.now, "step": step_seq} for change in changes],
    )
    for change in changes:
        moved(tx, step_seq, change["source"], change["to"])


def move_all(tx: Transaction, step_seq: int, event: str, sources: Iterable[str], *, by: str | None = None) -> int:
    """Apply one event to every task of a step in one of the statuses ``sources``, rows or not; returns how many.

    A requeue begins the task's life anew: no failures, no times, no target. ``by`` is who asked, None when it follows
    from something else.
    """
    total = 0
    step = tx.db.execute("SELECT untouched, untouched_status FROM step WHERE seq = ?", (step_seq,)).fetchone()
    fresh = ", failure_retry_count = 0, started_at = NULL, ended_at = NULL" if event == "requeue" else ""
    ends = ", ended_at = coalesce(ended_at, :now)" if event in ("cancel", "mark_failed", "mark_succeeded") else ""
    for source in sources:
        to = TASK.next(source, event)
        number = tx.db.execute(
            f"UPDATE task SET status = :to, target_status = NULL, updated_at = :now,"
            f" updated_by = coalesce(:by, updated_by){fresh}{ends} WHERE step_seq = :step AND status = :source",
            {"to": to, "now": tx.now, "by": by, "step": step_seq, "source": source},
        ).rowcount
        if step["untouched"] and step["untouched_status"] == source:
            tx.db.execute("UPDATE step SET untouched_status = ? WHERE seq = ?", (to, step_seq))
            number += step["untouched"]
        elif step["untouched_status"] == source:
            tx.db.execute("UPDATE step SET untouched_status = ? WHERE seq = ?", (to, step_seq))
        moved(tx, step_seq, source, to, number)
        total += number
    return total


def record_runtime(tx: Transaction, step_seq: int, mean_seconds: float, samples: int) -> None:
    """Keep what is known about how long a step's tasks run."""
    tx.db.execute("UPDATE step SET mean_seconds = ?, samples = ? WHERE seq = ?", (mean_seconds, samples, step_seq))


def count_retries(tx: Transaction, job_seq: int, step_seq: int, number: int) -> None:
    """Add attempts that failed and are repeated to a step's and its job's count."""
    tx.db.execute("UPDATE step SET failure_retry_count = failure_retry_count + ? WHERE seq = ?", (number, step_seq))
    tx.db.execute("UPDATE job SET failure_retry_count = failure_retry_count + ? WHERE seq = ?", (number, job_seq))


def recount(db: sqlite3.Connection, step_seq: int) -> dict[str, int]:
    """Count a step's tasks by status from the rows, the slow way: the truth that aggregates are checked against."""
    numbers = {
        row[0]: row[1]
        for row in db.execute("SELECT status, count(*) FROM task WHERE step_seq = ? GROUP BY status", (step_seq,))
    }
    step = db.execute("SELECT task_count, untouched_status FROM step WHERE seq = ?", (step_seq,)).fetchone()
    rest = step["task_count"] - sum(numbers.values())
    if rest:
        numbers[step["untouched_status"]] = numbers.get(step["untouched_status"], 0) + rest
    return numbers


def in_flight(db: sqlite3.Connection, step_seq: int) -> list[sqlite3.Row]:
    """Return the tasks of a step that sessions have."""
    marks = ", ".join("?" * len(IN_FLIGHT))
    return db.execute(
        f"SELECT * FROM task WHERE step_seq = ? AND status IN ({marks}) ORDER BY ordinal",
        (step_seq, *sorted(IN_FLIGHT)),
    ).fetchall()


def first_start(db: sqlite3.Connection, step_seq: int) -> int | None:
    """Return when the first task of a step started, or None."""
    (first,) = db.execute("SELECT min(started_at) FROM task WHERE step_seq = ?", (step_seq,)).fetchone()
    return first if first is None else int(first)


def forget_targets(tx: Transaction, step_seq: int) -> None:
    """Let the tasks that sessions have come back to READY when they are interrupted, whatever they were to become."""
    marks = ", ".join("?" * len(IN_FLIGHT))
    tx.db.execute(
        "UPDATE task SET target_status = NULL"
        f" WHERE step_seq = ? AND target_status IS NOT NULL AND status IN ({marks})",
        (step_seq, *sorted(IN_FLIGHT)),
    )
