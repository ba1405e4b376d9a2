"""How far the outputs of a queue have come home: a checkpoint file, its lock, and the jobs that failed.

All three files are those of the official ``deadline queue sync-output``, so that either program goes on where the other
stopped, and neither runs while the other does.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

from shotput.errors import AttachmentsError
from shotput.local_farm import is_alive

DEFAULT_FOLDER = Path("~/.deadline/incremental_download")
WINDOW = timedelta(seconds=120)
"""How long the service may take until a search shows what has happened."""
_LARGEST_PROCESS_ID = 2**31 - 1
MAX_FAILURES = 5
"""A job that failed so often is not tried again by itself."""

_REQUIRED = (
    "localStorageProfileId",
    "downloadsStartedTimestamp",
    "downloadsCompletedTimestamp",
    "eventualConsistencyMaxSeconds",
    "jobs",
)


@dataclass
class TrackedJob:
    """What is known of a job: the job as ``SearchJobs`` has it, with ``attachments`` and ``storageProfileId``.

    ``{"jobId"}`` alone is a job that has ended and may be requeued; ``attachments`` of ``None`` one without files.
    """

    job: dict[str, Any]
    session_ended: datetime | None = None
    """The latest end of a session whose outputs are here."""
    session_indexes: dict[str, int] = field(default_factory=dict)
    """The last session action of each session whose outputs are here."""


@dataclass
class Checkpoint:
    """The state between two runs."""

    storage_profile_id: str | None
    started: datetime
    completed: datetime
    """Up to here, all outputs are here."""
    window: timedelta = WINDOW
    jobs: dict[str, TrackedJob] = field(default_factory=dict)

    @classmethod
    def begin(cls, storage_profile_id: str | None, lookback: timedelta) -> Checkpoint:
        """A first run, which also looks at what became ready in the time before."""
        started = datetime.now(timezone.utc) - lookback
        return cls(storage_profile_id, started, started)

    @classmethod
    def load(cls, path: Path) -> Checkpoint:
        """Read the file. Raises ``AttachmentsError`` when it is none of these."""
        try:
            document = json.loads(path.read_text("utf-8"))
            missing = [name for name in _REQUIRED if name not in document]
            if missing:
                raise ValueError(f"it has no {missing[0]!r}")
            jobs = [
                TrackedJob(
                    item["job"],
                    moment(item["sessionEndedTimestamp"]) if item.get("sessionEndedTimestamp") else None,
                    {str(key): int(value) for key, value in item.get("sessionCompletedIndexes", {}).items()},
                )
                for item in document["jobs"]
            ]
            return cls(
                document["localStorageProfileId"],
                moment(document["downloadsStartedTimestamp"]),
                moment(document["downloadsCompletedTimestamp"]),
                timedelta(seconds=int(document["eventualConsistencyMaxSeconds"])),
                {job.job["jobId"]: job for job in jobs},
            )
        except (OSError, ValueError, KeyError, TypeError, AttributeError, OverflowError) as error:
            why = str(error) if isinstance(error, (OSError, ValueError)) else "it has not the shape of a checkpoint"
            raise AttachmentsError(
                f"The checkpoint {path} cannot be read: {why}. Remove it or begin anew with --force-bootstrap; "
                "--bootstrap-lookback-minutes then says how far back."
            ) from error

    def save(self, path: Path) -> None:
        """Write the file whole or not at all. Raises ``AttachmentsError``."""
        jobs = []
        for tracked in self.jobs.values():
            item: dict[str, Any] = {"job": tracked.job}
            if tracked.session_ended is not None:
                item["sessionEndedTimestamp"] = tracked.session_ended.isoformat()
            if tracked.session_indexes:
                item["sessionCompletedIndexes"] = tracked.session_indexes
            jobs.append(item)
        document = {
            "localStorageProfileId": self.storage_profile_id,
            "downloadsStartedTimestamp": self.started.isoformat(),
            "eventualConsistencyMaxSeconds": int(self.window.total_seconds()),
            "jobs": jobs,
            "downloadsCompletedTimestamp": self.completed.isoformat(),
        }
        _replace(path, json.dumps(document, indent=2))


class FailedJobs:
    """How often the download of a job failed. Such jobs are tried again when no search finds them any more."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._counts: dict[str, int] = {}
        # A damaged list costs another try of each job.
        with suppress(OSError, ValueError):
            found = json.loads(path.read_text("utf-8"))
            if isinstance(found, dict):
                self._counts = {str(job_id): int(count) for job_id, count in found.items()}

    def to_retry(self) -> list[str]:
        """Jobs that are tried again."""
        return sorted(job_id for job_id, count in self._counts.items() if count < MAX_FAILURES)

    def is_abandoned(self, job_id: str) -> bool:
        """Whether a job failed too often."""
        return self._counts.get(job_id, 0) >= MAX_FAILURES

    def note(self, failed: set[str], succeeded: set[str]) -> None:
        """Count this run's failures, and forget jobs that came home or are gone."""
        for job_id in succeeded:
            self._counts.pop(job_id, None)
        for job_id in failed:
            self._counts[job_id] = self._counts.get(job_id, 0) + 1

    def forget(self) -> None:
        """Give every job its tries back."""
        self._counts.clear()

    def save(self) -> None:
        """Write the list. Raises ``AttachmentsError``."""
        _replace(self._path, json.dumps(self._counts))


def moment(text: str) -> datetime:
    """A time as the service and the checkpoint write it. Raises ``ValueError``, also when it is one of no zone."""
    time = datetime.fromisoformat(text.replace("Z", "+00:00"))
    if time.tzinfo is None:
        raise ValueError(f"the time {text!r} has no offset")
    return time


def with_python_times(item: Mapping[str, Any]) -> dict[str, Any]:
    """A job of the wire with its times as the checkpoint has them: the official client compares the texts."""
    return {
        key: moment(value).isoformat() if key.endswith("At") and isinstance(value, str) else value
        for key, value in item.items()
    }


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold the lock file of a checkpoint, which has the id of the process that holds it.

    Raises ``AttachmentsError`` while another process does, and when the file cannot be made.
    """
    try:
        _take(path)
    except OSError as error:
        raise _cannot_write(path, error) from error
    try:
        yield
    finally:
        if _holder(path) == os.getpid():
            path.unlink()


def _take(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    # Linked into place when it is whole: nobody ever reads half a number.
    draft = path.with_name(f"{path.name}{os.getpid()}~tmp")
    draft.write_text(str(os.getpid()), "utf-8")
    try:
        if not _claim(draft, path):
            holder = _holder(path)
            if holder is not None and is_alive(holder):
                raise AttachmentsError(
                    f"Outputs of this queue are being downloaded by another program, process {holder}, which holds "
                    f"{path}. Wait until it has ended."
                )
            with suppress(FileNotFoundError):
                path.unlink()
            if not _claim(draft, path):
                raise AttachmentsError(f"Another program took {path} just now. Try again in a moment.")
    finally:
        with suppress(FileNotFoundError):
            draft.unlink()


def _claim(draft: Path, path: Path) -> bool:
    try:
        if sys.platform == "win32":
            draft.rename(path)
        else:
            os.link(draft, path)
    except FileExistsError:
        return False
    return True


def _holder(path: Path) -> int | None:
    """The process that holds a lock; ``None`` where the file names none."""
    try:
        holder = int(path.read_text("utf-8"))
    except (OSError, ValueError):
        return None
    return holder if 0 < holder <= _LARGEST_PROCESS_ID else None


def _replace(path: Path, text: str) -> None:
    draft = path
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(
            "w", dir=path.parent, prefix=path.name, delete=False, encoding="utf-8"
        ) as file:
            draft = Path(file.name)
            file.write(text)
            file.flush()
            # Else a power cut may leave the name and no text.
            os.fsync(file.fileno())
        draft.replace(path)
    except OSError as error:
        if draft != path:
            draft.unlink(missing_ok=True)
        raise _cannot_write(path, error) from error


def _cannot_write(path: Path, error: OSError) -> AttachmentsError:
    return AttachmentsError(f"Cannot write {path}: {error.strerror}. Make room or choose another folder.")
