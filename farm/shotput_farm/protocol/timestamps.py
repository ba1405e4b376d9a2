"""Timestamps on the wire and off it: RFC 3339 with Z outside, float epoch seconds rounded to microseconds inside.

A float holds microseconds exactly enough until the year 2255, so a timestamp survives the round trip unchanged; clients
page by the last ``createdAt`` they saw, which would otherwise skip or repeat rows.
"""

from __future__ import annotations

import math
import time
from datetime import UTC, datetime
from functools import lru_cache

_EARLIEST = datetime(1, 1, 2, tzinfo=UTC).timestamp()
_LATEST = datetime(9999, 12, 30, tzinfo=UTC).timestamp()


def parse(value: str | float) -> float:
    """Return epoch seconds of an RFC 3339 text, a number, or a number in text. ValueError when it is none of these.

    A text without an offset is UTC.
    """
    try:
        moment = datetime.fromisoformat(value) if isinstance(value, str) else None
    except ValueError:
        moment = None
    try:
        seconds = (
            float(value) if moment is None else (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
        )
    except (ValueError, OverflowError):
        seconds = math.nan
    if not _EARLIEST <= seconds <= _LATEST:  # nan is not
        raise ValueError(f"{value!r} is no time")
    return round(seconds, 6)


def render(seconds: float) -> str:
    """Return ``2024-01-02T03:04:05.678123Z``; whole seconds have no fraction."""
    whole, micros = divmod(round(seconds * 1_000_000), 1_000_000)
    if micros:
        return f"{_second(whole)}.{micros:06d}Z"
    return f"{_second(whole)}Z"


@lru_cache(maxsize=4096)
def _second(whole: int) -> str:
    moment = time.gmtime(whole)
    return (
        f"{moment.tm_year:04d}-{moment.tm_mon:02d}-{moment.tm_mday:02d}"
        f"T{moment.tm_hour:02d}:{moment.tm_min:02d}:{moment.tm_sec:02d}"
    )
