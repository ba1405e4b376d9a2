"""Jobs, steps and environments for sessions, and what a session tells."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from shotput import _native


class Recorder:
    """Hears what a session tells."""

    def __init__(self) -> None:
        self.lines: list[dict[str, Any]] = []
        self.statuses: list[dict[str, Any]] = []

    def log(self, lines: list[dict[str, Any]]) -> None:
        self.lines += lines

    @property
    def messages(self) -> list[str]:
        return [line["message"] for line in self.lines]


Make = Callable[..., _native.Session]


def action(script: str, **more: Any) -> dict[str, Any]:
    return {"command": "/bin/sh", "args": ["-c", script], **more}


def job(
    run: dict[str, Any] | str = "true",
    environments: list[dict[str, Any]] | None = None,
    parameters: dict[str, Any] | None = None,
    files: list[dict[str, Any]] | None = None,
    **template: Any,
) -> _native.Job:
    on_run = action(run) if isinstance(run, str) else run
    script: dict[str, Any] = {"actions": {"onRun": on_run}}
    if files:
        script["embeddedFiles"] = files
    step: dict[str, Any] = {"name": "step", "script": script}
    if "space" in template:
        step["parameterSpace"] = {"taskParameterDefinitions": template.pop("space")}
    document = {"specificationVersion": "jobtemplate-2023-09", "name": "job", "steps": [step], **template}
    if environments:
        document["jobEnvironments"] = environments
    return _native.create_job(document, parameters or {})


def environment(name: str, enter: str | None = None, leave: str | None = None, **more: Any) -> dict[str, Any]:
    actions: dict[str, Any] = {}
    if enter is not None:
        actions["onEnter"] = action(enter)
    if leave is not None:
        actions["onExit"] = action(leave)
    return {"name": name, **({"script": {"actions": actions}} if actions else {}), **more}


def wait_for(condition: Callable[[], Any], what: str) -> Any:
    end = time.monotonic() + 20
    while time.monotonic() < end:
        value = condition()
        if value:
            return value
        time.sleep(0.01)
    raise AssertionError(f"never: {what}")


def alive(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
    except OSError:
        return False
    return state != "Z"
