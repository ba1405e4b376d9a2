"""The database file: connections, migrations, and one writer that commits in groups.

Whoever writes hands a function to ``Store.write``. The first thread to arrive runs all functions that are waiting, each
in a savepoint of its own, commits once and wakes the others: under load one commit carries many calls, and alone a
call pays no thread switch. A function returns only after its work is committed, so an answer given is an answer kept.
"""

from __future__ import annotations

import re
import sqlite3
import threading
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib import resources
from pathlib import Path
from typing import Any, Generic, TypeVar

T = TypeVar("T")

EVERY_WORKER = "*"
"""In ``Transaction.wake``: every worker that waits for work should look again."""


class StoreError(Exception):
    """The database cannot be opened, understood or written. The text says which file and what to do."""


@dataclass
class Transaction:
    """One unit of writing, all of it or nothing.

    ``now`` is the time in epoch milliseconds, the same throughout. ``deltas`` collects how many tasks of a step (by its
    row) entered or left a status; they are folded into steps and jobs before the commit. ``wake`` collects the workers
    (ids, or ``EVERY_WORKER``) whose held requests have something to say after the commit.
    """

    db: sqlite3.Connection
    now: int
    deltas: defaultdict[int, Counter[str]] = field(default_factory=lambda: defaultdict(Counter))
    wake: set[str] = field(default_factory=set)

    def reconsider(self, step_seq: int) -> None:
        """Have a step's and its job's status worked out again, though no task may have moved."""
        self.deltas[step_seq].update()


class _Work(Generic[T]):
    """A function on its way through the writer."""

    def __init__(self, function: Callable[[Transaction], T]) -> None:
        self.function = function
        self.done = False
        self.value: T | None = None
        self.error: BaseException | None = None
        self.wake: set[str] = set()


class Store:
    """The farm's database at ``path``. Safe to use from any thread.

    ``clock`` gives epoch seconds. ``settle`` runs at the end of every write, inside it, and may be called earlier;
    ``on_commit`` is called after each commit with the union of all ``Transaction.wake``. Raises StoreError when the
    file cannot be used.
    """

    def __init__(
        self,
        path: Path,
        *,
        clock: Callable[[], float],
        settle: Callable[[Transaction], None] = lambda tx: None,
        on_commit: Callable[[set[str]], None] = lambda wake: None,
    ) -> None:
        self.path = path
        self._clock = clock
        self.settle = settle
        self._on_commit = on_commit
        self._writer_lock = threading.Lock()
        self._waiting: list[_Work[Any]] = []
        self._waiting_lock = threading.Lock()
        self._readers = threading.local()
        self._open: list[sqlite3.Connection] = []
        self._closed = False
        try:
            self._db = self._connect()
            self._db.execute("PRAGMA journal_mode = WAL")
            self._migrate()
        except sqlite3.Error as error:
            raise _failure(path, "opened", error) from error

    def write(self, function: Callable[[Transaction], T]) -> T:
        """Run ``function`` in a transaction and return its value once it is committed.

        What the function raises comes out of this call, and nothing of it is kept. Raises StoreError when the commit
        fails.
        """
        work: _Work[T] = _Work(function)
        with self._waiting_lock:
            self._waiting.append(work)
        with self._writer_lock:
            if not work.done:
                self._commit_waiting()
        if work.error is not None:
            raise work.error
        return work.value  # type: ignore[return-value]

    @contextmanager
    def read(self) -> Iterator[sqlite3.Connection]:
        """Give a connection that sees one moment of the database and can change nothing."""
        db: sqlite3.Connection | None = getattr(self._readers, "db", None)
        if db is None:
            db = self._connect()
            db.execute("PRAGMA query_only = ON")
            self._readers.db = db
        if db.in_transaction:  # a read inside a read sees the same moment
            yield db
            return
        db.execute("BEGIN")
        try:
            yield db
        finally:
            db.execute("COMMIT")

    def close(self) -> None:
        """Finish what is being written and close the file."""
        with self._writer_lock:
            self._closed = True
            for db in self._open:
                db.close()
            self._open.clear()

    def _connect(self) -> sqlite3.Connection:
        if self._closed:
            raise StoreError(f"The farm's database {self.path} is closed; start the farm again.")
        db = sqlite3.connect(
            self.path, isolation_level=None, check_same_thread=False, cached_statements=512, timeout=10.0
        )
        db.row_factory = sqlite3.Row
        db.execute("PRAGMA synchronous = NORMAL")
        db.execute("PRAGMA foreign_keys = ON")
        self._open.append(db)
        return db

    def _commit_waiting(self) -> None:
        with self._waiting_lock:
            batch, self._waiting = self._waiting, []
        if self._closed:
            self._fail(batch, StoreError(f"The farm's database {self.path} is closed; start the farm again."))
            return
        now = int(self._clock() * 1000)
        wake: set[str] = set()
        try:
            self._db.execute("BEGIN IMMEDIATE")
            for work in batch:
                wake |= self._run(work, now)
            self._db.execute("COMMIT")
        except sqlite3.Error as error:
            if self._db.in_transaction:
                self._db.execute("ROLLBACK")
            self._fail(batch, _failure(self.path, "written", error))
            return
        for work in batch:
            work.done = True
        if wake:
            self._on_commit(wake)

    def _run(self, work: _Work[Any], now: int) -> set[str]:
        tx = Transaction(self._db, now)
        self._db.execute("SAVEPOINT work")
        try:
            work.value = work.function(tx)
            self.settle(tx)
        except sqlite3.OperationalError:
            raise  # the disk, not the function: the whole group fails
        except BaseException as error:
            work.error = error
            self._db.execute("ROLLBACK TO work")
            self._db.execute("RELEASE work")
            return set()
        self._db.execute("RELEASE work")
        return tx.wake

    @staticmethod
    def _fail(batch: list[_Work[Any]], error: StoreError) -> None:
        for work in batch:
            work.done = True
            work.value = None
            work.error = error

    def _migrate(self) -> None:
        """Bring the schema to the newest migration, each in one transaction."""
        (version,) = self._db.execute("PRAGMA user_version").fetchone()
        migrations = load_migrations()
        newest = max(migrations)
        if version > newest:
            raise StoreError(
                f"The farm's database {self.path} was written by a newer Shotput (schema {version}, this one knows "
                f"{newest}). Update Shotput, or start this one with another data directory."
            )
        for number in range(version + 1, newest + 1):
            self._db.executescript(f"BEGIN IMMEDIATE;\n{migrations[number]}\nPRAGMA user_version = {number};\nCOMMIT;")


def is_damage(text: str) -> bool:
    """Tell whether SQLite's words mean that a file is not, or no longer, a database of the farm."""
    return any(word in text for word in ("malformed", "not a database", "no such table", "no such column"))


def _failure(path: Path, done: str, error: sqlite3.Error) -> StoreError:
    if is_damage(str(error)):
        what_to_do = "It is damaged: move it away, and the farm starts with an empty one."
    else:
        what_to_do = "Nothing was changed; free space on its disk or make the file writable, then try again."
    return StoreError(f"The farm's database {path} cannot be {done} ({error}). {what_to_do}")


def load_migrations() -> dict[int, str]:
    """Return {number: SQL} of all migrations. Raises StoreError when a number is missing or there twice."""
    found: dict[int, str] = {}
    for entry in resources.files("shotput_farm.store").joinpath("migrations").iterdir():
        match = re.fullmatch(r"(\d{4})_[a-z0-9_]+\.sql", entry.name)
        if match is None:
            continue
        number = int(match[1])
        if number in found:
            raise StoreError(f"Two migrations have the number {number}; the second is {entry.name}. Renumber one.")
        found[number] = entry.read_text(encoding="utf-8")
    if sorted(found) != list(range(1, len(found) + 1)):
        raise StoreError(f"Migrations must be numbered 1, 2, 3, …; found {sorted(found)}.")
    return found
