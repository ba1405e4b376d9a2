"""Who signed a request: what boto3 signs is let in, and what was changed after it is not."""

from __future__ import annotations

import http.client
import json
import time
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlsplit

import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from botocore.exceptions import ClientError
from shotput_farm.credentials import Credential
from shotput_farm.protocol.signature import SignatureError, Verifier

FARM_ID = "farm-" + "0" * 32
QUEUE_ID = "queue-" + "1" * 32
ASK = "Take the keys that `shotput farm env` prints."
KEY = Credential("AKIATEST", "secret/+", None, None, "farm", "artist")
ROLE = Credential("ASIATEST", "other", "to/ken+=", 2_000_000_000.0, "queue-user", "artist")
NOW = 1_700_000_000.0
OTHER = (
    "The signature by AKIATEST does not fit this request: the secret key is another, or the request was changed on its "
    f"way. {ASK}"
)


def verifier(now: float = NOW) -> Verifier[Credential]:
    return Verifier({key.access_key_id: key for key in (KEY, ROLE)}.get, clock=lambda: now)


class Sent:
    """A request as it arrives, signed by botocore."""

    def __init__(
        self,
        monkeypatch: pytest.MonkeyPatch,
        url: str = "http://127.0.0.1:8080/2023-10-12/farms",
        *,
        method: str = "GET",
        body: bytes = b"",
        headers: dict[str, str] | None = None,
        key: Credential = KEY,
        secret: str | None = None,
        service: str = "deadline",
        at: float = NOW,
    ) -> None:
        monkeypatch.setattr("botocore.auth.get_current_datetime", lambda: datetime.fromtimestamp(at, UTC))
        request = AWSRequest(method, url, dict(headers or {}), body)
        credentials = Credentials(key.access_key_id, secret or key.secret_access_key, key.session_token)
        SigV4Auth(credentials, service, "eu-west-1").add_auth(request)
        parts = urlsplit(url)
        self.method, self.path, self.query, self.body = method, parts.path, parts.query, body
        self.headers = {"host": parts.netloc, **{k.lower(): v for k, v in request.headers.items()}}

    def verify(self, now: float = NOW, service: str = "deadline") -> Credential:
        return verifier(now).verify(service, self.method, self.path, self.query, self.headers.items(), self.body)

    def refusal(self, now: float = NOW, service: str = "deadline") -> tuple[str, str]:
        with pytest.raises(SignatureError) as raised:
            self.verify(now, service)
        return raised.value.code, raised.value.message


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1:8080/2023-10-12/farms",
        "http://127.0.0.1/2023-10-12/farms?maxResults=1&nextToken=a%2Fb%3D%3D%20c&principalId=%C3%A9~-._",
        "http://127.0.0.1/2023-10-12/tags/arn%3Aaws%3Adeadline%3A%3A%3Afarm%2Fx%20y~",
        "http://127.0.0.1/a//b/../c/./d",
        "http://127.0.0.1/x?b=2&a=2&a=1&empty=&bare",
        "http://127.0.0.1",
    ],
)
def test_what_botocore_signs_is_accepted(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for key in (KEY, ROLE):
        headers = {"Content-Type": "application/json", "X-Amz-Client-Token": "a  b   c"}
        sent = Sent(monkeypatch, url, method="POST", body=b'{"a": 1}', headers=headers, key=key)
        assert sent.verify() is key


def test_every_part_that_is_changed_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    def fresh() -> Sent:
        return Sent(monkeypatch, "http://h/p?a=1", method="PATCH", body=b"x", headers={"X-Amz-Client-Token": "one"})

    changes: list[tuple[str, Any]] = [
        ("method", "POST"), ("path", "/q"), ("query", "a=2"), ("query", "a=1&b"), ("body", b"y"), ("body", b""),
        ("header", ("host", "other")), ("header", ("x-amz-client-token", "two")),
        ("header", ("x-amz-date", "20231114T221321Z")),
    ]  # fmt: skip
    for part, value in changes:
        sent = fresh()
        if part == "header":
            sent.headers[value[0]] = value[1]
        else:
            setattr(sent, part, value)
        assert sent.refusal() == ("InvalidSignatureException", OTHER), (part, value)
    assert fresh().verify() is KEY


def test_a_declared_payload_hash_must_be_that_of_the_body(monkeypatch: pytest.MonkeyPatch) -> None:
    sent = Sent(monkeypatch, method="POST", body=b"x", headers={"X-Amz-Content-SHA256": "UNSIGNED-PAYLOAD"})
    assert sent.refusal() == ("InvalidSignatureException", OTHER)


def test_another_secret_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    assert Sent(monkeypatch, secret="wrong").refusal() == ("InvalidSignatureException", OTHER)


def test_an_unknown_key_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    stranger = Credential("AKIASTRANGER", "s", None, None, "farm", "x")
    assert Sent(monkeypatch, key=stranger).refusal() == (
        "UnrecognizedClientException",
        f"This farm does not know the access key AKIASTRANGER. {ASK}",
    )


def test_clocks_may_differ_by_five_minutes(monkeypatch: pytest.MonkeyPatch) -> None:
    sent = Sent(monkeypatch)
    assert sent.verify(NOW + 299) is KEY
    assert sent.verify(NOW - 299) is KEY
    assert sent.refusal(NOW + 301) == (
        "InvalidSignatureException",
        "The request was signed at 20231114T221320Z, and the farm's clock says 20231114T221821Z: more than 300 s "
        "apart. Set the clock, and sign it anew.",
    )
    assert sent.refusal(NOW - 301)[0] == "InvalidSignatureException"


def test_a_temporary_key_needs_its_token_and_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    sent = Sent(monkeypatch, key=ROLE)
    sent.headers["x-amz-security-token"] = "another"
    unknown = f"The session token does not belong to the access key ASIATEST. {ASK}"
    assert sent.refusal() == ("UnrecognizedClientException", unknown)
    del sent.headers["x-amz-security-token"]
    assert sent.refusal() == ("UnrecognizedClientException", unknown)
    late = Sent(monkeypatch, key=ROLE, at=2_000_000_000.0)
    assert late.refusal(2_000_000_000.0) == (
        "ExpiredTokenException",
        "The temporary key ASIATEST has expired. Ask the farm for a new one.",
    )
    assert Sent(monkeypatch, key=ROLE, at=1_999_999_999.0).verify(1_999_999_999.0) is ROLE


def test_a_signature_for_another_service_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    assert Sent(monkeypatch, service="s3").refusal() == (
        "InvalidSignatureException",
        "The request is signed for the service 's3', and goes to 'deadline'. Sign it anew.",
    )


@pytest.mark.parametrize(
    ("authorization", "code"),
    [
        (None, "MissingAuthenticationTokenException"),
        ("", "MissingAuthenticationTokenException"),
        ("Bearer abc", "IncompleteSignatureException"),
        ("AWS4-HMAC-SHA256 Credential=AKIATEST/20231114/x", "IncompleteSignatureException"),
        ("AWS4-HMAC-SHA256 Credential=AKIATEST/20231114/r/deadline/aws4_request", "IncompleteSignatureException"),
        ("AWS4-HMAC-SHA256 =,=,=", "IncompleteSignatureException"),
        ("AWS4-HMAC-SHA256 Credential=AKIATEST/2023/r/deadline/aws4_request, SignedHeaders=host, Signature=é",
         "InvalidSignatureException"),
        ("AWS4-HMAC-SHA256 Credential=AKIATEST/1/r/deadline/aws4_request, SignedHeaders=host, Signature=0",
         "IncompleteSignatureException"),
        ("AWS4-HMAC-SHA256 Credential=AKIATEST/20231114/r/deadline/aws4_request, SignedHeaders=x, Signature=0",
         "IncompleteSignatureException"),
        ("AWS4-HMAC-SHA256 Credential=AKIATEST/20231114/r/deadline/aws4_request, SignedHeaders=host;x, Signature=0",
         "InvalidSignatureException"),
    ],
)  # fmt: skip
def test_a_header_that_is_no_signature(authorization: str | None, code: str, monkeypatch: pytest.MonkeyPatch) -> None:
    sent = Sent(monkeypatch)
    del sent.headers["authorization"]
    if authorization is not None:
        sent.headers["authorization"] = authorization
    assert sent.refusal()[0] == code


def test_an_unsigned_request_gets_one_clear_error(server: Any) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", server.port)
    connection.request("GET", "/2023-10-12/farms")
    response = connection.getresponse()
    assert response.status == 403
    assert response.headers["x-amzn-errortype"] == "AccessDeniedException"
    assert json.loads(response.read()) == {
        "__type": "AccessDeniedException",
        "message": f"The request is not signed. {ASK}",
        "context": {"code": "MissingAuthenticationTokenException"},
    }
    connection.close()
    assert server.farm.seen == []


def test_boto3_with_a_wrong_secret_gets_one_clear_error(server: Any) -> None:
    root = server.farm.credentials.root
    wrong = Credential(root.access_key_id, "wrong", None, None, "farm", "x")
    with pytest.raises(ClientError) as raised:
        server.boto("deadline", wrong).get_farm(farmId=FARM_ID)
    assert raised.value.response["Error"] == {
        "Code": "AccessDeniedException",
        "Message": OTHER.replace("AKIATEST", root.access_key_id),
    }
    assert raised.value.response["ResponseMetadata"]["HTTPStatusCode"] == 403


def test_boto3_with_a_queue_role_reads_its_farm_and_changes_nothing(server: Any) -> None:
    key = server.farm.credentials.mint("queue-user", principal="artist", farm_id=FARM_ID, queue_id=QUEUE_ID)
    client = server.boto("deadline", key)
    assert client.get_farm(farmId=FARM_ID)["createdBy"] == "artist"
    with pytest.raises(ClientError) as raised:
        client.delete_farm(farmId=FARM_ID)
    assert raised.value.response["Error"] == {
        "Code": "AccessDeniedException",
        "Message": f"The queue-user key {key.access_key_id} may not call DeleteFarm. Use the farm's own key.",
    }
    assert raised.value.response["context"] == {"operation": "DeleteFarm"}


def test_boto3_with_an_expired_key_gets_one_clear_error(server: Any) -> None:
    key = server.farm.credentials.mint("queue-user", principal="a", farm_id=FARM_ID, lifetime=0.05)
    time.sleep(0.1)
    with pytest.raises(ClientError) as raised:
        server.boto("deadline", key).get_farm(farmId=FARM_ID)
    assert raised.value.response["Error"]["Code"] == "AccessDeniedException"
    assert raised.value.response["context"] == {"code": "ExpiredTokenException"}


def test_boto3_with_a_wrong_clock_is_refused(server: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("botocore.auth.get_current_datetime", lambda: datetime.now(UTC) - timedelta(minutes=10))
    with pytest.raises(ClientError, match="more than 300 s apart"):
        server.boto("deadline").get_farm(farmId=FARM_ID)
