"""The native contract under its published name: exactly these names, each the same object as in ``shotput._native``.

They are looked up when they are asked for, so that this module never holds a copy.
"""

from __future__ import annotations

from typing import Any

from shotput import _native

# In the order of the contract's table.
_NAMES = (
    "get_setting",
    "set_setting",
    "read_config",
    "get_credentials_source",
    "check_auth_status",
    "check_auth_status_with_progress",
    "check_api_available",
    "login",
    "logout",
    "list_farms",
    "get_farm",
    "list_queues",
    "get_queue",
    "list_storage_profiles_for_queue",
    "get_queue_parameter_definitions",
    "create_job_from_job_bundle",
    "TelemetryClient",
    "DeadlineOperationError",
)
__all__ = [*_NAMES]


def __getattr__(name: str) -> Any:
    if name in _NAMES:
        return getattr(_native, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(_NAMES)
