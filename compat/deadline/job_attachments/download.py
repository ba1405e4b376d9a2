"""Downloads of a job's inputs and outputs, under their published names."""

from __future__ import annotations

from ._aws.aws_clients import get_s3_client, get_s3_transfer_manager
from ._downloader import InputDownloader, OutputDownloader
from ._fetch import (
    _ensure_paths_within_directory,
    download_file,
    download_files,
    download_files_from_manifests,
    download_files_in_directory,
)
from ._job_files import (
    _get_output_manifest_prefix,
    _get_tasks_manifests_keys_from_s3,
    filter_manifests,
    get_asset_root_and_manifest_from_s3,
    get_job_input_output_paths_by_asset_root,
    get_job_input_paths_by_asset_root,
    get_job_output_paths_by_asset_root,
    get_manifest_from_s3,
    get_output_manifests_by_asset_root,
    merge_asset_manifests,
)
from ._virtual import handle_existing_vfs, mount_vfs_from_manifests
from .asset_manifests import BaseAssetManifest, HashAlgorithm
from .asset_manifests.base_manifest import BaseManifestPath as RelativeFilePath
from .asset_manifests.decode import decode_manifest
from .exceptions import (
    AssetSyncCancelledError,
    AssetSyncError,
    JobAttachmentS3BotoCoreError,
    JobAttachmentsError,
    JobAttachmentsS3ClientError,
    MissingAssetRootError,
    PathOutsideDirectoryError,
)
from .models import Attachments, FileConflictResolution, JobAttachmentS3Settings, ManifestPathGroup
from .os_file_permission import PosixFileSystemPermissionSettings, WindowsFileSystemPermissionSettings, _set_fs_group
from .progress_tracker import DownloadSummaryStatistics, ProgressReportMetadata, ProgressStatus, ProgressTracker
from .vfs import VFSProcessManager

# Many are of other modules: programs take them from here, as the official module lets them.
__all__ = [
    "AssetSyncCancelledError",
    "AssetSyncError",
    "Attachments",
    "BaseAssetManifest",
    "DownloadSummaryStatistics",
    "FileConflictResolution",
    "HashAlgorithm",
    "InputDownloader",
    "JobAttachmentS3BotoCoreError",
    "JobAttachmentS3Settings",
    "JobAttachmentsError",
    "JobAttachmentsS3ClientError",
    "ManifestPathGroup",
    "MissingAssetRootError",
    "OutputDownloader",
    "PathOutsideDirectoryError",
    "PosixFileSystemPermissionSettings",
    "ProgressReportMetadata",
    "ProgressStatus",
    "ProgressTracker",
    "RelativeFilePath",
    "VFSProcessManager",
    "WindowsFileSystemPermissionSettings",
    "_ensure_paths_within_directory",
    "_get_output_manifest_prefix",
    "_get_tasks_manifests_keys_from_s3",
    "_set_fs_group",
    "decode_manifest",
    "download_file",
    "download_files",
    "download_files_from_manifests",
    "download_files_in_directory",
    "filter_manifests",
    "get_asset_root_and_manifest_from_s3",
    "get_job_input_output_paths_by_asset_root",
    "get_job_input_paths_by_asset_root",
    "get_job_output_paths_by_asset_root",
    "get_manifest_from_s3",
    "get_output_manifests_by_asset_root",
    "get_s3_client",
    "get_s3_transfer_manager",
    "handle_existing_vfs",
    "merge_asset_manifests",
    "mount_vfs_from_manifests",
]

S3_DOWNLOAD_MAX_CONCURRENCY = 10
