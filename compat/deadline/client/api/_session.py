"""boto3 sessions and clients for the configured profile, and who the caller is.

boto3 is imported when a session is asked for: most submitters never need one.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from configparser import ConfigParser
from contextlib import contextmanager
from enum import Enum
from functools import cache
from pathlib import Path
from typing import Any

from shotput import _native
from shotput.errors import ServiceError

from .. import version
from ..config import config_file
from ..exceptions import DeadlineOperationError

__all__ = [
    "AwsAuthenticationStatus",
    "AwsCredentialsSource",
    "check_authentication_status",
    "check_deadline_api_available",
    "get_boto3_client",
    "get_boto3_session",
    "get_credentials_source",
    "get_queue_user_boto3_session",
    "get_user_and_identity_store_id",
    "precache_clients",
    "session_context",
]

# Names that stand for the default chain of credentials.
_DEFAULT_PROFILES = ("(default)", "default", "")

# What the clients' user agent says of the submitter.
session_context: dict[str, str | None] = {
    "submitter-name": None,
    "submitter-version": None,
    "cli-command-name": None,
}


class AwsCredentialsSource(Enum):
    """Where credentials come from. The names are those of the native module."""

    NOT_VALID = 0
    HOST_PROVIDED = 2
    DEADLINE_CLOUD_MONITOR_LOGIN = 3
    AWS_CONSOLE_LOGIN = 4


class AwsAuthenticationStatus(Enum):
    """What the service says of the credentials. The names are those of the native module."""

    CONFIGURATION_ERROR = 1
    AUTHENTICATED = 2
    NEEDS_LOGIN = 3
    MISSING_DEPENDENCY = 4


def get_credentials_source(config: ConfigParser | None = None) -> AwsCredentialsSource:
    """Where the credentials of the configured profile come from. Nothing goes over the network."""
    with config_file.as_file(config) as path:
        return AwsCredentialsSource[_native.get_credentials_source(path)]


def check_authentication_status(config: ConfigParser | None = None) -> AwsAuthenticationStatus:
    """Ask the service for one farm with the configured credentials. Does not raise when it refuses or is silent."""
    with config_file.as_file(config) as path:
        return AwsAuthenticationStatus[_native.check_auth_status(path)["auth_status"]]


def check_deadline_api_available(config: ConfigParser | None = None) -> bool:
    """Whether the service answers the caller. Does not raise when it refuses or is silent."""
    with config_file.as_file(config) as path:
        return _native.check_api_available(path)


def get_user_and_identity_store_id(config: ConfigParser | None = None) -> tuple[str | None, str | None]:
    """User and identity store of a Deadline Cloud monitor login; two ``None`` for other profiles."""
    profile = get_boto3_session(config=config)._session.get_scoped_config()
    if "monitor_id" in profile:
        return profile["user_id"], profile["identity_store_id"]
    return None, None


def available_profiles() -> list[str]:
    """Names of the AWS profiles of this machine."""
    import boto3

    profiles: list[str] = boto3.Session().available_profiles
    return profiles


def deadline_endpoint_url() -> str:
    """Where Deadline Cloud answers: the environment's endpoint, else that of the default region."""
    import boto3

    named = os.environ.get("AWS_ENDPOINT_URL_DEADLINE")
    return named or f"https://deadline.{boto3.Session().region_name}.amazonaws.com"


def get_boto3_session(
    force_refresh: bool = False, config: ConfigParser | None = None, region: str | None = None
) -> Any:
    """The ``boto3.Session`` of the configured profile, proxy and CA bundle.

    Equal settings give the same session; ``force_refresh`` forgets all of them, and all clients.
    """
    if force_refresh:
        invalidate_boto3_session_cache()
    profile = config_file.get_setting("defaults.aws_profile_name", config)
    return _session(
        None if profile in _DEFAULT_PROFILES else profile,
        region,
        *_network(config),
    )


def _network(config: ConfigParser | None) -> tuple[str, str]:
    """The configured proxy and CA bundle; empty where there is none."""
    proxy, bundle = (config_file.get_setting(f"settings.{key}", config).strip() for key in ("https_proxy", "ca_bundle"))
    return proxy, str(Path(bundle).expanduser()) if bundle else ""


def invalidate_boto3_session_cache() -> None:
    """Forget all sessions and clients: the next ones have what is configured then."""
    for kept in (_session, _queue_session, _client):
        kept.cache_clear()


@cache
def _session(profile: str | None, region: str | None, proxy: str, ca_bundle: str) -> Any:
    import boto3
    from botocore.credentials import RefreshableCredentials
    from botocore.exceptions import BotoCoreError

    session = boto3.Session(profile_name=profile, region_name=region)
    try:
        credentials = session.get_credentials()
    except BotoCoreError:
        # Whoever is logged out has a session too; the first request with it says what is wrong.
        credentials = None
    if isinstance(credentials, RefreshableCredentials) and credentials.method == "custom-process":
        # The monitor's credentials live a quarter of an hour: with botocore's own margins, which are as long, each
        # request would start the monitor again.
        credentials._advisory_refresh_timeout, credentials._mandatory_refresh_timeout = 300, 150
    return _with_network(session, proxy, ca_bundle)


def _with_network(session: Any, proxy: str, ca_bundle: str) -> Any:
    """Let every client of a session go through a proxy and trust a bundle."""
    from botocore.config import Config

    if proxy:
        session._session.set_default_client_config(Config(proxies={"http": proxy, "https": proxy}))
    if ca_bundle:
        session._session.set_config_variable("ca_bundle", ca_bundle)
    return session


def get_boto3_client(service_name: str, config: ConfigParser | None = None, region: str | None = None) -> Any:
    """A boto3 client for a service, in the given region, else that of the farm, else that of the profile."""
    region = region or config_file.get_setting("defaults.farm_region", config) or None
    return client_of(get_boto3_session(config=config), service_name, region)


def client_for_farm(
    service_name: str, farm_id: str, config: ConfigParser | None = None, region: str | None = None
) -> Any:
    """A client in the given region, else that of the farm, which need not be the configured one."""
    return get_boto3_client(service_name, config, region or config_file.region_of_farm(farm_id, config))


def client_of(session: Any, service_name: str, region: str | None = None) -> Any:
    """A client of a session; equal arguments give the same one."""
    return _client(session, service_name, region, _user_agent())


def _user_agent() -> str:
    words = [f"app/deadline-client#{version}"]
    submitter = session_context.get("submitter-name")
    if submitter:
        submitter_version = session_context.get("submitter-version")
        words.append(f"submitter/{submitter}" + (f"#{submitter_version}" if submitter_version else ""))
    command = session_context.get("cli-command-name")
    if command:
        words.append(f"cli-command/{command}")
    return " ".join(words)


@cache
def _client(session: Any, service_name: str, region: str | None, user_agent: str) -> Any:
    from botocore.config import Config

    keywords = {"region_name": region, "config": Config(user_agent_extra=user_agent)}
    client = session.client(service_name, **keywords)
    found, home = client.meta.endpoint_url, session.region_name
    if region and home and region not in found and home in found:
        # An endpoint of the environment or the profile is that of one region, whichever is asked for.
        client = session.client(service_name, endpoint_url=found.replace(home, region, 1), **keywords)
    return client


def get_queue_user_boto3_session(
    deadline: Any,
    config: ConfigParser | None = None,
    farm_id: str | None = None,
    queue_id: str | None = None,
    queue_display_name: str | None = None,
    force_refresh: bool = False,
) -> Any:
    """A ``boto3.Session`` with the rights that a queue gives its users, renewed before they run out.

    ``deadline`` is the client that asks for them. Farm and queue are the configured ones unless they are given.
    Raises ``DeadlineOperationError`` at the first use of the session when the role cannot be had.
    """
    base = get_boto3_session(force_refresh=force_refresh, config=config)
    farm_id = farm_id or config_file.get_setting("defaults.farm_id", config)
    queue_id = queue_id or config_file.get_setting("defaults.queue_id", config)
    return _queue_session(
        base,
        deadline,
        farm_id,
        queue_id,
        queue_display_name or queue_id,
        config_file.region_of_farm(farm_id, config) or base.region_name,
        *_network(config),
    )


@cache
def _queue_session(
    base: Any,
    deadline: Any,
    farm_id: str,
    queue_id: str,
    queue_name: str,
    region: str | None,
    proxy: str,
    ca_bundle: str,
) -> Any:
    import boto3
    from botocore.credentials import CredentialProvider, RefreshableCredentials
    from botocore.session import get_session

    def assume() -> dict[str, str]:
        return _queue_credentials(deadline, farm_id, queue_id, queue_name)

    class QueueRole(CredentialProvider):  # type: ignore[misc]  # botocore has no types
        """Asks for the role when the first client signs its first request."""

        METHOD = "queue-credential-provider"
        CANONICAL_NAME = "custom-queue-credential-provider"

        def load(self) -> Any:
            return RefreshableCredentials.create_from_metadata(
                metadata=assume(), refresh_using=assume, method=self.METHOD
            )

    core = get_session()
    core.get_component("credential_provider").insert_before("env", QueueRole())
    profile = base.profile_name if base.profile_name != "default" else None
    return _with_network(
        boto3.Session(botocore_session=core, profile_name=profile, region_name=region), proxy, ca_bundle
    )


def _queue_credentials(deadline: Any, farm_id: str, queue_id: str, queue_name: str) -> dict[str, str]:
    from botocore.exceptions import ClientError

    try:
        credentials = deadline.assume_queue_role_for_user(farmId=farm_id, queueId=queue_id).get("credentials")
    except ClientError as error:
        advice = {
            "ThrottlingException": "Try again later, or ask your administrator for a higher rate.",
            "InternalServerException": "The service failed; try again later.",
        }.get(
            error.response.get("Error", {}).get("Code", ""),
            "Ask your administrator whether the queue has a role and whether you may use it.",
        )
        raise DeadlineOperationError(
            f"The role for users of the queue {queue_name!r} cannot be assumed: {error} {advice}"
        ) from error
    if not credentials:
        raise DeadlineOperationError(
            f"The role for users of the queue {queue_name!r} came without credentials. Ask your administrator whether "
            "the queue has a role."
        )
    return {
        "access_key": credentials["accessKeyId"],
        "secret_key": credentials["secretAccessKey"],
        "token": credentials["sessionToken"],
        "expiry_time": credentials["expiration"].isoformat(),
    }


@contextmanager
def refusals() -> Iterator[None]:
    """What the native module says that the service refused, as boto3's ``ClientError`` too."""
    try:
        yield
    except ServiceError as error:
        if not error.code:
            # Nothing answered.
            raise
        from ._refusals import ServiceRefusal

        raise ServiceRefusal(*error.args) from error


def precache_clients(
    deadline: Any = None,
    config: ConfigParser | None = None,
    farm_id: str | None = None,
    queue_id: str | None = None,
    queue_display_name: str | None = None,
) -> tuple[Any, Any]:
    """Make the clients that a submission needs ahead of time: Deadline Cloud, and S3 with the queue's rights."""
    deadline = deadline or get_boto3_client("deadline", config)
    farm_id = farm_id or config_file.get_setting("defaults.farm_id", config)
    queue_id = queue_id or config_file.get_setting("defaults.queue_id", config)
    if not queue_display_name:
        queue_display_name = deadline.get_queue(farmId=farm_id, queueId=queue_id)["displayName"]
    session = get_queue_user_boto3_session(deadline, config, farm_id, queue_id, queue_display_name)
    # The very client that transfers with this session will ask for.
    from ...job_attachments._aws.aws_clients import get_s3_client

    connections = int(config_file.get_setting("settings.s3_max_pool_connections", config))
    return deadline, get_s3_client(session, s3_max_pool_connections=connections)
