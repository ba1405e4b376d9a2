"""Who gets the slots over time: a worker that runs tasks on a clock of its own."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from shotput_farm.farm import Farm
from shotput_farm.store import records
from shotput_farm.submission import Submission, insert_job
from shotput_farm.template import decode


class Studio:
    """One farm and one worker; time passes only in ``run``."""

    def __init__(self, folder: Path, vcpus: int) -> None:
        self.now = 1_000_000.0
        self.farm = Farm.open(folder, clock=lambda: self.now)
        self.farm.bootstrap()
        ids = self.farm.defaults()
        self.ids = ids
        self.worker = "worker-" + "0" * 32
        amounts = [{"name": "amount.worker.vcpu", "value": vcpus}]
        values = {
            "worker_id": self.worker,
            "farm_id": ids["farm_id"],
            "fleet_id": ids["fleet_id"],
            "status": "STARTED",
            "capabilities": json.dumps({"amounts": amounts, "attributes": []}),
            "last_seen": 0,
            "created_at": 0,
            "created_by": "me",
        }
        self.farm.store.write(lambda tx: records.insert(tx.db, "worker", values))
        self.done: Counter[str] = Counter()
        self.begun: dict[str, float] = {}

    def submit(self, tasks: int, *, priority: int = 50, vcpu: int | None = None) -> str:
        space = {"taskParameterDefinitions": [{"name": "Frame", "type": "INT", "range": f"1-{tasks}"}]}
        step: dict[str, Any] = {"name": "Render", "parameterSpace": space}
        step["script"] = {"actions": {"onRun": {"command": "/bin/true"}}}
        if vcpu is not None:
            step["hostRequirements"] = {"amounts": [{"name": "amount.worker.vcpu", "min": vcpu}]}
        document = {"specificationVersion": "jobtemplate-2023-09", "name": "Shot", "steps": [step]}
        text = json.dumps(document)
        submission = Submission(self.ids["farm_id"], self.ids["queue_id"], text, "JSON", priority, "me")
        return self.farm.store.write(lambda tx: insert_job(tx, submission, decode(text, {})))

    def run(self, seconds: float, task_seconds: float) -> None:
        """Let the worker work; each session runs one task at a time, for ``task_seconds``."""
        end = self.now + seconds
        reply = self.farm.scheduler.schedule(self.worker, {})
        while self.now < end:
            self.now += task_seconds / 4
            reports = {}
            for session in reply["assignedSessions"].values():
                identifier = session["sessionActions"][0]["sessionActionId"] if session["sessionActions"] else None
                if identifier is None:
                    continue
                begun = self.begun.setdefault(identifier, self.now - task_seconds / 4)
                if self.now - begun >= task_seconds - 1e-6:
                    report = {"completedStatus": "SUCCEEDED", "startedAt": begun, "endedAt": self.now}
                    reports[identifier] = report
                    self.done[session["jobId"]] += 1
            reply = self.farm.scheduler.schedule(self.worker, reports)


@pytest.fixture
def studio(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Studio]:
    opened = Studio(tmp_path, request.param)
    yield opened
    opened.farm.close()


@pytest.mark.parametrize("studio", [1, 4], indirect=True)
@pytest.mark.parametrize("vcpu", [None, 1])
@pytest.mark.parametrize("task_seconds", [0.25, 1.0, 7.0])
def test_two_equal_jobs_get_the_same(studio: Studio, vcpu: int | None, task_seconds: float) -> None:
    first, second = studio.submit(3000, vcpu=vcpu), studio.submit(3000, vcpu=vcpu)
    studio.run(max(60, task_seconds * 20), task_seconds)
    total = studio.done[first] + studio.done[second]
    assert total > 0
    assert 0.4 <= studio.done[first] / total <= 0.6, studio.done


@pytest.mark.parametrize("studio", [4], indirect=True)
def test_a_late_job_of_higher_priority_goes_first(studio: Studio) -> None:
    low = studio.submit(1000, priority=10, vcpu=1)
    studio.run(10, 1.0)
    before = studio.done[low]
    high = studio.submit(20, priority=90, vcpu=1)
    studio.run(7, 1.0)
    assert studio.done[high] == 20
    assert studio.done[low] - before <= 12
    studio.run(10, 1.0)
    assert studio.done[low] > before + 20


@pytest.mark.parametrize("studio", [4], indirect=True)
def test_a_render_is_not_starved_by_small_tasks(studio: Studio) -> None:
    small = studio.submit(3000, vcpu=1)
    studio.run(10, 1.0)
    render = studio.submit(50)
    studio.run(60, 1.0)
    assert studio.done[render] >= 15
    assert studio.done[small] >= 60


@pytest.mark.parametrize("studio", [4], indirect=True)
def test_a_job_alone_keeps_its_sessions(studio: Studio) -> None:
    studio.submit(200, vcpu=1)
    studio.run(40, 1.0)
    assert sum(studio.done.values()) >= 150
    with studio.farm.store.read() as db:
        assert records.count(db, "session", {}) == 4
