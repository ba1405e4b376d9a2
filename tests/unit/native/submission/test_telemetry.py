"""What telemetry is told of a submission, where it is on."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from fakes.deadline_service import FARM, QUEUE, DeadlineService
from job_bundles import Bundle
from shotput import _native
from shotput.errors import DeadlineOperationError

FAMILY = "com.amazon.rum.deadline."
SUMMARY = {
    "total_time",
    "total_files",
    "total_bytes",
    "processed_files",
    "processed_bytes",
    "skipped_files",
    "skipped_bytes",
    "transfer_rate",
}


# At once, in whatever order their answers come.
ASKED = {"get_queue", "list_queue_environments"}


def events(service: DeadlineService) -> list[tuple[str, dict[str, Any]]]:
    found = [request.body["RumEvents"][0] for request in service.sent("POST", "/telemetry")]
    return [(event["type"].removeprefix(FAMILY), json.loads(event["details"])) for event in found]


@pytest.fixture
def params(
    bundle: Bundle, service: DeadlineService, aws_environment: Path, monkeypatch: pytest.MonkeyPatch
) -> dict[str, Any]:
    _native.set_setting("defaults.farm_id", FARM)
    _native.set_setting("defaults.queue_id", QUEUE)
    monkeypatch.setenv("AWS_ENDPOINT_URL_STS", str(service.target()["sts_endpoint_url"]))
    return {"job_bundle_dir": str(bundle.folder), "submitter_name": "blender"}


def test_a_submission_with_files(
    service: DeadlineService, bundle: Bundle, params: dict[str, Any], bucket: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", service.target()["s3_endpoint_url"])
    bundle.write("asset_references.yaml", {"assetReferences": {"inputs": {"filenames": ["template.yaml"]}}})
    _native.create_job_from_job_bundle({**params, "from_gui": True})
    told = events(service)
    assert [
        details.get("function_call", name) for name, details in told if details.get("function_call") not in ASKED
    ] == [
        "job_attachments.hashing_summary",
        "assume_queue_role_for_user",
        "asset_upload",
        "job_attachments.upload_summary",
        "submission",
        "create_job",
        "get_job",
        "create_job",
        "create_job_from_job_bundle",
    ]
    assert {details.get("function_call") for _, details in told} >= ASKED
    by_name = dict(told)
    assert {details["usage_mode"] for details in by_name.values()} == {"GUI"}
    for summary in ("job_attachments.hashing_summary", "job_attachments.upload_summary"):
        assert set(by_name[summary]) == {*SUMMARY, "usage_mode"}
        assert by_name[summary]["total_files"] == 1
    assert by_name["submission"]["submitter_name"] == "blender"
    assert by_name["create_job"]["is_success"] is by_name["asset_upload"]["is_success"] is True
    assert by_name["latency"]["function_call"] == "create_job_from_job_bundle"
    assert by_name["latency"]["latency"] > 0


def test_a_job_that_is_not_created(service: DeadlineService, params: dict[str, Any]) -> None:
    service.job |= {"lifecycleStatus": "CREATE_FAILED", "lifecycleStatusMessage": "No."}
    with pytest.raises(DeadlineOperationError):
        _native.create_job_from_job_bundle(params)
    told = dict(events(service))
    assert told["create_job"] == {
        "is_success": False,
        "exception_type": "DeadlineOperationError",
        "usage_mode": "CLI",
    }


def test_an_upload_that_fails(
    service: DeadlineService, bundle: Bundle, params: dict[str, Any], bucket: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", "http://127.0.0.1:9")
    bundle.write("asset_references.yaml", {"assetReferences": {"inputs": {"filenames": ["template.yaml"]}}})
    with pytest.raises(DeadlineOperationError):
        _native.create_job_from_job_bundle(params)
    assert dict(events(service))["asset_upload"] == {
        "is_success": False,
        "exception_type": "AttachmentsError",
        "usage_mode": "CLI",
    }


def test_a_snapshot(
    service: DeadlineService, bundle: Bundle, params: dict[str, Any], bucket: Path, tmp_path: Path
) -> None:
    bundle.write("asset_references.yaml", {"assetReferences": {"inputs": {"filenames": ["template.yaml"]}}})
    _native.create_job_from_job_bundle({**params, "debug_snapshot_dir": str(tmp_path / "snapshot")})
    names = [name for name, _ in events(service)]
    assert "asset_snapshot" in names
    assert "create_job" not in names


def test_whoever_opted_out_is_not_told_of(service: DeadlineService, params: dict[str, Any]) -> None:
    _native.set_setting("telemetry.opt_out", "true")
    _native.create_job_from_job_bundle(params)
    assert events(service) == []


def test_a_target_that_is_given_whole_tells_nothing(service: DeadlineService, params: dict[str, Any]) -> None:
    _native.create_job_from_job_bundle({**params, "target": service.target()})
    assert events(service) == []
