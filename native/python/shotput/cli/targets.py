"""Which farm a command talks to: the local one, or the one of the client configuration."""

from __future__ import annotations

import enum
from typing import Annotated

import typer

from shotput import _native, submission
from shotput.cli.failure import CommandFailure, ExitCode
from shotput.submission import Connection


class TargetName(enum.StrEnum):
    """The farms that a command can name."""

    LOCAL = "local"
    CLOUD = "cloud"


TargetOption = Annotated[
    TargetName,
    typer.Option(
        "--target", "-t", help="`local`: the farm of this machine. `cloud`: AWS Deadline Cloud, as configured."
    ),
]


def connect(name: TargetName) -> Connection:
    """Resolve a target; the local farm is started when it does not run.

    Raises :class:`shotput.errors.FarmError` when it cannot be started, and :class:`CommandFailure` when the
    configuration names no farm or queue.
    """
    if name is TargetName.LOCAL:
        return submission.connect_local()
    farm_id = _native.get_setting("defaults.farm_id")
    queue_id = _native.get_setting("defaults.queue_id")
    if not farm_id or not queue_id:
        missing = "farm (defaults.farm_id)" if not farm_id else "queue (defaults.queue_id)"
        raise CommandFailure(
            f"The client configuration names no {missing}. Set it with `shotput config set`, or use --target local.",
            ExitCode.CONFIG,
        )
    return Connection("cloud", farm_id, queue_id, None)


def storage_profile(connection: Connection) -> str | None:
    """The id of this machine's storage profile: the local farm's own, or that of the client configuration."""
    if connection.target is not None:
        return connection.target.get("storage_profile_id") or None
    return _native.get_setting("settings.storage_profile_id") or None
