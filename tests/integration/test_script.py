"""``tools/integration``: however its tests end, so does it, and no process and no folder is left."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
ENDING = (signal.SIGHUP, signal.SIGINT, signal.SIGTERM)


class Run:
    """The script, running one of the tests in ``endings.py``."""

    def __init__(self, folder: Path, test: str) -> None:
        self.temporary = folder / "temporary"
        self.temporary.mkdir()
        self._answered = folder / "answered"
        self.process = subprocess.Popen(
            [ROOT / "tools" / "integration", f"tests/integration/endings.py::{test}"],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env={**os.environ, "TMPDIR": str(self.temporary), "ANSWERED": str(self._answered)},
            start_new_session=True,
            # A test run may have been started with these ignored, which a shell cannot undo.
            preexec_fn=lambda: [signal.signal(number, signal.SIG_DFL) for number in ENDING],
        )

    def wait_until_the_farm_answered(self) -> None:
        deadline = time.monotonic() + 120
        while not self._answered.exists():
            assert time.monotonic() < deadline, "not in time"
            assert self.process.poll() is None, self.process.communicate()[0]
            time.sleep(0.05)

    def end(self) -> tuple[int, str]:
        said, _ = self.process.communicate(timeout=120)
        assert self._answered.exists(), said
        return self.process.returncode, said


@pytest.fixture
def run(tmp_path: Path, count_processes: Callable[[str], int]) -> Iterator[Callable[[str], Run]]:
    runs: list[Run] = []

    def start(test: str) -> Run:
        runs.append(Run(tmp_path, test))
        return runs[-1]

    yield start
    assert runs[0].process.poll() is not None
    assert list(runs[0].temporary.iterdir()) == []
    assert count_processes(str(tmp_path)) == 0


@pytest.mark.parametrize(("test", "code"), [("test_passes", 0), ("test_fails", 1), ("test_crashes", 137)])
def test_it_ends_as_its_tests_do(run: Callable[[str], Run], test: str, code: int) -> None:
    ended, said = run(test).end()
    assert ended == code, said
    # The log of the farm, and only when something failed.
    assert ("Farm serves at http://localhost:" in said) == (code != 0), said


@pytest.mark.parametrize("number", ENDING)
def test_it_takes_the_farm_down_when_it_is_ended(run: Callable[[str], Run], number: signal.Signals) -> None:
    running = run("test_hangs")
    running.wait_until_the_farm_answered()
    running.process.send_signal(number)
    ended, said = running.end()
    assert ended == 128 + number, said
