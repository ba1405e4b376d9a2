"""Settings of the configuration file, or of one that a caller holds in a ``ConfigParser``.

All rules (which settings there are, in which section each lies, their defaults) are the native module's. It reads
files; a ``ConfigParser`` is therefore handed to it as one.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator, Mapping
from configparser import ConfigParser
from contextlib import contextmanager, suppress
from copy import deepcopy
from pathlib import Path
from typing import Any

from shotput import _native
from shotput.errors import DeadlineOperationError

__all__ = [
    "DEFAULT_QUEUE_INCREMENTAL_DOWNLOAD_DIR",
    "clear_setting",
    "get_best_profile_for_farm",
    "get_cache_directory",
    "get_config_file_path",
    "get_deadline_regions",
    "get_setting",
    "get_setting_default",
    "read_config",
    "set_setting",
    "str2bool",
    "write_config",
]

CONFIG_FILE_PATH = "~/.deadline/config"
CONFIG_FILE_PATH_ENV_VAR = "DEADLINE_CONFIG_FILE_PATH"
DEFAULT_JOB_HISTORY_DIR = "~/.deadline/job_history/{aws_profile_name}"
DEFAULT_CACHE_DIR = "~/.deadline/cache"
DEFAULT_QUEUE_INCREMENTAL_DOWNLOAD_DIR = "~/.deadline/incremental_download"
AWS_ENDPOINT_URL_DEADLINE_ENV_VAR = "AWS_ENDPOINT_URL_DEADLINE"
DEADLINE_REGIONS_ENV_VAR = "DEADLINE_CLOUD_REGIONS"
# Where AWS runs Deadline Cloud; neither boto3 nor the service can be asked.
DEADLINE_REGIONS = [
    "us-east-1",
    "us-east-2",
    "us-west-2",
    "ap-northeast-1",
    "ap-northeast-2",
    "ap-southeast-1",
    "ap-southeast-2",
    "eu-central-1",
    "eu-west-1",
    "eu-west-2",
]
_TRUE = ("yes", "on", "true", "1")
_FALSE = ("no", "off", "false", "0")


def __getattr__(name: str) -> Any:
    """``DEFAULT_DEADLINE_ENDPOINT_URL``, found when it is asked for: it needs boto3, which takes long to import.

    ``SETTINGS`` are all settings by name: ``{"default", "description"}``, and ``"depend"`` on another one where each
    value of that has its own.
    """
    if name == "DEFAULT_DEADLINE_ENDPOINT_URL":
        from ..api import _session

        return _session.deadline_endpoint_url()
    if name == "SETTINGS":
        return _settings()
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def _settings() -> dict[str, dict[str, Any]]:
    # Whatever is in the user's file, these are the same.
    settings = _native.list_settings(os.devnull)["settings"]
    return {
        name: {
            "default": setting["default"],
            "description": setting["description"],
            **({"depend": setting["depends_on"]} if setting["depends_on"] else {}),
        }
        for name, setting in settings.items()
    }


@contextmanager
def as_file(config: ConfigParser | None) -> Iterator[str | None]:
    """The path under which the native module finds a configuration; ``None`` is the file that it looks for itself."""
    if config is None:
        yield None
        return
    # mkstemp makes it readable by its owner only.
    handle, name = tempfile.mkstemp(prefix="shotput-config-")
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as stream:
            config.write(stream)
        yield name
    except DeadlineOperationError as error:
        # The file is gone when somebody reads this.
        error.args = tuple(
            part.replace(name, "the given configuration") if isinstance(part, str) else part for part in error.args
        )
        raise
    finally:
        Path(name).unlink()


def get_config_file_path() -> Path:
    """Where the configuration file is, or would be."""
    return Path(os.environ.get(CONFIG_FILE_PATH_ENV_VAR) or CONFIG_FILE_PATH).expanduser()


def get_cache_directory() -> str:
    """The folder of the hash cache and of the S3 check cache."""
    return str(Path(DEFAULT_CACHE_DIR).expanduser())


def read_config() -> ConfigParser:
    """The configuration file as it is; a missing one is empty. What is changed in it stays in memory."""
    config = ConfigParser()
    config.read(get_config_file_path(), encoding="utf-8")
    return config


def write_config(config: ConfigParser) -> None:
    """Make this the configuration file: whole or not at all, readable by its owner only."""
    path = get_config_file_path()
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(prefix=f"{path.name}.", dir=path.parent)
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as stream:
            config.write(stream)
        Path(name).replace(path)
    except BaseException:
        with suppress(OSError):
            Path(name).unlink()
        raise


def get_setting(setting_name: str, config: ConfigParser | None = None) -> str:
    """Value of the setting ``section.key``: what is stored, else its default.

    Raises ``ConfigError``, a ``DeadlineOperationError``, for an unknown name.
    """
    with as_file(config) as path:
        return _native.get_setting(setting_name, path)


def get_setting_default(setting_name: str, config: ConfigParser | None = None) -> str:
    """Default of a setting, which may depend on the profile that ``config`` names."""
    bare = ConfigParser()
    if setting_name != "defaults.aws_profile_name":
        set_setting("defaults.aws_profile_name", get_setting("defaults.aws_profile_name", config), bare)
    return get_setting(setting_name, bare)


def set_setting(setting_name: str, value: str, config: ConfigParser | None = None) -> None:
    """Store a setting in the file, or in ``config`` alone when one is given."""
    with as_file(config) as path:
        _native.set_setting(setting_name, value, path)
        if config is not None:
            config.read_dict(_native.read_config(path))


def clear_setting(setting_name: str, config: ConfigParser | None = None) -> None:
    """Store the default of a setting."""
    set_setting(setting_name, get_setting_default(setting_name, config), config)


def copy_with(config: ConfigParser | None, settings: Mapping[str, str]) -> ConfigParser:
    """A copy of a configuration, of the file's by default, in which some settings are others."""
    copy = deepcopy(read_config() if config is None else config)
    for name, value in settings.items():
        set_setting(name, value, copy)
    return copy


def region_of_farm(farm_id: str, config: ConfigParser | None = None) -> str:
    """The region that is stored for a farm, which need not be the configured one; empty for none."""
    if farm_id != get_setting("defaults.farm_id", config):
        config = copy_with(config, {"defaults.farm_id": farm_id})
    return get_setting("defaults.farm_region", config)


def get_best_profile_for_farm(farm_id: str, queue_id: str | None = None) -> str:
    """The AWS profile to use for a farm.

    It is the current one when that is its farm, else one whose farm and queue these are, else the first whose farm it
    is, else the current one.
    """
    from ..api import _session

    config = read_config()
    current = get_setting("defaults.aws_profile_name", config)
    if get_setting("defaults.farm_id", config) == farm_id:
        return current
    fitting = []
    for profile in _session.available_profiles():
        set_setting("defaults.aws_profile_name", profile, config)
        if get_setting("defaults.farm_id", config) == farm_id:
            if queue_id and get_setting("defaults.queue_id", config) == queue_id:
                return profile
            fitting.append(profile)
    return fitting[0] if fitting else current


def str2bool(value: str) -> bool:
    """``yes on true 1`` or ``no off false 0`` in any case. Raises ``ValueError`` for anything else."""
    word = value.lower()
    if word not in _TRUE + _FALSE:
        raise ValueError(f"{value!r} is not a boolean; use one of {', '.join(_TRUE + _FALSE)}")
    return word in _TRUE


def chosen_regions(config: ConfigParser | None = None) -> list[str]:
    """The regions that the user chose, by ``DEADLINE_CLOUD_REGIONS``, else by ``settings.deadline_regions``."""
    words = os.environ.get(DEADLINE_REGIONS_ENV_VAR, "").strip() or get_setting("settings.deadline_regions", config)
    return list(dict.fromkeys(region.strip() for region in words.split(",") if region.strip()))


def get_deadline_regions(config: ConfigParser | None = None) -> list[str]:
    """The regions that are asked for farms: those that the user chose, else all."""
    return chosen_regions(config) or list(DEADLINE_REGIONS)
