"""What Deadline Cloud says of the attachments of queues and jobs."""

from __future__ import annotations

from typing import Any

from ..exceptions import JobAttachmentsError
from ..models import Attachments, Job, JobAttachmentS3Settings, JobAttachmentsFileSystem, ManifestProperties, Queue
from .aws_clients import get_deadline_client

__all__ = ["get_job", "get_queue"]


def get_queue(farm_id: str, queue_id: str, session: Any = None, deadline_endpoint_url: str | None = None) -> Queue:
    """A queue, and where it keeps files. Raises ``JobAttachmentsError`` when the service refuses."""
    reply = _asked("get_queue", session, deadline_endpoint_url, farmId=farm_id, queueId=queue_id)
    settings = reply.get("jobAttachmentSettings") or {}
    return Queue(
        queueId=reply["queueId"],
        displayName=reply["displayName"],
        farmId=reply["farmId"],
        status=reply["status"],
        defaultBudgetAction=reply["defaultBudgetAction"],
        jobAttachmentSettings=JobAttachmentS3Settings(settings["s3BucketName"], settings["rootPrefix"])
        if settings.get("s3BucketName")
        else None,
    )


def get_job(
    farm_id: str, queue_id: str, job_id: str, session: Any = None, deadline_endpoint_url: str | None = None
) -> Job:
    """A job and its attachments. Raises ``JobAttachmentsError`` when the service refuses."""
    reply = _asked("get_job", session, deadline_endpoint_url, farmId=farm_id, queueId=queue_id, jobId=job_id)
    attachments = reply.get("attachments")
    if not attachments:
        return Job(reply["jobId"])
    roots = [ManifestProperties.from_dict(root) for root in attachments["manifests"]]
    system = JobAttachmentsFileSystem(attachments.get("fileSystem") or JobAttachmentsFileSystem.COPIED)
    return Job(reply["jobId"], Attachments(roots, system))


def _asked(operation: str, session: Any, endpoint_url: str | None, **ids: str) -> dict[str, Any]:
    from botocore.exceptions import ClientError

    try:
        reply: dict[str, Any] = getattr(get_deadline_client(session, endpoint_url), operation)(**ids)
    except ClientError as error:
        raise JobAttachmentsError(f"{list(ids.values())[-1]} cannot be looked at: {error}") from error
    return reply
