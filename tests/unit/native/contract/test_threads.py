"""Section 1.1 of the contract: every call lets other threads run, on any stack, many at once, after a fork, at exit."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from fakes.deadline_monitor import Monitor
from fakes.deadline_service import FARM, QUEUE, DeadlineService
from job_bundles import Bundle
from shotput import _native

Call = Callable[[], object]
NAMES = [
    "get_setting",
    "set_setting",
    "read_config",
    "get_credentials_source",
    "check_auth_status",
    "check_auth_status_with_progress",
    "check_api_available",
    "login",
    "logout",
    "list_farms",
    "get_farm",
    "list_queues",
    "get_queue",
    "list_storage_profiles_for_queue",
    "get_queue_parameter_definitions",
    "create_job_from_job_bundle",
    "TelemetryClient",
]
# What reads the file and asks nobody.
LOCAL = {"get_setting", "set_setting", "read_config", "get_credentials_source", "logout", "TelemetryClient"}


@pytest.fixture
def monitor_config(service: DeadlineService, configured: Path, tmp_path: Path) -> Path:
    path = tmp_path / "monitor-config" / "config"
    Monitor.install(tmp_path / "monitor", path, ends_with=0)
    return path


@pytest.fixture
def calls(monitor_config: Path, bundle: Bundle) -> dict[str, Call]:
    """Every function of the contract with arguments that work."""
    path = str(monitor_config)

    def telemetry() -> object:
        client = _native.TelemetryClient()
        client.record_event("a", {})
        client.close()
        return True

    params = {"job_bundle_dir": str(bundle.folder)}
    return {
        "get_setting": lambda: _native.get_setting("settings.locale") == "",
        "set_setting": lambda: _native.set_setting("settings.locale", ""),
        "read_config": lambda: _native.read_config(),
        "get_credentials_source": lambda: _native.get_credentials_source(),
        "check_auth_status": lambda: _native.check_auth_status(),
        "check_auth_status_with_progress": lambda: _native.check_auth_status_with_progress(None, lambda _: None),
        "check_api_available": lambda: _native.check_api_available(),
        "login": lambda: _native.login(path, lambda **_: None, lambda: False),
        "logout": lambda: _native.logout(path),
        "list_farms": lambda: _native.list_farms(),
        "get_farm": lambda: _native.get_farm(FARM),
        "list_queues": lambda: _native.list_queues(FARM),
        "get_queue": lambda: _native.get_queue(FARM, QUEUE),
        "list_storage_profiles_for_queue": lambda: _native.list_storage_profiles_for_queue(FARM, QUEUE),
        "get_queue_parameter_definitions": lambda: _native.get_queue_parameter_definitions(FARM, QUEUE),
        "create_job_from_job_bundle": lambda: _native.create_job_from_job_bundle(params, lambda _: None),
        "TelemetryClient": telemetry,
    }


class Counter:
    """A Python thread that counts."""

    def __init__(self) -> None:
        self.count = 0
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self) -> None:
        while not self._stop.is_set():
            self.count += 1

    def wait_for_more(self) -> None:
        """Comes back when the thread has counted on, which it cannot while somebody keeps the GIL."""
        goal = self.count + 1000
        while self.count < goal:
            threading.Event().wait(0.001)

    def stop(self) -> None:
        self._stop.set()
        self._thread.join()


@pytest.mark.parametrize("name", [name for name in NAMES if name not in LOCAL] + ["TelemetryClient"])
def test_a_thread_counts_while_the_service_is_waited_for(
    name: str, service: DeadlineService, calls: dict[str, Call]
) -> None:
    counter = Counter()
    answer = service._answer
    waited: list[str] = []

    def slow(request: Any) -> Any:
        # The answer, too, needs the GIL; and it only comes when a third thread has got on.
        counter.wait_for_more()
        waited.append(request.path)
        return answer(request)

    service._answer = slow  # type: ignore[method-assign]
    try:
        calls[name]()
    finally:
        counter.stop()
    assert waited


@pytest.mark.parametrize("name", ["get_setting", "set_setting", "read_config", "get_credentials_source"])
@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no named pipes")
def test_a_thread_counts_while_a_file_is_waited_for(name: str, configured: Path, tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    counter = Counter()

    def write() -> None:
        # The configuration can only be read when this Python thread has written it.
        counter.wait_for_more()
        with pipe.open("w") as stream:
            stream.write("[settings]\nlocale = de\n")

    thread = threading.Thread(target=write)
    thread.start()
    path = str(pipe)
    functions: dict[str, Call] = {
        "get_setting": lambda: _native.get_setting("settings.locale", path),
        "set_setting": lambda: _native.set_setting("settings.locale", "fr", path),
        "read_config": lambda: _native.read_config(path),
        "get_credentials_source": lambda: _native.get_credentials_source(path),
    }
    try:
        functions[name]()
    finally:
        thread.join()
        counter.stop()


def on_threads(call: Call, count: int, stack: int) -> list[object]:
    outcomes: list[object] = []

    def run() -> None:
        try:
            outcomes.append(call())
        except BaseException as err:
            outcomes.append(err)

    before = threading.stack_size(stack)
    try:
        threads = [threading.Thread(target=run) for _ in range(count)]
        for thread in threads:
            thread.start()
    finally:
        threading.stack_size(before)
    for thread in threads:
        thread.join()
    return outcomes


@pytest.mark.parametrize("name", NAMES)
def test_small_stacks_and_sixteen_threads_at_once(name: str, service: DeadlineService, calls: dict[str, Call]) -> None:
    outcomes = on_threads(calls[name], 16, 256 * 1024)
    assert len(outcomes) == 16
    assert [outcome for outcome in outcomes if isinstance(outcome, BaseException)] == []


ALONE = """\
import atexit
late = lambda: None
atexit.register(lambda: late())
import os, threading, time
from shotput import _native
FARM, QUEUE, PARAMS = {farm!r}, {queue!r}, {params!r}
def all_calls():
    _native.set_setting("settings.locale", _native.get_setting("settings.locale"))
    _native.read_config()
    assert _native.get_credentials_source() == "HOST_PROVIDED"
    assert _native.check_auth_status()["api_available"] is True
    assert _native.check_auth_status_with_progress(None, lambda m: None)["api_available"] is True
    assert _native.check_api_available() is True
    _native.login({monitor!r})
    _native.logout({monitor!r})
    assert _native.list_farms()["farms"]
    _native.get_farm(FARM)
    _native.list_queues(FARM)
    _native.get_queue(FARM, QUEUE)
    _native.list_storage_profiles_for_queue(FARM, QUEUE)
    _native.get_queue_parameter_definitions(FARM, QUEUE)
    assert _native.create_job_from_job_bundle(PARAMS)["job_id"]
    client = _native.TelemetryClient()
    client.record_event("a", {{}})
    client.close()
"""


@pytest.fixture
def alone(monitor_config: Path, bundle: Bundle, bucket: Path) -> Callable[[str], str]:
    """Runs code in an interpreter of its own, after the function ``all_calls``; what it printed."""
    bundle.write("asset_references.yaml", {"assetReferences": {"inputs": {"filenames": ["template.yaml"]}}})
    params = {"job_bundle_dir": str(bundle.folder)}
    start = ALONE.format(farm=FARM, queue=QUEUE, params=params, monitor=str(monitor_config))

    def run(code: str) -> str:
        done = subprocess.run(
            [sys.executable, "-c", start + code], capture_output=True, text=True, timeout=120, check=False
        )
        assert (done.returncode, done.stderr) == (0, "")
        return done.stdout

    return run


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
@pytest.mark.parametrize("used_before", [False, True])
def test_after_a_fork(used_before: bool, alone: Callable[[str], str]) -> None:
    code = (
        "import warnings; warnings.simplefilter('ignore')\n"
        f"if {used_before}: all_calls()\n"
        "for _ in range(2):\n"
        "    child = os.fork()\n"
        "    if child == 0:\n"
        "        all_calls()\n"
        "        print('child', flush=True)\n"
        "        os._exit(0)\n"
        "    assert os.waitpid(child, 0)[1] == 0\n"
        "    all_calls()\n"
        "print('parent')\n"
    )
    assert alone(code) == "child\nchild\nparent\n"


def test_at_the_exit_of_the_interpreter(service: DeadlineService, alone: Callable[[str], str]) -> None:
    # Threads that are daemons are in the middle of a call when the interpreter goes, and go on calling.
    service.answer("GET", f"/queues/{QUEUE}", body=service.queue, delay=20)
    code = (
        "def forever():\n"
        "    while True:\n"
        "        try: _native.list_farms()\n"
        "        except Exception: pass\n"
        "def slowly():\n"
        "    _native.get_queue(FARM, QUEUE)\n"
        "for function in (forever, forever, slowly, slowly):\n"
        "    threading.Thread(target=function, daemon=True).start()\n"
        # Registered before the module was imported, so called after the module's own.
        "late = lambda: print(len(_native.list_farms()['farms']), flush=True)\n"
        "threading.excepthook = lambda *_: None\n"
        "time.sleep(0.5)\n"
        "print('leaving', flush=True)\n"
    )
    # Neither a crash nor a wait for the answer.
    assert alone(code) == "leaving\n1\n"


def test_an_interrupt_comes_out(service: DeadlineService, alone: Callable[[str], str]) -> None:
    service.answer("GET", f"/queues/{QUEUE}", body=service.queue, delay=20)
    code = (
        "import signal\n"
        "threading.Timer(0.5, lambda: os.kill(os.getpid(), signal.SIGINT)).start()\n"
        "try: _native.get_queue(FARM, QUEUE)\n"
        "except KeyboardInterrupt: print('interrupted')\n"
    )
    assert alone(code) == "interrupted\n"
