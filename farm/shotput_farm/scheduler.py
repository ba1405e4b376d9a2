"""Scheduling: what a worker reports comes in, work goes out, in one transaction per exchange.

``placement`` decides who gets what; this module reads the rows it decides on, carries its decisions out, and builds the
snapshot that ``UpdateWorkerSchedule`` answers with. It holds requests open until there is something new to say, and
ends the sessions of workers that are not heard of any more.
"""

from __future__ import annotations

import asyncio
import json
import sqlite3
import threading
import uuid
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, Final

from shotput_farm import sessions
from shotput_farm.lifecycle import WORKER, WORKER_REPORTING, WORKER_SERVING
from shotput_farm.placement import Bid, Need, Offer, Placement, Seat, place
from shotput_farm.protocol.errors import Conflict, ResourceNotFound
from shotput_farm.store import Store, Transaction, jobs, records, tasks, workers
from shotput_farm.store import sessions as session_rows
from shotput_farm.store.database import EVERY_WORKER
from shotput_farm.store.logs import LogStore
from shotput_farm.template import Templates

UPDATE_INTERVAL_SECONDS: Final = 5
"""How often a worker that cannot be held on the line asks again; it also asks whenever a session has nothing to do."""

LEASE_SECONDS: Final = 60.0
"""A worker that was not heard of for so long, and is not on the line, has left."""


@dataclass
class _Known:
    """What a worker was told last: per session the highest action number, and the actions to cancel."""

    sessions: dict[str, int] = field(default_factory=dict)
    canceled: frozenset[str] = frozenset()
    stop: bool = False


class Scheduler:
    """Serves the workers of one farm. ``exchange`` belongs to the event loop that ``attach`` was called with."""

    def __init__(self, templates: Templates, logs: LogStore) -> None:
        self.store: Store  # set by the farm, whose store needs this object's wake first
        self._templates = templates
        self._logs = logs
        self._loop: asyncio.AbstractEventLoop | None = None
        self._writer = ThreadPoolExecutor(1, thread_name_prefix="shotput-schedule")
        self._held: dict[str, set[asyncio.Event]] = {}
        self._known: dict[str, _Known] = {}
        self._known_lock = threading.Lock()
        self._stopping = False

    def attach(self, loop: asyncio.AbstractEventLoop) -> None:
        """Say in which loop requests are held."""
        self._loop = loop

    def stop(self) -> None:
        """Answer all held requests; belongs to the loop."""
        self._stopping = True
        self._set({EVERY_WORKER})

    def close(self) -> None:
        """End the thread that writes."""
        self._writer.shutdown(wait=True)

    def wake(self, who: set[str]) -> None:
        """Let the held requests of these workers look again. May be called from any thread."""
        if self._loop is not None and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._set, who)

    def forget(self, worker_id: str) -> None:
        """Forget what a worker was told: it starts anew."""
        with self._known_lock:
            self._known.pop(worker_id, None)

    async def exchange(
        self, worker_id: str, reports: Mapping[str, Mapping[str, Any]], hold_seconds: float
    ) -> dict[str, Any]:
        """Take a worker's reports and answer with its schedule; wait up to ``hold_seconds`` for something new to say.

        The reports are committed before anything else happens. Raises ResourceNotFound and Conflict as ``schedule``.
        """
        loop = asyncio.get_running_loop()
        deadline = loop.time() + hold_seconds
        changed = asyncio.Event()
        self._held.setdefault(worker_id, set()).add(changed)
        try:
            while True:
                changed.clear()
                reply = await loop.run_in_executor(self._writer, self.schedule, worker_id, reports)
                remaining = deadline - loop.time()
                # Decided and noted in one step of the loop: of two held requests only one carries the news.
                if remaining <= 0 or self._stopping or self._is_news(worker_id, reply):
                    self._note(worker_id, reply)
                    return reply
                reports = {}
                try:
                    await asyncio.wait_for(changed.wait(), remaining)
                except TimeoutError:
                    deadline = loop.time()
        finally:
            waiting = self._held[worker_id]
            waiting.discard(changed)
            if not waiting:
                del self._held[worker_id]

    def schedule(self, worker_id: str, reports: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
        """Take reports, give work, and return the ``UpdateWorkerSchedule`` reply, all in one transaction.

        Raises ResourceNotFound for an unknown worker, Conflict (STATUS_CONFLICT) for one that has not started or was
        given up.
        """
        return self.store.write(lambda tx: self._schedule(tx, worker_id, reports))

    def sweep(self) -> list[str]:
        """Give up the workers whose lease has ended; returns their ids."""
        held = set(self._held)
        return self.store.write(lambda tx: give_up_silent(tx, held))

    def _schedule(self, tx: Transaction, worker_id: str, reports: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
        worker = records.get(tx.db, "worker", worker_id)
        if worker is None:
            raise ResourceNotFound("worker", worker_id)
        if worker["status"] not in WORKER_REPORTING:
            raise Conflict(
                f"Worker {worker_id} is {worker['status']}; it must report STARTED by UpdateWorker before it asks for "
                "its schedule.",
                "STATUS_CONFLICT",
                "worker",
                worker_id,
                {"status": worker["status"]},
            )
        workers.seen(tx.db, worker["seq"], tx.now)
        if reports:
            sessions.apply_reports(tx, worker_id, reports)
            self.store.settle(tx)  # steps that have just become READY are given out in this same exchange
        if worker["status"] in WORKER_SERVING:
            self._serve(tx, worker)
        return self._snapshot(tx.db, worker)

    def _serve(self, tx: Transaction, worker: sqlite3.Row) -> None:
        offer = Offer.of(json.loads(worker["capabilities"]) if worker["capabilities"] else None)
        for _ in range(4):  # a session that ends at once leaves room for another in the same exchange
            open_rows = session_rows.open_on_worker(tx.db, worker["worker_id"])
            queues = self._queues(tx.db, worker, open_rows)
            bids, steps = self._bids(tx.db, worker, offer, queues, {row["job_seq"] for row in open_rows})
            seats = [_seat(tx, row) for row in open_rows]
            ended = self._carry_out(tx, worker, place(offer, seats, bids), steps)
            if not ended:
                break
        occupied = session_rows.open_on_worker(tx.db, worker["worker_id"])
        status = WORKER.next(worker["status"], "occupy" if occupied else "vacate")
        if status != worker["status"]:
            records.update(tx.db, "worker", worker["seq"], {"status": status, "updated_at": tx.now})

    @staticmethod
    def _queues(db: sqlite3.Connection, worker: sqlite3.Row, open_rows: Sequence[sqlite3.Row]) -> list[str]:
        """Return the queues a worker may serve now: while it has sessions, theirs alone (one role at a time)."""
        queues = workers.queues_of_fleet(db, worker["fleet_id"])
        busy = {row["queue_id"] for row in open_rows}
        return [queue for queue in queues if not busy or queue in busy]

    def _bids(
        self, db: sqlite3.Connection, worker: sqlite3.Row, offer: Offer, queues: Sequence[str], here: set[int]
    ) -> tuple[list[Bid], dict[int, sqlite3.Row]]:
        bids: list[Bid] = []
        steps: dict[int, sqlite3.Row] = {}
        if not queues:
            return bids, steps
        for row in jobs.candidates(db, queues):
            need = Need.of(json.loads(row["requirements"]))
            if not need.fits_worker(offer):
                continue
            allowed = (
                row["job_seq"] in here
                or row["max_worker_count"] < 0
                or len(session_rows.workers_of_job(db, row["job_seq"])) < row["max_worker_count"]
            )
            steps[row["seq"]] = row
            bids.append(
                Bid(
                    step=row["seq"],
                    job=row["job_seq"],
                    priority=row["priority"],
                    turn=row["turn"],
                    ready=row["n_ready"],
                    job_sessions=row["open_sessions"],
                    step_sessions=session_rows.open_on_step(db, row["seq"], row["job_seq"]),
                    taken=need.of_worker(offer),
                    mean_seconds=row["mean_seconds"],
                    new_worker_allowed=allowed,
                )
            )
        return bids, steps

    def _carry_out(
        self, tx: Transaction, worker: sqlite3.Row, placement: Placement, steps: Mapping[int, sqlite3.Row]
    ) -> bool:
        """Write a placement; returns whether a session has ended by it."""
        for seat in placement.seats:
            if seat.move_to is not None:
                self._move(tx, seat, steps[seat.move_to.step], seat.move_to)
            if seat.give:
                session = records.by_seq(tx.db, "session", seat.key)
                _give(tx, session, session["step_seq"], seat.give)
        for bid, number in placement.new:
            session_seq = self._open_session(tx, worker, steps[bid.step], bid)
            session = records.by_seq(tx.db, "session", session_seq)
            _give(tx, session, bid.step, number)
        ended = False
        for seat in placement.close:
            sessions.close(tx, seat.key)
            ended = ended or records.by_seq(tx.db, "session", seat.key)["ended_at"] is not None
        return ended

    def _open_session(self, tx: Transaction, worker: sqlite3.Row, step: sqlite3.Row, bid: Bid) -> int:
        job = records.by_seq(tx.db, "job", bid.job)
        jobs.take_turn(tx.db, bid.job)
        session_id = f"session-{uuid.uuid4().hex}"
        sessions.begin_log(self._logs, job["farm_id"], job["queue_id"], session_id)
        session_seq = records.insert(
            tx.db,
            "session",
            {
                "session_id": session_id,
                "farm_id": job["farm_id"],
                "queue_id": job["queue_id"],
                "job_seq": bid.job,
                "step_seq": bid.step,
                "fleet_id": worker["fleet_id"],
                "worker_id": worker["worker_id"],
                "lifecycle_status": "STARTED",
                "host_properties": worker["host_properties"],
                "reserved": json.dumps(bid.taken),
                "started_at": tx.now,
            },
        )
        setup: list[dict[str, Any]] = []
        if job["attachments"] is not None:
            setup.append({"kind": "syncInputJobAttachments", "status": "ASSIGNED"})
        document = jobs.document(tx.db, bid.job)
        for environment in json.loads(document["environments"]):
            name = f"JOB:{job['job_id']}:{environment['name']}"
            setup.append({"kind": "envEnter", "environment_id": name, "status": "ASSIGNED"})
        setup += _step_setup(tx.db, job, step)
        session_rows.add_actions(tx, session_seq, 0, setup)
        return session_seq

    @staticmethod
    def _move(tx: Transaction, seat: Seat, step: sqlite3.Row, bid: Bid) -> None:
        """Let an idle session go on with another step of its job: out of the old step's environments, into the new."""
        session = records.by_seq(tx.db, "session", seat.key)
        job = records.by_seq(tx.db, "job", session["job_seq"])
        left = [name for name in sessions.entered_environments(tx.db, seat.key) if name.startswith("STEP:")]
        change = [{"kind": "envExit", "environment_id": name, "status": "ASSIGNED"} for name in reversed(left)]
        change += _step_setup(tx.db, job, step)
        session_rows.add_actions(tx, seat.key, session["next_action"], change)
        values = {"step_seq": step["seq"], "reserved": json.dumps(bid.taken), "updated_at": tx.now}
        records.update(tx.db, "session", seat.key, values)

    def _snapshot(self, db: sqlite3.Connection, worker: sqlite3.Row) -> dict[str, Any]:
        assigned: dict[str, Any] = {}
        canceled: dict[str, list[str]] = {}
        for session in session_rows.open_on_worker(db, worker["worker_id"]):
            session_id = session["session_id"]
            actions = session_rows.open_actions(db, session["seq"])
            assigned[session_id] = {
                "queueId": session["queue_id"],
                "jobId": session["job_id"],
                "sessionActions": self.definitions(db, session_id, actions),
                "logConfiguration": sessions.log_configuration(session["farm_id"], session["queue_id"], session_id),
            }
            ids = [sessions.action_id(session_id, a["number"]) for a in actions if a["status"] == "CANCELING"]
            if ids:
                canceled[session_id] = ids
        return {
            "assignedSessions": assigned,
            "cancelSessionActions": canceled,
            "updateIntervalSeconds": UPDATE_INTERVAL_SECONDS,
        }

    def definitions(
        self, db: sqlite3.Connection, session_id: str, actions: Sequence[sqlite3.Row]
    ) -> list[dict[str, Any]]:
        """Return actions as ``{"sessionActionId", "definition"}``."""
        found = self._templates.action_definitions(db, actions)
        return [
            {"sessionActionId": sessions.action_id(session_id, action["number"]), "definition": definition}
            for action, definition in zip(actions, found, strict=True)
        ]

    def _is_news(self, worker_id: str, reply: Mapping[str, Any]) -> bool:
        known = self._known.get(worker_id)
        told = _told(reply)
        if known is None or told.sessions.keys() != known.sessions.keys() or told.canceled - known.canceled:
            return True
        return told.stop != known.stop or any(told.sessions[name] > known.sessions[name] for name in told.sessions)

    def _note(self, worker_id: str, reply: Mapping[str, Any]) -> None:
        told = _told(reply)
        with self._known_lock:
            known = self._known.get(worker_id)
            if known is not None:
                for name, number in known.sessions.items():
                    if name in told.sessions:
                        told.sessions[name] = max(told.sessions[name], number)
            self._known[worker_id] = told

    def _set(self, who: set[str]) -> None:
        for worker_id in list(self._held) if EVERY_WORKER in who else who:
            for event in self._held.get(worker_id, ()):
                event.set()


def give_up_silent(tx: Transaction, on_the_line: set[str]) -> list[str]:
    """Set workers NOT_RESPONDING that were not heard of for a lease, and let their tasks wait again."""
    # A clock that was set back must not give those a longer lease that are heard of no more.
    workers.not_in_future(tx.db, tx.now)
    given_up = []
    for worker in workers.silent(tx.db, tx.now - int(LEASE_SECONDS * 1000), WORKER_REPORTING):
        if worker["worker_id"] in on_the_line:
            workers.seen(tx.db, worker["seq"], tx.now)
            continue
        values = {"status": WORKER.next(worker["status"], "lose"), "updated_at": tx.now}
        records.update(tx.db, "worker", worker["seq"], values)
        end_sessions(tx, worker["worker_id"])
        given_up.append(worker["worker_id"])
    return given_up


def end_sessions(tx: Transaction, worker_id: str) -> None:
    """End all sessions of a worker that cannot be going on with them."""
    for session in session_rows.open_on_worker(tx.db, worker_id):
        sessions.lose(tx, session)


def _seat(tx: Transaction, session: sqlite3.Row) -> Seat:
    waiting, queued, canceling = session_rows.load(tx.db, session["seq"])
    job = records.by_seq(tx.db, "job", session["job_seq"])
    return Seat(
        key=session["seq"],
        job=session["job_seq"],
        step=session["step_seq"],
        priority=job["priority"],
        reserved=json.loads(session["reserved"]),
        queued=queued,
        busy=waiting > 0,
        seconds=(tx.now - session["started_at"]) / 1000,
        # A session with actions that are being canceled is over as soon as the worker says so.
        closing=canceling > 0 or session["lifecycle_status"] != "STARTED",
    )


def _give(tx: Transaction, session: sqlite3.Row, step_seq: int, number: int) -> None:
    first = records.by_seq(tx.db, "session", session["seq"])["next_action"]
    ordinals = tasks.assign(tx, step_seq, number, session["seq"], first)
    new = [{"kind": "taskRun", "step_seq": step_seq, "ordinal": ordinal, "status": "ASSIGNED"} for ordinal in ordinals]
    session_rows.add_actions(tx, session["seq"], first, new)


def _step_setup(db: sqlite3.Connection, job: sqlite3.Row, step: sqlite3.Row) -> list[dict[str, Any]]:
    setup: list[dict[str, Any]] = []
    for environment in json.loads(step["template"]).get("stepEnvironments") or ():
        name = f"STEP:{step['step_id']}:{environment['name']}"
        setup.append({"kind": "envEnter", "environment_id": name, "status": "ASSIGNED"})
    if job["attachments"] is not None and jobs.dependencies(db, step["seq"]):
        setup.append({"kind": "syncInputJobAttachments", "step_seq": step["seq"], "status": "ASSIGNED"})
    return setup


def _told(reply: Mapping[str, Any]) -> _Known:
    numbers = {
        name: max((sessions.session_of(a["sessionActionId"])[1] for a in body["sessionActions"]), default=-1)
        for name, body in reply["assignedSessions"].items()
    }
    canceled = frozenset(i for ids in reply["cancelSessionActions"].values() for i in ids)
    return _Known(numbers, canceled, "desiredWorkerStatus" in reply)
