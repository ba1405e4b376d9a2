from __future__ import annotations

import configparser
import os
import stat
import threading
from pathlib import Path

import pytest
from fakes.deadline_service import DeadlineService
from shotput import _native
from shotput.errors import ConfigError, DeadlineOperationError

SETTINGS = {
    "deadline-cloud-monitor.path": "",
    "defaults.aws_profile_name": "(default)",
    "settings.job_history_dir": "~/.deadline/job_history/(default)",
    "defaults.farm_id": "",
    "defaults.farm_region": "",
    "settings.storage_profile_id": "",
    "defaults.queue_id": "",
    "defaults.job_id": "",
    "settings.auto_accept": "false",
    "settings.conflict_resolution": "NOT_SELECTED",
    "settings.log_level": "WARNING",
    "settings.deadline_regions": "",
    "telemetry.opt_out": "false",
    "telemetry.identifier": "",
    "defaults.job_attachments_file_system": "COPIED",
    "settings.s3_max_pool_connections": "50",
    "settings.small_file_threshold_multiplier": "20",
    "settings.known_asset_paths": "",
    "settings.locale": "",
    "settings.force_s3_check": "false",
    "settings.allow_bundle_hooks": "false",
    "settings.allow_environment_hooks": "false",
    "settings.submitter_update_notification": "true",
    "settings.max_retries_per_task": "5",
    "settings.max_failed_tasks_count": "20",
    "settings.https_proxy": "",
    "settings.ca_bundle": "",
    "settings.job_bundle_default_directory": "",
}


def test_the_table_has_the_settings_of_all_versions() -> None:
    assert len(SETTINGS) == 28


@pytest.mark.parametrize(("name", "default"), SETTINGS.items())
def test_defaults(name: str, default: str, config_path: Path) -> None:
    assert _native.get_setting(name, str(config_path)) == default
    assert not config_path.exists(), "reading wrote the file"


@pytest.mark.parametrize("name", SETTINGS)
def test_what_is_set_is_read_back(name: str, config_path: Path) -> None:
    _native.set_setting(name, "some value", str(config_path))
    assert _native.get_setting(name, str(config_path)) == "some value"


def test_sections(config_path: Path) -> None:
    path = str(config_path)
    _native.set_setting("defaults.queue_id", "queue-0", path)
    _native.set_setting("defaults.aws_profile_name", "P", path)
    _native.set_setting("settings.job_history_dir", "/history", path)
    _native.set_setting("defaults.farm_id", "F", path)
    _native.set_setting("defaults.queue_id", "Q", path)
    _native.set_setting("settings.storage_profile_id", "S", path)
    _native.set_setting("defaults.job_attachments_file_system", "VIRTUAL", path)
    _native.set_setting("defaults.job_id", "J", path)
    _native.set_setting("telemetry.opt_out", "true", path)
    _native.set_setting("settings.log_level", "DEBUG", path)
    assert _native.read_config(path) == {
        "profile-(default)  defaults": {"queue_id": "queue-0"},
        "defaults": {"aws_profile_name": "P"},
        "profile-P settings": {"job_history_dir": "/history"},
        "profile-P defaults": {"farm_id": "F"},
        "profile-P F defaults": {"queue_id": "Q", "job_attachments_file_system": "VIRTUAL"},
        "profile-P F settings": {"storage_profile_id": "S"},
        "profile-P F Q defaults": {"job_id": "J"},
        "telemetry": {"opt_out": "true"},
        "settings": {"log_level": "DEBUG"},
    }


def test_values_follow_profile_farm_and_queue(config_path: Path) -> None:
    path = str(config_path)
    for farm in ("farm-a", "farm-b"):
        _native.set_setting("defaults.farm_id", farm, path)
        _native.set_setting("defaults.queue_id", f"queue of {farm}", path)
    assert _native.get_setting("defaults.queue_id", path) == "queue of farm-b"
    _native.set_setting("defaults.farm_id", "farm-a", path)
    assert _native.get_setting("defaults.queue_id", path) == "queue of farm-a"
    _native.set_setting("defaults.aws_profile_name", "other", path)
    assert _native.get_setting("defaults.farm_id", path) == ""


def test_an_empty_value_is_no_default(config_path: Path) -> None:
    _native.set_setting("settings.log_level", "", str(config_path))
    assert _native.get_setting("settings.log_level", str(config_path)) == ""


def test_the_path_comes_from_the_environment(config_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DEADLINE_CONFIG_FILE_PATH", str(config_path))
    _native.set_setting("defaults.farm_id", "farm-1")
    assert config_path.exists()
    assert _native.get_setting("defaults.farm_id") == "farm-1"


def test_the_default_path_and_the_tilde(config_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    home = Path(os.environ["HOME"])
    _native.set_setting("defaults.farm_id", "farm-home")
    assert (home / ".deadline" / "config").read_text() == "[profile-(default) defaults]\nfarm_id = farm-home\n"
    monkeypatch.setenv("DEADLINE_CONFIG_FILE_PATH", "~/other/config")
    _native.set_setting("defaults.farm_id", "farm-other")
    assert (home / "other" / "config").exists()


def test_the_file_is_written_whole_and_for_its_owner_only(config_path: Path) -> None:
    _native.set_setting("defaults.farm_id", "farm-1", str(config_path))
    assert stat.S_IMODE(config_path.stat().st_mode) == 0o600
    assert list(config_path.parent.iterdir()) == [config_path]


@pytest.mark.parametrize("value", ["a\nb", "a\n[b]\nc = d", "a\rb", "a\n", "\r\n"])
def test_a_line_break_names_no_section(value: str, config_path: Path) -> None:
    """In the name of a section it would make a file that no program can read."""
    _native.set_setting("defaults.aws_profile_name", "studio", str(config_path))
    before = config_path.read_text()
    for name in ("defaults.aws_profile_name", "defaults.farm_id"):
        with pytest.raises(ConfigError) as caught:
            _native.set_setting(name, value, str(config_path))
        quoted = value.replace("\n", "\\n").replace("\r", "\\r")
        assert str(caught.value) == (
            f'The setting {name} cannot be stored: "{quoted}" has a line break. Give one line.'
        )
    assert config_path.read_text() == before
    # A profile that another program wrote over two lines is no name for a section.
    config_path.write_text("[defaults]\naws_profile_name = a\n\tb\n")
    with pytest.raises(ConfigError) as caught:
        _native.set_setting("defaults.farm_id", "farm-1", str(config_path))
    assert str(caught.value) == (
        'The setting defaults.farm_id cannot be stored: "profile-a\\nb defaults" has a line break. Give one line.'
    )
    assert _native.get_setting("defaults.aws_profile_name", str(config_path)) == "a\nb"
    # Python takes a lone one for the end of a line, and reads no file with such a line.
    with pytest.raises(ConfigError):
        _native.set_setting("settings.known_asset_paths", "a\rb", str(config_path))


def test_a_linked_file_stays_linked(config_path: Path, tmp_path: Path) -> None:
    shared = tmp_path / "shared-config"
    shared.write_text("[settings]\nlog_level = INFO\n")
    config_path.parent.mkdir()
    config_path.symlink_to(shared)
    _native.set_setting("settings.log_level", "DEBUG", str(config_path))
    assert config_path.is_symlink()
    assert shared.read_text() == "[settings]\nlog_level = DEBUG\n"


def test_a_name_without_a_section(config_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        _native.get_setting("farm_id", str(config_path))
    assert str(caught.value) == (
        'The setting name "farm_id" is not valid. Write it as section.key, for example "defaults.farm_id".'
    )


def test_an_unknown_name(config_path: Path) -> None:
    for call in (
        lambda: _native.get_setting("defaults.form_id", str(config_path)),
        lambda: _native.set_setting("defaults.form_id", "x", str(config_path)),
    ):
        with pytest.raises(DeadlineOperationError) as caught:
            call()
        assert str(caught.value) == (
            'The configuration has no setting named "defaults.form_id". The settings are: ' + ", ".join(SETTINGS) + "."
        )
    assert not config_path.exists()


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("key = value\n", 'line 1 stands before any [section]: "key = value"'),
        ("[a]\nx = 1\n[open\n", 'line 3 opens a section with `[` and does not close it: "[open"'),
        ("[a]\nnonsense\n", 'line 2 has neither `=` nor `:`: "nonsense"'),
        ("[a]\n= 5\n", 'line 2 has no key: "= 5"'),
    ],
)
def test_a_file_that_is_not_ini(text: str, complaint: str, config_path: Path) -> None:
    config_path.parent.mkdir()
    config_path.write_text(text)
    expected = f"Cannot read the configuration {config_path}: {complaint}. Correct the line, or remove it."
    for call in (
        lambda: _native.get_setting("defaults.farm_id", str(config_path)),
        lambda: _native.read_config(str(config_path)),
        lambda: _native.set_setting("defaults.farm_id", "x", str(config_path)),
        lambda: _native.list_farms(str(config_path)),
    ):
        with pytest.raises(ConfigError) as caught:
            call()
        assert str(caught.value) == expected
    assert config_path.read_text() == text


def test_a_file_that_is_a_folder(config_path: Path) -> None:
    config_path.mkdir(parents=True)
    with pytest.raises(ConfigError) as caught:
        _native.read_config(str(config_path))
    assert str(caught.value) == (
        f"Cannot read the configuration {config_path}: Is a directory (os error 21). Check the path and its "
        "permissions."
    )


def test_a_folder_that_cannot_be_made(config_path: Path) -> None:
    config_path.parent.write_text("a file in the way")
    with pytest.raises(ConfigError) as caught:
        _native.set_setting("defaults.farm_id", "x", str(config_path / "config"))
    assert str(caught.value).startswith(f"Cannot read the configuration {config_path / 'config'}: Not a directory")


def test_reading_what_python_wrote(config_path: Path) -> None:
    parser = configparser.ConfigParser()
    parser.read_dict(
        {
            "profile-(default) defaults": {"Farm_ID": "farm-1"},
            "settings": {"known_asset_paths": "/mnt/100%%real", "log_level": "%(locale)s!", "locale": "de"},
            "profile-(default) settings": {"job_history_dir": "/one\ntwo"},
        }
    )
    config_path.parent.mkdir()
    with config_path.open("w") as file:
        parser.write(file)
    path = str(config_path)
    assert _native.get_setting("defaults.farm_id", path) == "farm-1"
    for name in ("known_asset_paths", "log_level", "locale"):
        assert _native.get_setting(f"settings.{name}", path) == parser.get("settings", name)
    assert _native.get_setting("settings.job_history_dir", path) == "/one\ntwo"
    assert _native.read_config(path)["settings"]["known_asset_paths"] == "/mnt/100%%real"


@pytest.mark.parametrize("value", ["100%", "%USERPROFILE%\\x", "%(farm_id)s", "a%%b", "one\ntwo"])
def test_python_reads_what_was_written(value: str, config_path: Path) -> None:
    _native.set_setting("settings.known_asset_paths", value, str(config_path))
    assert _native.get_setting("settings.known_asset_paths", str(config_path)) == value
    parser = configparser.ConfigParser()
    parser.read(config_path)
    assert parser.get("settings", "known_asset_paths") == value


def test_a_lone_percent_sign_stays_readable(config_path: Path) -> None:
    config_path.parent.mkdir()
    config_path.write_text("[settings]\nknown_asset_paths = /mnt/50%/x:%(nothing)s:%(Log_Level)s\nlog_level = INFO\n")
    assert _native.get_setting("settings.known_asset_paths", str(config_path)) == "/mnt/50%/x:%(nothing)s:INFO"


def test_the_dialect(config_path: Path) -> None:
    config_path.parent.mkdir()
    config_path.write_text(
        "# comment\n; comment\n[one (a) b]\nKEY: v\nother=1:2\nempty =\nlong = first\n  second\n\n   third = 3\n[two]\n"
    )
    parsed = _native.read_config(str(config_path))
    assert parsed == {
        "one (a) b": {"key": "v", "other": "1:2", "empty": "", "long": "first\nsecond\n\nthird = 3"},
        "two": {},
    }
    python = configparser.RawConfigParser()
    python.read(config_path)
    assert parsed == {name: dict(python[name]) for name in python.sections()}
    configparser.ConfigParser().read_dict(parsed)


def test_a_missing_or_empty_file_is_empty(config_path: Path) -> None:
    assert _native.read_config(str(config_path)) == {}
    config_path.parent.mkdir()
    config_path.write_text("")
    assert _native.read_config(str(config_path)) == {}


def test_threads_do_not_lose_each_others_settings(config_path: Path) -> None:
    names = [name for name in SETTINGS if name.startswith("settings.")]
    threads = [threading.Thread(target=_native.set_setting, args=(n, n, str(config_path))) for n in names]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [_native.get_setting(name, str(config_path)) for name in names] == names


AWS_CONFIG = """
[default]
region = us-west-2

[profile plain]
region = eu-west-1

[profile studio]
monitor_id = monitor-1
user_id = user-1
identity_store_id = d-1
credential_process = /bin/false
"""


@pytest.mark.parametrize(
    ("profile", "source"),
    [
        ("(default)", "HOST_PROVIDED"),
        ("default", "HOST_PROVIDED"),
        ("", "HOST_PROVIDED"),
        ("plain", "HOST_PROVIDED"),
        ("only-keys", "HOST_PROVIDED"),
        ("studio", "DEADLINE_CLOUD_MONITOR_LOGIN"),
        ("nobody", "NOT_VALID"),
    ],
)
def test_credentials_source(profile: str, source: str, config_path: Path) -> None:
    aws = Path(os.environ["AWS_CONFIG_FILE"])
    aws.parent.mkdir()
    aws.write_text(AWS_CONFIG)
    Path(os.environ["AWS_SHARED_CREDENTIALS_FILE"]).write_text(
        "[only-keys]\naws_access_key_id = a\naws_secret_access_key = b\n"
    )
    _native.set_setting("defaults.aws_profile_name", profile, str(config_path))
    assert _native.get_credentials_source(str(config_path)) == source


def test_a_default_profile_of_the_monitor(config_path: Path) -> None:
    aws = Path(os.environ["AWS_CONFIG_FILE"])
    aws.parent.mkdir()
    aws.write_text("[default]\nmonitor_id = monitor-1\n")
    assert _native.get_credentials_source(str(config_path)) == "DEADLINE_CLOUD_MONITOR_LOGIN"


def test_a_profile_that_does_not_exist(config_path: Path) -> None:
    _native.set_setting("defaults.aws_profile_name", "nobody", str(config_path))
    with pytest.raises(ConfigError) as caught:
        _native.list_farms(str(config_path))
    assert str(caught.value) == (
        f'The AWS profile "nobody" (setting defaults.aws_profile_name in {config_path}) is in neither of the AWS files '
        f"{os.environ['AWS_CONFIG_FILE']} and {os.environ['AWS_SHARED_CREDENTIALS_FILE']}. Add the profile there, or "
        "set "
        "defaults.aws_profile_name to another one."
    )
    assert _native.check_auth_status(str(config_path)) == {
        "credentials_source": "NOT_VALID",
        "auth_status": "CONFIGURATION_ERROR",
        "api_available": False,
    }


def test_auth_status(service: DeadlineService, aws_environment: Path) -> None:
    assert _native.check_auth_status() == {
        "credentials_source": "HOST_PROVIDED",
        "auth_status": "AUTHENTICATED",
        "api_available": True,
    }
    assert _native.check_api_available() is True
    probe = service.sent("GET", "/farms")[0]
    assert probe.query == {"maxResults": ["1"]}


def test_auth_status_of_a_refused_user(service: DeadlineService, aws_environment: Path) -> None:
    service.fail("GET", "/farms", "AccessDeniedException", "No", status=403)
    assert _native.check_auth_status() == {
        "credentials_source": "HOST_PROVIDED",
        "auth_status": "CONFIGURATION_ERROR",
        "api_available": False,
    }
    assert _native.check_api_available() is False


def test_a_monitor_login(service: DeadlineService, aws_environment: Path) -> None:
    aws = Path(os.environ["AWS_CONFIG_FILE"])
    aws.parent.mkdir()
    keys = '{"Version": 1, "AccessKeyId": "ASIAMONITOR", "SecretAccessKey": "s", "SessionToken": "t"}'
    script = aws.parent / "credentials.sh"
    script.write_text(f"#!/bin/sh\necho '{keys}'\n")
    script.chmod(0o700)
    aws.write_text(AWS_CONFIG.replace("/bin/false", str(script)))
    _native.set_setting("defaults.aws_profile_name", "studio")
    assert _native.check_auth_status()["auth_status"] == "AUTHENTICATED"
    _native.list_farms()
    _native.list_queues(service.farms[0]["farmId"])
    assert [r.query.get("principalId") for r in service.requests] == [["user-1"]] * 3
    assert all("Credential=ASIAMONITOR/" in r.headers["authorization"] for r in service.requests)
    script.write_text("#!/bin/sh\nexit 1\n")
    assert _native.check_auth_status() == {
        "credentials_source": "DEADLINE_CLOUD_MONITOR_LOGIN",
        "auth_status": "NEEDS_LOGIN",
        "api_available": False,
    }
