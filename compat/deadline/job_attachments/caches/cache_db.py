"""A cache in a file of SQLite. Uploads and hashing use the native module's; this one is for tools that look inside."""

from __future__ import annotations

import sqlite3
import threading
from abc import ABC
from pathlib import Path
from types import TracebackType
from typing import Any

from ..exceptions import JobAttachmentsError

__all__ = ["COMPONENT_NAME", "CONFIG_ROOT", "CacheDB"]

CONFIG_ROOT = ".deadline"
COMPONENT_NAME = "job_attachments"
# How long another process may hold the file.
_PATIENCE = 5.0


class CacheDB(ABC):  # noqa: B024  # as published: it is never made itself
    """One table in ``<cache_dir>/<cache_name>.db``, made when it is missing. A context manager.

    ``cache_dir`` is a folder when the cache is made, and the file afterwards, as published. Several threads may use
    it. Raises ``JobAttachmentsError`` for a file that cannot be opened.
    """

    enabled = True

    def __init__(self, cache_name: str, table_name: str, create_query: str, cache_dir: str | None = None) -> None:
        if not (cache_name and table_name and create_query):
            raise JobAttachmentsError("A cache needs a name, a table and the query that makes it.")
        folder = cache_dir or self.get_default_cache_db_file_dir()
        if folder is None:
            raise JobAttachmentsError(f"There is no home folder for {cache_name}. Name a folder for the cache.")
        Path(folder).mkdir(parents=True, exist_ok=True)
        self.cache_name, self.table_name, self.create_query = cache_name, table_name, create_query
        self.cache_dir = str(Path(folder, f"{cache_name}.db"))
        self.db_lock = threading.Lock()
        self._local = threading.local()
        self._local_connections: set[sqlite3.Connection] = set()

    def __enter__(self) -> Any:
        try:
            self.db_connection = self._connect()
            self.db_connection.execute("PRAGMA journal_mode=WAL")
            self.db_connection.execute(self.create_query)
        except sqlite3.Error as error:
            raise JobAttachmentsError(f"The cache {self.cache_dir} cannot be used: {error}") from error
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._close()

    def get_local_connection(self) -> sqlite3.Connection:
        """The connection of this thread, for reads without the lock; it ends with the cache."""
        if not hasattr(self._local, "connection"):
            self._local.connection = self._connect()
            self._local_connections.add(self._local.connection)
        connection: sqlite3.Connection = self._local.connection
        return connection

    @classmethod
    def get_default_cache_db_file_dir(cls) -> str | None:
        """``~/.deadline/job_attachments``, or None without a home folder."""
        try:
            return str(Path.home() / CONFIG_ROOT / COMPONENT_NAME)
        except RuntimeError:
            return None

    def remove_cache(self) -> None:
        """Close the cache and delete its file."""
        self._close()
        for suffix in ("", "-wal", "-shm"):
            Path(f"{self.cache_dir}{suffix}").unlink(missing_ok=bool(suffix))

    def _connect(self) -> sqlite3.Connection:
        return sqlite3.connect(self.cache_dir, timeout=_PATIENCE, check_same_thread=False)

    def _close(self) -> None:
        self.db_connection.close()
        for connection in self._local_connections:
            connection.close()
        self._local_connections.clear()
        self._local = threading.local()

    def _row(self, query: str, values: list[Any], connection: sqlite3.Connection | None = None) -> Any:
        """One row, through a given connection or, with the lock, through the cache's own."""
        if connection is not None:
            return connection.execute(query, values).fetchone()
        with self.db_lock, self.db_connection:
            return self.db_connection.execute(query, values).fetchone()

    def _put(self, values: list[Any]) -> None:
        marks = ",".join("?" * len(values))
        with self.db_lock, self.db_connection:
            self.db_connection.execute(f"INSERT OR REPLACE INTO {self.table_name} VALUES({marks})", values)
