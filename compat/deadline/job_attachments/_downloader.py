"""Downloads that are prepared step by step: roots that are changed, patterns of files that are wanted."""

from __future__ import annotations

import os
import posixpath
import re
from abc import ABC
from copy import copy
from pathlib import Path
from typing import Any

from ._fetch import download_files_from_manifests
from ._job_files import (
    _filter_paths,
    get_job_input_paths_by_asset_root,
    get_job_output_paths_by_asset_root,
    manifest_of,
)
from ._store import OnProgress
from .asset_manifests import BaseManifestPath, HashAlgorithm
from .models import Attachments, FileConflictResolution, JobAttachmentS3Settings, ManifestPathGroup
from .progress_tracker import DownloadSummaryStatistics

__all__ = ["InputDownloader", "OutputDownloader"]


class _BaseFilterableDownloader(ABC):  # noqa: B024  # as published: for its two heirs
    """Files by root, whose roots can be changed and which can be filtered before they are downloaded."""

    def __init__(
        self,
        s3_settings: JobAttachmentS3Settings,
        initial_paths_by_root: dict[str, ManifestPathGroup],
        session: Any = None,
        include_filters: list[str] | None = None,
        manifest_label: str | None = None,
    ) -> None:
        self.s3_settings, self.session = s3_settings, session
        self._found = initial_paths_by_root
        self._label = manifest_label
        self._roots = {root: root for root in initial_paths_by_root}
        self._filters = [include_filters] if include_filters else []
        self._rebuild()

    def _rebuild(self) -> None:
        by_root: dict[str, dict[str, tuple[HashAlgorithm, BaseManifestPath]]] = {}
        for original, group in self._found.items():
            files = by_root.setdefault(self._roots[original], {})
            taken = set(files)
            mark = re.sub(r"[/\\:]", "_", original)
            for algorithm, entries in group.files_by_hash_alg.items():
                for entry in entries:
                    moved = copy(entry)
                    if entry.path in taken:
                        # Two roots meet in one folder: the second one's file bears the name of its root.
                        folder, name = posixpath.split(entry.path)
                        moved.path = posixpath.join(folder, f"{mark}_{name}")
                    files[moved.path] = (algorithm, moved)
        self.paths_by_root: dict[str, ManifestPathGroup] = {}
        for root, files in by_root.items():
            group = ManifestPathGroup()
            for algorithm, entry in files.values():
                group.add_manifest_to_group(manifest_of([entry], algorithm))
            self.paths_by_root[root] = group
        for filters in self._filters:
            self.paths_by_root = _filter_paths(self.paths_by_root, filters)

    def get_paths_by_root(self) -> dict[str, list[str]]:
        """Paths below each root, sorted."""
        return {root: group.get_all_paths() for root, group in self.paths_by_root.items()}

    def apply_include_filters(self, include_filters: list[str]) -> None:
        """Keep the files whose whole path fits one of the patterns. May be called again, and holds for new roots."""
        self._filters.append(include_filters)
        self._rebuild()

    def set_root_path(self, original_root: str, new_root: str) -> None:
        """Download what belongs to a root, by its name now, to another folder. Raises ``ValueError`` without it."""
        original = next((root for root, name in self._roots.items() if name == original_root), None)
        if original is None:
            label = f"{self._label} " if self._label else ""
            raise ValueError(
                f"The {label}files have no root {original_root!r}; there are {sorted(self.paths_by_root)}."
            )
        self._roots[original] = os.path.normpath(Path(new_root).absolute())
        self._rebuild()

    def download(
        self,
        file_conflict_resolution: FileConflictResolution | None = FileConflictResolution.CREATE_COPY,
        on_downloading_files: OnProgress = None,
    ) -> DownloadSummaryStatistics:
        """Download everything; as :func:`download_files_from_manifests`."""
        return download_files_from_manifests(
            self.s3_settings.s3BucketName,
            {
                root: manifest_of(
                    [entry for entries in group.files_by_hash_alg.values() for entry in entries], algorithm
                )
                for root, group in self.paths_by_root.items()
                for algorithm in [next(iter(group.files_by_hash_alg))]
            },
            self.s3_settings.full_cas_prefix(),
            session=self.session,
            on_downloading_files=on_downloading_files,
            conflict_resolution=file_conflict_resolution or FileConflictResolution.CREATE_COPY,
        )


class OutputDownloader(_BaseFilterableDownloader):
    """What a job, step, task or session action wrote."""

    def __init__(
        self,
        s3_settings: JobAttachmentS3Settings,
        farm_id: str,
        queue_id: str,
        job_id: str,
        step_id: str | None = None,
        task_id: str | None = None,
        session_action_id: str | None = None,
        session: Any = None,
        include_filters: list[str] | None = None,
    ) -> None:
        found = get_job_output_paths_by_asset_root(
            s3_settings, farm_id, queue_id, job_id, step_id, task_id, session_action_id, session
        )
        super().__init__(s3_settings, found, session, include_filters, "output")

    def get_output_paths_by_root(self) -> dict[str, list[str]]:
        """:meth:`get_paths_by_root`, by its older name."""
        return self.get_paths_by_root()

    def download_job_output(
        self,
        file_conflict_resolution: FileConflictResolution | None = FileConflictResolution.CREATE_COPY,
        on_downloading_files: OnProgress = None,
    ) -> DownloadSummaryStatistics:
        """:meth:`download`, by its older name."""
        return self.download(file_conflict_resolution, on_downloading_files)


class InputDownloader(_BaseFilterableDownloader):
    """What a job reads."""

    def __init__(
        self,
        s3_settings: JobAttachmentS3Settings,
        attachments: Attachments,
        session: Any = None,
        include_filters: list[str] | None = None,
    ) -> None:
        found = get_job_input_paths_by_asset_root(s3_settings, attachments, session)
        super().__init__(s3_settings, found, session, include_filters, "input")
