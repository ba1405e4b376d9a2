"""Job parameters of OpenJD's extension EXPR, from a bundle and the command line to the tasks of a job."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from integration.command import Command, bundle
from integration.conftest import FarmUnderTest
from shotput import local_farm

DEFINITIONS: list[dict[str, Any]] = [
    {"name": "Draft", "type": "bool", "default": False},
    {"name": "Frames", "type": "RANGE_EXPR", "default": "1-100"},
    {"name": "Layers", "type": "LIST[STRING]", "item": {"maxLength": 10}},
    {"name": "Takes", "type": "LIST[INT]", "default": [7]},
    {"name": "Gains", "type": "LIST[FLOAT]"},
    {"name": "Flags", "type": "LIST[BOOL]", "default": []},
    {"name": "Tiles", "type": "LIST[LIST[INT]]", "default": []},
    {"name": "Scenes", "type": "LIST[PATH]", "objectType": "FILE", "dataFlow": "IN"},
]
SHOWN = [definition["name"] for definition in DEFINITIONS if definition["name"] != "Frames"]
CODE = "import json, pathlib, sys; print('SEEN', json.dumps(sys.argv[1:]))"
TEMPLATE: dict[str, Any] = {
    "specificationVersion": "jobtemplate-2023-09",
    "extensions": ["EXPR"],
    "name": "Types",
    "parameterDefinitions": DEFINITIONS,
    "steps": [
        {
            "name": "Show",
            "parameterSpace": {
                "taskParameterDefinitions": [{"name": "Frame", "type": "INT", "range": "{{Param.Frames}}"}]
            },
            "script": {
                "actions": {
                    "onRun": {
                        "command": sys.executable,
                        "args": [
                            "-c",
                            CODE,
                            "{{Task.Param.Frame}}",
                            *(f"{name}={{{{Param.{name}}}}}" for name in SHOWN),
                        ],
                    }
                }
            },
        }
    ],
}


@pytest.fixture
def shotput(tmp_path: Path) -> Iterator[Command]:
    command = Command(tmp_path / "alone")
    yield command
    local_farm.stop(data_dir=command.data)


def test_a_bundle_with_every_type_runs(shotput: Command) -> None:
    folder = bundle(
        shotput.work / "bundle",
        TEMPLATE,
        {"Draft": "yes", "Layers": ["beauty", "depth"], "Gains": [0.5, 2], "Scenes": ["a.txt", "s3://studio/b.txt"]},
    )
    (folder / "a.txt").write_text("scene")
    given = ["-p", "Frames=1-9:4", "-p", "Flags=[true, 0]", "-p", "Tiles=[[1, 2], []]"]
    assert shotput.document("check", folder)["findings"] == []
    submitted = shotput.document("submit", folder, "--yes", "--wait", *given)
    assert submitted["taskRunStatus"] == "SUCCEEDED"
    assert submitted["sent"]["files"] == 1

    sent = shotput.document("job", "show", "last")["parameters"]
    assert sent == {
        "Draft": {"bool": "true"},
        "Frames": {"rangeExpr": "1-9:4"},
        "Layers": {"stringList": ["beauty", "depth"]},
        "Takes": {"intList": ["7"]},
        "Gains": {"floatList": ["0.5", "2.0"]},
        "Flags": {"boolList": ["true", "false"]},
        "Tiles": {"intListList": [["1", "2"], []]},
        "Scenes": {"pathList": [str(folder / "a.txt"), "s3://studio/b.txt"]},
    }
    logged = shotput("job", "logs", "last")
    seen = sorted(json.loads(line.partition("SEEN ")[2]) for line in logged.splitlines() if "SEEN [" in line)
    assert [arguments[0] for arguments in seen] == ["1", "5", "9"]
    # The worker has the file elsewhere; an address is nobody's to map.
    *values, scenes = seen[0][1:]
    assert values == [
        "Draft=true",
        'Layers=["beauty", "depth"]',
        "Takes=[7]",
        "Gains=[0.5, 2.0]",
        "Flags=[true, false]",
        "Tiles=[[1, 2], []]",
    ]
    assert scenes.endswith('a.txt", "s3://studio/b.txt"]')
    assert str(folder) not in scenes


ENVIRONMENT: dict[str, Any] = {
    "specificationVersion": "environment-2023-09",
    "extensions": ["EXPR"],
    "parameterDefinitions": [
        {"name": "Channels", "type": "LIST[STRING]", "default": ["conda-forge"]},
        {"name": "Verbose", "type": "BOOL", "default": False},
    ],
    "environment": {
        "name": "Software",
        "script": {
            "actions": {
                "onEnter": {
                    "command": sys.executable,
                    "args": ["-c", CODE, "{{len(Param.Channels)}}", "{{Param.Channels}}", "{{Param.Verbose}}"],
                }
            }
        },
    },
}


def test_an_environment_of_the_queue_asks_for_every_type(shotput: Command) -> None:
    shotput("farm", "up")
    farm = FarmUnderTest(shotput.data).attach()
    made = {"priority": 1, "templateType": "JSON", "template": json.dumps(ENVIRONMENT)}
    farm.client().create_queue_environment(**farm.queue, **made)
    folder = bundle(
        shotput.work / "bundle", TEMPLATE, {"Layers": [], "Gains": [0.5], "Scenes": [], "Verbose": True, "Frames": "1"}
    )
    told = shotput("doctor", folder)
    assert '["conda-forge"] (the queue\'s default)' in told
    assert "true (the bundle's)" in told
    submitted = shotput.document("submit", folder, "--yes", "--wait", "-p", 'Channels=["a", "b"]')
    assert submitted["taskRunStatus"] == "SUCCEEDED"
    logged = shotput("job", "logs", "last")
    seen = [json.loads(line.partition("SEEN ")[2]) for line in logged.splitlines() if "SEEN [" in line]
    assert seen[0] == ["2", "a", "b", "true"], logged
    shown = {line.split(maxsplit=1)[0]: line for line in shotput("job", "show", "last").splitlines() if line}
    assert shown["Channels"].split(maxsplit=1)[1] == '["a", "b"]'
    said = shotput.refused("submit", folder, "--yes", "-p", "Verbose=perhaps", code=3)
    assert said.startswith('The parameter "Verbose" cannot be "perhaps"')


def test_a_value_that_does_not_fit_is_refused(shotput: Command) -> None:
    values = {"Layers": [], "Gains": [], "Scenes": []}
    folder = bundle(shotput.work / "bundle", TEMPLATE, values)
    said = shotput.refused("submit", folder, "--yes", "-p", 'Layers=["a very long name"]', code=3)
    assert said == (
        'The parameter "Layers" cannot be "[\\"a very long name\\"]": item 1 is "a very long name"; it must have at '
        "most 10 characters."
    )
    (folder / "parameter_values.yaml").write_text(
        json.dumps(
            {"parameterValues": [{"name": name, "value": value} for name, value in {**values, "Takes": [1.5]}.items()]}
        )
    )
    (found,) = shotput.document("check", folder, code=3)["error"]["findings"]
    assert found["message"] == 'The parameter "Takes" cannot be [1.5]: item 1 is 1.5; it must be a whole number.'
