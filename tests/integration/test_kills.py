"""kill -9 of the farm and of its worker in the middle of a job: nothing is lost, nothing is counted twice."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

TASKS = 12


def submit(farm: Any, templates: Any, folder: Path, marker: str) -> str:
    """A job whose tasks note each completed run in a file of their own, and take half a second."""
    folder.mkdir()
    code = (
        "import os, time, pathlib\n"
        f"time.sleep(0.5)  # {marker}\n"
        f"with open(pathlib.Path({str(folder)!r}) / '{{{{Task.Param.Frame}}}}', 'a') as f: f.write('done\\n')\n"
    )
    job_id: str = farm.submit(
        templates.job(
            "long",
            templates.step("Work", templates.script(code), frames=f"1-{TASKS}"),
            jobEnvironments=[templates.environment("Env", f"print('in')  # {marker}", "print('out')")],
        )
    )
    return job_id


def check(farm: Any, job_id: str, folder: Path) -> None:
    job = farm.wait_job(job_id, 90)
    assert job["taskRunStatus"] == "SUCCEEDED", farm.output()
    assert job["taskRunStatusCounts"]["SUCCEEDED"] == TASKS
    assert sum(job["taskRunStatusCounts"].values()) == TASKS
    assert sorted(int(path.name) for path in folder.iterdir()) == list(range(1, TASKS + 1))
    succeeded = [a for a in farm.actions(job_id) if "taskRun" in a["definition"] and a["status"] == "SUCCEEDED"]
    assert len({action["definition"]["taskRun"]["taskId"] for action in succeeded}) == len(succeeded) == TASKS


def half_done(farm: Any, job_id: str) -> bool:
    return bool(farm.job(job_id)["taskRunStatusCounts"].get("SUCCEEDED", 0) >= 2)


def test_the_worker_is_killed(
    farm: Any, templates: Any, tmp_path: Path, marker: str, count_processes: Callable[[str], int]
) -> None:
    folder = tmp_path / "done"
    job_id = submit(farm, templates, folder, marker)
    farm.wait(lambda: half_done(farm, job_id), "some tasks are done")
    killed = farm.worker_pid()
    os.kill(killed, signal.SIGKILL)
    farm.wait(lambda: set(farm.worker_pids()) - {killed}, "a new worker runs")
    check(farm, job_id, folder)
    farm.wait(lambda: count_processes(marker) == 0, "no process of a task is left")


def test_nothing_of_a_killed_worker_runs_on(
    farm: Any, templates: Any, marker: str, count_processes: Callable[[str], int]
) -> None:
    code = f"import subprocess, sys; subprocess.run([sys.executable, '-c', 'import time; time.sleep(300)  # {marker}'])"
    job_id = farm.submit(templates.job("tree", templates.step("Sleep", templates.script(code))))
    farm.wait(lambda: count_processes(marker) >= 2, "the renderer and its child run")
    old = set(_pids(marker))
    os.kill(farm.worker_pid(), signal.SIGKILL)
    farm.wait(lambda: not old & set(_pids(marker)), "the killed worker's renderer and its child are gone")
    farm.wait(lambda: count_processes(marker) >= 2, "the task was started again")
    farm.client().update_job(**farm.queue, jobId=job_id, targetTaskRunStatus="CANCELED")
    assert farm.wait_job(job_id)["taskRunStatus"] == "CANCELED"
    farm.wait(lambda: count_processes(marker) == 0, "the canceled renderer is gone")


def _pids(marker: str) -> list[int]:
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and int(entry.name) != os.getpid():
            try:
                if marker.encode() in (entry / "cmdline").read_bytes():
                    found.append(int(entry.name))
            except OSError:
                continue
    return found


def test_the_farm_is_killed(
    own_farm: Any, templates: Any, tmp_path: Path, marker: str, count_processes: Callable[[str], int]
) -> None:
    folder = tmp_path / "done"
    job_id = submit(own_farm, templates, folder, marker)
    own_farm.wait(lambda: half_done(own_farm, job_id), "some tasks are done")
    worker = own_farm.worker_pid()
    own_farm.kill()
    own_farm.wait(lambda: not Path(f"/proc/{worker}").exists(), "the worker ends when its farm is gone", 15)
    assert count_processes(marker) == 0
    own_farm.start()
    check(own_farm, job_id, folder)


def test_a_stopped_farm_goes_on_where_it_was(
    own_farm: Any, templates: Any, tmp_path: Path, marker: str, count_processes: Callable[[str], int]
) -> None:
    folder = tmp_path / "done"
    job_id = submit(own_farm, templates, folder, marker)
    own_farm.wait(lambda: half_done(own_farm, job_id), "some tasks are done")
    assert own_farm.stop() == 0
    assert count_processes(marker) == 0
    assert count_processes(str(own_farm.data_dir)) == 0
    assert not (own_farm.data_dir / "farm.json").exists()
    own_farm.start()
    check(own_farm, job_id, folder)
