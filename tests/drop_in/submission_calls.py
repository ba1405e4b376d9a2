"""Calls of submission, of ``deadline.client.config`` and of ``deadline.client.job_bundle``."""

from __future__ import annotations

import json
import os
import pickle
from configparser import ConfigParser
from datetime import datetime
from io import StringIO
from pathlib import Path
from typing import Any

import deadline.client.exceptions
import pytest
import shotput.errors
from botocore.exceptions import ClientError
from deadline.client import api, config, job_bundle
from deadline.client.config import config_file, get_setting, set_setting
from deadline.client.dataclasses import SubmitterInfo, submitter_info
from deadline.client.exceptions import (
    CreateJobWaiterCanceled,
    DeadlineOperationCanceled,
    DeadlineOperationError,
    DeadlineOperationTimedOut,
    ManifestOutdatedError,
    NonValidInputError,
    UserInitiatedCancel,
)
from deadline.client.job_bundle import _yaml, loader, parameters, saver
from deadline.client.job_bundle.submission import AssetReferences
from deadline.job_attachments.exceptions import AssetSyncCancelledError, MisconfiguredInputsError
from deadline.job_attachments.progress_tracker import ProgressReportMetadata, ProgressStatus
from drop_in.calls import calls
from drop_in.conftest import Workstation

SCENE = {"name": "Scene", "type": "PATH", "objectType": "FILE", "dataFlow": "IN"}


@calls("deadline.client.api", "create_job_from_job_bundle")
def submission(workstation: Workstation) -> None:
    texture = workstation.file("project/wood.png", "texture")
    bundle = str(workstation.bundle(inputs=(texture,)))
    lines: list[str] = []
    hashing: list[ProgressReportMetadata] = []
    upload: list[ProgressReportMetadata] = []
    asked: list[bool] = []
    keywords: dict[str, Any] = {
        "print_function_callback": lines.append,
        "interactive_confirmation_callback": lambda message, default: asked.append(default) or True,
        "hashing_progress_callback": lambda report: hashing.append(report) or True,
        "upload_progress_callback": lambda report: upload.append(report) or True,
    }
    job_id = api.create_job_from_job_bundle(
        bundle,
        [{"name": "Frames", "value": "5"}, {"name": "deadline:priority", "value": 70}],
        name="Shot 10",
        max_retries_per_task=2,
        target_task_run_status="SUSPENDED",
        submitter_name="Maya",
        create_job_result_callback=lambda: True,
        known_asset_paths=[str(workstation.folder)],
        **keywords,
    )
    assert job_id is not None
    job = workstation.farm.job(job_id)
    assert (job["name"], job["priority"], job["maxRetriesPerTask"]) == ("Shot 10", 70, 2)
    assert job["parameters"]["Frames"] == {"string": "5"}
    assert job["targetTaskRunStatus"] == "SUSPENDED"
    (manifest,) = job["attachments"]["manifests"]
    assert manifest["rootPath"] == str(texture.parent)
    assert get_setting("defaults.job_id") == job_id
    assert lines[-1] == job_id
    with pytest.raises(ValueError, match="BOGUS"):
        api.create_job_from_job_bundle(bundle, job_attachments_file_system="BOGUS")
    reports = [(reports[-1].status, reports[-1].progress) for reports in (hashing, upload)]
    assert reports == [(ProgressStatus.PREPARING_IN_PROGRESS, 100.0), (ProgressStatus.UPLOAD_IN_PROGRESS, 100.0)]
    assert all(one.progressMessage == one.progress_message != "" for one in hashing + upload)

    # Another queue of a configuration in memory: nothing of it is remembered.
    memory = config_file.read_config()
    set_setting("defaults.queue_id", "queue-" + "0" * 32, memory)
    with pytest.raises(DeadlineOperationError, match=r"^ResourceNotFoundException: ") as refused:
        api.create_job_from_job_bundle(bundle, config=memory, **keywords)
    assert get_setting("defaults.job_id") == job_id

    assert api.session_context["submitter-name"] == "Custom"

    # It is what boto3 raises, too, and survives the way between processes.
    for error in (refused.value, pickle.loads(pickle.dumps(refused.value))):
        assert isinstance(error, ClientError)
        assert isinstance(error, shotput.errors.ServiceError)
        assert (error.operation_name, error.response["Error"]["Code"], error.code) == (
            "GetQueue",
            "ResourceNotFoundException",
            "ResourceNotFoundException",
        )
        assert str(error) == f"{error.code}: {error.response['Error']['Message']}"
        assert (error.status, error.response["ResponseMetadata"]["HTTPStatusCode"]) == (404, 404)

    # What people and callbacks decide.
    texture.write_text("another")
    for phase in ("hashing_progress_callback", "upload_progress_callback"):
        with pytest.raises(AssetSyncCancelledError) as canceled:
            api.create_job_from_job_bundle(bundle, **{**keywords, phase: lambda _: False})
        assert isinstance(canceled.value, DeadlineOperationCanceled)
    with pytest.raises(UserInitiatedCancel):
        api.create_job_from_job_bundle(
            bundle, **{**keywords, "interactive_confirmation_callback": lambda message, default: False}
        )
    # Programs of the bundle do not run when nobody can be asked.
    hooks = Path(bundle) / "hooks.json"
    hooks.write_text(json.dumps({"version": "1.0", "preSubmission": [{"command": "/bin/false"}]}))
    set_setting("settings.allow_bundle_hooks", "true")
    with pytest.raises(DeadlineOperationCanceled, match="nobody could be asked"):
        api.create_job_from_job_bundle(bundle, **{**keywords, "interactive_confirmation_callback": None})
    hooks.unlink()
    with pytest.raises(CreateJobWaiterCanceled):
        api.create_job_from_job_bundle(bundle, create_job_result_callback=lambda: False, **keywords)
    # The job is there, whoever waits for it.
    assert get_setting("defaults.job_id") != job_id
    job_id = get_setting("defaults.job_id")
    assert workstation.farm.job(job_id)["name"] == "Shot"
    with pytest.raises(ZeroDivisionError):
        api.create_job_from_job_bundle(bundle, **{**keywords, "hashing_progress_callback": lambda _: 1 / 0})

    # What would be sent, in a folder; no job.
    snapshot = workstation.folder / "snapshot"
    jobs = len(api.list_jobs(farmId=workstation.farm_id, queueId=workstation.queue_id)["jobs"])
    assert api.create_job_from_job_bundle(bundle, debug_snapshot_dir=str(snapshot), **keywords) is None
    arguments = json.loads((snapshot / "create_job_args.json").read_text())
    (manifest,) = arguments["attachments"]["manifests"]
    body = (snapshot / "Manifests" / manifest["inputManifestPath"]).read_text()
    assert (snapshot / "Data" / f"{json.loads(body)['paths'][0]['hash']}.xxh128").read_text() == "another"
    assert {"submit_job.sh", "submit_job.bat", "queue.json"} <= {path.name for path in snapshot.iterdir()}
    assert len(api.list_jobs(farmId=workstation.farm_id, queueId=workstation.queue_id)["jobs"]) == jobs
    assert get_setting("defaults.job_id") == job_id

    texture.unlink()
    with pytest.raises(MisconfiguredInputsError):
        api.create_job_from_job_bundle(bundle, require_paths_exist=True, **keywords)


@calls("deadline.client.api", "wait_for_create_job_to_complete")
def waiting(workstation: Workstation) -> None:
    job_id = workstation.submit()
    client = api.get_boto3_client("deadline")
    place = (workstation.farm_id, workstation.queue_id, job_id, client)
    message = workstation.farm.job(job_id)["lifecycleStatusMessage"]
    assert api.wait_for_create_job_to_complete(*place, lambda: True) == (True, message)
    with pytest.raises(CreateJobWaiterCanceled) as canceled:
        api.wait_for_create_job_to_complete(*place, lambda: False)
    assert str(canceled.value) == "Operation canceled while waiting for CreateJob to finish"
    assert issubclass(DeadlineOperationTimedOut, TimeoutError)


@calls(
    "deadline.client.exceptions",
    "CreateJobWaiterCanceled",
    "DeadlineOperationCanceled",
    "DeadlineOperationError",
    "DeadlineOperationTimedOut",
    "UserInitiatedCancel",
)
def exceptions(workstation: Workstation) -> None:
    expected = {
        CreateJobWaiterCanceled: "Operation canceled while waiting for CreateJob to finish",
        DeadlineOperationCanceled: "Operation canceled",
        DeadlineOperationTimedOut: "Operation timed out",
        UserInitiatedCancel: "Operation canceled by user",
    }
    for kind, text in expected.items():
        assert kind is getattr(shotput.errors, kind.__name__)
        assert issubclass(kind, DeadlineOperationError)
        assert (str(kind()), str(kind("other"))) == (text, "other")
    assert DeadlineOperationError is shotput.errors.DeadlineOperationError


@calls("deadline.client.exceptions", "ManifestOutdatedError", "NonValidInputError")
def other_exceptions(workstation: Workstation) -> None:
    for kind in (ManifestOutdatedError, NonValidInputError):
        assert not issubclass(kind, DeadlineOperationError)
        with pytest.raises(kind, match=r"^why$"):
            raise kind("why")
    assert deadline.client.exceptions.__all__


@calls("deadline.client.config", "get_setting", "set_setting", "config_file")
@calls("deadline.client.config.config_file", "get_setting", "set_setting", "read_config", "write_config")
def settings(workstation: Workstation) -> None:
    assert config.config_file is config_file
    assert (config.get_setting, config.set_setting) == (config_file.get_setting, config_file.set_setting)
    set_setting("settings.known_asset_paths", "/a%b")
    assert get_setting("settings.known_asset_paths") == "/a%b"
    memory = config_file.read_config()
    assert memory["settings"]["known_asset_paths"] == "/a%b"
    set_setting("defaults.farm_id", "farm-memory", memory)
    set_setting("defaults.queue_id", "queue-memory", memory)
    assert memory["profile-(default) farm-memory defaults"]["queue_id"] == "queue-memory"
    assert get_setting("defaults.queue_id", memory) == "queue-memory"
    assert get_setting("defaults.queue_id") == workstation.queue_id
    config_file.write_config(memory)
    assert get_setting("defaults.queue_id") == "queue-memory"
    path = config_file.get_config_file_path()
    assert path.stat().st_mode & 0o777 == 0o600
    assert [one.name for one in path.parent.iterdir()] == ["config"]
    with pytest.raises(DeadlineOperationError) as error:
        get_setting("settings.nothing")
    assert str(error.value) == _message(lambda: shotput._native.get_setting("settings.nothing"))


def _message(call: Any) -> str:
    with pytest.raises(DeadlineOperationError) as error:
        call()
    return str(error.value)


@calls("deadline.client.config", "get_setting_default", "clear_setting")
@calls("deadline.client.config.config_file", "get_setting_default", "clear_setting")
def defaults(workstation: Workstation) -> None:
    assert config.get_setting_default is config_file.get_setting_default
    assert config.clear_setting is config_file.clear_setting
    assert config.get_setting_default("defaults.farm_id") == ""
    memory = ConfigParser()
    set_setting("defaults.aws_profile_name", "studio", memory)
    assert config.get_setting_default("settings.job_history_dir", memory) == "~/.deadline/job_history/studio"
    assert config.get_setting_default("defaults.aws_profile_name", memory) == "(default)"
    config.clear_setting("defaults.aws_profile_name", memory)
    assert get_setting("defaults.aws_profile_name", memory) == "(default)"
    config.clear_setting("defaults.farm_id")
    assert get_setting("defaults.farm_id") == ""


@calls("deadline.client.config", "str2bool")
@calls("deadline.client.config.config_file", "str2bool")
def booleans(workstation: Workstation) -> None:
    assert config.str2bool is config_file.str2bool
    assert [config.str2bool(word) for word in ("Yes", "on", "TRUE", "1")] == [True] * 4
    assert [config.str2bool(word) for word in ("no", "Off", "false", "0")] == [False] * 4
    with pytest.raises(ValueError) as error:  # noqa: PT011  # the whole text is looked at
        config.str2bool("perhaps")
    assert str(error.value) == "'perhaps' is not a boolean; use one of yes, on, true, 1, no, off, false, 0"


@calls("deadline.client.config", "get_best_profile_for_farm")
@calls("deadline.client.config.config_file", "get_best_profile_for_farm")
def best_profile(workstation: Workstation) -> None:
    assert config.get_best_profile_for_farm is config_file.get_best_profile_for_farm
    assert config.get_best_profile_for_farm(workstation.farm_id) == "(default)"
    workstation.file("home/.aws/config", "[profile one]\n[profile two]\n")
    memory = config_file.read_config()
    for profile, queue in (("one", "queue-1"), ("two", "queue-2")):
        set_setting("defaults.aws_profile_name", profile, memory)
        set_setting("defaults.farm_id", "farm-shared", memory)
        # The queue lies under profile and farm, so each profile has its own.
        set_setting("defaults.queue_id", queue, memory)
    set_setting("defaults.aws_profile_name", "(default)", memory)
    config_file.write_config(memory)
    assert config.get_best_profile_for_farm("farm-shared") == "one"
    assert config.get_best_profile_for_farm("farm-shared", "queue-2") == "two"
    assert config.get_best_profile_for_farm("farm-nobody") == "(default)"


@calls("deadline.client.config", "DEFAULT_DEADLINE_ENDPOINT_URL")
def endpoint(workstation: Workstation) -> None:
    assert workstation.farm.state["endpoint_url"] == config.DEFAULT_DEADLINE_ENDPOINT_URL
    del os.environ["AWS_ENDPOINT_URL_DEADLINE"]
    assert config.DEFAULT_DEADLINE_ENDPOINT_URL == "https://deadline.us-west-2.amazonaws.com"


@calls(
    "deadline.client.config.config_file",
    "DEFAULT_QUEUE_INCREMENTAL_DOWNLOAD_DIR",
    "get_cache_directory",
    "get_config_file_path",
)
def places(workstation: Workstation) -> None:
    home = workstation.folder / "home"
    assert config_file.DEFAULT_QUEUE_INCREMENTAL_DOWNLOAD_DIR == "~/.deadline/incremental_download"
    assert config_file.get_cache_directory() == str(home / ".deadline" / "cache")
    assert config_file.get_config_file_path() == home / ".deadline" / "config"
    os.environ["DEADLINE_CONFIG_FILE_PATH"] = "~/other"
    assert config_file.get_config_file_path() == home / "other"
    del os.environ["DEADLINE_CONFIG_FILE_PATH"]


@calls("deadline.client.dataclasses", "SubmitterInfo")
@calls("deadline.client.dataclasses.submitter_info", "SubmitterInfo")
def what_a_submitter_is(workstation: Workstation) -> None:
    assert submitter_info.SubmitterInfo is SubmitterInfo
    info = SubmitterInfo("Maya", host_application_version="2026", additional_info={"plugins": ["mtoa"]})
    assert (info.submitter_name, info.submitter_package_name, info.additional_info) == (
        "Maya",
        None,
        {"plugins": ["mtoa"]},
    )


@calls("deadline.client.job_bundle", "create_job_history_bundle_dir")
def history(workstation: Workstation) -> None:
    today = datetime.now().astimezone().strftime("%Y-%m-%d")
    month = workstation.folder / "home/.deadline/job_history/(default)" / today[:7]
    made = [job_bundle.create_job_history_bundle_dir("Ma/ya", "sh:ot " + "x" * 200) for _ in range(2)]
    assert made == [str(month / f"{today}-{number:02}-Maya-shot {'x' * 123}") for number in (1, 2)]
    assert all(Path(folder).is_dir() for folder in made)


@calls("deadline.client.job_bundle", "deadline_yaml_dump")
@calls("deadline.client.job_bundle._yaml", "deadline_yaml_dump")
def yaml_text(workstation: Workstation) -> None:
    assert job_bundle.deadline_yaml_dump is _yaml.deadline_yaml_dump
    document = {"b": "one\ntwo\n", "a": {"list": ["yes", "ä", 1.5, None]}}
    expected = "b: |\n  one\n  two\na:\n  list:\n  - 'yes'\n  - \"\\xE4\"\n  - 1.5\n  - null\n"
    assert job_bundle.deadline_yaml_dump(document) == expected
    stream = StringIO()
    assert job_bundle.deadline_yaml_dump({"b": 1, "a": [{"c": 2}]}, stream, indent=1, sort_keys=True) is None
    assert stream.getvalue() == "a:\n- c: 2\nb: 1\n"


@calls(
    "deadline.client.job_bundle.loader",
    "is_job_bundle_dir",
    "parse_yaml_or_json_content",
    "read_yaml_or_json",
    "read_yaml_or_json_object",
)
@calls("deadline.client.job_bundle.saver", "save_yaml_or_json_to_file")
def documents(workstation: Workstation) -> None:
    folder = workstation.folder / "documents"
    assert loader.is_job_bundle_dir(str(folder)) is False
    folder.mkdir()
    saver.save_yaml_or_json_to_file(str(folder), "template", "YAML", {"name": "ä"})
    saver.save_yaml_or_json_to_file(str(folder), "values", "JSON", {"name": "b"})
    assert loader.is_job_bundle_dir(str(folder)) is True
    assert loader.read_yaml_or_json(str(folder), "template", True) == ('name: "\\xE4"\n', "YAML")
    assert loader.read_yaml_or_json_object(str(folder), "template", True) == {"name": "ä"}
    assert loader.read_yaml_or_json_object(str(folder), "values", True) == {"name": "b"}
    assert loader.read_yaml_or_json(str(folder), "nothing", False) == ("", "")
    assert loader.read_yaml_or_json_object(str(folder), "nothing", False) is None
    assert _message(lambda: loader.read_yaml_or_json(str(folder), "nothing", True)) == (
        f"The job bundle {folder} has neither nothing.yaml nor nothing.json."
    )
    assert _message(lambda: loader.parse_yaml_or_json_content("{", "JSON", str(folder), "values")) == (
        f"The file {folder}/values.json is not JSON: "
        "Expecting property name enclosed in double quotes: line 1 column 2 (char 1)"
    )
    with pytest.raises(RuntimeError, match=f"^The type of values in {folder} is 'TOML'; it must be YAML or JSON.$"):
        saver.save_yaml_or_json_to_file(str(folder), "values", "TOML", {})
    (folder / "template.json").write_text("{}")
    assert _message(lambda: loader.read_yaml_or_json(str(folder), "template", True)) == (
        f"The job bundle {folder} has both template.yaml and template.json. Remove one of them."
    )


@calls("deadline.client.job_bundle.loader", "validate_directory_symlink_containment")
def containment(workstation: Workstation) -> None:
    folder = workstation.bundle().resolve()
    loader.validate_directory_symlink_containment(str(folder))
    outside = workstation.file("secret", "s")
    (folder / "link").symlink_to(outside)
    assert _message(lambda: loader.validate_directory_symlink_containment(str(folder))) == (
        f"The job bundle {folder} has {folder}/link, which leads outside of it to {outside}. Put a copy into the "
        "bundle, or refer to the file in asset_references."
    )
    assert _message(lambda: loader.validate_directory_symlink_containment(str(outside))) == (
        f"The job bundle {outside} is not a folder."
    )


@calls("deadline.client.job_bundle", "read_job_bundle_parameters")
@calls("deadline.client.job_bundle.parameters", "JobParameter", "read_job_bundle_parameters")
def bundle_parameters(workstation: Workstation) -> None:
    assert job_bundle.read_job_bundle_parameters is parameters.read_job_bundle_parameters
    folder = workstation.bundle()
    values = {"parameterValues": [{"name": "Frames", "value": "9"}, {"name": "deadline:priority", "value": 5}]}
    workstation.file("bundle/parameter_values.json", json.dumps(values))
    expected: list[parameters.JobParameter] = [
        {"name": "Frames", "type": "STRING", "default": "1-3", "value": "9"},
        {"name": "deadline:priority", "value": 5},
    ]
    assert job_bundle.read_job_bundle_parameters(str(folder)) == expected


@calls("deadline.client.job_bundle", "apply_job_parameters")
@calls("deadline.client.job_bundle.parameters", "apply_job_parameters")
def applied_parameters(workstation: Workstation) -> None:
    assert job_bundle.apply_job_parameters is parameters.apply_job_parameters
    definitions: list[Any] = [dict(SCENE), {"name": "Cache", "type": "PATH", "dataFlow": "OUT", "default": "/c"}]
    references = AssetReferences(input_filenames={"/already"})
    given = [{"name": "Scene", "value": "shot.ma"}, {"name": "Unknown", "value": 1}]
    job_bundle.apply_job_parameters(given, "/bundle", definitions, references)
    scene = str(workstation.folder / "shot.ma")
    assert definitions[0] == {**SCENE, "value": scene}
    assert references.input_filenames == {"/already", scene}
    uri: list[Any] = [dict(SCENE)]
    job_bundle.apply_job_parameters(
        [{"name": "Scene", "value": "s3://bucket/shot.ma"}], "/bundle", uri, references, allow_uri_path_values=True
    )
    assert uri == [{**SCENE, "value": "s3://bucket/shot.ma"}]
    assert references.input_filenames == {"/already", scene}
    assert _message(lambda: job_bundle.apply_job_parameters([], "/bundle", [dict(SCENE)], references)) == (  # type: ignore[list-item]
        "These job parameters have neither a value nor a default: Scene. Give them in the bundle's parameter_values, "
        "or with the submission. The job bundle is /bundle."
    )


@calls(
    "deadline.client.job_bundle.parameters",
    "get_ui_control_for_parameter_definition",
    "parameter_definition_difference",
)
def definitions(workstation: Workstation) -> None:
    assert parameters.get_ui_control_for_parameter_definition({"name": "P", "type": "FLOAT"}) == "SPIN_BOX"
    one: parameters.JobParameter = {"name": "P", "type": "INT", "minValue": 1, "allowedValues": [1, 2]}
    other: parameters.JobParameter = {"name": "P", "type": "FLOAT", "allowedValues": [2, 1]}
    assert parameters.parameter_definition_difference(one, other) == ["type", "minValue"]
    assert parameters.parameter_definition_difference(one, other, ignore_missing=True) == ["type"]


@calls("deadline.client.job_bundle.submission", "AssetReferences")
def references(workstation: Workstation) -> None:
    document = {
        "assetReferences": {
            "inputs": {"directories": ["/textures"], "filenames": ["/a.ma", "/b.ma"]},
            "outputs": {"directories": ["/out"]},
            "referencedPaths": ["/x"],
        }
    }
    read = AssetReferences.from_dict(document)
    assert read.to_dict() == document
    assert (bool(read), bool(AssetReferences()), bool(AssetReferences.from_dict(None))) == (True, False, False)
    both = read.union(AssetReferences(input_filenames={"/c.ma"}))
    assert both.input_filenames == {"/a.ma", "/b.ma", "/c.ma"}
    assert AssetReferences.from_dict({"assetReferences": {"inputs": {"filenames": ["/a/./b/../c"]}}}) == (
        AssetReferences(input_filenames={"/a/c"})
    )
