"""Telemetry: when it is off, what goes over the wire, and that nothing of it stays behind."""

from __future__ import annotations

import json
import os
import platform
import re
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Callable
from enum import IntEnum
from pathlib import Path
from typing import Any

import pytest
from fakes.deadline_service import DeadlineService
from shotput import _native
from shotput.errors import DeadlineOperationError

UUID4 = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}")


def sent(service: DeadlineService) -> list[dict[str, Any]]:
    return [request.body for request in service.sent("POST", "/telemetry")]


def details(body: dict[str, Any]) -> Any:
    return json.loads(body["RumEvents"][0]["details"])


def test_an_event_on_the_wire(service: DeadlineService, aws_environment: Path) -> None:
    before = int(time.time())
    client = _native.TelemetryClient(str(aws_environment))
    client.record_event("com.amazon.rum.deadline.adaptor.runtime.start", {"renderer": "cycles"})
    client.close()
    (request,) = service.sent("POST", "/telemetry")
    assert request.path == "/2023-10-12/telemetry"
    assert request.headers["host"] == f"localhost:{service.port}"
    assert request.headers["accept"] == request.headers["content-type"] == "application-json"
    assert "authorization" not in request.headers
    body = json.loads(request.body) if isinstance(request.body, (bytes, str)) else request.body
    assert list(body) == ["BatchId", "RumEvents", "UserDetails"]
    (event,) = body["RumEvents"]
    assert sorted(event) == ["details", "id", "metadata", "timestamp", "type"]
    assert event["type"] == "com.amazon.rum.deadline.adaptor.runtime.start"
    assert json.loads(event["details"]) == {"usage_mode": "CLI", "renderer": "cycles"}
    assert json.loads(event["metadata"]) == {
        "service": "deadline-cloud-library",
        "version": _native.__version__,
        "osName": {"Darwin": "macOS"}.get(platform.system(), platform.system()),
        "osVersion": platform.release(),
        "python_version": platform.python_version(),
    }
    assert before <= event["timestamp"] <= time.time()
    assert type(event["timestamp"]) is int
    for identifier in (body["BatchId"], event["id"], body["UserDetails"]["sessionId"], body["UserDetails"]["userId"]):
        assert UUID4.fullmatch(identifier)


def test_the_package_that_events_come_from(service: DeadlineService, aws_environment: Path) -> None:
    for keywords in (
        {"package_name": "deadline-cloud-for-blender", "package_version": "1.2.3.post4"},
        {"package_name": "a"},
        {"package_version": "5"},
    ):
        client = _native.TelemetryClient(**keywords)  # type: ignore[arg-type]
        client.record_event("a", {})
        client.close()
    told = [json.loads(body["RumEvents"][0]["metadata"]) for body in sent(service)]
    assert [(metadata["service"], metadata["version"]) for metadata in told] == [
        ("deadline-cloud-for-blender", "1.2.3"),
        ("a", _native.__version__),
        ("deadline-cloud-library", "5"),
    ]


def test_both_names_of_the_details(service: DeadlineService, aws_environment: Path) -> None:
    client = _native.TelemetryClient()
    client.record_event("a", {"n": 1})
    client.record_event(event_type="a", event_details={"n": 2}, from_gui=True)
    client.record_event(event_type="a", details={"n": 3})
    client.record_error({"n": 4}, "ValueError", True)
    client.record_error(event_details={"n": 5}, exception_type="ValueError")
    client.record_error(details={"n": 6}, exception_type="ValueError", from_gui=False)
    client.close()
    bodies = sent(service)
    assert [details(body)["n"] for body in bodies] == [1, 2, 3, 4, 5, 6]
    assert [details(body)["usage_mode"] for body in bodies] == ["CLI", "GUI", "CLI", "GUI", "CLI", "CLI"]
    assert {body["RumEvents"][0]["type"] for body in bodies[3:]} == {"com.amazon.rum.deadline.error"}
    assert {details(body)["exception_type"] for body in bodies[3:]} == {"ValueError"}
    assert len({body["UserDetails"]["sessionId"] for body in bodies}) == 1
    assert len({body["BatchId"] for body in bodies}) == 6


@pytest.mark.parametrize(
    ("call", "text"),
    [
        (lambda c: c.record_event("a"), "record_event() needs the argument 'event_details'"),
        (
            lambda c: c.record_event("a", {}, details={}),
            "record_event() takes either 'event_details' or 'details', not both",
        ),
        (lambda c: c.record_error(exception_type="E"), "record_error() needs the argument 'event_details'"),
        (lambda c: c.record_error({}), "record_error() needs the argument 'exception_type'"),
    ],
)
def test_arguments_that_are_missing(call: Callable[[Any], None], text: str, config_path: Path) -> None:
    with pytest.raises(TypeError) as caught:
        call(_native.TelemetryClient(str(config_path)))
    assert str(caught.value) == text


class Level(IntEnum):
    HIGH = 3


def test_values_that_are_not_plain_become_text(service: DeadlineService, aws_environment: Path) -> None:
    client = _native.TelemetryClient()
    given = {
        "none": None,
        "yes": True,
        "int": -5,
        "big": 2**70,
        "float": 1.5,
        "nan": float("nan"),
        "text": "é\ud800",
        "path": Path("/a"),
        "list": [1, 2],
        "enum": Level.HIGH,
        7: "key",
    }
    client.record_event("a", given)  # type: ignore[arg-type]
    client.close()
    assert details(sent(service)[0]) == {
        "usage_mode": "CLI",
        "none": None,
        "yes": True,
        "int": -5,
        "big": str(2**70),
        "float": 1.5,
        "nan": "nan",
        "text": "é" + 3 * "\ufffd",
        "path": "/a",
        "list": "[1, 2]",
        "enum": 3,
        "7": "key",
    }


def test_common_details(service: DeadlineService, aws_environment: Path) -> None:
    client = _native.TelemetryClient()
    client.record_event("a", {})
    client.update_common_details({"submitter": "blender", "scene": "common"})
    client.record_event("a", {"scene": "own"})
    client.close()
    assert [details(body) for body in sent(service)] == [
        {"usage_mode": "CLI"},
        {"submitter": "blender", "scene": "own", "usage_mode": "CLI"},
    ]


def test_a_closed_client(config_path: Path) -> None:
    client = _native.TelemetryClient(str(config_path))
    client.close()
    client.close()
    for call in (
        lambda: client.record_event("a", {}),
        lambda: client.record_error({}, "E"),
        lambda: client.update_common_details({}),
    ):
        with pytest.raises(DeadlineOperationError) as caught:
            call()
        assert str(caught.value) == "The telemetry client is closed and records nothing more. Make another one."


@pytest.mark.parametrize(
    ("variable", "setting", "opted_out"),
    [
        (None, None, False),
        ("", None, False),
        ("false", None, False),
        ("true", None, True),
        (None, "true", True),
        ("false", "true", True),
        ("true", "false", True),
        ("nonsense", "false", True),
        (None, "nonsense", True),
    ],
)
def test_opting_out(
    variable: str | None,
    setting: str | None,
    opted_out: bool,
    service: DeadlineService,
    aws_environment: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    path = str(aws_environment)
    _native.set_setting("settings.log_level", "INFO", path)
    if variable is not None:
        monkeypatch.setenv("DEADLINE_CLOUD_TELEMETRY_OPT_OUT", variable)
    if setting is not None:
        _native.set_setting("telemetry.opt_out", setting, path)
    client = _native.TelemetryClient(path)
    client.record_event("a", {})
    client.close()
    assert client.telemetry_opted_out is opted_out
    assert len(sent(service)) == (0 if opted_out else 1)
    assert ("identifier" in aws_environment.read_text()) is not opted_out


def test_without_an_endpoint_nothing_is_sent_or_written(
    service: DeadlineService, config_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Whatever goes out would come here.
    monkeypatch.setenv("HTTPS_PROXY", service.endpoint)
    client = _native.TelemetryClient(str(config_path))
    client.record_event("a", {})
    client.close()
    assert client.telemetry_opted_out is False
    assert service.requests == service.events == []
    assert not config_path.exists()


def test_an_endpoint_of_the_profile(service: DeadlineService, config_path: Path) -> None:
    aws = Path(os.environ["AWS_CONFIG_FILE"])
    aws.parent.mkdir()
    aws.write_text(
        f"[default]\nmonitor_id = monitor-1\nuser_id = user-1\nservices = here\n[services here]\ndeadline =\n"
        f"  endpoint_url = {service.endpoint}\n"
    )
    client = _native.TelemetryClient(str(config_path))
    client.record_event("a", {})
    client.close()
    metadata = json.loads(sent(service)[0]["RumEvents"][0]["metadata"])
    assert (metadata["user_id"], metadata["monitor_id"]) == ("user-1", "monitor-1")


def test_the_identifier_is_kept_in_the_file_that_was_named(service: DeadlineService, aws_environment: Path) -> None:
    named = aws_environment.with_name("named")
    for _ in range(2):
        client = _native.TelemetryClient(str(named))
        client.record_event("a", {})
        client.close()
    stored = _native.get_setting("telemetry.identifier", str(named))
    assert [body["UserDetails"]["userId"] for body in sent(service)] == [stored, stored]
    assert not aws_environment.exists()


@pytest.mark.parametrize("stored", ["", "somebody", str(uuid.uuid1())])
def test_the_identifier_goes_into_no_file_that_was_not_named(
    stored: str, service: DeadlineService, aws_environment: Path
) -> None:
    _native.set_setting("telemetry.identifier", stored)
    before = aws_environment.read_bytes()
    for _ in range(2):
        client = _native.TelemetryClient()
        client.record_event("a", {})
        client.close()
    first, second = (body["UserDetails"]["userId"] for body in sent(service))
    assert UUID4.fullmatch(first)
    assert first == second != stored
    assert aws_environment.read_bytes() == before


def test_a_stored_identifier_is_used(service: DeadlineService, aws_environment: Path) -> None:
    stored = str(uuid.uuid4())
    _native.set_setting("telemetry.identifier", stored)
    client = _native.TelemetryClient()
    client.record_event("a", {})
    client.close()
    assert sent(service)[0]["UserDetails"]["userId"] == stored


def test_what_is_throttled_is_sent_again(service: DeadlineService, aws_environment: Path) -> None:
    service.answer("POST", "/telemetry", status=429, body={}, times=1)
    client = _native.TelemetryClient()
    client.record_event("a", {"n": 1})
    while len(service.sent("POST", "/telemetry")) < 2:
        time.sleep(0.01)
    client.close()
    assert [details(body)["n"] for body in sent(service)] == [1, 1]


def test_an_endpoint_that_wants_no_events_gets_no_more(service: DeadlineService, aws_environment: Path) -> None:
    service.answer("POST", "/telemetry", status=404, body={})
    client = _native.TelemetryClient()
    for number in range(3):
        client.record_event("a", {"n": number})
    client.close()
    assert len(sent(service)) == 1


@pytest.mark.skipif(not Path("/proc/self/task").is_dir(), reason="counts by /proc, which this system does not have")
def test_a_client_that_is_idle_has_no_thread(service: DeadlineService, aws_environment: Path) -> None:
    client = _native.TelemetryClient()
    for number in range(2):
        client.record_event("a", {"n": number})
        while len(service.events) == number:
            time.sleep(0.01)
        while threads():
            time.sleep(0.05)
    client.close()
    assert [details(body)["n"] for body in sent(service)] == [0, 1]


def test_what_the_queue_has_no_room_for_is_dropped(service: DeadlineService, aws_environment: Path) -> None:
    may_answer = threading.Event()
    original = service._answer

    def held(request: Any) -> Any:
        may_answer.wait()
        return original(request)

    service._answer = held  # type: ignore[method-assign]
    client = _native.TelemetryClient()
    client.record_event("a", {"n": 0})
    while not service.events:
        time.sleep(0.01)
    # One is on its way; 25 wait.
    for number in range(1, 50):
        client.record_event("a", {"n": number})
    may_answer.set()
    client.close()
    assert [details(body)["n"] for body in sent(service)] == list(range(26))


def threads() -> list[str]:
    """Names of the threads that clients have."""
    return [name for name in map(thread_name, Path("/proc/self/task").iterdir()) if name.startswith("shotput-tele")]


def thread_name(task: Path) -> str:
    try:
        return (task / "comm").read_text()
    except OSError:
        return ""  # it has ended


def descriptors() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


@pytest.mark.skipif(not Path("/proc/self/task").is_dir(), reason="counts by /proc, which this system does not have")
def test_a_thousand_clients_leave_nothing_behind(service: DeadlineService, aws_environment: Path) -> None:
    def one(number: int) -> None:
        client = _native.TelemetryClient(str(aws_environment))
        if number % 10 == 0:
            client.record_event("a", {"n": number})

    one(0)
    # Calls of other tests, which keep no client, may have one for a while.
    while threads():
        time.sleep(0.01)
    before = descriptors()
    for number in range(1000):
        one(number)
    assert len(sent(service)) == 101
    assert threads() == []
    # The service's side of the last connections may still be closing; a client that leaves one is told by the time
    # limit of the run.
    while descriptors() > before:
        time.sleep(0.01)


def test_a_drop_flushes(service: DeadlineService, aws_environment: Path) -> None:
    client = _native.TelemetryClient()
    for number in range(5):
        client.record_event("a", {"n": number})
    del client
    assert [details(body)["n"] for body in sent(service)] == list(range(5))


def test_a_drop_does_not_wait_for_an_endpoint_that_is_silent(service: DeadlineService, aws_environment: Path) -> None:
    service.answer("POST", "/telemetry", body={}, delay=60)
    counted = 0
    done = threading.Event()

    def count() -> None:
        nonlocal counted
        while not done.wait(0.001):
            counted += 1

    thread = threading.Thread(target=count)
    thread.start()
    client = _native.TelemetryClient()
    client.record_event("a", {})
    before = counted
    # The time limit of the test run is longer than the flush and shorter than the answer.
    started = time.monotonic()
    del client
    assert time.monotonic() - started < 30
    # Others run meanwhile.
    assert counted > before
    done.set()
    thread.join()


def run_alone(code: str) -> str:
    done = subprocess.run(
        [sys.executable, "-X", "dev", "-c", code], capture_output=True, text=True, timeout=60, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


def test_a_client_at_the_exit_of_the_interpreter(service: DeadlineService, aws_environment: Path) -> None:
    run_alone(
        "from shotput import _native\n"
        "client = _native.TelemetryClient()\n"
        "client.record_event('a', {'n': 1})\n"
        "class Cycle: pass\n"
        "cycle = Cycle(); cycle.itself = cycle; cycle.client = _native.TelemetryClient()\n"
        "cycle.client.record_event('a', {'n': 2})\n"
    )
    assert sorted(details(body)["n"] for body in sent(service)) == [1, 2]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
def test_a_client_in_a_forked_process(service: DeadlineService, aws_environment: Path) -> None:
    out = run_alone(
        "import os, warnings\n"
        "warnings.simplefilter('ignore')\n"
        "from shotput import _native\n"
        "client = _native.TelemetryClient()\n"
        "client.record_event('a', {'n': 1})\n"
        "child = os.fork()\n"
        "if child == 0:\n"
        "    client.record_event('a', {'n': 2})\n"
        "    client.close()\n"
        "    os._exit(0)\n"
        "assert os.waitpid(child, 0)[1] == 0\n"
        "other = os.fork()\n"
        "if other == 0:\n"
        "    del client\n"
        "    os._exit(0)\n"
        "assert os.waitpid(other, 0)[1] == 0\n"
        "client.record_event('a', {'n': 3})\n"
        "client.close()\n"
        "print('done')\n"
    )
    assert out == "done\n"
    assert sorted(details(body)["n"] for body in sent(service)) == [1, 2, 3]
