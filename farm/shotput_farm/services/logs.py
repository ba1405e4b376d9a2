"""CloudWatch Logs as far as clients of the farm use it, over JSON 1.1 and on the farm's own log store."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from botocore.model import StructureShape

from shotput_farm.authorisation import authorise_logs
from shotput_farm.credentials import ACCOUNT, Credential
from shotput_farm.protocol import model, serialise
from shotput_farm.protocol.errors import ServiceError
from shotput_farm.protocol.parse import load_object
from shotput_farm.protocol.validate import Check, Checker, Problem, rejection
from shotput_farm.store.logs import EventsError, LogStore, StreamNotFoundError, TokenError

TARGET_PREFIX = "Logs_20140328."
CONTENT_TYPE = "application/x-amz-json-1.1"

_CHECKER = Checker()


class LogsError(ServiceError):
    """An error of CloudWatch Logs: its own codes, all of them 400 but a refused access."""

    def __init__(self, code: str, message: str, status: int = 400) -> None:
        super().__init__(message)
        self.code = code
        self.status = status


def answer(store: LogStore, identity: Credential, target: str, body: bytes) -> bytes:
    """Return the JSON reply to an operation (the part of X-Amz-Target after the prefix). Blocks on the disk.

    Raises ``LogsError``, and ``ServiceError`` for a body that breaks the model.
    """
    served = _OPERATIONS.get(target)
    if served is None:
        raise LogsError(
            "UnknownOperationException",
            f"The local farm does not serve {target or 'a request without X-Amz-Target'} of CloudWatch Logs; it serves "
            f"{', '.join(_OPERATIONS)}.",
        )
    document = load_object(target, body)
    # The lines are checked by the store, all at once: the model's check would cost Python work for each of them.
    events = document.pop("logEvents", None) if target == "PutLogEvents" else None
    problems: list[Problem] = []
    params = _check(target)(document, problems)
    if problems:
        error = rejection(target, problems)
        raise LogsError("InvalidParameterException", error.message)
    authorise_logs(identity, target, params.get("logGroupName", ""))
    if target == "PutLogEvents":
        return _put(store, params, events)
    try:
        return serialise.encode(served(store, params))
    except StreamNotFoundError as error_:
        raise LogsError(
            "ResourceNotFoundException", f"{error_} Look at the names; a stream is made with its session or worker."
        ) from error_
    except TokenError as error_:
        raise LogsError(
            "InvalidParameterException", f"{target} cannot be served: nextToken {error_}. Leave it out to begin anew."
        ) from error_


def _check(target: str) -> Check:
    shape = model.service("logs").shape(f"{target}Request")
    assert isinstance(shape, StructureShape)
    return _CHECKER.members(shape, {name: member for name, member in shape.members.items() if name != "logEvents"})


def _put(store: LogStore, params: dict[str, Any], events: Any) -> bytes:
    if not isinstance(events, list) or not 1 <= len(events) <= 10_000:
        count = f"has {len(events)}" if isinstance(events, list) else "is missing or no list"
        raise LogsError(
            "InvalidParameterException",
            f"PutLogEvents cannot be served: logEvents must have between 1 and 10000 events, and {count}. "
            "Split the batch.",
        )
    try:
        total = store.put(params["logGroupName"], params["logStreamName"], events)
    except EventsError as error:
        raise LogsError(
            "InvalidParameterException",
            f"PutLogEvents cannot be served: logEvents: {error}. Correct them and send again.",
        ) from error
    # Older clients pass the token on; nothing here depends on it.
    return serialise.encode({"nextSequenceToken": f"{total:056d}"})


def _get(store: LogStore, params: dict[str, Any]) -> dict[str, Any]:
    events, forward, backward = store.get(
        _group(params),
        params["logStreamName"],
        token=params.get("nextToken"),
        limit=params.get("limit", 10_000),
        start=params.get("startTime"),
        end=params.get("endTime"),
        from_head=params.get("startFromHead", False),
    )
    return {"events": events, "nextForwardToken": forward, "nextBackwardToken": backward}


def _create_group(store: LogStore, params: dict[str, Any]) -> dict[str, Any]:
    if not store.create_group(params["logGroupName"]):
        raise LogsError(
            "ResourceAlreadyExistsException", f"The log group {params['logGroupName']} exists. Go on and use it."
        )
    return {}


def _create_stream(store: LogStore, params: dict[str, Any]) -> dict[str, Any]:
    if not store.create_stream(params["logGroupName"], params["logStreamName"]):
        raise LogsError(
            "ResourceAlreadyExistsException",
            f"The log stream {params['logStreamName']} exists in {params['logGroupName']}. Go on and use it.",
        )
    return {}


def _describe_streams(store: LogStore, params: dict[str, Any]) -> dict[str, Any]:
    group = _group(params)
    if not store.has_group(group):
        raise LogsError(
            "ResourceNotFoundException",
            f"There is no log group {group}. Look at the name; a group is made with its first session or worker.",
        )
    token = params.get("nextToken", "0")
    if not (token.isascii() and token.isdigit()):
        raise LogsError(
            "InvalidParameterException",
            f"DescribeLogStreams cannot be served: nextToken {token!r} is none of this farm's. "
            "Leave it out to begin anew.",
        )
    limit = params.get("limit", 50)
    found = store.streams(
        group,
        prefix=params.get("logStreamNamePrefix", ""),
        by_last_event=params.get("orderBy") == "LastEventTime",
        descending=params.get("descending", False),
        limit=limit + 1,
        offset=int(token),
    )
    streams = [
        {
            "logStreamName": stream["name"],
            "creationTime": stream["created_at"],
            "firstEventTimestamp": stream["first_at"],
            "lastEventTimestamp": stream["last_at"],
            "lastIngestionTime": stream["ingested_at"],
            "arn": f"arn:aws:logs:us-west-2:{ACCOUNT}:log-group:{group}:log-stream:{stream['name']}",
        }
        for stream in found[:limit]
    ]
    reply: dict[str, Any] = {
        "logStreams": [{name: value for name, value in stream.items() if value is not None} for stream in streams]
    }
    if len(found) > limit:
        reply["nextToken"] = str(int(token) + limit)
    return reply


def _group(params: dict[str, Any]) -> str:
    name: str = params.get("logGroupName", "")
    if not name:
        raise LogsError("InvalidParameterException", "The request names no log group. Send logGroupName.")
    return name


_OPERATIONS: dict[str, Callable[[LogStore, dict[str, Any]], dict[str, Any]]] = {
    "PutLogEvents": lambda store, params: {},
    "GetLogEvents": _get,
    "CreateLogGroup": _create_group,
    "CreateLogStream": _create_stream,
    "DescribeLogStreams": _describe_streams,
}
