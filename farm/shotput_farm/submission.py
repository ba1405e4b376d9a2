"""A decoded job becomes rows: the job, its steps and their dependencies, in one transaction. No task becomes a row
here, so that a job of a million tasks costs what a job of one does."""

from __future__ import annotations

import json
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from shotput_farm.lifecycle import TASK, aggregate
from shotput_farm.store import EVERY_WORKER, Transaction, jobs, records
from shotput_farm.template import DecodedJob

MAX_FAILED_TASKS: Final = 100
MAX_RETRIES: Final = 5
"""What a CreateJob that says nothing gets: the service's own defaults."""


@dataclass(frozen=True)
class Submission:
    """What a CreateJob asks for beyond its template. ``template`` is the text, ``attachments`` in wire form."""

    farm_id: str
    queue_id: str
    template: str
    template_type: str
    priority: int
    created_by: str
    queue_environments: Sequence[str] = ()
    attachments: Mapping[str, Any] | None = None
    storage_profile_id: str | None = None
    target_status: str = "READY"
    max_failed_tasks_count: int = MAX_FAILED_TASKS
    max_retries_per_task: int = MAX_RETRIES
    max_worker_count: int = -1
    source_job_id: str | None = None
    name: str | None = None
    description: str | None = None


def insert_job(tx: Transaction, submission: Submission, decoded: DecodedJob) -> str:
    """Insert a job, ready to be scheduled, and return its id."""
    born = "PENDING"
    states = []
    for step in decoded.steps:
        status = born if step.dependencies else TASK.next(born, "resolve")
        states.append(TASK.next(status, "suspend") if submission.target_status == "SUSPENDED" else status)
    numbers: dict[str, int] = {}
    for step, status in zip(decoded.steps, states, strict=True):
        numbers[status] = numbers.get(status, 0) + step.task_count
    job_id = f"job-{uuid.uuid4().hex}"
    job_seq = records.insert(
        tx.db,
        "job",
        {
            "job_id": job_id,
            "farm_id": submission.farm_id,
            "queue_id": submission.queue_id,
            "name": submission.name or decoded.name,
            "description": submission.description if submission.description is not None else decoded.description,
            "priority": submission.priority,
            "lifecycle_status": "CREATE_COMPLETE",
            "lifecycle_status_message": "Job creation completed successfully",
            "task_run_status": aggregate(numbers),
            "target_task_run_status": submission.target_status,
            "max_failed_tasks_count": submission.max_failed_tasks_count,
            "max_retries_per_task": submission.max_retries_per_task,
            "max_worker_count": submission.max_worker_count,
            "storage_profile_id": submission.storage_profile_id,
            "source_job_id": submission.source_job_id,
            "parameters": json.dumps(decoded.parameters),
            "attachments": json.dumps(submission.attachments) if submission.attachments else None,
            "created_at": tx.now,
            "created_by": submission.created_by,
        },
    )
    jobs.set_counts(tx.db, "job", job_seq, numbers)
    jobs.insert_document(
        tx.db,
        {
            "job_seq": job_seq,
            "template": submission.template,
            "template_type": submission.template_type,
            "schema_version": decoded.schema_version,
            "extensions": json.dumps(decoded.extensions),
            "environments": json.dumps(decoded.environments),
            "queue_environments": json.dumps(list(submission.queue_environments)),
            "parameter_definitions": json.dumps(decoded.parameter_definitions),
        },
    )
    seqs: dict[str, int] = {}
    for position, (step, status) in enumerate(zip(decoded.steps, states, strict=True)):
        seqs[step.name] = step_seq = records.insert(
            tx.db,
            "step",
            {
                "step_id": f"step-{uuid.uuid4().hex}",
                "job_seq": job_seq,
                "position": position,
                "name": step.name,
                "description": step.description,
                "template": json.dumps(step.template),
                "requirements": json.dumps(step.requirements),
                "parameter_space": None if step.parameter_space is None else json.dumps(step.parameter_space),
                "lifecycle_status": "CREATE_COMPLETE",
                "task_run_status": status,
                "task_count": step.task_count,
                "untouched": step.task_count,
                "untouched_status": status,
            },
        )
        jobs.set_counts(tx.db, "step", step_seq, {status: step.task_count})
    jobs.insert_dependencies(
        tx.db,
        [(seqs[step.name], seqs[needed]) for step in decoded.steps for needed in dict.fromkeys(step.dependencies)],
    )
    if "READY" in states:
        tx.wake.add(EVERY_WORKER)
    return job_id
