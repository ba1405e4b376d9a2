"""Calls of what tools check and run around a bundle: shapes of parameters, hooks, regions."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
from deadline.client import job_bundle
from deadline.client.api import _loginout
from deadline.client.config import config_file, set_setting
from deadline.client.exceptions import DeadlineOperationError
from deadline.client.job_bundle import _hooks, adaptors, hooks, job_template, parameters, submission
from drop_in.calls import calls
from drop_in.conftest import Workstation

PARAMETERS = "deadline.client.job_bundle.parameters"


@calls("deadline.client.job_bundle.submission", "split_parameter_args")
def split(workstation: Workstation) -> None:
    values: list[Any] = [
        {"name": "Frames", "type": "STRING", "value": "1-3"},
        {"name": "Quality", "type": "INT", "value": 5},
        {"name": "Empty", "type": "INT"},
        {"name": "Gains", "type": "list[float]", "value": "[1e16, 2]"},
        {"name": "deadline:priority", "value": 70},
        {"name": "other:thing", "value": 1},
    ]
    assert submission.split_parameter_args(values, "/bundle") == (
        {"priority": 70},
        {"Frames": {"string": "1-3"}, "Quality": {"int": "5"}, "Gains": {"floatList": ["1e+16", "2.0"]}},
    )
    assert submission.split_parameter_args(values, "/bundle", "other", ["thing"])[0] == {"thing": 1}
    with pytest.raises(DeadlineOperationError) as error:
        submission.split_parameter_args([{"name": "deadline:colour", "value": 1}], "/bundle")
    assert str(error.value) == (
        "The job bundle /bundle has 'deadline:colour'; known after 'deadline:' are targetTaskRunStatus, priority, "
        "maxFailedTasksCount, maxRetriesPerTask, maxWorkerCount."
    )


@calls(PARAMETERS, "validate_job_parameter", "validate_user_interface_spec", "validate_user_interface_file_filter")
@calls(PARAMETERS, "UserInterfaceSpec", "UserInterfaceFileFilter", "JobParameterItemConstraints")
def shapes(workstation: Workstation) -> None:
    line: parameters.UserInterfaceFileFilter = {"label": "Scenes", "patterns": ["*.ma"]}
    look: parameters.UserInterfaceSpec = {"control": "CHOOSE_INPUT_FILE", "fileFilters": [line], "decimals": 2}
    definition = {"name": "Scene", "type": "PATH", "objectType": "FILE", "default": "a", "userInterface": look}
    limits: parameters.JobParameterItemConstraints = {"minLength": 1, "item": {"allowedValues": [1, 2]}}
    tiles = {"name": "Tiles", "type": "LIST[LIST[INT]]", "default": [[1], [2, 1]], "item": limits}
    assert parameters.validate_job_parameter(tiles) is tiles
    checked = parameters.validate_job_parameter(definition, type_required=True, default_required=True)
    assert checked is definition
    assert parameters.validate_user_interface_spec(look, parameter_name="Scene") is look
    assert parameters.validate_user_interface_file_filter(line, parameter_name="S", field_path="x") is line
    for change, kind, said in (
        (
            {"type": "CHUNK[INT]"},
            ValueError,
            "-> type is 'CHUNK[INT]'; it must be one of STRING, PATH, INT, FLOAT, BOOL, RANGE_EXPR, LIST[STRING], "
            "LIST[PATH], LIST[INT], LIST[FLOAT], LIST[BOOL], LIST[LIST[INT]].",
        ),
        ({"type": "LIST[PATH]"}, TypeError, "-> default is 'a', of the type str; it must be list."),
        ({"default": None}, ValueError, "-> default is None; give a value, or leave it out."),
        ({"minLength": True}, TypeError, "-> minLength is True, of the type bool; it must be int."),
        ({"maxValue": "x"}, ValueError, "-> maxValue is 'x', which is no number."),
        (
            {"userInterface": {"singleStepDelta": 0}},
            ValueError,
            "-> userInterface -> singleStepDelta is 0; it must be above 0.",
        ),
        ({"userInterface": {"fileFilters": [{}]}}, ValueError, "-> userInterface -> fileFilters[0] has no label."),
    ):
        with pytest.raises(kind) as error:
            parameters.validate_job_parameter({**definition, **change})
        assert str(error.value) == f"The job parameter 'Scene' {said}"
    with pytest.raises(ValueError, match=r"^The job parameter 'P' has no type\.$"):
        parameters.validate_job_parameter({"name": "P"}, type_required=True)
    with pytest.raises(TypeError, match=r"^The job parameter is 5, of the type int; it must be dict\.$"):
        parameters.validate_job_parameter(5)


@calls(PARAMETERS, "validate_job_parameter_value")
def values(workstation: Workstation) -> None:
    check = parameters.validate_job_parameter_value
    whole: parameters.JobParameter = {
        "name": "N",
        "type": "INT",
        "minValue": 1,
        "maxValue": "20",
        "allowedValues": [2, 19],
    }
    assert check(whole, "19") == 19
    assert check({"name": "F", "type": "FLOAT"}, "1.5") == 1.5
    assert check({"name": "L", "type": "LIST[BOOL]"}, '["yes", 0]') == [True, False]
    for definition, value, kind, said in (
        (whole, 2.5, ValueError, "is no whole number."),
        (whole, 0, ValueError, "is below 1 (minValue)."),
        (whole, 21, ValueError, "is above 20 (maxValue)."),
        (whole, 3, ValueError, "is none of 2, 19."),
        ({"name": "N", "type": "PATH"}, 3, TypeError, "is no text, as the type PATH asks."),
        ({"name": "N", "type": "STRING", "maxLength": 2}, "abc", ValueError, "is longer than 2 (maxLength)."),
    ):
        with pytest.raises(kind) as error:
            check(definition, value)  # type: ignore[arg-type]
        assert str(error.value) == f"The value {value!r} of the job parameter 'N' {said}"


@calls(PARAMETERS, "merge_queue_job_parameters")
def merged(workstation: Workstation) -> None:
    queue: list[parameters.JobParameter] = [{"name": "Packages", "type": "STRING", "default": "maya"}]
    job: list[parameters.JobParameter] = [
        {"name": "Packages", "type": "STRING", "default": "blender"},
        {"name": "Packages", "value": "houdini"},
        {"name": "deadline:priority", "value": 1},
    ]
    assert parameters.merge_queue_job_parameters(job_parameters=job, queue_parameters=queue) == [
        {"name": "Packages", "type": "STRING", "default": "blender", "value": "houdini"},
        {"name": "deadline:priority", "value": 1},
    ]
    assert queue[0] == {"name": "Packages", "type": "STRING", "default": "maya"}
    with pytest.raises(DeadlineOperationError) as error:
        parameters.merge_queue_job_parameters(
            job_parameters=[{"name": "Packages", "type": "INT"}], queue_parameters=queue, queue_id="queue-1"
        )
    assert str(error.value) == "The queue queue-1 and the job bundle define parameters differently:\n  Packages: type"
    with pytest.raises(DeadlineOperationError, match=r"^The bundle has a value for 'X', which nobody defines\.$"):
        parameters.merge_queue_job_parameters(job_parameters=[{"name": "X", "value": 1}], queue_parameters=[])


@calls("deadline.client.job_bundle.job_template", "ControlType")
@calls("deadline.client.job_bundle.adaptors", "parse_frame_range")
def words(workstation: Workstation) -> None:
    assert job_bundle.__name__ == "deadline.client.job_bundle"
    assert job_template.ControlType["CHECK_BOX"] is job_template.ControlType.CHECK_BOX
    frames = {"7": [7], "1-3": [1, 2, 3], "3-1": [3, 2, 1], "1-6:2": [1, 3, 5], "-2--4:-2": [-2, -4]}
    assert {text: adaptors.parse_frame_range(text) for text in frames} == frames
    for text in ("a", "1-3:-1", "3-1:1", "1-3:0"):
        with pytest.raises(ValueError, match=text):
            adaptors.parse_frame_range(text)


@calls("deadline.client.api._loginout", "UnsupportedProfileTypeForLoginLogout")
def no_monitor(workstation: Workstation) -> None:
    with pytest.raises(_loginout.UnsupportedProfileTypeForLoginLogout):
        _loginout.login(None, None)


@calls("deadline.client.config.config_file", "get_deadline_regions")
def regions(workstation: Workstation) -> None:
    assert config_file.get_deadline_regions() == config_file.DEADLINE_REGIONS
    set_setting("settings.deadline_regions", "eu-west-1, ,us-east-1,eu-west-1")
    assert config_file.get_deadline_regions() == ["eu-west-1", "us-east-1"]
    os.environ["DEADLINE_CLOUD_REGIONS"] = "us-west-2"
    assert config_file.get_deadline_regions() == ["us-west-2"]


@calls("deadline.client.config.config_file", "SETTINGS")
def all_settings(workstation: Workstation) -> None:
    set_setting("defaults.farm_id", "farm-1")
    assert config_file.SETTINGS["defaults.farm_id"] == {
        "default": "",
        "description": "The farm.",
        "depend": "defaults.aws_profile_name",
    }
    assert config_file.SETTINGS["settings.job_history_dir"]["default"] == config_file.DEFAULT_JOB_HISTORY_DIR
    assert "depend" not in config_file.SETTINGS["defaults.aws_profile_name"]
    assert all(setting["description"].endswith(".") for setting in config_file.SETTINGS.values())


METADATA: dict[str, Any] = {
    "job_name": "Shot",
    "priority": 50,
    "farm_id": "farm-1",
    "queue_id": "queue-1",
    "job_bundle_dir": "/bundle",
    "parameters": {},
    "submitter_name": "Maya",
    "asset_references": {},
    "submission_payload": {},
}
HOOK = """#!/bin/sh
echo "queue $DEADLINE_QUEUE_ID, mark $MARK" >&2
cat > "$(dirname "$0")/told"
echo '{answer}'
exit {code}
"""


def _folder(workstation: Workstation, phase: str, answer: Any, code: int = 0, timeout: int = 20) -> str:
    workstation.file("hooks/run.sh", HOOK.format(answer=json.dumps(answer), code=code)).chmod(0o755)
    hook = {"command": "run.sh", "args": ["hooks.json"], "env": {"MARK": 7}, "timeout": timeout}
    return str(workstation.file("hooks/hooks.json", json.dumps({"version": "1.0", phase: [hook]})).parent)


@calls("deadline.client.job_bundle.hooks", "HookManager")
@calls("deadline.client.job_bundle._hooks", *_hooks.__all__)
def hook_programs(workstation: Workstation) -> None:
    assert hooks.HookManager is _hooks.HookManager
    said: list[str] = []
    folder = _folder(workstation, "preGUI", {"parameters": {"Frames": "5"}, "name": "Mine"})
    (source,) = _hooks.collect_pre_gui_hook_sources("", folder, False, True, said.append)
    assert (source.source_label, source.hooks) == (
        "environment (DEADLINE_HOOKS_DIR)",
        _hooks.HookConfiguration("1.0", [_hooks.HookDefinition("run.sh", ["hooks.json"], 20, {"MARK": 7})], [], []),  # type: ignore[dict-item]
    )
    told = _hooks.HookMetadata(**METADATA)
    assert source.execute_pre_gui_hooks(told) == {"parameters": {"Frames": "5"}, "name": "Mine"}
    assert said == ["Running pre-GUI hook [1]: run.sh hooks.json", "  [pre-GUI hook 1] queue queue-1, mark 7"]
    assert json.loads(Path(folder, "told").read_text()) == told.to_dict()
    assert source.hooks is not None
    assert _hooks._generate_hooks_confirmation_message(source.hooks, folder) == (
        f"The job bundle has hooks that would run on this machine, from {folder}:\n"
        "  before the dialog: run.sh hooks.json\n"
    )
    with pytest.raises(DeadlineOperationError, match="answers farmId; it may answer parameters, name, description"):
        _hooks.validate_pre_gui_output({"farmId": "f"}, "h")

    answer = {"priority": 90, "attachments": {"assetReferences": {"inputFilenames": ["/a"]}}}
    manager = _hooks.HookManager(_folder(workstation, "preSubmission", answer), said.append)
    assert manager.load_hooks() is not None
    before = {"priority": 50, "attachments": {"assetReferences": {"inputFilenames": [], "outputDirectories": ["/o"]}}}
    assert manager.execute_pre_submission_hooks(told, before) == {
        "priority": 90,
        "attachments": {"assetReferences": {"inputFilenames": ["/a"], "outputDirectories": ["/o"]}},
    }
    # Off by default, and told.
    said.clear()
    assert _hooks.collect_submission_hook_sources(folder, None, False, False, said.append) == []
    assert said == [
        f"The submission hooks in {folder} are left out. Set settings.allow_bundle_hooks to true to let them run."
    ]
    (one,) = _hooks.collect_submission_hook_sources(folder, folder, False, True, said.append)
    assert one.source_label == "job bundle"

    # What fails stops a submission, and is a warning after it.
    failing = _hooks.HookManager(_folder(workstation, "preSubmission", {}, code=3), said.append)
    failing.load_hooks()
    with pytest.raises(DeadlineOperationError, match=r"^The pre-submission hook 'run.sh hooks.json' ended with 3\.$"):
        failing.execute_pre_submission_hooks(told, before)
    slow = workstation.file(
        "hooks/hooks.json", json.dumps({"preGUI": [{"command": "sleep", "args": ["9"], "timeout": 1}]})
    )
    late = _hooks.HookManager(str(slow.parent), said.append)
    late.load_hooks()
    with pytest.raises(DeadlineOperationError, match=r"^The pre-GUI hook 'sleep 9' took longer than 1 s\.$"):
        late.execute_pre_gui_hooks(told)
    after = _hooks.HookManager(_folder(workstation, "postSubmission", {}, code=1), said.append)
    after.load_hooks()
    after.execute_post_submission_hooks(told)
    result = _hooks.HookResult(0, "", "", 0.1, timed_out=True)
    assert result.is_success() is False
    with pytest.raises(DeadlineOperationError, match=r"^The hooks are of version '2'; only 1.0 is known\.$"):
        _hooks.HookConfiguration.from_dict({"version": "2"})
