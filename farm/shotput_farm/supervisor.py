"""Keeps the worker process alive: starts it, starts it again when it ends, and stops it with the farm."""

from __future__ import annotations

import asyncio
import logging
import os
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path

from shotput.task_environment import inherited

_LOGGER = logging.getLogger("shotput_farm.supervisor")

_FIRST_PAUSE = 0.2
_LONGEST_PAUSE = 30.0
# A worker that ran this long was well: the next start waits the first pause again.
_HEALTHY_AFTER = 60.0
# The worker gives its actions 4 s to end, reports them, and goes.
_STOP_SECONDS = 12.0


class Supervisor:
    """Runs one child process for as long as ``run`` is awaited.

    ``output`` takes what the child writes to its standard streams, from its latest start on. The child's standard input
    is a pipe that the farm holds open: it reads its end when the farm is gone, also when that was killed.
    """

    def __init__(
        self,
        command: Sequence[str],
        output: Path,
        *,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        stop_seconds: float = _STOP_SECONDS,
    ) -> None:
        self._command = list(command)
        self._output = output
        self._clock = clock
        self._sleep = sleep
        self._stop_seconds = stop_seconds
        self._process: asyncio.subprocess.Process | None = None
        self._stopping = False
        self.starts = 0

    @property
    def pid(self) -> int | None:
        """The process id of the running child, None between two of them."""
        process = self._process
        return process.pid if process is not None and process.returncode is None else None

    async def run(self) -> None:
        """Keep the child running until ``stop``."""
        pause = _FIRST_PAUSE
        while not self._stopping:
            started = self._clock()
            try:
                code = await self._run_once()
            except OSError as error:
                _LOGGER.error("The worker cannot be started: %s", error)
            else:
                if self._stopping:
                    return
                _LOGGER.warning("The worker ended with code %s; its last words are in %s", code, self._output)
            if self._clock() - started >= _HEALTHY_AFTER:
                pause = _FIRST_PAUSE
            await self._sleep(pause)
            pause = min(pause * 2, _LONGEST_PAUSE)

    async def stop(self) -> None:
        """Ask the child to end, and end it when it does not within ``stop_seconds``."""
        self._stopping = True
        process = self._process
        if process is None or process.returncode is not None:
            return
        if process.stdin is not None:
            process.stdin.close()
        if sys.platform != "win32":
            process.terminate()
        try:
            await asyncio.wait_for(process.wait(), self._stop_seconds)
        except TimeoutError:
            _LOGGER.warning("The worker did not end within %g s and is killed", self._stop_seconds)
            process.kill()
            await process.wait()

    async def _run_once(self) -> int:
        with self._output.open("wb") as stream:
            self._process = await asyncio.create_subprocess_exec(
                *self._command,
                stdin=subprocess.PIPE,
                stdout=stream,
                stderr=subprocess.STDOUT,
                # Once more, for a farm that was started by hand.
                env=inherited(os.environ),
            )
        self.starts += 1
        _LOGGER.info("The worker runs as process %s", self._process.pid)
        if self._stopping:  # stop() came while the child was being made
            self._process.terminate()
        return await self._process.wait()
