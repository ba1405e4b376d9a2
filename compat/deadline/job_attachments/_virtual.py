"""Mounts of manifests: what a virtual file system needs in the folder of a session."""

from __future__ import annotations

from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import Any, Callable

from ._fetch import _ensure_paths_within_directory
from ._job_files import merge_asset_manifests
from .asset_manifests import BaseAssetManifest
from .asset_manifests.decode import decode_manifest
from .os_file_permission import FileSystemPermissionSettings, PosixFileSystemPermissionSettings, _set_fs_group
from .vfs import (
    VFS_CACHE_REL_PATH_IN_SESSION,
    VFS_LOGS_FOLDER_IN_SESSION,
    VFS_MANIFEST_FOLDER_IN_SESSION,
    VFS_MANIFEST_FOLDER_PERMISSIONS,
    VFSProcessManager,
)

__all__ = ["handle_existing_vfs", "mount_vfs_from_manifests"]


def handle_existing_vfs(
    manifest: BaseAssetManifest, session_dir: Path, mount_point: str, os_user: str
) -> BaseAssetManifest:
    """Take away what is mounted at a folder: its manifest with the new one over it, which is to be mounted next."""
    if not VFSProcessManager.is_mount(mount_point):
        return manifest
    old = VFSProcessManager.get_manifest_path_for_mount(session_dir, mount_point)
    if old is None:
        return manifest
    merged = merge_asset_manifests([decode_manifest(old.read_text("utf-8")), manifest])
    VFSProcessManager.kill_process_at_mount(session_dir, mount_point, os_user)
    return merged or manifest


def mount_vfs_from_manifests(
    s3_bucket: str,
    manifests_by_root: dict[str, BaseAssetManifest],
    boto3_session: Any,
    session_dir: Path,
    os_env_vars: dict[str, str],
    fs_permission_settings: FileSystemPermissionSettings,
    cas_prefix: str | None = None,
    on_mount_complete: Callable[[bool], None] | None = None,
) -> None:
    """Mount manifests at their folders, for the user of ``fs_permission_settings``.

    Raises ``TypeError`` for settings of Windows, ``PathOutsideDirectoryError`` for a manifest that leads out of its
    folder, ``VFSFailedToMountError`` when a mount does not come.
    """
    if not isinstance(fs_permission_settings, PosixFileSystemPermissionSettings):
        raise TypeError("Mounts need PosixFileSystemPermissionSettings.")
    user, group = fs_permission_settings.os_user, fs_permission_settings.os_group
    base = Path(session_dir)
    cache = base / VFS_CACHE_REL_PATH_IN_SESSION
    _ensure_paths_within_directory(str(cache.absolute()), [cas_prefix] if cas_prefix else [])
    objects = cache / (cas_prefix or "")
    readable = PosixFileSystemPermissionSettings(
        user, group, VFS_MANIFEST_FOLDER_PERMISSIONS.dir_mode, VFS_MANIFEST_FOLDER_PERMISSIONS.file_mode
    )
    manifests, logs = base / VFS_MANIFEST_FOLDER_IN_SESSION, base / VFS_LOGS_FOLDER_IN_SESSION
    for folder, top, settings in (
        (objects, cache, fs_permission_settings),
        (manifests, manifests, readable),
        (logs, logs, fs_permission_settings),
    ):
        folder.mkdir(parents=True, exist_ok=True)
        _set_fs_group([str(folder)], str(top), settings)
    for mount_point, new in manifests_by_root.items():
        _ensure_paths_within_directory(mount_point, [entry.path for entry in new.paths])
        manifest = handle_existing_vfs(new, base, mount_point, user)
        with NamedTemporaryFile(
            "w", prefix="deadline-merged-manifest-", suffix=".json", dir=manifests, delete=False, encoding="utf-8"
        ) as file:
            file.write(manifest.encode())
        VFSProcessManager(
            s3_bucket,
            boto3_session.region_name,
            file.name,
            mount_point,
            user,
            os_env_vars,
            group,
            cas_prefix,
            str(cache),
            on_mount_complete,
        ).start(base)
