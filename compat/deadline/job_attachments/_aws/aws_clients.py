"""boto3 sessions and clients, for tools that take them from here."""

from __future__ import annotations

from functools import cache
from typing import Any

from .. import _store, version

__all__ = ["get_account_id", "get_boto3_session", "get_deadline_client", "get_s3_client", "get_s3_transfer_manager"]

_SECONDS = 30


def get_boto3_session(botocore_session: Any = None) -> Any:
    """A ``boto3.Session``: one for everybody, or one over a given botocore session."""
    if botocore_session is None:
        return _store.session_or_default(None)
    import boto3

    return boto3.Session(botocore_session=botocore_session)


@cache
def _client(session: Any, service: str, endpoint_url: str | None, connections: int) -> Any:
    from botocore.config import Config

    return session.client(
        service,
        endpoint_url=endpoint_url,
        config=Config(
            signature_version="s3v4" if service == "s3" else "v4",
            connect_timeout=_SECONDS,
            read_timeout=_SECONDS,
            retries={"mode": "standard"},
            max_pool_connections=connections,
            user_agent_extra=f"S3A/Deadline/NA/JobAttachments/{version}",
        ),
    )


def get_deadline_client(session: Any = None, endpoint_url: str | None = None) -> Any:
    """A client of Deadline Cloud."""
    return _client(get_boto3_session() if session is None else session, "deadline", endpoint_url, 10)


def get_s3_client(session: Any = None, s3_max_pool_connections: int = 50) -> Any:
    """A client of the object store."""
    return _client(get_boto3_session() if session is None else session, "s3", None, s3_max_pool_connections)


def get_s3_transfer_manager(s3_client: Any) -> Any:
    """boto3's transfers over a client. Our own go through the native module."""
    from boto3.s3.transfer import TransferConfig, create_transfer_manager

    return create_transfer_manager(client=s3_client, config=TransferConfig())


def get_account_id(session: Any = None) -> str | None:
    """The AWS account of a session; None when nobody can say."""
    from botocore.exceptions import BotoCoreError, ClientError

    try:
        return _store.account(get_boto3_session() if session is None else session)
    except (BotoCoreError, ClientError):
        return None
