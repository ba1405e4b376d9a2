"""Carries out the actions of one session: files in and out, environments, tasks.

The subprocesses are the native session's concern, the order of actions and what is reported for them ``session``'s. This
module brings the two together with the job's details, its files and its keys.
"""

from __future__ import annotations

import logging
import shutil
import threading
import time
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from shotput import _native
from shotput.errors import DeadlineOperationCanceled, DeadlineOperationError

from shotput_farm.worker import orphans
from shotput_farm.worker.entities import EntityError, JobEntities
from shotput_farm.worker.files import SessionFiles
from shotput_farm.worker.logs import LogStream
from shotput_farm.worker.reports import Outcome
from shotput_farm.worker.service import WorkerService
from shotput_farm.worker.session import Action, Observer, Result

LOG = logging.getLogger(__name__)


class NativeExecution:
    """The execution of one session's actions, in a folder below ``data_dir``. See ``session.Execution``.

    Raises EntityError, OSError and ``ServiceError`` when the session cannot be set up.
    """

    def __init__(
        self, service: WorkerService, session_id: str, queue_id: str, job_id: str, *, data_dir: Path, log: LogStream
    ) -> None:
        self._session_id = session_id
        self._data_dir = data_dir
        self._folder = data_dir / "sessions" / session_id
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._log = log
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
        self._entered: dict[str, Any] = {}
        self._observer: Observer | None = None
        self._lock = threading.Lock()
        self._running: str | None = None
        self._canceled: str | None = None
        self._in_native = False

    def run(self, actions: Sequence[Action], observer: Observer) -> None:
        """Run one action, or several tasks of one step."""
        first = actions[0]
        with self._lock:
            self._running = first.action_id
        self._observer = observer
        try:
            if first.kind == "taskRun":
                self._run_tasks(actions, observer)
            else:
                observer.started(first)
                observer.completed(first, self._run_one(first))
        finally:
            with self._lock:
                self._running = None
