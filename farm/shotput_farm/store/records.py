"""Rows with an id of their own: insert, look up, change, delete, and pages in order of creation."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping
from typing import Any, Final

TABLES: Final = {
    "farm": "farm_id",
    "queue": "queue_id",
    "fleet": "fleet_id",
    "queue_environment": "queue_environment_id",
    "storage_profile": "storage_profile_id",
    "queue_fleet_association": "seq",
    "worker": "worker_id",
    "job": "job_id",
    "step": "step_id",
    "session": "session_id",
}
"""Table → its id column. Names of tables and columns come from code alone, never from a request."""


def insert(db: sqlite3.Connection, table: str, values: Mapping[str, Any]) -> int:
    """Insert a row and return its ``seq``."""
    _known(table)
    columns = ", ".join(values)
    marks = ", ".join("?" * len(values))
    cursor = db.execute(f"INSERT INTO {table} ({columns}) VALUES ({marks})", tuple(values.values()))
    return int(cursor.lastrowid or 0)


def get(db: sqlite3.Connection, table: str, identifier: str) -> sqlite3.Row | None:
    """Return the row with this id, or None."""
    row: sqlite3.Row | None = db.execute(f"SELECT * FROM {table} WHERE {_known(table)} = ?", (identifier,)).fetchone()
    return row


def by_seq(db: sqlite3.Connection, table: str, seq: int) -> sqlite3.Row:
    """Return the row with this ``seq``; it exists, because another row refers to it."""
    _known(table)
    row: sqlite3.Row = db.execute(f"SELECT * FROM {table} WHERE seq = ?", (seq,)).fetchone()
    return row


def update(db: sqlite3.Connection, table: str, seq: int, values: Mapping[str, Any]) -> None:
    """Set columns of the row with this ``seq``."""
    _known(table)
    if values:
        assignments = ", ".join(f"{column} = ?" for column in values)
        db.execute(f"UPDATE {table} SET {assignments} WHERE seq = ?", (*values.values(), seq))


def delete(db: sqlite3.Connection, table: str, seq: int) -> None:
    """Delete the row with this ``seq``."""
    _known(table)
    db.execute(f"DELETE FROM {table} WHERE seq = ?", (seq,))


def find(db: sqlite3.Connection, table: str, where: Mapping[str, Any]) -> sqlite3.Row | None:
    """Return the first row whose columns have these values, or None."""
    rows = page(db, table, where, after=0, limit=1)
    return rows[0] if rows else None


def page(db: sqlite3.Connection, table: str, where: Mapping[str, Any], *, after: int, limit: int) -> list[sqlite3.Row]:
    """Return up to ``limit`` rows behind ``after`` (a ``seq``), oldest first, with the column values ``where``."""
    _known(table)
    conditions = "".join(f" AND {column} = ?" for column in where)
    return db.execute(
        f"SELECT * FROM {table} WHERE seq > ?{conditions} ORDER BY seq LIMIT ?", (after, *where.values(), limit)
    ).fetchall()


def count(db: sqlite3.Connection, table: str, where: Mapping[str, Any]) -> int:
    """Return how many rows have these values."""
    _known(table)
    conditions = " AND ".join(f"{column} = ?" for column in where) or "1"
    (number,) = db.execute(f"SELECT count(*) FROM {table} WHERE {conditions}", tuple(where.values())).fetchone()
    return int(number)


def replay(db: sqlite3.Connection, principal: str, operation: str, token: str) -> sqlite3.Row | None:
    """Return the first answer of a call with this client token: ``fingerprint`` and ``reply``, or None."""
    row: sqlite3.Row | None = db.execute(
        "SELECT fingerprint, reply FROM client_token WHERE principal = ? AND operation = ? AND token = ?",
        (principal, operation, token),
    ).fetchone()
    return row


def remember(
    db: sqlite3.Connection, now: int, principal: str, operation: str, token: str, fingerprint: str, reply: str
) -> None:
    """Keep the answer of a call with a client token, and forget those older than a day."""
    db.execute(
        "INSERT INTO client_token (principal, operation, token, fingerprint, reply, created_at)"
        " VALUES (?, ?, ?, ?, ?, ?)",
        (principal, operation, token, fingerprint, reply, now),
    )
    db.execute("DELETE FROM client_token WHERE created_at < ?", (now - 24 * 3600 * 1000,))


def _known(table: str) -> str:
    return TABLES[table]
