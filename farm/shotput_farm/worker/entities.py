"""What a session needs to know of its job: details, steps and environments, asked of the farm once each."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

Batch = Callable[[Sequence[Mapping[str, Any]]], Mapping[str, Any]]


class EntityError(Exception):
    """The farm cannot give an entity of a job. The text says which and why; ``code`` is the service's name for it."""

    def __init__(self, message: str, code: str = "") -> None:
        super().__init__(message)
        self.code = code


class JobEntities:
    """The entities of one job, as BatchGetJobEntity gives them. ``batch`` is that call. For one thread."""

    def __init__(self, batch: Batch, job_id: str) -> None:
        self._batch = batch
        self._job_id = job_id
        self._known: dict[tuple[str, str], dict[str, Any]] = {}

    def job(self) -> dict[str, Any]:
        """Return the ``jobDetails``. Raises EntityError, as all methods do."""
        return self._get("jobDetails", "")

    def attachments(self) -> dict[str, Any] | None:
        """Return the ``attachments`` of the job in wire form, None for a job without."""
        try:
            attachments: dict[str, Any] = self._get("jobAttachmentDetails", "")["attachments"]
        except EntityError as error:
            if error.code == "ResourceNotFoundException":
                return None
            raise
        return attachments

    def step(self, step_id: str) -> dict[str, Any]:
        """Return the ``stepDetails`` of a step."""
        return self._get("stepDetails", step_id)

    def environment(self, environment_id: str) -> dict[str, Any]:
        """Return the ``environmentDetails`` of an environment."""
        return self._get("environmentDetails", environment_id)

    def _get(self, kind: str, key: str) -> dict[str, Any]:
        known = self._known.get((kind, key))
        if known is not None:
            return known
        identifier = {"jobId": self._job_id}
        if kind == "stepDetails":
            identifier["stepId"] = key
        elif kind == "environmentDetails":
            identifier["environmentId"] = key
        reply = self._batch([{kind: identifier}])
        for entity in reply["entities"]:
            if kind in entity:
                self._known[kind, key] = entity[kind]
                return dict(entity[kind])
        error: Mapping[str, str] = next((error[kind] for error in reply["errors"] if kind in error), {})
        reason = error.get("message") or "The answer is empty."
        raise EntityError(f"The farm gave no {kind} of {key or self._job_id}. {reason}", error.get("code", ""))
