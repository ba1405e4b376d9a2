"""Submits a bundle, follows the job and brings its outputs home: the one way that hosts and the command line share.

The functions block and may run on any thread; callbacks come on threads of the native module. A ``Connection`` says
which farm: ``connect_local`` starts the one of this machine when it does not run.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Callable

from shotput import _native, kept_files, local_farm
from shotput.errors import DeadlineOperationTimedOut

OnProgress = Callable[[str, float], bool]
"""Called with what is being done and how much of it, 0 to 100; ``False`` cancels."""

OnTransfer = Callable[[dict[str, Any]], bool]
"""Called with the native module's progress dictionary of one transfer; ``False`` cancels."""

ENDED = frozenset({"SUCCEEDED", "FAILED", "CANCELED", "SUSPENDED", "NOT_COMPATIBLE"})
_ENDED_TASKS = ("SUCCEEDED", "FAILED", "CANCELED", "NOT_COMPATIBLE")

# Seconds between two looks at a job: from the first to the most. A cloud service limits how often it is asked.
_FIRST_LOOK, _LOCAL_LOOK, _CLOUD_LOOK = 0.1, 0.5, 15.0


@dataclass(frozen=True)
class Connection:
    """A resolved farm and queue. ``name`` is ``local`` or ``cloud``; ``target`` is what the native functions take, and
    ``None`` where the client configuration decides."""

    name: str
    farm_id: str
    queue_id: str
    target: dict[str, Any] | None

    def __repr__(self) -> str:
        # Without the target, which holds a secret: this text ends up in logs.
        return f"Connection({self.name!r}, {self.farm_id!r}, {self.queue_id!r})"

    @property
    def queue(self) -> tuple[str, str]:
        """Farm id and queue id, the first arguments of the native calls."""
        return self.farm_id, self.queue_id


def connection_to(farm: local_farm.FarmState) -> Connection:
    """The connection to a local farm that runs."""
    return Connection("local", farm.farm_id, farm.queue_id, farm.target())


def connect_local(launcher: Sequence[str] | None = None) -> Connection:
    """The connection to this machine's farm, started (by ``launcher``) when it is down. Raises ``FarmError``."""
    return connection_to(local_farm.start(launcher=launcher))


def progress_of(entity: dict[str, Any]) -> tuple[int, int]:
    """Tasks that ended, and all tasks, of a job or a step as the wire has it."""
    counts = entity.get("taskRunStatusCounts", {})
    return sum(counts.get(name, 0) for name in _ENDED_TASKS), sum(counts.values())


@dataclass(frozen=True)
class SubmittedJob:
    """A job and the farm that has it."""

    job_id: str
    farm: Connection

    def read(self) -> dict[str, Any]:
        """The job as the farm answers GetJob now. Raises ``ServiceError``."""
        return _native.get_job(*self.farm.queue, self.job_id, target=self.farm.target)

    def cancel(self) -> None:
        """Ends running tasks; the rest never starts. Raises ``ServiceError``."""
        _native.update_job(*self.farm.queue, self.job_id, target_task_run_status="CANCELED", target=self.farm.target)

    def watch(self, timeout: float | None = None) -> Iterator[dict[str, Any]]:
        """The job as it is now and at each look after, until it has ended: the last one that comes says how.

        Raises ``DeadlineOperationTimedOut`` after ``timeout`` seconds (the job goes on), and ``ServiceError``.
        """
        deadline = None if timeout is None else time.monotonic() + timeout
        delay, longest = _FIRST_LOOK, _LOCAL_LOOK if self.farm.name == "local" else _CLOUD_LOOK
        while True:
            job = self.read()
            yield job
            # While a job is being created, or when it could not be, it has no status of tasks.
            status = job.get("taskRunStatus")
            if status in ENDED or job["lifecycleStatus"] in ("CREATE_FAILED", "ARCHIVED"):
                return
            if deadline is not None and time.monotonic() >= deadline:
                done, total = progress_of(job)
                raise DeadlineOperationTimedOut(
                    f"The job {self.job_id} did not end within {timeout:g} s; it is {status or job['lifecycleStatus']} "
                    f"({done} of {total} tasks) and goes on. Wait again, or cancel it."
                )
            time.sleep(delay)
            delay = min(delay * 1.5, longest)

    def wait(self, on_progress: OnProgress | None = None, *, timeout: float | None = None) -> dict[str, Any]:
        """Waits until the job ends, or ``on_progress`` says to stop, and returns its last state.

        Raises as ``watch`` does.
        """
        job: dict[str, Any] = {}
        for job in self.watch(timeout):
            done, total = progress_of(job)
            share = 100.0 * done / total if total else 0.0
            status = job.get("taskRunStatus") or job["lifecycleStatus"]
            if on_progress is not None and not on_progress(f"Rendering: {status.lower()}", share):
                break
        return job

    def download(
        self, on_transfer: OnTransfer | None = None, *, conflict: str = "OVERWRITE", **params: Any
    ) -> dict[str, Any]:
        """Downloads what the job made to the folders that it names: ``{"files": [paths], "statistics": {…}}``.

        ``conflict`` (SKIP, OVERWRITE or CREATE_COPY) is what happens to files that are there. ``params`` are others of
        the native call (``step_id``, ``task_id``, ``root_map``, ``path_mapping_rules``); ``None`` leaves one out.

        Raises ``AttachmentsError``, ``ServiceError``, and ``DeadlineOperationCanceled`` when ``on_transfer`` returned
        ``False``.
        """
        given = {
            "farm_id": self.farm.farm_id,
            "queue_id": self.farm.queue_id,
            "job_id": self.job_id,
            "conflict_resolution": conflict,
            "target": self.farm.target,
            **{key: value for key, value in params.items() if value is not None},
        }
        return _native.download_job_outputs(given, on_progress=on_transfer)

    def bring_home(self, on_progress: OnProgress | None = None) -> dict[str, Any]:
        """``download``, over what is there, with plain progress."""
        return self.download(_reporter("Download", on_progress))


def submit(
    bundle: str | os.PathLike[str],
    farm: Connection,
    *,
    on_hashing: OnTransfer | None = None,
    on_upload: OnTransfer | None = None,
    on_print: Callable[[str], None] | None = None,
    on_confirm: Callable[[str, bool], bool] | None = None,
    auto_accept: bool | None = None,
    known_asset_paths: Sequence[str | os.PathLike[str]] = (),
    require_paths_exist: bool = True,
    submitter_name: str = "shotput",
    keep_bundle: bool = True,
    **params: Any,
) -> SubmittedJob:
    """Hashes and sends the bundle's files and makes the job. ``params`` are others of the native call (``name``,
    ``priority``, ``job_parameters``); ``None`` leaves one out, and ``auto_accept`` to the configuration. About files
    outside of the bundle and ``known_asset_paths`` somebody is asked, unless the farm is local. Without
    ``keep_bundle`` the bundle's folder is removed once the job is made.

    Raises ``BundleError``, ``TemplateError``, ``MissingInputsError``, ``AttachmentsError``, ``ServiceError``, and
    ``DeadlineOperationCanceled`` when a callback returned ``False``.
    """
    local = farm.name == "local"
    given = {
        "job_bundle_dir": os.fspath(bundle),
        "farm_id": farm.farm_id,
        "queue_id": farm.queue_id,
        "target": farm.target,
        "require_paths_exist": require_paths_exist,
        # Files of the local farm never leave this machine, so there is nothing to confirm.
        "auto_accept": True if local else auto_accept,
        "known_asset_paths": ["/"] if local else [os.fspath(path) for path in known_asset_paths],
        "submitter_name": submitter_name,
        **{key: value for key, value in params.items() if value is not None},
    }
    answer = _native.create_job_from_job_bundle(
        given,
        on_print=on_print,
        on_hashing_progress=on_hashing,
        on_upload_progress=on_upload,
        on_confirm=on_confirm,
    )
    if not keep_bundle:
        kept_files.remove(Path(bundle))
    return SubmittedJob(answer["job_id"], farm)


def submit_to_local_farm(
    bundle: str | os.PathLike[str],
    *,
    on_progress: OnProgress | None = None,
    launcher: Sequence[str] | None = None,
    require_paths_exist: bool = True,
    submitter_name: str = "shotput",
    keep_bundle: bool = True,
) -> SubmittedJob:
    """``submit`` to this machine's farm, with plain progress. Raises ``FarmError`` too."""
    return submit(
        bundle,
        connect_local(launcher),
        on_hashing=_reporter("Hashing", on_progress),
        on_upload=_reporter("Uploading", on_progress),
        require_paths_exist=require_paths_exist,
        submitter_name=submitter_name,
        keep_bundle=keep_bundle,
    )


def _reporter(doing: str, on_progress: OnProgress | None) -> OnTransfer:
    def report(info: dict[str, Any]) -> bool:
        return on_progress is None or on_progress(doing, float(info.get("progress", 0.0)))

    return report
