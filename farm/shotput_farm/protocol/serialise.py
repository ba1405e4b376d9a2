"""From a handler's reply to an HTTP status and a JSON body, driven by the service model.

None is left out at every depth, timestamps (epoch seconds) become RFC 3339 with Z, members that the model does not know
are left out. ``problems_of`` is the strict view of the same reply, for tests.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

from botocore.model import ListShape, MapShape, Shape, StructureShape

from shotput_farm.protocol import timestamps
from shotput_farm.protocol.model import Operation
from shotput_farm.protocol.validate import Checker, Problem

Emit = Callable[[Any], Any]

_STRICT = Checker(report_unknown=True)
_EMITTERS: dict[str, Emit | None] = {}


def reply(operation: Operation, members: Mapping[str, Any] | None) -> tuple[int, bytes]:
    """Return the status and the body for what a handler returned (None: no members). 204 has no body."""
    if operation.status == 204:
        return 204, b""
    if not members or operation.output is None:
        return operation.status, b"{}"
    emit = emitter(operation.output)
    return operation.status, encode(emit(members) if emit is not None else members)


def encode(document: Any) -> bytes:
    """Return compact UTF-8 JSON. Halves of surrogate pairs, which UTF-8 cannot carry, become question marks."""
    return json.dumps(document, ensure_ascii=False, separators=(",", ":"), allow_nan=False).encode("utf-8", "replace")


def problems_of(operation: Operation, members: Mapping[str, Any] | None) -> list[Problem]:
    """Return what is wrong with a handler's reply: required members missing, unknown ones, broken constraints."""
    problems: list[Problem] = []
    if operation.output is not None:
        _STRICT.check(operation.output)(dict(members or {}), problems)
    return problems


def emitter(shape: Shape) -> Emit | None:
    """Return what turns a value of the farm into its JSON form, None when it is its own JSON form."""
    if shape.name in _EMITTERS:
        return _EMITTERS[shape.name]
    # Stands in while a shape that contains itself is compiled.
    _EMITTERS[shape.name] = lambda value: _call(_EMITTERS[shape.name], value)
    compiled = _compile(shape)
    _EMITTERS[shape.name] = compiled
    return compiled


def _call(emit: Emit | None, value: Any) -> Any:
    return value if emit is None else emit(value)


def _compile(shape: Shape) -> Emit | None:
    if isinstance(shape, StructureShape):
        if shape.metadata.get("document") or getattr(shape, "is_document_type", False):
            return None
        members = {
            name: (member.serialization.get("name", name), emitter(member))
            for name, member in shape.members.items()
            if member.serialization.get("location") is None
        }
        return _structure(members)
    if isinstance(shape, ListShape):
        item = emitter(shape.member)
        return None if item is None else lambda value: [item(entry) for entry in value]
    if isinstance(shape, MapShape):
        entry = emitter(shape.value)
        if entry is None:
            return lambda value: {key: item for key, item in value.items() if item is not None}
        return lambda value: {key: entry(item) for key, item in value.items() if item is not None}
    return timestamps.format if shape.type_name == "timestamp" else None


def _structure(members: dict[str, tuple[str, Emit | None]]) -> Emit:
    def emit(value: Mapping[str, Any]) -> dict[str, Any]:
        result = {}
        for name, item in value.items():
            if item is None:
                continue
            known = members.get(name)
            if known is None:
                continue
            wire_name, inner = known
            result[wire_name] = item if inner is None else inner(item)
        return result

    return emit
