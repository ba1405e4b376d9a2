"""Profiles of sign-ins to the AWS console: their keys, their renewal, login and logout."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fakes.console_sign_in import PROFILE, AwsCommand, cache_file, sign_in, token
from fakes.deadline_monitor import Monitor
from fakes.deadline_service import DeadlineService
from shotput import _native
from shotput.auth import AwsCredentialsSource
from shotput.errors import DeadlineOperationCanceled, DeadlineOperationError, ServiceError


@pytest.fixture
def config(service: DeadlineService, config_path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A configuration whose profile is a sign-in to the console; nobody is signed in yet, and there is no program."""
    monkeypatch.setenv("AWS_ENDPOINT_URL_DEADLINE", service.endpoint)
    monkeypatch.setenv("AWS_ENDPOINT_URL_SIGNIN", service.endpoint)
    monkeypatch.setenv("PATH", str(tmp_path / "programs"))
    aws = Path(os.environ["AWS_CONFIG_FILE"])
    aws.parent.mkdir()
    aws.write_text(f"[profile me]\n{PROFILE}")
    _native.set_setting("defaults.aws_profile_name", "me", str(config_path))
    return str(config_path)


@pytest.fixture
def aws_command(config: str, tmp_path: Path) -> Any:
    return lambda **behaviour: AwsCommand.install(tmp_path / "programs", **behaviour)


@pytest.fixture
def monitor(config: str, tmp_path: Path) -> Iterator[Any]:
    """Installs a monitor beside the profile."""

    def call(**behaviour: Any) -> Monitor:
        aws, own = Path(os.environ["AWS_CONFIG_FILE"]), Path(config)
        kept = aws.read_text(), own.read_text()
        installed = Monitor.install(tmp_path / "monitor", own, **behaviour)
        path = _native.get_setting("deadline-cloud-monitor.path", config)
        aws.write_text(kept[0])
        own.write_text(kept[1])
        _native.set_setting("deadline-cloud-monitor.path", path, config)
        return installed

    yield call
    (tmp_path / "monitor").mkdir(exist_ok=True)
    (tmp_path / "monitor" / "stop").touch()


def key_of(request: Any) -> str:
    return str(request.headers["authorization"].partition("Credential=")[2].partition("/")[0])


@pytest.mark.parametrize("folder", [None, "elsewhere"])
def test_the_keys_of_a_sign_in(
    folder: str | None, service: DeadlineService, config: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if folder is not None:
        monkeypatch.setenv("AWS_LOGIN_CACHE_DIRECTORY", str(tmp_path / folder))
    sign_in()
    assert _native.check_auth_status(config) == {
        "credentials_source": "AWS_CONSOLE_LOGIN",
        "auth_status": "AUTHENTICATED",
        "api_available": True,
    }
    (request,) = service.requests
    assert key_of(request) == "ASIACONSOLE"
    assert request.headers["x-amz-security-token"] == "token"


def test_the_default_profile_and_keys_in_the_environment(
    service: DeadlineService, config: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    Path(os.environ["AWS_CONFIG_FILE"]).write_text(f"[default]\n{PROFILE}")
    _native.set_setting("defaults.aws_profile_name", "(default)", config)
    sign_in()
    _native.list_farms(config)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIATEST")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    _native.list_farms(config)
    assert [key_of(request) for request in service.requests] == ["ASIACONSOLE", "AKIATEST"]


def test_keys_are_renewed_before_they_run_out(service: DeadlineService, config: str) -> None:
    file = sign_in(accessKeyId="ASIAOLD", lasts=60)
    new = {"accessKeyId": "ASIANEW", "secretAccessKey": "s", "sessionToken": "t"}
    answer = {"accessToken": new, "refreshToken": "refresh-me-next", "expiresIn": 900, "tokenType": "aws_sigv4"}
    service.answer("POST", "/v1/token", body=answer)
    # The farm's region is no reason to renew the keys there.
    _native.set_setting("defaults.farm_region", "eu-central-1", config)
    _native.list_farms(config)
    _native.list_farms(config)
    (renewal,) = service.sent("POST", "/v1/token")
    assert renewal.body["refreshToken"] == "refresh-me"
    assert renewal.body["grantType"] == "refresh_token"
    assert renewal.headers["dpop"].count(".") == 2
    assert [key_of(request) for request in service.sent("GET", "/farms")] == ["ASIANEW", "ASIANEW"]
    kept = json.loads(file.read_text())
    assert kept["refreshToken"] == "refresh-me-next"
    assert kept["accessToken"]["accessKeyId"] == "ASIANEW"
    assert kept["dpopKey"] == token()["dpopKey"]


def test_a_sign_in_that_ended(service: DeadlineService, config: str) -> None:
    assert _native.check_auth_status(config)["auth_status"] == "NEEDS_LOGIN"
    with pytest.raises(ServiceError) as caught:
        _native.list_farms(config)
    assert (caught.value.code, caught.value.status) == ("NoCredentials", 0)
    assert str(caught.value) == (
        "ListFarms was not sent, because there are no usable AWS credentials: unexpected credentials error: failed to "
        f"read `{cache_file()}`: No such file or directory (os error 2). Log in, or set the profile "
        "(defaults.aws_profile_name) or the keys (AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY)."
    )
    sign_in(lasts=-1)
    service.fail("POST", "/v1/token", "AccessDeniedException", "no", status=401)
    assert _native.check_auth_status(config)["auth_status"] == "NEEDS_LOGIN"
    with pytest.raises(ServiceError) as caught:
        _native.list_farms(config)
    assert ": failed to refresh cached Login token: AccessDeniedException: no. Log in, " in str(caught.value)
    assert service.sent("GET", "/farms") == []


def test_a_login_by_the_aws_command(service: DeadlineService, config: str, aws_command: Any) -> None:
    aws = aws_command()
    pending: list[Any] = []
    said = _native.login(config, lambda **details: pending.append(details), lambda: False)
    assert said == "AWS Console sign-in profile: me"
    assert pending == [{"credentials_source": AwsCredentialsSource.AWS_CONSOLE_LOGIN}]
    (call,) = aws.calls()
    assert call["arguments"] == ["login", "--profile", "me"]
    assert [key_of(request) for request in service.requests] == ["ASIACONSOLE"]


def test_the_default_profile_by_the_name_that_the_aws_command_has_for_it(config: str, aws_command: Any) -> None:
    Path(os.environ["AWS_CONFIG_FILE"]).write_text(f"[default]\n{PROFILE}")
    _native.set_setting("defaults.aws_profile_name", "", config)
    aws = aws_command()
    assert _native.login(config) == "AWS Console sign-in profile: (default)"
    assert aws.calls()[0]["arguments"] == ["login", "--profile", "default"]


def test_keys_that_still_hold_do_not_end_a_login(service: DeadlineService, config: str, aws_command: Any) -> None:
    sign_in(accessKeyId="ASIAOLD")
    aws = aws_command(ends_with=None)
    with pytest.raises(DeadlineOperationCanceled) as caught:
        _native.login(config, None, lambda: bool(aws.calls()))
    assert str(caught.value) == 'The login to the profile "me" was canceled.'
    with pytest.raises(ProcessLookupError):
        os.kill(aws.calls()[0]["pid"], 0)
    assert service.requests == []


def test_an_aws_command_that_fails(service: DeadlineService, config: str, aws_command: Any) -> None:
    aws_command(says="argument command: Found invalid choice 'login'", ends_with=252)
    with pytest.raises(DeadlineOperationError) as caught:
        _native.login(config)
    assert str(caught.value) == (
        'The AWS command ended with code 252 at the login of the profile "me", and said "argument command: Found '
        "invalid choice 'login'\". Try again, or run `aws login --profile me` in a terminal."
    )


def test_an_aws_command_that_is_not_there(config: str) -> None:
    with pytest.raises(DeadlineOperationError) as caught:
        _native.login(config)
    assert str(caught.value) == (
        "Cannot start the AWS command aws: No such file or directory (os error 2). Install it (version 2.32 or newer), "
        f"or the Deadline Cloud monitor (deadline-cloud-monitor.path in {config}): one of the two opens the browser."
    )


def test_somebody_whom_deadline_cloud_does_not_take(service: DeadlineService, config: str, aws_command: Any) -> None:
    aws_command()
    service.fail("GET", "/farms", "AccessDeniedException", "Not you", status=403)
    with pytest.raises(DeadlineOperationError) as caught:
        _native.login(config)
    assert str(caught.value) == (
        'The profile "me" is signed in to the AWS console, but Deadline Cloud does not take it: '
        "AccessDeniedException: Not you"
    )


def test_the_monitor_comes_before_the_aws_command(
    service: DeadlineService, config: str, aws_command: Any, monitor: Any
) -> None:
    aws, installed = aws_command(), monitor()
    pending: list[Any] = []

    def canceled() -> bool:
        # A person signs in, in the browser that the monitor opened.
        if installed.calls():
            sign_in()
        return False

    said = _native.login(config, lambda **details: pending.append(details), canceled)
    assert said == "AWS Console sign-in profile: me"
    assert pending == [{"credentials_source": AwsCredentialsSource.AWS_CONSOLE_LOGIN}]
    assert installed.calls()[0]["arguments"] == ["login", "--profile", "me"]
    assert aws.calls() == []
    assert installed.is_running()


def test_a_logout_removes_the_keys(service: DeadlineService, config: str, aws_command: Any) -> None:
    aws = aws_command()
    file = sign_in()
    other = file.with_name("other.json")
    other.touch()
    for _ in range(2):  # the second time nobody is signed in any more
        assert _native.logout(config) == "Successfully logged out of AWS Console sign-in profile: me"
        assert list(file.parent.iterdir()) == [other]
    assert _native.check_auth_status(config)["auth_status"] == "NEEDS_LOGIN"
    assert aws.calls() == []


@pytest.mark.parametrize("code", [0, 3])
def test_a_logout_tells_the_monitor(code: int, config: str, monitor: Any) -> None:
    installed = monitor(ends_with=code)
    sign_in()
    assert _native.logout(config) == "Successfully logged out of AWS Console sign-in profile: me"
    assert installed.calls()[0]["arguments"] == ["logout", "--profile", "me"]
    assert not cache_file().exists()


def test_keys_that_cannot_be_removed(config: str) -> None:
    file = cache_file()
    file.mkdir(parents=True)
    with pytest.raises(DeadlineOperationError) as caught:
        _native.logout(config)
    assert str(caught.value) == (
        f'Cannot remove the keys of the profile "me", the file {file}: Is a directory (os error 21). Remove it by hand.'
    )
