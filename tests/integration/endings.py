"""Tests that end as their names say, for ``test_script.py``: not collected unless they are named."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest


@pytest.fixture(autouse=True)
def answered(farm: Any, make_farm: Callable[[], Any]) -> None:
    """The farm that the script started answers, beside one that the test started."""
    assert farm.client().list_farms()["farms"][0]["farmId"] == farm.state["farm_id"]
    assert make_farm().state["endpoint_url"] != farm.state["endpoint_url"]
    Path(os.environ["ANSWERED"]).touch()


def test_passes() -> None:
    pass


def test_fails() -> None:
    raise AssertionError


def test_crashes() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def test_hangs() -> None:
    time.sleep(600)
