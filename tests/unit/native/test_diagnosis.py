"""What is asked before anything is sent: where calls go, who answers, and what a submission would come to."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from fakes.deadline_service import FARM, QUEUE, DeadlineService
from job_bundles import Bundle
from shotput import _native
from shotput.errors import ConfigError, DeadlineOperationError, ServiceError


@pytest.fixture
def target(service: DeadlineService, config_path: Path) -> dict[str, Any]:
    return service.target()


def test_where_calls_go(target: dict[str, Any], service: DeadlineService) -> None:
    port = service.port
    assert _native.resolve_target(target=target) == {
        "farm_id": FARM,
        "queue_id": QUEUE,
        "storage_profile_id": None,
        "region": "us-west-2",
        "profile": None,
        "credentials_source": "HOST_PROVIDED",
        "endpoints": {
            "deadline": f"http://management.localhost:{port}",
            "s3": "https://s3.us-west-2.amazonaws.com",
            "sts": f"http://127.0.0.1:{port}/sts",
            "logs": f"http://127.0.0.1:{port}",
        },
        "proxy": None,
        "ca_bundle": None,
    }
    of_aws = {name: None for name in target if name.endswith("endpoint_url")}
    found = _native.resolve_target(target={**target, **of_aws, "region": "cn-north-1"})
    assert found["endpoints"] == {
        "deadline": "https://management.deadline.cn-north-1.amazonaws.com.cn",
        "s3": "https://s3.cn-north-1.amazonaws.com.cn",
        "sts": "https://sts.cn-north-1.amazonaws.com.cn",
        "logs": "https://logs.cn-north-1.amazonaws.com.cn",
    }
    assert "secret" not in str(found)
    with pytest.raises(ConfigError, match=r"^No AWS region is known\. "):
        _native.resolve_target(target={**target, **of_aws, "region": ""})


def test_whether_anything_answers(
    target: dict[str, Any], service: DeadlineService, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = _native.reach_service("deadline", target=target)
    assert (found["url"], found["proxy"]) == (f"http://management.localhost:{service.port}", None)
    assert abs(found["clock_ahead"]) < 2
    assert 0 < found["seconds"] < 10
    # No credentials go to an address that is only to be tried.
    assert "authorization" not in service.requests[-1].headers
    with pytest.raises(ServiceError) as caught:
        _native.reach_service("deadline", target={**target, "endpoint_url": "http://127.0.0.1:9"})
    assert (caught.value.code, caught.value.status) == ("", 0)
    service.answer("GET", "/", body={}, delay=5)
    with pytest.raises(ServiceError, match=r"is silent for 0\.2 s\. Start the local farm"):
        _native.reach_service("deadline", target=target, timeout=0.2)
    with pytest.raises(ValueError, match='service is "disk"; it must be one of deadline, s3, sts, logs'):
        _native.reach_service("disk", target=target)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="timeout is -1 seconds"):
        _native.reach_service("s3", target=target, timeout=-1)


def test_through_a_proxy(target: dict[str, Any], service: DeadlineService, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", f"http://127.0.0.1:{service.port}")
    monkeypatch.setenv("NO_PROXY", "elsewhere.example.com")
    found = _native.reach_service("deadline", target={**target, "endpoint_url": "http://farm.example.com"})
    assert found["proxy"] == f"http://127.0.0.1:{service.port}/"
    # What answers on this machine is reached without.
    assert _native.reach_service("deadline", target=target)["proxy"] is None
    named = {**target, "endpoint_url": "http://elsewhere.example.com", "region": "us-west-2"}
    with pytest.raises(ServiceError):
        _native.reach_service("deadline", target=named, timeout=1)


def test_who_the_caller_is(target: dict[str, Any], service: DeadlineService) -> None:
    assert _native.get_caller_identity(target=target) == {
        "account": "123456789012",
        "arn": "arn:aws:sts::123456789012:assumed-role/queue/somebody",
    }
    service.answer(
        "POST", "/sts/?", status=403, body=b"<ErrorResponse><Error><Code>ExpiredToken</Code></Error></ErrorResponse>"
    )
    with pytest.raises(ServiceError) as caught:
        _native.get_caller_identity(target=target)
    assert caught.value.operation == "GetCallerIdentity"


def test_a_preview(target: dict[str, Any], service: DeadlineService, tmp_path: Path) -> None:
    bundle = Bundle(tmp_path / "bundle")
    bundle.write("texture.png", b"12345")
    bundle.write("asset_references.yaml", {"assetReferences": {"inputs": {"filenames": ["texture.png", "gone.png"]}}})
    params = {"job_bundle_dir": bundle.folder, "target": target}
    found = _native.preview_submission(params)
    assert found["problems"] == []
    assert found["roots"] == [{"root": str(bundle.folder), "location_name": None, "files": 1, "bytes": 5, "outputs": 0}]
    assert found["warnings"] == [f"The input {bundle.folder}/gone.png does not exist and is not uploaded."]
    found = _native.preview_submission({**params, "require_paths_exist": True, "priority": 101})
    assert [problem["about"] for problem in found["problems"]] == ["limits", "files"]
    assert found["problems"][0]["message"] == "The job's priority is 101; it must be a whole number from 0 to 100."
    local = {"fileSystemLocations": [{"name": "Work", "path": str(tmp_path), "type": "LOCAL"}]}
    assert _native.preview_submission(params, local)["roots"][0]["location_name"] == "Work"
    elsewhere = tmp_path / "elsewhere.png"
    elsewhere.write_bytes(b"1")
    bundle.values(Scene=str(elsewhere))
    found = _native.preview_submission(params)
    assert (found["unknown_files"], found["unknown_folders"]) == (1, [str(tmp_path)])
    found = _native.preview_submission({**params, "known_asset_paths": [tmp_path]})
    assert (found["unknown_files"], found["unknown_folders"]) == (0, [])
    # Nothing of this was asked of anybody.
    assert service.requests == []
    with pytest.raises(DeadlineOperationError, match=r"^No farm is chosen\. "):
        _native.preview_submission({**params, "target": {**target, "farm_id": ""}})


def test_a_preview_collects_what_a_submission_would_end_with(target: dict[str, Any], tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    found = _native.preview_submission({"job_bundle_dir": tmp_path / "empty", "target": target})
    assert found["problems"] == [
        {
            "about": "bundle",
            "message": f"The job bundle {tmp_path}/empty has neither template.yaml nor template.json.",
        }
    ]
    bundle = Bundle(tmp_path / "bundle")
    bundle.write("parameter_values.yaml", {"parameterValues": [{"name": "CondaPackages", "value": "blender"}]})
    params = {"job_bundle_dir": bundle.folder, "target": target}
    # Nobody knows what the queue defines ...
    assert _native.preview_submission(params)["problems"] == []
    # ... or it defines nothing.
    (problem,) = _native.preview_submission({**params, "queue_parameter_definitions": []})["problems"]
    assert problem["about"] == "parameters"
    definition = {"name": "CondaPackages", "type": "STRING", "default": ""}
    found = _native.preview_submission({**params, "queue_parameter_definitions": [definition]})
    assert (found["problems"], found["parameters"][0]["value"]) == ([], "blender")


def test_a_preview_of_a_job_with_too_many_tasks(target: dict[str, Any], tmp_path: Path) -> None:
    bundle = Bundle(tmp_path / "bundle")
    frame = {"name": "Frame", "type": "CHUNK[INT]", "range": "1-100"}
    template: dict[str, Any] = {
        "specificationVersion": "jobtemplate-2023-09",
        "extensions": ["TASK_CHUNKING"],
        "name": "A Job",
        "steps": [{"name": "Render", "script": {"actions": {"onRun": {"command": "true"}}}}],
    }
    (bundle.folder / "template.yaml").unlink()

    def previewed(**chunks: Any) -> dict[str, Any]:
        template["steps"][0]["parameterSpace"] = {"taskParameterDefinitions": [{**frame, **chunks}]}
        bundle.write("template.json", template)
        return _native.preview_submission(
            {"job_bundle_dir": bundle.folder, "target": target, "max_tasks": 50, "queue_parameter_definitions": []}
        )

    found = previewed(chunks={"defaultTaskCount": 1, "rangeConstraint": "CONTIGUOUS"})
    assert found["problems"] == []
    assert found["changes"] == [
        "The job has 100 tasks, and the farm takes at most 50 in one job. With larger chunks it has 50: chunks of 2 "
        'instead of 1 in the step "Render".'
    ]
    (changed,) = found["template"]["steps"][0]["parameterSpace"]["taskParameterDefinitions"]
    assert changed["chunks"]["defaultTaskCount"] == 2
    (problem,) = previewed(type="INT")["problems"]
    assert problem["about"] == "limits"
    assert problem["message"].startswith("The job has 100 tasks; the farm takes at most 50 in one job. ")
