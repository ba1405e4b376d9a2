"""Who may use files that a worker downloads for another user of its machine."""

from __future__ import annotations

import os
import shutil
import sys
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Any, Callable, Union

from ._utils import _is_relative_to, _normalize_windows_path
from .exceptions import AssetSyncError, PathOutsideDirectoryError

__all__ = [
    "FileSystemPermissionSettings",
    "PosixFileSystemPermissionSettings",
    "WindowsFileSystemPermissionSettings",
    "WindowsPermissionEnum",
]


@dataclass
class PosixFileSystemPermissionSettings:
    """The group that files and folders get, and the bits that are added to their modes."""

    os_user: str
    os_group: str
    dir_mode: int
    file_mode: int


class WindowsPermissionEnum(Enum):
    """Rights that a user gets."""

    READ = "READ"
    WRITE = "WRITE"
    EXECUTE = "EXECUTE"
    READ_WRITE = "READ_WRITE"
    FULL_CONTROL = "FULL_CONTROL"


@dataclass
class WindowsFileSystemPermissionSettings:
    """The user who gets rights, and which: to folders, and to files."""

    os_user: str
    dir_mode: WindowsPermissionEnum
    file_mode: WindowsPermissionEnum


FileSystemPermissionSettings = Union[PosixFileSystemPermissionSettings, WindowsFileSystemPermissionSettings]


def _set_fs_group(file_paths: list[str], local_root: str, fs_permission_settings: FileSystemPermissionSettings) -> None:
    """Open files below a root, and all folders from the root to them, by the settings of this system.

    Raises ``TypeError`` for those of another system, ``PathOutsideDirectoryError`` for a file outside of the root.
    """
    if os.name == "posix":
        if not isinstance(fs_permission_settings, PosixFileSystemPermissionSettings):
            raise TypeError("Files on a POSIX system need PosixFileSystemPermissionSettings.")
        _set_fs_group_for_posix(file_paths, local_root, fs_permission_settings)
    else:
        if not isinstance(fs_permission_settings, WindowsFileSystemPermissionSettings):
            raise TypeError("Files on Windows need WindowsFileSystemPermissionSettings.")
        _set_fs_permission_for_windows(file_paths, local_root, fs_permission_settings)


def _set_fs_group_for_posix(
    file_paths: list[str], local_root: str, fs_permission_settings: PosixFileSystemPermissionSettings
) -> None:
    """Group and modes of files below a root, and of all folders from the root to them."""
    settings = fs_permission_settings
    _open(
        file_paths,
        local_root,
        lambda path: _change_permission_for_posix(path, settings.os_group, settings.file_mode),
        lambda path: _change_permission_for_posix(path, settings.os_group, settings.dir_mode),
    )


def _set_fs_permission_for_windows(
    file_paths: list[str], local_root: str, fs_permission_settings: WindowsFileSystemPermissionSettings
) -> None:
    """Rights to files below a root, and to all folders from the root to them."""
    settings = fs_permission_settings
    _open(
        file_paths,
        local_root,
        lambda path: _change_permission_for_windows(path, settings.os_user, settings.file_mode),
        lambda path: _change_permission_for_windows(path, settings.os_user, settings.dir_mode),
    )


def _open(
    file_paths: list[str],
    local_root: str,
    change_file: Callable[[str], None],
    change_folder: Callable[[str], None],
) -> None:
    root = _normalize_windows_path(local_root)
    folders: set[Path] = set()
    for path in file_paths:
        if not _is_relative_to(path, local_root):
            raise PathOutsideDirectoryError(f"The file {path} does not lie below {local_root}.")
        change_file(path)
        folders.update(root / folder for folder in _normalize_windows_path(path).relative_to(root).parents)
    for folder in folders:
        change_folder(str(folder))


def _change_permission_for_posix(path_str: str, os_group: str, mode: int) -> None:
    """Give a path to a group, and add bits to its mode."""
    if sys.platform == "win32":
        raise OSError("Groups and modes are those of POSIX systems; this one is Windows.")
    shutil.chown(path_str, group=os_group)
    path = Path(path_str)
    path.chmod(path.stat().st_mode | mode)


def _change_permission_for_windows(path: str, os_user: str, mode: WindowsPermissionEnum) -> None:
    """Add a user's rights to the access list of a path. Needs pywin32, as a worker on Windows has it."""
    if sys.platform != "win32":
        raise OSError("Access lists are those of Windows; this is another system.")
    import win32security as security

    try:
        user, _, _ = security.LookupAccountName(None, os_user)
        descriptor = security.GetFileSecurity(path, security.DACL_SECURITY_INFORMATION)
        entries = descriptor.GetSecurityDescriptorDacl() or security.ACL()
        entries.AddAccessAllowedAce(security.ACL_REVISION, _get_ntsecuritycon_mode(mode), user)
        descriptor.SetSecurityDescriptorDacl(1, entries, 0)
        security.SetFileSecurity(path, security.DACL_SECURITY_INFORMATION, descriptor)
    except security.error as error:
        raise AssetSyncError(f"The rights to {path} cannot be changed: {error}") from error


def _get_ntsecuritycon_mode(mode: WindowsPermissionEnum) -> int:
    """The bits of a right in an access list."""
    if sys.platform != "win32":
        raise OSError("Access lists are those of Windows; this is another system.")
    import ntsecuritycon as bits

    rights: dict[WindowsPermissionEnum, Any] = {
        WindowsPermissionEnum.READ: bits.FILE_GENERIC_READ,
        WindowsPermissionEnum.WRITE: bits.FILE_GENERIC_WRITE,
        WindowsPermissionEnum.EXECUTE: bits.FILE_GENERIC_EXECUTE,
        WindowsPermissionEnum.READ_WRITE: bits.FILE_GENERIC_READ | bits.FILE_GENERIC_WRITE,
        WindowsPermissionEnum.FULL_CONTROL: bits.FILE_ALL_ACCESS,
    }
    return int(rights[mode])
