"""The files of a session: inputs brought into its folder, outputs of its tasks brought to the object store."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from shotput import _native

from shotput_farm.worker.service import WorkerService

# Keys of the queue's role are asked for again when less than this is left of their life.
_RENEW_SECONDS = 10 * 60

Progress = Callable[[Mapping[str, Any]], bool]


class SessionFiles:
    """The job attachments of one session. ``attachments`` is the job's, in wire form (None: the job has none).

    Inputs and outputs may raise AttachmentsError, DeadlineOperationCanceled (``on_progress`` returned False),
    ``ServiceError`` and OSError.
    """

    def __init__(
        self,
        service: WorkerService,
        details: Mapping[str, Any],
        attachments: Mapping[str, Any] | None,
        queue_id: str,
        job_id: str,
        folder: Path,
    ) -> None:
        self._service = service
        self._settings: Mapping[str, Any] | None = details.get("jobAttachmentSettings")
        self._attachments = attachments if self._settings else None
        self._queue_id = queue_id
        self._job_id = job_id
        self._folder = folder
        self._credentials: dict[str, Any] | None = None
        self._snapshot: Any = None
        self.rules: list[dict[str, str]] = [
            {
                "source_path_format": rule["sourcePathFormat"].upper(),
                "source_path": rule["sourcePath"],
                "destination_path": rule["destinationPath"],
            }
            for rule in details.get("pathMappingRules") or ()
        ]

    @property
    def has_outputs(self) -> bool:
        """Whether tasks of the job may leave files that go to the object store."""
        manifests: Sequence[Mapping[str, Any]] = (self._attachments or {}).get("manifests", ())
        return any(manifest.get("outputRelativeDirectories") for manifest in manifests)

    def sync_inputs(self, step_dependencies: Sequence[str], on_progress: Progress) -> None:
        """Bring the job's inputs, or the outputs of steps, into the session's folder; ``rules`` then say where."""
        if self._attachments is None:
            return
        done = _native.sync_inputs(
            {
                **self._place(),
                "step_ids": list(step_dependencies),
            },
            on_progress,
        )
        self._snapshot = done["snapshot"]
        self.rules += [rule for rule in done["path_mapping_rules"] if rule not in self.rules]

    def sync_outputs(
        self, step_id: str, task_id: str | None, action_id: str, started: float, on_progress: Progress
    ) -> list[dict[str, str]]:
        """Store what a task has written; return its output manifests in the order of the job's attachments."""
        done = _native.sync_outputs(
            {
                **self._place(),
                "step_id": step_id,
                "task_id": task_id,
                "session_action_id": action_id,
                "started_at": started,
            },
            on_progress,
        )
        self._snapshot = done["snapshot"]
        manifests: list[dict[str, str]] = done["manifests"]
        return manifests

    def _place(self) -> dict[str, Any]:
        settings = self._settings or {}
        state = self._service.state
        return {
            "farm_id": state.farm_id,
            "queue_id": self._queue_id,
            "job_id": self._job_id,
            "session_dir": str(self._folder),
            "attachments": self._attachments,
            "path_mapping_rules": self.rules,
            "snapshot": self._snapshot,
            "bucket": settings.get("s3BucketName", ""),
            "root_prefix": settings.get("rootPrefix", ""),
            "target": self._target(),
        }

    def _target(self) -> dict[str, Any]:
        """Return the target with the keys of the queue's role."""
        keys = self._credentials
        if keys is None or keys["expiration"] - time.time() < _RENEW_SECONDS:
            keys = self._service.assume_queue_role(self._queue_id)
            self._credentials = keys
        target = {**self._service.state.target(), "queue_id": self._queue_id}
        if keys is not None:
            target["access_key_id"] = keys["accessKeyId"]
            target["secret_access_key"] = keys["secretAccessKey"]
            target["session_token"] = keys["sessionToken"]
        return target


class Canceler:
    """Whether the transfers of a batch are to end. ``cancel`` may be called from any thread."""

    def __init__(self) -> None:
        self.canceled = False

    def cancel(self) -> None:
        """Let the next progress report end the transfer."""
        self.canceled = True
