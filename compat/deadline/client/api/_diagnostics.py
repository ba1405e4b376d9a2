"""Looking at jobs, sessions, steps and tasks: the replies of boto3, all pages of them.

Keywords may be written as the service writes them (``farmId``) or as Python does (``farm_id``).
"""

from __future__ import annotations

import functools
import re
from configparser import ConfigParser
from typing import Any, Callable, TypeVar, cast

from ..config import config_file
from ..exceptions import DeadlineOperationError
from ._resources import all_pages
from ._session import client_for_farm
from ._telemetry import record_function_latency_telemetry_event

__all__ = ["get_job", "get_session", "list_sessions", "list_steps", "list_tasks", "search_jobs"]

_F = TypeVar("_F", bound=Callable[..., Any])


def _either_case(function: _F) -> _F:
    @functools.wraps(function)
    def called(*args: Any, **kwargs: Any) -> Any:
        return function(*args, **{_camel_case(name): value for name, value in kwargs.items()})

    return cast("_F", called)


def _camel_case(name: str) -> str:
    return re.sub(r"_(\w)", lambda found: found[1].upper(), name)


def _given(**members: Any) -> dict[str, Any]:
    return {name: value for name, value in members.items() if value is not None}


@record_function_latency_telemetry_event()
@_either_case
def get_job(
    farmId: str, queueId: str, jobId: str, config: ConfigParser | None = None, region: str | None = None
) -> dict[str, Any]:
    """The reply of ``GetJob``."""
    client = client_for_farm("deadline", farmId, config, region)
    reply: dict[str, Any] = client.get_job(farmId=farmId, queueId=queueId, jobId=jobId)
    return reply


@record_function_latency_telemetry_event()
@_either_case
def get_session(
    farmId: str,
    queueId: str,
    jobId: str,
    sessionId: str,
    config: ConfigParser | None = None,
    region: str | None = None,
) -> dict[str, Any]:
    """The reply of ``GetSession``."""
    client = client_for_farm("deadline", farmId, config, region)
    reply: dict[str, Any] = client.get_session(farmId=farmId, queueId=queueId, jobId=jobId, sessionId=sessionId)
    return reply


@record_function_latency_telemetry_event()
@_either_case
def list_sessions(
    farmId: str,
    queueId: str,
    jobId: str,
    maxResults: int | None = None,
    config: ConfigParser | None = None,
    region: str | None = None,
) -> dict[str, Any]:
    """``{"sessions": [...]}``; ``maxResults`` is the size of a page."""
    keywords = _given(farmId=farmId, queueId=queueId, jobId=jobId, maxResults=maxResults)
    return all_pages(client_for_farm("deadline", farmId, config, region).list_sessions, "sessions", keywords)


@record_function_latency_telemetry_event()
@_either_case
def list_steps(
    farmId: str,
    queueId: str,
    jobId: str,
    maxResults: int | None = None,
    config: ConfigParser | None = None,
    region: str | None = None,
) -> dict[str, Any]:
    """``{"steps": [...]}``; ``maxResults`` is the size of a page."""
    keywords = _given(farmId=farmId, queueId=queueId, jobId=jobId, maxResults=maxResults)
    return all_pages(client_for_farm("deadline", farmId, config, region).list_steps, "steps", keywords)


@record_function_latency_telemetry_event()
@_either_case
def list_tasks(
    farmId: str,
    queueId: str,
    jobId: str,
    stepId: str,
    maxResults: int | None = None,
    config: ConfigParser | None = None,
    region: str | None = None,
) -> dict[str, Any]:
    """``{"tasks": [...]}``; ``maxResults`` is the size of a page."""
    keywords = _given(farmId=farmId, queueId=queueId, jobId=jobId, stepId=stepId, maxResults=maxResults)
    return all_pages(client_for_farm("deadline", farmId, config, region).list_tasks, "tasks", keywords)


class _NothingChosenError(DeadlineOperationError, ValueError):
    """No farm or no queue: the official class, and that of everything here."""


@record_function_latency_telemetry_event()
@_either_case
def search_jobs(
    farmId: str | None = None,
    queueIds: list[str] | None = None,
    taskRunStatus: str | None = None,
    nameContains: str | None = None,
    pageSize: int = 25,
    itemOffset: int = 0,
    config: ConfigParser | None = None,
    region: str | None = None,
) -> dict[str, Any]:
    """One page of ``SearchJobs``: ``{"jobs", "totalResults", "nextItemOffset"}``.

    Farm and queue are the configured ones unless they are given. Page sizes go from 1 to 100, offsets to 10,000.
    """
    farmId = farmId or config_file.get_setting("defaults.farm_id", config)  # noqa: N806
    queueIds = queueIds or [config_file.get_setting("defaults.queue_id", config)]  # noqa: N806
    if not farmId or not all(queueIds):
        raise _NothingChosenError(
            "No farm or no queue is chosen. Set defaults.farm_id and defaults.queue_id in "
            f"{config_file.get_config_file_path()}, or give farmId and queueIds."
        )
    filters: list[dict[str, Any]] = []
    if taskRunStatus:
        status = {"name": "TASK_RUN_STATUS", "operator": "EQUAL", "value": taskRunStatus}
        filters.append({"stringFilter": status})
    if nameContains:
        filters.append({"searchTermFilter": {"searchTerm": nameContains}})
    reply = client_for_farm("deadline", farmId, config, region).search_jobs(
        **_given(
            farmId=farmId,
            queueIds=queueIds,
            pageSize=min(max(pageSize, 1), 100),
            itemOffset=min(max(itemOffset, 0), 10_000),
            filterExpressions={"filters": filters, "operator": "AND"} if filters else None,
        )
    )
    return {
        "jobs": reply["jobs"],
        "totalResults": reply["totalResults"],
        "nextItemOffset": reply.get("nextItemOffset"),
    }
