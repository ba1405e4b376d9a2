"""The life of a session after it was opened: results come in, actions are canceled, environments are left, it ends.

A session is over when one of its actions did not succeed: the worker drops the rest of its queue, and only the exits of
environments that were entered are still run (the published worker protocol). What a result means for the task behind it
is decided in ``lifecycle``; which tasks a session gets is decided in ``scheduler``.
"""

from __future__ import annotations

import json
import logging
import sqlite3
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from shotput_farm.lifecycle import ACTION, ACTION_RESULTS, IN_FLIGHT, SESSION, TASK, charge, settle_event
from shotput_farm.store import records, tasks
from shotput_farm.store import sessions as rows
from shotput_farm.store.database import EVERY_WORKER, Transaction
from shotput_farm.store.logs import LogStore

_LOG = logging.getLogger(__name__)

_CLOSING = "UPDATE_IN_PROGRESS"
# A moving average follows a step whose frames grow heavier, and one odd frame does not turn it round.
_AVERAGE_SHARE = 0.1


@dataclass
class _Results:
    """What a session's actions and their tasks come to, before it is written."""

    ended: list[dict[str, Any]] = field(default_factory=list)
    running: list[dict[str, Any]] = field(default_factory=list)
    # step → [(ordinal, action status, whether a failure is charged, started, ended)]
    tasks: defaultdict[int, list[tuple[int, str, bool, int | None, int | None]]] = field(
        default_factory=lambda: defaultdict(list)
    )
    started: defaultdict[int, list[tuple[int, int | None]]] = field(default_factory=lambda: defaultdict(list))
    broken: bool = False


def session_of(action_id: str) -> tuple[str, int]:
    """Return the session id and number that an action id is made of. Raises ValueError when it is none."""
    prefix, hexes, number = action_id.split("-")
    if prefix != "sessionaction":
        raise ValueError(action_id)
    return f"session-{hexes}", int(number)


def action_id(session_id: str, number: int) -> str:
    """Return the id of a session's action."""
    return f"sessionaction-{session_id[8:]}-{number}"


def begin_log(logs: LogStore, farm_id: str, queue_id: str, session_id: str) -> None:
    """Make the log of a session, or of a worker. To be called before that is committed, so that none is without."""
    options = log_configuration(farm_id, queue_id, session_id)["options"]
    try:
        logs.create_stream(options["logGroupName"], options["logStreamName"])
    except sqlite3.Error as error:
        # A damaged log costs the log, not the job.
        _LOG.error("There is no log for %s (%s).", session_id, error)


def log_configuration(farm_id: str, queue_id: str, session_id: str) -> dict[str, Any]:
    """Return where a session's log goes."""
    options = {"logGroupName": f"/aws/deadline/{farm_id}/{queue_id}", "logStreamName": session_id}
    return {"logDriver": "awslogs", "options": options, "parameters": {"interval": "1"}}


def apply_reports(tx: Transaction, worker_id: str, reports: Mapping[str, Mapping[str, Any]]) -> None:
    """Take a worker's ``updatedSessionActions``.

    Reports about actions that have a result already, or that are not this worker's, change nothing: a report may come
    twice, or late.
    """
    by_session: defaultdict[str, dict[int, Mapping[str, Any]]] = defaultdict(dict)
    for identifier, report in reports.items():
        try:
            session_id, number = session_of(identifier)
        except ValueError:
            continue
        by_session[session_id][number] = report
    for session_id, numbered in by_session.items():
        session = records.get(tx.db, "session", session_id)
        if session is None or session["worker_id"] != worker_id or session["ended_at"] is not None:
            continue
        results = _read_reports(tx, session, numbered)
        _write(tx, session, results)
        if results.broken:
            close(tx, session["seq"])
        elif session["lifecycle_status"] == _CLOSING:
            advance_closing(tx, session["seq"])


def cancel_from(tx: Transaction, session: sqlite3.Row, number: int) -> None:
    """Cancel an action and all later ones of a session; exits of environments stay.

    The worker reports what became of each. The session closes when it has.
    """
    for action in rows.open_actions(tx.db, session["seq"]):
        if action["number"] >= number and action["kind"] != "envExit" and action["status"] != "CANCELING":
            rows.set_action_status(tx, session["seq"], [action["number"]], ACTION.next(action["status"], "cancel"))
    tx.wake.add(session["worker_id"])


def close(tx: Transaction, session_seq: int) -> None:
    """Let a session take no more tasks, leave its environments and end."""
    session = records.by_seq(tx.db, "session", session_seq)
    if session["lifecycle_status"] != _CLOSING:
        status = SESSION.next(session["lifecycle_status"], "close")
        values = {"lifecycle_status": status, "target_lifecycle_status": "ENDED", "updated_at": tx.now}
        records.update(tx.db, "session", session_seq, values)
    advance_closing(tx, session_seq)


def advance_closing(tx: Transaction, session_seq: int) -> None:
    """Take a closing session one further: nothing while actions are open, then the exits, then its end."""
    if rows.open_actions(tx.db, session_seq):
        return
    session = records.by_seq(tx.db, "session", session_seq)
    left = entered_environments(tx.db, session_seq)
    if left:
        exits = [{"kind": "envExit", "environment_id": name, "status": "ASSIGNED"} for name in reversed(left)]
        rows.add_actions(tx, session_seq, session["next_action"], exits)
        tx.wake.add(session["worker_id"])
    else:
        _end(tx, session)


def entered_environments(db: sqlite3.Connection, session_seq: int) -> list[str]:
    """Return the environments that were entered, or tried, and not left yet, outermost first."""
    stack: list[str] = []
    for action in rows.environments(db, session_seq):
        if action["kind"] == "envExit":
            if action["environment_id"] in stack:
                stack.remove(action["environment_id"])
        elif action["status"] != "NEVER_ATTEMPTED":
            stack.append(action["environment_id"])
    return stack


def lose(tx: Transaction, session: sqlite3.Row) -> None:
    """End a session whose worker is gone: what may have run is INTERRUPTED, and its tasks wait again, at no cost."""
    results = _Results()
    for position, action in enumerate(rows.open_actions(tx.db, session["seq"])):
        attempted = position == 0 or action["status"] == "RUNNING"
        _end_action(tx, results, action, "INTERRUPTED" if attempted else "NEVER_ATTEMPTED", {}, charged=False)
    _write(tx, session, results)
    _end(tx, session)


def _end(tx: Transaction, session: sqlite3.Row) -> None:
    current = records.by_seq(tx.db, "session", session["seq"])["lifecycle_status"]
    values = {"lifecycle_status": SESSION.next(current, "end"), "ended_at": tx.now, "updated_at": tx.now}
    records.update(tx.db, "session", session["seq"], values)
    # A place under maxWorkerCount may be free for somebody else; this worker has amounts again.
    tx.wake.add(EVERY_WORKER)


def _read_reports(tx: Transaction, session: sqlite3.Row, reports: Mapping[int, Mapping[str, Any]]) -> _Results:
    results = _Results()
    setup_failed = False
    for action in rows.open_actions(tx.db, session["seq"]):
        report = reports.get(action["number"], {})
        status = report.get("completedStatus")
        if status is None and results.broken and action["kind"] != "envExit":
            # The worker has dropped it, whether or not it says so.
            status = "NEVER_ATTEMPTED"
        if status is None:
            if report.get("startedAt") is not None:
                _progress(results, action, report)
            continue
        # Environments that do not come up would be tried for ever if nobody paid for it: the first task behind does.
        charged = status == "FAILED"
        if action["kind"] == "taskRun" and setup_failed and status == "NEVER_ATTEMPTED":
            charged, setup_failed = True, False
        _end_action(tx, results, action, status, report, charged=charged)
        if action["kind"] != "envExit" and status != "SUCCEEDED":
            results.broken = True
            if status == "FAILED" and action["kind"] != "taskRun":
                setup_failed = True
    return results


def _progress(results: _Results, action: sqlite3.Row, report: Mapping[str, Any]) -> None:
    status = action["status"]
    started = _ms(report.get("startedAt"))
    results.running.append(
        {
            "number": action["number"],
            "status": ACTION.next(status, "start") if ACTION.allows(status, "start") else status,
            "started_at": started,
            "worker_updated_at": _ms(report.get("updatedAt")),
            "progress_percent": report.get("progressPercent"),
            "progress_message": report.get("progressMessage"),
        }
    )
    if action["kind"] == "taskRun" and status not in ("RUNNING", "CANCELING"):
        results.started[action["step_seq"]].append((action["ordinal"], started))


def _end_action(
    tx: Transaction,
    results: _Results,
    action: sqlite3.Row,
    status: str,
    report: Mapping[str, Any],
    *,
    charged: bool,
) -> None:
    started, ended = _ms(report.get("startedAt")), _ms(report.get("endedAt"))
    if ended is None and status != "NEVER_ATTEMPTED":
        ended = tx.now
    manifests = report.get("manifests")
    results.ended.append(
        {
            "number": action["number"],
            "status": ACTION.next(action["status"], ACTION_RESULTS[status]),
            "started_at": started,
            "ended_at": ended,
            "worker_updated_at": _ms(report.get("updatedAt")),
            "progress_percent": report.get("progressPercent"),
            "progress_message": report.get("progressMessage"),
            "exit_code": report.get("processExitCode"),
            "manifests": json.dumps(manifests) if manifests is not None else None,
        }
    )
    if action["kind"] == "taskRun":
        began = started if started is not None else action["started_at"]
        results.tasks[action["step_seq"]].append((action["ordinal"], status, charged, began, ended))


def _write(tx: Transaction, session: sqlite3.Row, results: _Results) -> None:
    if results.running:
        rows.progress_actions(tx, session["seq"], results.running)
    if results.ended:
        rows.end_actions(tx, session["seq"], results.ended)
    for step_seq, begun in results.started.items():
        _start_tasks(tx, step_seq, begun)
    if results.tasks:
        job = records.by_seq(tx.db, "job", session["job_seq"])
        for step_seq, ended in results.tasks.items():
            _end_tasks(tx, job, step_seq, ended)


def _start_tasks(tx: Transaction, step_seq: int, begun: Sequence[tuple[int, int | None]]) -> None:
    found = tasks.some(tx.db, step_seq, [ordinal for ordinal, _ in begun])
    changes = []
    for ordinal, started in begun:
        row = found[ordinal]
        if TASK.allows(row["status"], "start"):
            changes.append(_change(row, "start", started_at=started))
    tasks.move(tx, step_seq, changes)


def _end_tasks(
    tx: Transaction,
    job: sqlite3.Row,
    step_seq: int,
    ended: Sequence[tuple[int, str, bool, int | None, int | None]],
) -> None:
    found = tasks.some(tx.db, step_seq, [item[0] for item in ended])
    changes = []
    retries = 0
    seconds = []
    for ordinal, status, charged, started, end in ended:
        row = found[ordinal]
        if row["status"] not in IN_FLIGHT:
            continue
        target = row["target_status"]
        failures = row["failure_retry_count"]
        if charged and target is None:
            events: tuple[str, ...] = (charge(failures, job["max_retries_per_task"]),)
            if events == ("retry",):
                failures += 1
                retries += 1
        else:
            events = settle_event(status, target)
            if target == "PENDING":
                failures = 0  # asked for anew: it has all its retries again
        change = _change(row, events[0], started_at=started, ended_at=end, failures=failures)
        for event in events[1:]:
            change["to"] = TASK.next(change["to"], event)
            change["clear_times"] = True
        if change["to"] == "READY":
            change["clear_times"] = True
        change["clear_target"] = True
        changes.append(change)
        if status in ("SUCCEEDED", "FAILED") and started is not None and end is not None:
            seconds.append(max(0.0, (end - started) / 1000))
    tasks.move(tx, step_seq, changes)
    if retries:
        tasks.count_retries(tx, job["seq"], step_seq, retries)
    if seconds:
        _record_runtimes(tx, step_seq, seconds)


def _record_runtimes(tx: Transaction, step_seq: int, seconds: Sequence[float]) -> None:
    step = records.by_seq(tx.db, "step", step_seq)
    mean, samples = step["mean_seconds"] or 0.0, step["samples"]
    for value in seconds:
        samples += 1
        mean += (value - mean) * max(1 / samples, _AVERAGE_SHARE)
    tasks.record_runtime(tx, step_seq, mean, samples)


def _change(
    row: sqlite3.Row,
    event: str,
    *,
    started_at: int | None = None,
    ended_at: int | None = None,
    failures: int | None = None,
) -> dict[str, Any]:
    return {
        "ordinal": row["ordinal"],
        "source": row["status"],
        "to": TASK.next(row["status"], event),
        "failures": row["failure_retry_count"] if failures is None else failures,
        "started_at": started_at,
        "ended_at": ended_at,
        "clear_times": False,
        "clear_target": False,
    }


def _ms(seconds: float | None) -> int | None:
    return None if seconds is None else round(seconds * 1000)
