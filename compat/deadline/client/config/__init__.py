"""The configuration of a workstation; see :mod:`.config_file`."""

from __future__ import annotations

from typing import Any

from . import config_file
from .config_file import (
    clear_setting,
    get_best_profile_for_farm,
    get_setting,
    get_setting_default,
    set_setting,
    str2bool,
)

__all__ = [
    "DEFAULT_DEADLINE_ENDPOINT_URL",
    "clear_setting",
    "get_best_profile_for_farm",
    "get_setting",
    "get_setting_default",
    "set_setting",
    "str2bool",
]


def __getattr__(name: str) -> Any:
    if name == "DEFAULT_DEADLINE_ENDPOINT_URL":
        return config_file.DEFAULT_DEADLINE_ENDPOINT_URL
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
