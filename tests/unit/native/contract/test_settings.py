"""Section 3 of the contract: each setting's default, its section, its form, and that Python reads the same."""

from __future__ import annotations

import configparser
from pathlib import Path

import pytest
from shotput import _native
from shotput.errors import ConfigError

# Setting, default, section with the profile P, the farm F and the queue Q.
SETTINGS = [
    ("deadline-cloud-monitor.path", "", "deadline-cloud-monitor"),
    ("defaults.aws_profile_name", "(default)", "defaults"),
    ("settings.job_history_dir", "~/.deadline/job_history/P", "profile-P settings"),
    ("defaults.farm_id", "", "profile-P defaults"),
    ("settings.storage_profile_id", "", "profile-P F settings"),
    ("defaults.queue_id", "", "profile-P F defaults"),
    ("defaults.job_id", "", "profile-P F Q defaults"),
    ("settings.auto_accept", "false", "settings"),
    ("settings.conflict_resolution", "NOT_SELECTED", "settings"),
    ("settings.log_level", "WARNING", "settings"),
    ("telemetry.opt_out", "false", "telemetry"),
    ("telemetry.identifier", "", "telemetry"),
    ("defaults.job_attachments_file_system", "COPIED", "profile-P F defaults"),
    ("settings.s3_max_pool_connections", "50", "settings"),
    ("settings.small_file_threshold_multiplier", "20", "settings"),
    ("settings.known_asset_paths", "", "settings"),
    ("settings.locale", "", "settings"),
    ("settings.force_s3_check", "false", "settings"),
    ("settings.allow_bundle_hooks", "false", "settings"),
    ("settings.allow_environment_hooks", "false", "settings"),
    ("settings.submitter_update_notification", "true", "settings"),
    ("settings.max_retries_per_task", "5", "settings"),
    ("settings.max_failed_tasks_count", "20", "settings"),
    ("defaults.farm_region", "", "profile-P F defaults"),
    ("settings.https_proxy", "", "settings"),
    ("settings.ca_bundle", "", "settings"),
    # Of the official client since the contract was written.
    ("settings.deadline_regions", "", "settings"),
    ("settings.job_bundle_default_directory", "", "profile-P settings"),
]


def test_the_table_has_all_settings() -> None:
    assert len({name for name, _, _ in SETTINGS}) == len(SETTINGS) == 28
    with pytest.raises(ConfigError) as caught:
        _native.get_setting("settings.nothing")
    known = str(caught.value).split("The settings are: ")[1].rstrip(".").split(", ")
    assert sorted(known) == sorted(name for name, _, _ in SETTINGS)


@pytest.mark.parametrize(("name", "default", "section"), SETTINGS)
def test_settings(name: str, default: str, section: str, config_path: Path) -> None:
    path = str(config_path)
    scopes = {"defaults.aws_profile_name": "P", "defaults.farm_id": "F", "defaults.queue_id": "Q"}
    for scope, value in scopes.items():
        if scope != name:
            _native.set_setting(scope, value, path)
    assert _native.get_setting(name, path) == default
    value = scopes.get(name, "100% of %(it)s")
    _native.set_setting(name, value, path)
    assert _native.get_setting(name, path) == value
    key = name.split(".")[1]
    assert key in _native.read_config(path)[section]
    # The official client is written in Python and reads this file with interpolation.
    python = configparser.ConfigParser()
    python.read(path)
    assert python.get(section, key) == value
    _native.set_setting(name, "", path)
    assert _native.get_setting(name, path) == ""


def test_nothing_configured(config_path: Path) -> None:
    _native.set_setting("defaults.farm_id", "F", str(config_path))
    assert _native.read_config(str(config_path)) == {"profile-(default) defaults": {"farm_id": "F"}}
    empty = str(config_path.with_name("empty"))
    _native.set_setting("defaults.queue_id", "Q", empty)
    assert _native.read_config(empty) == {"profile-(default)  defaults": {"queue_id": "Q"}}


def test_the_storage_profile_belongs_to_the_farm_alone(config_path: Path) -> None:
    path = str(config_path)
    _native.set_setting("defaults.farm_id", "F", path)
    _native.set_setting("defaults.queue_id", "one", path)
    _native.set_setting("settings.storage_profile_id", "sp", path)
    _native.set_setting("defaults.queue_id", "other", path)
    assert _native.get_setting("settings.storage_profile_id", path) == "sp"


def test_read_config_is_what_configparser_takes(config_path: Path) -> None:
    path = str(config_path)
    assert _native.read_config(path) == {}
    config_path.parent.mkdir()
    config_path.write_text("[Section (x)]\nKey: a=b\n; comment\nlong = one\n  two\n\n[second]\nn = %%\n")
    found = _native.read_config(path)
    # Where a line has both signs, the first one counts, as for Python.
    assert found == {"Section (x)": {"key": "a=b", "long": "one\ntwo"}, "second": {"n": "%%"}}
    configparser.ConfigParser().read_dict(found)
