"""The modelled exceptions, out and back in."""

from __future__ import annotations

import json
import pickle

import pytest
from shotput_farm.protocol import errors, model
from shotput_farm.protocol.errors import ServiceError
from shotput_farm.protocol.validate import Checker, Problem

SERVICE = model.service("deadline")

EXAMPLES: list[ServiceError] = [
    errors.AccessDenied("no", {"operation": "GetFarm"}),
    errors.Conflict("busy", "STATUS_CONFLICT", "worker", "worker-1", {"status": "STARTED"}),
    errors.InternalError("broken", retry_after=3),
    errors.ResourceNotFound("queue", "queue-1"),
    errors.QuotaExceeded("too many", "job", "job-1"),
    errors.Throttling("later", retry_after=2),
    errors.Validation("bad", [("a.b", "is required"), {"name": "c", "message": "is wrong"}]),
]


@pytest.mark.parametrize("error", EXAMPLES, ids=lambda error: error.code)
def test_an_error_has_the_shape_of_the_model_and_comes_back_whole(error: ServiceError) -> None:
    shape = SERVICE.shape(error.code)
    assert shape.metadata["error"]["httpStatusCode"] == error.status
    body = json.loads(json.dumps(error.body()))
    assert body.pop("__type") == error.code
    found: list[Problem] = []
    Checker(report_unknown=True).check(shape)(body, found)
    assert found == []
    headers = {name.lower(): value for name, value in error.headers.items()}
    back = errors.from_wire(error.code, error.status, error.body(), headers)
    assert type(back) is type(error)
    assert (back.message, back.members, back.retry_after) == (error.message, error.members, error.retry_after)
    copy = pickle.loads(pickle.dumps(error))
    assert (type(copy), copy.message, copy.members, copy.code) == (
        type(error),
        error.message,
        error.members,
        error.code,
    )


def test_every_exception_of_the_model_has_a_class() -> None:
    modelled = {name for name in SERVICE.model.shape_names if SERVICE.shape(name).metadata.get("exception")}
    assert modelled == set(errors.MODELLED)


def test_an_unmodelled_code_is_kept() -> None:
    error = errors.from_wire("InternalServerException", 500, {"message": "x", "a": 1}, {})
    assert (type(error), error.code, error.status, error.members) == (
        ServiceError,
        "InternalServerException",
        500,
        {"a": 1},
    )
    empty = errors.from_wire("HTTP502", 502, {}, {"retry-after": "soon"})
    assert (empty.message, empty.retry_after) == ("The service answered 502 HTTP502 without a message.", None)
