"""STS by boto3 against the farm."""

from __future__ import annotations

from typing import Any

import pytest
from botocore.exceptions import ClientError
from shotput_farm.credentials import ACCOUNT, Credential


def test_the_farms_key_is_a_user(server: Any) -> None:
    root = server.farm.credentials.root
    reply = server.boto("sts").get_caller_identity()
    assert reply["Account"] == ACCOUNT
    assert reply["Arn"] == f"arn:aws:iam::{ACCOUNT}:user/{root.principal}"
    assert reply["UserId"] == root.access_key_id
    assert len(reply["ResponseMetadata"]["RequestId"]) == 36


def test_a_role_key_is_an_assumed_role(server: Any) -> None:
    key = server.farm.credentials.mint("queue-user", principal="artist & co")
    reply = server.boto("sts", key).get_caller_identity()
    assert reply["Arn"] == f"arn:aws:sts::{ACCOUNT}:assumed-role/shotput-queue-user/artist & co"


@pytest.mark.parametrize(
    ("secret", "token", "code"),
    [("wrong", None, "SignatureDoesNotMatch"), (None, "token", "InvalidClientTokenId")],
)
def test_a_key_that_does_not_hold(server: Any, secret: str | None, token: str | None, code: str) -> None:
    root = server.farm.credentials.root
    key = Credential(root.access_key_id, secret or root.secret_access_key, token, None, "farm", "x")
    with pytest.raises(ClientError) as raised:
        server.boto("sts", key).get_caller_identity()
    assert raised.value.response["Error"]["Code"] == code
    assert raised.value.response["ResponseMetadata"]["HTTPStatusCode"] == 403


def test_another_action_is_named(server: Any) -> None:
    with pytest.raises(ClientError) as raised:
        server.boto("sts").get_session_token()
    assert raised.value.response["Error"] == {
        "Type": "Sender",
        "Code": "InvalidAction",
        "Message": "The local farm serves GetCallerIdentity of STS and not GetSessionToken.",
    }
