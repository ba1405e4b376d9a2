"""Telemetry over the native client: off unless the user configured an endpoint, and an opt-out always wins."""

from __future__ import annotations

import functools
import inspect
import os
import time
import traceback
from collections.abc import Mapping
from configparser import ConfigParser
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any, Callable, TypeVar, cast

from shotput import _native

from ...job_attachments.progress_tracker import SummaryStatistics
from .. import version
from ..config import config_file
from ..exceptions import DeadlineOperationCanceled

__all__ = [
    "TelemetryClient",
    "get_deadline_cloud_library_telemetry_client",
    "get_telemetry_client",
    "record_function_latency_telemetry_event",
    "record_success_fail_telemetry_event",
]

_F = TypeVar("_F", bound=Callable[..., Any])
_PREFIX = "com.amazon.rum.deadline"
_LIBRARY = "deadline-cloud-library"
_clients: dict[str, TelemetryClient] = {}


class TelemetryClient:
    """Records events of a package. What is recorded after an opt-out goes nowhere.

    ``telemetry_opted_out`` says whether the user opted out: by ``DEADLINE_CLOUD_TELEMETRY_OPT_OUT`` or by the setting
    ``telemetry.opt_out``, whatever the other one says.
    """

    telemetry_opted_out: bool

    def __init__(self, package_name: str, package_ver: str, config: ConfigParser | None = None) -> None:
        self.package_name = package_name
        self.package_ver = ".".join(package_ver.split(".")[:3])
        self._sender: _native.TelemetryClient | None = None
        # Kept here too: what is said before the first event, or while the user is opted out, counts later.
        self._common_details: dict[str, Any] = {} if package_name == _LIBRARY else {"deadline-cloud-version": version}
        self.set_opt_out(config)
        self.initialize(config)

    @property
    def is_initialized(self) -> bool:
        """Whether events are taken."""
        return self._sender is not None

    def set_opt_out(self, config: ConfigParser | None = None) -> None:
        """Look again whether the user opted out."""
        words = (
            os.environ.get("DEADLINE_CLOUD_TELEMETRY_OPT_OUT") or "false",
            config_file.get_setting("telemetry.opt_out", config),
        )
        self.telemetry_opted_out = any(config_file.str2bool(word) for word in words)

    def initialize(self, config: ConfigParser | None = None) -> None:
        """Start to take events, unless the user opted out."""
        if self.telemetry_opted_out or self._sender is not None:
            return
        with config_file.as_file(config) as path:
            self._sender = _native.TelemetryClient(
                path, package_name=self.package_name, package_version=self.package_ver
            )
        self._sender.update_common_details(self._common_details)

    def close(self) -> None:
        """Send what was recorded, and take no more."""
        if self._sender is not None:
            self._sender.close()
            self._sender = None

    def update_common_details(self, details: dict[str, Any]) -> None:
        """Say this with every event from now on."""
        self._common_details.update(details)
        if self._sender is not None:
            self._sender.update_common_details(details)

    def record_event(self, event_type: str, event_details: dict[str, Any], *, from_gui: bool = False) -> None:
        """Record an event. A ``usage_mode`` of its own counts; else it is ``GUI`` or ``CLI``. Never raises."""
        if self._sender is not None and not self.telemetry_opted_out:
            with suppress(Exception):
                self._sender.record_event(event_type, event_details, from_gui=from_gui)

    def record_error(self, event_details: dict[str, Any], exception_type: str, from_gui: bool = False) -> None:
        """Record an error by the name of its exception."""
        self.record_event(f"{_PREFIX}.error", {**event_details, "exception_type": exception_type}, from_gui=from_gui)

    def record_error_with_trace(
        self,
        exc: BaseException,
        exception_scope: str,
        extra_details: dict[str, Any] | None = None,
        from_gui: bool = False,
    ) -> None:
        """Record an error with the functions it came through, without paths and texts. A cancelation is none."""
        if isinstance(exc, DeadlineOperationCanceled):
            return
        frames = traceback.extract_tb(exc.__traceback__)
        trace = " > ".join(f"{Path(frame.filename).name}:{frame.lineno} {frame.name}" for frame in frames)
        details = {"exception_scope": exception_scope, "stack_trace": trace, **(extra_details or {})}
        self.record_error(details, type(exc).__qualname__, from_gui)

    def record_hashing_summary(self, summary: SummaryStatistics, *, from_gui: bool = False) -> None:
        """Record what hashing came to."""
        self.record_event(f"{_PREFIX}.job_attachments.hashing_summary", asdict(summary), from_gui=from_gui)

    def record_upload_summary(self, summary: SummaryStatistics, *, from_gui: bool = False) -> None:
        """Record what an upload came to."""
        self.record_event(f"{_PREFIX}.job_attachments.upload_summary", asdict(summary), from_gui=from_gui)

    def record_vfs_mounting(self, successfully_mounted: bool) -> None:
        """Record whether a virtual file system could be mounted."""
        self.record_event(
            f"{_PREFIX}.job_attachments.vfs_mount", {"successfully_mounted": successfully_mounted}, from_gui=False
        )

    def get_account_id(self, boto3_session: Any) -> str | None:
        """The AWS account of a session; ``None`` when nobody can say."""
        with suppress(Exception):
            return str(boto3_session.client("sts").get_caller_identity()["Account"])
        return None


def get_telemetry_client(package_name: str, package_ver: str, config: ConfigParser | None = None) -> TelemetryClient:
    """The client of a package: one a process, made at the first call."""
    client = _clients.get(package_name)
    if client is None:
        client = _clients[package_name] = TelemetryClient(package_name, package_ver, config)
    else:
        client.initialize(config)
    return client


def get_deadline_cloud_library_telemetry_client(config: ConfigParser | None = None) -> TelemetryClient:
    """The client of this library."""
    return get_telemetry_client(_LIBRARY, version, config)


def _arguments(function: Callable[..., Any], args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> dict[str, Any]:
    """The arguments of a call by name; nothing when they do not fit, which the call itself will tell."""
    try:
        signature = inspect.signature(function)
        bound = signature.bind_partial(*args, **kwargs)
    except (TypeError, ValueError):
        return {}
    bound.apply_defaults()
    named = dict(bound.arguments)
    for parameter in signature.parameters.values():
        if parameter.kind is inspect.Parameter.VAR_KEYWORD:
            named.update(named.pop(parameter.name, {}))
    return named


def _record(event: str, details: dict[str, Any], error: BaseException | None, from_gui: Any) -> None:
    """Record a call. Whatever fails here must not replace what the call came to."""
    details = {**details, "is_success": error is None}
    if error is not None:
        details["exception_type"] = type(error).__name__
    with suppress(Exception):
        get_deadline_cloud_library_telemetry_client().record_event(
            f"{_PREFIX}.{event}", details, from_gui=bool(from_gui)
        )


def _watched(
    function: _F,
    told: Callable[[dict[str, Any], BaseException | None, float], None],
    provider: Callable[..., Any] | None = None,
) -> _F:
    """The function, with a word about each call when it ended: what is known of it, its exception, its seconds.

    ``provider`` speaks before the call: a logout, for one, takes away what there is to say about it.
    """

    @functools.wraps(function)
    def watched(*args: Any, **kwargs: Any) -> Any:
        known = {"arguments": _arguments(function, args, kwargs)}
        known["details"] = _provided(provider, known["arguments"])
        began = time.perf_counter()
        error: BaseException | None = None
        try:
            return function(*args, **kwargs)
        except BaseException as raised:
            error = raised
            raise
        finally:
            told(known, error, time.perf_counter() - began)

    return cast("_F", watched)


def _provided(provider: Callable[..., Any] | None, arguments: dict[str, Any]) -> dict[str, Any]:
    """What a provider says, given the arguments that it names. One that fails says nothing."""
    if provider is None:
        return {}
    with suppress(Exception):
        wanted = inspect.signature(provider).parameters.values()
        if any(parameter.kind is inspect.Parameter.VAR_KEYWORD for parameter in wanted):
            return dict(provider(**arguments))
        names = {parameter.name for parameter in wanted}
        return dict(provider(**{name: value for name, value in arguments.items() if name in names}))
    return {}


def record_success_fail_telemetry_event(**decorator_kwargs: Any) -> Callable[[_F], _F]:
    """Decorator: record how each call ended, as ``metric_name`` (default: the function's name) with
    ``event_details``.
    """

    def decorate(function: _F) -> _F:
        def told(known: dict[str, Any], error: BaseException | None, _: float) -> None:
            event = decorator_kwargs.get("metric_name", function.__name__)
            _record(event, decorator_kwargs.get("event_details", {}), error, known["arguments"].get("from_gui"))

        return _watched(function, told)

    return decorate


def record_function_latency_telemetry_event(**decorator_kwargs: Any) -> Callable[[_F], _F]:
    """Decorator: record how long each call took, in nanoseconds, and how it ended.

    ``metric_name`` stands for the function's name. ``details_provider`` gets those of the call's arguments that it
    names, before the call, and gives more details.
    """

    def decorate(function: _F) -> _F:
        def told(known: dict[str, Any], error: BaseException | None, seconds: float) -> None:
            name = decorator_kwargs.get("metric_name", function.__name__)
            details = {"latency": int(seconds * 1e9), "function_call": name, **known["details"]}
            _record("latency", details, error, known["arguments"].get("from_gui"))

        return _watched(function, told, decorator_kwargs.get("details_provider"))

    return decorate
