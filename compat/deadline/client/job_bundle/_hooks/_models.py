"""What ``hooks.yaml`` says, what a hook gets, and what it may answer."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from ...exceptions import DeadlineOperationError

__all__ = [
    "HookConfiguration",
    "HookDefinition",
    "HookMetadata",
    "HookResult",
    "checked_answer",
    "validate_pre_gui_output",
]

_PHASES = ("preGUI", "preSubmission", "postSubmission")
_VERSION = "1.0"
_PRE_GUI = {"parameters": dict, "name": str, "description": str}
_REFERENCES = ("inputFilenames", "inputDirectories", "outputDirectories", "referencedPaths")


def _hold(value: Any, kind: type, where: str) -> None:
    if not isinstance(value, kind) or isinstance(value, bool):
        raise DeadlineOperationError(f"{where} is {value!r}; it must be of the type {kind.__name__}.")


@dataclass
class HookDefinition:
    """A program with its arguments, seconds it may take, and variables of its own."""

    command: str
    args: list[str] = field(default_factory=list)
    timeout: int = 60
    env: dict[str, str] = field(default_factory=dict)

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> HookDefinition:
        """From its document. Raises ``DeadlineOperationError`` for another shape."""
        _hold(data, dict, "A hook")
        _hold(data.get("command"), str, "The command of a hook")
        hook = cls(data["command"], data.get("args", []), data.get("timeout", 60), data.get("env", {}))
        where = f"of the hook {hook.command!r}"
        for value, kind, name in ((hook.args, list, "args"), (hook.timeout, int, "timeout"), (hook.env, dict, "env")):
            _hold(value, kind, f"The member {name} {where}")
        if hook.timeout <= 0:
            raise DeadlineOperationError(f"The timeout {where} is {hook.timeout}; it must be above 0.")
        return hook


@dataclass
class HookConfiguration:
    """The hooks of a folder, by when they run."""

    version: str
    pre_gui: list[HookDefinition]
    pre_submission: list[HookDefinition]
    post_submission: list[HookDefinition]

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> HookConfiguration:
        """From the document ``hooks``. Raises ``DeadlineOperationError`` for another shape or version."""
        version = data.get("version", _VERSION)
        if version != _VERSION:
            raise DeadlineOperationError(f"The hooks are of version {version!r}; only {_VERSION} is known.")
        for phase in _PHASES:
            _hold(data.get(phase, []), list, f"The member {phase} of the hooks")
        return cls(version, *([HookDefinition.from_dict(hook) for hook in data.get(phase, [])] for phase in _PHASES))


@dataclass
class HookMetadata:
    """What a hook is told: as JSON on its standard input, and in part by variables."""

    job_name: str
    priority: int
    farm_id: str
    queue_id: str
    job_bundle_dir: str
    parameters: dict[str, Any]
    submitter_name: str
    asset_references: dict[str, Any]
    submission_payload: dict[str, Any]
    storage_profile_id: str | None = None
    job_id: str | None = None

    def to_dict(self) -> dict[str, Any]:
        """As plain values, without what is not set."""
        values = {
            "jobName": self.job_name,
            "priority": self.priority,
            "farmId": self.farm_id,
            "queueId": self.queue_id,
            "jobBundleDir": self.job_bundle_dir,
            "parameters": self.parameters,
            "submitterName": self.submitter_name,
            "assetReferences": self.asset_references,
            "submissionPayload": self.submission_payload,
        }
        more = {"storageProfileId": self.storage_profile_id, "jobId": self.job_id}
        return {**values, **{name: value for name, value in more.items() if value}}

    def to_json(self) -> str:
        """As JSON."""
        return json.dumps(self.to_dict(), indent=2)

    def to_environment_variables(self) -> dict[str, str]:
        """As variables."""
        variables = {
            "DEADLINE_JOB_NAME": self.job_name,
            "DEADLINE_PRIORITY": str(self.priority),
            "DEADLINE_FARM_ID": self.farm_id,
            "DEADLINE_QUEUE_ID": self.queue_id,
            "DEADLINE_JOB_BUNDLE_DIR": self.job_bundle_dir,
        }
        more = {"DEADLINE_STORAGE_PROFILE_ID": self.storage_profile_id, "DEADLINE_JOB_ID": self.job_id}
        return {**variables, **{name: value for name, value in more.items() if value}}


@dataclass
class HookResult:
    """How a hook ended; ``execution_time`` in seconds."""

    exit_code: int
    stdout: str
    stderr: str
    execution_time: float
    timed_out: bool

    def is_success(self) -> bool:
        """Whether it ended by itself, and well."""
        return self.exit_code == 0 and not self.timed_out


def validate_pre_gui_output(output: dict[str, Any], hook_name: str) -> None:
    """Raise ``DeadlineOperationError`` for an answer that is more than parameters, name and description."""
    _hold(output, dict, f"The answer of the hook {hook_name!r}")
    unknown = sorted(set(output) - set(_PRE_GUI))
    if unknown:
        raise DeadlineOperationError(
            f"The hook {hook_name!r} answers {', '.join(unknown)}; it may answer {', '.join(_PRE_GUI)}."
        )
    for name, kind in _PRE_GUI.items():
        if name in output:
            _hold(output[name], kind, f"The member {name} that the hook {hook_name!r} answers")


def checked_answer(payload: Mapping[str, Any], answer: Any, hook_name: str) -> dict[str, Any]:
    """What is to be submitted, after a hook's answer to it.

    Parameters and asset references come together member by member, other members are replaced. Raises
    ``DeadlineOperationError`` for an answer of another shape.
    """
    where = f"that the hook {hook_name!r} answers"
    _hold(answer, dict, f"The answer of the hook {hook_name!r}")
    merged = {**payload, **answer}
    if "parameters" in answer:
        _hold(answer["parameters"], dict, f"The member parameters {where}")
        merged["parameters"] = {**payload.get("parameters", {}), **answer["parameters"]}
    if "attachments" in answer:
        _hold(answer["attachments"], dict, f"The member attachments {where}")
        before = payload.get("attachments", {})
        merged["attachments"] = {**before, **answer["attachments"]}
        references = answer["attachments"].get("assetReferences")
        if references is not None:
            _hold(references, dict, f"The member assetReferences {where}")
            for name in _REFERENCES:
                _hold(references.get(name, []), list, f"The member {name} {where}")
            merged["attachments"]["assetReferences"] = {**before.get("assetReferences", {}), **references}
    return merged
