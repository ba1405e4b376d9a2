"""Job templates as documents, with what a test changes in them."""

from __future__ import annotations

from typing import Any

from shotput import _native


def job_template(**changes: Any) -> dict[str, Any]:
    document: dict[str, Any] = {
        "specificationVersion": "jobtemplate-2023-09",
        "name": "shot",
        "steps": [{"name": "render", "script": {"actions": {"onRun": {"command": "echo", "args": ["hi"]}}}}],
    }
    document.update(changes)
    return {key: value for key, value in document.items() if value is not None}


def step(name: str = "render", **changes: Any) -> dict[str, Any]:
    return {"name": name, "script": {"actions": {"onRun": {"command": "echo"}}}, **changes}


def space(
    definitions: list[dict[str, Any]],
    combination: str | None = None,
    parameters: dict[str, Any] | None = None,
    **job: Any,
) -> Any:
    parameter_space: dict[str, Any] = {"taskParameterDefinitions": definitions}
    if combination is not None:
        parameter_space["combination"] = combination
    template = job_template(extensions=["TASK_CHUNKING"], steps=[step(parameterSpace=parameter_space)], **job)
    return _native.create_job(template, parameters or {}).steps[0].parameter_space


def chunked(range_: Any, count: Any, constraint: str, **chunks: Any) -> dict[str, Any]:
    return {
        "name": "Frame",
        "type": "CHUNK[INT]",
        "range": range_,
        "chunks": {"defaultTaskCount": count, "rangeConstraint": constraint, **chunks},
    }


def frames(parameter_space: Any) -> list[str]:
    return [task["Frame"]["value"] for task in parameter_space.slice(0, len(parameter_space))]
