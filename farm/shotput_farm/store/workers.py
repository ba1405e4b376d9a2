"""Workers: who may work for which queues, and who has not been heard of."""

from __future__ import annotations

import sqlite3


def queues_of_fleet(db: sqlite3.Connection, fleet_id: str) -> list[str]:
    """Return the queues that a fleet takes work from."""
    rows = db.execute(
        "SELECT queue_id FROM queue_fleet_association WHERE fleet_id = ? AND status = 'ACTIVE' ORDER BY seq",
        (fleet_id,),
    )
    return [row[0] for row in rows]


def seen(db: sqlite3.Connection, worker_seq: int, now: int) -> None:
    """Note that a worker was heard of."""
    db.execute("UPDATE worker SET last_seen = ? WHERE seq = ?", (now, worker_seq))


def silent(db: sqlite3.Connection, before: int, statuses: frozenset[str]) -> list[sqlite3.Row]:
    """Return the workers in these statuses that were last heard of before a moment."""
    names = sorted(statuses)
    marks = ", ".join("?" * len(names))
    return db.execute(
        f"SELECT * FROM worker WHERE status IN ({marks}) AND last_seen < ? ORDER BY seq", (*names, before)
    ).fetchall()


def not_in_future(db: sqlite3.Connection, now: int) -> None:
    """Take workers that were heard of later than now as heard of now."""
    db.execute("UPDATE worker SET last_seen = ? WHERE last_seen > ?", (now, now))


def renew_all(db: sqlite3.Connection, now: int) -> None:
    """Give every worker a fresh lease: while the farm was down nobody could be heard."""
    db.execute("UPDATE worker SET last_seen = ?", (now,))
