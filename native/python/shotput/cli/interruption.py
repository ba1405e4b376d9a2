"""Ctrl-C and the request to end (SIGTERM): one way out for both, on which all is tidied up and an answer is given."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from shotput.cli.failure import CommandFailure, ExitCode, details_of, exit_code
from shotput.errors import DeadlineOperationError

_received = signal.SIGINT


def listen() -> None:
    """Make a ``KeyboardInterrupt`` of both signals. One that was to be ignored stays ignored (``nohup``, ``&``)."""
    for number in (signal.SIGINT, signal.SIGTERM):
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, _interrupt)


def _interrupt(number: int, _frame: FrameType | None) -> None:
    global _received
    _received = signal.Signals(number)
    raise KeyboardInterrupt


def code() -> ExitCode:
    """The exit code of a command that was interrupted, by the signal that came."""
    return ExitCode.TERMINATED if _received is signal.SIGTERM else ExitCode.CANCELED


@contextmanager
def telling(then: str, details: dict[str, object] | None = None) -> Iterator[None]:
    """Tell a person who interrupts the block what becomes of what it did."""
    try:
        yield
    except KeyboardInterrupt as error:
        raise CommandFailure(f"Canceled. {then}", ExitCode.CANCELED, details) from error


@contextmanager
def naming(job_id: str, then: str) -> Iterator[None]:
    """Let every failure of the block name the job; ``then`` as in :func:`telling`."""
    with telling(then, {"jobId": job_id}):
        try:
            yield
        except DeadlineOperationError as error:
            details = {**details_of(error), "jobId": job_id}
            raise CommandFailure(str(error), exit_code(error), details, log=error.log) from error
