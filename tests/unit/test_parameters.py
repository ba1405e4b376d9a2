"""Which values a job parameter takes: the same ones as in the native submission, told before anything is written."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from shotput import _native, parameters
from shotput.errors import BundleError, SettingsError
from shotput.parameters import OF_EVERY_JOB, JobParameter, problem, refuse_unfit

DEFINITIONS: list[dict[str, Any]] = [
    {"name": "P", "type": "INT", "minValue": -2, "maxValue": 7},
    {"name": "P", "type": "INT", "allowedValues": [1, 5]},
    {"name": "P", "type": "FLOAT", "minValue": 0.5, "maxValue": 3},
    {"name": "P", "type": "STRING", "minLength": 1, "maxLength": 3},
    {"name": "P", "type": "STRING", "allowedValues": ["on", "5"]},
]
VALUES: Any = (
    st.integers(-9, 9)
    | st.sampled_from([0.5, 1.0, 1.5, 3.0, 1e12, 2**63, True, False])
    | st.sampled_from(["", "1", "5", "07", "-2", "2.5", "on", "off", "nan", "inf", "1e0", " 3 ", "long"])
    | st.text("ab0", max_size=4)
)


@pytest.mark.parametrize("definition", DEFINITIONS, ids=lambda item: "-".join(map(str, item.values())))
def test_a_value_is_taken_here_when_a_submission_takes_it(
    definition: dict[str, Any], tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("bundle")
    template = {"specificationVersion": "jobtemplate-2023-09", "name": "x", "parameterDefinitions": [definition]}
    (folder / "template.json").write_text(json.dumps(template))

    def is_taken(value: Any) -> bool:
        document = {"parameterValues": [{"name": "P", "value": value}]}
        (folder / "parameter_values.json").write_text(json.dumps(document))
        try:
            _native.read_bundle(folder)
        except BundleError:
            return False
        return True

    @given(VALUES)
    def check(value: Any) -> None:
        assert (problem(definition, value) == "") == is_taken(value), value

    check()


@pytest.mark.parametrize(
    ("place", "value", "said"),
    [
        (0, 8, "it must be at most 7"),
        (0, "-3", "it must be at least -2"),
        (0, "abc", "it must be a whole number"),
        (0, True, "it must be a whole number"),
        (1, 2, "it must be one of 1, 5"),
        (2, "abc", "it must be a number"),
        (3, "", "it must have at least 1 character"),
        (3, "abcd", "it must have at most 3 characters"),
        (3, 4, "it must be text; put it between quotes"),
        (4, "off", 'it must be one of "on", "5"'),
    ],
)
def test_what_is_allowed_is_said(place: int, value: Any, said: str) -> None:
    assert problem(DEFINITIONS[place], value) == said


def test_every_wrong_value_is_told_with_its_setting() -> None:
    def rule(text: str) -> None:
        raise ValueError(f"The pattern {text} is odd. Make it even.")

    wrong = [
        JobParameter("Width", "INT", 0, "Width", "", min_value=4, setting="resolution_x"),
        JobParameter("Fine", "INT", 4, "Fine", "", min_value=4),
        JobParameter("Pattern", "STRING", "a", "Pattern", "", rule=rule),
        JobParameter("Frames", "STRING", "1,1", "Frames", ""),
        replace(OF_EVERY_JOB["priority"], value=1000),
        replace(OF_EVERY_JOB["targetTaskRunStatus"], value="LATER"),
    ]
    with pytest.raises(SettingsError) as caught:
        refuse_unfit(wrong)
    assert str(caught.value).splitlines() == [
        "The export setting resolution_x=0 does not fit: it must be at least 4.",
        "The pattern a is odd. Make it even.",
        "The frames '1,1' are not taken by farms: Range expression has overlapping ranges: 1 and 1.",
        "The export setting priority=1000 does not fit: it must be at most 100.",
        'The export setting initial_status=LATER does not fit: it must be one of "READY", "SUSPENDED".',
    ]


def test_the_limits_of_every_job_are_those_of_the_service() -> None:
    from botocore.loaders import Loader

    shapes = Loader().load_service_model("deadline", "service-2")["shapes"]
    members = shapes["CreateJobRequest"]["members"]
    for name, parameter in parameters.OF_EVERY_JOB.items():
        shape = shapes[members[name]["shape"]]
        allowed = list(parameter.allowed_values) if parameter.allowed_values else None
        assert (parameter.min_value, parameter.max_value, allowed) == (
            shape.get("min"),
            shape.get("max"),
            shape.get("enum"),
        )
