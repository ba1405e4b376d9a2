"""Carries out the actions of one session: files in and out, environments, tasks.

The subprocesses are the native session's concern, the order of actions and what is reported for them ``session``'s. This
module brings the two together with the job's details, its files and its keys.
"""

from __future__ import annotations

import logging
import shutil
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from shotput import _native
from shotput.errors import DeadlineOperationCanceled, DeadlineOperationError

from shotput_farm.protocol.errors import ServiceError
from shotput_farm.worker.entities import EntityError, JobEntities
from shotput_farm.worker.logs import LogStream
from shotput_farm.worker.orphans import marker
from shotput_farm.worker.service import WorkerService
from shotput_farm.worker.session import Action, Observer, Result

LOG = logging.getLogger(__name__)

# Keys of the queue's role are asked for again when less than this is left of their life.
_RENEW_SECONDS = 10 * 60


class NativeExecution:
    """The execution of one session's actions. See ``session.Execution`` for who calls what."""

    def __init__(
        self,
        service: WorkerService,
        session_id: str,
        queue_id: str,
        job_id: str,
        *,
        data_dir: Path,
        log: LogStream,
    ) -> None:
        self._service = service
        self._session_id = session_id
        self._queue_id = queue_id
        self._job_id = job_id
        self._data_dir = data_dir
        self._folder = data_dir / "sessions" / session_id
        self._folder.mkdir(mode=0o700, parents=True)
        self._log = log
        self._entities = JobEntities(service.batch_get_job_entity, job_id)
        self._details = self._entities.job()
        self._credentials: dict[str, Any] | None = None
        self._attachments: dict[str, Any] | None = None
        self._snapshot: dict[str, Any] | None = None
        self._rules: list[dict[str, str]] = list(self._details.get("pathMappingRules") or [])
        self._session: _native.Session | None = None
        self._entered: dict[str, str] = {}
        self._observer: Observer | None = None
        self._lock = threading.Lock()
        self._running = ""
        self._canceled = ""
        self._grace: float | None = None

    def run(self, actions: Sequence[Action], observer: Observer) -> None:
        """Run one action, or several tasks of one step. See ``session.Execution``."""
        raise NotImplementedError
