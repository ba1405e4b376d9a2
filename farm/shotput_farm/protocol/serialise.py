"""From a handler's reply to an HTTP status and a JSON body, driven by the service model.

None is left out at every depth, timestamps (epoch seconds) become RFC 3339 with Z, members that the model does not know
are left out. ``problems_of`` checks the same reply against the model, for tests.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any, cast

from botocore.model import ListShape, MapShape, Shape, StructureShape

from shotput_farm.protocol import timestamps
from shotput_farm.protocol.model import Operation
from shotput_farm.protocol.shapes import Compiled
from shotput_farm.protocol.validate import Checker, Problem

Convert = Callable[[Any], Any]

_CHECKER = Checker()


class Converter:
    """Compiles shapes into functions that leave out None and unknown members, and convert timestamps.

    ``timestamp`` is what is done to a timestamp: rendered on the way out, parsed on the way in. Threads may share one.
    """

    def __init__(self, timestamp: Convert) -> None:
        self._timestamp = timestamp
        self._compiled: Compiled[Convert | None] = Compiled(
            self._compile, lambda find: lambda value: cast("Convert", find())(value)
        )

    def convert(self, shape: Shape) -> Convert | None:
        """Return what converts a value of ``shape``, None when values stay as they are."""
        return self._compiled(shape)

    def members(self, members: Mapping[str, Shape]) -> Convert:
        """Return what converts a structure that has ``members`` (wire name → shape)."""
        converts = {name: self.convert(member) for name, member in members.items()}

        def convert(value: Mapping[str, Any]) -> dict[str, Any]:
            result = {}
            for name, item in value.items():
                if item is None or name not in converts:
                    continue
                inner = converts[name]
                result[name] = item if inner is None else inner(item)
            return result

        return convert

    def _compile(self, shape: Shape) -> Convert | None:
        if isinstance(shape, StructureShape):
            if shape.is_document_type:
                return None
            return self.members({m.serialization.get("name", name): m for name, m in shape.members.items()})
        if isinstance(shape, ListShape):
            item = self.convert(shape.member)
            return None if item is None else lambda value: [item(entry) for entry in value]
        if isinstance(shape, MapShape):
            entry = self.convert(shape.value)
            if entry is None:
                return lambda value: {key: item for key, item in value.items() if item is not None}
            return lambda value: {key: entry(item) for key, item in value.items() if item is not None}
        return self._timestamp if shape.type_name == "timestamp" else None


WRITER = Converter(timestamps.render)
READER = Converter(timestamps.parse)


def reply(operation: Operation, members: Mapping[str, Any] | None) -> tuple[int, bytes]:
    """Return the status and the body for what a handler returned (None: no members). 204 has no body."""
    if operation.status == 204:
        return 204, b""
    if not members or operation.output is None:
        return operation.status, b"{}"
    convert = WRITER.convert(operation.output)
    return operation.status, encode(convert(members) if convert is not None else members)


def encode(document: Any) -> bytes:
    """Return compact UTF-8 JSON. Halves of surrogate pairs, which UTF-8 cannot carry, become question marks."""
    return json.dumps(document, ensure_ascii=False, separators=(",", ":"), allow_nan=False).encode("utf-8", "replace")


def problems_of(operation: Operation, members: Mapping[str, Any] | None) -> list[Problem]:
    """Return what is wrong with a handler's reply: required members missing, constraints broken.

    Members that the model does not know are no problem: ``reply`` leaves them out, so that handlers may share mappings.
    """
    problems: list[Problem] = []
    if operation.output is not None:
        _CHECKER.check(operation.output)(dict(members or {}), problems)
    return problems
