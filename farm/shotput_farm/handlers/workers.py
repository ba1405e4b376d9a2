"""Workers: registration, status, schedule, and the entities of the jobs that they run."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Mapping
from typing import Any

from shotput_farm import wire
from shotput_farm.farm import Farm, new_id
from shotput_farm.handlers import Request, operation
from shotput_farm.lifecycle import WORKER, WORKER_REQUESTS
from shotput_farm.lookup import fleet_row, pages, worker_row
from shotput_farm.protocol.errors import Conflict, ResourceNotFound, ServiceError
from shotput_farm.scheduler import end_sessions
from shotput_farm.sessions import begin_log, log_configuration
from shotput_farm.store import Transaction, jobs, records
from shotput_farm.store import sessions as session_rows


@operation("CreateWorker")
def create_worker(farm: Farm, request: Request) -> dict[str, Any]:
    """Register a worker."""
    params = request.params

    def work(tx: Transaction) -> dict[str, Any]:
        fleet_row(tx.db, params)
        worker_id = new_id("worker")
        begin_log(farm.logs, params["farmId"], params["fleetId"], worker_id)
        records.insert(
            tx.db,
            "worker",
            {
                "worker_id": worker_id,
                "farm_id": params["farmId"],
                "fleet_id": params["fleetId"],
                "status": "CREATED",
                "host_properties": json.dumps(params.get("hostProperties") or {}),
                "last_seen": tx.now,
                "created_at": tx.now,
                "created_by": request.identity.principal,
            },
        )
        return {"workerId": worker_id}

    return farm.once(request, work)


@operation("UpdateWorker")
def update_worker(farm: Farm, request: Request) -> dict[str, Any]:
    """Take a worker's status and capabilities. A worker that starts has nothing running: its old sessions end."""
    params = request.params

    def work(tx: Transaction) -> sqlite3.Row:
        row = worker_row(tx.db, params)
        values: dict[str, Any] = {"last_seen": tx.now, "updated_at": tx.now, "updated_by": request.identity.principal}
        if "status" in params:
            event = WORKER_REQUESTS[params["status"]]
            if not WORKER.allows(row["status"], event):
                raise Conflict(
                    f"Worker {row['worker_id']} is {row['status']} and cannot become {params['status']}. Report "
                    "STOPPED first, then STARTED.",
                    "STATUS_CONFLICT",
                    "worker",
                    row["worker_id"],
                    {"status": row["status"]},
                )
            values["status"] = WORKER.next(row["status"], event)
            if params["status"] in ("STARTED", "STOPPED"):
                # Whatever this worker had, its process has not: it has just begun, or ends.
                end_sessions(tx, row["worker_id"])
        if "capabilities" in params:
            values["capabilities"] = json.dumps(params["capabilities"])
        if "hostProperties" in params:
            values["host_properties"] = json.dumps(params["hostProperties"])
        records.update(tx.db, "worker", row["seq"], values)
        return row

    row = farm.store.write(work)
    if "status" in params:
        farm.scheduler.forget(row["worker_id"])
    with farm.store.read() as db:
        fleet = json.loads(fleet_row(db, params)["detail"])
    return {
        "log": log_configuration(row["farm_id"], row["fleet_id"], row["worker_id"]),
        "hostConfiguration": fleet.get("hostConfiguration") if params.get("status") == "STARTED" else None,
    }


@operation("UpdateWorkerSchedule")
async def update_worker_schedule(farm: Farm, request: Request) -> dict[str, Any]:
    """Take results, give work; held open while there is nothing to say if the caller allows that."""
    reports = request.params.get("updatedSessionActions") or {}
    return await farm.scheduler.exchange(request.params["workerId"], reports, request.hold_seconds)


@operation("GetWorker")
def get_worker(farm: Farm, request: Request) -> dict[str, Any]:
    """Get a worker."""
    with farm.store.read() as db:
        return wire.worker(db, worker_row(db, request.params))


@operation("BatchGetWorker")
def batch_get_worker(farm: Farm, request: Request) -> dict[str, Any]:
    """Get many workers; what cannot be got is listed in ``errors``."""
    found: list[Mapping[str, Any]] = []
    errors: list[Mapping[str, Any]] = []
    with farm.store.read() as db:
        for identifier in request.params["identifiers"]:
            try:
                found.append(wire.worker(db, worker_row(db, identifier)))
            except ServiceError as error:
                errors.append({**identifier, "code": error.code, "message": error.message})
    return {"workers": found, "errors": errors}


@operation("ListWorkers")
def list_workers(farm: Farm, request: Request) -> dict[str, Any]:
    """List a fleet's workers."""
    return pages(
        farm,
        request.params,
        "workers",
        "worker",
        lambda db: {"fleet_id": fleet_row(db, request.params)["fleet_id"]},
        wire.worker,
    )


@operation("DeleteWorker")
def delete_worker(farm: Farm, request: Request) -> None:
    """Forget a worker that is CREATED or STOPPED, and end its keys."""
    params = request.params

    def work(tx: Transaction) -> None:
        row = worker_row(tx.db, params)
        if row["status"] not in ("CREATED", "STOPPED"):
            raise Conflict(
                f"Worker {row['worker_id']} is {row['status']}. Stop it first; only a worker that is CREATED or "
                "STOPPED can be deleted.",
                "STATUS_CONFLICT",
                "worker",
                row["worker_id"],
                {"status": row["status"]},
            )
        records.delete(tx.db, "worker", row["seq"])

    farm.store.write(work)
    farm.scheduler.forget(params["workerId"])
    farm.credentials.revoke(worker_id=params["workerId"])


@operation("BatchGetJobEntity")
def batch_get_job_entity(farm: Farm, request: Request) -> dict[str, Any]:
    """Give a worker what it needs to know of jobs that it has a session of."""
    params = request.params
    entities: list[Mapping[str, Any]] = []
    errors: list[Mapping[str, Any]] = []
    with farm.store.read() as db:
        worker = worker_row(db, params)
        for identifier in params["identifiers"]:
            ((kind, ids),) = identifier.items()
            try:
                entities.append({kind: {**ids, **_ENTITIES[kind](db, worker, ids)}})
            except ServiceError as error:
                errors.append({kind: {**ids, "code": error.code, "message": error.message}})
    return {"entities": entities, "errors": errors}


def _job_of(db: sqlite3.Connection, worker: sqlite3.Row, ids: Mapping[str, Any]) -> sqlite3.Row:
    """Return the job; a worker sees those that it had a session of."""
    job = records.get(db, "job", ids["jobId"])
    if job is None or not session_rows.worker_had_job(db, worker["worker_id"], job["seq"]):
        raise ResourceNotFound("job", ids["jobId"])
    return job


def _job_details(db: sqlite3.Connection, worker: sqlite3.Row, ids: Mapping[str, Any]) -> dict[str, Any]:
    job = _job_of(db, worker, ids)
    document = jobs.document(db, job["seq"])
    queue_row = records.get(db, "queue", job["queue_id"])
    queue = json.loads(queue_row["detail"]) if queue_row is not None else {}
    return {
        "jobAttachmentSettings": queue.get("jobAttachmentSettings"),
        "jobRunAsUser": queue.get("jobRunAsUser") or {"runAs": "WORKER_AGENT_USER"},
        "logGroupName": f"/aws/deadline/{job['farm_id']}/{job['queue_id']}",
        # Its presence makes the agent ask for the queue's role, without which attachments cannot be fetched.
        "queueRoleArn": queue.get("roleArn") or "arn:aws:iam::000000000000:role/shotput-queue",
        "parameters": json.loads(job["parameters"]),
        "schemaVersion": document["schema_version"],
        "extensions": json.loads(document["extensions"]) or None,
        "pathMappingRules": _path_rules(db, job, worker),
    }


def _path_rules(db: sqlite3.Connection, job: sqlite3.Row, worker: sqlite3.Row) -> list[dict[str, str]]:
    """Map the locations of the job's storage profile to those of the same name in the fleet's."""
    fleet = records.get(db, "fleet", worker["fleet_id"])
    configuration = json.loads(fleet["detail"])["configuration"] if fleet is not None else {}
    there = next((body.get("storageProfileId") for body in configuration.values()), None)
    here = job["storage_profile_id"]
    if here is None or there is None or here == there:
        return []
    source, destination = records.get(db, "storage_profile", here), records.get(db, "storage_profile", there)
    if source is None or destination is None:
        return []
    source_detail, destination_detail = json.loads(source["detail"]), json.loads(destination["detail"])
    paths = {location["name"]: location["path"] for location in destination_detail["fileSystemLocations"]}
    return [
        {
            "sourcePathFormat": "windows" if source_detail["osFamily"].upper() == "WINDOWS" else "posix",
            "sourcePath": location["path"],
            "destinationPath": paths[location["name"]],
        }
        for location in source_detail["fileSystemLocations"]
        if location["name"] in paths
    ]


def _attachment_details(db: sqlite3.Connection, worker: sqlite3.Row, ids: Mapping[str, Any]) -> dict[str, Any]:
    job = _job_of(db, worker, ids)
    if job["attachments"] is None:
        raise ResourceNotFound("jobAttachments", ids["jobId"])
    return {"attachments": {"fileSystem": "COPIED", **json.loads(job["attachments"])}}


def _step_details(db: sqlite3.Connection, worker: sqlite3.Row, ids: Mapping[str, Any]) -> dict[str, Any]:
    job = _job_of(db, worker, ids)
    step = records.get(db, "step", ids["stepId"])
    if step is None or step["job_seq"] != job["seq"]:
        raise ResourceNotFound("step", ids["stepId"])
    document = jobs.document(db, job["seq"])
    return {
        "schemaVersion": document["schema_version"],
        "extensions": json.loads(document["extensions"]) or None,
        "template": json.loads(step["template"]),
        "dependencies": [row["step_id"] for row in jobs.dependencies(db, step["seq"])],
    }


def _environment_details(db: sqlite3.Connection, worker: sqlite3.Row, ids: Mapping[str, Any]) -> dict[str, Any]:
    job = _job_of(db, worker, ids)
    document = jobs.document(db, job["seq"])
    scope, owner, name = ids["environmentId"].split(":", 2)
    found = None
    if scope == "JOB" and owner == job["job_id"]:
        found = json.loads(document["environments"])
        found = next((item["template"] for item in found if item["name"] == name), None)
    elif scope == "STEP":
        step = records.get(db, "step", owner)
        if step is not None and step["job_seq"] == job["seq"]:
            environments = json.loads(step["template"]).get("stepEnvironments") or ()
            found = next((item for item in environments if item["name"] == name), None)
    if found is None:
        raise ResourceNotFound("environment", ids["environmentId"])
    return {
        "schemaVersion": document["schema_version"],
        "extensions": json.loads(document["extensions"]) or None,
        "template": found,
    }


_ENTITIES = {
    "jobDetails": _job_details,
    "jobAttachmentDetails": _attachment_details,
    "stepDetails": _step_details,
    "environmentDetails": _environment_details,
}
