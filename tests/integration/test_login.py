"""`shotput login`, `logout`, `status` and `config`, with a stand-in for the Deadline Cloud monitor."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fakes import console_sign_in
from fakes.deadline_monitor import Monitor
from fakes.deadline_service import FARM, DeadlineService
from integration.command import Command


@pytest.fixture
def service() -> Iterator[DeadlineService]:
    with DeadlineService() as running:
        yield running


@pytest.fixture
def config(tmp_path: Path) -> Path:
    return tmp_path / "deadline" / "config"


@pytest.fixture
def shotput(
    tmp_path: Path, config: Path, service: DeadlineService, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Command]:
    """The command, in an environment that leads to the service and to a monitor of the tests."""
    aws = str(tmp_path / "aws" / "config")
    monkeypatch.setenv("AWS_CONFIG_FILE", aws)
    yield Command(
        tmp_path / "alone",
        {
            "AWS_CONFIG_FILE": aws,
            "AWS_EC2_METADATA_DISABLED": "true",
            "AWS_ENDPOINT_URL_DEADLINE": service.endpoint,
            "DEADLINE_CONFIG_FILE_PATH": str(config),
        },
    )
    (tmp_path / "monitor").mkdir(exist_ok=True)
    (tmp_path / "monitor" / "stop").touch()


@pytest.fixture
def install(tmp_path: Path, config: Path) -> Any:
    return lambda **behaviour: Monitor.install(tmp_path / "monitor", config, **behaviour)


def refuse_logins(service: DeadlineService, times: int = 10**6) -> None:
    service.fail("GET", "/farms", "AccessDeniedException", "The token expired", status=403, times=times)


def test_a_login(shotput: Command, service: DeadlineService, install: Any) -> None:
    monitor = install()
    refuse_logins(service, times=2)
    assert shotput("login") == "✓ Logged in. Deadline Cloud monitor profile: studio\n"
    assert monitor.calls()[0]["arguments"] == ["login", "--profile", "studio"]
    assert shotput.document("login") == {
        "profile": "studio",
        "credentialsSource": "DEADLINE_CLOUD_MONITOR_LOGIN",
        "status": "AUTHENTICATED",
        "apiAvailable": True,
        "farmId": None,
        "queueId": None,
        "message": "Deadline Cloud monitor profile: studio",
    }


def test_a_profile_for_this_once(shotput: Command, config: Path, install: Any, tmp_path: Path) -> None:
    monitor = install(says="bye", ends_with=0)
    with Path(os.environ["AWS_CONFIG_FILE"]).open("a") as file:
        file.write("[profile other]\nmonitor_id = monitor-2\nregion = us-west-2\n")
    before = config.read_bytes()
    assert shotput("logout", "--profile", "other") == "✓ Logged out. bye\n"
    assert shotput.document("logout") == {"message": "bye"}
    assert [call["arguments"][-1] for call in monitor.calls()] == ["other", "studio"]
    assert config.read_bytes() == before
    assert list(shotput.folder.glob("shotput-config-*")) == []


def test_an_interrupt_ends_the_wait_and_the_monitor(shotput: Command, service: DeadlineService, install: Any) -> None:
    monitor = install()
    refuse_logins(service)
    process = shotput.start("login")
    while not monitor.calls():
        time.sleep(0.01)
    os.kill(process.pid, signal.SIGINT)
    answer = shotput.end(process)
    assert (answer.code, answer.out) == (130, "")
    assert answer.err.startswith("Canceled.\n")
    monitor.wait_until_gone()


def test_a_sign_in_to_the_console(
    shotput: Command, config: Path, install: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    install()
    Path(os.environ["AWS_CONFIG_FILE"]).write_text(f"[profile studio]\n{console_sign_in.PROFILE}")
    shotput("config", "set", "deadline-cloud-monitor.path", "")
    monkeypatch.setenv("AWS_LOGIN_CACHE_DIRECTORY", str(shotput.folder / "keys"))
    programs = shotput.folder / "programs"
    with_programs = {
        "PATH": f"{programs}:{os.environ['PATH']}",
        "AWS_LOGIN_CACHE_DIRECTORY": str(shotput.folder / "keys"),
    }
    shotput.environment.update(with_programs)
    assert "credentials  a sign-in to the AWS console" in shotput("status", code=5)
    console_sign_in.AwsCommand.install(programs)
    assert shotput("login") == "✓ Logged in. AWS Console sign-in profile: studio\n"
    assert shotput("status").startswith("● AUTHENTICATED\n")
    assert shotput("logout") == "✓ Logged out. Successfully logged out of AWS Console sign-in profile: studio\n"
    assert shotput("status", code=5).splitlines()[-1] == "→ Log in: shotput login"


def test_profiles_that_cannot_log_in(shotput: Command, config: Path, install: Any) -> None:
    install()
    for command in ("login", "logout"):
        said = shotput.refused(command, "--profile", "plain", code=6)
        assert said.startswith(
            "Logging in and out is only supported for AWS profiles of the Deadline Cloud monitor and of sign-ins to "
            'the AWS console; the profile "plain" is neither. Log in with the tool that made it, or set '
        )
    shotput("config", "set", "deadline-cloud-monitor.path", "")
    assert shotput.refused("login", code=6) == (
        f"The setting deadline-cloud-monitor.path in {config} is empty, so the Deadline Cloud monitor cannot be "
        "started. Start the monitor once and log in there, or set the path of its program."
    )


def test_the_status_says_what_to_do(shotput: Command, service: DeadlineService, install: Any) -> None:
    install()
    assert shotput("status").splitlines() == [
        "● AUTHENTICATED",
        "profile      studio                               ",
        "credentials  a login of the Deadline Cloud monitor",
        "farm         none is chosen                       ",
        "queue        none is chosen                       ",
        "→ Choose a farm: shotput config set defaults.farm_id farm-…",
    ]
    shotput("config", "set", "defaults.farm_id", FARM)
    assert "→" not in shotput("status")
    refuse_logins(service)
    assert shotput("status", code=5).splitlines()[-1] == "→ Log in: shotput login"
    assert shotput.document("status", code=5) == {
        "profile": "studio",
        "credentialsSource": "DEADLINE_CLOUD_MONITOR_LOGIN",
        "status": "NEEDS_LOGIN",
        "apiAvailable": False,
        "farmId": FARM,
        "queueId": None,
    }
    text = shotput("status", "--profile", "gone", code=6).splitlines()
    assert text[0] == "● CONFIGURATION_ERROR"
    assert text[2].split(maxsplit=1)[1] == "there is no such profile on this machine"
    assert text[-1] == ("→ Choose a profile that is there: shotput config set defaults.aws_profile_name NAME")
    last = shotput("status", "--profile", "plain", code=6).splitlines()[-1]
    assert last == "→ See what is in the way: shotput doctor --target cloud"


def test_the_configuration(shotput: Command, config: Path) -> None:
    assert shotput("config", "set", "defaults.aws_profile_name", "studio") == "✓ defaults.aws_profile_name = studio\n"
    assert shotput("config", "get", "defaults.aws_profile_name") == "studio\n"
    assert shotput.document("config", "set", "defaults.farm_id", FARM) == {"name": "defaults.farm_id", "value": FARM}
    assert shotput.document("config", "get", "defaults.farm_id") == {"name": "defaults.farm_id", "value": FARM}
    document = shotput.document("config", "show")
    assert document["path"] == str(config)
    stored = {name: setting["value"] for name, setting in document["settings"].items() if setting["isStored"]}
    assert stored == {"defaults.aws_profile_name": "studio", "defaults.farm_id": FARM}
    assert document["settings"]["settings.auto_accept"] == {
        "value": "false",
        "isStored": False,
        "description": "Whether submissions answer their questions with yes.",
    }
    lines = shotput("config", "show").splitlines()
    assert lines[0] == str(config)
    assert [line.split()[:2] for line in lines[1:4]] == [
        ["SETTING", "VALUE"],
        ["defaults.aws_profile_name", "studio"],
        ["defaults.farm_id", FARM],
    ]
    assert lines[-1].endswith("default")
    assert shotput.refused("config", "get", "defaults.nothing", code=6).startswith(
        'The configuration has no setting named "defaults.nothing". The settings are: '
    )
