"""Carries the lines of sessions to the farm's log store, in batches, without ever making a session wait.

Lines are taken in from any thread and kept in memory; one thread sends them. A session that writes faster than the farm
stores loses lines rather than speed, and its log says how many.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable
from typing import Any

LOG = logging.getLogger(__name__)

Put = Callable[[str, str, list[dict[str, Any]]], object]

# What PutLogEvents takes: events and bytes of a call, bytes of an event, what the service adds to each event's size.
_BATCH_EVENTS = 10_000
_BATCH_BYTES = 1024 * 1024
_EVENT_OVERHEAD = 26
_EVENT_BYTES = 256_000
# Held back at most: a renderer that floods its log for minutes while the farm is busy must not fill the memory.
_BUFFER_BYTES = 64 * 1024 * 1024
_RETRY_SECONDS = 1.0
# Lines wait this long for more of their kind, unless somebody flushes.
_LINGER_SECONDS = 0.5


class LogStream:
    """The lines of one session, oldest first. Made by ``LogShipper.stream``."""

    def __init__(self, shipper: LogShipper, group: str, name: str) -> None:
        self._shipper = shipper
        self.group = group
        self.name = name
        self._condition = threading.Condition()
        self._events: deque[tuple[int, str, int]] = deque()
        self._bytes = 0
        self._dropped = 0
        self._appended = 0
        self._delivered = 0
        self._newest = 0

    def append(self, lines: Iterable[tuple[int, str]]) -> None:
        """Take in lines as ``(milliseconds since the epoch, text)``. Never blocks on the farm, never raises."""
        with self._condition:
            for timestamp, text in lines:
                # The store asks for chronological order; two writers of one session can be a millisecond apart.
                self._newest = max(self._newest, timestamp)
                for piece, size in _pieces(text):
                    if self._bytes + size > _BUFFER_BYTES:
                        self._dropped += 1
                        continue
                    if self._dropped:
                        self._push(f"({self._dropped} lines are missing here: the log was written too fast.)", 128)
                        self._dropped = 0
                    self._push(piece, size)
        self._shipper.arrived()

    def write(self, text: str) -> None:
        """Take in one line of the worker's own, stamped with the time."""
        self.append([(int(time.time() * 1000), text)])

    def _push(self, text: str, size: int) -> None:
        self._events.append((self._newest, text, size))
        self._bytes += size
        self._appended += 1

    def flush(self, timeout: float) -> bool:
        """Wait until all lines taken in so far are stored. False when ``timeout`` seconds were not enough."""
        with self._condition:
            goal = self._appended
            if self._delivered >= goal:
                return True
            if not self._shipper.hurry():
                return False
            return self._condition.wait_for(lambda: self._delivered >= goal, timeout)

    def take(self) -> list[dict[str, Any]]:
        """Return the next batch within the limits of one call; it stays in memory until ``delivered``."""
        batch: list[dict[str, Any]] = []
        total = 0
        with self._condition:
            for timestamp, text, size in self._events:
                if len(batch) == _BATCH_EVENTS or total + size > _BATCH_BYTES:
                    break
                batch.append({"timestamp": timestamp, "message": text})
                total += size
        return batch

    def delivered(self, count: int) -> None:
        """Forget the ``count`` oldest lines, which are stored now."""
        with self._condition:
            for _ in range(count):
                self._bytes -= self._events.popleft()[2]
            self._delivered += count
            self._condition.notify_all()

    def __len__(self) -> int:
        return len(self._events)


class LogShipper:
    """The thread that stores the lines of all streams. ``put(group, stream, events)`` is PutLogEvents."""

    def __init__(self, put: Put) -> None:
        self._put = put
        self._condition = threading.Condition()
        self._streams: list[LogStream] = []
        self._waiting = False
        self._urgent = False
        self._closed = False
        self._thread = threading.Thread(target=self._run, name="logs", daemon=True)
        self._thread.start()

    def stream(self, group: str, name: str) -> LogStream:
        """Return a new stream of lines for a log stream of the service."""
        stream = LogStream(self, group, name)
        with self._condition:
            self._streams.append(stream)
        return stream

    def remove(self, stream: LogStream, timeout: float) -> None:
        """Store what ``stream`` still holds, for at most ``timeout`` seconds, and forget it."""
        stream.flush(timeout)
        with self._condition:
            if stream in self._streams:
                self._streams.remove(stream)

    def flush(self, timeout: float) -> bool:
        """Wait until the lines of all streams that were taken in so far are stored. False after ``timeout`` seconds."""
        deadline = time.monotonic() + timeout
        flushed = [stream.flush(max(0.0, deadline - time.monotonic())) for stream in list(self._streams)]
        return all(flushed)

    def arrived(self) -> None:
        """Tell the thread that there are lines."""
        if not self._waiting:
            with self._condition:
                self._waiting = True
                self._condition.notify()

    def hurry(self) -> bool:
        """Tell the thread that somebody waits for the lines; False when it has ended."""
        with self._condition:
            self._waiting = self._urgent = True
            self._condition.notify()
            return not self._closed

    def close(self, timeout: float) -> None:
        """Store what is left, for at most ``timeout`` seconds, and end the thread."""
        self.flush(timeout)
        with self._condition:
            self._closed = True
            self._condition.notify()
        self._thread.join(1.0)

    def _run(self) -> None:
        while True:
            with self._condition:
                self._condition.wait_for(lambda: self._waiting or self._closed)
                self._condition.wait_for(lambda: self._urgent or self._closed, _LINGER_SECONDS)
                if self._closed:
                    return
                self._waiting = self._urgent = False
                streams = list(self._streams)
            shipped = [self._ship(stream) for stream in streams]
            if not all(shipped):
                with self._condition:
                    self._condition.wait_for(lambda: self._closed, _RETRY_SECONDS)
                    self._waiting = True

    def _ship(self, stream: LogStream) -> bool:
        """Store all lines of a stream. False when the farm did not take them."""
        while batch := stream.take():
            try:
                self._put(stream.group, stream.name, batch)
            except Exception as error:
                # Whatever it is, the lines stay and are tried again; a session must not end because of its log.
                LOG.warning("Cannot store %d log lines of %s, trying again: %s", len(batch), stream.name, error)
                return False
            stream.delivered(len(batch))
        return True


def _pieces(text: str) -> list[tuple[str, int]]:
    """Cut a line into events that the store takes; return each with its size there."""
    if len(text) * 4 <= _EVENT_BYTES:
        return [(text, len(text.encode("utf-8", "replace")) + _EVENT_OVERHEAD)]
    step = (_EVENT_BYTES - _EVENT_OVERHEAD) // 4
    cuts = [text[start : start + step] for start in range(0, len(text), step)]
    return [(cut, len(cut.encode("utf-8", "replace")) + _EVENT_OVERHEAD) for cut in cuts]
