"""A real farm's processes: started, looked at, and waited for."""

from __future__ import annotations

import re
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from shotput import local_farm
from shotput.local_farm import FarmState

FARM = [sys.executable, "-I", "-m", "shotput_farm"]


def start(folder: Path, **options: Any) -> FarmState:
    return local_farm.start(data_dir=folder, **options)


def wait_for(condition: Callable[[], Any], seconds: float = 20.0) -> Any:
    deadline = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.02)
    return found


def alive(pid: int) -> bool:
    """Tell whether a process runs; one that ended and was not collected does not."""
    try:
        status = Path(f"/proc/{pid}/stat").read_text()
    except FileNotFoundError:
        return False
    return status.rpartition(")")[2].split()[0] != "Z"


def log(folder: Path) -> str:
    path = folder / "logs" / "farm.log"
    return path.read_text() if path.exists() else ""


def workers(folder: Path) -> list[int]:
    """Return the processes of all workers that the farm has started, the latest last."""
    return [int(pid) for pid in re.findall(r"The worker runs as process (\d+)", log(folder))]
