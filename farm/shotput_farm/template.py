"""OpenJD documents: the one place that calls the native decoder, and what the farm keeps of its answers.

A job is decoded when it is created, and again when something asks for its tasks' parameters after a restart; decoded
parameter spaces are kept for the jobs that were used last. Whether a template is good is the native module's to say.
"""

from __future__ import annotations

import copy
import json
import sqlite3
import threading
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from shotput import _native
from shotput.errors import TemplateError

from shotput_farm.protocol.errors import Validation
from shotput_farm.store import jobs, records

_JOBS_KEPT: Final = 64
_DEFINITIONS_KEPT: Final = 20_000

_WIRE_KINDS: Final = {
    "INT": "int",
    "FLOAT": "float",
    "STRING": "string",
    "PATH": "path",
    "BOOL": "bool",
    "RANGE_EXPR": "rangeExpr",
    "CHUNK[INT]": "chunkInt",
    "LIST[STRING]": "stringList",
    "LIST[PATH]": "pathList",
    "LIST[INT]": "intList",
    "LIST[FLOAT]": "floatList",
    "LIST[BOOL]": "boolList",
    "LIST[LIST[INT]]": "intListList",
}
"""OpenJD parameter type → member of the wire's unions."""


@dataclass(frozen=True)
class DecodedStep:
    """One step of a decoded job. ``template`` is the step as it was submitted, ``requirements`` and ``parameter_space``
    have every format string resolved."""

    name: str
    description: str | None
    template: dict[str, Any]
    requirements: dict[str, Any]
    parameter_space: dict[str, Any] | None
    task_count: int
    dependencies: tuple[str, ...]


@dataclass(frozen=True)
class DecodedJob:
    """A template with its parameter values. ``parameters`` are in wire form; ``environments`` ``{"name", "template"}``
    in the order in which they are entered."""

    name: str
    description: str | None
    schema_version: str
    extensions: tuple[str, ...]
    parameters: dict[str, dict[str, Any]]
    parameter_definitions: list[dict[str, Any]]
    environments: list[dict[str, Any]]
    steps: tuple[DecodedStep, ...]


def decode(
    template: str, values: Mapping[str, Mapping[str, Any]], environment_templates: Sequence[str] = ()
) -> DecodedJob:
    """Decode a job template (YAML or JSON text) with wire parameter values and the queue's environment templates.

    Raises Validation with every finding and its path when the template or a value breaks the OpenJD rules.
    """
    try:
        decoded = _native.decode_job_template(template)
        around = [_native.decode_environment_template(text) for text in environment_templates]
        job = _native.create_job(decoded, values, environment_templates=[*around])
        spaces = _spaces(job, decoded.document, values, around)
    except TemplateError as error:
        raise _invalid(error) from error
    document = decoded.document
    definitions = [item for one in around for item in one.document.get("parameterDefinitions") or ()]
    entered = [environment.to_dict() for environment in (*job.queue_environments, *job.job_environments)]
    return DecodedJob(
        name=job.name,
        description=job.description,
        schema_version=document["specificationVersion"],
        extensions=tuple(document.get("extensions") or ()),
        parameters={name: _wire(value) for name, value in job.parameters.items()},
        parameter_definitions=definitions + list(document.get("parameterDefinitions") or ()),
        environments=[{"name": item["name"], "template": item} for item in entered],
        steps=tuple(
            _step(raw, step, space) for raw, step, space in zip(document["steps"], job.steps, spaces, strict=True)
        ),
    )


def environment_name(template: str) -> str:
    """Return the name of the environment in an environment template. Raises Validation when it breaks the rules."""
    try:
        return _native.decode_environment_template(template).name
    except TemplateError as error:
        raise _invalid(error) from error


class Templates:
    """Parameter spaces of the jobs in the store, decoded when needed. Safe to use from any thread."""

    def __init__(self) -> None:
        self._definitions: dict[tuple[int, int], dict[str, Any]] = {}
        self._spaces: OrderedDict[int, dict[int, _native.ParameterSpace]] = OrderedDict()
        self._lock = threading.Lock()

    def parameters(
        self, db: sqlite3.Connection, step: sqlite3.Row, ordinals: Sequence[int]
    ) -> list[dict[str, dict[str, Any]]]:
        """Return the wire parameters of a step's tasks, in the order of ``ordinals``; {} for a step without any."""
        space = self._space(db, step["job_seq"], step["seq"])
        return [{name: _wire(value) for name, value in space.get(ordinal).items()} for ordinal in ordinals]

    def action_definitions(self, db: sqlite3.Connection, actions: Sequence[sqlite3.Row]) -> list[dict[str, Any]]:
        """Return the wire definitions of session actions. They never change, and are not to be changed."""
        # A worker is told its whole queue with every answer, so the same definitions are asked for again and again.
        kept = self._definitions
        missing = [action for action in actions if (action["session_seq"], action["number"]) not in kept]
        if len(kept) > _DEFINITIONS_KEPT:
            kept = self._definitions = {}
            missing = list(actions)
        made = self._define(db, missing)
        kept.update(((a["session_seq"], a["number"]), one) for a, one in zip(missing, made, strict=True))
        return [kept[action["session_seq"], action["number"]] for action in actions]

    def _define(self, db: sqlite3.Connection, actions: Sequence[sqlite3.Row]) -> list[dict[str, Any]]:
        definitions: list[dict[str, Any]] = []
        steps: dict[int, sqlite3.Row] = {}
        for action in actions:
            kind = action["kind"]
            step = None
            if action["step_seq"] is not None:
                step = steps.get(action["step_seq"])
                if step is None:
                    step = steps[action["step_seq"]] = records.by_seq(db, "step", action["step_seq"])
            if kind == "taskRun" and step is not None:
                ordinal = action["ordinal"]
                (parameters,) = self.parameters(db, step, [ordinal])
                body: dict[str, Any] = {
                    "taskId": task_id(step["step_id"], ordinal),
                    "stepId": step["step_id"],
                    "parameters": parameters,
                }
            elif kind == "syncInputJobAttachments":
                body = {} if step is None else {"stepId": step["step_id"]}
            else:
                body = {"environmentId": action["environment_id"]}
            definitions.append({kind: body})
        return definitions

    def _space(self, db: sqlite3.Connection, job_seq: int, step_seq: int) -> _native.ParameterSpace:
        with self._lock:
            found: dict[int, _native.ParameterSpace] | None = self._spaces.get(job_seq)
            if found is not None:
                self._spaces.move_to_end(job_seq)
        if found is None:
            found = _decode_spaces(db, job_seq)
            with self._lock:
                self._spaces[job_seq] = found
                while len(self._spaces) > _JOBS_KEPT:
                    self._spaces.popitem(last=False)
        return found[step_seq]


def task_id(step_id: str, ordinal: int) -> str:
    """Return the id of a step's task."""
    return f"task-{step_id[5:]}-{ordinal}"


def _decode_spaces(db: sqlite3.Connection, job_seq: int) -> dict[int, _native.ParameterSpace]:
    document = jobs.document(db, job_seq)
    values = json.loads(records.by_seq(db, "job", job_seq)["parameters"])
    around = [_native.decode_environment_template(text) for text in json.loads(document["queue_environments"])]
    template = _native.decode_job_template(document["template"])
    job = _native.create_job(template, values, environment_templates=[*around])
    spaces = _spaces(job, template.document, values, around)
    return {row["seq"]: space for row, space in zip(jobs.steps(db, job_seq), spaces, strict=True)}


def _spaces(
    job: _native.Job,
    document: dict[str, Any],
    values: Mapping[str, Mapping[str, Any]],
    around: Sequence[_native.EnvironmentTemplate],
) -> list[_native.ParameterSpace]:
    """Return the parameter spaces of a job's steps.

    Chunks that are to adapt to a run time get their default size for as long as the farm cuts chunks when a job is made
    and not when a worker asks: the space of such a step has a task for each frame, not for each chunk.
    """
    spaces = [step.parameter_space for step in job.steps]
    if not any(space.is_adaptive for space in spaces):
        return spaces
    fixed = copy.deepcopy(document)
    for step in fixed["steps"]:
        for definition in (step.get("parameterSpace") or {}).get("taskParameterDefinitions") or ():
            (definition.get("chunks") or {}).pop("targetRuntimeSeconds", None)
    again = _native.create_job(fixed, values, environment_templates=[*around])
    return [step.parameter_space for step in again.steps]


def _step(raw: dict[str, Any], step: _native.Step, space: _native.ParameterSpace) -> DecodedStep:
    requirements = step.host_requirements or {}
    return DecodedStep(
        name=step.name,
        description=raw.get("description"),
        template=raw,
        requirements={
            "amounts": list(requirements.get("amounts") or ()),
            "attributes": list(requirements.get("attributes") or ()),
        },
        parameter_space=_wire_space(raw, step.parameter_space) if "parameterSpace" in raw else None,
        task_count=len(space),
        dependencies=tuple(step.dependencies),
    )


def _wire_space(raw: Mapping[str, Any], space: _native.ParameterSpace) -> dict[str, Any]:
    parameters = []
    source = raw["parameterSpace"]
    for definition in source["taskParameterDefinitions"]:
        item: dict[str, Any] = {
            "name": definition["name"],
            "type": definition["type"].replace("CHUNK[INT]", "CHUNK_INT"),
        }
        if definition["name"] == space.chunk_parameter:
            item["chunks"] = {
                "defaultTaskCount": space.default_task_count,
                "targetRuntimeSeconds": space.target_runtime_seconds,
                "rangeConstraint": space.range_constraint,
            }
        parameters.append(item)
    return {"parameters": parameters, "combination": source.get("combination")}


def _invalid(error: TemplateError) -> Validation:
    return Validation(
        str(error), [(finding.get("path") or "template", finding["message"]) for finding in error.findings]
    )


def _wire(value: Mapping[str, Any]) -> dict[str, Any]:
    kind = _WIRE_KINDS[value["type"]]
    plain = value["value"]
    if isinstance(plain, bool):
        return {kind: "true" if plain else "false"}
    return {kind: plain if isinstance(plain, list) else str(plain)}
