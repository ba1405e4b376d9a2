"""The virtual file system of AWS, where it is installed: it shows manifests as files, and fetches what is read."""

from __future__ import annotations

import logging
import os
import shlex
import shutil
import subprocess
import threading
import time
from pathlib import Path
from typing import Callable

from .exceptions import (
    VFSExecutableMissingError,
    VFSFailedToMountError,
    VFSLaunchScriptMissingError,
    VFSRunPathNotSetError,
)
from .os_file_permission import PosixFileSystemPermissionSettings

__all__ = ["VFSProcessManager"]

DEADLINE_VFS_ENV_VAR = "DEADLINE_VFS_PATH"
DEADLINE_VFS_CACHE_ENV_VAR = "DEADLINE_VFS_CACHE"
DEADLINE_VFS_EXECUTABLE = "deadline_vfs"
DEADLINE_VFS_INSTALL_PATH = "/opt/deadline_vfs"
DEADLINE_VFS_EXECUTABLE_SCRIPT = "/scripts/production/al2/run_deadline_vfs_al2.sh"
DEADLINE_VFS_PID_FILE_NAME = "vfs_pids.txt"
DEADLINE_MANIFEST_GROUP_READ_PERMS = 0o640
VFS_CACHE_REL_PATH_IN_SESSION = ".vfs_object_cache"
VFS_MANIFEST_FOLDER_IN_SESSION = ".vfs_manifests"
VFS_LOGS_FOLDER_IN_SESSION = ".vfs_logs"
VFS_MANIFEST_FOLDER_PERMISSIONS = PosixFileSystemPermissionSettings("", "", dir_mode=0o31, file_mode=0o64)

_LOG = logging.getLogger("deadline.job_attachments.vfs")
_MOUNT_SECONDS = 60


class VFSProcessManager:
    """One mount. ``vfs_pids.txt`` of the session has a line ``folder:process:manifest`` for each."""

    def __init__(
        self,
        asset_bucket: str,
        region: str,
        manifest_path: str,
        mount_point: str,
        os_user: str,
        os_env_vars: dict[str, str],
        os_group: str | None = None,
        cas_prefix: str | None = None,
        asset_cache_path: str | None = None,
        on_mount_complete: Callable[[bool], None] | None = None,
    ) -> None:
        self._bucket, self._region, self._manifest_path = asset_bucket, region, manifest_path
        self._mount_point, self._user, self._group = mount_point, os_user, os_group
        self._environment = os_env_vars
        self._cas_prefix, self._cache = cas_prefix, asset_cache_path
        self._on_mount_complete = on_mount_complete
        self._run_path: Path | None = None

    # --- what is installed --------------------------------------------------------------------------------------------

    @classmethod
    def find_vfs(cls) -> str:
        """The program: on ``PATH``, in ``$DEADLINE_VFS_PATH/bin``, where it is installed by default, or in ``bin``.

        Raises ``VFSExecutableMissingError`` without it.
        """
        folder = Path(os.environ.get(DEADLINE_VFS_ENV_VAR) or DEADLINE_VFS_INSTALL_PATH) / "bin"
        places = (shutil.which(DEADLINE_VFS_EXECUTABLE), folder / DEADLINE_VFS_EXECUTABLE)
        for place in (*places, Path("bin", DEADLINE_VFS_EXECUTABLE).absolute()):
            if place and Path(place).exists():
                return str(place)
        raise VFSExecutableMissingError(
            f"There is no {DEADLINE_VFS_EXECUTABLE} on PATH or in {folder}. Install it, or set {DEADLINE_VFS_ENV_VAR}."
        )

    @classmethod
    def find_vfs_launch_script(cls) -> str:
        """The script that starts it. Raises ``VFSLaunchScriptMissingError`` without it."""
        script = (os.environ.get(DEADLINE_VFS_ENV_VAR) or DEADLINE_VFS_INSTALL_PATH) + DEADLINE_VFS_EXECUTABLE_SCRIPT
        if not Path(script).exists():
            raise VFSLaunchScriptMissingError(
                f"There is no {script}. Install the virtual file system whole, or set {DEADLINE_VFS_ENV_VAR}."
            )
        return script

    @classmethod
    def _home(cls) -> Path:
        return Path(os.path.normpath(Path(cls.find_vfs()).parent / ".."))

    @classmethod
    def find_vfs_link_dir(cls) -> str:
        """Where the programs lie that it calls."""
        return str(cls._home() / "link")

    @classmethod
    def get_library_path(cls) -> str:
        """Where its libraries lie."""
        return str(cls._home() / "lib")

    @classmethod
    def get_cwd(cls) -> str:
        """Its home folder."""
        return str(cls._home())

    # --- mounts -------------------------------------------------------------------------------------------------------

    @classmethod
    def is_mount(cls, path: str | os.PathLike[str]) -> bool:
        """Whether something is mounted at a folder, by whomever."""
        # os.path.ismount may not look at mounts of another user.
        return subprocess.run(["findmnt", path], check=False, stdout=subprocess.DEVNULL).returncode == 0

    @classmethod
    def wait_for_mount(
        cls,
        mount_path: str | os.PathLike[str],
        session_dir: Path,
        mount_wait_seconds: int = _MOUNT_SECONDS,
        expected: bool = True,
    ) -> bool:
        """Wait until something is mounted at a folder, or nothing; whether that came. If not, the log is repeated."""
        ends = time.monotonic() + mount_wait_seconds
        while cls.is_mount(mount_path) != expected:
            if time.monotonic() >= ends:
                cls.print_log_end(session_dir)
                return False
            time.sleep(min(1.0, mount_wait_seconds))
        return True

    @classmethod
    def create_mount_point(cls, mount_point: str | os.PathLike[str]) -> None:
        """Make the folder of a mount, for everybody."""
        if not Path(mount_point).exists():
            Path(mount_point).mkdir(parents=True)
            Path(mount_point).chmod(0o777)

    @classmethod
    def get_shutdown_args(cls, mount_path: str, os_user: str) -> list[str] | None:
        """The command that takes a mount away; None without the program for it."""
        program = Path(cls.find_vfs_link_dir(), "fusermount3")
        if not program.exists():
            _LOG.warning("There is no %s, so %s stays mounted.", program, mount_path)
            return None
        return ["sudo", "-u", os_user, str(program), "-u", mount_path]

    @classmethod
    def shutdown_libfuse_mount(cls, mount_path: str, os_user: str, session_dir: Path) -> bool:
        """Take a mount away; whether it went."""
        command = cls.get_shutdown_args(mount_path, os_user)
        if command is None:
            return False
        done = subprocess.run(command, check=False)
        if done.returncode:
            _LOG.warning("%s ended with %d.", shlex.join(command), done.returncode)
        return cls.wait_for_mount(mount_path, session_dir, expected=False)

    @classmethod
    def _mounts(cls, session_dir: Path) -> dict[str, tuple[str, str]]:
        """Folder -> process and manifest, of a session."""
        try:
            lines = Path(session_dir, DEADLINE_VFS_PID_FILE_NAME).read_text("utf-8").splitlines()
        except FileNotFoundError:
            _LOG.warning("The session %s has no mounts.", session_dir)
            return {}
        return {folder: (pid, manifest) for folder, pid, manifest in (line.split(":") for line in lines if line)}

    @classmethod
    def _keep(cls, session_dir: Path, mounts: dict[str, tuple[str, str]]) -> None:
        text = "".join(f"{folder}:{pid}:{manifest}\n" for folder, (pid, manifest) in mounts.items())
        Path(session_dir, DEADLINE_VFS_PID_FILE_NAME).write_text(text, "utf-8")

    @classmethod
    def get_manifest_path_for_mount(cls, session_dir: Path, mount_point: str) -> Path | None:
        """The manifest that is mounted at a folder; None when it is not known."""
        _, manifest = cls._mounts(session_dir).get(mount_point, ("", ""))
        return Path(manifest) if manifest and Path(manifest).exists() else None

    @classmethod
    def kill_process_at_mount(cls, session_dir: Path, mount_point: str, os_user: str) -> bool:
        """Take away what a session mounted at a folder; False when it mounted nothing there."""
        mounts = cls._mounts(session_dir) if cls.is_mount(mount_point) else {}
        if mount_point not in mounts:
            return False
        cls.shutdown_libfuse_mount(mount_point, os_user, session_dir)
        del mounts[mount_point]
        cls._keep(session_dir, mounts)
        return True

    @classmethod
    def kill_all_processes(cls, session_dir: Path, os_user: str) -> None:
        """Take away all that a session mounted."""
        for mount_point in cls._mounts(session_dir):
            cls.shutdown_libfuse_mount(mount_point, os_user, session_dir)
        Path(session_dir, DEADLINE_VFS_PID_FILE_NAME).unlink(missing_ok=True)

    @classmethod
    def logs_folder_path(cls, session_dir: Path) -> Path:
        """Where the logs of a session's mounts lie."""
        return Path(session_dir) / VFS_LOGS_FOLDER_IN_SESSION

    @classmethod
    def print_log_end(
        cls, session_dir: Path, log_file_name: str = "vfs_log.txt", lines: int = 100, log_level: int = logging.WARNING
    ) -> None:
        """Repeat the last lines of a session's log."""
        path = cls.logs_folder_path(session_dir) / log_file_name
        if not path.exists():
            _LOG.warning("There is no log %s.", path)
            return
        for line in path.read_text("utf-8", "replace").splitlines()[-lines:]:
            _LOG.log(log_level, line)

    # --- one mount ----------------------------------------------------------------------------------------------------

    def get_mount_point(self) -> str:
        """Its folder."""
        return self._mount_point

    def get_file_path(self, relative_file_name: str) -> str:
        """A file of it."""
        return str(Path(self._mount_point, relative_file_name))

    def get_logs_folder(self) -> Path:
        """Where its log lies. Raises ``VFSRunPathNotSetError`` before the start."""
        if self._run_path is None:
            raise VFSRunPathNotSetError("The mount was not started, so it has no log yet.")
        return self.logs_folder_path(self._run_path)

    def build_launch_command(self, mount_point: str | os.PathLike[str]) -> str:
        """The command that mounts at a folder, for a shell."""
        command = ["sudo", "-E", "-u", self._user, self.find_vfs_launch_script(), str(mount_point), "-f"]
        command += ["--clienttype=deadline", f"--bucket={self._bucket}", f"--manifest={self._manifest_path}"]
        command += [f"--region={self._region}", "-oallow_other"]
        if self._cas_prefix is not None:
            command.append(f"--casprefix={self._cas_prefix}")
        if self._cache is not None:
            command.append(f"--cachedir={self._cache}")
        return shlex.join(command)

    def get_launch_environ(self) -> dict[str, str]:
        """The variables of the command: those of the session, and where the program has its parts."""
        found = {**self._environment, "LD_LIBRARY_PATH": self.get_library_path()}
        found["PATH"] = f"{self.find_vfs_link_dir()}{os.pathsep}{os.environ['PATH']}"
        if DEADLINE_VFS_CACHE_ENV_VAR in os.environ:
            found[DEADLINE_VFS_CACHE_ENV_VAR] = os.environ[DEADLINE_VFS_CACHE_ENV_VAR]
        return found

    def set_manifest_owner(self) -> None:
        """Let the group of the user read the manifest."""
        if self._group is not None:
            shutil.chown(self._manifest_path, group=self._group)
            Path(self._manifest_path).chmod(DEADLINE_MANIFEST_GROUP_READ_PERMS)

    def start(self, session_dir: Path) -> None:
        """Mount, and wait until files are there. Raises ``VFSFailedToMountError`` when that takes a minute."""
        self._run_path = Path(session_dir)
        self.set_manifest_owner()
        self.create_mount_point(self._mount_point)
        process = subprocess.Popen(
            shlex.split(self.build_launch_command(self._mount_point)),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            cwd=self._run_path,
            env=self.get_launch_environ(),
            text=True,
            errors="replace",
        )

        def repeat() -> None:
            assert process.stdout is not None
            with process.stdout as lines:
                for line in lines:
                    _LOG.info(line.rstrip())
            process.wait()

        threading.Thread(target=repeat, daemon=True).start()
        is_mounted = self.wait_for_mount(self._mount_point, self._run_path)
        if self._on_mount_complete is not None:
            self._on_mount_complete(is_mounted)
        if not is_mounted:
            raise VFSFailedToMountError(f"Nothing was mounted at {self._mount_point}. Look into the session's log.")
        others = self._mounts(self._run_path) if Path(self._run_path, DEADLINE_VFS_PID_FILE_NAME).exists() else {}
        self._keep(self._run_path, {**others, self._mount_point: (str(process.pid), self._manifest_path)})
