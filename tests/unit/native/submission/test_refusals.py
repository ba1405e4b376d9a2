"""Bundles and requests that are refused before a job is made."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from fakes.deadline_service import JOB, DeadlineService
from job_bundles import TEMPLATE, Bundle, refuse
from shotput import _native
from shotput.errors import (
    BundleError,
    DeadlineOperationError,
    TemplateError,
)


def test_no_bundle(service: DeadlineService, submit: Callable[..., Any]) -> None:
    refuse(
        submit,
        DeadlineOperationError,
        "job_bundle_dir is missing. Give the folder of the job bundle to submit.",
        service,
        job_bundle_dir=None,
    )
    refuse(
        submit,
        BundleError,
        "The job bundle /nowhere is not a folder. Give the folder that holds template.yaml.",
        service,
        job_bundle_dir="/nowhere",
    )


@pytest.mark.parametrize("params", [None, "x", 5, {"job_bundle_dir": 5}, {"job_bundle_dir": "/x", "priority": "high"}])
def test_params_of_a_wrong_type(params: Any) -> None:
    with pytest.raises(TypeError):
        _native.create_job_from_job_bundle(params)


@pytest.mark.parametrize(("given", "shown"), [("x", '"x"'), ([5], "5"), ([{"name": "A"}], '{"name":"A"}')])
def test_job_parameters_that_are_none(
    given: Any, shown: str, service: DeadlineService, submit: Callable[..., Any]
) -> None:
    refuse(
        submit,
        DeadlineOperationError,
        f'job_parameters must be a list of {{"name": ..., "value": ...}}; this is not: {shown}.',
        service,
        job_parameters=given,
    )


def test_no_farm(service: DeadlineService, submit: Callable[..., Any], config_path: Path) -> None:
    refuse(
        submit,
        DeadlineOperationError,
        f"No farm is chosen. Set defaults.farm_id in {config_path}, or give farm_id.",
        service,
        config_path=str(config_path),
        target=service.target(farm_id=""),
    )


@pytest.mark.parametrize(
    ("name", "text", "complaint"),
    [
        ("template.yaml", "a: [1", "The file {path} is not YAML: "),
        ("template.yaml", b"a: \xff", "The file {path} is not UTF-8 text (byte 3). Save it as UTF-8."),
        ("template.yaml", "just text", "The template {path} must be a mapping of keys to values."),
        (
            "template.yaml",
            "name: x",
            'The template {path} has the specificationVersion null; it must be "jobtemplate-2023-09".',
        ),
        (
            "template.yaml",
            TEMPLATE.replace("2023-09", "2021-01"),
            'The template {path} has the specificationVersion "jobtemplate-2021-01"; it must be "jobtemplate-2023-09".',
        ),
        (
            "parameter_values.json",
            "{",
            "The file {path} is not JSON: EOF while parsing an object at line 1 column 1. Correct that place.",
        ),
        (
            "parameter_values.yaml",
            "parameterValues: [{name: Frames}]",
            'The parameter values {path} must be {{"parameterValues": [{{"name": ..., "value": ...}}]}}; this item is '
            "not: "
            '{{"name":"Frames"}}.',
        ),
        (
            "asset_references.yaml",
            "assetReferences: {inputs: {filenames: here.txt}}",
            'The file {path} has inputs.filenames "here.txt"; it must be a list of paths.',
        ),
        (
            "asset_references.yaml",
            "assetReferences: {inputs: {filenames: [../../etc/passwd]}}",
            'The file {path} has "../../etc/passwd" in inputs.filenames, which leads outside of the job bundle. Write '
            "it as an "
            "absolute path.",
        ),
        (
            "asset_references.yaml",
            "assetReferences: {outputs: 5}",
            "The file {path} has outputs 5; it must be an object.",
        ),
        (
            "asset_references.yaml",
            "assetReferences: {referencedPaths: [5]}",
            "The file {path} has 5 in referencedPaths; it must be a path.",
        ),
    ],
)
def test_documents_that_cannot_be_used(
    name: str, text: str | bytes, complaint: str, service: DeadlineService, bundle: Bundle, submit: Callable[..., Any]
) -> None:
    path = bundle.write(name, text)
    with pytest.raises(BundleError) as caught:
        submit()
    expected = complaint.format(path=path)
    found = str(caught.value)
    if complaint.endswith(": "):
        assert found.startswith(expected)
        assert found.endswith(". Correct that place.")
        assert "\n" not in found
    else:
        assert found == expected
    assert service.requests == [], "something was sent before the bundle was read"


def test_two_templates_and_none(service: DeadlineService, bundle: Bundle, submit: Callable[..., Any]) -> None:
    extra = bundle.write("template.json", "{}")
    refuse(
        submit,
        BundleError,
        f"The job bundle {bundle.folder} has both template.json and template.yaml. Remove one of them.",
        service,
    )
    extra.unlink()
    (bundle.folder / "template.yaml").unlink()
    refuse(submit, BundleError, f"The job bundle {bundle.folder} has neither template.yaml nor template.json.", service)


def test_a_template_that_breaks_the_openjd_rules(
    service: DeadlineService, bundle: Bundle, submit: Callable[..., Any]
) -> None:
    path = bundle.write(
        "template.yaml", TEMPLATE.replace("{{Param.Frames}}", "{{Param.Missing}}").replace("onRun", "onFly")
    )
    with pytest.raises(TemplateError) as caught:
        submit()
    assert str(caught.value).startswith(f"The template {path} breaks the OpenJD rules")
    assert caught.value.findings
    assert all(set(finding) == {"path", "message"} for finding in caught.value.findings)
    assert service.requests == []


def test_a_template_that_is_too_long(service: DeadlineService, bundle: Bundle, submit: Callable[..., Any]) -> None:
    path = bundle.write("template.yaml", TEMPLATE + "# " + "x" * 1_000_000)
    refuse(
        submit,
        BundleError,
        f"The template {path} has {len(TEMPLATE) + 1_000_002} characters; the service takes at most 1000000. Move "
        "embedded files "
        "out of the template into the bundle's folder and refer to them in asset_references.",
        service,
    )


def test_a_link_that_leads_outside(
    service: DeadlineService, bundle: Bundle, submit: Callable[..., Any], tmp_path: Path
) -> None:
    secret = tmp_path / "secret"
    secret.write_text("s")
    (bundle.folder / "sub").mkdir()
    link = bundle.folder / "sub" / "texture.png"
    link.symlink_to(secret)
    refuse(
        submit,
        BundleError,
        f"The job bundle {bundle.folder} holds the link {link}, which leads outside, to {secret.resolve()}. Put the "
        "file itself "
        "into the bundle, or refer to it in asset_references.",
        service,
    )
    link.unlink()
    link.symlink_to("../../nothing")
    refuse(
        submit,
        BundleError,
        f"The job bundle {bundle.folder} holds the link {link}, which leads outside, to ../../nothing. Put the file "
        "itself into the bundle, or refer to it in asset_references.",
        service,
    )
    link.unlink()
    link.symlink_to(bundle.folder / "template.yaml")
    # Locks of an editor are links to nothing.
    (bundle.folder / ".#template.yaml").symlink_to("somebody@machine.123:456")
    assert submit() == {"job_id": JOB}


@pytest.mark.parametrize(
    ("definition", "values", "complaint"),
    [
        (
            "{name: P, type: PATH, default: ../../x}",
            {},
            'The PATH parameter "P" has the default "../../x", which leads outside of the job bundle {folder}. Use a '
            "path inside, "
            "or an absolute one in parameter_values.",
        ),
        (
            "{name: P, type: PATH, default: /etc/passwd}",
            {},
            'The PATH parameter "P" has the default "/etc/passwd", which is absolute. Defaults are relative to the job '
            "bundle; give "
            "the path in parameter_values instead.",
        ),
        (
            "{name: P, type: PATH}",
            {"P": "../x"},
            'The PATH parameter "P" has the value "../x", which leads outside of the job bundle {folder}. Use a path '
            "inside, or "
            "an absolute one in parameter_values.",
        ),
        (
            "{name: P, type: INT}, {name: Q, type: STRING}",
            {},
            "These job parameters have neither a value nor a default: P, Q. Give them in the bundle's "
            "parameter_values, or with the "
            "submission.",
        ),
        ("{name: P, type: INT}", {"P": 1.5}, 'The parameter "P" cannot be 1.5: it must be a whole number.'),
        ("{name: P, type: INT}", {"P": True}, 'The parameter "P" cannot be true: it must be a whole number.'),
        ("{name: P, type: FLOAT}", {"P": "much"}, 'The parameter "P" cannot be "much": it must be a number.'),
        ("{name: P, type: STRING}", {"P": 5}, 'The parameter "P" cannot be 5: it must be text; put it between quotes.'),
        ("{name: P, type: INT, maxValue: 3}", {"P": "4"}, 'The parameter "P" cannot be "4": it must be at most 3.'),
        ("{name: P, type: INT, minValue: 3}", {"P": 2}, 'The parameter "P" cannot be 2: it must be at least 3.'),
        (
            "{name: P, type: STRING, maxLength: 3}",
            {"P": "long"},
            'The parameter "P" cannot be "long": it must have at most 3 characters.',
        ),
        (
            "{name: P, type: STRING, minLength: 3}",
            {"P": "s"},
            'The parameter "P" cannot be "s": it must have at least 3 characters.',
        ),
        (
            "{name: P, type: STRING, allowedValues: [a, b]}",
            {"P": "c"},
            'The parameter "P" cannot be "c": it must be one of "a", "b".',
        ),
        (
            "{name: P, type: STRING, userInterface: {control: HIDDEN}}",
            {},
            "In the template {path}, these hidden parameters have neither value nor default: P. Nobody can fill them "
            "in; give them "
            "one.",
        ),
        (
            "{name: P, type: STRING, userInterface: {control: SPIN_BOX}}",
            {},
            'The parameter "P" in the template {path} has the control "SPIN_BOX", which does not fit its type STRING; '
            "use one of "
            "LINE_EDIT, MULTILINE_EDIT, DROPDOWN_LIST, CHECK_BOX, HIDDEN.",
        ),
        (
            "{name: P, type: INT}, {name: P, type: INT}",
            {},
            'In the template {path}, the parameter "P" is defined twice.',
        ),
        (
            "{name: P, type: INT, default: 1}",
            {"Q": 1},
            'The bundle gives a value for the parameter "Q", which neither its template nor an environment of the '
            "queue defines. "
            "Correct the name, or remove the value from parameter_values.",
        ),
        (
            "{name: P, type: INT, default: 1}",
            {"deadline:color": 1},
            'The bundle sets "deadline:color", which is no setting of a job. The settings are: '
            "deadline:targetTaskRunStatus, "
            "deadline:priority, deadline:maxFailedTasksCount, deadline:maxRetriesPerTask, deadline:maxWorkerCount.",
        ),
        (
            "{name: P, type: INT, default: 1}",
            {"deadline:priority": "high"},
            'The bundle sets "deadline:priority" to "high", which is not a whole number.',
        ),
    ],
)
def test_parameters_that_cannot_be(
    definition: str,
    values: dict[str, Any],
    complaint: str,
    service: DeadlineService,
    bundle: Bundle,
    submit: Callable[..., Any],
) -> None:
    template = (
        f"specificationVersion: jobtemplate-2023-09\nname: J\nparameterDefinitions: [{definition}]\n"
        "steps: [{name: S, script: {actions: {onRun: {command: /bin/true}}}}]\n"
    )
    path = bundle.write("template.yaml", template)
    if values:
        bundle.values(**{name.replace(":", "__"): value for name, value in values.items()})
    with pytest.raises(DeadlineOperationError) as caught:
        submit()
    if "{path}, the parameter" in complaint:
        assert isinstance(caught.value, (BundleError, TemplateError))
    assert service.sent("POST", "/jobs") == []
    assert str(caught.value) == complaint.format(folder=bundle.folder, path=path)


def test_an_unknown_job_parameter(service: DeadlineService, submit: Callable[..., Any]) -> None:
    refuse(
        submit,
        BundleError,
        'There is no parameter "Sample" in the template or in an environment of the queue. Correct the name.',
        service,
        job_parameters=[{"name": "Sample", "value": 1}],
    )


def test_a_queue_that_contradicts_the_bundle(service: DeadlineService, submit: Callable[..., Any]) -> None:
    refuse(
        submit,
        BundleError,
        'The template and an environment of the queue define the parameter "Samples" differently in: type, minValue, '
        "maxValue. Make "
        "the definitions equal, or rename the parameter.",
        service,
        queue_parameter_definitions=[{"name": "Samples", "type": "STRING", "default": ""}],
    )
