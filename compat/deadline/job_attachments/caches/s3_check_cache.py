"""``s3_check_cache.db``: objects that were seen in the store lately."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any

from .cache_db import CacheDB

__all__ = ["S3CheckCache", "S3CheckCacheEntry"]


@dataclass
class S3CheckCacheEntry:
    """An object: ``bucket/key``, and when it was seen, in seconds since 1970 as text."""

    s3_key: str
    last_seen_time: str

    def to_dict(self) -> dict[str, Any]:
        """As plain values."""
        return {"s3_key": self.s3_key, "last_seen_time": self.last_seen_time}


class S3CheckCache(CacheDB):
    """Entries by key. The native module reads and writes the same table."""

    CACHE_NAME = "s3_check_cache"
    CACHE_DB_VERSION = 1
    ENTRY_EXPIRY_DAYS = 30

    def __init__(self, cache_dir: str | None = None) -> None:
        table = f"s3checkV{self.CACHE_DB_VERSION}"
        columns = "s3_key text primary key, last_seen_time timestamp"
        super().__init__(self.CACHE_NAME, table, f"CREATE TABLE IF NOT EXISTS {table}({columns})", cache_dir)

    def get_connection_entry(self, s3_key: str, connection: Any) -> S3CheckCacheEntry | None:
        """The entry of an object, through a connection of the caller; None without one that is young enough."""
        row = self._row(f"SELECT last_seen_time FROM {self.table_name} WHERE s3_key=?", [s3_key], connection)
        try:
            is_young = row is not None and time.time() - float(row[0]) < self.ENTRY_EXPIRY_DAYS * 24 * 60 * 60
        except ValueError:
            # Something else wrote it; the object is looked for anew.
            is_young = False
        return S3CheckCacheEntry(s3_key, str(row[0])) if is_young else None

    def get_entry(self, s3_key: str) -> S3CheckCacheEntry | None:
        """The entry of an object; None without one that is young enough."""
        return self.get_connection_entry(s3_key, None)

    def put_entry(self, entry: S3CheckCacheEntry) -> None:
        """Keep an entry, in place of an older one."""
        self._put([entry.s3_key, entry.last_seen_time])
