"""Every operation of the model, against botocore's own serializer and parser."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

import pytest
from botocore.awsrequest import create_request_object, prepare_request_dict
from botocore.parsers import create_parser
from botocore.serialize import create_serializer
from botocore.validate import ParamValidator
from shotput_farm.protocol import model, parse, serialise
from shotput_farm.protocol.errors import Validation

SERVICE = model.service("deadline")
OPERATIONS = sorted(SERVICE.operations)
SEEDS = range(4)
# Operations of which the model constrains nothing: they take optional members of the query, an ARN, a tag's key.
UNCONSTRAINED = {
    "ListAvailableMeteredProducts",
    "ListFarms",
    "ListLicenseEndpoints",
    "ListMemberships",
    "ListMonitors",
    "ListTagsForResource",
    "UntagResource",
}


def sent(name: str, params: dict[str, Any]) -> tuple[str, str, str, dict[str, str], bytes]:
    """Return method, raw path, query, headers and body of the request that botocore sends."""
    request_dict = create_serializer("rest-json", include_validation=False).serialize_to_request(
        params, SERVICE.model.operation_model(name)
    )
    prepare_request_dict(request_dict, endpoint_url="http://127.0.0.1:8080", context={})
    request = create_request_object(request_dict).prepare()
    parts = urlsplit(request.url)
    body = request.body or b""
    headers = {
        key.lower(): value if isinstance(value, str) else value.decode() for key, value in request.headers.items()
    }
    return request.method, parts.path, parts.query, headers, body if isinstance(body, bytes) else body.encode()


def received(name: str, params: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    method, path, query, headers, body = sent(name, params)
    operation, uri = parse.route(SERVICE, method, path)
    return operation.name, parse.read(operation, uri, query, headers, body)


def test_the_model_has_the_operations_of_the_contract() -> None:
    assert len(OPERATIONS) == 127
    scheduling = [name for name, operation in SERVICE.operations.items() if operation.is_scheduling]
    assert sorted(scheduling) == [
        "AssumeFleetRoleForWorker",
        "AssumeQueueRoleForWorker",
        "BatchGetJobEntity",
        "CreateWorker",
        "UpdateWorker",
        "UpdateWorkerSchedule",
    ]
    assert {operation.status for operation in SERVICE.operations.values()} == {200, 201, 204}
    assert SERVICE.operations["CreateJob"].status == 201


@pytest.mark.parametrize("name", OPERATIONS)
@pytest.mark.parametrize("full", [False, True], ids=["least", "full"])
def test_a_request_of_botocore_is_read_back_equal(
    name: str, full: bool, generator: Any, seconds: Callable[[Any], Any]
) -> None:
    operation_model = SERVICE.model.operation_model(name)
    for seed in SEEDS:
        params = generator((name, seed), full=full, moments=True).value(operation_model.input_shape)
        assert ParamValidator().validate(params, operation_model.input_shape).generate_report() == ""
        assert received(name, params) == (name, seconds(params))


@pytest.mark.parametrize("name", OPERATIONS)
@pytest.mark.parametrize("full", [False, True], ids=["least", "full"])
def test_a_reply_is_read_back_equal_by_botocore(
    name: str, full: bool, generator: Any, seconds: Callable[[Any], Any]
) -> None:
    operation = SERVICE.operations[name]
    for seed in SEEDS:
        members = generator((name, seed), full=full, moments=False).value(operation.output)
        assert serialise.problems_of(operation, members) == []
        status, body = serialise.reply(operation, {**members, "unheardOf": 1, "nothing": None})
        assert status == operation.status
        response = {"status_code": status, "headers": {}, "body": body}
        parsed = create_parser("rest-json").parse(response, operation.output)
        parsed.pop("ResponseMetadata")
        assert seconds(parsed) == members


@pytest.mark.parametrize("name", OPERATIONS)
def test_members_that_the_model_does_not_know_are_ignored(
    name: str, generator: Any, seconds: Callable[[Any], Any]
) -> None:
    params = generator(name, full=True, moments=True).value(SERVICE.model.operation_model(name).input_shape)
    method, path, query, headers, body = sent(name, params)
    operation, uri = parse.route(SERVICE, method, path)
    if operation.body:
        document = json.loads(body)
        body = json.dumps(_with_strangers(document, operation)).encode()
    query = f"{query}&unheardOf=1" if query else "unheardOf=1"
    assert parse.read(operation, uri, query, headers, body) == seconds(params)


def _with_strangers(document: dict[str, Any], operation: model.Operation) -> dict[str, Any]:
    """Put unknown and null members into the body and into every structure directly in it, unions too."""
    for name, shape in operation.body.items():
        if shape.type_name == "structure" and not shape.is_document_type and name in document:
            document[name] = {**document[name], "__type": "x", "unheardOf": [1], "nothing": None}
    return {**document, "unheardOf": {"a": 1}, "nothing": None}


REMOVE = object()


def _breaks(shape: Any, value: Any, path: str, keys: tuple[Any, ...]) -> Any:
    metadata = shape.metadata
    if getattr(shape, "is_document_type", False):
        return
    if keys:
        yield path, keys, ([] if shape.type_name != "list" else {"a": 1})
    kind = shape.type_name
    if kind == "structure":
        for name in shape.required_members:
            yield f"{path}.{name}" if path else name, (*keys, name), REMOVE
        if shape.is_tagged_union:
            yield path, keys, {}
        for name, item in value.items():
            yield from _breaks(shape.members[name], item, f"{path}.{name}" if path else name, (*keys, name))
    elif kind == "list":
        for index, item in enumerate(value[:1]):
            yield from _breaks(shape.member, item, f"{path}[{index}]", (*keys, index))
        if metadata.get("min"):
            yield path, keys, []
        if value and metadata.get("max", 10**9) < 200:
            yield path, keys, value[:1] * (metadata["max"] + 1)
    elif kind == "map":
        for key, item in list(value.items())[:1]:
            yield from _breaks(shape.value, item, f"{path}.{key if len(key) <= 80 else key[:80] + '…'}", (*keys, key))
    elif kind == "string":
        if metadata.get("enum"):
            yield path, keys, "NO_SUCH_CHOICE"
        elif metadata.get("min"):
            yield path, keys, "x" * (metadata["min"] - 1)
        if metadata.get("max"):
            yield path, keys, "0" * (metadata["max"] + 1)
        if metadata.get("pattern") and metadata.get("max", 10**9) > 3:
            yield path, keys, "/ \u00e9"
    elif kind in ("integer", "float", "double"):
        if "min" in metadata:
            yield path, keys, metadata["min"] - 1
        if "max" in metadata:
            yield path, keys, metadata["max"] + 1


@pytest.mark.parametrize("name", OPERATIONS)
def test_what_breaks_the_model_is_named(name: str, generator: Any) -> None:
    operation = SERVICE.operations[name]
    params = generator(name, full=True, moments=True).value(operation.input)
    method, path, query, headers, body = sent(name, params)
    _, uri = parse.route(SERVICE, method, path)
    cases = 0
    for member in operation.path:
        for bad_path, _, bad in _breaks(member.shape, "x", member.name, ("",)):
            if isinstance(bad, str):
                cases += 1
                with pytest.raises(Validation) as raised:
                    parse.read(operation, {**uri, member.wire_name: bad}, query, headers, body)
                assert bad_path in [field["name"] for field in raised.value.members["fieldList"]]
                assert bad_path in raised.value.message
    for shape_name, shape in operation.body.items():
        document = json.loads(body)
        for bad_path, keys, bad in _breaks(shape, document[shape_name], shape_name, (shape_name,)):
            cases += 1
            changed = json.loads(body)
            inner = changed
            for key in keys[:-1]:
                inner = inner[key]
            if bad is REMOVE:
                del inner[keys[-1]]
            else:
                inner[keys[-1]] = bad
            with pytest.raises(Validation) as raised:
                parse.read(operation, uri, query, headers, json.dumps(changed).encode())
            fields = raised.value.members["fieldList"]
            assert [field["name"] for field in fields if field["name"].startswith(bad_path)], (bad_path, bad, fields)
            assert raised.value.members["reason"] == "FIELD_VALIDATION_FAILED"
    required = (
        [n for n in operation.input.metadata.get("required", ()) if n in operation.body] if operation.input else []
    )
    for required_name in required:
        cases += 1
        changed = json.loads(body)
        del changed[required_name]
        with pytest.raises(Validation) as raised:
            parse.read(operation, uri, query, headers, json.dumps(changed).encode())
        assert {"name": required_name, "message": "is required"} in raised.value.members["fieldList"]
    assert (cases == 0) == (name in UNCONSTRAINED)
