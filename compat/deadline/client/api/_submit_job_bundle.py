"""Submission of a job bundle: the published keywords, callbacks and exceptions over the native submission."""

from __future__ import annotations

import re
import time
from collections.abc import Collection, Iterator
from configparser import ConfigParser
from contextlib import contextmanager
from typing import Any, Callable, Optional

from shotput import _native
from shotput.errors import AttachmentsError, MissingInputsError

from ...job_attachments._store import published
from ...job_attachments.exceptions import AssetSyncCancelledError, MisconfiguredInputsError
from ...job_attachments.models import JobAttachmentsFileSystem
from ...job_attachments.progress_tracker import ProgressReportMetadata
from ..config import config_file
from ..exceptions import (
    CreateJobWaiterCanceled,
    DeadlineOperationCanceled,
    DeadlineOperationError,
    DeadlineOperationTimedOut,
)
from ..job_bundle.parameters import JobParameter, plain_values
from ._monitor_urls import job_url
from ._session import refusals, session_context
from ._telemetry import record_function_latency_telemetry_event

__all__ = ["create_job_from_job_bundle", "wait_for_create_job_to_complete"]

_OnProgress = Optional[Callable[[ProgressReportMetadata], bool]]
_FIRST_LOOK, _LONGEST_PAUSE, _PATIENCE = 0.3, 5.0, 300.0
_JOB_ID = re.compile(r"\bjob-[0-9a-f]{32}\b")


@record_function_latency_telemetry_event()
def create_job_from_job_bundle(
    job_bundle_dir: str,
    job_parameters: list[dict[str, Any]] = [],  # as published; it is only read
    *,
    name: str | None = None,
    queue_parameter_definitions: list[JobParameter] | None = None,
    job_attachments_file_system: str | None = None,
    config: ConfigParser | None = None,
    priority: int | None = None,
    max_failed_tasks_count: int | None = None,
    max_retries_per_task: int | None = None,
    max_worker_count: int | None = None,
    target_task_run_status: str | None = None,
    require_paths_exist: bool = False,
    submitter_name: str | None = None,
    submitter_version: str | None = None,
    known_asset_paths: Collection[str] = [],
    debug_snapshot_dir: str | None = None,
    from_gui: bool = False,
    print_function_callback: Callable[[str], None] = print,
    interactive_confirmation_callback: Callable[[str, bool], bool] | None = None,
    hashing_progress_callback: _OnProgress = None,
    upload_progress_callback: _OnProgress = None,
    create_job_result_callback: Callable[[], bool] | None = None,
    force_s3_check: bool | None = None,
    auto_accept: bool = False,
) -> str | None:
    """Submit a bundle to the configured queue and wait until the farm has created the job; its id.

    Farm, queue, profile and storage profile are those of ``config``, else of the configuration file, which then
    remembers the job as ``defaults.job_id``. Progress callbacks go on while they give a true value.

    Raises ``AssetSyncCancelledError`` when one of them does not, ``MisconfiguredInputsError`` for inputs that are
    missing or folders, ``AssetSyncError`` when files cannot be stored, ``UserInitiatedCancel`` when the question is
    declined, ``CreateJobWaiterCanceled`` when ``create_job_result_callback`` ends the wait, ``ValueError`` for a file
    system that is none, and other ``DeadlineOperationError``: what the service refuses is boto3's ``ClientError`` too.
    What a callback raises comes out unchanged.
    """
    if job_attachments_file_system is not None:
        JobAttachmentsFileSystem(job_attachments_file_system)
    submitter_name = submitter_name or "Custom"
    session_context["submitter-name"] = submitter_name
    session_context["submitter-version"] = submitter_version
    hashing, upload = _Progress(hashing_progress_callback), _Progress(upload_progress_callback)
    with config_file.as_file(config) as path, refusals(), _remembered(config):
        params = {
            "job_bundle_dir": job_bundle_dir,
            "job_parameters": plain_values(job_parameters),
            "name": name,
            "queue_parameter_definitions": queue_parameter_definitions,
            "job_attachments_file_system": job_attachments_file_system,
            "config_path": path,
            "priority": priority,
            "max_failed_tasks_count": max_failed_tasks_count,
            "max_retries_per_task": max_retries_per_task,
            "max_worker_count": max_worker_count,
            "target_task_run_status": target_task_run_status,
            "require_paths_exist": require_paths_exist,
            "submitter_name": submitter_name,
            "submitter_version": submitter_version,
            "known_asset_paths": known_asset_paths,
            "debug_snapshot_dir": debug_snapshot_dir,
            "from_gui": from_gui,
            "force_s3_check": force_s3_check,
            # Only a yes counts: else the setting decides.
            "auto_accept": auto_accept or None,
            "as_official_client": True,
        }
        try:
            job_id: str | None = _native.create_job_from_job_bundle(
                params,
                print_function_callback,
                hashing.report,
                upload.report,
                interactive_confirmation_callback,
                create_job_result_callback,
            )["job_id"]
        except MissingInputsError as error:
            raise MisconfiguredInputsError(str(error)) from error
        except AttachmentsError as error:
            raise published(error) from error
        except DeadlineOperationCanceled as error:
            if hashing.canceled or upload.canceled:
                raise AssetSyncCancelledError(str(error)) from error
            raise
    if job_id:
        _remember(job_id, config)
        farm_id, queue_id = (config_file.get_setting(f"defaults.{one}_id", config) for one in ("farm", "queue"))
        page = job_url(config, farm_id, queue_id, job_id)
        if page:
            print_function_callback(f"Job URL: {page}")
    return job_id


def _remember(job_id: str, config: ConfigParser | None) -> None:
    if config is None:
        config_file.set_setting("defaults.job_id", job_id)


@contextmanager
def _remembered(config: ConfigParser | None) -> Iterator[None]:
    """Remember a job too that was made and not waited for to the end, or that the farm could not create."""
    try:
        yield
    except DeadlineOperationError as error:
        # What goes wrong after the job was made names it; nothing before does.
        made = _JOB_ID.search(str(error))
        if made:
            _remember(made[0], config)
        raise


class _Progress:
    """A progress callback as the native module calls it."""

    def __init__(self, callback: _OnProgress) -> None:
        self.callback = callback
        self.canceled = False

    def report(self, progress: dict[str, Any]) -> bool:
        if self.callback is not None and not self.callback(ProgressReportMetadata.from_dict(progress)):
            # Without files there is nothing to cancel, and the native module does not look at the answer.
            self.canceled = progress["totalFiles"] > 0
        return not self.canceled


def wait_for_create_job_to_complete(
    farm_id: str, queue_id: str, job_id: str, deadline_client: Any, continue_callback: Callable[[], bool]
) -> tuple[bool, str]:
    """Look at a job until it is created, or is known not to be: whether it is, and what the service says of it.

    Raises ``CreateJobWaiterCanceled`` when ``continue_callback``, which is asked before each look, ends the wait, and
    ``DeadlineOperationTimedOut`` after five minutes.
    """
    ends, pause = time.monotonic() + _PATIENCE, _FIRST_LOOK
    time.sleep(_FIRST_LOOK)
    while time.monotonic() < ends:
        if not continue_callback():
            raise CreateJobWaiterCanceled
        job = deadline_client.get_job(farmId=farm_id, queueId=queue_id, jobId=job_id)
        status = job.get("lifecycleStatus") or job["state"]
        if status != "CREATE_IN_PROGRESS":
            return status != "CREATE_FAILED", job.get("lifecycleStatusMessage", "")
        time.sleep(pause)
        pause = min(pause * 2, _LONGEST_PAUSE)
    raise DeadlineOperationTimedOut(
        f"The job {job_id} was not created within {_PATIENCE:.0f} seconds. Look at it again later."
    )
