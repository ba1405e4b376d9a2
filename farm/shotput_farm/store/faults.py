"""Says in a sentence what the disk did to the farm's databases."""

from __future__ import annotations

import sqlite3

from shotput_farm.store.database import StoreError


def describe(error: BaseException) -> str | None:
    """Return what failed and what to do next when ``error`` comes from the disk below a database, None otherwise."""
    if isinstance(error, StoreError):
        return str(error)
    if not isinstance(error, sqlite3.Error):
        return None
    text = str(error)
    if "disk is full" in text:
        return "The disk that holds the farm's data is full. Free space on it, then try again."
    if "readonly" in text or "read-only" in text:
        return "The farm's data folder is read-only. Make it writable, then try again."
    if "disk I/O" in text or "malformed" in text:
        return f"The farm's database cannot be read ({text}). Check the disk, then start the farm again."
    return None
