"""Section 7.5 of the contract: what a definition may say, how values are taken, merged, applied and split."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from fakes.deadline_service import FARM, QUEUE, DeadlineService
from job_bundles import TEMPLATE, Bundle
from shotput import _native
from shotput.errors import BundleError, DeadlineOperationError

FILTER = {"label": "Scenes", "patterns": ["*.blend"]}
# Members of a definition that make it one that nobody can use, and the end of what is said.
BAD_DEFINITIONS: dict[str, tuple[dict[str, Any], str]] = {
    "name is empty": ({"name": ""}, "has no name: "),
    "name is no text": ({"name": 5}, "has no name: "),
    "type": (
        {"type": "CHUNK[INT]"},
        'has type "CHUNK[INT]"; it must be one of STRING, PATH, INT, FLOAT, BOOL, RANGE_EXPR, LIST[STRING], '
        "LIST[PATH], LIST[INT], LIST[FLOAT], LIST[BOOL], LIST[LIST[INT]].",
    ),
    "default of a list is text": ({"type": "LIST[STRING]"}, 'has the default "a"; it must be a list.'),
    "default of a BOOL": ({"type": "BOOL"}, 'has the default "a"; it must be true or false (yes, no, on, off, 1, 0).'),
    "default of a list does not fit": (
        {"type": "LIST[INT]", "default": [1, "2"]},
        'has the default [1,"2"]; item 2 is "2"; it must be a whole number.',
    ),
    "minLength that nothing has": (
        {"type": "LIST[PATH]", "default": [], "minLength": 65},
        "has minLength 65, and no value can be longer than 64.",
    ),
    "member of another type": (
        {"type": "LIST[INT]", "default": [], "minValue": 1},
        "has minValue, which its type LIST[INT] does not take.",
    ),
    "item of a type without": ({"type": "STRING", "item": {}}, "has item, which its type STRING does not take."),
    "item of booleans": (
        {"type": "LIST[BOOL]", "default": [], "item": {}},
        "has item, which its type LIST[BOOL] does not take.",
    ),
    "item is no object": ({"type": "LIST[INT]", "default": [], "item": 5}, "has item 5; it must be an object."),
    "member of item": (
        {"type": "LIST[INT]", "default": [], "item": {"maxLength": 1}},
        "has maxLength in item; a LIST[INT] can have allowedValues, minValue, maxValue there.",
    ),
    "limits of item": (
        {"type": "LIST[LIST[INT]]", "default": [], "item": {"item": {"minValue": 2, "maxValue": 1}}},
        "has an item that has an item that has minValue 2 above maxValue 1.",
    ),
    "allowedValues of item": (
        {"type": "LIST[STRING]", "default": [], "item": {"allowedValues": ["ab"], "maxLength": 1}},
        'has an item that has "ab" in allowedValues; it must have at most 1 characters.',
    ),
    "default is null": ({"default": None}, "has the default null; leave the member out instead."),
    "allowedValues": ({"allowedValues": "a"}, 'has allowedValues "a"; it must be a list of values.'),
    "dataFlow": ({"type": "PATH", "dataFlow": "X"}, 'has dataFlow "X"; it must be one of NONE, IN, OUT, INOUT.'),
    "minLength": ({"minLength": -1}, "has minLength -1; it must be a whole number, 0 or more."),
    "maxLength": ({"maxLength": "x"}, 'has maxLength "x"; it must be a whole number, 0 or more.'),
    "minValue is a bool": ({"type": "INT", "minValue": True}, "has minValue true; it must be a number."),
    "maxValue is text": ({"type": "INT", "maxValue": "x"}, 'has maxValue "x"; it must be a number.'),
    "objectType": ({"type": "PATH", "objectType": "X"}, 'has objectType "X"; it must be one of FILE, DIRECTORY.'),
    "control": (
        {"userInterface": {"control": "KNOB"}},
        'has the control "KNOB"; it must be one of CHECK_BOX, CHECK_BOX_LIST, CHOOSE_DIRECTORY, CHOOSE_DIRECTORY_LIST, '
        "CHOOSE_INPUT_FILE, CHOOSE_INPUT_FILE_LIST, CHOOSE_OUTPUT_FILE, CHOOSE_OUTPUT_FILE_LIST, DROPDOWN_LIST, "
        "HIDDEN, LINE_EDIT, LINE_EDIT_LIST, MULTILINE_EDIT, SPIN_BOX, SPIN_BOX_LIST.",
    ),
    "label": ({"userInterface": {"label": 5}}, "has the label 5; it must be text."),
    "groupLabel": ({"userInterface": {"groupLabel": 5}}, "has the groupLabel 5; it must be text."),
    "decimals": (
        {"type": "FLOAT", "userInterface": {"decimals": -1}},
        "has decimals -1; it must be a whole number, 0 or more.",
    ),
    "singleStepDelta": (
        {"type": "INT", "userInterface": {"singleStepDelta": 0}},
        "has singleStepDelta 0; it must be a number above 0.",
    ),
    "fileFilters have no label": (
        {"type": "PATH", "userInterface": {"fileFilters": [{**FILTER, "label": 5}]}},
        "it must have a label and a list of patterns of 1 to 20 characters.",
    ),
    "patterns are long": (
        {"type": "PATH", "userInterface": {"fileFilters": [{**FILTER, "patterns": ["*." + "x" * 19]}]}},
        "it must have a label and a list of patterns of 1 to 20 characters.",
    ),
    "fileFilterDefault has no patterns": (
        {"type": "PATH", "userInterface": {"fileFilterDefault": {**FILTER, "patterns": []}}},
        "it must have a label and a list of patterns of 1 to 20 characters.",
    ),
}
GOOD_DEFINITIONS: list[dict[str, Any]] = [
    {"type": "INT", "default": 5, "minValue": "4"},
    {"type": "INT", "default": "5"},
    {"type": "BOOL", "default": "yes"},
    {"type": "RANGE_EXPR", "default": "1-10:3,20", "userInterface": {"control": "LINE_EDIT"}},
    {"type": "LIST[STRING]", "default": ["a"], "minLength": 1, "item": {"allowedValues": ["a", "b"]}},
    {"type": "LIST[LIST[INT]]", "default": [[1], []], "item": {"maxLength": 2, "item": {"minValue": 1}}},
    {"type": "LIST[PATH]", "default": ["a"], "objectType": "FILE", "dataFlow": "IN"},
    {"type": "FLOAT", "default": 5, "userInterface": {"control": "SPIN_BOX", "decimals": 0, "singleStepDelta": 0.5}},
    {"type": "STRING", "default": "", "userInterface": {"control": "HIDDEN", "label": "L", "groupLabel": "G"}},
    {
        "type": "PATH",
        "objectType": "FILE",
        "default": "",
        "userInterface": {"fileFilters": [FILTER], "fileFilterDefault": {"label": "", "patterns": ["x" * 20]}},
    },
]


def define(service: DeadlineService, **members: Any) -> None:
    """The queue has one environment, with one parameter."""
    definition = {"name": "A", "type": "STRING", "default": "a", **members}
    template = {
        "specificationVersion": "environment-2023-09",
        "parameterDefinitions": [definition],
        "environment": {"name": "Software"},
    }
    service.environments = [
        {
            "queueEnvironmentId": f"queueenv-{1:032x}",
            "name": "Software",
            "priority": 1,
            "templateType": "JSON",
            "template": json.dumps(template),
        }
    ]


@pytest.mark.parametrize("row", BAD_DEFINITIONS)
def test_definitions_that_nobody_can_use(row: str, service: DeadlineService, configured: Path) -> None:
    members, said = BAD_DEFINITIONS[row]
    define(service, **members)
    with pytest.raises(BundleError) as caught:
        _native.get_queue_parameter_definitions(FARM, QUEUE)
    assert 'in the queue environment "Software"' in str(caught.value)
    assert said in str(caught.value)


@pytest.mark.parametrize("members", GOOD_DEFINITIONS)
def test_definitions_that_are_right(members: dict[str, Any], service: DeadlineService, configured: Path) -> None:
    define(service, **members)
    (found,) = _native.get_queue_parameter_definitions(FARM, QUEUE)
    assert {key: found[key] for key in members if key != "userInterface"} == {
        key: value for key, value in members.items() if key != "userInterface"
    }


def test_an_environment_whose_definitions_are_no_list(service: DeadlineService, configured: Path) -> None:
    define(service)
    template = json.loads(service.environments[0]["template"])
    service.environments[0]["template"] = json.dumps({**template, "parameterDefinitions": {"A": {}}})
    with pytest.raises(BundleError):
        _native.get_queue_parameter_definitions(FARM, QUEUE)


# Type, given, sent (None: refused).
COERCED: list[tuple[str, Any, str | None]] = [
    ("INT", 3, "3"),
    ("INT", 3.0, "3"),
    ("INT", "3", "3"),
    ("INT", 3.5, None),
    ("INT", "three", None),
    ("FLOAT", 3, "3"),
    ("FLOAT", 2.5, "2.5"),
    ("FLOAT", "2.5", "2.5"),
    ("FLOAT", "two", None),
    ("STRING", "3", "3"),
    ("STRING", 3, None),
    ("PATH", 3, None),
]


@pytest.mark.parametrize(("kind", "given", "sent"), COERCED)
def test_values(kind: str, given: Any, sent: str | None, service: DeadlineService, bundle: Bundle) -> None:
    extra = f"- {{name: Value, type: {kind}}}\nsteps:"
    bundle.write("template.yaml", TEMPLATE.replace("steps:", extra, 1))
    params = {"job_bundle_dir": str(bundle.folder), "job_parameters": [{"name": "Value", "value": given}]}
    if sent is None:
        with pytest.raises(DeadlineOperationError, match='"Value"'):
            _native.create_job_from_job_bundle(params)
        assert service.sent("POST", "/jobs") == []
    else:
        _native.create_job_from_job_bundle(params)
        assert service.sent("POST", "/jobs")[0].body["parameters"] == {"Value": {kind.lower(): sent}}


@pytest.mark.parametrize(
    ("constraint", "right", "wrong"),
    [
        ("type: STRING, minLength: 2", "ab", "a"),
        ("type: STRING, maxLength: 2", "ab", "abc"),
        ("type: INT, minValue: 2", 2, 1),
        ("type: FLOAT, maxValue: 2.5", 2.5, 2.6),
        ("type: STRING, allowedValues: [a, b]", "b", "c"),
        ("type: INT, allowedValues: [1, 2]", 2, 3),
    ],
)
def test_constraints(constraint: str, right: Any, wrong: Any, service: DeadlineService, bundle: Bundle) -> None:
    bundle.write("template.yaml", TEMPLATE.replace("steps:", f"- {{name: Value, {constraint}}}\nsteps:", 1))
    params: dict[str, Any] = {"job_bundle_dir": str(bundle.folder)}
    _native.create_job_from_job_bundle({**params, "job_parameters": [{"name": "Value", "value": right}]})
    with pytest.raises(DeadlineOperationError, match='"Value"'):
        _native.create_job_from_job_bundle({**params, "job_parameters": [{"name": "Value", "value": wrong}]})
    assert len(service.sent("POST", "/jobs")) == 1


class Submitter:
    """Submits the bundle and gives the body of ``CreateJob``."""

    def __init__(self, service: DeadlineService, bundle: Bundle) -> None:
        self.service, self.bundle = service, bundle

    def __call__(self, *values: tuple[str, Any]) -> Any:
        given = [{"name": name, "value": value} for name, value in values]
        _native.create_job_from_job_bundle({"job_bundle_dir": str(self.bundle.folder), "job_parameters": given})
        return self.service.sent("POST", "/jobs")[-1].body

    def define(self, text: str) -> None:
        self.bundle.write("template.yaml", TEMPLATE.replace("steps:", f"- {{name: A, {text}}}\nsteps:", 1))


@pytest.fixture
def submit(service: DeadlineService, bundle: Bundle) -> Submitter:
    return Submitter(service, bundle)


def merged_values_of_queue_and_bundle(submit: Submitter) -> None:
    define(submit.service, default="queue")
    assert "parameters" not in submit()
    submit.bundle.values(A="bundle")
    assert submit()["parameters"] == {"A": {"string": "bundle"}}
    submit.define("type: STRING, default: job")
    assert submit(("A", "caller"))["parameters"] == {"A": {"string": "caller"}}


def merged_differences(submit: Submitter) -> None:
    define(submit.service)
    submit.define("type: STRING, default: a, maxLength: 3")
    with pytest.raises(DeadlineOperationError, match="maxLength"):
        submit()
    # The looks may differ.
    submit.define("type: STRING, default: a, userInterface: {control: MULTILINE_EDIT}")
    submit()


def merged_bare_values(submit: Submitter) -> None:
    submit.bundle.values(Nobody="x")
    with pytest.raises(DeadlineOperationError, match='"Nobody"'):
        submit()
    submit.bundle.values(other__Nobody="x")
    assert "parameters" not in submit()


def applied_paths(submit: Submitter) -> None:
    submit.define("type: PATH")
    assert submit(("A", "here/x.png"))["parameters"] == {"A": {"path": str(Path.cwd() / "here" / "x.png")}}
    submit.define("type: PATH, default: inside/x.png")
    assert submit()["parameters"] == {"A": {"path": str(submit.bundle.folder / "inside" / "x.png")}}
    assert submit(("A", ""))["parameters"] == {"A": {"path": str(submit.bundle.folder / "inside" / "x.png")}}
    submit.define("type: PATH, default: ../x.png")
    with pytest.raises(DeadlineOperationError):
        submit()
    submit.define("type: PATH, default: ''")
    assert "A" not in submit().get("parameters", {})


def applied_without_a_value(submit: Submitter) -> None:
    submit.define("type: STRING")
    with pytest.raises(DeadlineOperationError, match="neither a value nor a default: A"):
        submit()
    submit.define("type: STRING, userInterface: {control: HIDDEN}")
    with pytest.raises(DeadlineOperationError, match="A"):
        submit()
    # A default that is no text counts as one.
    submit.define("type: INT, default: 0")
    assert "parameters" not in submit()


def split_members_of_the_request(submit: Submitter) -> None:
    members = {"priority": 7, "maxFailedTasksCount": 1, "maxRetriesPerTask": 2, "maxWorkerCount": 3}
    submit.bundle.values(
        **{f"deadline__{name}": value for name, value in members.items()}, deadline__targetTaskRunStatus="SUSPENDED"
    )
    body = submit()
    assert {name: body[name] for name in members} == members
    assert body["targetTaskRunStatus"] == "SUSPENDED"
    assert "parameters" not in body
    submit.bundle.values(deadline__unheardOf=1)
    with pytest.raises(DeadlineOperationError, match="deadline:unheardOf"):
        submit()


RULES: list[Callable[[Submitter], None]] = [
    merged_values_of_queue_and_bundle,
    merged_differences,
    merged_bare_values,
    applied_paths,
    applied_without_a_value,
    split_members_of_the_request,
]


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
def test_rules(rule: Callable[[Submitter], None], submit: Submitter) -> None:
    rule(submit)


CONTROLS = [
    ({"type": "STRING"}, "LINE_EDIT"),
    ({"type": "STRING", "allowedValues": ["a"]}, "DROPDOWN_LIST"),
    ({"type": "INT"}, "SPIN_BOX"),
    ({"type": "FLOAT"}, "SPIN_BOX"),
    ({"type": "FLOAT", "allowedValues": [1.5]}, "DROPDOWN_LIST"),
    ({"type": "PATH"}, "CHOOSE_DIRECTORY"),
    ({"type": "PATH", "objectType": "DIRECTORY", "dataFlow": "OUT"}, "CHOOSE_DIRECTORY"),
    ({"type": "PATH", "objectType": "FILE"}, "CHOOSE_INPUT_FILE"),
    ({"type": "PATH", "objectType": "FILE", "dataFlow": "INOUT"}, "CHOOSE_INPUT_FILE"),
    ({"type": "PATH", "objectType": "FILE", "dataFlow": "OUT"}, "CHOOSE_OUTPUT_FILE"),
    ({"type": "PATH", "allowedValues": ["a"]}, "DROPDOWN_LIST"),
    ({"type": "BOOL"}, "CHECK_BOX"),
    ({"type": "RANGE_EXPR"}, "LINE_EDIT"),
    ({"type": "LIST[STRING]"}, "LINE_EDIT_LIST"),
    ({"type": "LIST[PATH]"}, "CHOOSE_DIRECTORY_LIST"),
    ({"type": "LIST[PATH]", "objectType": "FILE"}, "CHOOSE_INPUT_FILE_LIST"),
    ({"type": "LIST[PATH]", "objectType": "FILE", "dataFlow": "OUT"}, "CHOOSE_OUTPUT_FILE_LIST"),
    ({"type": "LIST[INT]"}, "SPIN_BOX_LIST"),
    ({"type": "LIST[FLOAT]"}, "SPIN_BOX_LIST"),
    ({"type": "LIST[BOOL]"}, "CHECK_BOX_LIST"),
    ({"type": "LIST[LIST[INT]]"}, "MULTILINE_EDIT"),
]
ALLOWED = {
    "STRING": {"LINE_EDIT", "MULTILINE_EDIT", "DROPDOWN_LIST", "CHECK_BOX", "HIDDEN"},
    "PATH": {"CHOOSE_DIRECTORY", "CHOOSE_INPUT_FILE", "CHOOSE_OUTPUT_FILE", "DROPDOWN_LIST", "HIDDEN"},
    "INT": {"SPIN_BOX", "DROPDOWN_LIST", "HIDDEN"},
    "FLOAT": {"SPIN_BOX", "DROPDOWN_LIST", "HIDDEN"},
    "BOOL": {"CHECK_BOX", "HIDDEN"},
    "RANGE_EXPR": {"LINE_EDIT", "HIDDEN"},
    "LIST[STRING]": {"LINE_EDIT_LIST", "HIDDEN"},
    "LIST[PATH]": {"CHOOSE_DIRECTORY_LIST", "CHOOSE_INPUT_FILE_LIST", "CHOOSE_OUTPUT_FILE_LIST", "HIDDEN"},
    "LIST[INT]": {"SPIN_BOX_LIST", "HIDDEN"},
    "LIST[FLOAT]": {"SPIN_BOX_LIST", "HIDDEN"},
    "LIST[BOOL]": {"CHECK_BOX_LIST", "HIDDEN"},
    "LIST[LIST[INT]]": {"HIDDEN"},
}
EVERY = sorted(set().union(*ALLOWED.values()))


@pytest.mark.parametrize(("definition", "control"), CONTROLS)
def test_the_control_of_a_definition(definition: dict[str, Any], control: str) -> None:
    assert _native.get_parameter_control({"name": "A", **definition}) == control


@pytest.mark.parametrize("kind", ALLOWED)
@pytest.mark.parametrize("control", EVERY)
def test_controls_by_name(kind: str, control: str) -> None:
    values = {"allowedValues": ["a", "b"]} if control in ("DROPDOWN_LIST", "CHECK_BOX") and kind != "BOOL" else {}
    definition = {"name": "A", "type": kind, "userInterface": {"control": control}, **values}
    if control in ALLOWED[kind]:
        assert _native.get_parameter_control(definition) == control
    else:
        with pytest.raises(BundleError):
            _native.get_parameter_control(definition)


@pytest.mark.parametrize("text", ["", "# nothing yet\n", "{}\n", "parameterValues: []\n"])
def test_values_that_are_none(text: str, bundle: Bundle) -> None:
    without = _native.read_bundle(bundle.folder)["parameters"]
    bundle.write("parameter_values.yaml", text)
    assert _native.read_bundle(bundle.folder)["parameters"] == without
