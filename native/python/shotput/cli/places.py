"""Where the files of job attachments are: the queue's bucket, or one that a person names; and the caches."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from shotput.cli.failure import CommandFailure, ExitCode
from shotput.submission import Connection


def cache_dir() -> Path:
    """The folder of the caches of hashes and of what a bucket has; the official client's too."""
    return Path("~/.deadline/cache").expanduser()


def of(connection: Connection, uri: str | None) -> dict[str, Any]:
    """The arguments of a native call for ``s3://BUCKET/PREFIX``, with the user's rights, or for the queue with its own.

    Raises :class:`CommandFailure` for another text.
    """
    place: dict[str, Any] = {
        "farm_id": connection.farm_id,
        "queue_id": connection.queue_id,
        "target": connection.target,
    }
    if uri is None:
        return place
    found = re.fullmatch(r"s3://([^/]+)/(.+?)/*", uri)
    if found is None:
        raise CommandFailure(f"{uri!r} is no place in an object store; write s3://BUCKET/PREFIX.", ExitCode.USAGE)
    return {**place, "bucket": found[1], "root_prefix": found[2]}


def folder(path: Path, what: str) -> Path:
    """The absolute path of a folder that is there. Raises :class:`CommandFailure`."""
    if not path.is_dir():
        why = "is not a folder" if path.exists() else "does not exist"
        raise CommandFailure(f"The {what} folder {path} {why}.", ExitCode.USAGE)
    return path.absolute()
