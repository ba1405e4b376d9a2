"""What the command returns when something fails: one exit code a kind of failure."""

from __future__ import annotations

import enum

from shotput import errors


class ExitCode(enum.IntEnum):
    """The exit codes of every command."""

    OK = 0
    FAILED = 1
    """An operation failed for a reason without a code of its own."""
    USAGE = 2
    """The command line is wrong."""
    DOCUMENT = 3
    """A template, bundle, scene or profile is not usable."""
    MISSING_FILES = 4
    """Input files are missing."""
    SERVICE = 5
    """The farm or a service cannot be reached, or refused."""
    CONFIG = 6
    """The configuration cannot be used."""
    TRANSFER = 7
    """Hashing, upload or download failed."""
    JOB_FAILED = 10
    JOB_CANCELED = 11
    JOB_SUSPENDED = 12
    """The job was suspended or archived."""
    JOB_NOT_COMPATIBLE = 13
    """No worker can run the job."""
    TIMED_OUT = 14
    FRAMES_DIFFER = 15
    """Frames from the farm are not those that the renderer makes by itself."""
    INTERNAL = 70
    """A fault of the program; please report it."""
    CANCELED = 130
    """A person ended the command."""
    TERMINATED = 143
    """Another program ended the command (SIGTERM)."""


# The first class that fits decides, so subclasses come before their bases.
_CODES: tuple[tuple[type[BaseException], ExitCode], ...] = (
    (errors.DeadlineOperationCanceled, ExitCode.CANCELED),
    (errors.DeadlineOperationTimedOut, ExitCode.TIMED_OUT),
    (errors.MissingInputsError, ExitCode.MISSING_FILES),
    (errors.AttachmentsError, ExitCode.TRANSFER),
    (errors.ConfigError, ExitCode.CONFIG),
    (errors.UnsupportedProfileTypeForLoginLogout, ExitCode.CONFIG),
    (errors.ServiceError, ExitCode.SERVICE),
    (errors.FarmError, ExitCode.SERVICE),
    (errors.TemplateError, ExitCode.DOCUMENT),
    (errors.BundleError, ExitCode.DOCUMENT),
    (errors.SettingsError, ExitCode.USAGE),
    (errors.SceneError, ExitCode.DOCUMENT),
    (errors.ProfileError, ExitCode.DOCUMENT),
    (errors.DeadlineOperationError, ExitCode.FAILED),
    (KeyboardInterrupt, ExitCode.CANCELED),
)

# How a job's final status reads as an exit code.
JOB_CODES = {
    "SUCCEEDED": ExitCode.OK,
    "FAILED": ExitCode.JOB_FAILED,
    "CANCELED": ExitCode.JOB_CANCELED,
    "SUSPENDED": ExitCode.JOB_SUSPENDED,
    "NOT_COMPATIBLE": ExitCode.JOB_NOT_COMPATIBLE,
}


class CommandFailure(errors.DeadlineOperationError):
    """A failure that a command words itself, with the exit code it wants and what ``--json`` shows of it."""

    def __init__(
        self, message: str, code: ExitCode, details: dict[str, object] | None = None, *, log: str = ""
    ) -> None:
        super().__init__(message, code, details)
        self.code = code
        self.details = details or {}
        self.log = log

    def __str__(self) -> str:
        return str(self.args[0])


def exit_code(error: BaseException) -> ExitCode:
    """The exit code for an exception; ``INTERNAL`` for one that no user's mistake explains."""
    if isinstance(error, CommandFailure):
        return error.code
    for kind, code in _CODES:
        if isinstance(error, kind):
            return code
    return ExitCode.INTERNAL


def details_of(error: BaseException) -> dict[str, object]:
    """What ``--json`` shows of an exception beside its message."""
    if isinstance(error, CommandFailure):
        return error.details
    return {"findings": error.findings} if isinstance(error, errors.TemplateError) else {}
