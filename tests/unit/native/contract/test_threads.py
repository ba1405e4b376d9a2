"""Section 1.1 of the contract: every call lets other threads run, on any stack, many at once, after a fork, at exit."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
from fakes.deadline_monitor import Monitor
from fakes.deadline_service import FARM, QUEUE, DeadlineService
from job_bundles import Bundle
from native_calls import KEYS, WAIT_FOR_NOTHING, Call, Surroundings, calls, public_names
from shotput import _native

NAMES = sorted(calls(Surroundings("", {}, "", "")))
# What asks the service when it is called with a configuration.
ASKING = {
    "check_auth_status",
    "check_auth_status_with_progress",
    "check_api_available",
    "login",
    "list_farms",
    "get_farm",
    "list_queues",
    "get_queue",
    "list_storage_profiles_for_queue",
    "get_queue_parameter_definitions",
    "create_job_from_job_bundle",
    "TelemetryClient.record_event",
}


# What is watched without its preparation.
PREPARED = {
    "upload_snapshot",
    "sync_inputs",
    "sync_outputs",
    "Session",
    "Session.enter_environment",
    "Session.exit_environment",
    "Session.run_task",
    "Session.run_tasks",
    "Session.flush",
    "Session.close",
    "ObjectStore.start",
    "ObjectStore.close",
}


def test_the_table_has_all_calls() -> None:
    assert set(NAMES) | WAIT_FOR_NOTHING == public_names()
    assert not set(NAMES) & WAIT_FOR_NOTHING


@pytest.fixture
def where(service: DeadlineService, bundle: Bundle, bucket: Path, tmp_path: Path) -> Surroundings:
    monitor = tmp_path / "monitor-config" / "config"
    Monitor.install(tmp_path / "monitor", monitor, ends_with=0)
    bundle.write("asset_references.yaml", {"assetReferences": {"inputs": {"filenames": ["template.yaml"]}}})
    access_key_id, secret_access_key, session_token = KEYS
    target = service.target(
        s3_endpoint_url=os.environ["AWS_ENDPOINT_URL_S3"],
        access_key_id=access_key_id,
        secret_access_key=secret_access_key,
        session_token=session_token,
    )
    found = Surroundings(str(tmp_path / "calls"), target, str(monitor), str(bundle.folder))
    found.make()
    return found


@pytest.fixture
def call(request: pytest.FixtureRequest, where: Surroundings) -> Call:
    return calls(where)[request.getfixturevalue("name")]


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


@pytest.fixture
def no_turns() -> Iterator[None]:
    """Python takes the GIL from no thread: one that wants it gets it when another gives it up."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1000)
    yield
    sys.setswitchinterval(before)


@pytest.mark.usefixtures("no_turns")
@pytest.mark.parametrize("name", NAMES)
def test_a_thread_counts_during_the_call(name: str, where: Surroundings) -> None:
    count, stop = 0, threading.Event()

    def run() -> None:
        nonlocal count
        while not stop.is_set():
            count += 1
            # Gives the GIL back.
            time.sleep(0)

    counted = False

    def watched(call: Call) -> object:
        nonlocal counted
        before = count
        outcome = call()
        counted = counted or count > before
        return outcome

    # What is imported at a first call lets others run by itself.
    calls(where)[name]()
    with_preparation = calls(where, watched)[name]
    thread = threading.Thread(target=run)
    thread.start()
    try:
        # A short call may be over before the thread has woken up.
        while not counted:
            before = count
            with_preparation()
            # Without one, it is watched as a whole.
            counted = counted or (name not in PREPARED and count > before)
    finally:
        stop.set()
        thread.join()


@pytest.mark.parametrize("name", sorted(ASKING))
def test_a_thread_counts_while_the_service_is_waited_for(name: str, service: DeadlineService, call: Call) -> None:
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
        call()
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
def test_small_stacks_and_sixteen_threads_at_once(name: str, call: Call) -> None:
    outcomes = on_threads(call, 16, 256 * 1024)
    assert len(outcomes) == 16
    assert [outcome for outcome in outcomes if isinstance(outcome, BaseException)] == []


DEEP: Any = {"specificationVersion": "jobtemplate-2023-09"}
for _ in range(127):
    DEEP = {"deep": DEEP}


@pytest.mark.parametrize(
    "document",
    [DEEP, {"deep": DEEP}, json.dumps(DEEP), "[" * 5000, "a: " * 100 + "b"],
    ids=["a dict", "a dict that is too deep", "text", "text that is too deep", "text that is none"],
)
def test_deep_templates_on_small_stacks(document: Any) -> None:
    (findings,) = on_threads(lambda: _native.check_template(document), 1, 256 * 1024)
    assert isinstance(findings, list)
    assert findings


def test_what_holds_itself_is_refused() -> None:
    document: dict[str, Any] = {}
    document["steps"] = [document]
    text = "The value is nested more than 128 levels deep, or holds itself."
    assert _native.check_template(document) == [{"path": "", "message": text}]
    with pytest.raises(Exception, match=rf"^{text}$"):
        _native.get_parameter_control(document)


ALONE = """\
import atexit
late = lambda: None
atexit.register(lambda: late())
import os, sys, threading, time
sys.path.insert(0, {tests!r})
from native_calls import KEYS, WAIT_FOR_NOTHING, Call, Surroundings, calls, public_names
from shotput import _native
FARM, QUEUE = {farm!r}, {queue!r}
def all_calls():
    for call in calls(Surroundings(**{where!r})).values():
        call()
"""


@pytest.fixture
def alone(where: Surroundings) -> Callable[[str], str]:
    """Runs code in an interpreter of its own, after the function ``all_calls``; what it printed."""
    tests = str(Path(__file__).parents[3])
    start = ALONE.format(farm=FARM, queue=QUEUE, tests=tests, where=asdict(where))

    def run(code: str) -> str:
        done = subprocess.run(
            [sys.executable, "-c", start + code], capture_output=True, text=True, timeout=240, check=False
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
