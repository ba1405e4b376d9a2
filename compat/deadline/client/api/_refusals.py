"""What the service refused, for callers of boto3 and for callers of ours. Imports botocore, so only when needed."""

from __future__ import annotations

from typing import Any

from botocore.exceptions import ClientError
from shotput.errors import ServiceError

__all__ = ["ServiceRefusal"]


class ServiceRefusal(ServiceError, ClientError):  # type: ignore[misc]  # botocore has no types
    """A ``ServiceError`` that is boto3's ``ClientError`` too, with its ``response`` and ``operation_name``."""

    def __init__(self, message: str, code: str = "", operation: str = "", status: int = 0) -> None:
        said = {"Code": code, "Message": message.removeprefix(f"{code}: ")}
        ClientError.__init__(self, {"Error": said, "ResponseMetadata": {"HTTPStatusCode": status}}, operation)
        self.args = (message, code, operation, status)
        self.code, self.operation, self.status = code, operation, status

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), self.args
