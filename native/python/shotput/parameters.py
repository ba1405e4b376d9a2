"""The parameters of a job: what one is, and which values it takes.

The rule for values is that of the native submission (``core::bundle::parameters``): a value that passes here is taken
there, and one that is refused says what is allowed before anything is written or sent.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Callable

from shotput import _native
from shotput.errors import SettingsError, TemplateError
from shotput.frame_files import parse_frames


@dataclass(frozen=True)
class JobParameter:
    """A job parameter and its value in this bundle. ``None`` leaves a property out of the definition.

    ``type`` is STRING, PATH, INT or FLOAT. PATH values are absolute and get no default, so that a template names no
    machine's folders. ``setting`` is the field of the host's settings that the value comes from. ``rule`` raises
    ``ValueError``, with a whole sentence, for a value that the definition allows and the render script does not take.
    """

    name: str
    type: str
    value: str | int | float
    label: str
    description: str
    group: str = ""
    control: str | None = None
    allowed_values: tuple[str | int, ...] | None = None
    min_value: int | float | None = None
    max_value: int | float | None = None
    min_length: int | None = None
    object_type: str | None = None
    data_flow: str | None = None
    setting: str = ""
    rule: Callable[[str], object] | None = None

    def definition(self) -> dict[str, Any]:
        """The parameter as the template defines it."""
        interface = {"control": self.control, "label": self.label, "groupLabel": self.group or None}
        document: dict[str, Any] = {
            "name": self.name,
            "type": self.type,
            "description": self.description,
            "default": None if self.type == "PATH" else self.value,
            "objectType": self.object_type,
            "dataFlow": self.data_flow,
            "allowedValues": list(self.allowed_values) if self.allowed_values else None,
            "minValue": self.min_value,
            "maxValue": self.max_value,
            "minLength": self.min_length,
            "userInterface": {key: value for key, value in interface.items() if value is not None},
        }
        return {key: value for key, value in document.items() if value is not None}


_MOST = 2**31 - 1

OF_EVERY_JOB: Mapping[str, JobParameter] = {
    parameter.name: parameter
    for parameter in (
        JobParameter("priority", "INT", 50, "Priority", "", min_value=0, max_value=100, setting="priority"),
        JobParameter(
            "targetTaskRunStatus", "STRING", "READY", "Status", "", allowed_values=("READY", "SUSPENDED"),
            setting="initial_status",
        ),
        JobParameter(
            "maxFailedTasksCount", "INT", 20, "Failed tasks", "", min_value=0, max_value=_MOST,
            setting="max_failed_tasks_count",
        ),
        JobParameter(
            "maxRetriesPerTask", "INT", 5, "Retries", "", min_value=0, max_value=_MOST, setting="max_retries_per_task"
        ),
        JobParameter(
            "maxWorkerCount", "INT", -1, "Workers", "", min_value=-1, max_value=_MOST, setting="max_worker_count"
        ),
    )
}  # fmt: skip
"""What the service itself takes of a job, by its name in a bundle without the ``deadline:`` before it; the limits are
those of CreateJob."""


def number(value: Any) -> float | None:
    """The number that a value is or spells; ``None`` when it is none."""
    if isinstance(value, bool) or not isinstance(value, (int, float, str)):
        return None
    try:
        amount = float(value)
    except (ValueError, OverflowError):
        return None
    return amount if math.isfinite(amount) else None


def problem(definition: Mapping[str, Any], value: Any) -> str:
    """What is wrong with a value by its definition (``it must be at least 4``); ``""`` when nothing is.

    Values of the types of the extension EXPR, which no exporter of ours writes, are left to the native module.
    """
    kind, amount = definition["type"], number(value)
    if kind not in ("STRING", "PATH", "INT", "FLOAT"):
        return ""
    if kind in ("STRING", "PATH"):
        if not isinstance(value, str):
            return "it must be text; put it between quotes"
        least, most = definition.get("minLength"), definition.get("maxLength")
        if least is not None and len(value) < least:
            return f"it must have at least {_counted(least)}"
        if most is not None and len(value) > most:
            return f"it must have at most {_counted(most)}"
    elif amount is None or (kind == "INT" and not _is_whole(value)):
        return f"it must be a {'whole ' if kind == 'INT' else ''}number"
    else:
        least, most = definition.get("minValue"), definition.get("maxValue")
        if least is not None and amount < float(least):
            return f"it must be at least {least}"
        if most is not None and amount > float(most):
            return f"it must be at most {most}"
    allowed = definition.get("allowedValues")
    if allowed and value not in allowed and (kind in ("STRING", "PATH") or amount not in map(number, allowed)):
        return f"it must be one of {', '.join(json.dumps(item, ensure_ascii=False) for item in allowed)}"
    return ""


def _counted(characters: int) -> str:
    return "1 character" if characters == 1 else f"{characters} characters"


def _is_whole(value: Any) -> bool:
    if isinstance(value, str):
        try:
            value = int(value)
        except ValueError:
            return False
    return bool(-(2**63) <= value < 2**63 and value == int(value))


def refuse_frames(expression: str) -> None:
    """Raises ``ValueError`` for frames that the render script or the farm does not take."""
    parse_frames(expression)
    chunks = {"defaultTaskCount": 1, "rangeConstraint": "NONCONTIGUOUS"}
    frame = {"name": "Frame", "type": "CHUNK[INT]", "range": "{{Param.Frames}}", "chunks": chunks}
    step = {
        "name": "Frames",
        "parameterSpace": {"taskParameterDefinitions": [frame]},
        "script": {"actions": {"onRun": {"command": "true"}}},
    }
    template = {
        "specificationVersion": "jobtemplate-2023-09",
        "extensions": ["TASK_CHUNKING"],
        "name": "Frames",
        "parameterDefinitions": [{"name": "Frames", "type": "STRING"}],
        "steps": [step],
    }
    try:
        _native.create_job(template, {"Frames": expression})
    except TemplateError as error:
        said = error.findings[0]["message"].replace("Expression error: ", "")
        raise ValueError(f"The frames '{expression}' are not taken by farms: {said}.") from error


def refuse_unfit(parameters: Sequence[JobParameter]) -> None:
    """Raises ``SettingsError`` with a sentence for each parameter whose value is not allowed."""
    wrong = []
    for parameter in parameters:
        said = problem(parameter.definition(), parameter.value)
        if said:
            setting = f"{parameter.setting or parameter.name}={parameter.value}"
            wrong.append(f"The export setting {setting} does not fit: {said}.")
            continue
        rule = refuse_frames if parameter.name == "Frames" else parameter.rule
        try:
            if rule is not None:
                rule(str(parameter.value))
        except ValueError as error:
            wrong.append(str(error))
    if wrong:
        raise SettingsError("\n".join(wrong))
