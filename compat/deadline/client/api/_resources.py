"""Calls of Deadline Cloud in the shapes of boto3: keywords in, the reply with all pages out."""

from __future__ import annotations

import logging
import os
from concurrent.futures import ThreadPoolExecutor
from configparser import ConfigParser
from typing import Any, Callable, Optional

from ...job_attachments.models import (
    FileSystemLocation,
    FileSystemLocationType,
    StorageProfile,
    StorageProfileOperatingSystemFamily,
)
from ..config import config_file
from ..exceptions import DeadlineOperationError
from ._session import (
    AwsCredentialsSource,
    get_boto3_client,
    get_boto3_session,
    get_credentials_source,
    get_user_and_identity_store_id,
)
from ._telemetry import record_function_latency_telemetry_event

__all__ = [
    "assume_queue_role_for_read",
    "assume_queue_role_for_user",
    "get_storage_profile_for_queue",
    "list_farms",
    "list_fleets",
    "list_jobs",
    "list_queues",
    "list_storage_profiles_for_queue",
]

_Config = Optional[ConfigParser]
_LOG = logging.getLogger("deadline.client.api")


def all_pages(operation: Callable[..., dict[str, Any]], member: str, keywords: dict[str, Any]) -> dict[str, Any]:
    """Call an operation until it gives no more; ``{member: [...]}``."""
    items: list[Any] = []
    token: dict[str, str] = {}
    while True:
        reply = operation(**keywords, **token)
        items += reply[member]
        if not reply.get("nextToken"):
            return {member: items}
        token = {"nextToken": reply["nextToken"]}


def _of_user(keywords: dict[str, Any], config: _Config) -> dict[str, Any]:
    """A monitor's user may list only what is shared with them, so the call has to name them."""
    user, _ = get_user_and_identity_store_id(config)
    return {"principalId": user, **keywords} if user else keywords


@record_function_latency_telemetry_event()
def list_farms(config: _Config = None, region: str | None = None, **kwargs: Any) -> dict[str, Any]:
    """``{"farms": [...]}`` as ``ListFarms`` gives them, each with the ``region`` that was asked.

    Without a region all are asked at once: those that the user chose, else all that there are, or the profile's alone
    where ``AWS_ENDPOINT_URL_DEADLINE`` names one endpoint. A region that fails is left out, with a warning in the log.
    Raises ``DeadlineOperationError`` when all of them fail; a region that was given raises what boto3 raises.
    """
    keywords = _of_user(kwargs, config)

    def ask(client: Any) -> list[dict[str, Any]]:
        farms = all_pages(client.list_farms, "farms", keywords)["farms"]
        return [{**farm, "region": client.meta.region_name} for farm in farms]

    if region is not None:
        return {"farms": ask(get_boto3_client("deadline", config, region))}
    regions: list[str | None] = [*config_file.chosen_regions(config)]
    if not regions:
        has_one_endpoint = os.environ.get(config_file.AWS_ENDPOINT_URL_DEADLINE_ENV_VAR)
        regions = (
            [get_boto3_session(config=config).region_name] if has_one_endpoint else [*config_file.DEADLINE_REGIONS]
        )
    # Sessions are not for several threads: clients are made here.
    clients = [get_boto3_client("deadline", config, one) for one in regions]
    farms: list[dict[str, Any]] = []
    failures = []
    with ThreadPoolExecutor(max_workers=len(clients)) as pool:
        for one, answer in zip(regions, [pool.submit(ask, client) for client in clients]):
            error = answer.exception()
            if error is None:
                farms += answer.result()
            elif isinstance(error, Exception):
                _LOG.warning("The farms of the region %s cannot be listed: %s", one, error)
                failures.append(f"{one}: {error}")
            else:
                raise error
    if len(failures) == len(regions):
        raise DeadlineOperationError(f"No region lists its farms: {'; '.join(failures)}")
    return {"farms": [farm for farm in farms if _is_usable(farm, config)]}


def _is_usable(farm: dict[str, Any], config: _Config) -> bool:
    """A monitor's user can use a farm with a key of its own in the monitor's region alone."""
    if (
        "kmsKeyArn" not in farm
        or get_credentials_source(config) is not AwsCredentialsSource.DEADLINE_CLOUD_MONITOR_LOGIN
    ):
        return True
    home = get_boto3_session(config=config).region_name
    return home is None or farm["region"] == home


@record_function_latency_telemetry_event()
def list_queues(config: _Config = None, region: str | None = None, **kwargs: Any) -> dict[str, Any]:
    """``{"queues": [...]}`` as ``ListQueues`` gives them."""
    client = get_boto3_client("deadline", config, region)
    return all_pages(client.list_queues, "queues", _of_user(kwargs, config))


@record_function_latency_telemetry_event()
def list_jobs(config: _Config = None, region: str | None = None, **kwargs: Any) -> dict[str, Any]:
    """``{"jobs": [...]}`` as ``ListJobs`` gives them."""
    client = get_boto3_client("deadline", config, region)
    return all_pages(client.list_jobs, "jobs", _of_user(kwargs, config))


@record_function_latency_telemetry_event()
def list_fleets(config: _Config = None, region: str | None = None, **kwargs: Any) -> dict[str, Any]:
    """``{"fleets": [...]}`` as ``ListFleets`` gives them."""
    client = get_boto3_client("deadline", config, region)
    return all_pages(client.list_fleets, "fleets", _of_user(kwargs, config))


@record_function_latency_telemetry_event()
def list_storage_profiles_for_queue(config: _Config = None, region: str | None = None, **kwargs: Any) -> dict[str, Any]:
    """``{"storageProfiles": [...]}`` as ``ListStorageProfilesForQueue`` gives them."""
    client = get_boto3_client("deadline", config, region)
    return all_pages(client.list_storage_profiles_for_queue, "storageProfiles", kwargs)


@record_function_latency_telemetry_event()
def get_storage_profile_for_queue(
    farm_id: str, queue_id: str, storage_profile_id: str, deadline: Any = None, config: _Config = None
) -> StorageProfile:
    """A storage profile as users of a queue see it; ``deadline`` is the client to ask with."""
    client = deadline or get_boto3_client("deadline", config)
    reply = client.get_storage_profile_for_queue(farmId=farm_id, queueId=queue_id, storageProfileId=storage_profile_id)
    return StorageProfile(
        storageProfileId=reply["storageProfileId"],
        displayName=reply["displayName"],
        osFamily=StorageProfileOperatingSystemFamily(reply["osFamily"]),
        fileSystemLocations=[
            FileSystemLocation(place["name"], place["path"], FileSystemLocationType(place["type"]))
            for place in reply.get("fileSystemLocations", [])
        ],
    )


@record_function_latency_telemetry_event()
def assume_queue_role_for_user(farmId: str, queueId: str, *, config: _Config = None) -> dict[str, Any]:
    """The reply of ``AssumeQueueRoleForUser``: ``{"credentials": {"accessKeyId", …, "expiration"}}``."""
    reply: dict[str, Any] = get_boto3_client("deadline", config).assume_queue_role_for_user(
        farmId=farmId, queueId=queueId
    )
    return reply


@record_function_latency_telemetry_event()
def assume_queue_role_for_read(farmId: str, queueId: str, *, config: _Config = None) -> dict[str, Any]:
    """The reply of ``AssumeQueueRoleForRead``; as :func:`assume_queue_role_for_user`, to look only."""
    reply: dict[str, Any] = get_boto3_client("deadline", config).assume_queue_role_for_read(
        farmId=farmId, queueId=queueId
    )
    return reply
