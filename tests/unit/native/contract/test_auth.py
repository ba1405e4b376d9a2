"""Section 4 of the contract: sources, statuses, logins, whose name goes along, whose rights are used."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fakes import console_sign_in
from fakes.deadline_monitor import Monitor
from fakes.deadline_service import FARM, QUEUE, DeadlineService
from job_bundles import Bundle
from shotput import _native, errors
from shotput.auth import AwsAuthenticationStatus, AwsCredentialsSource

SOURCES = {
    "named profile, no section": ("gone", "NOT_VALID"),
    "named profile with monitor_id": ("studio", "DEADLINE_CLOUD_MONITOR_LOGIN"),
    "named profile without monitor_id": ("plain", "HOST_PROVIDED"),
    "named profile in the credentials file alone": ("keys-only", "HOST_PROVIDED"),
    "named profile with login_session": ("console", "AWS_CONSOLE_LOGIN"),
    "named profile in quotes": ("quoted", "HOST_PROVIDED"),
    "named profile of two words": ("two words", "DEADLINE_CLOUD_MONITOR_LOGIN"),
    "named profile beyond ASCII": ("Köln", "HOST_PROVIDED"),
    "two words in the credentials file alone": ("keys only", "HOST_PROVIDED"),
    "two words without quotes are no profile": ("no profile", "NOT_VALID"),
    "default profile": ("(default)", "HOST_PROVIDED"),
    "default profile by its other name": ("default", "HOST_PROVIDED"),
    "default profile, unset": ("", "HOST_PROVIDED"),
}


@pytest.fixture
def profiles(aws_environment: Path) -> None:
    for variable, text in {
        "AWS_CONFIG_FILE": (
            "[profile studio]\nmonitor_id = monitor-1\nuser_id = user-1\nidentity_store_id = d-1\n"
            "aws_access_key_id = AKIASTUDIO\naws_secret_access_key = secret\n[profile plain]\nregion = us-west-2\n"
            f"# [profile gone]\n[profile console]\n{console_sign_in.PROFILE}\n"
            '[profile "quoted"]\nregion = us-west-2\n[profile no profile]\nregion = us-west-2\n'
            "[profile 'two words']\nmonitor_id = m\nuser_id = user-1\nsource_profile = keys only\n"
            "role_arn = arn:aws:iam::0:role/r\n[profile Köln]\nregion = us-west-2\n"
        ),
        "AWS_SHARED_CREDENTIALS_FILE": "".join(
            f"[{name}]\naws_access_key_id = AKIAKEYS\naws_secret_access_key = secret\n"
            for name in ("keys-only", "keys only")
        ),
    }.items():
        path = Path(os.environ[variable])
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
    console_sign_in.sign_in()


@pytest.mark.usefixtures("profiles")
@pytest.mark.parametrize("row", SOURCES)
def test_credentials_sources(row: str, service: DeadlineService) -> None:
    profile, expected = SOURCES[row]
    _native.set_setting("defaults.aws_profile_name", profile)
    assert _native.get_credentials_source() == expected
    assert service.requests == []


@pytest.mark.usefixtures("profiles")
@pytest.mark.parametrize(
    ("profile", "answers", "status"),
    [
        ("(default)", True, "AUTHENTICATED"),
        ("(default)", False, "CONFIGURATION_ERROR"),
        ("studio", True, "AUTHENTICATED"),
        ("studio", False, "NEEDS_LOGIN"),
        ("gone", True, "CONFIGURATION_ERROR"),
        ("console", True, "AUTHENTICATED"),
        ("console", False, "NEEDS_LOGIN"),
        ("keys only", True, "AUTHENTICATED"),
    ],
)
def test_auth_statuses(profile: str, answers: bool, status: str, service: DeadlineService) -> None:
    _native.set_setting("defaults.aws_profile_name", profile)
    if not answers:
        service.fail("GET", "/farms", "AccessDeniedException", "no", status=403)
    found = _native.check_auth_status()
    assert found == {
        "credentials_source": _native.get_credentials_source(),
        "auth_status": status,
        "api_available": status == "AUTHENTICATED",
    }
    assert _native.check_api_available() is found["api_available"]
    said: list[str] = []
    assert _native.check_auth_status_with_progress(None, said.append) == found
    assert len(said) >= 3
    for probe in service.sent("GET", "/farms"):
        assert probe.query["maxResults"] == ["1"]
        assert probe.query.get("principalId") == (["user-1"] if profile == "studio" else None)


def test_the_values_are_those_of_the_enumerations() -> None:
    assert [(member.name, member.value) for member in AwsCredentialsSource] == [
        (name, name) for name in ("NOT_VALID", "HOST_PROVIDED", "DEADLINE_CLOUD_MONITOR_LOGIN", "AWS_CONSOLE_LOGIN")
    ]
    assert [(member.name, member.value) for member in AwsAuthenticationStatus] == [
        (name, name) for name in ("CONFIGURATION_ERROR", "AUTHENTICATED", "NEEDS_LOGIN")
    ]


@pytest.mark.usefixtures("profiles")
@pytest.mark.parametrize(
    ("call", "path"),
    [
        (_native.list_farms, "/farms"),
        (lambda: _native.list_queues(FARM), f"/farms/{FARM}/queues"),
    ],
)
def test_lists_name_the_user_of_a_monitor(call: Any, path: str, service: DeadlineService) -> None:
    call()
    _native.set_setting("defaults.aws_profile_name", "studio")
    call()
    plain, monitor = service.sent("GET", path)
    assert "principalId" not in plain.query
    assert monitor.query["principalId"] == ["user-1"]


@pytest.mark.usefixtures("profiles")
@pytest.mark.parametrize(
    "call",
    [
        lambda: _native.get_farm(FARM),
        lambda: _native.get_queue(FARM, QUEUE),
        lambda: _native.list_storage_profiles_for_queue(FARM, QUEUE),
    ],
)
def test_other_calls_do_not(call: Any, service: DeadlineService) -> None:
    _native.set_setting("defaults.aws_profile_name", "studio")
    call()
    assert "principalId" not in service.requests[0].query


@pytest.fixture
def monitor(
    service: DeadlineService, config_path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Monitor]:
    monkeypatch.setenv("AWS_ENDPOINT_URL_DEADLINE", service.endpoint)
    yield Monitor.install(tmp_path / "monitor", config_path)
    (tmp_path / "monitor" / "stop").touch()


def test_login_row_by_row(service: DeadlineService, monitor: Monitor) -> None:
    path = str(monitor.config_path)
    # 1. Only profiles of the monitor, or of a sign-in to the AWS console.
    _native.set_setting("defaults.aws_profile_name", "plain", path)
    with pytest.raises(errors.UnsupportedProfileTypeForLoginLogout):
        _native.login(path)
    assert monitor.calls() == []
    _native.set_setting("defaults.aws_profile_name", "studio", path)
    # 2. to 4. The program, the callback with its one keyword, the sentence.
    service.fail("GET", "/farms", "AccessDeniedException", "no", status=403, times=1)
    pending: list[Any] = []
    said = _native.login(path, lambda *a, **k: pending.append((a, k)))
    assert said == "Deadline Cloud monitor profile: studio"
    assert pending == [((), {"credentials_source": AwsCredentialsSource.DEADLINE_CLOUD_MONITOR_LOGIN})]
    while not monitor.calls():
        time.sleep(0.01)
    assert monitor.calls()[0]["arguments"] == ["login", "--profile", "studio"]
    # A true answer cancels, by the class that callers catch.
    service.fail("GET", "/farms", "AccessDeniedException", "no", status=403)
    with pytest.raises(errors.LoginCanceled):
        _native.login(path, on_cancellation_check=lambda: 1)


def test_logout_forgets_the_rights_of_queues(
    service: DeadlineService, configured: Path, bundle: Bundle, bucket: Path, tmp_path: Path
) -> None:
    bundle.write("asset_references.yaml", {"assetReferences": {"inputs": {"filenames": ["template.yaml"]}}})
    params = {"job_bundle_dir": str(bundle.folder)}
    for _ in range(2):
        _native.create_job_from_job_bundle(params)
    assert len(service.sent("GET", "/user-roles")) == 1
    monitor_config = tmp_path / "monitor-config" / "config"
    Monitor.install(tmp_path / "monitor", monitor_config, says="bye", ends_with=0)
    assert _native.logout(str(monitor_config)) == "bye\n"
    _native.create_job_from_job_bundle(params)
    assert len(service.sent("GET", "/user-roles")) == 2


def test_files_are_sent_with_the_rights_of_the_queue(service: DeadlineService, bundle: Bundle, bucket: Path) -> None:
    # The object store knows the keys of the role and no others, and the role is one that can be refreshed.
    bundle.write("asset_references.yaml", {"assetReferences": {"inputs": {"filenames": ["template.yaml"]}}})
    service.credentials["expiration"] = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + 60))
    _native.create_job_from_job_bundle({"job_bundle_dir": str(bundle.folder)})
    assert list(bucket.rglob("*xxh128*"))
    (identity, *_) = service.sent("POST", "/sts/")
    assert identity.headers["x-amz-security-token"] == "queue-token"
    assert len(service.sent("GET", "/user-roles")) > 1


def test_the_user_agent(service: DeadlineService, bundle: Bundle) -> None:
    _native.create_job_from_job_bundle(
        {"job_bundle_dir": str(bundle.folder), "submitter_name": "blender", "submitter_version": "4.2 beta"}
    )
    agent = service.sent("POST", "/jobs")[0].headers["user-agent"]
    assert f"app/deadline-client#{_native.__version__}" in agent
    assert agent.endswith(" submitter/blender#4.2-beta")
