"""Section 9 of the contract: the variables of the environment that count."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from fakes.deadline_service import FARM, QUEUE, SESSION, DeadlineService
from job_bundles import Bundle
from shotput import _native


def test_deadline_config_file_path(config_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DEADLINE_CONFIG_FILE_PATH", str(config_path))
    _native.set_setting("settings.locale", "de")
    assert config_path.read_text() == "[settings]\nlocale = de\n"
    monkeypatch.setenv("DEADLINE_CONFIG_FILE_PATH", "~/elsewhere")
    _native.set_setting("settings.locale", "fr")
    assert Path(os.environ["HOME"], "elsewhere").read_text() == "[settings]\nlocale = fr\n"
    monkeypatch.setenv("DEADLINE_CONFIG_FILE_PATH", "")
    assert _native.get_setting("settings.locale") == ""


def test_deadline_cloud_telemetry_opt_out(config_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DEADLINE_CLOUD_TELEMETRY_OPT_OUT", "true")
    assert _native.TelemetryClient(str(config_path)).telemetry_opted_out is True


def test_deadline_hooks_dir(
    service: DeadlineService, bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ran = tmp_path / "ran"
    hooks = tmp_path / "hooks"
    hooks.mkdir()
    (hooks / "hooks.json").write_text(
        f'{{"version": "1.0", "preSubmission": [{{"command": "touch", "args": ["{ran}"]}}]}}'
    )
    monkeypatch.setenv("DEADLINE_HOOKS_DIR", str(hooks))
    _native.create_job_from_job_bundle({"job_bundle_dir": str(bundle.folder)})
    assert not ran.exists()
    _native.set_setting("settings.allow_environment_hooks", "true")
    _native.create_job_from_job_bundle({"job_bundle_dir": str(bundle.folder)})
    assert ran.exists()


@pytest.mark.parametrize("of_services", ["set", "absent", "empty"])
def test_aws_endpoint_urls(
    of_services: str, service: DeadlineService, configured: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("DEADLINE", "CLOUDWATCHLOGS") if of_services != "set" else ():
        monkeypatch.delenv(f"AWS_ENDPOINT_URL_{name}")
        if of_services == "empty":
            monkeypatch.setenv(f"AWS_ENDPOINT_URL_{name}", "")
        monkeypatch.setenv("AWS_ENDPOINT_URL", service.endpoint)
    assert _native.get_farm(FARM)["farmId"] == FARM
    assert len(_native.get_session_log(FARM, QUEUE, SESSION)["events"]) == 1
    assert [request.headers["host"] for request in service.requests] == [
        f"management.localhost:{service.port}",
        f"localhost:{service.port}",
    ]


def test_the_store_of_an_endpoint_is_asked_in_path_style(
    service: DeadlineService, bundle: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    service.queue["jobAttachmentSettings"] = {"s3BucketName": "studio", "rootPrefix": "Root"}
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", service.endpoint)
    bundle.write("asset_references.yaml", {"assetReferences": {"inputs": {"filenames": ["template.yaml"]}}})
    with pytest.raises(_native.DeadlineOperationError):
        _native.create_job_from_job_bundle({"job_bundle_dir": str(bundle.folder)})
    stored = [request for request in service.requests if request.path.startswith("/studio/Root/Data/")]
    assert stored
    assert {request.headers["host"] for request in stored} == {f"localhost:{service.port}"}


@pytest.mark.parametrize("variable", ["AWS_REGION", "AWS_DEFAULT_REGION"])
def test_the_region(variable: str, service: DeadlineService, configured: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AWS_DEFAULT_REGION")
    monkeypatch.setenv(variable, "eu-north-1")
    _native.list_farms()
    assert "/eu-north-1/deadline/aws4_request" in service.requests[0].headers["authorization"]


def test_keys(service: DeadlineService, configured: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIAOTHER")
    monkeypatch.setenv("AWS_SESSION_TOKEN", "token of mine")
    _native.list_farms()
    (request,) = service.requests
    assert "Credential=AKIAOTHER/" in request.headers["authorization"]
    assert request.headers["x-amz-security-token"] == "token of mine"


@pytest.mark.parametrize("variable", ["AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE"])
def test_the_aws_files_and_the_profile(
    variable: str, service: DeadlineService, configured: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    path = tmp_path / "aws-file"
    section = "profile mine" if variable == "AWS_CONFIG_FILE" else "mine"
    path.write_text(f"[{section}]\naws_access_key_id = AKIAFILE\naws_secret_access_key = secret\n")
    monkeypatch.setenv(variable, str(path))
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_PROFILE", "mine")
    _native.list_farms()
    assert "Credential=AKIAFILE/" in service.requests[0].headers["authorization"]
