"""Every (status, event) pair of every table leads where the table says, or is an error that says what is allowed."""

from __future__ import annotations

import pickle

import pytest
from shotput_farm import lifecycle
from shotput_farm.lifecycle import ACTION, JOB, SESSION, STEP, TASK, WORKER, IllegalTransitionError, Machine, aggregate

MACHINES = [TASK, JOB, STEP, SESSION, ACTION, WORKER]

TASK_EVENTS = {
    "PENDING": {
        "resolve": "READY",
        "cancel": "CANCELED",
        "suspend": "SUSPENDED",
        "mark_failed": "FAILED",
        "mark_succeeded": "SUCCEEDED",
        "mark_canceled": "CANCELED",
        "exclude": "NOT_COMPATIBLE",
    },
    "READY": {
        "block": "PENDING",
        "assign": "ASSIGNED",
        "cancel": "CANCELED",
        "suspend": "SUSPENDED",
        "mark_failed": "FAILED",
        "mark_succeeded": "SUCCEEDED",
        "mark_canceled": "CANCELED",
        "exclude": "NOT_COMPATIBLE",
    },
    "ASSIGNED": {"schedule": "SCHEDULED", "launch": "STARTING", "start": "RUNNING", "interrupt": "INTERRUPTING"},
    "SCHEDULED": {"launch": "STARTING", "start": "RUNNING", "interrupt": "INTERRUPTING"},
    "STARTING": {"start": "RUNNING", "interrupt": "INTERRUPTING"},
    "RUNNING": {"interrupt": "INTERRUPTING"},
    "INTERRUPTING": {},
    "SUSPENDED": {
        "resume": "PENDING",
        "requeue": "PENDING",
        "cancel": "CANCELED",
        "mark_failed": "FAILED",
        "mark_succeeded": "SUCCEEDED",
        "mark_canceled": "CANCELED",
    },
    "CANCELED": {"requeue": "PENDING", "mark_failed": "FAILED", "mark_succeeded": "SUCCEEDED"},
    "FAILED": {"requeue": "PENDING", "mark_succeeded": "SUCCEEDED", "mark_canceled": "CANCELED"},
    "SUCCEEDED": {"requeue": "PENDING", "mark_failed": "FAILED", "mark_canceled": "CANCELED"},
    "NOT_COMPATIBLE": {
        "requeue": "PENDING",
        "include": "PENDING",
        "cancel": "CANCELED",
        "mark_failed": "FAILED",
        "mark_succeeded": "SUCCEEDED",
        "mark_canceled": "CANCELED",
    },
}
ENDS = {
    "succeed": "SUCCEEDED",
    "fail": "FAILED",
    "retry": "READY",
    "release": "READY",
    "end_canceled": "CANCELED",
    "end_suspended": "SUSPENDED",
}
for _status in lifecycle.IN_FLIGHT:
    TASK_EVENTS[_status].update(ENDS)


def pairs(machine: Machine) -> list[tuple[str, str]]:
    return [(status, event) for status in sorted(machine.statuses) for event in machine.table]


@pytest.mark.parametrize(("status", "event"), pairs(TASK))
def test_task_transitions(status: str, event: str) -> None:
    expected = TASK_EVENTS[status].get(event)
    if expected is None:
        with pytest.raises(IllegalTransitionError):
            TASK.next(status, event)
    else:
        assert TASK.next(status, event) == expected


@pytest.mark.parametrize("machine", MACHINES, ids=lambda machine: machine.entity)
def test_every_pair_is_legal_or_an_error(machine: Machine) -> None:
    for status, event in pairs(machine):
        if machine.allows(status, event):
            assert machine.next(status, event) in machine.statuses
            assert event in machine.events(status)
        else:
            with pytest.raises(IllegalTransitionError) as caught:
                machine.next(status, event)
            assert (caught.value.entity, caught.value.status, caught.value.event) == (machine.entity, status, event)


@pytest.mark.parametrize("machine", MACHINES, ids=lambda machine: machine.entity)
def test_every_status_can_be_reached(machine: Machine) -> None:
    reached = set(machine.initial)
    while True:
        grown = reached | {to for moves in machine.table.values() for status, to in moves.items() if status in reached}
        if grown == reached:
            break
        reached = grown
    assert reached == machine.statuses


def test_task_table_has_all_statuses_of_the_service_model() -> None:
    assert set(lifecycle.TASK_STATUSES) == TASK.statuses


@pytest.mark.parametrize("status", sorted(lifecycle.ACTION_OPEN))
@pytest.mark.parametrize(("result", "event"), sorted(lifecycle.ACTION_RESULTS.items()))
def test_an_open_action_takes_every_result_once(status: str, result: str, event: str) -> None:
    ended = ACTION.next(status, event)
    assert ended == result
    assert ACTION.events(ended) == ()


def test_illegal_transition_says_what_is_allowed() -> None:
    with pytest.raises(IllegalTransitionError) as caught:
        STEP.next("CREATE_COMPLETE", "melt")
    assert str(caught.value) == (
        "A step in status CREATE_COMPLETE cannot take the event melt. From CREATE_COMPLETE it can take: update."
    )
    with pytest.raises(IllegalTransitionError) as caught:
        SESSION.next("ENDED", "end")
    assert str(caught.value) == "A session in status ENDED cannot take the event end. Nothing follows ENDED."
    copy = pickle.loads(pickle.dumps(caught.value))
    assert str(copy) == str(caught.value)


@pytest.mark.parametrize("target", lifecycle.TARGETS)
@pytest.mark.parametrize("single", [False, True])
def test_targets_only_name_events_that_the_table_has(target: str, single: bool) -> None:
    for status, event in lifecycle.target_events(target, single=single).items():
        assert TASK.allows(status, event)


@pytest.mark.parametrize("target", [None, *lifecycle.TARGETS])
@pytest.mark.parametrize("result", sorted(lifecycle.ACTION_RESULTS))
@pytest.mark.parametrize("status", sorted(lifecycle.IN_FLIGHT))
def test_a_settled_task_is_never_in_flight(status: str, result: str, target: str | None) -> None:
    for event in lifecycle.settle_event(result, target):
        status = TASK.next(status, event)
    assert status not in lifecycle.IN_FLIGHT
    if target in ("CANCELED", "SUSPENDED", "FAILED") and result != "SUCCEEDED":
        assert status == target


def test_charge_counts_retries() -> None:
    assert [lifecycle.charge(failures, 2) for failures in range(4)] == ["retry", "retry", "fail", "fail"]
    assert lifecycle.charge(0, 0) == "fail"


@pytest.mark.parametrize(
    ("counts", "target", "expected"),
    [
        ({"RUNNING": 1, "READY": 5, "FAILED": 2}, None, "RUNNING"),
        ({"READY": 5, "FAILED": 2}, None, "READY"),
        ({"PENDING": 1, "SUCCEEDED": 2}, None, "PENDING"),
        ({"INTERRUPTING": 1, "CANCELED": 2}, "CANCELED", "INTERRUPTING"),
        ({"SUCCEEDED": 3}, None, "SUCCEEDED"),
        ({"SUCCEEDED": 3, "FAILED": 1}, None, "FAILED"),
        ({"CANCELED": 3, "FAILED": 1}, None, "FAILED"),
        ({"CANCELED": 3, "FAILED": 1}, "CANCELED", "CANCELED"),
        ({"SUCCEEDED": 3, "FAILED": 1}, "CANCELED", "FAILED"),
        ({"SUSPENDED": 1, "FAILED": 1}, None, "SUSPENDED"),
        ({"NOT_COMPATIBLE": 1, "SUCCEEDED": 1}, None, "NOT_COMPATIBLE"),
    ],
)
def test_aggregate(counts: dict[str, int], target: str | None, expected: str) -> None:
    assert aggregate(counts, target) == expected


def test_aggregate_of_nothing_is_an_error() -> None:
    with pytest.raises(
        ValueError, match=r"^A step or job without tasks has no status; every step has at least one task\.$"
    ):
        aggregate(dict.fromkeys(lifecycle.TASK_STATUSES, 0))
