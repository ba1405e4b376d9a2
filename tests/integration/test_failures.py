"""Tasks that fail, are retried, and are canceled."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

SLEEPER = "import sys, time; print('running', flush=True); time.sleep(60)  # {marker}"


def runs(farm: Any, job_id: str) -> list[dict[str, Any]]:
    return [action for action in farm.actions(job_id) if "taskRun" in action["definition"]]


def test_a_task_is_retried_as_often_as_the_job_says(farm: Any, templates: Any) -> None:
    job_id = farm.submit(
        templates.job("retry", templates.step("Fails", templates.script("import sys; print('oh no'); sys.exit(3)"))),
        maxRetriesPerTask=2,
    )
    job = farm.wait_job(job_id)
    assert job["taskRunStatus"] == "FAILED"
    assert job["taskRunStatusCounts"]["FAILED"] == 1
    actions = runs(farm, job_id)
    assert [(action["status"], action["processExitCode"]) for action in actions] == [("FAILED", 3)] * 3
    (step,) = farm.steps(job_id).values()
    (task,) = farm.tasks(job_id, step["stepId"])
    assert (task["runStatus"], task["failureRetryCount"]) == ("FAILED", 2)
    assert farm.log(job_id).splitlines().count("oh no") == 3


def test_a_task_that_succeeds_at_its_second_try(farm: Any, templates: Any, tmp_path: Any) -> None:
    tried = str(tmp_path / "tried")
    code = f"import pathlib, sys; p = pathlib.Path({tried!r}); old = p.exists(); p.touch(); sys.exit(not old)"
    job_id = farm.submit(templates.job("second", templates.step("Work", templates.script(code))), maxRetriesPerTask=1)
    assert farm.wait_job(job_id)["taskRunStatus"] == "SUCCEEDED", farm.output()
    assert [action["status"] for action in runs(farm, job_id)] == ["FAILED", "SUCCEEDED"]


def test_the_failure_limit_ends_the_job(make_farm: Callable[..., Any], templates: Any) -> None:
    farm = make_farm({"SHOTPUT_WORKER_VCPU": "1"})
    job_id = farm.submit(
        templates.job("limit", templates.step("Fails", templates.script("import sys; sys.exit(1)"), frames="1-50")),
        maxFailedTasksCount=2,
        maxRetriesPerTask=0,
    )
    job = farm.wait_job(job_id)
    assert job["taskRunStatus"] == "FAILED"
    counts = {status: number for status, number in job["taskRunStatusCounts"].items() if number}
    assert counts == {"FAILED": 3, "CANCELED": 47}
    assert [action["status"] for action in runs(farm, job_id) if "startedAt" in action] == ["FAILED"] * 3


def test_an_environment_that_fails_is_still_left(farm: Any, templates: Any) -> None:
    job_id = farm.submit(
        templates.job(
            "bad environment",
            templates.step("Never", templates.script("print('must not run')")),
            jobEnvironments=[templates.environment("Bad", "import sys; sys.exit(9)", "print('left anyway')")],
        ),
        maxRetriesPerTask=0,
    )
    assert farm.wait_job(job_id)["taskRunStatus"] == "FAILED"
    farm.wait(lambda: all(s["lifecycleStatus"] == "ENDED" for s in farm.sessions(job_id)), "the session ends")
    actions = farm.actions(job_id)
    statuses = [(next(iter(action["definition"])), action["status"]) for action in actions]
    assert statuses == [("envEnter", "FAILED"), ("taskRun", "NEVER_ATTEMPTED"), ("envExit", "SUCCEEDED")]
    log = farm.log(job_id)
    assert "left anyway" in log
    assert "must not run" not in log


def test_cancel_in_the_middle_still_leaves_the_environment(
    farm: Any, templates: Any, marker: str, count_processes: Callable[[str], int]
) -> None:
    job_id = farm.submit(
        templates.job(
            "cancel",
            templates.step("Sleep", templates.script(SLEEPER.format(marker=marker)), frames="1-3"),
            jobEnvironments=[templates.environment("Env", "print('entered')", "print('left in order')")],
        )
    )
    farm.wait(lambda: count_processes(marker) > 0, "a task runs")
    farm.client().update_job(**farm.queue, jobId=job_id, targetTaskRunStatus="CANCELED")
    job = farm.wait_job(job_id, 20)
    assert job["taskRunStatus"] == "CANCELED"
    farm.wait(lambda: count_processes(marker) == 0, "the canceled tasks are gone")
    farm.wait(lambda: all(s["lifecycleStatus"] == "ENDED" for s in farm.sessions(job_id)), "the sessions end")
    actions = farm.actions(job_id)
    assert "CANCELED" in [action["status"] for action in actions if "taskRun" in action["definition"]]
    exits = [action["status"] for action in actions if "envExit" in action["definition"]]
    assert exits
    assert set(exits) == {"SUCCEEDED"}
    assert "left in order" in farm.log(job_id)


STUBBORN = """
import signal, subprocess, sys, time
signal.signal(signal.SIGTERM, lambda *_: print('was asked to end', flush=True))
child = 'import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); time.sleep(60)  # {marker}'
subprocess.Popen([sys.executable, '-c', child])
print('running', flush=True)
while True:
    time.sleep(1)  # {marker}
"""


def test_a_task_that_does_not_end_when_asked_is_killed_with_its_children(
    farm: Any, templates: Any, marker: str, count_processes: Callable[[str], int]
) -> None:
    cancelation = {"mode": "NOTIFY_THEN_TERMINATE", "notifyPeriodInSeconds": 1}
    run = templates.script(STUBBORN.format(marker=marker), cancelation=cancelation)
    job_id = farm.submit(templates.job("stubborn", templates.step("Stays", run)))
    farm.wait(lambda: count_processes(marker) == 2, "the task and its child run")
    farm.wait(lambda: "running" in farm.log(job_id).splitlines(), "the task has begun")
    farm.client().update_job(**farm.queue, jobId=job_id, targetTaskRunStatus="CANCELED")
    assert farm.job(job_id)["taskRunStatus"] == "INTERRUPTING"
    job = farm.wait_job(job_id, 20)
    assert (job["taskRunStatus"], job["taskRunStatusCounts"]["CANCELED"]) == ("CANCELED", 1)
    assert count_processes(marker) == 0
    (action,) = runs(farm, job_id)
    assert action["status"] == "CANCELED"
    assert farm.log(job_id).splitlines().count("was asked to end") == 1


def test_a_chunk_that_fails_is_done_again_as_a_whole_and_no_other_is(farm: Any, templates: Any, tmp_path: Any) -> None:
    folder = tmp_path / "done"
    folder.mkdir()
    code = (
        "import pathlib, sys\n"
        f"path = pathlib.Path({str(folder)!r}) / '{{{{Task.Param.Frame}}}}'\n"
        "tries = path.read_text() if path.exists() else ''\n"
        "path.write_text(tries + 'x')\n"
        "sys.exit('5-8' in path.name and len(tries) < 2)\n"
    )
    chunked = templates.step("Work", templates.script(code))
    chunks = {"defaultTaskCount": 4, "rangeConstraint": "CONTIGUOUS"}
    frames = {"name": "Frame", "type": "CHUNK[INT]", "range": "1-12", "chunks": chunks}
    chunked["parameterSpace"] = {"taskParameterDefinitions": [frames]}
    template = templates.job("chunks", chunked, extensions=["TASK_CHUNKING"])
    job_id = farm.submit(template, maxRetriesPerTask=1)
    job = farm.wait_job(job_id)
    counts = {status: number for status, number in job["taskRunStatusCounts"].items() if number}
    assert (job["taskRunStatus"], counts) == ("FAILED", {"SUCCEEDED": 2, "FAILED": 1})
    farm.client().update_job(**farm.queue, jobId=job_id, targetTaskRunStatus="READY")
    assert farm.job(job_id)["taskRunStatus"] == "FAILED"
    (step,) = farm.steps(job_id).values()
    (failed,) = (task for task in farm.tasks(job_id, step["stepId"]) if task["runStatus"] == "FAILED")
    assert (failed["parameters"], failed["failureRetryCount"]) == ({"Frame": {"chunkInt": "5-8"}}, 1)
    farm.client().update_task(
        **farm.queue, jobId=job_id, stepId=step["stepId"], taskId=failed["taskId"], targetRunStatus="PENDING"
    )
    assert farm.wait_job(job_id)["taskRunStatus"] == "SUCCEEDED", farm.output()
    assert {path.name: path.read_text() for path in folder.iterdir()} == {"1-4": "x", "5-8": "xxx", "9-12": "x"}


def test_a_timeout_fails_the_task_and_says_so(farm: Any, templates: Any, marker: str) -> None:
    job_id = farm.submit(
        templates.job("timeout", templates.step("Slow", templates.script(SLEEPER.format(marker=marker), timeout=1))),
        maxRetriesPerTask=0,
    )
    assert farm.wait_job(job_id)["taskRunStatus"] == "FAILED"
    (action,) = runs(farm, job_id)
    assert action["status"] == "FAILED"
    assert action["progressMessage"] == "The action ran for longer than its timeout allows and was ended."
