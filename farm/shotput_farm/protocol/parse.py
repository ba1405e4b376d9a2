"""From an HTTP request to an operation and its input, driven by the service model.

``params`` of a parsed request hold wire member names; timestamps are float epoch seconds (``protocol.timestamps``).
Members that the model does not know are left out, as the protocol demands of a service.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import unquote, unquote_plus

from botocore.model import Shape, StructureShape

from shotput_farm.protocol.errors import Validation, unknown_operation
from shotput_farm.protocol.model import Operation, Service
from shotput_farm.protocol.validate import Check, Checker, Problem, rejection

_CHECKER = Checker()
_READERS: dict[str, Callable[[Mapping[str, str], str, Mapping[str, str], bytes], dict[str, Any]]] = {}


def route(service: Service, method: str, raw_path: str) -> tuple[Operation, dict[str, str]]:
    """Return the operation for a method and a path as it came over the wire, and its decoded path members.

    Raises ``Validation`` (UNKNOWN_OPERATION) that names method and path when the model has none.
    """
    segments = raw_path.strip("/").split("/")
    for template, operation in service.routes.get((method, len(segments)), ()):
        for expected, given in zip(template, segments, strict=True):
            if expected != given and expected[0] != "{":
                break
        else:
            pairs = zip(template, segments, strict=True)
            return operation, {name[1:-1]: unquote(given) for name, given in pairs if name[0] == "{"}
    raise unknown_operation(f"{method} {raw_path[:200]}")


def read(
    operation: Operation, path: Mapping[str, str], query: str, headers: Mapping[str, str], body: bytes
) -> dict[str, Any]:
    """Return the operation's input: path, query, header and body members in one dict, checked against the model.

    ``path`` is what ``route`` returned, ``headers`` has lower-case names. Raises ``Validation`` that names every member
    that is missing or breaks its constraints, or says that the body is no JSON object.
    """
    reader = _READERS.get(operation.name)
    if reader is None:
        reader = _READERS[operation.name] = _compile(operation)
    return reader(path, query, headers, body)


def load_object(operation: str, body: bytes) -> dict[str, Any]:
    """Return the JSON object in a body (none: ``{}``). Raises ``Validation`` (CANNOT_PARSE) that says why not."""
    if not body:
        return {}
    try:
        document = json.loads(body, parse_constant=_no_constant)
    except ValueError as error:  # UnicodeDecodeError too
        raise Validation(
            f"{operation} cannot be served: the body is not JSON ({error}). Send a JSON object in UTF-8.",
            reason="CANNOT_PARSE",
        ) from error
    if not isinstance(document, dict):
        raise Validation(
            f"{operation} cannot be served: the body is JSON but no object. Send a JSON object.", reason="CANNOT_PARSE"
        )
    return document


def _no_constant(name: str) -> Any:
    raise ValueError(f"{name} is no JSON number")


def _compile(
    operation: Operation,
) -> Callable[[Mapping[str, str], str, Mapping[str, str], bytes], dict[str, Any]]:
    located = {member.name for member in (*operation.path, *operation.query, *operation.headers)}
    required = list(operation.input.metadata.get("required", ())) if operation.input is not None else []
    required_elsewhere = [name for name in required if name in located]
    path = [(member.name, member.wire_name, _CHECKER.check(member.shape)) for member in operation.path]
    headers = [(m.name, m.wire_name.lower(), _from_text(m.shape), _CHECKER.check(m.shape)) for m in operation.headers]
    query = {
        m.wire_name: (m.name, m.shape.type_name == "list", _from_text(m.shape), _CHECKER.check(m.shape))
        for m in operation.query
    }
    body_check: Check | None = None
    if isinstance(operation.input, StructureShape) and operation.body:
        body_check = _CHECKER.members(operation.input, operation.body)

    def put(name: str, value: Any, check: Check, params: dict[str, Any], problems: list[Problem]) -> None:
        before = len(problems)
        params[name] = check(value, problems)
        for index in range(before, len(problems)):
            inner, message = problems[index]
            problems[index] = (f"{name}{inner}", message)

    def reader(uri: Mapping[str, str], text: str, fields: Mapping[str, str], body: bytes) -> dict[str, Any]:
        problems: list[Problem] = []
        params: dict[str, Any] = {}
        if body_check is not None:
            try:
                params.update(body_check(load_object(operation.name, body), problems))
            except RecursionError:
                raise Validation(
                    f"{operation.name} cannot be served: the body is nested too deeply. Flatten it and send the "
                    "request again.",
                    reason="CANNOT_PARSE",
                ) from None
        for name, wire_name, check in path:
            put(name, uri[wire_name], check, params, problems)
        for name, wire_name, convert, check in headers:
            value = fields.get(wire_name)
            if value is not None:
                put(name, convert(value), check, params, problems)
        if query and text:
            lists: dict[str, list[Any]] = {}
            for pair in text.split("&"):
                key, _, value = pair.partition("=")
                known = query.get(unquote_plus(key))
                if known is None:
                    continue
                name, is_list, convert, check = known
                if is_list:
                    lists.setdefault(unquote_plus(key), []).append(convert(unquote_plus(value)))
                else:
                    put(name, convert(unquote_plus(value)), check, params, problems)
            for key, values in lists.items():
                put(query[key][0], values, query[key][3], params, problems)
        for name in required_elsewhere:
            if name not in params:
                problems.append((name, "is required"))
        if problems:
            raise rejection(operation.name, problems)
        return params

    return reader


def _from_text(shape: Shape) -> Callable[[str], Any]:
    """Return what turns the text of a query or header value into the JSON value that the shape's check expects."""
    member = shape.member if shape.type_name == "list" else shape
    if member.type_name in ("integer", "long"):
        return _int_or_text
    if member.type_name == "boolean":
        return lambda text: {"true": True, "false": False}.get(text.lower(), text)
    return lambda text: text


def _int_or_text(text: str) -> Any:
    # What is no number stays text; the check of the shape then says so with the member's name.
    digits = text.removeprefix("-")
    return int(text) if digits.isascii() and digits.isdigit() and len(digits) < 20 else text
