"""What a job bundle refers to."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from ..exceptions import DeadlineOperationError
from ._validation import check_value

if TYPE_CHECKING:
    from .parameters import JobParameter

__all__ = ["AssetReferences", "split_parameter_args"]

# What a bundle may say of the job itself, as ``deadline:priority``.
DEFAULT_APP_NAME = "deadline"
DEFAULT_SUPPORTED_APP_PARAMETER_NAMES = [
    "targetTaskRunStatus",
    "priority",
    "maxFailedTasksCount",
    "maxRetriesPerTask",
    "maxWorkerCount",
]

# The members of ``CreateJob``'s JobParameter whose values are checked before they are sent.
_CHECKED = {
    "PATH": "path",
    "BOOL": "bool",
    "RANGE_EXPR": "rangeExpr",
    "LIST[STRING]": "stringList",
    "LIST[PATH]": "pathList",
    "LIST[INT]": "intList",
    "LIST[FLOAT]": "floatList",
    "LIST[BOOL]": "boolList",
    "LIST[LIST[INT]]": "intListList",
}


@dataclass(init=False)
class AssetReferences:
    """Files and folders of a job: the document ``asset_references`` in memory. False when it refers to nothing."""

    input_filenames: set[str] = field(default_factory=set)
    input_directories: set[str] = field(default_factory=set)
    output_directories: set[str] = field(default_factory=set)
    referenced_paths: set[str] = field(default_factory=set)

    def __init__(
        self,
        *,
        input_filenames: set[str] | None = None,
        input_directories: set[str] | None = None,
        output_directories: set[str] | None = None,
        referenced_paths: set[str] | None = None,
    ) -> None:
        self.input_filenames = input_filenames or set()
        self.input_directories = input_directories or set()
        self.output_directories = output_directories or set()
        self.referenced_paths = referenced_paths or set()

    def __bool__(self) -> bool:
        return any((self.input_filenames, self.input_directories, self.output_directories, self.referenced_paths))

    def union(self, other: AssetReferences) -> AssetReferences:
        """The references of both."""
        return AssetReferences(
            input_filenames=self.input_filenames | other.input_filenames,
            input_directories=self.input_directories | other.input_directories,
            output_directories=self.output_directories | other.output_directories,
            referenced_paths=self.referenced_paths | other.referenced_paths,
        )

    @classmethod
    def from_dict(cls, obj: dict[str, Any] | None) -> AssetReferences:
        """From the document; paths are normalised by their letters alone. Nothing gives empty references."""
        if not obj:
            return cls()
        document = obj["assetReferences"]
        inputs, outputs = document.get("inputs", {}), document.get("outputs", {})

        def paths(listed: list[str] | None) -> set[str]:
            return {os.path.normpath(path) for path in listed or []}

        return cls(
            input_filenames=paths(inputs.get("filenames")),
            input_directories=paths(inputs.get("directories")),
            output_directories=paths(outputs.get("directories")),
            referenced_paths=paths(document.get("referencedPaths")),
        )

    def to_dict(self) -> dict[str, Any]:
        """The document, every list sorted."""
        return {
            "assetReferences": {
                "inputs": {
                    "directories": sorted(self.input_directories),
                    "filenames": sorted(self.input_filenames),
                },
                "outputs": {"directories": sorted(self.output_directories)},
                "referencedPaths": sorted(self.referenced_paths),
            }
        }


def split_parameter_args(
    parameters: list[JobParameter],
    job_bundle_dir: str,
    app_name: str | None = None,
    supported_app_parameter_names: list[str] | None = None,
) -> tuple[dict[str, Any], dict[str, Any]]:
    """The values for an application (``<app_name>:<name>``), and those of the job as ``CreateJob`` takes them.

    Those of other applications are left out. Raises ``DeadlineOperationError`` for a name that the application does
    not know.
    """
    prefix = f"{DEFAULT_APP_NAME if app_name is None else app_name}:"
    known = supported_app_parameter_names
    if known is None:
        known = DEFAULT_SUPPORTED_APP_PARAMETER_NAMES
    of_app: dict[str, Any] = {}
    of_job: dict[str, Any] = {}
    for parameter in parameters or []:
        name = parameter["name"]
        if "value" not in parameter:
            continue
        if name.startswith(prefix):
            bare = name[len(prefix) :]
            if bare not in known:
                raise DeadlineOperationError(
                    f"The job bundle {job_bundle_dir} has {name!r}; known after {prefix!r} are {', '.join(known)}."
                )
            of_app[bare] = parameter["value"]
        elif ":" not in name:
            of_job[name] = _on_the_wire(parameter, job_bundle_dir)
    return of_app, of_job


def _on_the_wire(parameter: JobParameter, job_bundle_dir: str) -> dict[str, Any]:
    kind, value = parameter["type"].upper(), parameter["value"]
    member = _CHECKED.get(kind)
    if member is None:
        return {kind.lower(): str(value)}
    try:
        value = check_value({**parameter, "type": kind}, value)
    except (TypeError, ValueError) as error:
        raise DeadlineOperationError(f"{error} The job bundle is {job_bundle_dir}.") from error
    return {member: _texts(value)}


def _texts(value: Any) -> Any:
    """A value as the service takes it: texts, and lists of them."""
    if isinstance(value, list):
        return [_texts(item) for item in value]
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value)
