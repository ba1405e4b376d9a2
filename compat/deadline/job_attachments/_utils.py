"""Small rules about keys, times and paths that tools take from here under their published names."""

from __future__ import annotations

import random
import sys
import time as clock
from collections.abc import Sequence
from datetime import datetime, timedelta, timezone
from functools import lru_cache, wraps
from hashlib import shake_256
from pathlib import Path
from typing import Any, Callable
from uuid import uuid4

__all__ = [
    "_float_to_iso_datetime_string",
    "_generate_random_guid",
    "_get_bucket_and_object_key",
    "_get_unique_dest_dir_name",
    "_is_relative_to",
    "_join_s3_paths",
]

# A download writes under a longer name first, so that much less of a path is left.
TEMP_DOWNLOAD_ADDED_CHARS_LENGTH = 9
WINDOWS_MAX_PATH_LENGTH = 260
WINDOWS_UNC_PATH_STRING_PREFIX = "\\\\?\\"


def _join_s3_paths(root: str, *args: str) -> str:
    """Parts of a key with ``/`` between them."""
    return "/".join([root, *args])


def _generate_random_guid() -> str:
    """32 hexadecimal digits that nobody else has."""
    return uuid4().hex


def _float_to_iso_datetime_string(time: float) -> str:
    """Seconds since 1970 as UTC with six decimals: ``2024-05-01T12:00:00.500000Z``."""
    whole = int(time)
    # Cut, not rounded: the official client names folders so, and names have to be the same.
    moment = datetime.fromtimestamp(whole, timezone.utc) + timedelta(microseconds=int((time - whole) * 1_000_000))
    return moment.strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def _get_unique_dest_dir_name(source_root: str) -> str:
    """The folder in a session that a root of the submitting machine gets."""
    return f"assetroot-{shake_256(source_root.encode()).hexdigest(10)}"


def _get_bucket_and_object_key(s3_path: str) -> tuple[str, str]:
    """Bucket and key of ``s3://bucket/key``."""
    bucket, _, key = s3_path.replace("s3://", "").partition("/")
    return bucket, key


def _normalize_windows_path(path: Path | str) -> Path:
    """A path without the prefix of long ones."""
    text = str(path)
    return Path(
        text[len(WINDOWS_UNC_PATH_STRING_PREFIX) :] if text.startswith(WINDOWS_UNC_PATH_STRING_PREFIX) else text
    )


def _is_relative_to(path1: Path | str, path2: Path | str) -> bool:
    """Whether the first path, links followed, is the second or lies below it."""
    inner, outer = (_normalize_windows_path(Path(path).resolve()) for path in (path1, path2))
    return inner == outer or outer in inner.parents


@lru_cache(maxsize=1)
def _is_windows_long_path_registry_enabled() -> bool:
    """Whether this process may use long paths as they are. Always, outside of Windows."""
    if sys.platform != "win32":
        return True
    import ctypes

    return bool(ctypes.WinDLL("ntdll").RtlAreLongPathsEnabled())


def _get_long_path_compatible_path(original_path: str | Path) -> Path:
    """The path, on Windows with the prefix that a long one needs."""
    text = str(original_path)
    needs_prefix = (
        sys.platform == "win32"
        and len(text) + TEMP_DOWNLOAD_ADDED_CHARS_LENGTH >= WINDOWS_MAX_PATH_LENGTH
        and not text.startswith(WINDOWS_UNC_PATH_STRING_PREFIX)
        and not _is_windows_long_path_registry_enabled()
    )
    return Path(WINDOWS_UNC_PATH_STRING_PREFIX + text if needs_prefix else text)


def _retry(
    ExceptionToCheck: type[Exception] | tuple[type[Exception], ...] = AssertionError,
    tries: int = 2,
    delay: float | Sequence[float] = 1.0,
    backoff: float = 1.0,
    logger: Callable[[str], Any] | None = print,
) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Decorator: calls again after these exceptions, ``tries`` times in all.

    Between two calls lie ``delay`` seconds, or a random time between its two values; ``backoff`` times longer each.
    """

    def decorate(function: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(function)
        def call(*args: Any, **kwargs: Any) -> Any:
            pause = delay if isinstance(delay, (int, float)) else random.uniform(delay[0], delay[1])
            for _ in range(tries - 1):
                try:
                    return function(*args, **kwargs)
                except ExceptionToCheck as error:
                    if logger:
                        logger(f"{error}, trying again in {pause} seconds")
                clock.sleep(pause)
                pause *= backoff
            return function(*args, **kwargs)

        return call

    return decorate
