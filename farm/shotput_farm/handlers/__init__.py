"""The registry of operations: one thin function per operation, parse → call → map.

A handler takes the open farm and the parsed, validated request and returns the reply's members in wire names (None
values are dropped, timestamps are epoch seconds), or raises one of ``shotput_farm.protocol.errors``.
"""

from __future__ import annotations

import hashlib
import importlib
import json
import pkgutil
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

from shotput_farm.credentials import Credential

Reply = Mapping[str, Any] | None
Handler = Callable[[Any, "Request"], Reply | Awaitable[Reply]]
_H = TypeVar("_H", bound=Callable[..., Any])


@dataclass(slots=True)
class Request:
    """One parsed and validated request.

    ``params`` holds wire member names: path, query, header and body members alike; timestamps are float epoch seconds
    rounded to microseconds, blobs bytes, document members (``{}`` of the model) plain JSON values. Members that the
    model does not know are gone. ``hold_seconds`` is how long the caller lets the farm hold the request open when
    there is nothing to say (0.0 = answer at once).
    """

    operation: str
    params: dict[str, Any]
    identity: Credential
    client_token: str | None = None
    hold_seconds: float = 0.0
    request_id: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)

    def fingerprint(self) -> str:
        """Return a digest of the request's content without its client token: equal for a retry of the same call."""
        content = {name: value for name, value in self.params.items() if name != "clientToken"}
        text = json.dumps([self.operation, content], sort_keys=True, separators=(",", ":"), default=repr)
        return hashlib.sha256(text.encode()).hexdigest()


@dataclass(frozen=True, slots=True)
class Registered:
    """A handler and how it is called."""

    name: str
    handler: Handler
    inline: bool


registry: dict[str, Registered] = {}


def operation(name: str, *, inline: bool = False) -> Callable[[_H], _H]:
    """Register the decorated function as the handler of operation ``name`` (``"GetFarm"``).

    An ``async def`` handler runs on the event loop and may wait as long as ``request.hold_seconds``; it is cancelled
    when its client goes away or the farm stops. A plain ``def`` runs on a small thread pool, several at a time, unless
    ``inline`` says that it returns within microseconds and touches neither disk nor lock. Raises ValueError when the
    name has a handler already.
    """

    def register(handler: _H) -> _H:
        if name in registry:
            raise ValueError(f"Operation {name} has two handlers: {registry[name].handler!r} and {handler!r}.")
        registry[name] = Registered(name, handler, inline)
        return handler

    return register


def load() -> Mapping[str, Registered]:
    """Import every module of this package, so that all handlers are registered, and return the registry."""
    for module in pkgutil.iter_modules(__path__):
        importlib.import_module(f"{__name__}.{module.name}")
    return registry
