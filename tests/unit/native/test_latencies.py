"""How long each operation of the service took is told to telemetry, where it is on, and costs a call nothing else."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from fakes.deadline_service import FARM, JOB, QUEUE, SESSION, STEP, DeadlineService
from shotput import _native
from shotput.errors import ServiceError

IN_JOB = (FARM, QUEUE, JOB)
OPERATIONS: dict[str, Callable[[], Any]] = {
    "list_farms": _native.list_farms,
    "get_farm": lambda: _native.get_farm(FARM),
    "list_queues": lambda: _native.list_queues(FARM),
    "get_queue": lambda: _native.get_queue(FARM, QUEUE),
    "list_storage_profiles_for_queue": lambda: _native.list_storage_profiles_for_queue(FARM, QUEUE),
    "list_queue_environments": lambda: _native.get_queue_parameter_definitions(FARM, QUEUE),
    "get_job": lambda: _native.get_job(*IN_JOB),
    "search_jobs": lambda: _native.search_jobs(FARM, [QUEUE]),
    "update_job": lambda: _native.update_job(*IN_JOB, priority=1),
    "list_steps": lambda: _native.list_steps(*IN_JOB),
    "list_tasks": lambda: _native.list_tasks(*IN_JOB, STEP),
    "update_task": lambda: _native.update_task(*IN_JOB, STEP, "task-0123456789abcdef0123456789abcdef-0", "READY"),
    "list_sessions": lambda: _native.list_sessions(*IN_JOB),
    "list_session_actions": lambda: _native.list_session_actions(*IN_JOB, session_id=SESSION),
}


def told(service: DeadlineService) -> list[dict[str, Any]]:
    events = [request.body["RumEvents"][0] for request in service.sent("POST", "/telemetry")]
    assert {event["type"] for event in events} <= {"com.amazon.rum.deadline.latency"}
    return [json.loads(event["details"]) for event in events]


def wait_for(service: DeadlineService, count: int) -> list[dict[str, Any]]:
    while len(told(service)) < count:
        time.sleep(0.01)
    return told(service)


@pytest.mark.parametrize("name", OPERATIONS)
def test_each_operation(name: str, service: DeadlineService, aws_environment: Path) -> None:
    OPERATIONS[name]()
    (event,) = wait_for(service, 1)
    assert event["function_call"] == name
    assert event["latency"] > 0
    assert event["usage_mode"] == "CLI"


@pytest.mark.parametrize("call", [_native.check_api_available, _native.check_auth_status])
def test_a_probe(call: Callable[[], Any], service: DeadlineService, aws_environment: Path) -> None:
    call()
    assert wait_for(service, 1)[0]["function_call"] == "list_farms"


def test_each_page_and_each_failure(service: DeadlineService, aws_environment: Path) -> None:
    service.farms *= 3
    service.page_size = 1
    service.fail("GET", f"/queues/{QUEUE}", "AccessDeniedException", "no", status=403)
    _native.list_farms()
    with pytest.raises(ServiceError):
        _native.get_queue(FARM, QUEUE)
    assert [event["function_call"] for event in wait_for(service, 4)] == [*["list_farms"] * 3, "get_queue"]


def test_calls_of_a_process_are_one_session_and_no_file_is_written(
    service: DeadlineService, aws_environment: Path
) -> None:
    for _ in range(3):
        _native.get_farm(FARM, str(aws_environment))
    wait_for(service, 3)
    people = [request.body["UserDetails"] for request in service.sent("POST", "/telemetry")]
    assert people[0] == people[1] == people[2]
    assert not aws_environment.exists()


@pytest.mark.parametrize("how", ["opted out", "by the variable", "no endpoint", "a target given whole"])
def test_where_telemetry_is_off(
    how: str, service: DeadlineService, aws_environment: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = None
    if how == "opted out":
        _native.set_setting("telemetry.opt_out", "true")
    elif how == "by the variable":
        monkeypatch.setenv("DEADLINE_CLOUD_TELEMETRY_OPT_OUT", "1")
    elif how == "no endpoint":
        monkeypatch.delenv("AWS_ENDPOINT_URL_DEADLINE")
        # Whatever goes out would come here.
        monkeypatch.setenv("HTTPS_PROXY", service.endpoint)
        monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    else:
        target = service.target()
    # The exit would send what there is.
    run(
        "from shotput import _native\n"
        f"try: _native.get_farm({FARM!r}, target={target!r})\n"
        "except _native.DeadlineOperationError: pass\n"
    )
    assert told(service) == []
    assert len(service.sent("GET", FARM)) == (how != "no endpoint")


def test_an_endpoint_that_is_slow_or_wants_none_costs_nothing(service: DeadlineService, aws_environment: Path) -> None:
    service.answer("POST", "/telemetry", status=404, body={}, delay=1000)
    for _ in range(100):
        _native.get_farm(FARM)
    assert len(service.sent("GET", FARM)) == 100
    assert len(told(service)) <= 1


def run(code: str) -> None:
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def test_the_last_ones_are_sent_at_the_exit(service: DeadlineService, aws_environment: Path) -> None:
    run(f"from shotput import _native\n_native.get_farm({FARM!r})\n_native.get_queue({FARM!r}, {QUEUE!r})\n")
    assert [event["function_call"] for event in told(service)] == ["get_farm", "get_queue"]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
def test_after_a_fork(service: DeadlineService, aws_environment: Path) -> None:
    run(
        "import os, sys, warnings\nwarnings.simplefilter('ignore')\nfrom shotput import _native\n"
        f"_native.get_farm({FARM!r})\n"
        "child = os.fork()\n"
        f"_native.get_queue({FARM!r}, {QUEUE!r})\n"
        "if child: assert os.waitpid(child, 0)[1] == 0\n"
    )
    assert sorted(event["function_call"] for event in told(service)) == ["get_farm", "get_queue", "get_queue"]
