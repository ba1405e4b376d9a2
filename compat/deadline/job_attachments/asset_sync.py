"""A worker's way with files: a job's inputs into the folder of a session, what tasks wrote into the store."""

from __future__ import annotations

import os
import shutil
import sys
import time
from collections import defaultdict
from dataclasses import asdict
from logging import Logger, LoggerAdapter, getLogger
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Any, Callable

from ._aws.aws_clients import get_boto3_session
from ._aws.deadline import get_job, get_queue
from ._fetch import download_files_from_manifests
from ._job_files import get_manifest_from_s3, get_output_manifests_by_asset_root, merge_asset_manifests
from ._store import OnProgress
from ._uploader import S3AssetUploader, snapshot
from ._utils import _get_unique_dest_dir_name
from ._virtual import mount_vfs_from_manifests
from .asset_manifests import BaseAssetManifest, HashAlgorithm, ManifestVersion, hash_data, hash_file
from .asset_manifests.base_manifest import BaseManifestPath as RelativeFilePath
from .asset_manifests.manifest_model import BaseManifestModel, ManifestModelRegistry
from .exceptions import AssetSyncError, JobAttachmentsS3ClientError, VFSExecutableMissingError, VFSOSUserNotSetError
from .models import (
    Attachments,
    FileConflictResolution,
    JobAttachmentS3Settings,
    JobAttachmentsFileSystem,
    ManifestProperties,
    OutputFile,
    PathFormat,
    PathMappingRule,
)
from .os_file_permission import FileSystemPermissionSettings, PosixFileSystemPermissionSettings
from .progress_tracker import (
    ProgressReportMetadata,
    ProgressStatus,
    ProgressTracker,
    SummaryStatistics,
    human_readable_file_size,
)
from .vfs import VFSProcessManager

# Many are of other modules: programs take them from here, as the official module lets them.
__all__ = [
    "AssetSync",
    "BaseManifestModel",
    "JobAttachmentsS3ClientError",
    "ManifestModelRegistry",
    "OutputFile",
    "ProgressReportMetadata",
    "RelativeFilePath",
    "hash_file",
]

_LOG = getLogger("deadline.job_attachments")


class AssetSync:
    """Brings files of one session to and from the store; it remembers what it brought.

    ``boto3_session`` has the rights of the queue's role for workers. Connections and thresholds are the native
    module's own. Not for several threads.
    """

    def __init__(
        self,
        farm_id: str,
        boto3_session: Any = None,
        manifest_version: ManifestVersion = ManifestVersion.v2023_03_03,
        deadline_endpoint_url: str | None = None,
        session_id: str | None = None,
        s3_max_pool_connections: int = 50,
        small_file_threshold_multiplier: int = 20,
    ) -> None:
        self.farm_id = farm_id
        self.session = boto3_session or get_boto3_session()
        self.deadline_endpoint_url = deadline_endpoint_url
        self.manifest_version = manifest_version
        self.hash_alg = HashAlgorithm.XXH128
        self.logger: Logger | LoggerAdapter[Any] = (
            LoggerAdapter(_LOG, {"session_id": session_id}) if session_id else _LOG
        )
        self.s3_uploader = S3AssetUploader(
            boto3_session,
            s3_max_pool_connections=s3_max_pool_connections,
            small_file_threshold_multiplier=small_file_threshold_multiplier,
        )
        # Absolute path -> nanoseconds since 1970: a file that is younger was written by a task.
        self.synced_assets_mtime: dict[str, int] = {}
        self._local_root_to_src_map: dict[str, str] = {}

    # --- where roots lie ----------------------------------------------------------------------------------------------

    @staticmethod
    def generate_dynamic_path_mapping(session_dir: Path, attachments: Attachments) -> dict[str, PathMappingRule]:
        """A folder of the session for each root that belongs to no location of a storage profile."""
        return {
            root.rootPath: PathMappingRule(
                root.rootPathFormat.value,
                root.rootPath,
                str(Path(session_dir) / _get_unique_dest_dir_name(root.rootPath)),
            )
            for root in attachments.manifests
            if not root.fileSystemLocationName
        }

    @staticmethod
    def get_local_destination(
        manifest_properties: ManifestProperties,
        dynamic_mapping_rules: dict[str, PathMappingRule] = {},  # as published; it is only read
        storage_profiles_path_mapping_rules: dict[str, str] = {},
    ) -> str:
        """Where a root lies on this machine. A location's rule may be for a folder above the root.

        Raises ``AssetSyncError`` without a rule for it.
        """
        root = manifest_properties.rootPath
        if manifest_properties.fileSystemLocationName:
            if found := _mapped(root, manifest_properties.rootPathFormat, storage_profiles_path_mapping_rules):
                return found
        elif root in dynamic_mapping_rules:
            return dynamic_mapping_rules[root].destination_path
        raise AssetSyncError(f"No path mapping rule says where the root {root} of the job lies on this machine.")

    def _local_roots(
        self, attachments: Attachments, session_dir: Path, rules: dict[str, str]
    ) -> tuple[list[tuple[ManifestProperties, str]], dict[str, PathMappingRule]]:
        """Where every root lies, and the rules for those in the session's folder."""
        if not rules:
            # Without rules of storage profiles locations are folders of the session, too.
            roots = [ManifestProperties(root.rootPath, root.rootPathFormat) for root in attachments.manifests]
            dynamic = self.generate_dynamic_path_mapping(session_dir, Attachments(roots))
            return [(root, dynamic[root.rootPath].destination_path) for root in attachments.manifests], dynamic
        dynamic = self.generate_dynamic_path_mapping(session_dir, attachments)
        return [(root, self.get_local_destination(root, dynamic, rules)) for root in attachments.manifests], dynamic

    # --- inputs -------------------------------------------------------------------------------------------------------

    def sync_inputs(
        self,
        s3_settings: JobAttachmentS3Settings | None,
        attachments: Attachments | None,
        queue_id: str,
        job_id: str,
        session_dir: Path,
        fs_permission_settings: FileSystemPermissionSettings | None = None,
        storage_profiles_path_mapping_rules: dict[str, str] = {},
        step_dependencies: list[str] | None = None,
        on_downloading_files: OnProgress = None,
        os_env_vars: dict[str, str] | None = None,
        on_vfs_mount_complete: Callable[[bool], None] | None = None,
    ) -> tuple[SummaryStatistics, list[dict[str, str]]]:
        """Bring the job's inputs, and the outputs of steps, to this machine: statistics, and rules for their paths.

        With the file system ``VIRTUAL``, POSIX permissions and ``AWS_PROFILE`` in ``os_env_vars`` they are mounted,
        where a virtual file system is installed. Raises ``AssetSyncError`` for a disk without room and a root without
        a rule, ``AssetSyncCancelledError`` when the callback gives a false value.
        """
        if not s3_settings or not attachments:
            self.logger.info("The job %s has no attachments, or its queue %s keeps none.", job_id, queue_id)
            return SummaryStatistics(), []
        rules = storage_profiles_path_mapping_rules
        roots, dynamic = self._local_roots(attachments, session_dir, rules)
        merged = self._aggregate_asset_root_manifests(
            session_dir,
            s3_settings,
            queue_id,
            job_id,
            attachments,
            step_dependencies,
            dynamic,
            {**rules, **{root.rootPath: local for root, local in roots if root.fileSystemLocationName}},
        )
        statistics = SummaryStatistics()
        is_virtual = (
            attachments.fileSystem == JobAttachmentsFileSystem.VIRTUAL.value
            and sys.platform != "win32"
            and isinstance(fs_permission_settings, PosixFileSystemPermissionSettings)
            and "AWS_PROFILE" in (os_env_vars or {})
        )
        if not (
            is_virtual
            and self._launch_vfs(
                s3_settings, session_dir, fs_permission_settings, merged, os_env_vars, on_vfs_mount_complete
            )
        ):
            statistics = self.copied_download(
                s3_settings,
                session_dir,
                fs_permission_settings,
                merged,
                on_downloading_files,
                # A step's outputs take the place of the inputs that it changed.
                FileConflictResolution.OVERWRITE,
            )
        self._record_attachment_mtimes(merged)
        return statistics, [asdict(rule) for rule in dynamic.values()]

    # The same by its newer name.
    attachment_sync_inputs = sync_inputs

    def copied_download(
        self,
        s3_settings: JobAttachmentS3Settings,
        session_dir: Path,
        fs_permission_settings: FileSystemPermissionSettings | None = None,
        merged_manifests_by_root: dict[str, BaseAssetManifest] = {},
        on_downloading_files: OnProgress = None,
        conflict_resolution: FileConflictResolution = FileConflictResolution.CREATE_COPY,
    ) -> SummaryStatistics:
        """Bring the files of manifests to their folders."""
        total = sum(manifest.totalSize for manifest in merged_manifests_by_root.values())
        self._ensure_disk_capacity(Path(session_dir), total)
        return download_files_from_manifests(
            s3_settings.s3BucketName,
            merged_manifests_by_root,
            s3_settings.full_cas_prefix(),
            fs_permission_settings,
            self.session,
            on_downloading_files,
            self.logger,
            conflict_resolution,
        ).convert_to_summary_statistics()

    def _aggregate_asset_root_manifests(
        self,
        session_dir: Path,
        s3_settings: JobAttachmentS3Settings,
        queue_id: str,
        job_id: str,
        attachments: Attachments,
        step_dependencies: list[str] | None = None,
        dynamic_mapping_rules: dict[str, PathMappingRule] = {},
        storage_profiles_path_mapping_rules: dict[str, str] = {},
    ) -> dict[str, BaseAssetManifest]:
        """One manifest for each local folder: the inputs of its root, and what steps wrote over them."""
        layers: defaultdict[str, list[BaseAssetManifest]] = defaultdict(list)
        local_roots: dict[str, str] = {}
        for root in attachments.manifests:
            local = self.get_local_destination(root, dynamic_mapping_rules, storage_profiles_path_mapping_rules)
            local_roots[root.rootPath] = local
            self._local_root_to_src_map[local] = root.rootPath
            if root.inputManifestPath:
                key = s3_settings.add_root_and_manifest_folder_prefix(root.inputManifestPath)
                layers[local].append(get_manifest_from_s3(key, s3_settings.s3BucketName, self.session))
        for step_id in step_dependencies or []:
            outputs = get_output_manifests_by_asset_root(
                s3_settings, self.farm_id, queue_id, job_id, step_id, session=self.session
            )
            for source, manifests in outputs.items():
                # Called for steps alone, there are no roots: a location's rule still says where its files lie.
                local = (
                    local_roots.get(source)
                    or _mapped(source, None, storage_profiles_path_mapping_rules)
                    or str(Path(session_dir) / _get_unique_dest_dir_name(source))
                )
                self._local_root_to_src_map[local] = source
                layers[local].extend(manifests)
        merged = {local: merge_asset_manifests(manifests) for local, manifests in layers.items()}
        return {local: manifest for local, manifest in merged.items() if manifest is not None}

    def _check_and_write_local_manifests(
        self,
        merged_manifests_by_root: dict[str, BaseAssetManifest],
        manifest_write_dir: str,
        manifest_name_suffix: str = "manifest",
    ) -> dict[str, str]:
        """Write manifests below a folder that has room for their files: the path of each, by local folder."""
        total = sum(manifest.totalSize for manifest in merged_manifests_by_root.values())
        self._ensure_disk_capacity(Path(manifest_write_dir), total)
        written = {}
        for local, manifest in merged_manifests_by_root.items():
            _, name = S3AssetUploader._get_hashed_file_name_from_root_str(
                manifest, self._local_root_to_src_map[local], manifest_name_suffix
            )
            written[local] = S3AssetUploader._write_local_input_manifest(manifest_write_dir, name, manifest).as_posix()
        return written

    def _launch_vfs(
        self,
        s3_settings: JobAttachmentS3Settings,
        session_dir: Path,
        fs_permission_settings: FileSystemPermissionSettings | None = None,
        merged_manifests_by_root: dict[str, BaseAssetManifest] = {},
        os_env_vars: dict[str, str] | None = None,
        on_mount_complete: Callable[[bool], None] | None = None,
    ) -> bool:
        """Mount manifests at their folders; False when there is no virtual file system on this machine."""
        try:
            VFSProcessManager.find_vfs()
        except VFSExecutableMissingError:
            self.logger.error("There is no virtual file system here; files are copied.")
            return False
        assert fs_permission_settings is not None
        mount_vfs_from_manifests(
            s3_settings.s3BucketName,
            merged_manifests_by_root,
            self.session,
            session_dir,
            os_env_vars or {},
            fs_permission_settings,
            s3_settings.full_cas_prefix(),
            on_mount_complete,
        )
        return True

    def _record_attachment_mtimes(self, merged_manifests_by_root: dict[str, BaseAssetManifest]) -> None:
        """Remember how files are now."""
        for local, manifest in merged_manifests_by_root.items():
            for entry in manifest.paths:
                path = Path(local, entry.path)
                self.synced_assets_mtime[str(path)] = path.stat().st_mtime_ns

    def _ensure_disk_capacity(self, session_dir: Path, total_input_bytes: int) -> None:
        free = shutil.disk_usage(session_dir).free
        if total_input_bytes > free:
            raise AssetSyncError(
                f"The files need {human_readable_file_size(total_input_bytes)} and the disk of {session_dir} has "
                f"{human_readable_file_size(free)}. Free some and try again."
            )

    # --- outputs ------------------------------------------------------------------------------------------------------

    def sync_outputs(
        self,
        s3_settings: JobAttachmentS3Settings | None,
        attachments: Attachments | None,
        queue_id: str,
        job_id: str,
        step_id: str,
        task_id: str,
        session_action_id: str,
        start_time: float,
        session_dir: Path,
        storage_profiles_path_mapping_rules: dict[str, str] = {},
        on_uploading_files: OnProgress = None,
    ) -> SummaryStatistics:
        """Store what is new or changed in the job's output folders since the last call.

        ``start_time`` is when the action began, in seconds since 1970. A link that leads out of the session, or of the
        root's folder, is left out. Raises as :meth:`sync_inputs`.
        """
        if not s3_settings or not attachments:
            self.logger.info("The job %s has no attachments, or its queue %s keeps none.", job_id, queue_id)
            return SummaryStatistics()
        roots, dynamic = self._local_roots(attachments, session_dir, storage_profiles_path_mapping_rules)
        began = time.perf_counter()
        found: list[tuple[ManifestProperties, Path, BaseAssetManifest]] = []
        for root, local in roots:
            fence = Path(session_dir if root.rootPath in dynamic else local)
            files = [
                path
                for folder in root.outputRelativeDirectories or []
                for path in self._changed(Path(local), folder, root.rootPathFormat, fence)
            ]
            if files:
                counted = ProgressTracker(ProgressStatus.PREPARING_IN_PROGRESS, len(files), 0)
                manifest = snapshot(Path(local), sorted(set(files)), None, counted)
                assert manifest is not None
                found.append((root, Path(local), manifest))
        tracker = ProgressTracker(
            ProgressStatus.UPLOAD_IN_PROGRESS,
            sum(len(manifest.paths) for _, _, manifest in found),
            sum(manifest.totalSize for _, _, manifest in found),
            on_uploading_files,
            logger=self.logger,
        )
        prefix = s3_settings.partial_session_action_manifest_prefix(
            self.farm_id, queue_id, job_id, step_id, task_id, session_action_id, start_time
        )
        for root, place, manifest in found:
            named = f"{root.fileSystemLocationName or ''}{root.rootPath}".encode()
            self.s3_uploader.upload_assets(
                s3_settings,
                manifest,
                Path(root.rootPath),
                prefix,
                progress_tracker=tracker,
                manifest_metadata=root.as_output_metadata(),
                manifest_file_name=f"{hash_data(named, self.hash_alg)}_output",
                asset_root=place,
            )
            for entry in manifest.paths:
                # The time that was stored: a file that was written meanwhile is younger, and goes with the next call.
                path = place / entry.path
                self.synced_assets_mtime[str(path)] = max(
                    entry.mtime * 1000 + 999, self.synced_assets_mtime.get(str(path), 0)
                )
        tracker.total_time = time.perf_counter() - began
        return tracker.get_summary_statistics()

    def _changed(self, local_root: Path, output_directory: str, path_format: PathFormat, fence: Path) -> list[Path]:
        """Files of an output folder that are new or younger than when they were brought."""
        kind = PureWindowsPath if path_format is PathFormat.WINDOWS else PurePosixPath
        folder = local_root.joinpath(*kind(output_directory).parts)
        inside = fence.resolve()
        files = []
        for place, _, names in os.walk(folder):
            for name in names:
                path = Path(place, name)
                real = path.resolve()
                if inside not in real.parents:
                    self.logger.info("The file %s leads to %s, out of %s; it is left out.", path, real, fence)
                elif real.is_file() and real.stat().st_mtime_ns > self.synced_assets_mtime.get(str(path), -1):
                    files.append(path)
        self.logger.info("%d files in %s are new or changed.", len(files), folder)
        return files

    # --- what the service says ----------------------------------------------------------------------------------------

    def get_s3_settings(self, farm_id: str, queue_id: str) -> JobAttachmentS3Settings | None:
        """Where a queue keeps files; None where it keeps none."""
        return get_queue(farm_id, queue_id, self.session, self.deadline_endpoint_url).jobAttachmentSettings

    def get_attachments(self, farm_id: str, queue_id: str, job_id: str) -> Attachments | None:
        """The attachments of a job; None when it has none."""
        return get_job(farm_id, queue_id, job_id, self.session, self.deadline_endpoint_url).attachments

    def cleanup_session(
        self, session_dir: Path, file_system: JobAttachmentsFileSystem, os_user: str | None = None
    ) -> None:
        """Take mounts of a session away. ``os_user`` is who made them."""
        if file_system == JobAttachmentsFileSystem.COPIED.value:
            return
        if not os_user:
            raise VFSOSUserNotSetError(f"The mounts of the session {session_dir} cannot be taken away without a user.")
        try:
            VFSProcessManager.find_vfs()
        except VFSExecutableMissingError:
            self.logger.error("There is no virtual file system here, and nothing to take away.")
            return
        VFSProcessManager.kill_all_processes(Path(session_dir), os_user)


def _mapped(path: str, path_format: PathFormat | None, rules: dict[str, str]) -> str | None:
    """Where a path of the submitting machine lies by the longest rule for it or for a folder above it."""
    is_windows = path_format is PathFormat.WINDOWS or (path_format is None and path[1:2] == ":")
    kind: type[PurePosixPath | PureWindowsPath] = PureWindowsPath if is_windows else PurePosixPath
    wanted = kind(path)
    for source in sorted(rules, key=len, reverse=True):
        if wanted == kind(source) or kind(source) in wanted.parents:
            return str(Path(rules[source]).joinpath(*wanted.relative_to(kind(source)).parts))
    return None
