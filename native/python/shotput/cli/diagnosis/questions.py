"""Findings, and the questions that lead to them: each with a limit of time, none of which raises."""

from __future__ import annotations

import asyncio
import enum
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from shotput import _native
from shotput.errors import DeadlineOperationError, DeadlineOperationTimedOut, ServiceError

# What the service says to keys that it does not take, whatever is asked.
_BAD_KEYS = frozenset(
    {
        "ExpiredToken",
        "ExpiredTokenException",
        "IncompleteSignature",
        "InvalidClientTokenId",
        "InvalidSignatureException",
        "MissingAuthenticationToken",
        "MissingAuthenticationTokenException",
        "SignatureDoesNotMatch",
        "UnrecognizedClientException",
    }
)


class Level(enum.StrEnum):
    """How a check came out."""

    OK = "ok"
    WARNING = "warning"
    """Submissions go through, and may not do what is wanted."""
    FAILED = "failed"
    """A submission fails, or its job never runs."""
    UNKNOWN = "unknown"
    """It cannot be known, or could not be asked."""


@dataclass(frozen=True)
class Finding:
    """What one check found. ``check`` is ``group.name``, ``next`` what to do (empty when nothing is to be done)."""

    check: str
    level: Level
    found: str
    next: str = ""
    value: Any = None
    """What was found, as the service has it."""

    @property
    def group(self) -> str:
        """The part of ``check`` before the dot."""
        return self.check.partition(".")[0]

    @property
    def name(self) -> str:
        """The part of ``check`` after the dot."""
        return self.check.partition(".")[2]

    def document(self) -> dict[str, Any]:
        """The finding as ``--json`` shows it."""
        return {
            "check": self.check,
            "status": self.level.value,
            "found": self.found,
            "next": self.next or None,
            "value": self.value,
        }


def ok(check: str, found: str, value: Any = None) -> Finding:
    """All is well."""
    return Finding(check, Level.OK, found, value=value)


def warning(check: str, found: str, then: str, value: Any = None) -> Finding:
    """It goes, and may not do what is wanted."""
    return Finding(check, Level.WARNING, found, then, value)


def failed(check: str, found: str, then: str, value: Any = None) -> Finding:
    """It does not go."""
    return Finding(check, Level.FAILED, found, then, value)


def unknown(check: str, found: str, then: str = "", value: Any = None) -> Finding:
    """Nobody can tell."""
    return Finding(check, Level.UNKNOWN, found, then, value)


def parted(sentences: str) -> tuple[str, str]:
    """What went wrong, and what to do: the last sentence of an error of ours."""
    what, dot, then = sentences.rpartition(". ")
    return (f"{what}.", then) if dot else (sentences, "")


def counted(number: int, noun: str) -> str:
    """A number of things for a person: ``1 step``."""
    return f"1 {noun}" if number == 1 else f"{number} {noun}s"


@dataclass(frozen=True)
class Answer:
    """What came back: a value, or an error of ours."""

    value: Any = None
    error: DeadlineOperationError | None = None

    @property
    def is_refused(self) -> bool:
        """Whether the service answered that the caller may not."""
        return isinstance(self.error, ServiceError) and self.error.status in (401, 403)

    @property
    def is_about_keys(self) -> bool:
        """Whether the service does not take the caller's keys at all."""
        return isinstance(self.error, ServiceError) and self.error.code in _BAD_KEYS

    @property
    def lacks_keys(self) -> bool:
        """Whether nothing could be asked, because there are no keys to sign with."""
        return isinstance(self.error, ServiceError) and self.error.code == "NoCredentials"

    @property
    def is_silence(self) -> bool:
        """Whether nothing answered."""
        return isinstance(self.error, DeadlineOperationTimedOut) or (
            isinstance(self.error, ServiceError) and not self.error.code
        )

    def explained(self) -> tuple[str, str]:
        """What went wrong, and what to do next."""
        error = self.error
        if not isinstance(error, ServiceError) or not error.code or self.lacks_keys:
            return parted(str(error))
        then = {
            "ResourceNotFoundException": "Correct the ids: `shotput config show` lists them.",
            "ThrottlingException": "Try again in a moment.",
            "ValidationException": "Correct the ids: `shotput config show` lists them.",
        }.get(error.code)
        if then is None and error.status >= 500:
            then = "Try again in a moment."
        elif then is None and self.is_about_keys:
            then = "Log in again, or correct the keys; `shotput status` says whose they are."
        elif then is None:
            then = f"Ask the farm's administrator for the right to {error.operation}."
        return str(error), then

    def finding(self, check: str, level: Level = Level.FAILED) -> Finding:
        """The error as a finding."""
        found, then = self.explained()
        return Finding(check, Level.UNKNOWN if self.is_silence else level, found, then)


@dataclass
class Questions:
    """Asks the native module about one target. ``target`` is ``None`` where the configuration decides."""

    target: dict[str, Any] | None
    timeout: float
    rights: dict[str, Answer] = field(default_factory=dict)
    """What became of each operation of the service that was tried, by its name."""

    async def ask(self, function: Callable[..., Any], *args: Any, tries: str = "", **kwargs: Any) -> Answer:
        """Call a function on a thread of the native module. ``tries`` are the operations that a success proves."""
        call = _native.call_async(function, args, {"target": self.target, **kwargs})
        try:
            answer = Answer(await asyncio.wait_for(asyncio.ensure_future(call), self.timeout))
        except TimeoutError:
            said = f"{tries.split()[0] if tries else function.__name__} got no answer within {self.timeout:g} s."
            answer = Answer(error=DeadlineOperationTimedOut(f"{said} Check the network, or give more time: --timeout."))
        except DeadlineOperationError as error:
            answer = Answer(error=error)
        self._note(tries.split(), answer)
        return answer

    def _note(self, operations: list[str], answer: Answer) -> None:
        if isinstance(answer.error, ServiceError) and answer.error.operation:
            # Of several, those before the one that failed went well.
            failed_one = answer.error.operation
            for operation in operations[: operations.index(failed_one)] if failed_one in operations else []:
                self.rights[operation] = Answer(value=True)
            operations = [failed_one]
        for operation in operations:
            self.rights[operation] = answer
