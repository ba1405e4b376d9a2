"""One session of the worker: its queue of actions, and the thread that carries them out in order.

What an action does is ``execution``'s concern. Here lie the rules of the protocol: which actions of a new assignment
are still to be run, what a failed or canceled action means for those behind it, and what is reported for each.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from typing import Any, Protocol

from shotput_farm.worker.reports import Outcome, Reports

LOG = logging.getLogger(__name__)

# Short tasks are handed over in batches that last about this long. A batch cannot be taken apart once it runs, so it
# must not outlast the time in which a person expects a change of the queue to show.
_BATCH_SECONDS = 0.4
_LARGEST_BATCH = 64


@dataclass(frozen=True)
class Action:
    """One session action: its id, its kind (``taskRun``, ``envEnter``, …) and the members of its definition."""

    action_id: str
    kind: str
    body: Mapping[str, Any]

    @classmethod
    def from_wire(cls, item: Mapping[str, Any]) -> Action:
        """Make it from an item of ``sessionActions``. A definition without a known kind gets an empty kind."""
        for kind in ("taskRun", "envEnter", "envExit", "syncInputJobAttachments"):
            body = item["definition"].get(kind)
            if body is not None:
                return cls(item["sessionActionId"], kind, body)
        return cls(item["sessionActionId"], "", item["definition"])


@dataclass
class Result:
    """How an action ended. ``started`` and ``ended`` are epoch seconds, ``percent`` the last progress it gave."""

    outcome: Outcome
    started: float
    ended: float
    exit_code: int | None = None
    message: str | None = None
    percent: float | None = None
    manifests: list[dict[str, str]] | None = None


class Observer(Protocol):
    """What an execution tells while it works."""

    def started(self, action: Action) -> None:
        """``action`` runs from now on."""

    def progressed(self, percent: float | None, message: str | None) -> None:
        """The running action said how far it is, or what it does."""

    def completed(self, action: Action, result: Result) -> None:
        """``action`` has ended."""


class Execution(Protocol):
    """Carries actions out. All methods are called on the session's thread, apart from ``cancel``."""

    def run(self, actions: Sequence[Action], observer: Observer) -> None:
        """Run one action, or several tasks of one step, telling ``observer`` of each start and end.

        Stops behind the first that does not succeed. Raises nothing for what went wrong in an action.
        """

    def cancel(self, action_id: str, grace: float | None = None) -> None:
        """End the batch that begins with ``action_id``, now or as soon as it begins; no other is touched.

        ``grace`` is how many seconds it gets to end by itself, instead of what its job grants.
        """

    def close(self) -> None:
        """Exit environments that are still entered, in reverse order, and remove the session's folder."""


@dataclass
class _State:
    """What the thread of a session and the schedule's thread share, under one lock."""

    queue: list[Action] = field(default_factory=list)
    running: dict[str, Action] = field(default_factory=dict)
    done: set[str] = field(default_factory=set)
    attempted_environments: set[str] = field(default_factory=set)
    # The action whose failure the farm may not know yet: what it assigned before it knew is not to be run.
    unacknowledged_failure: str | None = None
    canceled: bool = False
    ending: bool = False


class Session:
    """A session that the farm assigned to this worker.

    ``open_execution`` prepares what the actions need (job details, folder, credentials); it runs on the session's own
    thread, and its failure fails the first action. ``closed`` is called with the session's id when all is cleaned up.
    """

    def __init__(
        self,
        session_id: str,
        open_execution: Callable[[], Execution],
        reports: Reports,
        closed: Callable[[str], None],
    ) -> None:
        self.session_id = session_id
        self._open_execution = open_execution
        self._reports = reports
        self._closed = closed
        self._condition = threading.Condition()
        self._state = _State()
        self._execution: Execution | None = None
        self._batch = ""  # the id of the first action of the batch that runs
        self._current: Action | None = None
        self._current_started = 0.0
        self._task_seconds = _BATCH_SECONDS
        self._thread = threading.Thread(target=self._run, name=session_id, daemon=True)

    def start(self) -> None:
        """Begin to work on the queue."""
        self._thread.start()

    def assign(self, items: Iterable[Mapping[str, Any]], acknowledged: AbstractSet[str]) -> None:
        """Replace the queue by the farm's list of ``sessionActions``.

        Actions that run or have ended stay as they are. ``acknowledged`` are the ids of the actions whose end was told
        in the call that this list answers.
        """
        refused: list[str] = []
        with self._condition:
            state = self._state
            if state.ending:
                return
            if state.unacknowledged_failure in acknowledged:
                state.unacknowledged_failure = None
            fresh = [Action.from_wire(item) for item in items]
            fresh = [a for a in fresh if a.action_id not in state.done and a.action_id not in state.running]
            if state.unacknowledged_failure is not None:
                fresh, refused = self._split(fresh)
                state.done.update(refused)
            state.queue = fresh
            self._condition.notify_all()
        self._reports.never_attempted(refused)

    def cancel(self, action_ids: Iterable[str]) -> None:
        """Cancel actions: the running one is ended, queued ones are never attempted, ended ones keep their result."""
        wanted = set(action_ids)
        with self._condition:
            state = self._state
            dropped = [action.action_id for action in state.queue if action.action_id in wanted]
            state.queue = [action for action in state.queue if action.action_id not in wanted]
            state.done.update(dropped)
            running = not wanted.isdisjoint(state.running) and not state.canceled
            state.canceled = state.canceled or running
            execution, batch = self._execution, self._batch
        self._reports.never_attempted(dropped)
        if running and execution is not None:
            LOG.info("Canceling the running action of %s.", self.session_id)
            execution.cancel(batch)

    def end(self, grace: float | None = None) -> None:
        """End the session: its running action is interrupted, what is queued never attempted, its folder removed.

        ``grace`` limits the seconds that the running action gets to end by itself. Returns at once; see ``join``.
        """
        with self._condition:
            state = self._state
            if state.ending:
                return
            state.ending = True
            dropped = [action.action_id for action in state.queue]
            state.queue = []
            state.done.update(dropped)
            running = bool(state.running)
            execution, batch = self._execution, self._batch
            self._condition.notify_all()
        self._reports.never_attempted(dropped)
        if running and execution is not None:
            execution.cancel(batch, grace)

    def join(self, timeout: float) -> bool:
        """Wait for the end of the session's thread. False when ``timeout`` seconds were not enough."""
        self._thread.join(timeout)
        return not self._thread.is_alive()

    # What the execution tells, on the thread of the session or of the native module.

    def started(self, action: Action) -> None:
        """See ``Observer``."""
        self._current, self._current_started = action, time.time()
        if action.kind == "envEnter":
            self._state.attempted_environments.add(action.body["environmentId"])
        self._reports.started(action.action_id, self._current_started)

    def progressed(self, percent: float | None, message: str | None) -> None:
        """See ``Observer``."""
        current = self._current
        if current is not None:
            self._reports.progressed(current.action_id, self._current_started, percent=percent, message=message)

    def completed(self, action: Action, result: Result) -> None:
        """See ``Observer``."""
        outcome = result.outcome
        refused: list[str] = []
        with self._condition:
            state = self._state
            if outcome == "CANCELED" and state.ending:
                outcome = "INTERRUPTED"
            self._current = None
            state.running.pop(action.action_id, None)
            state.done.add(action.action_id)
            if outcome != "SUCCEEDED" and action.kind != "envExit":
                state.unacknowledged_failure = action.action_id
                state.queue, refused = self._split(state.queue)
                refused = [*state.running, *refused]
                state.running.clear()
                state.done.update(refused)
            idle = not state.running and not state.queue
        if action.kind == "taskRun":
            self._task_seconds += (max(result.ended - result.started, 1e-3) - self._task_seconds) / 4
        self._reports.completed(
            action.action_id,
            outcome,
            started=result.started,
            ended=result.ended,
            exit_code=result.exit_code,
            percent=result.percent,
            message=result.message,
            manifests=result.manifests,
            urgent=idle or outcome != "SUCCEEDED",
        )
        self._reports.never_attempted(refused)

    def _split(self, actions: Sequence[Action]) -> tuple[list[Action], list[str]]:
        """Part what still runs behind a failure (exits of environments that were tried) from the ids of the rest."""
        attempted = self._state.attempted_environments
        keep = [a for a in actions if a.kind == "envExit" and a.body["environmentId"] in attempted]
        kept = {action.action_id for action in keep}
        return keep, [action.action_id for action in actions if action.action_id not in kept]

    def _run(self) -> None:
        try:
            while True:
                with self._condition:
                    self._condition.wait_for(lambda: self._state.queue or self._state.ending)
                    if self._state.ending:
                        break
                    batch = self._next_batch()
                    self._state.running = {action.action_id: action for action in batch}
                    self._batch = batch[0].action_id
                    self._state.canceled = False
                self._carry_out(batch)
        finally:
            execution = self._execution
            if execution is not None:
                try:
                    execution.close()
                except Exception:
                    LOG.exception("Cannot clean up %s.", self.session_id)
            self._closed(self.session_id)

    def _carry_out(self, batch: list[Action]) -> None:
        began = time.time()
        try:
            if self._execution is None:
                execution = self._open_execution()
                with self._condition:
                    self._execution = execution
                    canceled = self._state.canceled or self._state.ending
                if canceled:
                    execution.cancel(batch[0].action_id)
            self._execution.run(batch, self)
        except Exception as error:
            # Nothing that the actions do raises: this is the farm that refuses details, or a fault of ours.
            LOG.exception("%s cannot run %s.", self.session_id, batch[0].action_id)
            left = next(iter(self._state.running.values()), None)
            if left is not None:
                message = f"The worker cannot run this action: {error}"
                self.completed(left, Result("FAILED", began, time.time(), message=message))

    def _next_batch(self) -> list[Action]:
        """Take the next action off the queue, with the short tasks of the same step that follow it."""
        queue = self._state.queue
        size = 1
        if queue[0].kind == "taskRun":
            limit = min(_LARGEST_BATCH, max(1, int(_BATCH_SECONDS / self._task_seconds)))
            step = queue[0].body["stepId"]
            while (
                size < min(limit, len(queue)) and queue[size].kind == "taskRun" and queue[size].body["stepId"] == step
            ):
                size += 1
        batch, self._state.queue = queue[:size], queue[size:]
        return batch
