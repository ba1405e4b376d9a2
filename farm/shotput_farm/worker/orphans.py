"""Sees to it that one worker at a time works in a data directory, and that nothing of a killed one goes on.

Processes of sessions carry a marker in their environment. A worker that was killed cannot end them; the next one does,
before it takes work that the same files could be written by.
"""

from __future__ import annotations

import contextlib
import logging
import shutil
import time
from pathlib import Path

from shotput import local_farm
from shotput._native import kill_orphans

LOG = logging.getLogger(__name__)

_LOCK_FILE = "worker.lock"
# What a worker that is told to stop may take, and what the farm waits for it.
_PATIENCE_SECONDS = 20.0


class WorkerLock:
    """The lock of the one worker of a data directory; the system frees it when the process ends, however it ends."""

    def __init__(self, lock: local_farm.FarmLock) -> None:
        self._lock = lock

    @classmethod
    def acquire(cls, data_dir: Path) -> WorkerLock | None:
        """Wait for the end of the worker before this one. None when it does not end within 20 s."""
        lock = local_farm.FarmLock.acquire(data_dir, name=_LOCK_FILE, patience=_PATIENCE_SECONDS)
        return cls(lock) if lock is not None else None

    def __enter__(self) -> WorkerLock:
        return self

    def __exit__(self, *_: object) -> None:
        self._lock.release()


def marker(data_dir: Path) -> str:
    """Return what marks the processes of all sessions of this data directory."""
    return str(data_dir)


def end(data_dir: Path) -> int:
    """End the processes that a killed worker left behind, remove its folders; return how many processes there were."""
    began = time.monotonic()
    count = int(kill_orphans(marker(data_dir)))
    if count:
        LOG.warning("Ended %d processes of an earlier worker in %.1f s.", count, time.monotonic() - began)
    with contextlib.suppress(FileNotFoundError):
        for folder in (data_dir / "sessions").iterdir():
            shutil.rmtree(folder, ignore_errors=True)
    return count
