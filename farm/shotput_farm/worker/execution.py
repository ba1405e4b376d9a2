"""Carries out the actions of one session: files in and out, environments, tasks.

The subprocesses are the native session's concern, the order of actions and what is reported for them ``session``'s.
This module brings the two together with the job's details, its files and its keys.
"""

from __future__ import annotations

import logging
import shutil
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from shotput import _native
from shotput.errors import DeadlineOperationCanceled, DeadlineOperationError

from shotput_farm.protocol.errors import ServiceError
from shotput_farm.worker.entities import EntityError, JobEntities
from shotput_farm.worker.files import Canceler, SessionFiles
from shotput_farm.worker.logs import LogStream
from shotput_farm.worker.orphans import marker
from shotput_farm.worker.reports import Outcome
from shotput_farm.worker.service import WorkerService
from shotput_farm.worker.session import Action, Observer, Result

LOG = logging.getLogger(__name__)

_OUTCOMES: Mapping[str, Outcome] = {
    "SUCCESS": "SUCCEEDED",
    "CANCELED": "CANCELED",
    "FAILED": "FAILED",
    "TIMEOUT": "FAILED",
}
# Environments that are still entered when a session is taken away get this long to be left.
_LEAVE_SECONDS = 5.0
_TIMED_OUT = "The action ran for longer than its timeout allows and was ended."
_INSIST_SECONDS = 0.02
# What an action may end with: all of these are one failed action, never the end of the session's thread.
_EXPECTED = (DeadlineOperationError, EntityError, ServiceError, OSError)


class NativeExecution:
    """The execution of one session's actions, in a folder below ``data_dir``. See ``session.Execution``.

    Raises EntityError, OSError and ``ServiceError`` when the session cannot be set up.
    """

    def __init__(
        self, service: WorkerService, session_id: str, queue_id: str, job_id: str, *, data_dir: Path, log: LogStream
    ) -> None:
        self._session_id = session_id
        self._data_dir = data_dir
        self._log = log
        self._folder = data_dir / "sessions" / session_id
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._entities = JobEntities(service.batch_get_job_entity, job_id)
        self._details = self._entities.job()
        self._files = SessionFiles(service, self._details, self._entities.attachments(), queue_id, job_id, self._folder)
        self._variables = {
            "DEADLINE_SESSION_ID": session_id,
            "DEADLINE_FARM_ID": service.state.farm_id,
            "DEADLINE_QUEUE_ID": queue_id,
            "DEADLINE_JOB_ID": job_id,
            "DEADLINE_FLEET_ID": service.state.fleet_id,
            "DEADLINE_WORKER_ID": service.worker_id,
        }
        self._session: _native.Session | None = None
        self._steps: dict[str, _native.Step] = {}
        self._observer: Observer | None = None
        # The tasks that the native session runs, and how those ended that have.
        self._tasks: Sequence[Action] = ()
        self._results: list[Result] = []
        # A task whose process has ended well and whose outputs are not stored yet.
        self._held: Result | None = None
        self._lock = threading.Lock()
        self._batch = ""
        self._canceled = ""
        self._canceler = Canceler()

    def run(self, actions: Sequence[Action], observer: Observer) -> None:
        """Run one action, or several tasks of one step."""
        first = actions[0]
        self._observer = observer
        with self._lock:
            self._batch = first.action_id
            self._canceler = Canceler()
            if self._canceled == first.action_id:
                self._canceler.cancel()
        try:
            if first.kind == "taskRun":
                self._run_tasks(actions, observer)
            else:
                observer.started(first)
                observer.completed(first, self._guarded(lambda: self._run_one(first)))
        finally:
            with self._lock:
                self._batch = ""

    def cancel(self, action_id: str, grace: float | None = None) -> None:
        """End the batch that begins with ``action_id``, now or as soon as it begins."""
        with self._lock:
            self._canceled = action_id
            if self._batch != action_id:
                return
            self._canceler.cancel()
            session = self._session
        if session is not None and not session.cancel(time_limit=grace):
            # Its process has not started yet, or it moves files; try until it does, or is over.
            threading.Thread(target=self._insist, args=(session, action_id, grace), daemon=True).start()

    def _insist(self, session: _native.Session, action_id: str, grace: float | None) -> None:
        while self._batch == action_id and not session.cancel(time_limit=grace):
            time.sleep(_INSIST_SECONDS)

    def close(self) -> None:
        """Exit environments that are still entered, in reverse order, and remove the session's folder."""
        session = self._session
        if session is not None:
            for environment_id in reversed(session.environments_entered):
                deadline = threading.Timer(_LEAVE_SECONDS, session.cancel, kwargs={"time_limit": 0.0})
                deadline.start()
                try:
                    session.exit_environment(environment_id)
                except DeadlineOperationError as error:
                    LOG.warning("Cannot exit %s of %s: %s", environment_id, self._session_id, error)
                finally:
                    deadline.cancel()
            session.close()
        shutil.rmtree(self._folder, ignore_errors=True)

    def _run_one(self, action: Action) -> Result:
        if action.kind == "syncInputJobAttachments":
            return self._sync_inputs(action.body.get("stepId"))
        if action.kind == "envEnter":
            return self._enter(action)
        if action.kind == "envExit":
            status = self._open().exit_environment(
                action.body["environmentId"], keep_running=True, variables=_variables(action)
            )
            return _result(status)
        raise EntityError(f"This worker knows no action like {dict(action.body)}. Update Shotput on this machine.")

    def _guarded(self, work: Callable[[], Result]) -> Result:
        """Return the result of ``work``; what it raises is a result too."""
        began = time.time()
        if self._canceler.canceled:
            return Result("CANCELED", began, began)
        try:
            return work()
        except _EXPECTED as error:
            return self._failed(error, began)

    def _failed(self, error: Exception, began: float) -> Result:
        if isinstance(error, DeadlineOperationCanceled):
            return Result("CANCELED", began, time.time(), message=str(error))
        self._log.write(str(error))
        return Result("FAILED", began, time.time(), message=str(error))

    def _sync_inputs(self, step_id: str | None) -> Result:
        began = time.time()
        dependencies = self._entities.step(step_id)["dependencies"] if step_id else []
        self._files.sync_inputs(dependencies, self._transferred)
        return Result("SUCCEEDED", began, time.time(), exit_code=0, percent=100.0)

    def _transferred(self, report: Mapping[str, Any]) -> bool:
        """Pass on how far a transfer is; False ends it."""
        if self._observer is not None:
            self._observer.progressed(report["progress"], report["progressMessage"])
        return not self._canceler.canceled

    def _enter(self, action: Action) -> Result:
        environment_id = action.body["environmentId"]
        details = self._entities.environment(environment_id)
        environment = _native.environment_from_template(
            details["template"],
            self._details.get("parameters"),
            schema_version=details["schemaVersion"],
            extensions=details.get("extensions") or [],
        )
        session = self._open()
        return _result(session.enter_environment(environment, identifier=environment_id, variables=_variables(action)))

    def _run_tasks(self, actions: Sequence[Action], observer: Observer) -> None:
        # Outputs are stored between tasks, so that each task's manifest holds its own files and no others.
        size = 1 if self._files.has_outputs else len(actions)
        for start in range(0, len(actions), size):
            if not self._run_batch(actions[start : start + size], observer):
                return

    def _run_batch(self, actions: Sequence[Action], observer: Observer) -> bool:
        """Run tasks in one call of the native session; True when all succeeded."""
        began = time.time()
        self._tasks, self._results = actions, []
        try:
            if not self._canceler.canceled:
                script = self._step(actions[0].body["stepId"]).script
                parameters = [action.body["parameters"] for action in actions]
                variables = [_variables(action) for action in actions]
                self._open().run_tasks(script, parameters, variables=variables)
        except _EXPECTED as error:
            self._task_ended(self._failed(error, began))
        if self._files.has_outputs and self._held is not None:
            result, self._held = self._held, None
            self._task_ended(self._guarded(lambda: self._sync_outputs(actions[0], result)))
        if self._results and self._results[-1].outcome != "SUCCEEDED":
            return False
        if len(self._results) < len(actions):
            # Canceled between two tasks: none was ended by it, and none follows.
            self._task_ended(Result("CANCELED", began, time.time()))
            return False
        return True

    def _task_ended(self, result: Result) -> None:
        """Tell of the end of the next task of the batch."""
        if result.outcome == "SUCCEEDED" and self._files.has_outputs and result.manifests is None:
            self._held = result
            return
        action = self._tasks[len(self._results)]
        self._results.append(result)
        if self._observer is not None:
            self._observer.completed(action, result)

    def _sync_outputs(self, action: Action, result: Result) -> Result:
        result.manifests = self._files.sync_outputs(
            action.body["stepId"], action.body.get("taskId"), action.action_id, result.started, self._transferred
        )
        return result

    def _step(self, step_id: str) -> _native.Step:
        step = self._steps.get(step_id)
        if step is None:
            details = self._entities.step(step_id)
            step = _native.step_from_template(
                details["template"],
                self._details.get("parameters"),
                schema_version=details["schemaVersion"],
                extensions=details.get("extensions") or [],
            )
            self._steps[step_id] = step
        return step

    def _open(self) -> _native.Session:
        """Return the native session, made at its first use: by then the job's files have their places."""
        if self._session is None:
            self._session = _native.Session(
                self._session_id,
                parameters=self._details.get("parameters") or {},
                path_mapping_rules=self._files.rules,
                session_root=str(self._folder),
                environment=self._variables,
                log=self._lines,
                status=self._said,
                low_priority=True,
                marker=marker(self._data_dir),
            )
        return self._session

    def _lines(self, lines: Iterable[Mapping[str, Any]]) -> None:
        self._log.append((line["timestamp"], line["message"]) for line in lines)

    def _said(self, status: Mapping[str, Any]) -> None:
        observer, index = self._observer, status["task_index"]
        if observer is None:
            return
        if status["state"] != "RUNNING":
            if index is not None:
                self._task_ended(_result(status))
        elif status["progress"] is not None or status["status_message"] is not None:
            observer.progressed(status["progress"], status["status_message"])
        elif index is not None:
            observer.started(self._tasks[index])


def _variables(action: Action) -> dict[str, str]:
    """Return the environment variables of one action, as scripts know them from the official agent."""
    variables = {"DEADLINE_SESSIONACTION_ID": action.action_id}
    if action.kind == "taskRun":
        variables["DEADLINE_STEP_ID"] = action.body["stepId"]
        variables["DEADLINE_TASK_ID"] = action.body.get("taskId") or ""
    return variables


def _result(status: Mapping[str, Any]) -> Result:
    return Result(
        _OUTCOMES[status["state"]],
        status["started_at"],
        status["ended_at"] or status["started_at"],
        exit_code=status["exit_code"],
        message=status["fail_message"] or (_TIMED_OUT if status["state"] == "TIMEOUT" else status["status_message"]),
        percent=status["progress"],
    )
