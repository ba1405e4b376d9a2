"""Jobs."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Mapping
from typing import Any

from shotput_farm import targets, wire
from shotput_farm.farm import Farm, page_token, token_for
from shotput_farm.handlers import Request, operation
from shotput_farm.handlers.queues import check_storage_profile, environments_of
from shotput_farm.lifecycle import JOB
from shotput_farm.lookup import job_row, pages, queue_row
from shotput_farm.protocol.errors import Conflict, ResourceNotFound, ServiceError, Validation
from shotput_farm.store import EVERY_WORKER, Transaction, jobs, records
from shotput_farm.submission import MAX_FAILED_TASKS, MAX_RETRIES, Submission, insert_job
from shotput_farm.template import decode

_EDITABLE = {
    "priority": "priority",
    "maxFailedTasksCount": "max_failed_tasks_count",
    "maxRetriesPerTask": "max_retries_per_task",
    "maxWorkerCount": "max_worker_count",
    "name": "name",
    "description": "description",
}


@operation("CreateJob")
def create_job(farm: Farm, request: Request) -> dict[str, Any]:
    """Create a job from a template, or from the template of another job. It is complete when this returns."""
    params = request.params
    with farm.store.read() as db:
        queue = queue_row(db, params)
        check_storage_profile(db, queue, params.get("storageProfileId"))
        template, template_type, parameters, attachments = _source(db, params)
        environments = environments_of(db, queue["queue_id"])
    submission = Submission(
        farm_id=params["farmId"],
        queue_id=params["queueId"],
        template=template,
        template_type=template_type,
        priority=params["priority"],
        created_by=request.identity.principal,
        queue_environments=environments,
        attachments=attachments,
        storage_profile_id=params.get("storageProfileId"),
        target_status=params.get("targetTaskRunStatus", "READY"),
        max_failed_tasks_count=params.get("maxFailedTasksCount", MAX_FAILED_TASKS),
        max_retries_per_task=params.get("maxRetriesPerTask", MAX_RETRIES),
        max_worker_count=params.get("maxWorkerCount", -1),
        source_job_id=params.get("sourceJobId"),
        name=params.get("nameOverride"),
        description=params.get("descriptionOverride"),
    )
    decoded = decode(template, parameters, environments)
    return farm.once(request, lambda tx: {"jobId": insert_job(tx, submission, decoded)})


@operation("GetJob")
def get_job(farm: Farm, request: Request) -> dict[str, Any]:
    """Get a job."""
    with farm.store.read() as db:
        return wire.only(wire.job(db, job_row(db, request.params)), wire.JOB_GOT)


@operation("ListJobs")
def list_jobs(farm: Farm, request: Request) -> dict[str, Any]:
    """List a queue's jobs, oldest first."""
    return pages(
        farm,
        request.params,
        "jobs",
        "job",
        lambda db: {"queue_id": queue_row(db, request.params)["queue_id"]},
        wire.job,
        wire.JOB_LISTED,
    )


@operation("BatchGetJob")
def batch_get_job(farm: Farm, request: Request) -> dict[str, Any]:
    """Get many jobs; what cannot be got is listed in ``errors``."""
    found: list[Mapping[str, Any]] = []
    errors: list[Mapping[str, Any]] = []
    with farm.store.read() as db:
        for identifier in request.params["identifiers"]:
            try:
                found.append(wire.job(db, job_row(db, identifier)))
            except ServiceError as error:
                errors.append({**identifier, "code": error.code, "message": error.message})
    return {"jobs": found, "errors": errors}


@operation("UpdateJob")
def update_job(farm: Farm, request: Request) -> None:
    """Change a job: its settings, what its tasks are to become, or archive it."""
    farm.store.write(lambda tx: change_job(tx, request.params, request.identity.principal))


@operation("BatchUpdateJob")
def batch_update_job(farm: Farm, request: Request) -> dict[str, Any]:
    """Change many jobs, each for itself; what cannot be changed is listed in ``errors``."""
    errors = []
    for item in request.params["jobs"]:
        try:
            farm.store.write(lambda tx, item=item: change_job(tx, item, request.identity.principal))  # type: ignore[misc]
        except ServiceError as error:
            ids = {name: item[name] for name in ("farmId", "queueId", "jobId")}
            errors.append({**ids, "code": error.code, "message": error.message})
    return {"errors": errors}


def change_job(tx: Transaction, params: Mapping[str, Any], principal: str) -> None:
    """Apply an UpdateJob."""
    job = job_row(tx.db, params)
    if job["lifecycle_status"] == "ARCHIVED":
        raise Conflict(
            f"Job {job['job_id']} is ARCHIVED and can no longer be changed. Submit it again instead.",
            "STATUS_CONFLICT",
            "job",
            job["job_id"],
            {"status": "ARCHIVED"},
        )
    values = {column: params[member] for member, column in _EDITABLE.items() if member in params}
    values.update(updated_at=tx.now, updated_by=principal)
    target = params.get("targetTaskRunStatus")
    if params.get("lifecycleStatus") == "ARCHIVED":
        # An archived job is out of the way: what it still runs ends.
        targets.retarget_job(tx, job["seq"], "CANCELED", principal)
        values["lifecycle_status"] = JOB.next(job["lifecycle_status"], "archive")
        values["lifecycle_status_message"] = "Job archived"
    else:
        values["lifecycle_status"] = JOB.next(job["lifecycle_status"], "update")
        values["lifecycle_status_message"] = "Job update completed successfully"
    if target is not None:
        targets.retarget_job(tx, job["seq"], target, principal)
    records.update(tx.db, "job", job["seq"], values)
    tx.wake.add(EVERY_WORKER)


@operation("ListJobParameterDefinitions")
def list_job_parameter_definitions(farm: Farm, request: Request) -> dict[str, Any]:
    """List a job's parameter definitions as its template has them."""
    params = request.params
    limit = params.get("maxResults") or 100
    (start,) = page_token(params.get("nextToken")) or (0,)
    with farm.store.read() as db:
        definitions = json.loads(jobs.document(db, job_row(db, params)["seq"])["parameter_definitions"])
    stop = start + limit
    more = stop < len(definitions)
    return {"jobParameterDefinitions": definitions[start:stop], "nextToken": token_for(stop) if more else None}


def _source(
    db: sqlite3.Connection, params: Mapping[str, Any]
) -> tuple[str, str, Mapping[str, Any], Mapping[str, Any] | None]:
    """Return template, its type, parameters and attachments, of the request itself or of its source job."""
    if "template" in params:
        if "sourceJobId" in params:
            raise Validation(
                "A job comes from a template or from a source job, not from both. Leave template or sourceJobId out.",
                [("sourceJobId", "given together with template")],
            )
        template_type = params.get("templateType", "YAML")
        return params["template"], template_type, params.get("parameters") or {}, params.get("attachments")
    if "sourceJobId" not in params:
        raise Validation(
            "A job needs a template or a sourceJobId; neither was given.",
            [("template", "required without sourceJobId")],
        )
    source = records.get(db, "job", params["sourceJobId"])
    if source is None or source["queue_id"] != params["queueId"]:
        raise ResourceNotFound("job", params["sourceJobId"])
    document = jobs.document(db, source["seq"])
    attachments = json.loads(source["attachments"]) if source["attachments"] else None
    parameters = {**json.loads(source["parameters"]), **(params.get("parameters") or {})}
    return document["template"], document["template_type"], parameters, params.get("attachments") or attachments
