"""Job bundles to submit, and what became of them."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from fakes.deadline_service import QUEUE, DeadlineService

TEMPLATE = """\
specificationVersion: jobtemplate-2023-09
name: A Job
parameterDefinitions:
- {name: Frames, type: STRING, default: "1-2"}
- {name: Scene, type: PATH, objectType: FILE, dataFlow: IN, default: ""}
- {name: Output, type: PATH, objectType: DIRECTORY, dataFlow: OUT, default: ""}
- {name: Samples, type: INT, default: 16, minValue: 1, maxValue: 64}
- {name: Gain, type: FLOAT, default: 1.5}
steps:
- name: Render
  parameterSpace:
    taskParameterDefinitions:
    - {name: Frame, type: INT, range: "{{Param.Frames}}"}
  script:
    actions:
      onRun: {command: /bin/true}
"""


class Bundle:
    """A job bundle in a folder of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder.resolve()
        self.folder.mkdir(parents=True)
        self.write("template.yaml", TEMPLATE)

    def write(self, name: str, text: str | bytes | dict[str, Any]) -> Path:
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if isinstance(text, bytes):
            path.write_bytes(text)
        else:
            path.write_text(text if isinstance(text, str) else json.dumps(text))
        return path

    def values(self, **values: Any) -> None:
        self.write(
            "parameter_values.yaml",
            {"parameterValues": [{"name": n.replace("__", ":"), "value": v} for n, v in values.items()]},
        )


def create_job(service: DeadlineService) -> Any:
    (request,) = service.sent("POST", f"/queues/{QUEUE}/jobs")
    return request.body


def refuse(
    submit: Callable[..., Any], error: type[Exception], text: str, service: DeadlineService, **changes: Any
) -> None:
    """The submission is refused with exactly this text, and no job is created."""
    with pytest.raises(error) as caught:
        submit(**changes)
    assert type(caught.value) is error
    assert str(caught.value) == text
    assert service.sent("POST", "/jobs") == []
