"""Addresses of pages of the Deadline Cloud monitor."""

from __future__ import annotations

from configparser import ConfigParser
from contextlib import suppress
from urllib.parse import quote, urlencode, urlsplit

from ..config import config_file
from ._session import AwsCredentialsSource, client_of, get_boto3_session, get_credentials_source

__all__ = ["build_monitor_url", "job_url"]

_DOMAIN = "deadlinecloud.amazonaws.com"


def build_monitor_url(
    subdomain: str,
    region: str | None = None,
    farm_id: str | None = None,
    queue_id: str | None = None,
    job_id: str | None = None,
    step_id: str | None = None,
    task_id: str | None = None,
    *,
    monitor_region: str | None = None,
    host: str | None = None,
    config: ConfigParser | None = None,
) -> str:
    """The page of a farm, queue, job, step or task; without a farm, that of all farms. Nothing is asked.

    ``region`` is the farm's (default: the configured one), ``monitor_region`` the monitor's (default: the farm's).
    ``host`` is the monitor's own ``https://…``, where it is not ``<subdomain>.<region>.deadlinecloud.amazonaws.com``.
    Raises ``ValueError`` without a subdomain or a region, and for a thing without the one that it belongs to.
    """
    region = region or config_file.get_setting("defaults.farm_region", config)
    if not subdomain or not region:
        raise ValueError(
            "The address of a monitor needs a subdomain and a region; give both, or set defaults.farm_region"
        )
    chain = (
        ("farm_id", farm_id),
        ("queue_id", queue_id),
        ("job_id", job_id),
        ("step_id", step_id),
        ("task_id", task_id),
    )
    for (owner, owning), (name, value) in zip(chain, chain[1:]):
        if value and not owning:
            raise ValueError(f"{name} {value!r} is given without {owner}")
    address = (host or f"https://{subdomain}.{monitor_region or region}.{_DOMAIN}").rstrip("/")
    if not farm_id:
        return f"{address}/farms"
    address += f"/{region}/farms/{quote(farm_id)}"
    if queue_id:
        address += f"/queues/{quote(queue_id)}"
    selected = {"jobId": job_id, "stepId": step_id, "taskId": task_id}
    chosen = urlencode({name: value for name, value in selected.items() if value})
    return f"{address}?{chosen}" if chosen else address


def job_url(config: ConfigParser | None, farm_id: str, queue_id: str, job_id: str) -> str | None:
    """A job's page in the monitor that the user is logged in to; None for others, and when it cannot be found out."""
    with suppress(Exception):
        if get_credentials_source(config) is not AwsCredentialsSource.DEADLINE_CLOUD_MONITOR_LOGIN:
            return None
        # In the profile's region: a monitor is known there alone, wherever its farms are.
        session = get_boto3_session(config=config)
        profile = session._session.get_scoped_config()
        monitor = client_of(session, "deadline").get_monitor(monitorId=profile["monitor_id"])
        address = urlsplit(monitor["url"])
        home = address.netloc.removesuffix(f".{_DOMAIN}").partition(".")[2]
        return build_monitor_url(
            monitor["subdomain"],
            config_file.region_of_farm(farm_id, config) or home,
            farm_id,
            queue_id,
            job_id,
            host=f"{address.scheme}://{address.netloc}",
            config=config,
        )
    return None
