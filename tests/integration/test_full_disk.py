"""A disk that fills up in the middle of a job, and has room again: nothing is lost, nothing is done twice."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

TASKS = 30


def test_a_job_outlives_a_full_disk(
    make_disk: Callable[[int], Path], make_farm: Callable[..., Any], templates: Any, tmp_path: Path
) -> None:
    disk = make_disk(4 << 20)
    farm = make_farm({"SHOTPUT_WORKER_VCPU": "2"}, folder=disk)
    done = tmp_path / "done"
    done.touch()
    code = (
        "import time; time.sleep(0.1); print('rendered {{Task.Param.Frame}} ' + 'x' * 2000)\n"
        f"with open({str(done)!r}, 'a') as file: file.write('{{{{Task.Param.Frame}}}}\\n')"
    )
    job_id = farm.submit(templates.job("full", templates.step("Work", templates.script(code), frames=f"1-{TASKS}")))
    farm.wait(lambda: farm.job(job_id)["taskRunStatusCounts"]["SUCCEEDED"] > 2, "some tasks are done")
    filler = disk / "filler"
    with filler.open("wb") as stream, contextlib.suppress(OSError):
        stream.write(b"x" * (8 << 20))
    full = "The disk that holds the farm's data is full. Free space on it, then try again."
    farm.wait(lambda: full in (farm.data_dir / "logs" / "worker.log").read_text(), "the worker hears of it")
    assert farm.job(job_id)["taskRunStatusCounts"]["SUCCEEDED"] < TASKS
    filler.unlink()
    job = farm.wait_job(job_id)
    assert (job["taskRunStatus"], job["taskRunStatusCounts"]["SUCCEEDED"]) == ("SUCCEEDED", TASKS), farm.output()
    assert job["taskFailureRetryCount"] == 0
    frames = [str(frame) for frame in range(1, TASKS + 1)]
    assert sorted(done.read_text().split(), key=int) == frames
    lines = [line.split()[1] for line in farm.log(job_id).splitlines() if line.startswith("rendered ")]
    assert sorted(lines, key=int) == frames
