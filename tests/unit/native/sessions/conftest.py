"""Sessions that end with their test."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from session_jobs import Make, Recorder
from shotput import _native


@pytest.fixture
def recorder() -> Recorder:
    return Recorder()


@pytest.fixture
def session(tmp_path: Path, recorder: Recorder) -> Iterator[Make]:
    with contextlib.ExitStack() as stack:

        def make(session_id: str = "session-1", **options: Any) -> _native.Session:
            options = {
                "log": recorder.log,
                "status": recorder.statuses.append,
                "session_root": str(tmp_path),
                **options,
            }
            made = _native.Session(session_id, **options)
            stack.callback(made.close)
            return made

        yield make
