"""boto3 sessions and clients: those that this package asks with, and that tools take from here."""

from __future__ import annotations

from functools import cache
from typing import Any

from .. import version

__all__ = [
    "get_account_id",
    "get_boto3_session",
    "get_botocore_session",
    "get_deadline_client",
    "get_s3_client",
    "get_s3_transfer_manager",
]

_SECONDS = 30


def get_botocore_session() -> Any:
    """A new botocore session that asks STS and S3 in its own region, as newer versions of it do anyway."""
    from botocore.session import get_session

    session = get_session()
    session.set_config_variable("sts_regional_endpoints", "regional")
    session.set_config_variable("s3", {"us_east_1_regional_endpoint": "regional"})
    return session


@cache
def get_boto3_session(botocore_session: Any = None) -> Any:
    """A ``boto3.Session``: one for everybody, or the one over a given botocore session."""
    import boto3

    return boto3.Session(botocore_session=botocore_session or get_botocore_session())


@cache
def get_deadline_client(session: Any = None, endpoint_url: str | None = None) -> Any:
    """A client of Deadline Cloud; equal arguments give the same one."""
    return (session or get_boto3_session()).client("deadline", endpoint_url=endpoint_url)


@cache
def get_s3_client(session: Any = None, s3_max_pool_connections: int = 50) -> Any:
    """A client of the object store; equal arguments give the same one.

    It says which account has to own a bucket, where that is known: a bucket of another account is not the queue's,
    whatever its name.
    """
    from botocore.config import Config

    session = session or get_boto3_session()
    client = session.client(
        "s3",
        config=Config(
            signature_version="s3v4",
            connect_timeout=_SECONDS,
            read_timeout=_SECONDS,
            retries={"mode": "standard"},
            max_pool_connections=s3_max_pool_connections,
            user_agent_extra=f"S3A/Deadline/NA/JobAttachments/{version}",
            # Else each GET is preceded by a HEAD.
            response_checksum_validation="when_required",
        ),
    )

    def name_owner(params: dict[str, Any], model: Any, **_: Any) -> None:
        if "ExpectedBucketOwner" in model.input_shape.members:
            account = get_account_id(session)
            if account:
                params["ExpectedBucketOwner"] = account

    client.meta.events.register("provide-client-params.s3.*", name_owner)
    return client


@cache
def get_s3_transfer_manager(s3_client: Any) -> Any:
    """boto3's transfers over a client. Our own go through the native module."""
    from boto3.s3.transfer import TransferConfig, create_transfer_manager

    return create_transfer_manager(client=s3_client, config=TransferConfig())


@cache
def get_account_id(session: Any = None) -> str | None:
    """The AWS account of a session: what its credentials say, else what STS says; None when nobody can say."""
    from botocore.config import Config

    session = session or get_boto3_session()
    try:
        credentials = session.get_credentials()
        named = getattr(credentials and credentials.get_frozen_credentials(), "account_id", None)
        if named:
            return str(named)
        sts = session.client("sts", config=Config(connect_timeout=2, read_timeout=2, retries={"max_attempts": 2}))
        return str(sts.get_caller_identity()["Account"])
    except Exception:
        # Without it requests are as they were; whatever is wrong with the session, they will tell.
        return None
