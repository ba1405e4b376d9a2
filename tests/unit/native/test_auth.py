"""Logging in and out through the Deadline Cloud monitor, and the authentication status with its steps."""

from __future__ import annotations

import json
import os
import pickle
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fakes.deadline_monitor import Monitor
from fakes.deadline_service import DeadlineService
from shotput import _native
from shotput.auth import AwsAuthenticationStatus, AwsCredentialsSource
from shotput.errors import (
    ConfigError,
    DeadlineOperationCanceled,
    DeadlineOperationError,
    LoginCanceled,
    UnsupportedProfileTypeForLoginLogout,
)


@pytest.fixture
def install(
    service: DeadlineService, config_path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Any]:
    """Installs a monitor; it is told to stop when the test is over."""
    monkeypatch.setenv("AWS_ENDPOINT_URL_DEADLINE", service.endpoint)
    folder = tmp_path / "monitor"

    def call(**behaviour: Any) -> Monitor:
        return Monitor.install(folder, config_path, **behaviour)

    yield call
    (folder / "stop").touch()


def refuse_logins(service: DeadlineService, times: int = 10**6) -> None:
    service.fail("GET", "/farms", "AccessDeniedException", "The token expired", status=403, times=times)


def test_a_login(service: DeadlineService, install: Any) -> None:
    monitor = install()
    refuse_logins(service, times=2)
    pending: list[Any] = []
    asked: list[bool] = []
    said = _native.login(
        str(monitor.config_path),
        lambda **details: pending.append(details),
        lambda: bool(asked.append(True)),
    )
    assert said == "Deadline Cloud monitor profile: studio"
    assert pending == [{"credentials_source": AwsCredentialsSource.DEADLINE_CLOUD_MONITOR_LOGIN}]
    assert type(pending[0]["credentials_source"]) is AwsCredentialsSource
    assert len(asked) == 2
    probes = service.sent("GET", "/farms")
    assert len(probes) == 3
    assert {probe.query["principalId"][0] for probe in probes} == {"user-1"}
    (call,) = monitor.calls()
    assert call["arguments"] == ["login", "--profile", "studio"]
    assert call["input"] == ""


def test_the_monitor_stays_after_the_login_and_leaves_nothing_behind(service: DeadlineService, install: Any) -> None:
    monitor = install()
    refuse_logins(service, times=1)
    _native.login(str(monitor.config_path), None, lambda: monitor.calls() == [] and None)
    while not monitor.calls():
        pass
    assert monitor.is_running()
    (monitor.folder / "stop").touch()
    # A process that nobody takes note of would stay in the table as long as this one.
    monitor.wait_until_gone()


@pytest.mark.parametrize("name", ["", "default", "(default)"])
def test_the_default_profile(name: str, service: DeadlineService, install: Any, config_path: Path) -> None:
    monitor = install(says="bye", ends_with=0)
    Path(monitor.folder.parent / "aws" / "config").write_text("[default]\nmonitor_id = monitor-1\n")
    _native.set_setting("defaults.aws_profile_name", name, str(config_path))
    assert _native.logout(str(config_path)) == "bye\n"
    assert monitor.calls()[0]["arguments"] == ["logout", "--profile", "(default)"]


def test_a_login_that_is_canceled(service: DeadlineService, install: Any) -> None:
    monitor = install()
    refuse_logins(service)
    with pytest.raises(LoginCanceled) as caught:
        _native.login(str(monitor.config_path), None, lambda: len(monitor.calls()) == 1)
    assert str(caught.value) == 'The login to the profile "studio" was canceled.'
    assert isinstance(pickle.loads(pickle.dumps(caught.value)), LoginCanceled)
    assert not monitor.is_running()


def test_a_login_is_canceled_while_the_service_is_silent(service: DeadlineService, install: Any) -> None:
    monitor = install()
    service.answer("GET", "/farms", body={"farms": []}, delay=5)
    with pytest.raises(DeadlineOperationCanceled):
        _native.login(str(monitor.config_path), None, lambda: True)
    assert len(service.sent("GET", "/farms")) == 1


def test_a_monitor_that_fails(service: DeadlineService, install: Any) -> None:
    monitor = install(says="No such profile", ends_with=3)
    refuse_logins(service)
    with pytest.raises(DeadlineOperationError) as caught:
        _native.login(str(monitor.config_path))
    assert type(caught.value) is DeadlineOperationError
    assert str(caught.value) == (
        'The Deadline Cloud monitor ended with code 3 at the login of the profile "studio", and said "No such '
        'profile". Try again, or log in there by hand.'
    )


def test_a_monitor_that_hands_over_to_one_that_runs(service: DeadlineService, install: Any) -> None:
    monitor = install(ends_with=0)
    refuse_logins(service)

    def canceled() -> bool:
        # Somebody logs in, in the window of the other one, some time after this one ended.
        if monitor.calls() and len(service.sent("GET", "/farms")) == 4:
            service.answers.clear()
        return False

    assert _native.login(str(monitor.config_path), None, canceled) == "Deadline Cloud monitor profile: studio"
    assert len(service.sent("GET", "/farms")) == 5


def test_a_monitor_that_is_not_there(install: Any, config_path: Path) -> None:
    install()
    _native.set_setting("deadline-cloud-monitor.path", "/nowhere/monitor", str(config_path))
    for call in (_native.login, _native.logout):
        with pytest.raises(DeadlineOperationError) as caught:
            call(str(config_path))
        assert str(caught.value) == (
            "Cannot start the Deadline Cloud monitor /nowhere/monitor: No such file or directory (os error 2). Install "
            f"the monitor, or correct deadline-cloud-monitor.path in {config_path}."
        )


def test_no_path_of_the_monitor(install: Any, config_path: Path) -> None:
    install()
    _native.set_setting("deadline-cloud-monitor.path", "", str(config_path))
    with pytest.raises(ConfigError) as caught:
        _native.login(str(config_path))
    assert str(caught.value) == (
        f"The setting deadline-cloud-monitor.path in {config_path} is empty, so the Deadline Cloud monitor cannot be "
        "started. Start the monitor once and log in there, or set the path of its program."
    )


OF_ANOTHER_KIND = (
    "Logging in and out is only supported for AWS profiles of the Deadline Cloud monitor and of sign-ins to the AWS "
    'console; the profile "plain" is neither. Log in with the tool that made it, or set defaults.aws_profile_name in '
    "{config} to such a profile."
)
OF_NO_KIND = (
    'The AWS profile "unheard-of" (setting defaults.aws_profile_name in {config}) is in neither of the AWS files {aws} '
    "and {keys}. Add the profile there, or set defaults.aws_profile_name to another one."
)


@pytest.mark.parametrize(("profile", "text"), [("plain", OF_ANOTHER_KIND), ("unheard-of", OF_NO_KIND)])
@pytest.mark.parametrize("call", [_native.login, _native.logout])
def test_a_profile_that_the_monitor_did_not_make(
    call: Any, profile: str, text: str, install: Any, config_path: Path
) -> None:
    monitor = install()
    _native.set_setting("defaults.aws_profile_name", profile, str(config_path))
    with pytest.raises(UnsupportedProfileTypeForLoginLogout) as caught:
        call(str(config_path))
    assert str(caught.value) == text.format(
        config=config_path, aws=os.environ["AWS_CONFIG_FILE"], keys=os.environ["AWS_SHARED_CREDENTIALS_FILE"]
    )
    assert isinstance(pickle.loads(pickle.dumps(caught.value)), UnsupportedProfileTypeForLoginLogout)
    assert monitor.calls() == []


class QuarrelError(BaseException):
    pass


@pytest.mark.parametrize("at", ["pending", "check"])
def test_what_a_callback_of_the_login_raises_comes_out(at: str, service: DeadlineService, install: Any) -> None:
    monitor = install()
    refuse_logins(service)
    raised = QuarrelError("mine")

    def quarrel(**_: object) -> bool:
        raise raised

    with pytest.raises(QuarrelError) as caught:
        _native.login(str(monitor.config_path), *([quarrel] if at == "pending" else [None, quarrel]))
    assert caught.value is raised


def test_a_logout(install: Any) -> None:
    monitor = install(says="Logged out", ends_with=0)
    assert _native.logout(str(monitor.config_path)) == "Logged out\n"
    assert monitor.calls()[0]["arguments"] == ["logout", "--profile", "studio"]


def test_a_logout_that_fails(install: Any) -> None:
    monitor = install(ends_with=1)
    with pytest.raises(DeadlineOperationError) as caught:
        _native.logout(str(monitor.config_path))
    assert str(caught.value) == (
        'The Deadline Cloud monitor ended with code 1 at the logout of the profile "studio", and said nothing. Try '
        "again, or log out there by hand."
    )


def test_the_status_with_its_steps(service: DeadlineService, install: Any) -> None:
    monitor = install()
    said: list[str] = []
    status = _native.check_auth_status_with_progress(str(monitor.config_path), said.append)
    assert status == _native.check_auth_status(str(monitor.config_path))
    assert status == {
        "credentials_source": AwsCredentialsSource.DEADLINE_CLOUD_MONITOR_LOGIN,
        "auth_status": AwsAuthenticationStatus.AUTHENTICATED,
        "api_available": True,
    }
    assert said == ["Looking for credentials...", "Asking Deadline Cloud who you are...", "Authenticated."]
    refuse_logins(service)
    _native.check_auth_status_with_progress(str(monitor.config_path), said.append)
    assert said[-1] == "A login is needed."
    _native.set_setting("defaults.aws_profile_name", "plain", str(monitor.config_path))
    _native.check_auth_status_with_progress(on_progress=said.append, config_path=str(monitor.config_path))
    assert said[-1] == "Deadline Cloud does not answer with these credentials."


def test_what_the_progress_callback_raises_comes_out(install: Any) -> None:
    monitor = install()
    raised = KeyboardInterrupt("mine")

    def quarrel(_: str) -> None:
        raise raised

    with pytest.raises(KeyboardInterrupt) as caught:
        _native.check_auth_status_with_progress(str(monitor.config_path), quarrel)
    assert caught.value is raised


def test_logins_are_timed_where_telemetry_is_on(service: DeadlineService, install: Any) -> None:
    monitor = install(says="bye", ends_with=0)
    _native.login(str(monitor.config_path))
    _native.logout(str(monitor.config_path))
    events = [request.body["RumEvents"][0] for request in service.sent("POST", "/telemetry")]
    assert {event["type"] for event in events} == {"com.amazon.rum.deadline.latency"}
    details = [json.loads(event["details"]) for event in events]
    assert [entry["function_call"] for entry in details] == ["login", "logout"]
    assert all(entry["latency"] > 0 for entry in details)
