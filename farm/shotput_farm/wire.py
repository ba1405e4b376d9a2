"""Rows in the words of the wire: what Get, List, Search and BatchGet of one kind of resource share."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Mapping, Sequence
from typing import Any

from shotput_farm.sessions import action_id, log_configuration
from shotput_farm.store import jobs, records
from shotput_farm.store import sessions as session_rows
from shotput_farm.template import task_id

_STAMPS = ("createdAt", "createdBy", "updatedAt", "updatedBy")
_RUN = ("taskRunStatus", "targetTaskRunStatus", "taskRunStatusCounts", "taskFailureRetryCount", "startedAt", "endedAt")
_JOB = ("name", "lifecycleStatus", "lifecycleStatusMessage", "priority", *_RUN, *_STAMPS)
_JOB_LIMITS = ("maxFailedTasksCount", "maxRetriesPerTask", "maxWorkerCount", "sourceJobId")

FARM_LISTED = ("farmId", "displayName", "kmsKeyArn", *_STAMPS)
QUEUE_LISTED = ("farmId", "queueId", "displayName", "status", "defaultBudgetAction", *_STAMPS)
FLEET_LISTED = (
    *("farmId", "fleetId", "displayName", "status", "workerCount", "minWorkerCount", "maxWorkerCount", "configuration"),
    *_STAMPS,
)
ENVIRONMENT_LISTED = ("queueEnvironmentId", "name", "priority")
STORAGE_PROFILE_LISTED = ("storageProfileId", "displayName", "osFamily")
STORAGE_PROFILE_OF_QUEUE = (*STORAGE_PROFILE_LISTED, "fileSystemLocations")
JOB_LISTED = ("jobId", *_JOB, *_JOB_LIMITS)
JOB_GOT = (*JOB_LISTED, "storageProfileId", "parameters", "attachments", "description")
JOB_FOUND = ("jobId", "queueId", *_JOB, *_JOB_LIMITS, "jobParameters")
STEP_LISTED = ("stepId", "name", "lifecycleStatus", *_RUN, *_STAMPS, "dependencyCounts")
STEP_GOT = (*STEP_LISTED, "requiredCapabilities", "parameterSpace", "description")
STEP_FOUND = ("stepId", "jobId", "queueId", "name", "lifecycleStatus", *_RUN, *_STAMPS, "parameterSpace")
_TASK = (
    *("taskId", "runStatus", "targetRunStatus", "failureRetryCount", "startedAt", "endedAt", "updatedAt", "updatedBy"),
    *("latestSessionActionId", "parameters"),
)
TASK_GOT = (*_TASK, "createdAt", "createdBy")
TASK_FOUND = (*_TASK, "stepId", "jobId", "queueId")
SESSION_OF_WORKER = (
    *("sessionId", "queueId", "jobId", "startedAt", "lifecycleStatus", "endedAt", "targetLifecycleStatus"),
)
SESSION_LISTED = (
    *("sessionId", "fleetId", "workerId", "startedAt", "lifecycleStatus", "endedAt", "targetLifecycleStatus"),
    *("updatedAt", "updatedBy"),
)
SESSION_GOT = (*SESSION_LISTED, "log", "hostProperties", "workerLog")
ACTION_LISTED = (
    *("sessionActionId", "status", "startedAt", "endedAt", "workerUpdatedAt", "progressPercent", "manifests"),
    "definition",
)
WORKER_FOUND = ("fleetId", "workerId", "status", "hostProperties", *_STAMPS)


def only(item: Mapping[str, Any], names: Sequence[str]) -> dict[str, Any]:
    """Return those members of a resource that an operation's reply has."""
    return {name: item[name] for name in names if name in item}


def seconds(milliseconds: int | None) -> float | None:
    """Return epoch seconds, as the protocol engine writes them."""
    return None if milliseconds is None else milliseconds / 1000


def stamps(row: sqlite3.Row) -> dict[str, Any]:
    """Return who made and changed a row, and when."""
    return {
        "createdAt": seconds(row["created_at"]),
        "createdBy": row["created_by"],
        "updatedAt": seconds(row["updated_at"]),
        "updatedBy": row["updated_by"],
    }


def farm(db: sqlite3.Connection, row: sqlite3.Row) -> dict[str, Any]:
    """Return a farm."""
    detail = json.loads(row["detail"])
    return {
        "farmId": row["farm_id"],
        "displayName": row["display_name"],
        "description": detail.get("description", ""),
        "costScaleFactor": detail.get("costScaleFactor", 1.0),
        "kmsKeyArn": detail.get("kmsKeyArn"),
        **stamps(row),
    }


def queue(db: sqlite3.Connection, row: sqlite3.Row) -> dict[str, Any]:
    """Return a queue. It is SCHEDULING while any of its jobs has work."""
    return {
        "defaultBudgetAction": "NONE",
        "description": "",
        **_detail(row),
        "farmId": row["farm_id"],
        "queueId": row["queue_id"],
        "displayName": row["display_name"],
        "status": "SCHEDULING" if jobs.queue_has_work(db, row["queue_id"]) else "IDLE",
        **stamps(row),
    }


def fleet(db: sqlite3.Connection, row: sqlite3.Row) -> dict[str, Any]:
    """Return a fleet."""
    detail = _detail(row)
    return {
        "description": "",
        "minWorkerCount": 0,
        **detail,
        "farmId": row["farm_id"],
        "fleetId": row["fleet_id"],
        "displayName": row["display_name"],
        "status": "ACTIVE",
        "workerCount": records.count(db, "worker", {"fleet_id": row["fleet_id"]}),
        "capabilities": _fleet_capabilities(detail["configuration"]),
        **stamps(row),
    }


def _detail(row: sqlite3.Row) -> dict[str, Any]:
    """Return a row's further members; tags are kept with them, but asked for elsewhere."""
    return {name: value for name, value in json.loads(row["detail"]).items() if name != "tags"}


def _fleet_capabilities(configuration: Mapping[str, Any]) -> dict[str, Any]:
    (kind,) = configuration
    body = configuration[kind]
    offered = body["workerCapabilities" if kind == "customerManaged" else "instanceCapabilities"]
    amounts = [
        {"name": name, **offered[member]}
        for name, member in (("amount.worker.vcpu", "vCpuCount"), ("amount.worker.memory", "memoryMiB"))
    ]
    attributes = [
        {"name": "attr.worker.os.family", "values": [offered["osFamily"].lower()]},
        {"name": "attr.worker.cpu.arch", "values": [offered["cpuArchitectureType"]]},
    ]
    return {
        "amounts": amounts + list(offered.get("customAmounts") or ()),
        "attributes": attributes + list(offered.get("customAttributes") or ()),
    }


def association(db: sqlite3.Connection, row: sqlite3.Row) -> dict[str, Any]:
    """Return a queue-fleet association. One that is to stop has STOPPED when its last session has ended."""
    status = row["status"]
    if status != "ACTIVE" and not session_rows.of_association(db, row["queue_id"], row["fleet_id"]):
        status = "STOPPED"
    return {"queueId": row["queue_id"], "fleetId": row["fleet_id"], "status": status, **stamps(row)}


def environment(db: sqlite3.Connection, row: sqlite3.Row) -> dict[str, Any]:
    """Return a queue environment."""
    return {
        "queueEnvironmentId": row["queue_environment_id"],
        "name": row["name"],
        "priority": row["priority"],
        "templateType": row["template_type"],
        "template": row["template"],
        **stamps(row),
    }


def storage_profile(db: sqlite3.Connection, row: sqlite3.Row) -> dict[str, Any]:
    """Return a storage profile."""
    return {
        **json.loads(row["detail"]),
        "storageProfileId": row["storage_profile_id"],
        "displayName": row["display_name"],
        **stamps(row),
    }


def job(db: sqlite3.Connection, row: sqlite3.Row) -> dict[str, Any]:
    """Return a job as GetJob has it."""
    return {
        "farmId": row["farm_id"],
        "queueId": row["queue_id"],
        "jobId": row["job_id"],
        "name": row["name"],
        "description": row["description"],
        "lifecycleStatus": row["lifecycle_status"],
        "lifecycleStatusMessage": row["lifecycle_status_message"],
        "priority": row["priority"],
        **_run(row),
        "storageProfileId": row["storage_profile_id"],
        "maxFailedTasksCount": row["max_failed_tasks_count"],
        "maxRetriesPerTask": row["max_retries_per_task"],
        "maxWorkerCount": row["max_worker_count"] if row["max_worker_count"] >= 0 else None,
        "parameters": json.loads(row["parameters"]),
        "attachments": json.loads(row["attachments"]) if row["attachments"] else None,
        "sourceJobId": row["source_job_id"],
        **stamps(row),
    }


def job_found(db: sqlite3.Connection, row: sqlite3.Row) -> dict[str, Any]:
    """Return a job as SearchJobs has it."""
    found = job(db, row)
    found["jobParameters"] = found["parameters"]
    return found


def step(db: sqlite3.Connection, row: sqlite3.Row, job_row: sqlite3.Row | None = None) -> dict[str, Any]:
    """Return a step as GetStep has it."""
    owner = job_row if job_row is not None else records.by_seq(db, "job", row["job_seq"])
    requirements = json.loads(row["requirements"])
    needed = requirements["amounts"] or requirements["attributes"]
    return {
        "farmId": owner["farm_id"],
        "queueId": owner["queue_id"],
        "jobId": owner["job_id"],
        "stepId": row["step_id"],
        "name": row["name"],
        "description": row["description"],
        "lifecycleStatus": row["lifecycle_status"],
        **_run(row),
        "dependencyCounts": jobs.resolution(db, row["seq"]),
        "requiredCapabilities": requirements if needed else None,
        "parameterSpace": json.loads(row["parameter_space"]) if row["parameter_space"] else None,
        "createdAt": seconds(owner["created_at"]),
        "createdBy": owner["created_by"],
        "updatedAt": seconds(row["updated_at"]),
        "updatedBy": row["updated_by"],
    }


def _run(row: sqlite3.Row) -> dict[str, Any]:
    return {
        "taskRunStatus": row["task_run_status"],
        "targetTaskRunStatus": row["target_task_run_status"],
        "taskRunStatusCounts": jobs.counts(row),
        "taskFailureRetryCount": row["failure_retry_count"],
        "startedAt": seconds(row["started_at"]),
        "endedAt": seconds(row["ended_at"]),
    }


def task(
    step_row: sqlite3.Row,
    job_row: Mapping[str, Any] | sqlite3.Row,
    ordinal: int,
    row: sqlite3.Row | None,
    parameters: Mapping[str, Any],
    session_ids: Mapping[int, str],
) -> dict[str, Any]:
    """Return a task; ``row`` is None while nothing has happened to it."""
    wire: dict[str, Any] = {
        "taskId": task_id(step_row["step_id"], ordinal),
        "stepId": step_row["step_id"],
        "jobId": job_row["job_id"],
        "queueId": job_row["queue_id"],
        "createdAt": seconds(job_row["created_at"]),
        "createdBy": job_row["created_by"],
        "parameters": parameters,
    }
    if row is None:
        return {**wire, "runStatus": step_row["untouched_status"], "failureRetryCount": 0}
    latest = row["latest_session"]
    return {
        **wire,
        "runStatus": row["status"],
        "targetRunStatus": row["target_status"],
        "failureRetryCount": row["failure_retry_count"],
        "startedAt": seconds(row["started_at"]),
        "endedAt": seconds(row["ended_at"]),
        "updatedAt": seconds(row["updated_at"]),
        "updatedBy": row["updated_by"],
        "latestSessionActionId": None if latest is None else action_id(session_ids[latest], row["latest_action"]),
    }


def session(db: sqlite3.Connection, row: sqlite3.Row) -> dict[str, Any]:
    """Return a session as GetSession has it."""
    job_id = records.by_seq(db, "job", row["job_seq"])["job_id"]
    return {
        "farmId": row["farm_id"],
        "queueId": row["queue_id"],
        "jobId": job_id,
        "sessionId": row["session_id"],
        "fleetId": row["fleet_id"],
        "workerId": row["worker_id"],
        "startedAt": seconds(row["started_at"]),
        "endedAt": seconds(row["ended_at"]),
        "lifecycleStatus": row["lifecycle_status"],
        "targetLifecycleStatus": row["target_lifecycle_status"],
        "updatedAt": seconds(row["updated_at"]),
        "updatedBy": row["updated_by"],
        "hostProperties": json.loads(row["host_properties"]),
        "log": log_configuration(row["farm_id"], row["queue_id"], row["session_id"]),
        "workerLog": log_configuration(row["farm_id"], row["fleet_id"], row["worker_id"]),
    }


def action(row: sqlite3.Row, session_id: str, definition: Mapping[str, Any]) -> dict[str, Any]:
    """Return a session action as GetSessionAction has it."""
    return {
        "sessionActionId": action_id(session_id, row["number"]),
        "sessionId": session_id,
        "status": row["status"],
        "startedAt": seconds(row["started_at"]),
        "endedAt": seconds(row["ended_at"]),
        "workerUpdatedAt": seconds(row["worker_updated_at"]),
        "progressPercent": row["progress_percent"],
        "progressMessage": row["progress_message"],
        "processExitCode": row["exit_code"],
        "manifests": json.loads(row["manifests"]) if row["manifests"] else None,
        "definition": definition,
    }


def worker(db: sqlite3.Connection, row: sqlite3.Row) -> dict[str, Any]:
    """Return a worker."""
    return {
        "farmId": row["farm_id"],
        "fleetId": row["fleet_id"],
        "workerId": row["worker_id"],
        "hostProperties": json.loads(row["host_properties"]),
        "status": row["status"],
        "log": log_configuration(row["farm_id"], row["fleet_id"], row["worker_id"]),
        **stamps(row),
    }
