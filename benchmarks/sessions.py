"""200 tasks of ``/bin/true`` in one session: tasks a second within the session, start-up and templates apart."""

from __future__ import annotations

import json
import sys
import tempfile
from pathlib import Path
from typing import Any

from benchmarks.measure import REPEATS, Figure, Row, peer_programs, rate, run_process

_TASKS = 200
_UNIT = "tasks/s"
_TEMPLATE: dict[str, Any] = {
    "specificationVersion": "jobtemplate-2023-09",
    "name": "true",
    "steps": [
        {
            "name": "step",
            "parameterSpace": {"taskParameterDefinitions": [{"name": "N", "type": "INT", "range": f"1-{_TASKS}"}]},
            "script": {"actions": {"onRun": {"command": "/bin/true"}}},
        }
    ],
}

# Each in a process of its own that has loaded no more than it needs. Ours listens to every line and status; of `_v1`
# the state is polled instead, because its callbacks come from a poll of 50 ms, which would be all that is measured.
_OURS = """
import json, sys, time
from shotput import _native
job = _native.create_job(json.load(open(sys.argv[1])))
space, script = job.steps[0].parameter_space, job.steps[0].script
tasks = space.slice(0, len(space))
lines, statuses = [], []
session = _native.Session("bench", log=lines.extend, status=statuses.append)
began = time.perf_counter()
if sys.argv[2] == "batch":
    results = session.run_tasks(script, tasks)
else:
    results = [session.run_task(script, task) for task in tasks]
print(len(tasks) / (time.perf_counter() - began))
session.close()
assert [result["exit_code"] for result in results] == [0] * len(tasks)
assert sum(line["message"] == "Exit code: 0" for line in lines) == len(tasks)
assert sum(status["state"] == "SUCCESS" for status in statuses) == len(tasks)
"""

_V1 = """
import json, sys, time
from openjd.model._v1 import create_job, decode_job_template
from openjd.sessions._v1 import Session, SessionState
job = create_job(job_template=decode_job_template(template=json.load(open(sys.argv[1]))), job_parameter_values={})
script = job.steps[0].script
with Session(session_id="bench", job_parameter_values={}) as session:
    began = time.perf_counter()
    for _ in range(int(sys.argv[2])):
        session.run_task(step_script=script, task_parameter_values={})
        while session.state != SessionState.READY:
            time.sleep(0.0001)
    print(int(sys.argv[2]) / (time.perf_counter() - began))
"""


def run() -> list[Row]:
    peers = peer_programs()
    with tempfile.TemporaryDirectory() as folder:
        template = Path(folder) / "template.json"
        template.write_text(json.dumps(_TEMPLATE), encoding="utf-8")
        samples: dict[str, list[float]] = {"batch": [], "single": [], "cli": [], "v1": []}
        # In turns, so that what else the machine does falls on all of them.
        for _ in range(REPEATS):
            for kind in ("batch", "single"):
                samples[kind].append(_ours(template, kind))
            samples["cli"].append(_cli(peers, template))
            samples["v1"].append(_v1(peers, template))
    figures = {name: Figure(tuple(values), _UNIT) for name, values in samples.items()}
    return [
        rate("200 tasks of /bin/true in a session, beside openjd run", figures["batch"], figures["cli"], 1.5),
        rate("200 tasks of /bin/true in a session, beside openjd.sessions._v1", figures["batch"], figures["v1"], 1.0),
        rate("the same, one call a task, beside openjd.sessions._v1", figures["single"], figures["v1"], 1.0),
    ]


def bench_sessions() -> list[dict[str, Any]]:
    """The rows as ``results.json`` has them."""
    return [row.document() for row in run()]


def _ours(template: Path, kind: str) -> float:
    return float(run_process([sys.executable, "-c", _OURS, template, kind]))


def _cli(peers: Path, template: Path) -> float:
    report = json.loads(run_process([peers / "openjd", "run", template, "--step", "step", "--output", "json"]))
    return int(report["chunks_run"]) / float(report["duration"])


def _v1(peers: Path, template: Path) -> float:
    return float(run_process([peers / "python", "-c", _V1, template, str(_TASKS)]))
