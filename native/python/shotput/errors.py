"""Every exception of Shotput.

The native module raises these classes; it defines none of its own. All derive from ``DeadlineOperationError``, so one
``except`` covers a call, and all survive pickling, so they cross process boundaries whole.
"""

from __future__ import annotations


class DeadlineOperationError(Exception):
    """An operation failed. The text says what failed, with which value, and what to do next.

    ``log`` is the file that says more, ``""`` when there is none.
    """

    log: str = ""


class DeadlineOperationCanceled(DeadlineOperationError):
    """The caller, or one of the caller's callbacks, ended the operation."""

    def __init__(self, message: str = "Operation canceled") -> None:
        super().__init__(message)


class UserInitiatedCancel(DeadlineOperationCanceled):
    """A person declined a confirmation."""

    def __init__(self, message: str = "Operation canceled by user") -> None:
        super().__init__(message)


class CreateJobWaiterCanceled(DeadlineOperationCanceled):
    """The wait for a created job was ended; the job itself goes on."""

    def __init__(self, message: str = "Operation canceled while waiting for CreateJob to finish") -> None:
        super().__init__(message)


class DeadlineOperationTimedOut(DeadlineOperationError, TimeoutError):
    """A limit of time passed."""

    def __init__(self, message: str = "Operation timed out") -> None:
        super().__init__(message)


class ConfigError(DeadlineOperationError):
    """The configuration cannot be read, written or understood."""


class UnsupportedProfileTypeForLoginLogout(DeadlineOperationError):
    """Nobody logs in to the AWS profile: it is none of the Deadline Cloud monitor and no sign-in to the console."""


class ServiceError(DeadlineOperationError):
    """A service answered with an error, or did not answer.

    ``code`` is the modelled error code (``""`` when nothing answered, ``"NoCredentials"`` when there was nothing to
    sign with), ``operation`` the operation's name and ``status`` the HTTP status (0 when nothing answered).
    """

    def __init__(self, message: str, code: str = "", operation: str = "", status: int = 0) -> None:
        super().__init__(message, code, operation, status)
        self.code = code
        self.operation = operation
        self.status = status

    def __str__(self) -> str:
        return str(self.args[0])


class TemplateError(DeadlineOperationError):
    """A document breaks the OpenJD rules. ``findings`` is a list of ``{"path": str, "message": str}``."""

    def __init__(self, message: str, findings: list[dict[str, str]] | None = None) -> None:
        super().__init__(message, findings or [])
        self.findings = findings or []

    def __str__(self) -> str:
        return str(self.args[0])


class BundleError(DeadlineOperationError):
    """A job bundle is not usable."""


class AttachmentsError(DeadlineOperationError):
    """Hashing, upload or download of files failed."""


class MissingInputsError(AttachmentsError):
    """Input files are missing, or are folders. ``paths`` lists them."""

    def __init__(self, message: str, paths: list[str] | None = None) -> None:
        super().__init__(message, paths or [])
        self.paths = paths or []

    def __str__(self) -> str:
        return str(self.args[0])


class SessionError(DeadlineOperationError):
    """A session, or an action in it, could not be run."""


class ObjectStoreError(DeadlineOperationError):
    """The object store cannot start or serve."""


class ImageError(DeadlineOperationError):
    """An image cannot be read, compared or written."""


class ProfileError(DeadlineOperationError):
    """A DCC profile is missing or breaks its schema. ``findings`` is a list of ``{"path": str, "message": str}``."""

    def __init__(self, message: str, findings: list[dict[str, str]] | None = None) -> None:
        super().__init__(message, findings or [])
        self.findings = findings or []

    def __str__(self) -> str:
        return str(self.args[0])


class _LoggedError(DeadlineOperationError):
    def __init__(self, message: str, log: str = "") -> None:
        super().__init__(message, log)
        self.log = log

    def __str__(self) -> str:
        return str(self.args[0])


class SceneError(_LoggedError):
    """A scene cannot be opened, saved or exported."""


class SettingsError(SceneError):
    """A setting of a submission is unknown, or its value is not allowed."""


class FarmError(_LoggedError):
    """The local farm cannot be started, reached or stopped."""


__all__ = [
    "AttachmentsError",
    "BundleError",
    "ConfigError",
    "CreateJobWaiterCanceled",
    "DeadlineOperationCanceled",
    "DeadlineOperationError",
    "DeadlineOperationTimedOut",
    "FarmError",
    "ImageError",
    "MissingInputsError",
    "ObjectStoreError",
    "ProfileError",
    "SceneError",
    "ServiceError",
    "SessionError",
    "SettingsError",
    "TemplateError",
    "UnsupportedProfileTypeForLoginLogout",
    "UserInitiatedCancel",
]
