from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from fakes.deadline_service import FARM, JOB, QUEUE, STORAGE_PROFILE, DeadlineService
from shotput import _native
from shotput.errors import (
    BundleError,
    CreateJobWaiterCanceled,
    DeadlineOperationCanceled,
    DeadlineOperationError,
    MissingInputsError,
    ServiceError,
    TemplateError,
    UserInitiatedCancel,
)

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


@pytest.fixture
def bundle(tmp_path: Path, config_path: Path) -> Bundle:
    return Bundle(tmp_path / "bundle")


@pytest.fixture
def submit(service: DeadlineService, bundle: Bundle) -> Callable[..., dict[str, Any]]:
    def call(
        params: dict[str, Any] | None = None, *, on: dict[str, Any] | None = None, **changes: Any
    ) -> dict[str, Any]:
        given = {"job_bundle_dir": str(bundle.folder), "target": service.target(), **(params or {}), **changes}
        return _native.create_job_from_job_bundle(given, **(on or {}))

    return call


@pytest.fixture
def bucket(service: DeadlineService, tmp_path: Path) -> Iterator[Path]:
    """A queue with job attachments. Gives the folder of the object store."""
    root = tmp_path / "objects"
    service.queue["jobAttachmentSettings"] = {"s3BucketName": "studio", "rootPrefix": "Root"}
    with _native.ObjectStore(str(root)) as store:
        store.add_credentials("ASIAQUEUEROLE", "queue-secret", "queue-token", bucket="studio", prefix="Root")
        original = service.target
        endpoint = store.endpoint
        service.target = lambda **changes: original(**{"s3_endpoint_url": endpoint, **changes})  # type: ignore[method-assign]
        yield root


def create_job(service: DeadlineService) -> Any:
    (request,) = service.sent("POST", f"/queues/{QUEUE}/jobs")
    return request.body


def test_the_plainest_job(service: DeadlineService, submit: Callable[..., Any]) -> None:
    printed: list[str] = []
    assert submit(on={"on_print": printed.append}) == {"job_id": JOB}
    assert create_job(service) == {
        "template": TEMPLATE,
        "templateType": "YAML",
        "priority": 50,
    }
    assert printed == [
        "Submitting to the queue Test Queue.",
        "Waiting for the job to be created...",
        printed[2],
        "Job creation completed successfully",
        JOB,
    ]
    assert printed[2].startswith("Submitted the job bundle ")
    agents = {request.headers["user-agent"] for request in service.requests}
    assert all(agent.endswith(" submitter/Custom") for agent in agents)


def test_everything_from_the_configuration(service: DeadlineService, bundle: Bundle, aws_environment: Path) -> None:
    settings = {
        "defaults.farm_id": FARM,
        "defaults.queue_id": QUEUE,
        "settings.storage_profile_id": STORAGE_PROFILE,
        "settings.max_retries_per_task": "2",
    }
    for name, value in settings.items():
        _native.set_setting(name, value)
    before = aws_environment.read_text()
    assert _native.create_job_from_job_bundle({"job_bundle_dir": bundle.folder}) == {"job_id": JOB}
    body = create_job(service)
    assert body["storageProfileId"] == STORAGE_PROFILE
    assert body["maxRetriesPerTask"] == 2
    assert "maxFailedTasksCount" not in body
    assert aws_environment.read_text() == before, "submitting wrote the configuration"


def test_what_a_caller_asks_for(service: DeadlineService, bundle: Bundle, submit: Callable[..., Any]) -> None:
    bundle.values(
        Samples="32", deadline__priority=10, deadline__maxRetriesPerTask="3", deadline__maxWorkerCount=4, other__x=1
    )
    submit(
        name="Another name",
        priority=70,
        max_failed_tasks_count=7,
        target_task_run_status="SUSPENDED",
        submitter_name="Blender Kit",
        submitter_version="1.2",
        job_parameters=[{"name": "Frames", "value": "1-10"}, {"name": "Gain", "value": 2}],
        farm_id=None,
    )
    body = create_job(service)
    assert "name: Another name" in body.pop("template")
    assert body == {
        "templateType": "YAML",
        "priority": 70,
        "maxFailedTasksCount": 7,
        "maxRetriesPerTask": 3,
        "maxWorkerCount": 4,
        "targetTaskRunStatus": "SUSPENDED",
        "parameters": {"Samples": {"int": "32"}, "Frames": {"string": "1-10"}, "Gain": {"float": "2"}},
    }
    assert service.requests[0].headers["user-agent"].endswith(" submitter/Blender-Kit#1.2")


def test_a_template_in_json(service: DeadlineService, bundle: Bundle, submit: Callable[..., Any]) -> None:
    (bundle.folder / "template.yaml").unlink()
    template = {
        "specificationVersion": "jobtemplate-2023-09",
        "name": "J",
        "steps": [{"name": "S", "script": {"actions": {"onRun": {"command": "/bin/true"}}}}],
    }
    bundle.write("template.json", template)
    submit(name="K")
    body = create_job(service)
    assert json.loads(body["template"]) == {**template, "name": "K"}
    assert body["templateType"] == "JSON"


def test_queue_parameters_come_first(service: DeadlineService, bundle: Bundle, submit: Callable[..., Any]) -> None:
    service.environments[:] = [
        {
            "queueEnvironmentId": "queueenv-1",
            "name": "Conda",
            "priority": 1,
            "templateType": "YAML",
            "template": "parameterDefinitions:\n- {name: Packages, type: STRING, default: ''}\nenvironment: "
            "{name: Conda}\n",
        }
    ]
    bundle.values(Packages="blender=4.2")
    submit()
    assert create_job(service)["parameters"] == {"Packages": {"string": "blender=4.2"}}


def test_given_queue_parameters_are_not_asked_for(
    service: DeadlineService, bundle: Bundle, submit: Callable[..., Any]
) -> None:
    bundle.values(Packages="x")
    definitions = [{"name": "Packages", "type": "STRING", "default": ""}]
    submit(queue_parameter_definitions=definitions)
    assert create_job(service)["parameters"] == {"Packages": {"string": "x"}}
    assert service.sent("GET", "/environments") == []


def refuse(
    submit: Callable[..., Any], error: type[Exception], text: str, service: DeadlineService, **changes: Any
) -> None:
    """The submission is refused with exactly this text, and no job is created."""
    with pytest.raises(error) as caught:
        submit(**changes)
    assert type(caught.value) is error
    assert str(caught.value) == text
    assert service.sent("POST", "/jobs") == []


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
    link.symlink_to("nothing")
    refuse(
        submit,
        BundleError,
        f"The job bundle {bundle.folder} holds the link {link}, which cannot be followed: No such file or directory "
        "(os error 2). "
        "Put the file itself into the bundle, or refer to it in asset_references.",
        service,
    )
    link.unlink()
    link.symlink_to(bundle.folder / "template.yaml")
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


def test_files_are_uploaded(
    service: DeadlineService, bundle: Bundle, submit: Callable[..., Any], bucket: Path, tmp_path: Path
) -> None:
    scene = bundle.write("scene.blend", b"x" * 3000)
    bundle.write("textures/a.png", b"a")
    bundle.write("textures/b.png", b"b")
    bundle.write("asset_references.yaml", {"assetReferences": {"inputs": {"directories": ["textures"]}}})
    output = tmp_path / "output"
    hashing: list[dict[str, Any]] = []
    uploading: list[dict[str, Any]] = []
    printed: list[str] = []
    submit(
        job_parameters=[{"name": "Scene", "value": str(scene)}, {"name": "Output", "value": str(output)}],
        on={
            "on_print": printed.append,
            "on_hashing_progress": lambda info: hashing.append(info) or True,
            "on_upload_progress": lambda info: uploading.append(info) or True,
            "on_confirm": lambda *_: pytest.fail("files of the bundle need no question"),
        },
    )
    body = create_job(service)
    assert body["parameters"] == {"Scene": {"path": str(scene)}, "Output": {"path": str(output)}}
    (manifest,) = body["attachments"]["manifests"]
    assert body["attachments"]["fileSystem"] == "COPIED"
    assert manifest["rootPath"] == str(tmp_path.resolve())
    assert manifest["rootPathFormat"] == "posix"
    assert manifest["outputRelativeDirectories"] == ["output"]
    assert manifest["inputManifestPath"].startswith(f"{FARM}/{QUEUE}/Inputs/")
    for reports, status in ((hashing, "PREPARING_IN_PROGRESS"), (uploading, "UPLOAD_IN_PROGRESS")):
        last = reports[-1]
        assert last["status"] == status
        assert last["progress"] == 100.0
        assert last["processedFiles"] == 3
        assert last["processedBytes"] == last["totalBytes"] == 3002
        assert last["transferRate"] > 0
        assert "3 KB" in last["progressMessage"]
    assert "The job reads 3 input files, 3 KB in total." in printed
    roles = service.sent("GET", "/user-roles")
    assert len(roles) <= 1
    stored = [path for path in bucket.rglob("*") if path.is_file() and b"x" * 3000 in path.read_bytes()]
    assert len(stored) == 1


def test_a_queue_without_attachments(service: DeadlineService, bundle: Bundle, submit: Callable[..., Any]) -> None:
    bundle.write("asset_references.yaml", {"assetReferences": {"inputs": {"filenames": ["template.yaml"]}}})
    printed: list[str] = []
    submit(on={"on_print": printed.append})
    assert "attachments" not in create_job(service)
    assert "The queue has no job attachment settings: the job's files are not uploaded." in printed


def test_a_missing_input(service: DeadlineService, bundle: Bundle, submit: Callable[..., Any], bucket: Path) -> None:
    missing = bundle.folder / "gone.png"
    bundle.write("asset_references.yaml", {"assetReferences": {"inputs": {"filenames": [str(missing)]}}})
    with pytest.raises(MissingInputsError) as caught:
        submit(require_paths_exist=True)
    assert caught.value.paths == [str(missing)]
    assert str(missing) in str(caught.value)
    assert service.sent("POST", "/jobs") == []
    printed: list[str] = []
    submit(on={"on_print": printed.append})
    assert any(str(missing) in line for line in printed)


@pytest.fixture
def outside(bundle: Bundle, tmp_path: Path) -> Path:
    """An input that no known folder holds."""
    path = tmp_path.resolve() / "elsewhere" / "texture.png"
    path.parent.mkdir()
    path.write_bytes(b"pixels")
    bundle.write("asset_references.yaml", {"assetReferences": {"inputs": {"filenames": [str(path)]}}})
    return path


def test_a_file_outside_of_the_known_folders(
    service: DeadlineService, submit: Callable[..., Any], bucket: Path, outside: Path
) -> None:
    about = f"1 input file lies outside of the known folders:\n  {outside}\n"
    fix = "Add their folders to known_asset_paths or to settings.known_asset_paths."
    refuse(
        submit,
        DeadlineOperationCanceled,
        f"The submission was canceled, because nobody could be asked. {about} {fix}",
        service,
    )
    refuse(
        submit,
        DeadlineOperationCanceled,
        f"The submission was canceled, because auto_accept covers no files outside of the known folders. {about} {fix}",
        service,
        auto_accept=True,
        on={"on_confirm": lambda *_: True},
    )
    asked: list[tuple[str, bool]] = []
    refuse(
        submit,
        UserInitiatedCancel,
        "The submission was declined. Nothing was uploaded.",
        service,
        on={"on_confirm": lambda message, default: asked.append((message, default))},
    )
    assert asked == [(f"{about}\n\nUpload them all the same?", False)]
    assert not any(path.is_file() and path.read_bytes() == b"pixels" for path in bucket.rglob("*"))
    assert submit(on={"on_confirm": lambda *_: True}) == {"job_id": JOB}


@pytest.mark.parametrize("way", ["params", "setting", "storage profile", "parameter", "gui"])
def test_ways_to_make_a_folder_known(
    way: str,
    service: DeadlineService,
    bundle: Bundle,
    submit: Callable[..., Any],
    bucket: Path,
    outside: Path,
    config_path: Path,
) -> None:
    changes: dict[str, Any] = {}
    if way == "params":
        changes["known_asset_paths"] = [outside.parent]
    elif way == "setting":
        _native.set_setting("settings.known_asset_paths", f"/x{os.pathsep}{outside.parent}", str(config_path))
        changes["config_path"] = str(config_path)
    elif way == "storage profile":
        service.storage_profile["fileSystemLocations"] = [
            {"name": "Projects", "path": str(outside.parent), "type": "LOCAL"}
        ]
        changes["storage_profile_id"] = STORAGE_PROFILE
    elif way == "parameter":
        changes["job_parameters"] = [{"name": "Scene", "value": str(outside)}]
    else:
        changes |= {"auto_accept": True, "from_gui": True, "on": {"on_confirm": lambda *_: True}}
    assert submit(**changes) == {"job_id": JOB}


def test_ten_files_are_shown(
    service: DeadlineService, bundle: Bundle, submit: Callable[..., Any], bucket: Path, outside: Path
) -> None:
    for number in range(13):
        (outside.parent / f"{number:02}.png").write_bytes(b"x")
    bundle.write("asset_references.yaml", {"assetReferences": {"inputs": {"directories": [str(outside.parent)]}}})
    asked: list[str] = []
    with pytest.raises(UserInitiatedCancel):
        submit(on={"on_confirm": lambda message, default: asked.append(message)})
    assert asked[0].startswith("14 input files lie outside of the known folders:\n")
    assert asked[0].count("\n  /") == 10
    assert "\n  and 4 more\n" in asked[0]


@pytest.mark.parametrize("callback", ["on_hashing_progress", "on_upload_progress"])
def test_a_progress_callback_cancels(
    callback: str, service: DeadlineService, bundle: Bundle, submit: Callable[..., Any], bucket: Path
) -> None:
    bundle.write("asset_references.yaml", {"assetReferences": {"inputs": {"filenames": ["template.yaml"]}}})
    with pytest.raises(DeadlineOperationCanceled) as caught:
        submit(on={callback: lambda info: None})
    assert type(caught.value) is DeadlineOperationCanceled
    assert service.sent("POST", "/jobs") == []


class QuarrelError(Exception):
    pass


@pytest.mark.parametrize(
    "callback", ["on_print", "on_hashing_progress", "on_upload_progress", "on_confirm", "on_continue"]
)
@pytest.mark.parametrize("kind", [QuarrelError, KeyboardInterrupt])
def test_what_a_callback_raises_comes_out(
    callback: str,
    kind: type[BaseException],
    service: DeadlineService,
    submit: Callable[..., Any],
    bucket: Path,
    outside: Path,
) -> None:
    raised = kind("mine")

    def quarrel(*_: object) -> bool:
        raise raised

    on: dict[str, Any] = {"on_confirm": lambda *_: True, callback: quarrel}
    with pytest.raises(kind) as caught:
        submit(on=on)
    assert caught.value is raised
    assert len(service.sent("POST", "/jobs")) == (1 if callback == "on_continue" else 0)


def test_waiting_is_canceled(service: DeadlineService, submit: Callable[..., Any]) -> None:
    with pytest.raises(CreateJobWaiterCanceled) as caught:
        submit(on={"on_continue": lambda: False})
    assert str(caught.value) == (
        f"The wait for the job {JOB} was canceled. The job itself goes on; cancel it if it is not wanted."
    )
    assert isinstance(caught.value, DeadlineOperationCanceled)
    assert service.sent("GET", f"/jobs/{JOB}") == []


def test_waiting_goes_on_while_the_job_is_being_created(service: DeadlineService, submit: Callable[..., Any]) -> None:
    service.answer("GET", f"/jobs/{JOB}", body={**service.job, "lifecycleStatus": "CREATE_IN_PROGRESS"}, times=2)
    asked: list[bool] = []
    submit(on={"on_continue": lambda: asked.append(True) or True})
    assert len(asked) == len(service.sent("GET", f"/jobs/{JOB}")) == 3


def test_a_job_that_the_farm_cannot_create(service: DeadlineService, submit: Callable[..., Any]) -> None:
    service.job |= {"lifecycleStatus": "CREATE_FAILED", "lifecycleStatusMessage": "Too many tasks."}
    with pytest.raises(DeadlineOperationError) as caught:
        submit()
    assert str(caught.value) == (
        f"The farm could not create the job {JOB}: Too many tasks. Correct the bundle, and submit it again."
    )


def test_a_farm_that_refuses(service: DeadlineService, submit: Callable[..., Any]) -> None:
    service.fail("POST", "/jobs", "ServiceQuotaExceededException", "No more jobs", status=402)
    with pytest.raises(ServiceError) as caught:
        submit()
    assert str(caught.value) == "ServiceQuotaExceededException: No more jobs"
    assert caught.value.operation == "CreateJob"


@pytest.mark.parametrize(
    ("code", "text"),
    [
        (
            "AccessDeniedException",
            "Cannot assume the role of the queue Test Queue. Ask the farm's administrator for access to the queue. "
            "AccessDeniedException: no",
        ),
        (
            "ThrottlingException",
            "Assuming the role of the queue Test Queue was throttled. Try again in a moment, or have the account's "
            "request rate "
            "raised. ThrottlingException: no",
        ),
        (
            "InternalServerErrorException",
            "The service failed to assume the role of the queue Test Queue. Try again in a moment. "
            "InternalServerErrorException: no",
        ),
    ],
)
def test_a_role_that_cannot_be_assumed(
    code: str, text: str, service: DeadlineService, bundle: Bundle, submit: Callable[..., Any], bucket: Path
) -> None:
    bundle.write("asset_references.yaml", {"assetReferences": {"inputs": {"filenames": ["template.yaml"]}}})
    service.fail("GET", "/user-roles", code, "no", status=400)
    refuse(submit, ServiceError, text, service)


def test_empty_role_credentials(
    service: DeadlineService, bundle: Bundle, submit: Callable[..., Any], bucket: Path
) -> None:
    bundle.write("asset_references.yaml", {"assetReferences": {"inputs": {"filenames": ["template.yaml"]}}})
    service.credentials = {}
    refuse(
        submit,
        ServiceError,
        "The role of the queue Test Queue gave empty credentials. Ask the farm's administrator whether the queue has a "
        "role.",
        service,
    )


def test_role_credentials_are_kept_until_they_near_their_end(
    service: DeadlineService, bundle: Bundle, submit: Callable[..., Any], bucket: Path
) -> None:
    bundle.write("asset_references.yaml", {"assetReferences": {"inputs": {"filenames": ["template.yaml"]}}})
    submit()
    submit()
    assert len(service.sent("GET", "/user-roles")) == 1
    service.credentials["expiration"] = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + 60))
    target = service.target(region="eu-west-1")
    submit(target=target)
    submit(target=target)
    assert len(service.sent("GET", "/user-roles")) >= 3


def test_hooks_are_not_silently_left_out(
    service: DeadlineService, bundle: Bundle, submit: Callable[..., Any], config_path: Path
) -> None:
    hooks = bundle.write("hooks.yaml", "version: '1.0'\n")
    printed: list[str] = []
    submit(on={"on_print": printed.append})
    assert f"The submission hooks in {hooks} are not run: settings.allow_bundle_hooks is off." in printed
    service.requests.clear()
    _native.set_setting("settings.allow_bundle_hooks", "true", str(config_path))
    refuse(
        submit,
        DeadlineOperationError,
        f"The bundle has submission hooks ({hooks}) and settings.allow_bundle_hooks is on, but this version runs no "
        "hooks. Turn the "
        "setting off to submit without them.",
        service,
        config_path=str(config_path),
    )


def test_more_than_ten_roots(
    service: DeadlineService, bundle: Bundle, submit: Callable[..., Any], bucket: Path, tmp_path: Path
) -> None:
    locations = []
    names = []
    for number in range(11):
        folder = tmp_path.resolve() / f"disk{number:02}"
        folder.mkdir()
        (folder / "file").write_bytes(b"x")
        locations.append({"name": f"Disk {number}", "path": str(folder), "type": "LOCAL"})
        names.append(str(folder / "file"))
    service.storage_profile["fileSystemLocations"] = locations
    bundle.write("asset_references.yaml", {"assetReferences": {"inputs": {"filenames": names}}})
    with pytest.raises(DeadlineOperationError) as caught:
        submit(storage_profile_id=STORAGE_PROFILE)
    roots = "".join(f"\n  {location['path']}" for location in locations)
    assert str(caught.value) == (
        "The job's files lie under 11 roots; a job can have at most 10. Move files together, or name their folders as "
        "locations of a "
        f"storage profile. The roots are:{roots}"
    )


def test_other_threads_run_meanwhile(service: DeadlineService, submit: Callable[..., Any]) -> None:
    service.answer("GET", f"/queues/{QUEUE}", body=service.queue, delay=0.6)
    done = threading.Event()
    counted = 0

    def count() -> None:
        nonlocal counted
        while not done.is_set():
            counted += 1
            time.sleep(0.001)

    thread = threading.Thread(target=count)
    thread.start()
    submit()
    done.set()
    thread.join()
    assert counted > 20


def test_an_interrupt_ends_the_submission(service: DeadlineService, bundle: Bundle) -> None:
    service.answer("GET", f"/queues/{QUEUE}", body=service.queue, delay=5)
    code = (
        "import time; from shotput import _native\n"
        "started = time.monotonic()\n"
        f"params = {{'job_bundle_dir': {str(bundle.folder)!r}, 'target': {service.target()!r}}}\n"
        "try: _native.create_job_from_job_bundle(params)\n"
        "except KeyboardInterrupt: print('interrupted', time.monotonic() - started < 4)\n"
    )
    child = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    while not service.sent("GET", f"/queues/{QUEUE}"):
        time.sleep(0.01)
    child.send_signal(2)
    assert child.communicate(timeout=10)[0] == "interrupted True\n"
    assert service.sent("POST", "/jobs") == []
