"""What people ask of jobs, steps and tasks: cancel, suspend, resume, requeue, mark.

Tasks that no session has follow at once; the others are interrupted and follow when the worker says that they ended.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable

from shotput_farm import sessions
from shotput_farm.lifecycle import IN_FLIGHT, TASK, interrupts, target_events
from shotput_farm.store import jobs, records, tasks
from shotput_farm.store import sessions as session_rows
from shotput_farm.store.database import Transaction


def retarget_job(tx: Transaction, job_seq: int, target: str, by: str | None) -> None:
    """Ask a target status of all of a job's tasks. ``by`` is who asked, None for the farm itself."""
    records.update(tx.db, "job", job_seq, {"target_task_run_status": target})
    for step in jobs.steps(tx.db, job_seq):
        retarget_step(tx, step["seq"], target, by)


def retarget_step(tx: Transaction, step_seq: int, target: str, by: str | None) -> None:
    """Ask a target status of all of a step's tasks."""
    values = {"target_task_run_status": target, "updated_at": tx.now}
    records.update(tx.db, "step", step_seq, {**values, "updated_by": by} if by else values)
    for status, event in target_events(target, single=False).items():
        tasks.move_all(tx, step_seq, event, [status], by=by)
    if interrupts(target, single=False):
        step = records.by_seq(tx.db, "step", step_seq)
        _interrupt(tx, step, tasks.in_flight(tx.db, step_seq), target, by)
    else:
        tasks.forget_targets(tx, step_seq)
    tx.reconsider(step_seq)  # a step's status depends on what was asked of it


def retarget_task(tx: Transaction, step_seq: int, ordinal: int, target: str, by: str | None) -> None:
    """Ask a target status of one task."""
    row = tasks.touch(tx, step_seq, ordinal)
    if row["status"] in IN_FLIGHT:
        if interrupts(target, single=True):
            step = records.by_seq(tx.db, "step", step_seq)
            _interrupt(tx, step, [row], target, by)
        else:
            tasks.set_target(tx, step_seq, [ordinal], None, by)
        return
    event = target_events(target, single=True).get(row["status"])
    if event is not None:
        fresh = event == "requeue"
        tasks.move(
            tx,
            step_seq,
            [
                {
                    "ordinal": ordinal,
                    "source": row["status"],
                    "to": TASK.next(row["status"], event),
                    "failures": 0 if fresh else row["failure_retry_count"],
                    "started_at": None,
                    "ended_at": None if TASK.next(row["status"], event) in ("PENDING", "SUSPENDED") else tx.now,
                    "clear_times": fresh,
                    "clear_target": True,
                }
            ],
        )
        tasks.set_target(tx, step_seq, [ordinal], None, by)


def settle_step(tx: Transaction, step_seq: int) -> None:
    """Let a step's waiting tasks be READY when its dependencies have succeeded, and PENDING when they have not."""
    if jobs.is_resolved(tx.db, step_seq):
        tasks.move_all(tx, step_seq, "resolve", ["PENDING"])
    else:
        tasks.move_all(tx, step_seq, "block", ["READY"])


def _interrupt(tx: Transaction, step: sqlite3.Row, flying: Iterable[sqlite3.Row], target: str, by: str | None) -> None:
    """Interrupt tasks that sessions have, and note what they are to become."""
    first: dict[int, int] = {}
    ordinals = []
    changes = []
    for row in flying:
        ordinals.append(row["ordinal"])
        session = row["latest_session"]
        first[session] = min(first.get(session, row["latest_action"]), row["latest_action"])
        if row["status"] != "INTERRUPTING":
            changes.append(
                {
                    "ordinal": row["ordinal"],
                    "source": row["status"],
                    "to": TASK.next(row["status"], "interrupt"),
                    "failures": row["failure_retry_count"],
                    "started_at": None,
                    "ended_at": None,
                    "clear_times": False,
                    "clear_target": False,
                }
            )
    tasks.move(tx, step["seq"], changes)
    tasks.set_target(tx, step["seq"], ordinals, target, by)
    for session_seq, number in first.items():
        session = records.by_seq(tx.db, "session", session_seq)
        flying_setup = [
            action["number"]
            for action in session_rows.open_actions(tx.db, session_seq)
            if action["kind"] not in ("taskRun", "envExit")
        ]
        # Environments that are still coming up for nothing but these tasks need not come up.
        behind = [
            action["ordinal"]
            for action in session_rows.open_actions(tx.db, session_seq)
            if action["kind"] == "taskRun" and action["ordinal"] not in ordinals
        ]
        start = min([number, *flying_setup]) if not behind else number
        sessions.cancel_from(tx, session, start)


def release_session(tx: Transaction, session: sqlite3.Row) -> None:
    """Interrupt all that a session does; its tasks wait again. The session closes when the worker has said so."""
    opened = session_rows.open_actions(tx.db, session["seq"])
    if opened:
        sessions.cancel_from(tx, session, opened[0]["number"])
    sessions.close(tx, session["seq"])
