"""Grouping, hashing and upload of a job's files, step by step. Each step is the native module's."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any, Callable

from shotput import _native

from ._aws.aws_clients import get_account_id, get_boto3_session, get_s3_client, get_s3_transfer_manager
from ._store import OnProgress, translated
from ._uploader import S3_MULTIPART_UPLOAD_CHUNK_SIZE, S3_UPLOAD_MAX_CONCURRENCY, S3AssetUploader, snapshot
from .asset_manifests import BaseAssetManifest, HashAlgorithm, ManifestVersion, hash_data, hash_file
from .asset_manifests.manifest_model import BaseManifestModel, ManifestModelRegistry
from .caches import HashCache, HashCacheEntry, S3CheckCache, S3CheckCacheEntry
from .exceptions import (
    AssetSyncCancelledError,
    AssetSyncError,
    JobAttachmentS3BotoCoreError,
    JobAttachmentsError,
    JobAttachmentsS3ClientError,
    MisconfiguredInputsError,
    MissingS3BucketError,
    MissingS3RootPrefixError,
)
from .models import (
    AssetRootGroup,
    AssetRootManifest,
    AssetUploadGroup,
    Attachments,
    FileStatus,
    FileSystemLocationType,
    JobAttachmentS3Settings,
    ManifestProperties,
    PathFormat,
    StorageProfile,
)
from .progress_tracker import ProgressStatus, ProgressTracker, SummaryStatistics

# Many are of other modules: programs take them from here, as the official module lets them.
__all__ = [
    "S3_MULTIPART_UPLOAD_CHUNK_SIZE",
    "S3_UPLOAD_MAX_CONCURRENCY",
    "AssetSyncError",
    "BaseManifestModel",
    "FileStatus",
    "FileSystemLocationType",
    "HashAlgorithm",
    "HashCache",
    "HashCacheEntry",
    "JobAttachmentS3BotoCoreError",
    "JobAttachmentsS3ClientError",
    "ManifestModelRegistry",
    "MisconfiguredInputsError",
    "S3AssetManager",
    "S3AssetUploader",
    "S3CheckCache",
    "S3CheckCacheEntry",
    "get_account_id",
    "get_boto3_session",
    "get_s3_client",
    "get_s3_transfer_manager",
    "hash_data",
    "hash_file",
]


class S3AssetManager:
    """Brings the files of a job to the object store of a queue.

    ``session`` is a ``boto3.Session`` with the queue's rights; it is needed to upload. Connections and thresholds are
    the native module's own: the last two arguments change nothing but what callers read back.
    """

    def __init__(
        self,
        farm_id: str | None = None,
        queue_id: str | None = None,
        job_attachment_settings: JobAttachmentS3Settings | None = None,
        asset_uploader: S3AssetUploader | None = None,
        session: Any = None,
        asset_manifest_version: ManifestVersion = ManifestVersion.v2023_03_03,
        s3_max_pool_connections: int = 50,
        small_file_threshold_multiplier: int = 20,
    ) -> None:
        if job_attachment_settings and not job_attachment_settings.s3BucketName:
            raise MissingS3BucketError(f"The job attachments of the queue {queue_id} name no bucket.")
        if job_attachment_settings and not job_attachment_settings.rootPrefix:
            raise MissingS3RootPrefixError(f"The job attachments of the queue {queue_id} name no root prefix.")
        self.farm_id = farm_id
        self.queue_id = queue_id
        self.job_attachment_settings = job_attachment_settings
        self.asset_uploader = asset_uploader or S3AssetUploader(
            session,
            s3_max_pool_connections=s3_max_pool_connections,
            small_file_threshold_multiplier=small_file_threshold_multiplier,
        )
        self.session = session
        self.manifest_version = asset_manifest_version

    def prepare_paths_for_upload(
        self,
        input_paths: list[str],
        output_paths: list[str],
        referenced_paths: list[str],
        storage_profile: StorageProfile | None = None,
        require_paths_exist: bool = False,
    ) -> AssetUploadGroup:
        """Sort paths under roots. Empty ones are left out, and so are those that workers see.

        Raises ``MisconfiguredInputsError`` for inputs that are folders and, when asked for, for missing ones.
        """
        locations = [place.to_dict() for place in storage_profile.fileSystemLocations] if storage_profile else []
        with translated():
            found = _native.group_paths(
                list(filter(None, input_paths)),
                list(filter(None, output_paths)),
                list(filter(None, referenced_paths)),
                locations=locations,
                require_paths_exist=require_paths_exist,
            )
        groups = [
            AssetRootGroup(
                group["location_name"],
                group["root"],
                *({Path(path) for path in group[member]} for member in ("inputs", "outputs", "references")),
            )
            for group in found["groups"]
        ]
        return AssetUploadGroup(groups, total_input_files=found["total_files"], total_input_bytes=found["total_bytes"])

    def hash_assets_and_create_manifest(
        self,
        asset_groups: list[AssetRootGroup],
        total_input_files: int,
        total_input_bytes: int,
        hash_cache_dir: str | None = None,
        on_preparing_to_submit: OnProgress = None,
    ) -> tuple[SummaryStatistics, list[AssetRootManifest]]:
        """Hash every input: statistics, and a manifest for each root. ``hash_cache_dir`` spares what did not change.

        Raises ``AssetSyncCancelledError`` when the callback gives a false value.
        """
        status = ProgressStatus.PREPARING_IN_PROGRESS
        tracker = ProgressTracker(status, total_input_files, total_input_bytes, on_preparing_to_submit)
        began = time.perf_counter()
        manifests = []
        for group in asset_groups:
            manifest = None
            if group.inputs:
                manifest = snapshot(Path(group.root_path), sorted(group.inputs), hash_cache_dir, tracker)
            manifests.append(
                AssetRootManifest(group.file_system_location_name, group.root_path, manifest, sorted(group.outputs))
            )
        return _summary(tracker, began), manifests

    def upload_assets(
        self,
        manifests: list[AssetRootManifest],
        on_uploading_assets: OnProgress = None,
        s3_check_cache_dir: str | None = None,
        manifest_write_dir: str | None = None,
        force_s3_check: bool | None = None,
    ) -> tuple[SummaryStatistics, Attachments]:
        """Upload manifests, and the files that the object store lacks: statistics, and the job's attachments.

        With ``manifest_write_dir`` a copy of each manifest is kept below it, in ``manifests``. Raises
        ``AssetSyncCancelledError`` when the callback gives a false value, ``AssetSyncError`` when the store fails.
        """

        def upload(manifest: BaseAssetManifest, root: Path, prefix: str, tracker: ProgressTracker) -> tuple[str, str]:
            return self.asset_uploader.upload_assets(
                self._settings(),
                manifest,
                root,
                prefix,
                progress_tracker=tracker,
                s3_check_cache_dir=s3_check_cache_dir,
                manifest_write_dir=manifest_write_dir,
                force_s3_check=force_s3_check,
            )

        return self._store(manifests, on_uploading_assets, ProgressStatus.UPLOAD_IN_PROGRESS, upload)

    def snapshot_assets(
        self,
        snapshot_dir: str,
        manifests: list[AssetRootManifest],
        on_snapshotting_assets: OnProgress = None,
    ) -> tuple[SummaryStatistics, Attachments]:
        """Put manifests and files into a folder that looks like the object store, for a later upload by hand."""

        def copy(manifest: BaseAssetManifest, root: Path, prefix: str, tracker: ProgressTracker) -> tuple[str, str]:
            return self.asset_uploader._snapshot_assets(
                Path(snapshot_dir), manifest, root, prefix, progress_tracker=tracker
            )

        return self._store(manifests, on_snapshotting_assets, ProgressStatus.SNAPSHOT_IN_PROGRESS, copy)

    def _settings(self) -> JobAttachmentS3Settings:
        if not self.farm_id or not self.queue_id or not self.job_attachment_settings:
            raise JobAttachmentsError(
                "This S3AssetManager has nowhere to store files. Make it with farm_id, queue_id and "
                "job_attachment_settings."
            )
        return self.job_attachment_settings

    def _store(
        self,
        manifests: list[AssetRootManifest],
        callback: OnProgress,
        status: ProgressStatus,
        store: Callable[[BaseAssetManifest, Path, str, ProgressTracker], tuple[str, str]],
    ) -> tuple[SummaryStatistics, Attachments]:
        """Hand every manifest to ``store``, and describe all of them as a job's attachments."""
        settings = self._settings()
        kept = [root.asset_manifest for root in manifests if root.asset_manifest]
        files = sum(len(manifest.paths) for manifest in kept)
        tracker = ProgressTracker(status, files, sum(manifest.totalSize for manifest in kept), callback)
        began = time.perf_counter()
        properties = []
        for root in manifests:
            path, digest = None, None
            if root.asset_manifest:
                prefix = settings.partial_manifest_prefix(str(self.farm_id), str(self.queue_id))
                path, digest = store(root.asset_manifest, Path(root.root_path), prefix, tracker)
            outputs = [str(output.relative_to(root.root_path)) for output in root.outputs]
            properties.append(
                ManifestProperties(
                    root.root_path,
                    PathFormat.get_host_path_format(),
                    root.file_system_location_name,
                    path,
                    digest,
                    outputs,
                )
            )
        return _summary(tracker, began), Attachments(properties)


def _summary(tracker: ProgressTracker, began: float) -> SummaryStatistics:
    """What it came to; where there was nothing to do, that is told once."""
    tracker.total_time = time.perf_counter() - began
    if not tracker.total_files and not tracker.report_progress():
        raise AssetSyncCancelledError("The callback ended the operation.", tracker.get_summary_statistics())
    return tracker.get_summary_statistics()
