"""The modelled exceptions of the deadline API: what a handler raises and what the client side gets back.

Each class is one error shape of the service model: its code, its HTTP status and its members. The text of every error
says what failed, with which value, and what to do next.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any


class ServiceError(Exception):
    """An error that travels over the wire.

    ``code`` is the modelled name, ``status`` the HTTP status, ``members`` the further members of the error shape in
    wire names (``message`` not among them), and ``headers`` what goes into the reply's header.
    """

    code = "InternalServerErrorException"
    status = 500

    def __init__(self, message: str, members: Mapping[str, Any] | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.members: dict[str, Any] = {k: v for k, v in (members or {}).items() if v is not None}
        self.headers: dict[str, str] = {}

    def __reduce__(self) -> tuple[Any, ...]:
        return _rebuild, (type(self), self.message, self.members, self.headers, self.code, self.status)

    def body(self) -> dict[str, Any]:
        """Return the JSON body: the members, ``message``, and the code as ``__type`` too, which some clients read."""
        return {"__type": self.code, "message": self.message, **self.members}

    @property
    def retry_after(self) -> float | None:
        """Seconds the service asks to wait before another try, or None."""
        value = self.headers.get("Retry-After")
        return float(value) if value is not None else None


def _rebuild(
    cls: type[ServiceError],
    message: str,
    members: dict[str, Any],
    headers: dict[str, str],
    code: str,
    status: int,
) -> ServiceError:
    error = cls.__new__(cls)
    ServiceError.__init__(error, message, members)
    error.headers = headers
    error.code = code
    error.status = status
    return error


class AccessDenied(ServiceError):
    """The caller may not do this (``AccessDeniedException``, 403); also what a bad signature gets."""

    code = "AccessDeniedException"
    status = 403

    def __init__(self, message: str, context: Mapping[str, str] | None = None) -> None:
        super().__init__(message, {"context": dict(context) if context else None})


class Conflict(ServiceError):
    """The resource's state does not allow this (``ConflictException``, 409).

    ``reason`` is one of CONFLICT_EXCEPTION, CONCURRENT_MODIFICATION, RESOURCE_ALREADY_EXISTS, RESOURCE_IN_USE,
    STATUS_CONFLICT. ``context["status"]`` carries the conflicting resource's status; the worker agent decides by it.
    """

    code = "ConflictException"
    status = 409

    def __init__(
        self,
        message: str,
        reason: str,
        resource_type: str,
        resource_id: str,
        context: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(
            message,
            {
                "reason": reason,
                "resourceType": resource_type,
                "resourceId": resource_id,
                "context": dict(context) if context else None,
            },
        )


class InternalError(ServiceError):
    """The farm failed (``InternalServerErrorException``, 500)."""

    def __init__(self, message: str, retry_after: int | None = None) -> None:
        super().__init__(message)
        if retry_after is not None:
            self.headers["Retry-After"] = str(retry_after)


class ResourceNotFound(ServiceError):
    """There is no such resource (``ResourceNotFoundException``, 404). ``resource_type`` is its lower-case noun."""

    code = "ResourceNotFoundException"
    status = 404

    def __init__(self, resource_type: str, resource_id: str, context: Mapping[str, str] | None = None) -> None:
        super().__init__(
            f"There is no {resource_type} {resource_id} on this farm. List what exists, then use an id from that list.",
            {
                "resourceType": resource_type,
                "resourceId": resource_id,
                "context": dict(context) if context else None,
            },
        )


class QuotaExceeded(ServiceError):
    """A limit of the farm is reached (``ServiceQuotaExceededException``, 402)."""

    code = "ServiceQuotaExceededException"
    status = 402

    def __init__(
        self,
        message: str,
        resource_type: str,
        resource_id: str | None = None,
        *,
        reason: str = "SERVICE_QUOTA_EXCEEDED_EXCEPTION",
        quota_code: str = "local-farm",
        context: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(
            message,
            {
                "reason": reason,
                "resourceType": resource_type,
                "resourceId": resource_id,
                "serviceCode": "deadline",
                "quotaCode": quota_code,
                "context": dict(context) if context else None,
            },
        )


class Throttling(ServiceError):
    """The caller should come back (``ThrottlingException``, 429), after ``retry_after`` whole seconds if given."""

    code = "ThrottlingException"
    status = 429

    def __init__(self, message: str, retry_after: int | None = None) -> None:
        super().__init__(message, {"serviceCode": "deadline"})
        if retry_after is not None:
            self.headers["Retry-After"] = str(retry_after)


class Validation(ServiceError):
    """The request breaks the model or a rule (``ValidationException``, 400).

    ``fields`` are (member path, message) pairs or ``{"name", "message"}`` dicts; ``reason`` is one of
    UNKNOWN_OPERATION, CANNOT_PARSE, FIELD_VALIDATION_FAILED, OTHER.
    """

    code = "ValidationException"
    status = 400

    def __init__(
        self,
        message: str,
        fields: Iterable[tuple[str, str] | Mapping[str, str]] = (),
        reason: str = "FIELD_VALIDATION_FAILED",
        context: Mapping[str, str] | None = None,
    ) -> None:
        field_list = [
            dict(field) if isinstance(field, Mapping) else {"name": field[0], "message": field[1]} for field in fields
        ]
        super().__init__(
            message,
            {"reason": reason, "fieldList": field_list or None, "context": dict(context) if context else None},
        )


MODELLED: dict[str, type[ServiceError]] = {
    cls.code: cls
    for cls in (AccessDenied, Conflict, InternalError, ResourceNotFound, QuotaExceeded, Throttling, Validation)
}


def unknown_operation(name: str) -> Validation:
    """Return the error for an operation, or a method and path, that this farm does not serve."""
    return Validation(
        f"The local farm does not serve {name}. Use AWS Deadline Cloud for it, or leave it out.",
        reason="UNKNOWN_OPERATION",
    )


def from_wire(code: str, status: int, body: Mapping[str, Any], headers: Mapping[str, str]) -> ServiceError:
    """Return the typed error for a reply; an unmodelled code gives a ``ServiceError`` that carries it.

    ``headers`` has lower-case names.
    """
    cls = MODELLED.get(code, ServiceError)
    members = {k: v for k, v in body.items() if k not in ("__type", "message", "Message")}
    message = body.get("message") or body.get("Message") or f"The service answered {status} {code} without a message."
    retry_after = headers.get("retry-after")
    wire_headers = {"Retry-After": retry_after} if retry_after and retry_after.isdigit() else {}
    return _rebuild(cls, str(message), members, wire_headers, code, status)
