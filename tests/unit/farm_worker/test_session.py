"""The rules of a session's queue, with an execution that does what the test tells it."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import pytest
from shotput_farm.worker.reports import Reports
from shotput_farm.worker.session import Action, Observer, Result, Session


class Script:
    """Answers each action with the outcome that is written down for it (default SUCCEEDED)."""

    def __init__(self) -> None:
        self.outcomes: dict[str, str] = {}
        self.batches: list[list[str]] = []
        self.canceled: list[str] = []
        self.hold: dict[str, threading.Event] = {}
        self.closed = False
        self._cancel = threading.Event()

    def run(self, actions: Sequence[Action], observer: Observer) -> None:
        self.batches.append([action.action_id for action in actions])
        for action in actions:
            observer.started(action)
            began = time.time()
            outcome = self.outcomes.get(action.action_id, "SUCCEEDED")
            gate = self.hold.get(action.action_id)
            if gate is not None:
                while not gate.wait(0.005):
                    if self._cancel.is_set():
                        outcome = "CANCELED"
                        break
            observer.completed(action, Result(outcome, began, time.time(), exit_code=0))  # type: ignore[arg-type]
            if outcome != "SUCCEEDED":
                return

    def cancel(self, action_id: str, grace: float | None = None) -> None:
        self.canceled.append(action_id)
        self._cancel.set()

    def close(self) -> None:
        self.closed = True


class Bench:
    """A session under test and what it reported."""

    def __init__(self, open_execution: Callable[[], Any] | None = None) -> None:
        self.script = Script()
        self.urgent = 0
        self.reports = Reports(self._wake)
        self.closed: list[str] = []
        self.session = Session("session-1", open_execution or (lambda: self.script), self.reports, self.closed.append)

    def _wake(self, urgent: bool) -> None:
        self.urgent += urgent

    def statuses(self) -> dict[str, str | None]:
        return {key: update.get("completedStatus") for key, update in self.reports.take().items()}

    def wait(self, condition: Callable[[], Any]) -> None:
        deadline = time.monotonic() + 5
        while not condition():
            assert time.monotonic() < deadline, self.statuses()
            time.sleep(0.002)


@pytest.fixture
def bench() -> Iterator[Bench]:
    made = Bench()
    yield made
    made.session.end()


def task(number: int, step: str = "step-1") -> dict[str, Any]:
    body = {"stepId": step, "taskId": f"task-{number}", "parameters": {}}
    return {"sessionActionId": f"a-{number}", "definition": {"taskRun": body}}


def enter(number: int, name: str) -> dict[str, Any]:
    return {"sessionActionId": f"a-{number}", "definition": {"envEnter": {"environmentId": name}}}


def leave(number: int, name: str) -> dict[str, Any]:
    return {"sessionActionId": f"a-{number}", "definition": {"envExit": {"environmentId": name}}}


def test_actions_run_in_order_and_once(bench: Bench) -> None:
    bench.session.assign([enter(0, "A"), task(1), task(2), leave(3, "A")], set())
    bench.session.start()
    bench.wait(lambda: bench.statuses().get("a-3") == "SUCCEEDED")
    bench.session.assign([task(1), task(2), leave(3, "A"), task(4)], set())
    bench.wait(lambda: bench.statuses().get("a-4") == "SUCCEEDED")
    assert [one for batch in bench.script.batches for one in batch] == ["a-0", "a-1", "a-2", "a-3", "a-4"]
    assert set(bench.statuses().values()) == {"SUCCEEDED"}
    assert bench.urgent >= 2


def test_short_tasks_of_a_step_are_handed_over_together(bench: Bench) -> None:
    tasks = [task(number, "step-1" if number < 100 else "step-2") for number in range(120)]
    bench.session.assign(tasks, set())
    bench.session.start()
    bench.wait(lambda: bench.statuses().get("a-119") == "SUCCEEDED")
    assert max(len(batch) for batch in bench.script.batches) > 10
    assert len(bench.script.batches) < 30
    mixed = [batch for batch in bench.script.batches if "a-99" in batch and "a-100" in batch]
    assert not mixed


def test_behind_a_failure_only_the_exits_of_tried_environments_are_run(bench: Bench) -> None:
    bench.script.outcomes["a-1"] = "FAILED"
    actions = [enter(0, "A"), enter(1, "B"), enter(2, "C"), task(3), leave(4, "C"), leave(5, "B"), leave(6, "A")]
    bench.session.assign(actions, set())
    bench.session.start()
    bench.wait(lambda: bench.statuses().get("a-6") == "SUCCEEDED")
    assert bench.statuses() == {
        "a-0": "SUCCEEDED",
        "a-1": "FAILED",
        "a-2": "NEVER_ATTEMPTED",
        "a-3": "NEVER_ATTEMPTED",
        "a-4": "NEVER_ATTEMPTED",
        "a-5": "SUCCEEDED",
        "a-6": "SUCCEEDED",
    }


def test_never_attempted_actions_carry_no_times(bench: Bench) -> None:
    bench.script.outcomes["a-0"] = "FAILED"
    bench.session.assign([task(0), task(1)], set())
    bench.session.start()
    bench.wait(lambda: "a-1" in bench.statuses())
    assert bench.reports.take()["a-1"] == {"completedStatus": "NEVER_ATTEMPTED"}
    assert {"startedAt", "endedAt"} <= set(bench.reports.take()["a-0"])


def test_what_was_assigned_before_the_farm_knew_of_a_failure_is_not_run(bench: Bench) -> None:
    bench.script.outcomes["a-0"] = "FAILED"
    bench.session.assign([task(0)], set())
    bench.session.start()
    bench.wait(lambda: bench.statuses().get("a-0") == "FAILED")
    bench.session.assign([task(0), task(1)], set())
    assert bench.statuses()["a-1"] == "NEVER_ATTEMPTED"
    bench.session.assign([task(2)], {"a-0"})
    bench.wait(lambda: bench.statuses().get("a-2") == "SUCCEEDED")
    assert bench.script.batches == [["a-0"], ["a-2"]]


def test_a_failed_exit_touches_nothing_else(bench: Bench) -> None:
    bench.script.outcomes["a-1"] = "FAILED"
    bench.session.assign([enter(0, "A"), leave(1, "A"), task(2)], set())
    bench.session.start()
    bench.wait(lambda: bench.statuses().get("a-2") == "SUCCEEDED")


def test_cancel_ends_the_running_action_and_drops_the_queued(bench: Bench) -> None:
    bench.script.hold["a-1"] = threading.Event()
    bench.session.assign([enter(0, "A"), task(1), task(2, "step-2"), leave(3, "A")], set())
    bench.session.start()
    bench.wait(lambda: bench.statuses().get("a-0") == "SUCCEEDED" and "a-1" in bench.statuses())
    bench.session.cancel(["a-1", "a-2"])
    bench.session.cancel(["a-1", "a-2"])  # the farm repeats itself until it has heard
    bench.wait(lambda: bench.statuses().get("a-3") == "SUCCEEDED")
    assert bench.script.canceled == ["a-1"]
    assert bench.statuses()["a-1"] == "CANCELED"
    assert bench.statuses()["a-2"] == "NEVER_ATTEMPTED"


def test_a_cancel_that_comes_too_late_keeps_the_true_result(bench: Bench) -> None:
    bench.session.assign([task(0)], set())
    bench.session.start()
    bench.wait(lambda: bench.statuses().get("a-0") == "SUCCEEDED")
    bench.session.cancel(["a-0"])
    assert bench.statuses()["a-0"] == "SUCCEEDED"
    assert bench.script.canceled == []


def test_a_new_list_replaces_what_is_queued(bench: Bench) -> None:
    bench.script.hold["a-0"] = threading.Event()
    bench.session.assign([task(0), task(1, "step-2"), task(2, "step-2")], set())
    bench.session.start()
    bench.wait(lambda: "a-0" in bench.statuses())
    bench.session.assign([task(0), task(3, "step-3")], set())
    bench.script.hold["a-0"].set()
    bench.wait(lambda: bench.statuses().get("a-3") == "SUCCEEDED")
    assert bench.statuses() == {"a-0": "SUCCEEDED", "a-3": "SUCCEEDED"}


def test_a_session_that_ends_interrupts_what_runs(bench: Bench) -> None:
    bench.script.hold["a-0"] = threading.Event()
    bench.session.assign([task(0), task(1, "step-2")], set())
    bench.session.start()
    bench.wait(lambda: "a-0" in bench.statuses())
    bench.session.end()
    assert bench.session.join(5)
    assert bench.statuses() == {"a-0": "INTERRUPTED", "a-1": "NEVER_ATTEMPTED"}
    assert bench.script.closed
    assert bench.closed == ["session-1"]


def test_a_session_that_cannot_be_set_up_fails_its_first_action() -> None:
    def refuse() -> Any:
        raise RuntimeError("there is no such job")

    bench = Bench(refuse)
    bench.session.assign([enter(0, "A"), task(1), leave(2, "A")], set())
    bench.session.start()
    bench.wait(lambda: len(bench.statuses()) == 3)
    assert bench.statuses() == {"a-0": "FAILED", "a-1": "NEVER_ATTEMPTED", "a-2": "NEVER_ATTEMPTED"}
    first = bench.reports.take()["a-0"]
    assert first["progressMessage"] == "The worker cannot run this action: there is no such job"
    assert first["endedAt"] >= first["startedAt"]
    bench.session.end()
