"""What is told of hashing, uploads and downloads, during and after."""

from __future__ import annotations

import logging
import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from enum import Enum
from threading import RLock
from typing import Any, Callable

__all__ = [
    "DownloadSummaryStatistics",
    "ProgressReportMetadata",
    "ProgressStatus",
    "ProgressTracker",
    "SummaryStatistics",
]

# Seconds, files, seconds and percent between two reports and two lines of a log.
CALLBACK_INTERVAL, MAX_FILES_IN_CHUNK = 1, 50
LOG_INTERVAL, LOG_PERCENTAGE_THRESHOLD = 300, 10


class ProgressStatus(Enum):
    """What goes on, and the word for it in messages."""

    NONE = ("NONE", "")
    PREPARING_IN_PROGRESS = ("PREPARING_IN_PROGRESS", "Processed")
    UPLOAD_IN_PROGRESS = ("UPLOAD_IN_PROGRESS", "Uploaded")
    DOWNLOAD_IN_PROGRESS = ("DOWNLOAD_IN_PROGRESS", "Downloaded")
    SNAPSHOT_IN_PROGRESS = ("SNAPSHOT_IN_PROGRESS", "Snapshotted")

    def __init__(self, title: str, verb_in_message: str) -> None:
        self.title = title
        self.verb_in_message = verb_in_message


@dataclass
class ProgressReportMetadata:
    """One report: ``progress`` in percent, ``transferRate`` in bytes a second."""

    status: ProgressStatus = ProgressStatus.NONE
    progress: float = 0.0
    transferRate: float = 0.0
    progressMessage: str = ""
    processedFiles: int = 0

    @classmethod
    def from_dict(cls, progress: Mapping[str, Any]) -> ProgressReportMetadata:
        """From a report of the native module; members that this class does not have are left out."""
        known = {member.name: progress[member.name] for member in fields(cls) if member.name in progress}
        return cls(**{**known, "status": ProgressStatus[progress.get("status") or "NONE"]})

    @property
    def transfer_rate(self) -> float:
        """``transferRate``."""
        return self.transferRate

    @property
    def progress_message(self) -> str:
        """``progressMessage``."""
        return self.progressMessage

    @property
    def processed_files(self) -> int:
        """``processedFiles``."""
        return self.processedFiles


@dataclass
class SummaryStatistics:
    """What was done: seconds, files, bytes, bytes a second. Skipped is what had been done before."""

    total_time: float = 0.0
    total_files: int = 0
    total_bytes: int = 0
    processed_files: int = 0
    processed_bytes: int = 0
    skipped_files: int = 0
    skipped_bytes: int = 0
    transfer_rate: float = 0.0

    def aggregate(self, other: SummaryStatistics) -> SummaryStatistics:
        """Add another's figures to these."""
        if not isinstance(other, type(self)):
            raise TypeError(f"{type(other).__name__} cannot be added to {type(self).__name__}")
        for member in fields(SummaryStatistics):
            setattr(self, member.name, getattr(self, member.name) + getattr(other, member.name))
        self.transfer_rate = self.processed_bytes / self.total_time if self.total_time else 0.0
        return self

    def __str__(self) -> str:
        files = "file" if self.processed_files == 1 else "files"
        return (
            f"Processed {self.processed_files} {files} totaling {human_readable_file_size(self.processed_bytes)}.\n"
            f"Skipped re-processing {self.skipped_files} files totaling "
            f"{human_readable_file_size(self.skipped_bytes)}.\n"
            f"Total processing time of {round(self.total_time, 5)} seconds at "
            f"{human_readable_file_size(int(self.transfer_rate))}/s.\n"
        )


@dataclass
class DownloadSummaryStatistics(SummaryStatistics):
    """Of a download: also how many files came to each root, and which."""

    file_counts_by_root_directory: dict[str, int] = field(default_factory=dict)
    downloaded_files: list[str] = field(default_factory=list)

    def aggregate(self, other: SummaryStatistics) -> SummaryStatistics:
        """Add another's figures, roots and files to these."""
        super().aggregate(other)
        assert isinstance(other, DownloadSummaryStatistics)
        counts = Counter(self.file_counts_by_root_directory)
        counts.update(other.file_counts_by_root_directory)
        self.file_counts_by_root_directory = dict(counts)
        self.downloaded_files = sorted({*self.downloaded_files, *other.downloaded_files})
        return self

    def convert_to_summary_statistics(self) -> SummaryStatistics:
        """The figures alone."""
        own = {member.name for member in fields(SummaryStatistics)}
        return SummaryStatistics(**{name: value for name, value in asdict(self).items() if name in own})


def human_readable_file_size(size_in_bytes: int) -> str:
    """A size in steps of a thousand: ``1.5 KB``."""
    size: float = size_in_bytes
    for unit in ("B", "KB", "MB", "GB", "TB"):
        if round(size, 2) < 1000:
            return f"{round(size, 2)} {unit}"
        size /= 1000
    return f"{round(size, 2)} PB"


class ProgressTracker:
    """Counts what a transfer does, and tells it: to a callback, and to a log.

    The callback is asked at most every ``callback_interval`` seconds or ``max_files_in_chunk`` files, and at the end; a
    false answer stops the transfer (``continue_reporting`` is false from then on). The log gets a line every
    ``log_interval`` seconds or ``log_percentage_threshold`` percent. May be used by several threads.
    """

    def __init__(
        self,
        status: ProgressStatus,
        total_files: int,
        total_bytes: int,
        on_progress_callback: Callable[[ProgressReportMetadata], bool] | None = None,
        callback_interval: int = CALLBACK_INTERVAL,
        max_files_in_chunk: int = MAX_FILES_IN_CHUNK,
        logger: logging.Logger | logging.LoggerAdapter[Any] | None = None,
        log_interval: int = LOG_INTERVAL,
        log_percentage_threshold: int = LOG_PERCENTAGE_THRESHOLD,
    ) -> None:
        self.status = status
        self.on_progress_callback = on_progress_callback or (lambda _: True)
        self.continue_reporting = True
        self.reporting_interval, self.max_files_in_chunk = callback_interval, max_files_in_chunk
        self.logger = logger
        self.log_interval, self.log_percentage_threshold = log_interval, log_percentage_threshold
        self.processed_files = self.processed_bytes = self.skipped_files = self.skipped_bytes = 0
        self.completed_files_in_chunk = 0
        self.total_time = 0.0
        self.last_report_time: float | None = None
        self.last_report_processed_bytes = 0
        self.last_logged_time: float | None = None
        self.last_logged_completed_bytes = 0
        # A callback may ask the tracker for its figures.
        self._lock = RLock()
        self.set_total_files(total_files, total_bytes)

    def set_total_files(self, total_files: int, total_bytes: int) -> None:
        """How much there is to do."""
        self.total_files, self.total_bytes = total_files, total_bytes
        self.reporting_files_per_chunk = self.max_files_in_chunk if total_files >= self.max_files_in_chunk else 1

    def track_progress_callback(self, bytes_amount: int, current_file_done: bool | None = False) -> bool:
        """Bytes came through, and maybe the end of a file; whether to go on. What boto3 takes as a callback."""
        with self._lock:
            self._begin()
            self.processed_bytes += bytes_amount
            if current_file_done:
                self.processed_files += 1
                self.completed_files_in_chunk += 1
            self._log()
            return self._report()

    def increase_processed(self, num_files: int = 1, file_bytes: int = 0) -> None:
        """Files are done."""
        with self._lock:
            self._begin()
            self.processed_files += num_files
            self.processed_bytes += file_bytes
            self.completed_files_in_chunk += num_files

    def increase_skipped(self, num_files: int = 1, file_bytes: int = 0) -> None:
        """Files had been done before."""
        with self._lock:
            self.skipped_files += num_files
            self.skipped_bytes += file_bytes
            self.completed_files_in_chunk += num_files

    def report_progress(self) -> bool:
        """Tell the callback, when it is time to; whether to go on."""
        with self._lock:
            return self._report()

    def get_summary_statistics(self) -> SummaryStatistics:
        """What was done, in ``total_time`` seconds."""
        return SummaryStatistics(
            total_time=self.total_time,
            total_files=self.total_files,
            total_bytes=self.total_bytes,
            processed_files=self.processed_files,
            processed_bytes=self.processed_bytes,
            skipped_files=self.skipped_files,
            skipped_bytes=self.skipped_bytes,
            transfer_rate=self.processed_bytes / self.total_time if self.total_time else 0.0,
        )

    def get_download_summary_statistics(
        self, downloaded_files_paths_by_root: dict[str, list[str]]
    ) -> DownloadSummaryStatistics:
        """What was done, and which files came to each root."""
        by_root = downloaded_files_paths_by_root
        return DownloadSummaryStatistics(
            **asdict(self.get_summary_statistics()),
            file_counts_by_root_directory={root: len(paths) for root, paths in by_root.items()},
            downloaded_files=sorted(path for paths in by_root.values() for path in paths),
        )

    def _begin(self) -> None:
        # Rates count from the first byte, not from the making of the tracker.
        now = time.perf_counter()
        self.last_report_time = now if self.last_report_time is None else self.last_report_time
        self.last_logged_time = now if self.last_logged_time is None else self.last_logged_time

    def _is_due(self, last: float | None, interval: float) -> bool:
        at_end = self.processed_files + self.skipped_files == self.total_files
        return at_end or last is None or time.perf_counter() - last >= interval

    def _report(self) -> bool:
        full = self.completed_files_in_chunk >= self.reporting_files_per_chunk
        if self.continue_reporting and (full or self._is_due(self.last_report_time, self.reporting_interval)):
            self.continue_reporting = bool(self.on_progress_callback(self._get_progress_report_metadata()))
            self.last_report_time = time.perf_counter()
            self.last_report_processed_bytes = self.processed_bytes
            self.completed_files_in_chunk = 0
        return self.continue_reporting

    def _log(self) -> None:
        if self.logger is None:
            return
        completed = self.processed_bytes + self.skipped_bytes
        percent = 100 * (completed - self.last_logged_completed_bytes) / self.total_bytes if self.total_bytes else 0
        if percent >= self.log_percentage_threshold or self._is_due(self.last_logged_time, self.log_interval):
            self.logger.info(self._get_progress_report_metadata().progressMessage)
            self.last_logged_completed_bytes = completed
            self.last_logged_time = time.perf_counter()

    def _get_progress_report_metadata(self) -> ProgressReportMetadata:
        completed = self.processed_bytes + self.skipped_bytes
        seconds = time.perf_counter() - self.last_report_time if self.last_report_time else 0
        rate = (self.processed_bytes - self.last_report_processed_bytes) / seconds if seconds >= 0.01 else 0
        of = f"{self.total_files} file" + ("" if self.total_files == 1 else "s")
        speed = "Hashing speed" if self.status is ProgressStatus.PREPARING_IN_PROGRESS else "Transfer rate"
        return ProgressReportMetadata(
            status=self.status,
            progress=round(100 * completed / self.total_bytes if self.total_bytes else 0, 1),
            transferRate=rate,
            progressMessage=f"{self.status.verb_in_message} {human_readable_file_size(completed)} / "
            f"{human_readable_file_size(self.total_bytes)} of {of} "
            f"({speed}: {human_readable_file_size(int(rate))}/s)",
            processedFiles=self.processed_files,
        )
