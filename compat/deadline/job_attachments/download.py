"""Downloads of a job's inputs and outputs, under their published names."""

from __future__ import annotations

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
from .os_file_permission import _set_fs_group

__all__ = [
    "InputDownloader",
    "OutputDownloader",
    "_ensure_paths_within_directory",
    "_get_output_manifest_prefix",
    "_get_tasks_manifests_keys_from_s3",
    "_set_fs_group",
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
    "merge_asset_manifests",
]

S3_DOWNLOAD_MAX_CONCURRENCY = 10
