"""Addresses of pages of the Deadline Cloud monitor. Nothing goes over the network."""

from __future__ import annotations

from configparser import ConfigParser
from urllib.parse import quote, urlencode

from ..config import config_file

__all__ = ["build_monitor_url"]


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
    """The page of a farm, queue, job, step or task; without a farm, that of all farms.

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
    address = (host or f"https://{subdomain}.{monitor_region or region}.deadlinecloud.amazonaws.com").rstrip("/")
    if not farm_id:
        return f"{address}/farms"
    address += f"/{region}/farms/{quote(farm_id)}"
    if queue_id:
        address += f"/queues/{quote(queue_id)}"
    selected = {"jobId": job_id, "stepId": step_id, "taskId": task_id}
    chosen = urlencode({name: value for name, value in selected.items() if value})
    return f"{address}?{chosen}" if chosen else address
