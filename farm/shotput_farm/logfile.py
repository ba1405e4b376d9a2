"""The log file of a process of the farm. What cannot be written is lost, and nothing else with it."""

from __future__ import annotations

import contextlib
import logging
from logging.handlers import RotatingFileHandler
from pathlib import Path


class LogFile(RotatingFileHandler):
    """A handler that writes to ``path`` and keeps three older files of 2 MB beside it; OSError when it cannot be made.

    On a full disk it is silent: the traceback that ``logging`` would print for every line says nothing about the farm,
    and the error at its end would hide why a farm did not start.
    """

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        super().__init__(path, maxBytes=2_000_000, backupCount=3, encoding="utf-8")
        self.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802
        """Lose the line."""

    def close(self) -> None:
        """Close the file, whatever of it was not written."""
        with contextlib.suppress(OSError):
            super().close()


def log_to(path: Path) -> LogFile:
    """Let everything from INFO on that this process logs go to ``path``."""
    handler = LogFile(path)
    root = logging.getLogger()
    root.addHandler(handler)
    root.setLevel(logging.INFO)
    return handler
