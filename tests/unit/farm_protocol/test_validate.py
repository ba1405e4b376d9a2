"""What is said about a member that breaks the model."""

from __future__ import annotations

import json
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from shotput_farm.protocol import model, parse
from shotput_farm.protocol.errors import Validation
from shotput_farm.protocol.validate import Checker, Problem, rejection

SERVICE = model.service("deadline")
FARM_ID = "farm-" + "0" * 32
QUEUE_ID = "queue-" + "1" * 32
URI = {"farmId": FARM_ID, "queueId": QUEUE_ID}


def problems(name: str, document: dict[str, Any], uri: dict[str, str] = URI, query: str = "") -> list[Problem]:
    operation = SERVICE.operations[name]
    path = {member.wire_name: uri[member.name] for member in operation.path}
    with pytest.raises(Validation) as raised:
        parse.read(operation, path, query, {}, json.dumps(document).encode() if document is not None else b"")
    return [(field["name"], field["message"]) for field in raised.value.members["fieldList"]]


def job(**members: Any) -> dict[str, Any]:
    return {"template": "{}", "templateType": "JSON", "priority": 50, **members}


@pytest.mark.parametrize(
    ("members", "expected"),
    [
        ({"priority": None}, ("priority", "is required")),
        ({"priority": "50"}, ("priority", "must be a whole number, and is the string '50'")),
        ({"priority": 50.0}, ("priority", "must be a whole number, and is the number 50.0")),
        ({"priority": True}, ("priority", "must be a whole number, and is true")),
        ({"priority": 101}, ("priority", "must be at most 100, and is 101")),
        ({"priority": -1}, ("priority", "must be at least 0, and is -1")),
        ({"templateType": "XML"}, ("templateType", "must be one of JSON, YAML, and is 'XML'")),
        ({"template": ""}, ("template", "must have at least 1 character, and has 0")),
        ({"template": "x" * 1_000_001}, ("template", "must have at most 1000000 characters, and has 1000001")),
        ({"template": ["x"]}, ("template", "must be a string, and is a list")),
        ({"template": "\ud800"}, ("template", "must be Unicode text, and holds half of a surrogate pair")),
        ({"parameters": []}, ("parameters", "must be an object, and is a list")),
        ({"parameters": {"A": {}}},
         ("parameters.A", "must have exactly one of int, float, string, path, bool, rangeExpr, stringList, pathList, "
          "intList, floatList, boolList, intListList, and has none of them")),
        ({"parameters": {"A": {"int": "1", "string": "1"}}},
         ("parameters.A", "must have exactly one of int, float, string, path, bool, rangeExpr, stringList, pathList, "
          "intList, floatList, boolList, intListList, and has int and string")),
        ({"parameters": {"A": {"int": "one"}}},
         ("parameters.A.int", "must match the pattern [-]?(0|[1-9][0-9]*), and is 'one'")),
        ({"parameters": {str(n): {"int": "1"} for n in range(201)}},
         ("parameters", "must have at most 200 entries, and has 201")),
        ({"attachments": {"manifests": []}}, ("attachments.manifests", "must have at least 1 item, and has 0")),
        ({"attachments": {"manifests": [{"rootPath": "/", "rootPathFormat": "posix"}, {"rootPath": "/"}]}},
         ("attachments.manifests[1].rootPathFormat", "is required")),
        ({"attachments": {"manifests": [5]}}, ("attachments.manifests[0]", "must be an object, and is the number 5")),
        ({"storageProfileId": "sp-" + "0" * 32 + "\n"},
         ("storageProfileId", "must match the pattern sp-[0-9a-f]{32}, and is 'sp-" + "0" * 32 + "\\n'")),
    ],
)  # fmt: skip
def test_a_member_is_named_with_its_value(members: dict[str, Any], expected: Problem) -> None:
    assert expected in problems("CreateJob", job(**members))


def test_a_sensitive_value_is_not_repeated() -> None:
    shape = SERVICE.shape("BatchGetJobRequest")
    operation = SERVICE.operations["CreateQueueEnvironment"]
    assert operation.body["template"].metadata.get("sensitive")
    found: list[Problem] = []
    shape = type(operation.body["template"])("S", {"type": "string", "sensitive": True, "pattern": "[a]+"})
    Checker().check(shape)("secret", found)
    assert found == [("", "must match the pattern [a]+, and is something else (not shown)")]


def test_numbers_and_lists_of_a_query_are_checked() -> None:
    assert problems("ListFarms", {}, query="maxResults=0") == [("maxResults", "must be at least 1, and is 0")]
    assert problems("ListFarms", {}, query="maxResults=ten") == [
        ("maxResults", "must be a whole number, and is the string 'ten'")
    ]
    assert problems("ListQueues", {}, query="status=BUSY") == [
        ("status", "must be one of IDLE, SCHEDULING, SCHEDULING_BLOCKED, and is 'BUSY'")
    ]
    operation = SERVICE.operations["UntagResource"]
    read = parse.read(operation, {"resourceArn": "a"}, "tagKeys=a%20b&tagKeys=c%26d&other=1", {}, b"")
    assert read == {"resourceArn": "a", "tagKeys": ["a b", "c&d"]}


def test_a_required_query_member_that_is_missing_is_named() -> None:
    uri = {"farmId": FARM_ID, "fleetId": "fleet-" + "0" * 32, "workerId": "worker-" + "0" * 32}
    assert problems("AssumeQueueRoleForWorker", {}, uri) == [("queueId", "is required")]


def test_a_header_member_is_checked() -> None:
    operation = SERVICE.operations["CreateFarm"]
    with pytest.raises(Validation) as raised:
        parse.read(operation, {}, "", {"x-amz-client-token": "x" * 65}, b'{"displayName": "x"}')
    assert raised.value.members["fieldList"] == [
        {"name": "clientToken", "message": "must have at most 64 characters, and has 65"}
    ]


def test_a_time_that_is_none_is_named() -> None:
    uri = {"farmId": FARM_ID, "fleetId": "fleet-" + "0" * 32, "workerId": "worker-" + "0" * 32}
    action = "sessionaction-" + "0" * 32 + "-0"
    document = {"updatedSessionActions": {action: {"startedAt": "noon", "progressPercent": 101}}}
    assert problems("UpdateWorkerSchedule", document, uri) == [
        (f"updatedSessionActions.{action}.startedAt",
         "must be a time like 2024-01-02T03:04:05Z, and is the string 'noon'"),
        (f"updatedSessionActions.{action}.progressPercent", "must be at most 100, and is 101"),
    ]  # fmt: skip


def test_the_text_shows_three_of_many_and_the_fields_all() -> None:
    error = rejection("CreateJob", [(f"m{n}", "is required") for n in range(5)])
    assert error.message == (
        "CreateJob cannot be served: m0 is required; m1 is required; m2 is required (and 2 more). "
        "Correct what is named and send the request again."
    )
    assert len(error.members["fieldList"]) == 5


def test_documents_and_null_members_pass() -> None:
    operation = SERVICE.operations["CreateJob"]
    body = json.dumps(job(parameters={"A": {"int": "1", "float": None}, "B": None}, maxWorkerCount=None)).encode()
    read = parse.read(operation, URI, "", {}, body)
    assert read == {**URI, **job(parameters={"A": {"int": "1"}})}


def test_every_pattern_of_the_model_compiles() -> None:
    for name in SERVICE.model.shape_names:
        Checker().check(SERVICE.shape(name))


def test_threads_may_ask_for_the_first_check_of_a_shape_at_once() -> None:
    # groupFilter contains itself.
    value = {"filters": [{"groupFilter": {"filters": [], "operator": "AND"}}], "operator": "AND"}
    shape = SERVICE.shape("SearchGroupedFilterExpressions")

    def ask(checker: Checker, meeting: threading.Barrier) -> list[Problem]:
        found: list[Problem] = []
        meeting.wait()
        checker.check(shape)(value, found)
        return found

    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        with ThreadPoolExecutor(8) as threads:
            for _ in range(50):
                checker, meeting = Checker(), threading.Barrier(8)
                for answer in [threads.submit(ask, checker, meeting) for _ in range(8)]:
                    assert answer.result() == [
                        ("filters[0].groupFilter.filters", "must have at least 1 item, and has 0")
                    ]
    finally:
        sys.setswitchinterval(interval)
