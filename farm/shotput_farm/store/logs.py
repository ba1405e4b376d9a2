"""Log events in ``logs.sqlite3``: a row per batch, not per line.

A batch is kept as the JSON that came, so that writing and reading it is the JSON module's work in C and a line costs no
Python. Events of a stream are numbered in the order they came in; a token is such a number, and stays good for ever.
"""

from __future__ import annotations

import json
import sqlite3
import threading
import time
import zlib
from bisect import bisect_left
from collections.abc import Callable, Mapping, Sequence
from itertools import accumulate
from operator import itemgetter
from pathlib import Path
from typing import Any

from shotput_farm.store.database import StoreError

_SCHEMA = """
CREATE TABLE IF NOT EXISTS log_group (name TEXT PRIMARY KEY, created_at INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS stream (
    id INTEGER PRIMARY KEY,
    log_group TEXT NOT NULL,
    name TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    event_count INTEGER NOT NULL DEFAULT 0,
    first_at INTEGER,
    last_at INTEGER,
    ingested_at INTEGER,
    UNIQUE (log_group, name)
);
CREATE TABLE IF NOT EXISTS batch (
    stream INTEGER NOT NULL REFERENCES stream (id),
    first INTEGER NOT NULL,
    count INTEGER NOT NULL,
    earliest INTEGER NOT NULL,
    latest INTEGER NOT NULL,
    ingested_at INTEGER NOT NULL,
    packed INTEGER NOT NULL,
    events BLOB NOT NULL,
    PRIMARY KEY (stream, first)
) WITHOUT ROWID;
"""
_PACK_FROM = 4096
_PAGE_BYTES = 1024 * 1024
# What CloudWatch Logs counts for an event on top of its text.
_EVENT_OVERHEAD = 26
_MESSAGE = itemgetter("message")
_TIMESTAMP = itemgetter("timestamp")


class StreamNotFoundError(Exception):
    """There is no such log stream. ``group`` and ``stream`` name it."""

    def __init__(self, group: str, stream: str) -> None:
        super().__init__(f"There is no log stream {stream} in the log group {group}.")
        self.group = group
        self.stream = stream


class EventsError(ValueError):
    """The events of a batch are not objects with a text ``message`` and a whole ``timestamp``."""


class TokenError(ValueError):
    """A token does not come from this store."""


class LogStore:
    """The log streams of one farm. Safe to use from any thread; one write or read at a time.

    Timestamps are epoch milliseconds, as on the wire. Raises ``StoreError`` when the file
    cannot be opened, ``sqlite3.Error`` when the disk fails later.
    """

    def __init__(self, path: Path, *, clock: Callable[[], float] = time.time) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        try:
            self._connection = _open(path)
        except sqlite3.Error as error:
            raise StoreError(
                f"The farm's log database {path} cannot be opened ({error}). Free the disk or make it writable, or "
                "move that file away: the farm makes a new one."
            ) from error
        self._ids: dict[tuple[str, str], int] = {}

    def close(self) -> None:
        """Close the database."""
        with self._lock:
            self._connection.close()

    def create_group(self, group: str) -> bool:
        """Create a log group; False when it was there."""
        with self._lock:
            return self._create_group(group)

    def create_stream(self, group: str, stream: str) -> bool:
        """Create a log stream, and its group when missing; False when it was there."""
        with self._lock:
            if self._find(group, stream) is not None:
                return False
            self._stream_id(group, stream)
            return True

    def put(self, group: str, stream: str, events: Sequence[Mapping[str, Any]]) -> int:
        """Append ``{"timestamp", "message"}`` events in order of time; return how many the stream now has.

        Group and stream are made when missing. Raises ``EventsError``; then nothing is written.
        """
        try:
            times = list(map(_TIMESTAMP, events))
            kinds = set(map(type, map(_MESSAGE, events)))
        except (KeyError, TypeError, IndexError) as error:
            raise EventsError("each event must be an object with timestamp and message") from error
        if not events or set(map(type, times)) != {int} or kinds != {str}:
            raise EventsError("each event's timestamp must be a whole number and its message a string")
        in_order = sorted(times)
        if in_order != times:
            events = sorted(events, key=_TIMESTAMP)
        if not -(2**63) <= in_order[0] <= in_order[-1] < 2**63:
            raise EventsError("each event's timestamp must be in milliseconds since 1970")
        text = json.dumps(events, separators=(",", ":")).encode()
        packed = len(text) >= _PACK_FROM
        blob = zlib.compress(text, 1) if packed else text
        now = self._now()
        with self._lock, self._transaction():
            stream_id = self._stream_id(group, stream)
            (first,) = self._connection.execute(
                "UPDATE stream SET event_count = event_count + ?, ingested_at = ?,"
                " first_at = MIN(COALESCE(first_at, ?), ?), last_at = MAX(COALESCE(last_at, ?), ?)"
                " WHERE id = ? RETURNING event_count",
                (len(times), now, times[0], in_order[0], in_order[-1], in_order[-1], stream_id),
            ).fetchone()
            self._connection.execute(
                "INSERT INTO batch (stream, first, count, earliest, latest, ingested_at, packed, events)"
                " VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
                (stream_id, first - len(times), len(times), in_order[0], in_order[-1], now, packed, blob),
            )
        return int(first)

    def get(
        self,
        group: str,
        stream: str,
        *,
        token: str | None = None,
        limit: int = 10_000,
        start: int | None = None,
        end: int | None = None,
        from_head: bool = False,
    ) -> tuple[list[dict[str, Any]], str, str]:
        """Return events with ``start`` <= timestamp < ``end``, and the tokens forward and backward of them.

        At most ``limit`` events and about 1 MiB. Without ``token`` the first (``from_head``) or the last ones. At an
        end of the stream the token that was given comes back. Raises ``StreamNotFoundError``, ``TokenError``.
        """
        with self._lock:
            stream_id = self._find(group, stream)
            if stream_id is None:
                raise StreamNotFoundError(group, stream)
            (total,) = self._connection.execute("SELECT event_count FROM stream WHERE id = ?", (stream_id,)).fetchone()
            forward, position = _read_token(token, 0 if from_head else total, from_head, total)
            events, low, high = self._scan(stream_id, position, forward, limit, start, end)
        return events, f"f/{high}", f"b/{low}"

    def streams(
        self, group: str, *, prefix: str = "", by_last_event: bool = False, descending: bool = False, limit: int = 50,
        offset: int = 0,
    ) -> list[dict[str, Any]]:  # fmt: skip
        """Return streams of a group as ``{"name", "created_at", "first_at", "last_at", "ingested_at"}``."""
        order = "COALESCE(last_at, 0), name" if by_last_event else "name"
        if descending:
            order = ", ".join(f"{part} DESC" for part in order.rsplit(", ", 1))
        with self._lock:
            rows = self._connection.execute(
                "SELECT name, created_at, first_at, last_at, ingested_at FROM stream"
                " WHERE log_group = ? AND substr(name, 1, ?) = ?"
                f" ORDER BY {order} LIMIT ? OFFSET ?",
                (group, len(prefix), prefix, limit, offset),
            ).fetchall()
        keys = ("name", "created_at", "first_at", "last_at", "ingested_at")
        return [dict(zip(keys, row, strict=True)) for row in rows]

    def has_group(self, group: str) -> bool:
        """Tell whether a log group exists."""
        with self._lock:
            row = self._connection.execute("SELECT 1 FROM log_group WHERE name = ?", (group,)).fetchone()
        return row is not None

    def _scan(
        self, stream_id: int, position: int, forward: bool, limit: int, start: int | None, end: int | None
    ) -> tuple[list[dict[str, Any]], int, int]:
        edge = "first + count > ?" if forward else "first < ?"
        rows = self._connection.execute(
            f"SELECT first, count, earliest, latest, ingested_at, packed, events FROM batch WHERE stream = ? AND {edge}"
            f" AND latest >= ? AND earliest < ? ORDER BY first {'ASC' if forward else 'DESC'}",
            (stream_id, position, -(2**63) if start is None else start, 2**63 - 1 if end is None else end),
        )
        found: list[dict[str, Any]] = []
        low = high = position
        room = _PAGE_BYTES
        for first, count, earliest, latest, ingested_at, packed, blob in rows:
            events: list[dict[str, Any]] = json.loads(zlib.decompress(blob) if packed else blob)
            lower, upper = (max(position - first, 0), count) if forward else (0, min(position - first, count))
            if start is not None and earliest < start:
                lower = max(lower, bisect_left(events, start, key=_TIMESTAMP))
            if end is not None and latest >= end:
                upper = min(upper, bisect_left(events, end, key=_TIMESTAMP))
            if lower >= upper:
                continue
            chosen = events[lower:upper]
            taken, used = _fitting(chosen if forward else chosen[::-1], limit - len(found), room, bool(found))
            room -= used
            part = chosen[:taken] if forward else chosen[len(chosen) - taken :]
            part = [{**event, "ingestionTime": ingested_at} for event in part]
            if forward:
                found += part
                high = first + lower + taken
            else:
                found = part + found
                low = first + upper - taken
            if taken < len(chosen) or len(found) >= limit:
                break
        return found, low, high

    def _find(self, group: str, stream: str) -> int | None:
        known = self._ids.get((group, stream))
        if known is not None:
            return known
        row = self._connection.execute(
            "SELECT id FROM stream WHERE log_group = ? AND name = ?", (group, stream)
        ).fetchone()
        if row is None:
            return None
        # Ids are never reused, so the cache needs no invalidation; it is bounded because streams are never many at
        # once.
        if len(self._ids) > 4096:
            self._ids.clear()
        self._ids[(group, stream)] = row[0]
        return int(row[0])

    def _stream_id(self, group: str, stream: str) -> int:
        known = self._find(group, stream)
        if known is not None:
            return known
        self._create_group(group)
        row = self._connection.execute(
            "INSERT INTO stream (log_group, name, created_at) VALUES (?, ?, ?) RETURNING id",
            (group, stream, self._now()),
        ).fetchone()
        return int(row[0])

    def _create_group(self, group: str) -> bool:
        cursor = self._connection.execute("INSERT OR IGNORE INTO log_group VALUES (?, ?)", (group, self._now()))
        return cursor.rowcount == 1

    def _transaction(self) -> _Transaction:
        return _Transaction(self._connection)

    def _now(self) -> int:
        return int(self._clock() * 1000)


def _open(path: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(path, check_same_thread=False, isolation_level=None)
    try:
        connection.execute("PRAGMA journal_mode = WAL")
        # A log line may be lost when the machine loses power, never when a process dies.
        connection.execute("PRAGMA synchronous = NORMAL")
        connection.executescript(_SCHEMA)
    except BaseException:
        connection.close()
        raise
    return connection


class _Transaction:
    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def __enter__(self) -> None:
        self._connection.execute("BEGIN IMMEDIATE")

    def __exit__(self, kind: object, value: object, traceback: object) -> None:
        if kind is None:
            self._connection.execute("COMMIT")
        elif self._connection.in_transaction:
            self._connection.execute("ROLLBACK")


def _fitting(events: Sequence[Mapping[str, Any]], limit: int, room: int, have_some: bool) -> tuple[int, int]:
    """Return how many leading events fit into a page, and their size. The first of a page always fits."""
    events = events[:limit]
    sizes = list(accumulate(len(event["message"]) + _EVENT_OVERHEAD for event in events))
    count = bisect_left(sizes, room + 1)
    if count == 0 and events and not have_some:
        count = 1
    return count, sizes[count - 1] if count else 0


def _read_token(token: str | None, default: int, from_head: bool, total: int) -> tuple[bool, int]:
    if token is None:
        return from_head, default
    direction, _, number = token.partition("/")
    if direction not in ("f", "b") or not (number.isascii() and number.isdigit()) or int(number) > total:
        raise TokenError(f"{token!r} is no token of this log stream")
    return direction == "f", int(number)
