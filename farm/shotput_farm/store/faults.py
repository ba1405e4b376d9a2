"""Says in a sentence what the disk did to the farm's files, and what to do next."""

from __future__ import annotations

import errno
import sqlite3

from shotput_farm.store.database import StoreError, is_damage


def describe(error: BaseException) -> str | None:
    """Return what failed and what to do next when ``error`` comes from the disk, None otherwise."""
    if isinstance(error, StoreError):
        return str(error)
    if isinstance(error, sqlite3.Error):
        text, full, read_only = str(error), "disk is full" in str(error), "readonly" in str(error)
    elif isinstance(error, OSError):
        text, full, read_only = "", error.errno in (errno.ENOSPC, errno.EDQUOT), error.errno == errno.EROFS
    else:
        return None
    if full:
        return "The disk that holds the farm's data is full. Free space on it, then try again."
    if read_only:
        return "The farm's data folder is read-only. Make it writable, then try again."
    if is_damage(text):
        return (
            f"A database in the farm's data folder is damaged ({text}). Move farm.sqlite3 away, or logs.sqlite3 when "
            "only logs cannot be read: the farm starts with an empty one."
        )
    if "disk I/O" in text:
        return f"The farm's database cannot be read ({text}). Check the disk, then start the farm again."
    return None
