"""Submits a bundle to the local farm and follows the job: what hosts call, without knowing the native module.

The functions block and may run on any thread; callbacks come on threads of the native module. The farm is started when
it does not run.
"""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Callable

from shotput import _native, local_farm
from shotput.errors import DeadlineOperationTimedOut

OnProgress = Callable[[str, float], bool]
"""Called with what is being done and how much of it, 0 to 100; ``False`` cancels."""

ENDED = frozenset({"SUCCEEDED", "FAILED", "CANCELED", "SUSPENDED", "NOT_COMPATIBLE"})


@dataclass(frozen=True)
class SubmittedJob:
    """A job on the local farm: its id, and the farm that has it."""

    job_id: str
    farm: local_farm.FarmState

    def read(self) -> dict[str, Any]:
        """The job as the farm answers GetJob now. Raises ``ServiceError``."""
        answer: dict[str, Any] = _native.get_job(
            self.farm.farm_id, self.farm.queue_id, self.job_id, target=self.farm.target()
        )
        return answer

    def cancel(self) -> None:
        """Ends running tasks; the rest never starts. Raises ``ServiceError``."""
        _native.update_job(
            self.farm.farm_id,
            self.farm.queue_id,
            self.job_id,
            target_task_run_status="CANCELED",
            target=self.farm.target(),
        )

    def wait(self, on_progress: OnProgress | None = None, *, timeout: float | None = None) -> dict[str, Any]:
        """Waits until the job ends, or ``on_progress`` says to stop, and returns its last state.

        Raises ``DeadlineOperationTimedOut`` after ``timeout`` seconds; the job goes on.
        """
        deadline = None if timeout is None else time.monotonic() + timeout
        while True:
            job = self.read()
            counts = job.get("taskRunStatusCounts", {})
            total = sum(counts.values())
            share = 100.0 * counts.get("SUCCEEDED", 0) / total if total else 0.0
            goes_on = on_progress is None or on_progress(f"Rendering: {job['taskRunStatus'].lower()}", share)
            if job["taskRunStatus"] in ENDED or job["lifecycleStatus"] == "CREATE_FAILED" or not goes_on:
                return job
            if deadline is not None and time.monotonic() >= deadline:
                raise DeadlineOperationTimedOut(
                    f"The job {self.job_id} did not end within {timeout:g} s; it is {job['taskRunStatus']} and goes on."
                )
            time.sleep(0.25)

    def bring_home(self, on_progress: OnProgress | None = None) -> dict[str, Any]:
        """Downloads what the job made to the folders that it names, over what is there. Raises ``AttachmentsError``."""
        params = {
            "farm_id": self.farm.farm_id,
            "queue_id": self.farm.queue_id,
            "job_id": self.job_id,
            "conflict_resolution": "OVERWRITE",
            "target": self.farm.target(),
        }
        answer: dict[str, Any] = _native.download_job_outputs(params, on_progress=_reporter("Download", on_progress))
        return answer


def submit_to_local_farm(
    bundle: str | os.PathLike[str],
    *,
    on_progress: OnProgress | None = None,
    launcher: Sequence[str] | None = None,
    require_paths_exist: bool = True,
    submitter_name: str = "shotput",
) -> SubmittedJob:
    """Hashes and sends the bundle's files and makes the job. The local farm is started by ``launcher`` when it is down.

    Raises ``FarmError``, ``BundleError``, ``MissingInputsError``, ``AttachmentsError``, ``ServiceError``, and
    ``DeadlineOperationCanceled`` when ``on_progress`` returned ``False``.
    """
    farm = local_farm.start(launcher=launcher)
    params = {
        "job_bundle_dir": os.fspath(bundle),
        "farm_id": farm.farm_id,
        "queue_id": farm.queue_id,
        "target": farm.target(),
        "require_paths_exist": require_paths_exist,
        # Files of the local farm never leave this machine, so there is nothing to confirm.
        "auto_accept": True,
        "known_asset_paths": ["/"],
        "submitter_name": submitter_name,
    }
    answer = _native.create_job_from_job_bundle(
        params,
        on_hashing_progress=_reporter("Hashing", on_progress),
        on_upload_progress=_reporter("Uploading", on_progress),
    )
    return SubmittedJob(answer["job_id"], farm)


def _reporter(doing: str, on_progress: OnProgress | None) -> Callable[[dict[str, Any]], bool]:
    def report(info: dict[str, Any]) -> bool:
        return on_progress is None or on_progress(doing, float(info.get("progress", 0.0)))

    return report
