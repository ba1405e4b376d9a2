"""Hashes, by the native module."""

from __future__ import annotations

import json
from enum import Enum
from pathlib import Path

from shotput import _native

from ..exceptions import UnsupportedHashingAlgorithmError

__all__ = ["HashAlgorithm", "hash_data", "hash_file"]


class HashAlgorithm(str, Enum):
    """``XXH128`` is XXH3 with 128 bits, the only one."""

    XXH128 = "xxh128"


def _check(hash_alg: HashAlgorithm) -> None:
    if hash_alg != HashAlgorithm.XXH128:
        raise UnsupportedHashingAlgorithmError(f"There is no hash algorithm {hash_alg!r}; use xxh128.")


def hash_file(file_path: str, hash_alg: HashAlgorithm) -> str:
    """Hash of a file's content, 32 hexadecimal digits."""
    _check(hash_alg)
    path = Path(file_path)
    # What is missing, forbidden or a folder fails as it does for every program.
    with path.open("rb"):
        # A snapshot leaves out links that lead out of their folder.
        path = path.resolve()
    # It streams the file, whatever its size.
    manifest = _native.snapshot(path.parent, [path])["manifest"]
    return str(json.loads(manifest)["paths"][0]["hash"])


def hash_data(data: bytes, hash_alg: HashAlgorithm) -> str:
    """Hash of data, 32 hexadecimal digits. Text counts as UTF-8."""
    _check(hash_alg)
    return _native.hash_bytes(data.encode("utf-8") if isinstance(data, str) else bytes(data))
