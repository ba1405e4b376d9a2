"""Random events against scheduler and store, in process: whatever happens, no task is lost, none runs twice at once,
aggregates equal recounts, retries are bounded and no worker is promised more than it has."""

from __future__ import annotations

import json
import tempfile
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from shotput_farm import targets
from shotput_farm.farm import Farm
from shotput_farm.handlers.jobs import change_job
from shotput_farm.lifecycle import ENDED, FINISHED, IN_FLIGHT, TARGETS, WORKER, aggregate
from shotput_farm.protocol.errors import Conflict
from shotput_farm.scheduler import LEASE_SECONDS, end_sessions
from shotput_farm.store import Transaction, jobs, records, tasks
from shotput_farm.store import sessions as session_rows
from shotput_farm.submission import Submission, insert_job
from shotput_farm.template import decode

VCPUS = 4


def step(
    name: str, count: int, *, needs: str | None = None, vcpu: int | None = None, env: bool = False
) -> dict[str, Any]:
    script = {"actions": {"onRun": {"command": "/bin/true"}}}
    body: dict[str, Any] = {"name": name, "script": script}
    if count > 1:
        definition = {"name": "Frame", "type": "INT", "range": f"1-{count}"}
        body["parameterSpace"] = {"taskParameterDefinitions": [definition]}
    if needs is not None:
        body["dependencies"] = [{"dependsOn": needs}]
    if vcpu is not None:
        body["hostRequirements"] = {"amounts": [{"name": "amount.worker.vcpu", "min": vcpu}]}
    if env:
        body["stepEnvironments"] = [{"name": "Inner", "script": {"actions": {"onEnter": {"command": "/bin/true"}}}}]
    return body


def template(steps: list[dict[str, Any]], *, env: bool = False) -> str:
    document: dict[str, Any] = {"specificationVersion": "jobtemplate-2023-09", "name": "Shot", "steps": steps}
    if env:
        entered = {"actions": {"onEnter": {"command": "/bin/true"}, "onExit": {"command": "/bin/true"}}}
        document["jobEnvironments"] = [{"name": "Outer", "script": entered}]
    return json.dumps(document)


def start_worker(tx: Transaction, worker_id: str) -> None:
    """A worker process begins, as UpdateWorker STARTED."""
    row = records.get(tx.db, "worker", worker_id)
    assert row is not None
    end_sessions(tx, worker_id)
    values = {"status": WORKER.next(row["status"], "start"), "last_seen": tx.now}
    records.update(tx.db, "worker", row["seq"], values)


class RandomEvents(RuleBasedStateMachine):
    """Submissions, workers and people, at random."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = tempfile.TemporaryDirectory()
        self.now = 1_000_000.0
        self.farm = self.open()
        self.ids = self.farm.defaults()
        self.jobs: list[str] = []
        self.workers: dict[str, dict[str, Any]] = {}

    def open(self) -> Farm:
        farm = Farm.open(Path(self.folder.name), clock=lambda: self.now)
        farm.bootstrap()
        return farm

    def teardown(self) -> None:
        try:
            self.run_out()
        finally:
            self.farm.close()
            self.folder.cleanup()

    @initialize()
    def begin(self) -> None:
        self.start_worker()

    # What people do.

    @rule(
        count=st.integers(1, 12),
        following=st.integers(0, 4),
        vcpu=st.sampled_from([None, 1, 2]),
        priority=st.sampled_from([10, 50]),
        retries=st.integers(0, 2),
        failures=st.sampled_from([0, 1, 100]),
        env=st.booleans(),
        suspended=st.booleans(),
    )
    def submit(
        self,
        count: int,
        following: int,
        vcpu: int | None,
        priority: int,
        retries: int,
        failures: int,
        env: bool,
        suspended: bool,
    ) -> None:
        steps = [step("First", count, vcpu=vcpu, env=env)]
        if following:
            steps.append(step("Second", following, needs="First", vcpu=vcpu, env=env))
            steps.append(step("Third", 1, needs="Second", vcpu=1))
        text = template(steps, env=env)
        submission = Submission(
            farm_id=self.ids["farm_id"],
            queue_id=self.ids["queue_id"],
            template=text,
            template_type="JSON",
            priority=priority,
            created_by="somebody",
            target_status="SUSPENDED" if suspended else "READY",
            max_failed_tasks_count=failures,
            max_retries_per_task=retries,
            max_worker_count=1 if env else -1,
        )
        decoded = decode(text, {})
        self.jobs.append(self.farm.store.write(lambda tx: insert_job(tx, submission, decoded)))

    @precondition(lambda self: self.jobs)
    @rule(pick=st.integers(0, 100), wish=st.sampled_from(TARGETS))
    def retarget_job(self, pick: int, wish: str) -> None:
        params = {"farmId": self.ids["farm_id"], "queueId": self.ids["queue_id"], "targetTaskRunStatus": wish}
        params["jobId"] = self.jobs[pick % len(self.jobs)]
        self.farm.store.write(lambda tx: change_job(tx, params, "somebody"))

    @precondition(lambda self: self.jobs)
    @rule(pick=st.integers(0, 100), wish=st.sampled_from(TARGETS))
    def retarget_step(self, pick: int, wish: str) -> None:
        row = self.some_step(pick)
        self.farm.store.write(lambda tx: targets.retarget_step(tx, row["seq"], wish, "somebody"))

    @precondition(lambda self: self.jobs)
    @rule(pick=st.integers(0, 100), ordinal=st.integers(0, 11), wish=st.sampled_from(TARGETS))
    def retarget_task(self, pick: int, ordinal: int, wish: str) -> None:
        row = self.some_step(pick)
        chosen = ordinal % row["task_count"]
        self.farm.store.write(lambda tx: targets.retarget_task(tx, row["seq"], chosen, wish, "somebody"))

    # What machines do.

    @rule()
    def start_worker(self) -> None:
        if len(self.workers) == 3:
            return
        params = {"farmId": self.ids["farm_id"], "fleetId": self.ids["fleet_id"], "hostProperties": {}}
        worker_id = f"worker-{len(self.workers):032x}"
        capabilities = {"amounts": [{"name": "amount.worker.vcpu", "value": VCPUS}], "attributes": []}
        self.farm.store.write(
            lambda tx: records.insert(
                tx.db,
                "worker",
                {
                    "worker_id": worker_id,
                    "farm_id": params["farmId"],
                    "fleet_id": params["fleetId"],
                    "status": "CREATED",
                    "capabilities": json.dumps(capabilities),
                    "last_seen": tx.now,
                    "created_at": tx.now,
                    "created_by": "somebody",
                },
            )
        )
        self.farm.store.write(lambda tx: start_worker(tx, worker_id))
        self.workers[worker_id] = {"snapshot": {}, "cancel": set(), "reported": {}}

    @rule(
        pick=st.integers(0, 2),
        length=st.integers(0, 6),
        outcomes=st.lists(st.sampled_from(["SUCCEEDED"] * 4 + ["FAILED", "INTERRUPTED"]), min_size=8, max_size=8),
        lazy=st.booleans(),
    )
    def exchange(self, pick: int, length: int, outcomes: list[str], lazy: bool) -> None:
        worker_id, worker = self.some_worker(pick)
        reports: dict[str, dict[str, Any]] = {}
        for actions in worker["snapshot"].values():
            self.work(worker, actions, length, iter(outcomes * 20), reports, report_dropped=not lazy)
        self.report(worker_id, worker, reports)

    @rule(pick=st.integers(0, 2))
    def repeat_reports(self, pick: int) -> None:
        worker_id, worker = self.some_worker(pick)
        self.report(worker_id, worker, worker["reported"])

    @rule(pick=st.integers(0, 2))
    def restart_worker(self, pick: int) -> None:
        self.restart(self.some_worker(pick)[0])

    @rule(pick=st.integers(0, 2))
    def lose_worker(self, pick: int) -> None:
        worker_id, _ = self.some_worker(pick)
        for other in self.workers:
            if other != worker_id:
                self.exchange_of(other)
        self.now += LEASE_SECONDS + 1
        for other in self.workers:
            if other != worker_id:
                self.exchange_of(other)
        self.farm.scheduler.sweep()
        assert self.worker_status(worker_id) == "NOT_RESPONDING"
        with pytest.raises(Conflict):
            self.farm.scheduler.schedule(worker_id, {})

    @rule(seconds=st.floats(0.1, 20))
    def wait(self, seconds: float) -> None:
        self.now += seconds

    @rule()
    def restart_farm(self) -> None:
        self.farm.close()
        self.farm = self.open()

    # What must hold.

    @invariant()
    def aggregates_equal_recounts(self) -> None:
        with self.farm.store.read() as db:
            for job_id in self.jobs:
                job = records.get(db, "job", job_id)
                assert job is not None
                total: Counter[str] = Counter()
                for row in jobs.steps(db, job["seq"]):
                    truth = tasks.recount(db, row["seq"])
                    numbers = {status: n for status, n in jobs.counts(row).items() if n}
                    assert numbers == truth
                    assert sum(truth.values()) == row["task_count"]
                    assert row["task_run_status"] == aggregate(truth, row["target_task_run_status"])
                    assert (row["ended_at"] is not None) == (row["task_run_status"] in FINISHED)
                    assert jobs.is_resolved(db, row["seq"]) or not truth.get("READY")
                    assert not (jobs.is_resolved(db, row["seq"]) and truth.get("PENDING"))
                    total.update(truth)
                assert {status: n for status, n in jobs.counts(job).items() if n} == dict(total)

    @invariant()
    def every_task_in_flight_has_one_open_action(self) -> None:
        with self.farm.store.read() as db:
            assert session_rows.double_runs(db) == []
            flying: set[tuple[int, int, int, int]] = set()
            for job_id in self.jobs:
                job = records.get(db, "job", job_id)
                assert job is not None
                for row in jobs.steps(db, job["seq"]):
                    for task in tasks.in_flight(db, row["seq"]):
                        flying.add((row["seq"], task["ordinal"], task["latest_session"], task["latest_action"]))
                    for task in tasks.between(db, row["seq"], 0, row["task_count"]).values():
                        assert task["failure_retry_count"] <= job["max_retries_per_task"]
                        assert task["target_status"] is None or task["status"] in IN_FLIGHT
            opened: set[tuple[int, int, int, int]] = set()
            for worker_id in self.workers:
                for session in session_rows.open_on_worker(db, worker_id):
                    for action in session_rows.open_actions(db, session["seq"]):
                        if action["kind"] == "taskRun":
                            opened.add((action["step_seq"], action["ordinal"], session["seq"], action["number"]))
            assert flying == opened

    @invariant()
    def no_worker_is_promised_more_than_it_has(self) -> None:
        with self.farm.store.read() as db:
            for worker_id in self.workers:
                opened = session_rows.open_on_worker(db, worker_id)
                assert sum(json.loads(row["reserved"])["amount.worker.vcpu"] for row in opened) <= VCPUS
            for job_id in self.jobs:
                job = records.get(db, "job", job_id)
                assert job is not None
                if job["max_worker_count"] == 1:
                    assert len(session_rows.workers_of_job(db, job["seq"])) <= 1

    # How it is done.

    def run_out(self) -> None:
        """Let everything that can run, run: then every job has ended, and nothing is left behind."""
        for worker_id in self.workers:
            self.restart(worker_id)
        for _ in range(400):
            busy = False
            for worker_id in self.workers:
                self.now += 1
                busy = self.exchange_of(worker_id) or busy
            if not busy:
                break
        self.aggregates_equal_recounts()
        self.every_task_in_flight_has_one_open_action()
        with self.farm.store.read() as db:
            assert not jobs.has_work(db)
            for job_id in self.jobs:
                job = records.get(db, "job", job_id)
                assert job is not None
                assert job["task_run_status"] in ENDED
        assert self.farm.is_idle()

    def restart(self, worker_id: str) -> None:
        self.farm.store.write(lambda tx: start_worker(tx, worker_id))
        self.workers[worker_id].update(snapshot={}, cancel=set())

    def exchange_of(self, worker_id: str) -> bool:
        if self.worker_status(worker_id) == "NOT_RESPONDING":
            self.restart(worker_id)
        worker = self.workers[worker_id]
        reports: dict[str, dict[str, Any]] = {}
        for actions in worker["snapshot"].values():
            self.work(worker, actions, 1000, iter(["SUCCEEDED"] * 1000), reports, report_dropped=True)
        self.report(worker_id, worker, reports)
        return bool(worker["snapshot"])

    def work(
        self,
        worker: dict[str, Any],
        actions: list[dict[str, Any]],
        length: int,
        outcomes: Any,
        reports: dict[str, dict[str, Any]],
        *,
        report_dropped: bool,
    ) -> None:
        """Run up to ``length`` actions of a session as a worker does that follows the protocol."""
        broken = False
        begun = False
        for action in actions:
            identifier, exits = action["sessionActionId"], "envExit" in action["definition"]
            if broken and not exits:
                if report_dropped:
                    reports[identifier] = {"completedStatus": "NEVER_ATTEMPTED"}
                continue
            if identifier in worker["cancel"] and not exits:
                reports[identifier] = {"completedStatus": "NEVER_ATTEMPTED" if begun else "CANCELED"}
                broken = True
                continue
            if length == 0:
                if not begun:
                    reports[identifier] = {"startedAt": self.now, "updatedAt": self.now, "progressPercent": 10.0}
                return
            length -= 1
            begun = True
            outcome = next(outcomes)
            reports[identifier] = {"completedStatus": outcome, "startedAt": self.now, "endedAt": self.now + 0.5}
            broken = broken or (outcome != "SUCCEEDED" and not exits)

    def report(self, worker_id: str, worker: dict[str, Any], reports: dict[str, dict[str, Any]]) -> None:
        try:
            reply = self.farm.scheduler.schedule(worker_id, reports)
        except Conflict:
            assert self.worker_status(worker_id) == "NOT_RESPONDING"
            return
        worker["snapshot"] = {name: body["sessionActions"] for name, body in reply["assignedSessions"].items()}
        worker["cancel"] = {i for ids in reply["cancelSessionActions"].values() for i in ids}
        assert all(len(ids) <= 100 for ids in reply["cancelSessionActions"].values())
        worker["reported"] = reports

    def worker_status(self, worker_id: str) -> str:
        with self.farm.store.read() as db:
            row = records.get(db, "worker", worker_id)
            assert row is not None
            return str(row["status"])

    def some_worker(self, pick: int) -> tuple[str, dict[str, Any]]:
        worker_id = list(self.workers)[pick % len(self.workers)]
        return worker_id, self.workers[worker_id]

    def some_step(self, pick: int) -> Any:
        with self.farm.store.read() as db:
            job = records.get(db, "job", self.jobs[pick % len(self.jobs)])
            assert job is not None
            rows = jobs.steps(db, job["seq"])
        return rows[pick % len(rows)]


TestRandomEvents = RandomEvents.TestCase
TestRandomEvents.settings = settings(
    max_examples=30,
    stateful_step_count=40,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
)
