"""What is told of hashing, uploads and downloads, during and after."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from enum import Enum
from typing import Any

__all__ = ["DownloadSummaryStatistics", "ProgressReportMetadata", "ProgressStatus", "SummaryStatistics"]


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
