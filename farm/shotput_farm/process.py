"""The farm as a process: its folder, lock and ports, the parts it is made of, and how it starts and ends.

What it serves is ``app``, what it decides is ``farm``; this module only puts them together, in an order in which a
failure leaves nothing half-started, and says in one sentence why it does not start.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import json
import logging
import os
import signal
import socket
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import uvicorn
from shotput import ObjectStore, local_farm
from shotput.errors import ObjectStoreError

from shotput_farm import __version__
from shotput_farm.app import Application
from shotput_farm.credentials import CredentialStore, write_private
from shotput_farm.farm import BUCKET, Farm
from shotput_farm.logfile import log_to
from shotput_farm.store import faults
from shotput_farm.supervisor import Supervisor

REGION = "us-west-2"

STOPPED = 0
FAILED = 1
PORT_IN_USE = 4
FOLDER_UNUSABLE = 5

_LOGGER = logging.getLogger("shotput_farm.process")
_HOST = "127.0.0.1"
_PORTS_FILE = "ports.json"
_WATCH_SECONDS = 1.0


@dataclass(frozen=True)
class Settings:
    """How to run a farm. ``port`` None means the last one, or a free one; ``idle_timeout`` 0 means never.

    ``worker_command`` starts the worker (None: no worker).
    """

    data_dir: Path
    port: int | None = None
    idle_timeout: float = 0.0
    worker_command: tuple[str, ...] | None = None


class StartError(Exception):
    """The farm cannot start. The text says why and what to do next; ``code`` is the exit code."""

    def __init__(self, message: str, code: int = FAILED) -> None:
        super().__init__(message)
        self.code = code


def run(settings: Settings) -> int:
    """Serve a farm until it is told to stop or has been idle for long enough; return the exit code.

    Raises ``StartError`` when it cannot start; then nothing is left running.
    """
    folder = settings.data_dir
    with contextlib.ExitStack() as cleanup:
        _prepare(folder)
        lock = _lock(folder)
        cleanup.callback(lock.release)
        # What a killed farm left behind would otherwise be taken for this one.
        for name in (local_farm.STATE_FILE, local_farm.STOP_FILE, local_farm.REPLACE_FILE):
            (folder / name).unlink(missing_ok=True)
        cleanup.enter_context(_logging(folder / "logs" / "farm.log"))
        ports = _Ports(folder / _PORTS_FILE)
        sock = _bind(settings.port, ports)
        cleanup.callback(sock.close)
        try:
            credentials = CredentialStore(folder / local_farm.KEYS_FILE, bucket=BUCKET)
        except ValueError as error:
            raise StartError(str(error)) from error
        farm = Farm.open(folder)
        cleanup.callback(farm.close)
        farm.credentials = credentials
        objects = _start_objects(folder / "objects", ports)
        cleanup.callback(objects.close)
        credentials.attach(objects)
        ports.write({"api": sock.getsockname()[1], "objects": int(objects.endpoint.rsplit(":", 1)[1])})
        _LOGGER.info("Farm %s starts in %s", __version__, folder)
        asyncio.run(_Server(settings, farm, sock, objects).serve())
        _LOGGER.info("Farm stopped")
    return STOPPED


class _Server:
    """One run of the farm on an event loop."""

    def __init__(self, settings: Settings, farm: Farm, sock: socket.socket, objects: ObjectStore) -> None:
        self._settings = settings
        self._folder = settings.data_dir
        self._farm = farm
        self._socket = sock
        self._objects = objects
        self._stop = asyncio.Event()
        self._supervisor: Supervisor | None = None

    async def serve(self) -> None:
        self._farm.on_start()
        log_file = self._folder / "logs" / "farm.log"
        app = Application(self._farm, log_file=log_file)
        server = Uvicorn(uvicorn_config(app))
        with _stop_signals(self._stop):
            serving = asyncio.create_task(server.serve(sockets=[self._socket]))
            tasks = [serving]
            try:
                while not server.started and not serving.done():
                    await asyncio.sleep(0.005)
                self._write_state()
                tasks.append(asyncio.create_task(self._watch(app)))
                if self._settings.worker_command is not None:
                    output = self._folder / "logs" / "worker.out"
                    self._supervisor = Supervisor(self._settings.worker_command, output)
                    tasks.append(asyncio.create_task(self._supervisor.run()))
                stopping = asyncio.create_task(self._stop.wait())
                await asyncio.wait([stopping, *tasks], return_when=asyncio.FIRST_COMPLETED)
                stopping.cancel()
            finally:
                (self._folder / local_farm.STATE_FILE).unlink(missing_ok=True)
                # The worker goes first: it reports what it interrupts while the API still answers.
                if self._supervisor is not None:
                    await self._supervisor.stop()
                app.stop()
                server.should_exit = True
                await self._farm.on_stop()
                for task in tasks[1:]:
                    task.cancel()
                results = await asyncio.gather(*tasks, return_exceptions=True)
                await asyncio.to_thread(app.close)
        for result in results:
            if isinstance(result, Exception):
                raise result

    def _write_state(self) -> None:
        port = self._socket.getsockname()[1]
        root = self._farm.credentials.root
        document = {
            "version": __version__,
            "pid": os.getpid(),
            "started_at": time.time(),
            "endpoint_url": f"http://localhost:{port}",
            "s3_endpoint_url": self._objects.endpoint,
            "sts_endpoint_url": f"http://{_HOST}:{port}",
            "logs_endpoint_url": f"http://{_HOST}:{port}",
            "region": REGION,
            "access_key_id": root.access_key_id,
            "secret_access_key": root.secret_access_key,
            **self._farm.defaults(),
        }
        write_private(self._folder / local_farm.STATE_FILE, json.dumps(document, indent=1))
        _LOGGER.info("Farm serves at http://localhost:%s, objects at %s", port, self._objects.endpoint)

    async def _watch(self, app: Application) -> None:
        """End the farm when it is asked to, or when there was nothing to do for long enough."""
        stop_file, replace_file = (self._folder / name for name in (local_farm.STOP_FILE, local_farm.REPLACE_FILE))
        while True:
            await asyncio.sleep(_WATCH_SECONDS)
            if stop_file.exists():
                stop_file.unlink(missing_ok=True)
                _LOGGER.info("Stop: asked to")
                self._stop.set()
                return
            if replace_file.exists():
                if self._farm.is_idle():
                    _LOGGER.info("Stop: a newer Shotput takes over")
                    self._stop.set()
                    return
                # Its end is the answer: the newer one works with this farm until the jobs of this one are done.
                replace_file.unlink(missing_ok=True)
            if not self._settings.idle_timeout:
                continue
            now = time.monotonic()
            if not self._farm.is_idle():
                # Idle time counts from the end of the last work, also when nobody asked after it.
                app.last_activity = now
            elif now - app.last_activity >= self._settings.idle_timeout:
                _LOGGER.info("Stop: idle for %.0f s", self._settings.idle_timeout)
                self._stop.set()
                return


class Uvicorn(uvicorn.Server):
    """Uvicorn without signal handlers of its own: the farm stops its worker before its server."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave the signals alone."""
        yield


def uvicorn_config(app: Application) -> uvicorn.Config:
    """Return how the farm's API is served: pure Python, one loop, nothing that is paid per request and not needed."""
    return uvicorn.Config(
        app,
        loop="asyncio",
        http="h11",
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        date_header=False,
        timeout_keep_alive=75,
        timeout_graceful_shutdown=3,
    )


class _Ports:
    """The ports of the last run: kept, so that a restart does not strand the tools that were pointed at them."""

    def __init__(self, path: Path) -> None:
        self._path = path
        try:
            document = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            document = {}
        self._last = document if isinstance(document, dict) else {}

    def last(self, name: str) -> int:
        """Return the port of the last run, 0 (any) when there was none."""
        port = self._last.get(name)
        return port if isinstance(port, int) and 0 < port < 65536 else 0

    def write(self, ports: dict[str, int]) -> None:
        if ports != self._last:
            write_private(self._path, json.dumps(ports))


def _prepare(folder: Path) -> None:
    try:
        for name in ("", "logs", "objects", "sessions"):
            (folder / name).mkdir(mode=0o700, parents=True, exist_ok=True)
        # Whoever made the folder may have left it open to others; what lies in it is its owner's.
        folder.chmod(0o700)
        probe = folder / f".writable.{os.getpid()}"
        probe.touch()
        probe.unlink()
    except OSError as error:
        raise StartError(
            f"The farm cannot use its folder {folder} ({error.strerror}). Make it writable, or name another one in "
            "SHOTPUT_DATA_DIR or --data-dir.",
            FOLDER_UNUSABLE,
        ) from error


def _lock(folder: Path) -> local_farm.FarmLock:
    lock = local_farm.FarmLock.acquire(folder)
    if lock is None:
        found = local_farm.state(folder)
        where = f" at {found.endpoint_url}, as process {found.pid}" if found is not None else ""
        raise StartError(
            f"A farm runs in {folder} already{where}. Use that one, or stop it with `shotput farm down`.",
            local_farm.ALREADY_RUNNING,
        )
    return lock


def _bind(port: int | None, ports: _Ports) -> socket.socket:
    if port is None:
        last = ports.last("api")
        if last:
            with contextlib.suppress(OSError):
                return listen(last)
        return listen(0)
    try:
        return listen(port)
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            reason = f"Port {port} is in use by another program."
        else:
            reason = f"Port {port} cannot be used ({error.strerror})."
        raise StartError(
            f"{reason} Free it, or leave --port out: the farm then takes a free one.", PORT_IN_USE
        ) from error


def listen(port: int) -> socket.socket:
    """Return a listening socket on the loopback interface (0: any free port). Raises OSError when the port is taken."""
    # asyncio switches Nagle's algorithm off only where the protocol is named; with it, every reply takes 40 ms.
    sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        if sys.platform == "win32":
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_EXCLUSIVEADDRUSE, 1)
        else:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind((_HOST, port))
        # Bound is not enough to keep others from the port: with SO_REUSEADDR two may bind, and one listens.
        sock.listen(256)
    except BaseException:
        sock.close()
        raise
    return sock


def _start_objects(root: Path, ports: _Ports) -> ObjectStore:
    last = ports.last("objects")
    if last:
        store = ObjectStore(root, host=_HOST, port=last)
        try:
            store.start()
        except (ObjectStoreError, OSError) as error:
            _LOGGER.info("Port %s of the object store is taken (%s); it takes another one", last, error)
            store.close()
        else:
            return store
    store = ObjectStore(root, host=_HOST)
    try:
        store.start()
    except (ObjectStoreError, OSError) as error:
        raise StartError(f"The object store cannot start in {root}: {error}") from error
    return store


@contextlib.contextmanager
def _logging(path: Path) -> Iterator[None]:
    handler = log_to(path)
    try:
        yield
    except StartError as error:
        _LOGGER.error("%s", error)
        raise
    except Exception as error:
        _LOGGER.exception("The farm failed")
        reason = faults.describe(error)
        raise StartError(
            reason or f"The farm failed ({type(error).__name__}: {error}). Its log {path} says where."
        ) from error
    finally:
        logging.getLogger().removeHandler(handler)
        handler.close()


@contextlib.contextmanager
def _stop_signals(stop: asyncio.Event) -> Iterator[None]:
    loop = asyncio.get_running_loop()
    numbers = (signal.SIGTERM, signal.SIGINT)
    if sys.platform == "win32":
        previous = {n: signal.signal(n, lambda *_: loop.call_soon_threadsafe(stop.set)) for n in numbers}
        try:
            yield
        finally:
            for number, handler in previous.items():
                signal.signal(number, handler)
        return
    for number in numbers:
        loop.add_signal_handler(number, stop.set)
    try:
        yield
    finally:
        for number in numbers:
            loop.remove_signal_handler(number)
