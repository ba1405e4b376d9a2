"""Job parameters of every type of OpenJD, those of its extension EXPR with them: the official package is the oracle."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest
from drop_in.parameter_answers import answers

ANSWERS = Path(__file__).with_name("parameter_answers.py")
LISTS = ("LIST[STRING]", "LIST[PATH]", "LIST[INT]", "LIST[FLOAT]", "LIST[BOOL]", "LIST[LIST[INT]]")
TYPES = ("STRING", "PATH", "INT", "FLOAT", "BOOL", "RANGE_EXPR", *LISTS)
VALUES: list[Any] = [
    *(True, False, 0, 1, 2, 1.0, 0.5, 2**63 - 1, 2**63, 2**70, "", "text", "Yes", "OFF", "1", "2", "tRue", None, {}),
    *("1-10", "1-10:2", " 1 - 3 , 7", "10-1:-1", "10-1", "1-5,5-9", "1-9:2,2-10:2", "1-10:0", "-3--1", "1-10:4,10-15"),
    *([], ["a"], ["a", 1], [1, 2], [1, "2"], [True], [0.5, 2], [1.0], [None], [2**63], ["yes", 0, False], [[1], []]),
    *([["1"]], [[True]], [[2**63]], [[[1]]], [["a"], 1], ["x" * 1025], ["x" * 1024], ["a"] * 65, [1] * 513, [1] * 512),
    *(
        [[1] * 65],
        [[1] * 64],
        [2],
        ["maybe"],
        "[]",
        '["a"]',
        "[1, 2]",
        "[0.5]",
        "[true]",
        "[[1], [2, 3]]",
        "[",
        "{}",
        "[1",
    ),
    *("x" * 1025, "1," * 511 + "1", "[1e999]"),
]
LIMITS: list[dict[str, Any]] = [
    {"minLength": 2},
    {"maxLength": 1},
    {"minLength": 3, "maxLength": 2},
    {"minLength": 65},
    {"minLength": 513},
    {"minLength": "1"},
    {"minValue": 1},
    {"maxValue": 1},
    {"minValue": "x"},
    {"allowedValues": ["a"]},
    {"allowedValues": [1]},
    {"objectType": "FILE", "dataFlow": "IN"},
    {"item": {}},
    {"item": None},
    {"item": {"minLength": 2}},
    {"item": {"maxLength": 0}},
    {"item": {"minLength": -1}},
    {"item": {"minLength": True}},
    {"item": {"minLength": 65}},
    {"item": {"minLength": 1025}},
    {"item": {"minLength": 2, "maxLength": 1}},
    {"item": {"minValue": 1}},
    {"item": {"minValue": 0.5}},
    {"item": {"minValue": "1"}},
    {"item": {"minValue": 2, "maxValue": 1}},
    {"item": {"maxValue": 1}},
    {"item": {"allowedValues": ["a"]}},
    {"item": {"allowedValues": [1, 2]}},
    {"item": {"allowedValues": []}},
    {"item": {"allowedValues": "a"}},
    {"item": {"item": {"minValue": 1, "maxValue": 2}}},
    {"item": {"item": {"minValue": 2, "maxValue": 1}}},
    {"item": {"item": {"allowedValues": [1, 2]}}},
    {"item": {"item": {"minLength": 1}}},
    {"item": {"item": 5}},
    {"item": {"other": 1}},
]


def kind(name: str, **members: Any) -> dict[str, Any]:
    return {"name": "P", "type": name, **members}


def alike(newest: Path, cases: list[list[Any]]) -> None:
    """Both packages answer the same, or raise exceptions of one class."""
    done = subprocess.run([newest, "-I", ANSWERS], input=json.dumps(cases), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    differing = [
        (case, official, ours)
        for case, official, ours in zip(cases, json.loads(done.stdout), answers(cases), strict=True)
        # To Python 1, 1.0 and True are equal.
        if json.dumps(official) != json.dumps(ours)
    ]
    assert differing == []


@pytest.mark.parametrize("name", TYPES)
def test_values(name: str, newest: Path) -> None:
    alike(newest, [[call, kind(name), value] for value in VALUES for call in ("value", "wire")])


@pytest.mark.parametrize("name", LISTS)
def test_values_within_limits(name: str, newest: Path) -> None:
    cases = [["value", kind(name, **limit), value] for limit in LIMITS for value in VALUES]
    # Limits that are wrong themselves have no right answer.
    sound = [case for case in cases if "is" in answers([["definition", *case[1:]]])[0]]
    assert len(sound) > len(VALUES)
    alike(newest, sound)


@pytest.mark.parametrize("name", TYPES)
def test_definitions(name: str, newest: Path) -> None:
    # Two mistakes at once are told in any order.
    cases = [
        ["definition", kind(name, **limit), None] for limit in LIMITS if name != "BOOL" or limit != {"minLength": "1"}
    ]
    cases += [["definition", kind(name, default=value), None] for value in VALUES if name != "BOOL"]
    alike(newest, cases)


def test_allowed_values_within_limits(newest: Path) -> None:
    texts = [["ab", "c"], ["abc"], [""]]
    numbers = [[1, 2], [3], [0]]
    cases = [
        ["definition", kind("LIST[STRING]", item={"allowedValues": v, "minLength": 1, "maxLength": 2}), None]
        for v in texts
    ]
    for name in ("LIST[INT]", "LIST[FLOAT]"):
        cases += [
            ["definition", kind(name, item={"allowedValues": v, "minValue": 1, "maxValue": 2}), None] for v in numbers
        ]
    alike(newest, cases)


@pytest.mark.parametrize("name", TYPES)
def test_controls(name: str, newest: Path) -> None:
    named = ["CHECK_BOX", "DROPDOWN_LIST", "HIDDEN", "LINE_EDIT", "MULTILINE_EDIT", "SPIN_BOX", "CHOOSE_DIRECTORY"]
    named += [f"{control}_LIST" for control in ("CHECK_BOX", "LINE_EDIT", "SPIN_BOX", "CHOOSE_INPUT_FILE")]
    cases = [["control", kind(name, userInterface={"control": control}), None] for control in named]
    flows = [{}, *({"objectType": "FILE", "dataFlow": flow} for flow in ("IN", "OUT"))] if "PATH" in name else [{}]
    alike(newest, [*cases, *(["control", kind(name, **flow), None] for flow in flows)])


def test_differences(newest: Path) -> None:
    items = [limit for limit in LIMITS if isinstance(limit.get("item"), dict)]
    # What is no list of values breaks the official comparison.
    items = [limit for limit in items if isinstance(limit["item"].get("allowedValues", []), list)]
    items += [{}, {"item": {"allowedValues": [2, 1]}}]
    alike(
        newest,
        [["differences", kind("LIST[INT]", **one), kind("LIST[INT]", **other)] for one in items for other in items],
    )


def test_paths_in_lists(newest: Path) -> None:
    values = [[], [""], ["a", "/b"], ["s3://bucket/key", "../c"], '["a"]', ["a//b/./c"], ["c:/x", "x://y"]]
    flows: list[dict[str, Any]] = [
        {},
        *({"objectType": kind, "dataFlow": flow} for kind in ("FILE", "DIRECTORY") for flow in ("IN", "OUT", "INOUT")),
    ]
    alike(newest, [["applied", kind("LIST[PATH]", **flow), value] for flow in flows for value in values])


def test_bundles(newest: Path, tmp_path: Path) -> None:
    bundles: list[list[dict[str, Any]]] = [
        [kind("list[path]", default=["a", "s3://bucket/key", ""])],
        [kind("LIST[PATH]", default=["../a"])],
        [kind("LIST[PATH]", default=["/a"])],
        [kind("LIST[PATH]", default=["a", 5])],
        [kind("PATH", default="s3://bucket/key")],
        [kind("bool", default=True), kind("range_expr", default="1-3") | {"name": "R"}],
        [kind("LIST[LIST[INT]]", default=[[1], []], userInterface={"control": "HIDDEN"})],
    ]
    cases = []
    for number, definitions in enumerate(bundles):
        folder = tmp_path / str(number)
        folder.mkdir()
        for extensions in ({}, {"extensions": ["EXPR"]}):
            template = {
                "specificationVersion": "jobtemplate-2023-09",
                "parameterDefinitions": definitions,
                **extensions,
            }
            place = folder / ("expr" if extensions else "plain")
            place.mkdir()
            (place / "template.json").write_text(json.dumps(template))
            cases.append(["read", str(place), None])
    alike(newest, cases)
