"""``hash_cache.db``: hashes of files that did not change since."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ..asset_manifests.hash_algorithms import HashAlgorithm
from .cache_db import CacheDB

__all__ = ["WHOLE_FILE_RANGE_END", "HashCache", "HashCacheEntry"]

WHOLE_FILE_RANGE_END = -1


@dataclass
class HashCacheEntry:
    """The hash of a file, or of its bytes from ``range_start`` up to ``range_end``.

    ``last_modified_time`` is ``str(datetime.fromtimestamp(st_mtime))`` of the resolved ``file_path``.
    """

    file_path: str
    hash_algorithm: HashAlgorithm
    file_hash: str
    last_modified_time: str
    range_start: int = 0
    range_end: int = WHOLE_FILE_RANGE_END

    def __post_init__(self) -> None:
        if self.range_end != WHOLE_FILE_RANGE_END and self.range_end <= self.range_start:
            raise ValueError(f"The range of bytes {self.range_start} to {self.range_end} is empty.")

    def is_whole_file(self) -> bool:
        """Whether it is of the whole file."""
        return (self.range_start, self.range_end) == (0, WHOLE_FILE_RANGE_END)

    def to_dict(self) -> dict[str, Any]:
        """As plain values."""
        return {
            "file_path": self.file_path,
            "hash_algorithm": self.hash_algorithm.value,
            "file_hash": self.file_hash,
            "last_modified_time": self.last_modified_time,
            "range_start": self.range_start,
            "range_end": self.range_end,
        }


class HashCache(CacheDB):
    """Entries by file, algorithm and range. The native module reads and writes the same table."""

    CACHE_NAME = "hash_cache"
    CACHE_DB_VERSION = 4

    def __init__(self, cache_dir: str | None = None) -> None:
        table = f"hashesV{self.CACHE_DB_VERSION}"
        columns = (
            "file_path blob, hash_algorithm text, range_start integer, range_end integer, file_hash text, "
            "last_modified_time timestamp, PRIMARY KEY (file_path, hash_algorithm, range_start, range_end)"
        )
        super().__init__(self.CACHE_NAME, table, f"CREATE TABLE IF NOT EXISTS {table}({columns})", cache_dir)

    def get_connection_entry(
        self,
        file_path_key: str,
        hash_algorithm: HashAlgorithm,
        connection: Any,
        range_start: int = 0,
        range_end: int = WHOLE_FILE_RANGE_END,
    ) -> HashCacheEntry | None:
        """The entry of a file, through a connection of the caller; None without one."""
        query = (
            f"SELECT file_hash, last_modified_time FROM {self.table_name} "
            "WHERE file_path=? AND hash_algorithm=? AND range_start=? AND range_end=?"
        )
        # Names of files on disk may hold what is no UTF-8.
        key = file_path_key.encode("utf-8", "surrogatepass")
        row = self._row(query, [key, hash_algorithm.value, range_start, range_end], connection)
        return row and HashCacheEntry(file_path_key, hash_algorithm, row[0], str(row[1]), range_start, range_end)

    def get_entry(
        self,
        file_path_key: str,
        hash_algorithm: HashAlgorithm,
        range_start: int = 0,
        range_end: int = WHOLE_FILE_RANGE_END,
    ) -> HashCacheEntry | None:
        """The entry of a file; None without one."""
        return self.get_connection_entry(file_path_key, hash_algorithm, None, range_start, range_end)

    def put_entry(self, entry: HashCacheEntry) -> None:
        """Keep an entry, in place of an older one."""
        path = entry.file_path.encode("utf-8", "surrogatepass")
        of = [path, entry.hash_algorithm.value, entry.range_start, entry.range_end]
        self._put([*of, entry.file_hash, entry.last_modified_time])
