"""Log lines on their way to the farm."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest
from shotput_farm.worker.logs import LogShipper


class Store:
    """Takes events as the service does, and can be made to refuse them."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, str, list[dict[str, Any]]]] = []
        self.refuse = threading.Event()

    def put(self, group: str, stream: str, events: list[dict[str, Any]]) -> None:
        if self.refuse.is_set():
            raise OSError("the farm is away")
        self.calls.append((group, stream, events))

    def lines(self, stream: str) -> list[str]:
        return [event["message"] for _, name, events in self.calls if name == stream for event in events]


@pytest.fixture
def store() -> Store:
    return Store()


@pytest.fixture
def shipper(store: Store) -> Iterator[LogShipper]:
    made = LogShipper(store.put)
    yield made
    made.close(1)


def test_lines_keep_their_order_and_their_stream(store: Store, shipper: LogShipper) -> None:
    first, second = shipper.stream("g", "one"), shipper.stream("g", "two")
    first.append([(1, "a"), (2, "b")])
    second.append([(1, "x")])
    first.append([(3, "c")])
    assert shipper.flush(5)
    assert store.lines("one") == ["a", "b", "c"]
    assert store.lines("two") == ["x"]


def test_calls_stay_within_the_limits_of_the_service(store: Store, shipper: LogShipper) -> None:
    stream = shipper.stream("g", "s")
    stream.append((1, "x" * 900) for _ in range(12_000))
    assert stream.flush(10)
    assert sum(len(events) for _, _, events in store.calls) == 12_000
    for _, _, events in store.calls:
        assert len(events) <= 10_000
        assert sum(len(event["message"].encode()) + 26 for event in events) <= 1024 * 1024


def test_a_line_longer_than_an_event_is_cut(store: Store, shipper: LogShipper) -> None:
    stream = shipper.stream("g", "s")
    text = "é" * 300_000
    stream.append([(1, text)])
    assert stream.flush(10)
    assert "".join(store.lines("s")) == text
    assert all(len(line.encode()) + 26 <= 256_000 for line in store.lines("s"))


def test_timestamps_never_go_back(store: Store, shipper: LogShipper) -> None:
    stream = shipper.stream("g", "s")
    stream.append([(5, "a"), (3, "b"), (7, "c")])
    assert stream.flush(5)
    assert [event["timestamp"] for _, _, events in store.calls for event in events] == [5, 5, 7]


def test_lines_outlast_a_farm_that_is_away(store: Store, shipper: LogShipper) -> None:
    store.refuse.set()
    stream = shipper.stream("g", "s")
    stream.append([(1, "kept")])
    assert not stream.flush(0.1)
    store.refuse.clear()
    assert stream.flush(5)
    assert store.lines("s") == ["kept"]


def test_a_flood_is_cut_and_the_log_says_so(store: Store, shipper: LogShipper) -> None:
    store.refuse.set()
    stream = shipper.stream("g", "s")
    began = time.monotonic()
    stream.append((1, "y" * 10_000) for _ in range(8_000))
    assert time.monotonic() - began < 30
    kept = len(stream)
    assert kept < 8_000
    store.refuse.clear()
    assert stream.flush(20)
    stream.append([(2, "after")])
    assert stream.flush(5)
    lines = store.lines("s")
    assert lines[-2:] == [f"({8_000 - kept} lines are missing here: the log was written too fast.)", "after"]
