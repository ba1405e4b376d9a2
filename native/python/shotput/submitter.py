"""The four verbs that pipeline tools know from the official submitters, and the settings they pass around.

A studio's tool (an AYON publisher, say) asks a host for its settings, changes some, and takes template, values and
asset references as plain data. Names of verbs and fields are the official client's; hosts add fields of their own.
Collecting happens in the host; writing a bundle from the result is ``shotput.bundle``'s.
"""

from __future__ import annotations

import dataclasses
import os
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

from shotput.bundle import AssetReferences
from shotput.errors import SettingsError


@dataclass
class SubmitterSettings:
    """What every host's submission has. A host's subclass adds its own fields.

    ``frame_list`` is an OpenJD range expression (``1-100:2``) and empty means the scene's own frames; ``priority`` is 0
    to 100; ``initial_status`` READY or SUSPENDED; ``max_worker_count`` -1 for no limit. The three lists name files and
    folders to send and to bring home beyond what the scan finds. ``missing_files`` is FAIL or IGNORE: what a task does
    when a file of the scene is not there.
    """

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
    missing_files: str = "FAIL"

    def job_values(self) -> dict[str, Any]:
        """The values that the service itself takes, by their names in a bundle without the ``deadline:`` before
        them."""
        values: dict[str, Any] = {
            "priority": self.priority,
            "targetTaskRunStatus": self.initial_status,
            "maxFailedTasksCount": self.max_failed_tasks_count,
            "maxRetriesPerTask": self.max_retries_per_task,
        }
        if self.max_worker_count != -1:
            values["maxWorkerCount"] = self.max_worker_count
        return values


Settings = TypeVar("Settings", bound=SubmitterSettings)

# What people type on a command line, to the field it means.
_ALIASES = {"frames": "frame_list", "output_directory": "output_path", "output_dir": "output_path", "name": "job_name"}

_NEEDED = ("job_name", "output_path")
_PATHS = ("output_path", "scene_file", "input_filenames", "input_directories", "output_directories")


def settings_with(settings: Settings, options: Mapping[str, Any]) -> Settings:
    """The settings with options of these names put in; texts become the type of their field.

    Paths become absolute. Raises ``SettingsError`` for an unknown option or a value of another type. Whether the value
    is allowed is found out when the job's parameters are made of it.
    """
    known = {item.name: item for item in dataclasses.fields(settings)}
    changes: dict[str, Any] = {}
    for given, value in options.items():
        name = _ALIASES.get(given, given)
        if name not in known:
            raise SettingsError(
                f"There is no export setting '{given}'. There are: {', '.join(sorted({*known, *_ALIASES}))}."
            )
        current = getattr(settings, name)
        try:
            changes[name] = _converted(value, type(current))
        except ValueError as error:
            raise SettingsError(f"The export setting {given}={value} does not fit: {error}.") from error
        if name in _NEEDED and not changes[name].strip():
            raise SettingsError(f"The export setting {given} is empty. Give a value, or leave the setting out.")
        if name in _PATHS and changes[name]:
            paths = changes[name]
            changes[name] = _absolute(paths) if isinstance(paths, str) else [_absolute(path) for path in paths]
    return dataclasses.replace(settings, **changes)


def _absolute(path: str) -> str:
    # Without following links: the file is known under this name.
    return os.path.abspath(path)  # noqa: PTH100


def _converted(value: Any, wanted: type) -> Any:
    if wanted is bool and isinstance(value, str):
        if value.lower() not in ("true", "false"):
            raise ValueError("it must be true or false")
        return value.lower() == "true"
    if wanted is list and isinstance(value, str):
        return [part.strip() for part in value.split(",") if part.strip()]
    if wanted is int:
        try:
            return int(value)
        except ValueError:
            raise ValueError("it must be a whole number") from None
    return list(value) if wanted is list else wanted(value)


class Submitter(ABC, Generic[Settings]):
    """What a host's submitter answers. All verbs but ``get_settings`` are functions of the settings they are given."""

    @abstractmethod
    def get_settings(self) -> Settings:
        """Settings filled from the open scene."""

    @abstractmethod
    def get_job_template(self, settings: Settings, host_requirements: dict[str, Any] | None = None) -> dict[str, Any]:
        """The OpenJD job template."""

    @abstractmethod
    def get_parameter_values(
        self, settings: Settings, queue_parameters: Sequence[dict[str, Any]] = ()
    ) -> list[dict[str, Any]]:
        """The values, as ``{"name", "value"}`` dicts."""

    @abstractmethod
    def get_asset_references(self, settings: Settings) -> AssetReferences:
        """The files and folders that travel."""
