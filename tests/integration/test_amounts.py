"""Scheduling by amounts, seen from outside: what runs beside what."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

SLEEP = "import time; time.sleep({seconds})"


def spans(farm: Any, job_id: str) -> list[tuple[Any, Any, str]]:
    return sorted(
        (action["startedAt"], action["endedAt"], action["sessionId"])
        for action in farm.actions(job_id)
        if "taskRun" in action["definition"]
    )


def most_at_once(found: list[tuple[Any, Any, str]]) -> int:
    running = [sum(1 for start, end, _ in found if start <= moment < end) for moment, _, _ in found]
    return max(running)


def test_tasks_of_one_core_run_beside_each_other(make_farm: Callable[..., Any], templates: Any) -> None:
    farm = make_farm({"SHOTPUT_WORKER_VCPU": "2"})
    job_id = farm.submit(
        templates.job("small", templates.step("Work", templates.script(SLEEP.format(seconds=0.5)), frames="1-6"))
    )
    assert farm.wait_job(job_id)["taskRunStatus"] == "SUCCEEDED", farm.output()
    found = spans(farm, job_id)
    assert most_at_once(found) == 2
    assert len({session for _, _, session in found}) == 2


def test_a_step_that_names_no_cores_has_the_machine_for_itself(make_farm: Callable[..., Any], templates: Any) -> None:
    farm = make_farm({"SHOTPUT_WORKER_VCPU": "16"})
    whole = templates.job(
        "render", templates.step("Render", templates.script(SLEEP.format(seconds=0.4)), frames="1-4", vcpu=None)
    )
    first, second = farm.submit(whole), farm.submit(whole)
    small = farm.submit(
        templates.job("small", templates.step("Work", templates.script(SLEEP.format(seconds=0.3)), frames="1-4"))
    )
    for job_id in (first, second, small):
        assert farm.wait_job(job_id)["taskRunStatus"] == "SUCCEEDED", farm.output()
    renders = spans(farm, first) + spans(farm, second)
    assert most_at_once(sorted(renders)) == 1
    for start, end, _ in renders:
        assert not [span for span in spans(farm, small) if span[0] < end and start < span[1]]


def test_a_step_that_no_worker_can_run_waits_and_is_in_nobodys_way(
    make_farm: Callable[..., Any], templates: Any
) -> None:
    farm = make_farm({"SHOTPUT_WORKER_VCPU": "2"})
    run = templates.script("print(1)")
    big = farm.submit(templates.job("big", templates.step("Work", run, vcpu=64)), priority=90)
    small = farm.submit(templates.job("small", templates.step("Work", run)), priority=10)
    assert farm.wait_job(small)["taskRunStatus"] == "SUCCEEDED", farm.output()
    assert farm.job(big)["taskRunStatus"] == "READY"
    assert farm.sessions(big) == []
