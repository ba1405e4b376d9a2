"""What each kind of key may do."""

from __future__ import annotations

from typing import Any

import pytest
from shotput_farm.authorisation import authorise, authorise_logs
from shotput_farm.credentials import Credential, Kind
from shotput_farm.protocol import model
from shotput_farm.protocol.errors import AccessDenied

OPERATIONS = model.service("deadline").operations
SCOPES: dict[str, dict[str, str]] = {
    "farm": {},
    "queue-user": {"farm_id": "F", "queue_id": "Q"},
    "queue-read": {"farm_id": "F", "queue_id": "Q"},
    "queue-worker": {"farm_id": "F", "queue_id": "Q", "worker_id": "W"},
    "fleet-read": {"farm_id": "F", "fleet_id": "L"},
    "fleet-worker": {"farm_id": "F", "fleet_id": "L", "worker_id": "W"},
}


def key(kind: Any) -> Credential:
    return Credential("ASIAKEY", "s", "t", 1.0, kind, "p", **SCOPES[kind])


def allowed(kind: Kind, operation: str, params: dict[str, Any]) -> bool:
    try:
        authorise(key(kind), operation, params)
    except AccessDenied:
        return False
    return True


def test_the_farms_own_key_may_do_everything() -> None:
    for name in OPERATIONS:
        authorise(key("farm"), name, {"farmId": "anything"})


def test_a_worker_does_its_own_work_and_nothing_else() -> None:
    mine = {"farmId": "F", "fleetId": "L", "workerId": "W"}
    may = {name for name in OPERATIONS if allowed("fleet-worker", name, mine)}
    assert may == {
        "AssumeFleetRoleForWorker",
        "AssumeQueueRoleForWorker",
        "BatchGetJobEntity",
        "DeleteWorker",
        "GetWorker",
        "UpdateWorker",
        "UpdateWorkerSchedule",
    }
    for other in ({"farmId": "X"}, {"fleetId": "X"}, {"workerId": "X"}):
        assert not allowed("fleet-worker", "UpdateWorkerSchedule", {**mine, **other})


@pytest.mark.parametrize("kind", ["queue-user", "queue-read", "queue-worker"])
def test_a_queue_role_changes_nothing(kind: Kind) -> None:
    mine = {"farmId": "F", "queueId": "Q", "jobId": "J", "workerId": "W"}
    may = {name for name in OPERATIONS if allowed(kind, name, mine)}
    assert {"GetJob", "SearchJobs", "ListSessions", "BatchGetTask", "ListFarms"} <= may
    assert all(OPERATIONS[name].method == "GET" or name.startswith(("Search", "BatchGet")) for name in may)
    assert not [name for name in may if name.startswith("Assume") or OPERATIONS[name].is_scheduling]


@pytest.mark.parametrize(
    "params",
    [
        {"farmId": "X", "queueId": "Q"},
        {"farmId": "F", "queueId": "X"},
        {"farmId": "F", "queueIds": ["Q", "X"]},
        {"identifiers": [{"farmId": "F", "queueId": "Q"}, {"farmId": "F", "queueId": "X"}]},
    ],
)
def test_a_queue_role_stays_in_its_queue(params: dict[str, Any]) -> None:
    assert not allowed("queue-user", "SearchJobs", params)


def test_the_refusal_names_key_and_reach() -> None:
    with pytest.raises(AccessDenied) as raised:
        authorise(key("queue-user"), "GetQueue", {"farmId": "F", "queueId": "X"})
    assert raised.value.message == "The queue-user key ASIAKEY reaches Q and not X. Use the farm's own key."
    with pytest.raises(AccessDenied) as raised:
        authorise(key("queue-user"), "UpdateJob", {"farmId": "F", "queueId": "Q"})
    assert raised.value.message == "The queue-user key ASIAKEY may not call UpdateJob. Use the farm's own key."


@pytest.mark.parametrize(
    ("kind", "operation", "group", "expected"),
    [
        ("farm", "PutLogEvents", "/anything", True),
        ("queue-user", "GetLogEvents", "/aws/deadline/F/Q", True),
        ("queue-user", "GetLogEvents", "/aws/deadline/F/Q2", False),
        ("queue-user", "PutLogEvents", "/aws/deadline/F/Q", False),
        ("queue-worker", "PutLogEvents", "/aws/deadline/F/Q", True),
        ("queue-worker", "PutLogEvents", "/aws/deadline/F/X", False),
        ("fleet-worker", "PutLogEvents", "/aws/deadline/F/L", True),
        ("fleet-worker", "PutLogEvents", "/aws/deadline/F/Q", True),
        ("fleet-worker", "PutLogEvents", "/aws/deadline/F2/Q", False),
        ("fleet-read", "GetLogEvents", "/aws/deadline/F/L", True),
        ("fleet-read", "PutLogEvents", "/aws/deadline/F/L", False),
    ],
)
def test_logs(kind: Kind, operation: str, group: str, expected: bool) -> None:
    if expected:
        authorise_logs(key(kind), operation, group)
    else:
        with pytest.raises(AccessDenied) as raised:
            authorise_logs(key(kind), operation, group)
        assert raised.value.message == (
            f"The {kind} key ASIAKEY may not call {operation} on the log group {group}. Use the farm's own key."
        )
