"""What follows from changed tasks, before anything is committed: counts and statuses of steps and jobs, steps whose
dependencies are now met or no longer, and jobs that have failed too often."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Mapping
from typing import Any

from shotput_farm import targets
from shotput_farm.lifecycle import ENDED, FINISHED, IN_FLIGHT, aggregate
from shotput_farm.store import jobs, records, tasks
from shotput_farm.store.database import EVERY_WORKER, Transaction

_BLOCKING = ENDED - {"SUCCEEDED"}


def settle(tx: Transaction) -> None:
    """Fold ``tx.deltas`` into steps and jobs until nothing follows any more."""
    while tx.deltas:
        # Job → whether tasks of it have failed just now. Only a new failure can stop a job: somebody who requeues a
        # task of a job that was stopped wants to see it run.
        changed: dict[int, bool] = {}
        while tx.deltas:
            step_seq, delta = tx.deltas.popitem()
            job_seq = _settle_step(tx, step_seq, delta)
            changed[job_seq] = changed.get(job_seq, False) or delta.get("FAILED", 0) > 0
        for job_seq, failed in sorted(changed.items()):
            _settle_job(tx, job_seq, failed=failed)


def _settle_step(tx: Transaction, step_seq: int, delta: Mapping[str, int]) -> int:
    """Apply a step's changes and return its job."""
    step = records.by_seq(tx.db, "step", step_seq)
    numbers = jobs.counts(step)
    for status, change in delta.items():
        numbers[status] += change
    if min(numbers.values()) < 0:
        raise AssertionError(f"Step {step['step_id']} counts {numbers}: a task left a status that it was not in.")
    if delta:
        jobs.set_counts(tx.db, "step", step_seq, {status: numbers[status] for status in delta})
    before = step["task_run_status"]
    status = aggregate(numbers, step["target_task_run_status"])
    records.update(
        tx.db, "step", step_seq, {"task_run_status": status, **_times(tx, step, status, numbers, tasks.first_start)}
    )
    if delta.get("READY", 0) > 0:
        tx.wake.add(EVERY_WORKER)
    # Tasks come back READY from sessions and PENDING from a requeue, whatever their dependencies are by then.
    if delta.get("READY", 0) > 0 or delta.get("PENDING", 0) > 0:
        targets.settle_step(tx, step_seq)
    if (before == "SUCCEEDED") != (status == "SUCCEEDED"):
        for consumer in jobs.consumers(tx.db, step_seq):
            targets.settle_step(tx, consumer["seq"])
    return int(step["job_seq"])


def _settle_job(tx: Transaction, job_seq: int, *, failed: bool) -> None:
    job = records.by_seq(tx.db, "job", job_seq)
    numbers = jobs.sum_counts(tx.db, job_seq)
    jobs.set_counts(tx.db, "job", job_seq, numbers)
    effective = numbers
    if numbers["PENDING"] and aggregate(numbers) == "PENDING":
        effective = _without_blocked(tx.db, job_seq, numbers)
    status = aggregate(effective, job["target_task_run_status"])
    records.update(
        tx.db, "job", job_seq, {"task_run_status": status, **_times(tx, job, status, numbers, jobs.first_start)}
    )
    if failed and numbers["FAILED"] > job["max_failed_tasks_count"] and _can_stop(numbers):
        targets.retarget_job(tx, job_seq, "CANCELED", None)
        records.update(tx.db, "job", job_seq, {"target_task_run_status": "FAILED"})
        for step in jobs.steps(tx.db, job_seq):
            records.update(tx.db, "step", step["seq"], {"target_task_run_status": None})


def _can_stop(numbers: Mapping[str, int]) -> bool:
    """Tell whether stopping would change anything: tasks that are being interrupted need no second word."""
    return any(numbers[s] for s in ("PENDING", "READY", "SUSPENDED", *sorted(IN_FLIGHT - {"INTERRUPTING"})))


def _without_blocked(db: sqlite3.Connection, job_seq: int, numbers: Mapping[str, int]) -> dict[str, int]:
    """Leave out the PENDING tasks of steps that wait for a step which has ended without success.

    They stay PENDING, so that requeuing what failed brings them back to life; but a job in which nothing else is left
    has ended, and says how.
    """
    steps = {step["seq"]: step for step in jobs.steps(db, job_seq)}
    needs: dict[int, list[int]] = {}
    for step_seq, depends_on in jobs.job_dependencies(db, job_seq):
        needs.setdefault(step_seq, []).append(depends_on)
    blocked: set[int] = set()
    grown = True
    while grown:
        grown = False
        for seq, step in steps.items():
            if seq in blocked or not step["n_pending"]:
                continue
            if any(n in blocked or steps[n]["task_run_status"] in _BLOCKING for n in needs.get(seq, ())):
                blocked.add(seq)
                grown = True
    rest = dict(numbers)
    rest["PENDING"] -= sum(steps[seq]["n_pending"] for seq in blocked)
    return rest if any(rest.values()) else dict(numbers)


def _times(
    tx: Transaction,
    row: sqlite3.Row,
    status: str,
    numbers: Mapping[str, int],
    first_start: Callable[[sqlite3.Connection, int], int | None],
) -> dict[str, Any]:
    """Return what becomes of startedAt and endedAt: a requeue of all begins anew, an end that was none is gone."""
    values: dict[str, Any] = {"ended_at": (row["ended_at"] or tx.now) if status in FINISHED else None}
    if numbers["PENDING"] + numbers["READY"] == sum(numbers.values()):
        values["started_at"] = None
    elif row["started_at"] is None and (numbers["RUNNING"] or numbers["SUCCEEDED"] or numbers["FAILED"]):
        values["started_at"] = first_start(tx.db, row["seq"])
    return values
