"""Starts, finds and stops the local farm of this user and machine.

Whoever needs the farm calls ``start``: it attaches to the farm that runs, or starts one that outlives the caller. This
module needs nothing but the standard library, so that every host can use it; it is also where the farm itself takes
its lock and its folder from.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, BinaryIO

from shotput._native import __version__
from shotput.errors import FarmError
from shotput.task_environment import inherited

STATE_FILE = "farm.json"
LOCK_FILE = "farm.lock"
STOP_FILE = "farm.stop"
REPLACE_FILE = "farm.replace"
OUTPUT_FILE = "farm.out"
KEYS_FILE = "keys.json"
LAUNCH_FILE = "run_farm.py"
USE_FILE = ".in-use"
"""Beside the launch file of an installed copy: a farm that runs from it holds its lock."""

IDLE_TIMEOUT = 3600.0
"""Seconds without work and without requests after which a farm that ``start`` started ends itself."""

ALREADY_RUNNING = 3
"""Exit code of a farm that found another one running in its folder."""

# A database, its journal and a log need more than this.
_LEAST_FREE = 1_000_000
_POLL = 0.05
# A farm looks every second whether it is to make way, and answers at once.
_MAKE_WAY_SECONDS = 5.0
_TAIL = 2000

# Farms that this process started: kept so that an ended one is reaped, and no child is left to the garbage collector.
_children: list[subprocess.Popen[bytes]] = []


@dataclass(frozen=True)
class FarmState:
    """A running farm: the content of its ``farm.json``.

    ``started_at`` is in epoch seconds, ``data_dir`` its folder; the rest are addresses, the farm's own key, and the ids
    of the farm, queue, fleet and storage profile that it comes with.
    """

    version: str
    pid: int
    started_at: float
    endpoint_url: str
    s3_endpoint_url: str
    sts_endpoint_url: str
    logs_endpoint_url: str
    region: str
    access_key_id: str
    secret_access_key: str
    farm_id: str
    queue_id: str
    fleet_id: str
    storage_profile_id: str
    bucket: str
    root_prefix: str
    data_dir: str

    def __repr__(self) -> str:
        # Without the secret: this text ends up in logs.
        return f"FarmState({self.endpoint_url}, pid={self.pid}, data_dir={self.data_dir!r})"

    def target(self) -> dict[str, Any]:
        """Return the resolved connection that the native functions take as ``target``."""
        return {
            "farm_id": self.farm_id,
            "queue_id": self.queue_id,
            "storage_profile_id": self.storage_profile_id,
            "region": self.region,
            "endpoint_url": self.endpoint_url,
            "s3_endpoint_url": self.s3_endpoint_url,
            "sts_endpoint_url": self.sts_endpoint_url,
            "logs_endpoint_url": self.logs_endpoint_url,
            "access_key_id": self.access_key_id,
            "secret_access_key": self.secret_access_key,
            "session_token": None,
            "profile": None,
        }


def data_dir() -> Path:
    """Return the folder of the farm of this user and machine; it need not exist.

    ``$SHOTPUT_DATA_DIR`` (default: the platform's folder for application data) holds one folder per host name, because
    home folders are shared between machines and a farm's lock and databases must not be.
    """
    host = re.sub(r"[^A-Za-z0-9.-]", "-", socket.gethostname()) or "localhost"
    return data_root() / f"farm-{host}"


def data_root() -> Path:
    """Return the folder that holds the data of all machines that share this user's home; it need not exist."""
    root = os.environ.get("SHOTPUT_DATA_DIR")
    if root:
        base = Path(root)
    elif sys.platform == "win32":
        base = Path(os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local") / "Shotput"
    elif sys.platform == "darwin":
        base = Path.home() / "Library" / "Application Support" / "Shotput"
    else:
        base = Path(os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share") / "shotput"
    return base.absolute()


def state(data_dir: str | os.PathLike[str] | None = None) -> FarmState | None:
    """Return the farm that runs in ``data_dir`` (default: ``data_dir()``), or None when none serves there."""
    _reap()
    folder = _folder(data_dir)
    if not is_locked(folder):
        return None
    found = _read_state(folder)
    # A farm that was killed leaves its file behind; the next one holds the lock before it has removed that file.
    return found if found is not None and is_alive(found.pid) else None


def start(
    python: str | None = None,
    *,
    timeout: float = 30.0,
    data_dir: str | os.PathLike[str] | None = None,
    port: int | None = None,
    idle_timeout: float | None = IDLE_TIMEOUT,
    worker: bool = True,
    launcher: Sequence[str] | None = None,
) -> FarmState:
    """Return the running farm, started when none runs.

    A farm of an older version that has nothing to do is replaced; one that has is used until its jobs are done.
    ``python`` is the interpreter to start it with (default: this one), ``launcher`` a whole command in its place (an
    installed copy's ``python -I …/run_farm.py``); ``port`` the API's port (default: the last one, or a free one),
    ``idle_timeout`` the seconds without work after which the farm ends itself (None: never), ``worker`` whether it
    renders. The farm is a process of its own that outlives this one; of this one's environment it takes what
    ``shotput.task_environment`` lists. Raises FarmError that says why it does not serve within ``timeout`` seconds and
    names its log.
    """
    folder = _folder(data_dir)
    deadline = time.monotonic() + timeout
    found = state(folder)
    if found is not None and not (_is_older(found.version) and _makes_way(folder, found)):
        return found
    command = [*(launcher or (python or sys.executable, "-I", "-m", "shotput_farm")), "--data-dir", str(folder)]
    if port is not None:
        command += ["--port", str(port)]
    if idle_timeout is not None:
        command += ["--idle-timeout", f"{idle_timeout:g}"]
    if not worker:
        command.append("--no-worker")
    output = folder / "logs" / OUTPUT_FILE
    process: subprocess.Popen[bytes] | None = None
    try:
        while time.monotonic() < deadline:
            if process is None:
                process = _spawn(command, folder, output)
            found = state(folder)
            if found is not None:
                _abandon(process, found)
                return found
            code = process.poll()
            if code == ALREADY_RUNNING:
                # Another starter was quicker, or the last farm is still stopping: wait for it, or for its end.
                if not is_locked(folder):
                    process = None
            elif code is not None:
                said = _tail(output) or _reason_of_silence(folder, code)
                raise FarmError(said, _log_of(folder))
            time.sleep(_POLL)
    except KeyboardInterrupt:
        # Nobody knows yet of a farm that was still starting.
        _terminate(process)
        raise
    _terminate(process)
    raise FarmError(
        f"The farm did not serve within {timeout:g} s; its log says how far it came. Try again with a longer time.",
        _log_of(folder),
    )


def stop(timeout: float = 30.0, *, data_dir: str | os.PathLike[str] | None = None) -> bool:
    """Stop the farm and wait until it has ended; False when none ran.

    Running tasks are interrupted and rescheduled at the next start. Raises FarmError when it still runs after
    ``timeout`` seconds.
    """
    folder = _folder(data_dir)
    found = state(folder)
    if found is None and not is_locked(folder):
        return False
    if found is not None:
        if sys.platform == "win32":
            # Windows has no signal that a detached process could act on: the farm looks for this file.
            (folder / STOP_FILE).touch()
        else:
            with contextlib.suppress(ProcessLookupError):
                os.kill(found.pid, signal.SIGTERM)
    deadline = time.monotonic() + timeout
    while is_locked(folder):
        current = state(folder)
        if found is not None and current is not None and current.pid != found.pid:
            break  # somebody started the next farm in the meantime
        if time.monotonic() >= deadline:
            pid = f" (process {found.pid})" if found is not None else ""
            raise FarmError(
                f"The farm{pid} did not stop within {timeout:g} s; its log says what it waits for. End the process if "
                "that does not help, nothing is lost by it.",
                _log_of(folder),
            )
        time.sleep(_POLL)
    # The lock is free a moment before the process is gone. Bounded, because a child that its parent does not collect
    # keeps its number although it has ended.
    gone_by = time.monotonic() + 2.0
    _reap()
    while found is not None and sys.platform != "win32" and is_alive(found.pid) and time.monotonic() < gone_by:
        time.sleep(0.01)
        _reap()
    return True


def environment(state: FarmState) -> dict[str, str]:
    """Return the environment variables that point AWS tools at the farm."""
    return {
        "AWS_ENDPOINT_URL_DEADLINE": state.endpoint_url,
        "AWS_ENDPOINT_URL_STS": state.sts_endpoint_url,
        "AWS_ENDPOINT_URL_S3": state.s3_endpoint_url,
        # botocore's name and the Rust SDK's for the same service.
        "AWS_ENDPOINT_URL_CLOUDWATCH_LOGS": state.logs_endpoint_url,
        "AWS_ENDPOINT_URL_CLOUDWATCHLOGS": state.logs_endpoint_url,
        "AWS_ACCESS_KEY_ID": state.access_key_id,
        "AWS_SECRET_ACCESS_KEY": state.secret_access_key,
        "AWS_DEFAULT_REGION": state.region,
        "AWS_REGION": state.region,
        # The protocol puts `management.` before the host, which most resolvers do not find for localhost.
        "AWS_DISABLE_HOST_PREFIX_INJECTION": "true",
    }


class FarmLock:
    """The lock that a running farm holds on its folder; the system frees it when the process ends, however it ends."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream

    @classmethod
    def acquire(cls, folder: Path, *, name: str = LOCK_FILE, patience: float = 1.0) -> FarmLock | None:
        """Return the lock, or None when a farm holds it. OSError when the folder cannot be written.

        ``name`` is the lock's file (the farm's worker and an installed copy have theirs). Tries for ``patience``
        seconds, because whoever asks for the state holds the lock for a moment, and a farm that is stopping for longer.
        """
        deadline = time.monotonic() + patience
        stream = (folder / name).open("ab+")
        while not _try_lock(stream, exclusive=True):
            if time.monotonic() >= deadline or (name == LOCK_FILE and state(folder) is not None):
                stream.close()
                return None
            time.sleep(0.02)
        return cls(stream)

    def release(self) -> None:
        """Free the lock."""
        self._stream.close()


def is_locked(folder: Path) -> bool:
    """Tell whether a farm holds the lock of ``folder``."""
    try:
        stream = (folder / LOCK_FILE).open("rb")
    except OSError:
        # Not there, or another user's: no farm of this user runs there.
        return False
    with stream:
        # Shared, so that several that ask at once do not take each other for a farm.
        return not _try_lock(stream, exclusive=False)


if sys.platform == "win32":
    import msvcrt

    def _try_lock(stream: BinaryIO, *, exclusive: bool) -> bool:
        stream.seek(0)
        try:
            msvcrt.locking(stream.fileno(), msvcrt.LK_NBLCK, 1)
        except OSError:
            return False
        return True

    def is_alive(pid: int) -> bool:
        """Whether a process of this id runs."""
        import ctypes

        may_wait, refused, still_runs = 0x0010_0000, 5, 0x102
        kernel = ctypes.WinDLL("kernel32", use_last_error=True)
        handle = kernel.OpenProcess(may_wait, False, pid)
        if not handle:
            return ctypes.get_last_error() == refused
        try:
            return bool(kernel.WaitForSingleObject(handle, 0) == still_runs)
        finally:
            kernel.CloseHandle(handle)

else:
    import fcntl

    def _try_lock(stream: BinaryIO, *, exclusive: bool) -> bool:
        try:
            fcntl.flock(stream.fileno(), (fcntl.LOCK_EX if exclusive else fcntl.LOCK_SH) | fcntl.LOCK_NB)
        except OSError as error:
            if error.errno in (errno.EAGAIN, errno.EACCES, errno.EWOULDBLOCK):
                return False
            raise
        return True

    def is_alive(pid: int) -> bool:
        """Whether a process of this id runs."""
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return False
        except PermissionError:
            return True
        return True


def _folder(given: str | os.PathLike[str] | None) -> Path:
    return data_dir() if given is None else Path(given).absolute()


def _read_state(folder: Path) -> FarmState | None:
    try:
        document = json.loads((folder / STATE_FILE).read_text(encoding="utf-8"))
        return FarmState(data_dir=str(folder), **{name: document[name] for name in _STATE_NAMES})
    except (OSError, ValueError, KeyError, TypeError):
        return None


_STATE_NAMES = [field.name for field in fields(FarmState) if field.name != "data_dir"]


def _is_older(version: str) -> bool:
    return _numbers(version) < _numbers(__version__)


def _numbers(version: str) -> list[int]:
    return [int(number) for number in re.findall(r"\d+", version)[:3]]


def _makes_way(folder: Path, farm: FarmState) -> bool:
    """Ask an older farm to end; False when it has jobs and goes on."""
    asked = folder / REPLACE_FILE
    with contextlib.suppress(OSError):
        asked.touch()
    deadline = time.monotonic() + _MAKE_WAY_SECONDS
    while asked.exists() and time.monotonic() < deadline:
        if state(folder) != farm:
            return True
        time.sleep(_POLL)
    return state(folder) != farm


def _reason_of_silence(folder: Path, code: int) -> str:
    if shutil.disk_usage(folder).free < _LEAST_FREE:
        # What it had to say found no room either.
        return f"The farm cannot be started: the disk that holds {folder} is full. Free space on it, then try again."
    return f"The farm ended at once with code {code} and did not say why. Start it again."


def _spawn(command: list[str], folder: Path, output: Path) -> subprocess.Popen[bytes]:
    try:
        # The mode is that of the last folder alone.
        for path in (folder, output.parent):
            path.mkdir(parents=True, exist_ok=True, mode=0o700)
        stream = output.open("wb")
    except OSError as error:
        raise FarmError(
            f"The farm cannot be started: its folder {folder} cannot be used ({error.strerror}). Make it writable, or "
            "name another one in SHOTPUT_DATA_DIR."
        ) from error
    detached: dict[str, Any]
    with contextlib.ExitStack() as opened:
        opened.enter_context(stream)
        if sys.platform == "win32":
            detached = {"creationflags": subprocess.DETACHED_PROCESS | subprocess.CREATE_NEW_PROCESS_GROUP}
        else:
            # The farm inherits the lock and holds it for as long as it runs, without knowing of it.
            used = _lock_of_copy(command, opened)
            detached = {"start_new_session": True, "pass_fds": [used.fileno()] if used else []}
        try:
            process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=stream,
                stderr=subprocess.STDOUT,
                cwd=folder,
                env=inherited(os.environ),
                **detached,
            )
        except OSError as error:
            raise FarmError(
                f"The farm cannot be started: {command[0]} cannot be run ({error.strerror}). Name another Python."
            ) from error
    _children.append(process)
    return process


def _lock_of_copy(command: Sequence[str], opened: contextlib.ExitStack) -> BinaryIO | None:
    """The lock of the installed copy that a command starts the farm from, held with others; None for no copy."""
    for word in command:
        script = Path(word)
        lock = script.with_name(USE_FILE) if script.name == LAUNCH_FILE else None
        if lock is not None and lock.is_file():
            stream = opened.enter_context(lock.open("rb"))
            _try_lock(stream, exclusive=False)
            return stream
    return None


def _terminate(process: subprocess.Popen[bytes] | None) -> None:
    if process is not None and process.poll() is None:
        process.terminate()


def _abandon(process: subprocess.Popen[bytes], farm: FarmState) -> None:
    """End a started process when another starter's farm came first, lest it takes over when that one stops."""
    # On Windows the process of a virtual environment is a parent of the one that serves, and must not end before it.
    if process.pid != farm.pid and sys.platform != "win32":
        process.terminate()
        process.wait()


def _reap() -> None:
    _children[:] = [child for child in _children if child.poll() is None]


def _log_of(folder: Path) -> str:
    """The log that says most of the farm of a folder, of those that were written; ``""`` when there is none."""
    logs = (folder / "logs" / name for name in ("farm.log", OUTPUT_FILE))
    return next((str(log) for log in logs if log.is_file()), "")


def _tail(path: Path) -> str:
    """The last lines of a file, whole ones, about ``_TAIL`` bytes of them."""
    try:
        content = path.read_bytes()
    except OSError:
        return ""
    # The line that the limit falls into belongs to them.
    start = content.rfind(b"\n", 0, max(len(content) - _TAIL, 0)) + 1
    return content[start:].decode("utf-8", "replace").strip()
