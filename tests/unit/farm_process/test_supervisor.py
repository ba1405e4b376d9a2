"""A child process that is kept alive."""

from __future__ import annotations

import asyncio
import sys
import time
from pathlib import Path

import pytest
from shotput_farm.supervisor import Supervisor


def child(code: str) -> list[str]:
    return [sys.executable, "-I", "-c", code]


async def until(condition: object) -> None:
    deadline = time.monotonic() + 20
    while not condition():  # type: ignore[operator]
        assert time.monotonic() < deadline
        await asyncio.sleep(0.01)


def test_a_child_that_ends_is_started_again_with_growing_pauses(tmp_path: Path) -> None:
    pauses: list[float] = []

    async def run() -> None:
        async def sleep(seconds: float) -> None:
            pauses.append(seconds)
            if len(pauses) == 9:
                await supervisor.stop()

        supervisor = Supervisor(child("print('last words')"), tmp_path / "out", clock=lambda: 0.0, sleep=sleep)
        await supervisor.run()
        assert supervisor.starts == 9

    asyncio.run(run())
    assert pauses == [0.2, 0.4, 0.8, 1.6, 3.2, 6.4, 12.8, 25.6, 30.0]
    assert (tmp_path / "out").read_text() == "last words\n"


def test_a_command_that_is_not_there_is_tried_again(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    async def run() -> None:
        async def sleep(seconds: float) -> None:
            if len(caplog.messages) == 2:
                await supervisor.stop()

        supervisor = Supervisor(["/no/such/program"], tmp_path / "out", sleep=sleep)
        await supervisor.run()

    asyncio.run(run())
    failure = "The worker cannot be started: [Errno 2] No such file or directory: '/no/such/program'"
    assert caplog.messages == [failure, failure]


def test_a_stopped_child_can_put_things_in_order(tmp_path: Path) -> None:
    code = "import sys; print('up', flush=True); sys.stdin.read(); print('in order')"
    if sys.platform != "win32":
        code = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN)\n" + code

    async def run() -> None:
        supervisor = Supervisor(child(code), tmp_path / "out")
        running = asyncio.create_task(supervisor.run())
        await until(lambda: (tmp_path / "out").exists() and "up" in (tmp_path / "out").read_text())
        assert supervisor.pid
        await supervisor.stop()
        await running
        assert supervisor.pid is None
        assert supervisor.starts == 1

    asyncio.run(run())
    assert (tmp_path / "out").read_text() == "up\nin order\n"


def test_a_child_that_does_not_end_is_killed(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    code = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('up', flush=True); time.sleep(60)"

    async def run() -> None:
        supervisor = Supervisor(child(code), tmp_path / "out", stop_seconds=0.2)
        running = asyncio.create_task(supervisor.run())
        await until(lambda: (tmp_path / "out").exists() and "up" in (tmp_path / "out").read_text())
        await supervisor.stop()
        await running
        assert supervisor.pid is None

    asyncio.run(run())
    assert caplog.messages == ["The worker did not end within 0.2 s and is killed"]
