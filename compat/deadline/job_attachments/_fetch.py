"""Files of manifests come to local folders through the native module: whole, held to their hashes, or not at all."""

from __future__ import annotations

import os
import time
from collections import defaultdict
from logging import Logger, LoggerAdapter
from pathlib import Path
from threading import Lock
from typing import Any, Union

from shotput import _native
from shotput.errors import AttachmentsError

from . import _store
from ._aws.aws_clients import get_boto3_session
from ._job_files import get_job_input_output_paths_by_asset_root, manifest_of
from ._store import Feed, OnProgress, translated
from ._utils import _is_relative_to
from .asset_manifests import BaseAssetManifest, BaseManifestPath, HashAlgorithm
from .exceptions import PathOutsideDirectoryError
from .models import Attachments, FileConflictResolution, JobAttachmentS3Settings
from .os_file_permission import FileSystemPermissionSettings, _set_fs_group
from .progress_tracker import DownloadSummaryStatistics, ProgressStatus, ProgressTracker

__all__ = ["download_file", "download_files", "download_files_from_manifests", "download_files_in_directory"]

_Log = Union[Logger, "LoggerAdapter[Any]"]


def _download(
    manifests: list[tuple[str, BaseAssetManifest]],
    bucket: str,
    cas_prefix: str | None,
    session: Any,
    tracker: ProgressTracker,
    conflict: FileConflictResolution | None,
) -> list[list[str]]:
    """Bring manifests to their folders: for each, the files that lie there now, without those that were skipped."""
    if not isinstance(conflict, FileConflictResolution) or conflict is FileConflictResolution.NOT_SELECTED:
        raise ValueError(f"{conflict} does not say what to do with files that are there.")
    places = [(Path(root).absolute(), manifest) for root, manifest in manifests]
    for root, manifest in places:
        _ensure_paths_within_directory(str(root), [entry.path for entry in manifest.paths])
    kept: set[str] = set()
    if conflict is FileConflictResolution.SKIP:
        # Programs go on with what is new, and that is not what was there before.
        every = (os.path.normpath(root / entry.path) for root, manifest in places for entry in manifest.paths)
        kept = {path for path in every if os.path.lexists(path)}
    feed = Feed(tracker)
    session = session or get_boto3_session()
    with translated(tracker):
        wanted = [
            {"root_path": str(root), "manifest": manifest.encode().encode("utf-8")}
            for root, manifest in places
            if manifest.paths
        ]
        params = {
            "manifests": wanted,
            "bucket": bucket,
            # Nothing but objects is asked for, and they lie below their own prefix.
            "root_prefix": "",
            "data_prefix": _store.data_prefix(cas_prefix),
            "target": _store.target(session),
            "conflict_resolution": conflict.name,
        }
        done = _native.download_manifests(params, feed.report, credentials=_store.keys_of(session))
        for group in done["groups"].values():
            if group["error"]:
                raise AttachmentsError(group["error"])
    feed.finish(done["statistics"])
    found = []
    for root, _ in places:
        folder = f"{os.path.normpath(root)}{os.sep}"
        found.append([path for path in done["files"] if path.startswith(folder) and path not in kept])
    return found


def download_files_from_manifests(
    s3_bucket: str,
    manifests_by_root: dict[str, BaseAssetManifest],
    cas_prefix: str | None = None,
    fs_permission_settings: FileSystemPermissionSettings | None = None,
    session: Any = None,
    on_downloading_files: OnProgress = None,
    logger: _Log | None = None,
    conflict_resolution: FileConflictResolution = FileConflictResolution.CREATE_COPY,
) -> DownloadSummaryStatistics:
    """Bring the files of manifests to local folders, and open them by ``fs_permission_settings``.

    A file that is in place, by size and time, is not fetched again. ``cas_prefix`` is
    ``JobAttachmentS3Settings.full_cas_prefix()``. Raises ``AssetSyncCancelledError`` when the callback gives a false
    value, ``PathOutsideDirectoryError`` for a manifest that leads out of its folder, before anything is written,
    ``AssetSyncError`` when the store or the disk fails.
    """
    manifests = list(manifests_by_root.items())
    files = sum(len(manifest.paths) for _, manifest in manifests)
    size = sum(manifest.totalSize for _, manifest in manifests)
    tracker = ProgressTracker(ProgressStatus.DOWNLOAD_IN_PROGRESS, files, size, on_downloading_files, logger=logger)
    began = time.perf_counter()
    placed = _download(manifests, s3_bucket, cas_prefix, session, tracker, conflict_resolution)
    by_root = {root: paths for (root, _), paths in zip(manifests, placed)}
    if fs_permission_settings is not None:
        for root, paths in by_root.items():
            _set_fs_group(paths, str(Path(root).absolute()), fs_permission_settings)
    tracker.total_time = time.perf_counter() - began
    return tracker.get_download_summary_statistics(by_root)


def download_files(
    files: list[BaseManifestPath],
    hash_algorithm: HashAlgorithm,
    local_download_dir: str,
    s3_settings: JobAttachmentS3Settings,
    session: Any = None,
    progress_tracker: ProgressTracker | None = None,
    file_conflict_resolution: FileConflictResolution | None = FileConflictResolution.CREATE_COPY,
) -> list[str]:
    """Bring files to a local folder: the paths of those that lie there now."""
    manifest = manifest_of(files, hash_algorithm)
    tracker = progress_tracker or ProgressTracker(ProgressStatus.DOWNLOAD_IN_PROGRESS, len(files), manifest.totalSize)
    (placed,) = _download(
        [(local_download_dir, manifest)],
        s3_settings.s3BucketName,
        s3_settings.full_cas_prefix(),
        session,
        tracker,
        file_conflict_resolution,
    )
    return placed


def download_file(
    file: BaseManifestPath,
    hash_algorithm: HashAlgorithm,
    local_download_dir: str,
    collision_lock: Lock,
    collision_file_dict: defaultdict[str, int],
    s3_bucket: str,
    cas_prefix: str | None,
    s3_client: Any = None,
    session: Any = None,
    modified_time_override: float | None = None,
    progress_tracker: ProgressTracker | None = None,
    file_conflict_resolution: FileConflictResolution | None = FileConflictResolution.CREATE_COPY,
) -> tuple[int, Path | None]:
    """Bring one file to a local folder: its size, and its path or None when another one was kept.

    Its time is that of the manifest, which every manifest has: ``modified_time_override`` is for older ones, as in the
    official package. Names of copies are found by the disk, not by ``collision_file_dict``, and the native module has a
    client of its own.
    """
    del collision_file_dict, modified_time_override, s3_client
    tracker = ProgressTracker(ProgressStatus.DOWNLOAD_IN_PROGRESS, 1, file.size)
    manifest = manifest_of([file], hash_algorithm)
    with collision_lock:
        (placed,) = _download(
            [(local_download_dir, manifest)], s3_bucket, cas_prefix, session, tracker, file_conflict_resolution
        )
    if progress_tracker and tracker.processed_files:
        progress_tracker.track_progress_callback(file.size)
    return file.size, Path(placed[0]) if placed else None


def download_files_in_directory(
    s3_settings: JobAttachmentS3Settings,
    attachments: Attachments,
    farm_id: str,
    queue_id: str,
    job_id: str,
    directory_path: str,
    local_download_dir: str,
    session: Any = None,
    on_downloading_files: OnProgress = None,
) -> DownloadSummaryStatistics:
    """Bring what a job has in a folder, relative to any of its roots, to a local folder."""
    groups = get_job_input_output_paths_by_asset_root(
        s3_settings, attachments, farm_id, queue_id, job_id, session=session
    )
    # What was written comes after what was read, and wins.
    entries = {
        entry.path: entry
        for group in groups.values()
        for paths in group.files_by_hash_alg.values()
        for entry in paths
        if entry.path.startswith(f"{directory_path}/")
    }
    return download_files_from_manifests(
        s3_settings.s3BucketName,
        {local_download_dir: manifest_of(list(entries.values()), HashAlgorithm.XXH128)},
        s3_settings.full_cas_prefix(),
        session=session,
        on_downloading_files=on_downloading_files,
    )


def _ensure_paths_within_directory(root_path: str, paths_relative_to_root: list[str]) -> None:
    """Raise ``PathOutsideDirectoryError`` when a path leads out of a folder, by its letters or by links on disk."""
    root = Path(root_path)
    if not root.is_absolute():
        raise ValueError(f"The root {root_path} is no absolute path.")
    # Files of a folder lead where the folder leads: each folder is looked at once.
    folders = {}
    for path in paths_relative_to_root:
        folder, _, name = path.rpartition("/")
        folders[path if name in ("", ".", "..") else folder or "."] = path
    for folder, path in folders.items():
        if not _is_relative_to(root / folder, root):
            raise PathOutsideDirectoryError(f"The path {path} leads out of {root_path}.")
