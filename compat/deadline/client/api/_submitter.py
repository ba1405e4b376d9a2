"""What a submitter for a host derives from: settings from the scene, and the three parts of a bundle made of them."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from typing import Any, cast

from ..config import config_file
from ..exceptions import DeadlineOperationError
from ..job_bundle.submission import AssetReferences
from ._queue_parameters import get_queue_parameter_definitions

__all__ = ["BaseSubmitter", "BaseSubmitterSettings", "SubmissionContext", "get_queue_parameters"]


@dataclass
class BaseSubmitterSettings:
    """Settings that all hosts share. An empty ``frame_list`` is the scene's own range."""

    job_name: str = ""
    description: str = ""
    frame_list: str = ""
    project_path: str = ""
    output_path: str = ""
    priority: int = 50
    initial_status: str = "READY"
    max_failed_tasks_count: int = 20
    max_retries_per_task: int = 5
    max_worker_count: int = -1
    override_frame_range: bool = False
    input_filenames: list[str] = field(default_factory=list)
    input_directories: list[str] = field(default_factory=list)
    output_directories: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class SubmissionContext:
    """All that a submission needs, at one moment. ``parameter_values`` are ``{"name", "value"}``."""

    settings: BaseSubmitterSettings
    job_template: dict[str, Any]
    parameter_values: list[dict[str, Any]]
    asset_references: AssetReferences


class BaseSubmitter(ABC):
    """A submitter of a host."""

    @abstractmethod
    def get_settings(self) -> BaseSubmitterSettings:
        """The settings that the open scene gives."""

    @abstractmethod
    def get_job_template(
        self, settings: BaseSubmitterSettings, host_requirements: dict[str, Any] | None = None
    ) -> dict[str, Any]:
        """The job template."""

    @abstractmethod
    def get_parameter_values(
        self, settings: BaseSubmitterSettings, queue_parameters: list[dict[str, Any]]
    ) -> list[dict[str, Any]]:
        """The values of the template's and the queue's parameters."""

    @abstractmethod
    def get_asset_references(self, settings: BaseSubmitterSettings) -> AssetReferences:
        """The files and folders of the scene."""

    def get_submission_context(
        self,
        settings: BaseSubmitterSettings | None = None,
        *,
        farm_id: str | None = None,
        queue_id: str | None = None,
        initial_values: dict[str, Any] | None = None,
        host_requirements: dict[str, Any] | None = None,
        queue_parameters: list[dict[str, Any]] | None = None,
    ) -> SubmissionContext:
        """Everything at once; settings come from the scene and parameters from the queue unless they are given."""
        if settings is None:
            settings = self.get_settings()
        if queue_parameters is None:
            queue_parameters = get_queue_parameters(farm_id, queue_id, initial_values)
        return SubmissionContext(
            settings=settings,
            job_template=self.get_job_template(settings, host_requirements),
            parameter_values=self.get_parameter_values(settings, queue_parameters),
            asset_references=self.get_asset_references(settings),
        )


def get_queue_parameters(
    farm_id: str | None = None, queue_id: str | None = None, initial_values: dict[str, Any] | None = None
) -> list[dict[str, Any]]:
    """The queue's parameter definitions, each with a ``value``: the initial one by name, else the default.

    Farm and queue are the configured ones unless they are given.
    """
    farm_id = config_file.get_setting("defaults.farm_id") if farm_id is None else farm_id
    queue_id = config_file.get_setting("defaults.queue_id") if queue_id is None else queue_id
    if not farm_id or not queue_id:
        raise DeadlineOperationError(
            "No farm or no queue is chosen. Set defaults.farm_id and defaults.queue_id in "
            f"{config_file.get_config_file_path()}, or give farm_id and queue_id."
        )
    definitions = cast("list[dict[str, Any]]", get_queue_parameter_definitions(farmId=farm_id, queueId=queue_id))
    given = initial_values or {}
    return [{"value": one.get("default", ""), **one, **_value(given, one["name"])} for one in definitions]


def _value(given: dict[str, Any], name: str) -> dict[str, Any]:
    return {"value": given[name]} if name in given else {}
