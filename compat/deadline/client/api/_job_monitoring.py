"""Waiting for a job's end, and the logs of sessions and workers."""

from __future__ import annotations

import time
from collections.abc import Iterator
from configparser import ConfigParser
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import Any, Callable

from ..config import config_file
from ..exceptions import DeadlineOperationError, DeadlineOperationTimedOut
from ._diagnostics import list_sessions, list_steps, list_tasks
from ._session import (
    client_for_farm,
    client_of,
    get_boto3_session,
    get_queue_user_boto3_session,
    get_user_and_identity_store_id,
)

__all__ = [
    "FailedTask",
    "JobCompletionResult",
    "LogEvent",
    "SessionLogResult",
    "WorkerLogResult",
    "get_session_logs",
    "get_worker_logs",
    "wait_for_job_completion",
]

_ENDED = ("SUCCEEDED", "FAILED", "CANCELED", "SUSPENDED", "NOT_COMPATIBLE")


@dataclass
class FailedTask:
    """A task that failed; ``session_id`` is where it ran last."""

    step_id: str
    task_id: str
    step_name: str
    parameters: dict[str, Any]
    session_id: str | None = None


@dataclass
class JobCompletionResult:
    """How a job ended, after how many seconds of waiting."""

    status: str
    failed_tasks: list[FailedTask]
    elapsed_time: float


@dataclass
class LogEvent:
    """A line of a log; times are in UTC."""

    timestamp: datetime
    message: str
    ingestion_time: datetime | None = None
    event_id: str | None = None


@dataclass
class SessionLogResult:
    """Lines of a session's log. ``next_token`` leads to those after them."""

    events: list[LogEvent]
    next_token: str | None
    log_group: str
    log_stream: str
    count: int


@dataclass
class WorkerLogResult:
    """Lines of a worker's log. ``next_token`` leads to those after them."""

    events: list[LogEvent]
    next_token: str | None
    log_group: str
    log_stream: str
    worker_id: str
    fleet_id: str
    count: int


def wait_for_job_completion(
    farm_id: str,
    queue_id: str,
    job_id: str,
    max_poll_interval: int = 120,
    timeout: int = 0,
    config: ConfigParser | None = None,
    status_callback: Callable[..., Any] | None = None,
    job_callback: Callable[..., Any] | None = None,
) -> JobCompletionResult:
    """Look at a job, ever more seldom, until its tasks have ended or nothing goes on with them.

    Both callbacks are called after each look: with the status or the job, the seconds so far, and ``timeout``. Raises
    ``DeadlineOperationTimedOut`` after ``timeout`` seconds (0 is no limit), and ``DeadlineOperationError`` when the
    service refuses.
    """
    client = client_for_farm("deadline", farm_id, config)
    began, pause = time.monotonic(), 0.5
    while True:
        elapsed = time.monotonic() - began
        if 0 < timeout < elapsed:
            raise DeadlineOperationTimedOut(f"The job {job_id} had not ended after {timeout} seconds.")
        with _refusals(f"look at the job {job_id}"):
            job = client.get_job(farmId=farm_id, queueId=queue_id, jobId=job_id)
        status = job.get("taskRunStatus", "")
        for callback, value in ((status_callback, status), (job_callback, job)):
            if callback is not None:
                callback(value, elapsed, timeout)
        if status in _ENDED:
            break
        time.sleep(pause)
        pause = min(pause * 2, max_poll_interval)
    failed: list[FailedTask] = []
    if status != "SUCCEEDED":
        with _refusals(f"list the failed tasks of the job {job_id}"):
            failed = list(_failed_tasks(farm_id, queue_id, job_id, config))
    return JobCompletionResult(status, failed, time.monotonic() - began)


def _failed_tasks(farm_id: str, queue_id: str, job_id: str, config: ConfigParser | None) -> Iterator[FailedTask]:
    for step in list_steps(farm_id, queue_id, job_id, config=config)["steps"]:
        if not step.get("taskRunStatusCounts", {}).get("FAILED"):
            continue
        for task in list_tasks(farm_id, queue_id, job_id, step["stepId"], config=config)["tasks"]:
            if task["runStatus"] == "FAILED":
                # sessionaction-<session>-<number>
                action = task.get("latestSessionActionId", "").split("-")
                session = f"session-{action[1]}" if len(action) > 2 else None
                yield FailedTask(step["stepId"], task["taskId"], step["name"], task.get("parameters", {}), session)


def get_session_logs(
    farm_id: str,
    queue_id: str,
    session_id: str | None = None,
    job_id: str | None = None,
    limit: int = 100,
    start_time: datetime | None = None,
    end_time: datetime | None = None,
    next_token: str | None = None,
    config: ConfigParser | None = None,
) -> SessionLogResult:
    """The newest lines of a session: of the given one, else of the job's newest, one that runs before one that ended.

    A session without a line has an empty log. Raises ``DeadlineOperationError`` when neither is given, when the job
    has no session, and when the service refuses.
    """
    session_id = session_id or _newest_session(farm_id, queue_id, job_id, config)
    group = f"/aws/deadline/{farm_id}/{queue_id}"
    with _refusals(f"read the log of the session {session_id}"):
        client = client_for_farm("logs", farm_id, config)
        if get_user_and_identity_store_id(config)[0]:
            # A monitor's user may read logs through the queue alone.
            deadline = client_for_farm("deadline", farm_id, config)
            client = client_of(get_queue_user_boto3_session(deadline, config, farm_id, queue_id), "logs")
        events, token = _events(client, group, session_id, limit, start_time, end_time, next_token)
    return SessionLogResult(events, token, group, session_id, len(events))


def get_worker_logs(
    farm_id: str,
    fleet_id: str,
    worker_id: str,
    limit: int = 100,
    start_time: datetime | None = None,
    end_time: datetime | None = None,
    next_token: str | None = None,
    config: ConfigParser | None = None,
) -> WorkerLogResult:
    """The newest lines of a worker. Raises ``DeadlineOperationError`` when the service refuses."""
    group = f"/aws/deadline/{farm_id}/{fleet_id}"
    with _refusals(f"read the log of the worker {worker_id}"):
        client = client_for_farm("logs", farm_id, config)
        if get_user_and_identity_store_id(config)[0]:
            client = _fleet_logs(farm_id, fleet_id, config)
        events, token = _events(client, group, worker_id, limit, start_time, end_time, next_token)
    return WorkerLogResult(events, token, group, worker_id, worker_id, fleet_id, len(events))


def _newest_session(farm_id: str, queue_id: str, job_id: str | None, config: ConfigParser | None) -> str:
    if not job_id:
        raise DeadlineOperationError("Whose log is wanted is not said. Give session_id or job_id.")
    with _refusals(f"list the sessions of the job {job_id}"):
        sessions = list_sessions(farm_id, queue_id, job_id, config=config)["sessions"]
    if not sessions:
        raise DeadlineOperationError(f"The job {job_id} has no session yet. Try again when it runs.")
    never = datetime.min.replace(tzinfo=timezone.utc)
    running = [session for session in sessions if "endedAt" not in session]
    key = "startedAt" if running else "endedAt"
    return str(max(running or sessions, key=lambda session: session.get(key, never))["sessionId"])


def _fleet_logs(farm_id: str, fleet_id: str, config: ConfigParser | None) -> Any:
    import boto3

    reply = client_for_farm("deadline", farm_id, config).assume_fleet_role_for_read(farmId=farm_id, fleetId=fleet_id)
    keys = reply["credentials"]
    session = boto3.Session(
        keys["accessKeyId"],
        keys["secretAccessKey"],
        keys["sessionToken"],
        config_file.region_of_farm(farm_id, config) or get_boto3_session(config=config).region_name,
    )
    return client_of(session, "logs")


def _events(
    client: Any,
    group: str,
    stream: str,
    limit: int,
    start_time: datetime | None,
    end_time: datetime | None,
    next_token: str | None,
) -> tuple[list[LogEvent], str | None]:
    given = {
        "startTime": int(start_time.timestamp() * 1000) if start_time else None,
        "endTime": int(end_time.timestamp() * 1000) if end_time else None,
        "nextToken": next_token,
    }
    try:
        reply = client.get_log_events(
            logGroupName=group,
            logStreamName=stream,
            limit=limit,
            startFromHead=False,
            **{name: value for name, value in given.items() if value is not None},
        )
    except client.exceptions.ResourceNotFoundException:
        # A log begins with its first line.
        return [], None

    def moment(milliseconds: int | None) -> Any:
        return None if milliseconds is None else datetime.fromtimestamp(milliseconds / 1000, timezone.utc)

    events = [
        LogEvent(
            moment(event["timestamp"]),
            event["message"].rstrip(),
            moment(event.get("ingestionTime")),
            event.get("eventId"),
        )
        for event in reply["events"]
    ]
    return events, reply.get("nextForwardToken")


@contextmanager
def _refusals(doing: str) -> Iterator[None]:
    """A refusal of the service as a ``DeadlineOperationError`` that says what could not be done."""
    from botocore.exceptions import BotoCoreError, ClientError

    try:
        yield
    except (BotoCoreError, ClientError) as error:
        raise DeadlineOperationError(f"Cannot {doing}: {error}") from error
