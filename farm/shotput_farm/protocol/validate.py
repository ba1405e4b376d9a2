"""Checks values against shapes of the service model, with all of its constraints, and names every member that fails.

Botocore's own validator checks neither maxima nor patterns nor enums. A shape is compiled once into a function that
checks a JSON value and returns it in the farm's form: timestamps as epoch seconds, members that the model does not know
removed, null members absent. Nothing here raises for a bad value; problems are collected.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from botocore.model import ListShape, MapShape, Shape, StringShape, StructureShape

from shotput_farm.protocol import timestamps
from shotput_farm.protocol.errors import Validation
from shotput_farm.protocol.shapes import Compiled

Problem = tuple[str, str]
"""The path of a member (``identifiers[0].jobDetails.jobId``) and what is wrong with it."""

Check = Callable[[Any, list[Problem]], Any]
"""Check a value, append what is wrong (paths relative to the value), return the value in the farm's form."""

_SHOWN = 80


class Checker:
    """Compiles shapes into checks.

    With ``report_unknown`` a member that the model does not know is a problem rather than left out: what tests want of
    a reply. Threads may share one.
    """

    def __init__(self, *, report_unknown: bool = False) -> None:
        self._report_unknown = report_unknown
        self._compiled: Compiled[Check] = Compiled(
            self._compile, lambda find: lambda value, problems: find()(value, problems)
        )

    def check(self, shape: Shape) -> Check:
        """Return the check of a shape."""
        return self._compiled(shape)

    def members(self, shape: StructureShape, members: dict[str, Shape]) -> Check:
        """Return the check of a structure restricted to ``members`` (wire name → shape)."""
        required = [name for name in shape.metadata.get("required", ()) if name in members]
        return self._structure(members, required, union=False)

    def _compile(self, shape: Shape) -> Check:
        if isinstance(shape, StructureShape):
            if shape.is_document_type:
                return lambda value, problems: value
            union = bool(shape.is_tagged_union)
            members = {member.serialization.get("name", name): member for name, member in shape.members.items()}
            return self._structure(members, list(shape.metadata.get("required", ())), union=union)
        if isinstance(shape, ListShape):
            return self._list(shape)
        if isinstance(shape, MapShape):
            return self._map(shape)
        if isinstance(shape, StringShape) or shape.type_name in ("string", "character"):
            return _string(shape)
        scalar = _SCALARS.get(shape.type_name)
        if scalar is None:
            raise TypeError(f"Shape {shape.name} has type {shape.type_name}, which the farm's protocol does not know.")
        return scalar(shape)

    def _structure(self, members: dict[str, Shape], required: list[str], *, union: bool) -> Check:
        checks = {name: self.check(member) for name, member in members.items()}
        report_unknown = self._report_unknown
        choices = ", ".join(members)

        def check(value: Any, problems: list[Problem]) -> Any:
            if type(value) is not dict:
                problems.append(("", f"must be an object, and is {_describe(value)}"))
                return value
            result = {}
            for name, item in value.items():
                if item is None:
                    continue
                member = checks.get(name)
                if member is None:
                    if report_unknown:
                        problems.append((str(name), "is no member of the model"))
                    continue
                before = len(problems)
                result[name] = member(item, problems)
                if len(problems) > before:
                    _prefix(name, problems, before)
            for name in required:
                if name not in result:
                    problems.append((name, "is required"))
            if union and len(result) != 1:
                present = " and ".join(result) or "none of them"
                problems.append(("", f"must have exactly one of {choices}, and has {present}"))
            return result

        return check

    def _list(self, shape: ListShape) -> Check:
        item_check = self.check(shape.member)
        size = _size(shape, "item", "items")

        def check(value: Any, problems: list[Problem]) -> Any:
            if type(value) is not list and type(value) is not tuple:
                problems.append(("", f"must be a list, and is {_describe(value)}"))
                return value
            size(value, problems)
            result = []
            for index, item in enumerate(value):
                before = len(problems)
                result.append(item_check(item, problems))
                if len(problems) > before:
                    _prefix(f"[{index}]", problems, before)
            return result

        return check

    def _map(self, shape: MapShape) -> Check:
        key_check = self.check(shape.key)
        value_check = self.check(shape.value)
        size = _size(shape, "entry", "entries")

        def check(value: Any, problems: list[Problem]) -> Any:
            if type(value) is not dict:
                problems.append(("", f"must be an object, and is {_describe(value)}"))
                return value
            result = {}
            for key, item in value.items():
                if item is None:
                    continue
                before = len(problems)
                key_check(key, problems)
                result[key] = value_check(item, problems)
                if len(problems) > before:
                    _prefix(_shorten(str(key)), problems, before)
            size(result, problems)
            return result

        return check


def rejection(operation: str, problems: Sequence[Problem]) -> Validation:
    """Return the error for a request that has ``problems``: all of them as fields, the first three in the text."""
    shown = "; ".join(f"{name} {message}" if name else message for name, message in problems[:3])
    more = f" (and {len(problems) - 3} more)" if len(problems) > 3 else ""
    return Validation(
        f"{operation} cannot be served: {shown}{more}. Correct what is named and send the request again.",
        [(name or "body", message) for name, message in problems],
    )


def _prefix(name: str, problems: list[Problem], start: int) -> None:
    for index in range(start, len(problems)):
        inner, message = problems[index]
        if not inner:
            problems[index] = (name, message)
        else:
            problems[index] = (f"{name}{inner}" if inner.startswith("[") else f"{name}.{inner}", message)


def _string(shape: Shape) -> Check:
    metadata = shape.metadata
    enum = frozenset(metadata.get("enum", ()))
    listed = ", ".join(metadata.get("enum", ()))
    pattern_text = metadata.get("pattern")
    pattern = _pattern(pattern_text) if pattern_text else None
    minimum = metadata.get("min", 0)
    maximum = metadata.get("max", math.inf)
    size = _size(shape, "character", "characters")
    sensitive = bool(metadata.get("sensitive"))

    def check(value: Any, problems: list[Problem]) -> Any:
        if type(value) is not str:
            problems.append(("", f"must be a string, and is {_describe(value)}"))
            return value
        if not minimum <= len(value) <= maximum:
            size(value, problems)
        elif enum:
            if value not in enum:
                problems.append(("", f"must be one of {listed}, and is {_quote(value, sensitive)}"))
        elif pattern is not None and pattern.fullmatch(value) is None:
            problems.append(("", f"must match the pattern {pattern_text}, and is {_quote(value, sensitive)}"))
        if not value.isascii() and any("\ud800" <= character <= "\udfff" for character in value):
            problems.append(("", "must be Unicode text, and holds half of a surrogate pair"))
        return value

    return check


def _pattern(text: str) -> re.Pattern[str]:
    """Compile a pattern of the model, which must match a whole value."""
    if "\\p{" not in text:
        return re.compile(text, re.ASCII | re.DOTALL)
    # `re` has no Unicode categories; its own classes are these three and the underscore.
    for category, ours in (("L", "\\w"), ("N", "\\w"), ("Z", "\\s")):
        text = text.replace(f"\\p{{{category}}}", ours)
    return re.compile(text, re.DOTALL)


def _integer(shape: Shape) -> Check:
    # Members without limits are still 32 bit (integer) or 64 bit (long) on every client and in the store.
    bits = 63 if shape.type_name == "long" else 31
    bounds = _bounds(shape, -(2**bits), 2**bits - 1)

    def check(value: Any, problems: list[Problem]) -> Any:
        if type(value) is not int:
            problems.append(("", f"must be a whole number, and is {_describe(value)}"))
            return value
        bounds(value, problems)
        return value

    return check


def _float(shape: Shape) -> Check:
    bounds = _bounds(shape, -math.inf, math.inf)

    def check(value: Any, problems: list[Problem]) -> Any:
        if type(value) not in (int, float) or not math.isfinite(value):
            problems.append(("", f"must be a finite number, and is {_describe(value)}"))
            return value
        bounds(value, problems)
        return value

    return check


def _boolean(_shape: Shape) -> Check:
    def check(value: Any, problems: list[Problem]) -> Any:
        if type(value) is not bool:
            problems.append(("", f"must be true or false, and is {_describe(value)}"))
        return value

    return check


def _timestamp(_shape: Shape) -> Check:
    def check(value: Any, problems: list[Problem]) -> Any:
        if type(value) in (str, int, float):
            try:
                return timestamps.parse(value)
            except ValueError:
                pass
        problems.append(("", f"must be a time like 2024-01-02T03:04:05Z, and is {_describe(value)}"))
        return value

    return check


_SCALARS: dict[str, Callable[[Shape], Check]] = {
    "integer": _integer,
    "long": _integer,
    "float": _float,
    "double": _float,
    "boolean": _boolean,
    "timestamp": _timestamp,
}


def _bounds(shape: Shape, lowest: float, highest: float) -> Callable[[float, list[Problem]], None]:
    minimum = shape.metadata.get("min", lowest)
    maximum = shape.metadata.get("max", highest)

    def check(value: float, problems: list[Problem]) -> None:
        if value < minimum:
            problems.append(("", f"must be at least {minimum}, and is {value}"))
        elif value > maximum:
            problems.append(("", f"must be at most {maximum}, and is {value}"))

    return check


def _size(shape: Shape, one: str, many: str) -> Callable[[Any, list[Problem]], None]:
    minimum = shape.metadata.get("min", 0)
    maximum = shape.metadata.get("max", math.inf)

    def check(value: Any, problems: list[Problem]) -> None:
        count = len(value)
        if count < minimum:
            problems.append(("", f"must have at least {minimum} {one if minimum == 1 else many}, and has {count}"))
        elif count > maximum:
            problems.append(("", f"must have at most {maximum} {one if maximum == 1 else many}, and has {count}"))

    return check


def _describe(value: Any) -> str:
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (int, float)):
        return f"the number {value}"
    if isinstance(value, str):
        return f"the string {_quote(value, False)}"
    return "a list" if isinstance(value, (list, tuple)) else "an object"


def _quote(value: str, sensitive: bool) -> str:
    return "something else (not shown)" if sensitive else repr(_shorten(value))


def _shorten(text: str) -> str:
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…"


def names(problems: Iterable[Problem]) -> list[str]:
    """Return the member paths of ``problems``."""
    return [name for name, _ in problems]
