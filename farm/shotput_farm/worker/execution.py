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
    "SUCCEEDED": "SUCCEEDED",
    "SUCCESS": "SUCCEEDED",
    "CANCELED": "CANCELED",
    "FAILED": "FAILED",
    "TIMEOUT": "FAILED",
}
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
        # Environments that were entered, or tried: our id → the native session's.
        self._entered: dict[str, str] = {}
        self._observer: Observer | None = None
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
        if session is not None:
            session.cancel(grace)

    def close(self) -> None:
        """Exit environments that are still entered, in reverse order, and remove the session's folder."""
        if self._session is not None:
            for environment_id in reversed(list(self._entered)):
                try:
                    self._session.exit_environment(self._entered[environment_id])
                except DeadlineOperationError as error:
                    LOG.warning("Cannot exit %s of %s: %s", environment_id, self._session_id, error)
            self._session.close()
        shutil.rmtree(self._folder, ignore_errors=True)

    def _run_one(self, action: Action) -> Result:
        if action.kind == "syncInputJobAttachments":
            return self._sync_inputs(action.body.get("stepId"))
        if action.kind == "envEnter":
            return self._enter(action.body["environmentId"])
        if action.kind == "envExit":
            return self._exit(action.body["environmentId"])
        raise EntityError(f"This worker knows no action {action.body}. Update Shotput on the machine of the farm.")

    def _guarded(self, work: Callable[[], Result]) -> Result:
        """Return the result of ``work``; what it raises is a result too."""
        began = time.time()
        try:
            return work()
        except DeadlineOperationCanceled as error:
            return Result("CANCELED", began, time.time(), message=str(error))
        except _EXPECTED as error:
            self._log.write(str(error))
            return Result("FAILED", began, time.time(), message=str(error))

    def _sync_inputs(self, step_id: str | None) -> Result:
        began = time.time()
        dependencies = self._entities.step(step_id)["dependencies"] if step_id else []
        rules = self._files.sync_inputs(dependencies, self._transferred)
        if rules and self._session is not None:
            self._session.add_path_mapping_rules(rules)
        return Result("SUCCEEDED", began, time.time(), exit_code=0)

    def _transferred(self, report: Mapping[str, Any]) -> bool:
        """Pass on how far a transfer is; False ends it."""
        if self._observer is not None and report.get("percent") is not None:
            self._observer.progressed(float(report["percent"]), None)
        return not self._canceler.canceled

    def _enter(self, environment_id: str) -> Result:
        details = self._entities.environment(environment_id)
        environment = _native.environment_from_template(
            details["template"],
            self._details.get("parameters"),
            schema_version=details["schemaVersion"],
            extensions=details.get("extensions") or [],
        )
        session = self._open()
        # Noted before it runs: one that fails half-way is left too.
        self._entered[environment_id] = environment_id
        return _result(session.enter_environment(environment, environment_id))

    def _exit(self, environment_id: str) -> Result:
        native_id = self._entered.pop(environment_id, None)
        if native_id is None:
            raise EntityError(f"The environment {environment_id} was not entered in this session.")
        return _result(self._open().exit_environment(native_id))

    def _run_tasks(self, actions: Sequence[Action], observer: Observer) -> None:
        session = self._open()
        script = self._step(actions[0].body["stepId"]).script
        for action in actions:
            observer.started(action)
            result = self._guarded(lambda action=action: _result(session.run_task(script, action.body["parameters"])))
            if result.outcome == "SUCCEEDED" and self._files.has_outputs:
                result = self._guarded(lambda action=action, result=result: self._sync_outputs(action, result))
            observer.completed(action, result)
            if result.outcome != "SUCCEEDED":
                break

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
        self._log.append((int(line["timestamp"]), line["message"]) for line in lines)

    def _said(self, status: Mapping[str, Any]) -> None:
        if self._observer is not None:
            self._observer.progressed(status.get("progress"), status.get("status_message"))


def _result(status: Mapping[str, Any]) -> Result:
    return Result(
        _OUTCOMES[status["state"]],
        status["started_at"],
        status["ended_at"],
        exit_code=status["exit_code"],
        message=status.get("fail_message"),
        percent=status.get("progress"),
    )
