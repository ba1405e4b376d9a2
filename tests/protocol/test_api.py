"""The farm's API on a real socket, through real boto3 and through bare HTTP."""

from __future__ import annotations

import http.client
import json
import logging
import socket
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from botocore.exceptions import ClientError
from shotput_farm.protocol.client import UnreachableError

FARM_ID = "farm-" + "0" * 32
OTHER_FARM = "farm-" + "1" * 32
FLEET_ID = "fleet-" + "2" * 32
WORKER_ID = "worker-" + "3" * 32
WORKER = {"farmId": FARM_ID, "fleetId": FLEET_ID, "workerId": WORKER_ID}


def refused(call: Any, **params: Any) -> dict[str, Any]:
    """Return the reply of a call that must fail."""
    with pytest.raises(ClientError) as raised:
        call(**params)
    response: dict[str, Any] = raised.value.response
    return response


def test_boto3_reads_what_a_handler_returns(server: Any) -> None:
    reply = server.boto("deadline").get_farm(farmId=FARM_ID)
    assert reply["displayName"] == "Local"
    assert reply["createdAt"].timestamp() == pytest.approx(1700000000.123456, abs=5e-7)
    assert reply["createdAt"].microsecond == 123456
    assert reply["createdBy"] == server.farm.credentials.root.principal
    assert "description" not in reply
    assert reply["ResponseMetadata"]["RequestId"]
    assert server.farm.seen[0].operation == "GetFarm"
    assert server.farm.seen[0].params == {"farmId": FARM_ID}
    assert server.farm.seen[0].identity is server.farm.credentials.root


def test_the_client_token_reaches_the_handler(server: Any) -> None:
    server.boto("deadline").create_farm(displayName="one", clientToken="token-1")
    server.boto("deadline").create_farm(displayName="one", clientToken="token-2")
    first, second = server.farm.seen
    assert (first.client_token, second.client_token) == ("token-1", "token-2")
    assert first.fingerprint() == second.fingerprint()
    server.boto("deadline").create_farm(displayName="two")
    assert server.farm.seen[2].fingerprint() != first.fingerprint()
    assert len(server.farm.seen[2].client_token) == 36


def test_a_reply_of_204_has_no_body(server: Any) -> None:
    arn = "arn:aws:deadline:us-west-2:000000000000:farm/a b"
    reply = server.boto("deadline").tag_resource(resourceArn=arn, tags={"a": "b"})
    assert reply["ResponseMetadata"]["HTTPStatusCode"] == 204
    assert server.farm.seen[0].params == {"resourceArn": arn, "tags": {"a": "b"}}


def test_a_modelled_error_arrives_with_its_members(server: Any) -> None:
    response = refused(server.boto("deadline").get_farm, farmId=OTHER_FARM)
    assert response["Error"] == {
        "Code": "ResourceNotFoundException",
        "Message": f"There is no farm {OTHER_FARM} on this farm. List what exists, then use an id from that list.",
    }
    assert (response["resourceType"], response["resourceId"]) == ("farm", OTHER_FARM)
    assert response["ResponseMetadata"]["HTTPStatusCode"] == 404


def test_an_operation_that_is_not_built_is_named(server: Any) -> None:
    response = refused(server.boto("deadline").list_budgets, farmId=FARM_ID)
    assert response["Error"] == {
        "Code": "ValidationException",
        "Message": "The local farm does not serve ListBudgets. Use AWS Deadline Cloud for it, or leave it out.",
    }
    assert response["reason"] == "UNKNOWN_OPERATION"
    assert response["ResponseMetadata"]["HTTPStatusCode"] == 400


def test_a_body_that_breaks_the_model_names_the_member(server: Any) -> None:
    response = refused(server.boto("deadline").create_farm, displayName="x" * 101)
    assert response["Error"] == {
        "Code": "ValidationException",
        "Message": "CreateFarm cannot be served: displayName must have at most 100 characters, and has 101. "
        "Correct what is named and send the request again.",
    }
    assert response["reason"] == "FIELD_VALIDATION_FAILED"
    assert response["fieldList"] == [
        {"name": "displayName", "message": "must have at most 100 characters, and has 101"}
    ]
    assert server.farm.seen == []


def test_a_handler_that_fails_is_an_internal_error_that_names_the_log(
    server: Any, tmp_path: Any, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.ERROR):
        response = refused(server.boto("deadline").delete_farm, farmId=FARM_ID)
    assert response["Error"] == {
        "Code": "InternalServerErrorException",
        "Message": "The farm failed at DeleteFarm (RuntimeError: the cellar is flooded). "
        f"The log {tmp_path / 'farm.log'} says more.",
    }
    assert response["ResponseMetadata"]["HTTPStatusCode"] == 500
    assert "the cellar is flooded" in caplog.text


def test_a_worker_gets_the_code_that_it_tries_again_at(server: Any) -> None:
    response = refused(server.boto("deadline").create_worker, farmId=FARM_ID, fleetId=FLEET_ID)
    assert response["Error"]["Code"] == "InternalServerException"
    assert response["ResponseMetadata"]["HTTPStatusCode"] == 500


def test_a_full_disk_is_said(server: Any) -> None:
    response = refused(server.boto("deadline").update_farm, farmId=FARM_ID)
    assert response["Error"] == {
        "Code": "InternalServerErrorException",
        "Message": "The disk that holds the farm's data is full. Free space on it, then try again.",
    }


def test_a_reply_that_breaks_the_model_is_not_sent_in_tests(server: Any) -> None:
    message = refused(server.boto("deadline").list_farms)["Error"]["Message"]
    assert "the reply of ListFarms breaks the model: farms[0].farmId must match the pattern" in message
    assert "farms[0].displayName is required" in message


def signed(server: Any, method: str, target: str, body: bytes = b"", **headers: str) -> dict[str, str]:
    """Return the headers of a request signed by the farm's own key."""
    from botocore.auth import SigV4Auth
    from botocore.awsrequest import AWSRequest
    from botocore.credentials import Credentials

    root = server.farm.credentials.root
    request = AWSRequest(method, server.url + target, headers, body)
    SigV4Auth(Credentials(root.access_key_id, root.secret_access_key), "deadline", "us-west-2").add_auth(request)
    return dict(request.headers.items())


def exchange(server: Any, method: str, target: str, body: bytes, headers: dict[str, str]) -> tuple[int, Any, Any]:
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=10)
    try:
        connection.request(method, target, body, headers)
        response = connection.getresponse()
        content = response.read()
        return response.status, response.headers, json.loads(content) if content[:1] == b"{" else content
    finally:
        connection.close()


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"[1]", "CreateFarm cannot be served: the body is JSON but no object. Send a JSON object."),
        (
            b'{"displayName": "x"',
            "CreateFarm cannot be served: the body is not JSON (Expecting ',' delimiter: line 1 column 20 (char 19)). "
            "Send a JSON object in UTF-8.",
        ),
        (
            b'{"costScaleFactor": NaN}',
            "CreateFarm cannot be served: the body is not JSON (NaN is no JSON number). Send a JSON object in UTF-8.",
        ),
    ],
)
def test_a_body_that_is_no_json_object(server: Any, body: bytes, message: str) -> None:
    headers = signed(server, "POST", "/2023-10-12/farms", body)
    status, fields, document = exchange(server, "POST", "/2023-10-12/farms", body, headers)
    assert (status, fields["x-amzn-errortype"]) == (400, "ValidationException")
    assert document == {"__type": "ValidationException", "message": message, "reason": "CANNOT_PARSE"}


def test_a_body_nested_without_end_is_refused(server: Any) -> None:
    body = b'{"filterExpressions":' + b'{"filters":[{"groupFilter":' * 5000 + b"1" + b"}]}" * 5000 + b"}"
    target = f"/2023-10-12/farms/{FARM_ID}/search/jobs"
    status, _, document = exchange(server, "POST", target, body, signed(server, "POST", target, body))
    assert status == 400
    assert document == {
        "__type": "ValidationException",
        "message": "SearchJobs cannot be served: the body is nested too deeply. Flatten it and send the request again.",
        "reason": "CANNOT_PARSE",
    }


def test_a_body_that_is_too_large_is_refused(server: Any) -> None:
    body = b" " * (33 << 20)
    status, _, document = exchange(server, "POST", "/2023-10-12/farms", body, {})
    assert status == 400
    assert document["message"] == (
        "The request's body is larger than 32 MiB, the most that the local farm takes. Split the request."
    )


def test_a_path_that_the_model_does_not_have(server: Any) -> None:
    target = "/2023-10-12/castles"
    status, _, document = exchange(server, "GET", target, b"", signed(server, "GET", target))
    assert status == 400
    assert document == {
        "__type": "ValidationException",
        "message": "The local farm does not serve GET /2023-10-12/castles. Use AWS Deadline Cloud for it, "
        "or leave it out.",
        "reason": "UNKNOWN_OPERATION",
    }


def test_any_host_with_any_prefix_is_served(server: Any) -> None:
    from botocore.auth import SigV4Auth
    from botocore.awsrequest import AWSRequest
    from botocore.credentials import Credentials

    root = server.farm.credentials.root
    for host in (f"management.localhost:{server.port}", "scheduling.farm.example", "management.127.0.0.1"):
        request = AWSRequest("GET", f"http://{host}/2023-10-12/farms/{FARM_ID}", {}, b"")
        SigV4Auth(Credentials(root.access_key_id, root.secret_access_key), "deadline", "us-west-2").add_auth(request)
        headers = {**dict(request.headers.items()), "Host": host}
        status, _, document = exchange(server, "GET", f"/2023-10-12/farms/{FARM_ID}", b"", headers)
        assert (status, document["farmId"]) == (200, FARM_ID)


def test_the_farm_can_be_the_proxy_of_a_client_that_cannot_resolve_its_prefix(server: Any) -> None:
    import boto3
    from botocore.config import Config

    root = server.farm.credentials.root
    client = boto3.client(
        "deadline",
        region_name="us-west-2",
        endpoint_url="http://farm.test",
        aws_access_key_id=root.access_key_id,
        aws_secret_access_key=root.secret_access_key,
        config=Config(proxies={"http": server.url}, retries={"max_attempts": 0}),
    )
    assert client.get_farm(farmId=FARM_ID)["displayName"] == "Local"


def test_telemetry_is_taken_unsigned_and_dropped(server: Any) -> None:
    status, _, document = exchange(server, "POST", "/2023-10-12/telemetry", b'{"BatchId": "1"}', {})
    assert (status, document) == (200, {})


def test_pages_are_for_loopback_names_only(server: Any) -> None:
    assert exchange(server, "GET", "/health", b"", {})[::2] == (200, b"ok")
    assert exchange(server, "GET", "/health", b"", {"Host": "farm.localhost:80"})[0] == 200
    assert exchange(server, "GET", "/health", b"", {"Host": "evil.example"})[0] == 400
    assert exchange(server, "GET", "/nowhere", b"", {})[0] == 404


def test_a_held_request_is_answered_when_there_is_news(server: Any, call: Any) -> None:
    with ThreadPoolExecutor(1) as pool:
        held = pool.submit(call(server), "UpdateWorkerSchedule", hold=30, **WORKER, updatedSessionActions={})
        assert server.farm.waiting.wait(10)
        assert call(server)("UpdateWorkerSchedule", **WORKER)["updateIntervalSeconds"] == 15
        assert not held.done()
        server.on_loop(server.farm.wake.set)
        assert held.result(10)["desiredWorkerStatus"] == "STOPPED"


def test_a_held_request_whose_client_goes_away_is_cancelled(server: Any, client: Any) -> None:
    with ThreadPoolExecutor(1) as pool:
        held = pool.submit(client.call, "UpdateWorkerSchedule", hold=30, **WORKER)
        assert server.farm.waiting.wait(10)
        client.interrupt()
        assert server.farm.cancelled.wait(10)
        with pytest.raises(UnreachableError):
            held.result(10)


def test_held_requests_are_answered_when_the_farm_stops(server: Any, client_of: Any) -> None:
    from shotput_farm.protocol.errors import Throttling

    client = client_of(server, attempts=1)
    with ThreadPoolExecutor(1) as pool:
        held = pool.submit(client.call, "UpdateWorkerSchedule", hold=30, **WORKER)
        assert server.farm.waiting.wait(10)
        server.on_loop(server.app.stop)
        with pytest.raises(Throttling, match=r"^The farm is stopping\. Start it again, and send the request then\.$"):
            held.result(10)
    assert server.farm.cancelled.is_set()
    response = refused(server.boto("deadline").get_farm, farmId=FARM_ID)
    assert response["Error"]["Code"] == "ThrottlingException"
    assert response["ResponseMetadata"]["HTTPHeaders"]["retry-after"] == "1"


def test_the_farms_own_worker_is_no_activity_and_everybody_else_is(server: Any, client_of: Any) -> None:
    key = server.farm.credentials.mint(
        "fleet-worker", principal=WORKER_ID, farm_id=FARM_ID, fleet_id=FLEET_ID, worker_id=WORKER_ID
    )
    group = {"logGroupName": f"/aws/deadline/{FARM_ID}/{FLEET_ID}", "logStreamName": WORKER_ID}

    def active(call: Any, **params: Any) -> bool:
        server.app.last_activity = 0.0
        call(**params)
        return bool(server.app.last_activity > 0.0)

    own = client_of(server, key)
    assert not active(lambda: own.call("UpdateWorkerSchedule", hold=0.01, **WORKER))
    assert not active(lambda: own.put_log_events(*group.values(), [{"timestamp": 1, "message": "x"}]))
    # The official agent asks without holding the line.
    assert active(server.boto("deadline", key).update_worker_schedule, **WORKER)
    assert active(server.boto("deadline").get_farm, farmId=FARM_ID)
    assert active(server.boto("logs").get_log_events, **group)
    assert active(server.boto("sts").get_caller_identity)


def test_a_connection_that_ends_in_the_middle_of_a_body_harms_nothing(server: Any) -> None:
    with socket.create_connection(("127.0.0.1", server.port)) as broken:
        broken.sendall(b"POST /2023-10-12/farms HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n{")
    assert server.boto("deadline").get_farm(farmId=FARM_ID)["displayName"] == "Local"
