"""Says what symbols of the package ``deadline`` look like, as JSON: run by the Python of each environment in turn.

Usage: describe.py MODULE:NAME ...
"""

from __future__ import annotations

import dataclasses
import enum
import importlib
import inspect
import json
import sys
from typing import Any

_PLAIN = (type(None), bool, int, float, str)


def signature(function: Any) -> list[dict[str, Any]]:
    found = []
    for parameter in inspect.signature(function).parameters.values():
        default = parameter.default
        if isinstance(default, enum.Enum):
            default = default.name
        known = isinstance(default, _PLAIN) or default in ([], {})
        found.append(
            {
                "name": parameter.name,
                "kind": parameter.kind.name,
                "required": default is parameter.empty
                and parameter.kind not in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD),
                "default": default if known else str(getattr(default, "__name__", "…")),
            }
        )
    return found


def methods(cls: type) -> dict[str, Any]:
    found = {}
    for name in dir(cls):
        member = inspect.getattr_static(cls, name)
        if name.startswith("_") or hasattr(BaseException, name) or hasattr(dict, name) or hasattr(str, name):
            continue
        if isinstance(member, (staticmethod, classmethod)):
            found[name] = signature(getattr(cls, name))
        elif callable(member):
            found[name] = signature(member)
        elif isinstance(member, property):
            found[name] = "property"
    return found


def describe(value: Any) -> dict[str, Any]:
    if not inspect.isclass(value):
        return {"kind": "function", "init": signature(value)} if callable(value) else {"kind": type(value).__name__}
    if issubclass(value, enum.Enum):
        return {"kind": "enum", "members": {one.name: one.value for one in value}, "methods": {}}
    if hasattr(value, "__total__"):
        # The official one is a plain class to programs and a typed dict to type checkers.
        return {"kind": "class", "bases": [], "members": sorted(value.__annotations__), "init": [], "methods": {}}
    bases = [base.__name__ for base in value.__mro__[1:-1]]
    members = sorted(one.name for one in dataclasses.fields(value)) if dataclasses.is_dataclass(value) else []
    own_init = value.__init__ not in (object.__init__, Exception.__init__)
    init = signature(value.__init__)[1:] if own_init and value.__init__ is not BaseException.__init__ else []
    return {"kind": "class", "bases": bases, "members": members, "init": init, "methods": methods(value)}


def main() -> None:
    answer: dict[str, Any] = {}
    for symbol in sys.argv[1:]:
        module, _, name = symbol.partition(":")
        try:
            answer[symbol] = describe(getattr(importlib.import_module(module), name))
        except (ImportError, AttributeError):
            answer[symbol] = None
    json.dump(answer, sys.stdout)


if __name__ == "__main__":
    main()
