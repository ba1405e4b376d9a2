"""The exceptions of the client: those of Shotput, so that what the native module raises is caught by these names."""

from __future__ import annotations

from shotput.errors import (
    CreateJobWaiterCanceled,
    DeadlineOperationCanceled,
    DeadlineOperationError,
    DeadlineOperationTimedOut,
    UserInitiatedCancel,
)

__all__ = [
    "CreateJobWaiterCanceled",
    "DeadlineOperationCanceled",
    "DeadlineOperationError",
    "DeadlineOperationTimedOut",
    "ManifestOutdatedError",
    "NonValidInputError",
    "UserInitiatedCancel",
]


class NonValidInputError(Exception):
    """What a person gave cannot be used."""


class ManifestOutdatedError(Exception):
    """Local files are no longer those of a manifest."""
