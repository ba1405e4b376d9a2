"""The log store below the API: order, numbering and what is written when something is wrong."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from shotput_farm.store.database import StoreError
from shotput_farm.store.logs import EventsError, LogStore, StreamNotFoundError, TokenError


@pytest.fixture
def logs(tmp_path: Path) -> Iterator[LogStore]:
    store = LogStore(tmp_path / "logs.sqlite3")
    yield store
    store.close()


def event(at: int, text: str = "x") -> dict[str, Any]:
    return {"timestamp": at, "message": text}


def texts(page: tuple[list[dict[str, Any]], str, str]) -> list[str]:
    return [found["message"] for found in page[0]]


def test_a_batch_is_put_in_order_of_time(logs: LogStore) -> None:
    logs.put("g", "s", [event(3, "c"), event(1, "a"), event(3, "d"), event(2, "b")])
    assert texts(logs.get("g", "s", from_head=True)) == ["a", "b", "c", "d"]
    assert logs.streams("g")[0]["first_at"] == 1
    assert logs.streams("g")[0]["last_at"] == 3


def test_batches_of_several_writers_are_numbered_without_gaps(logs: LogStore) -> None:
    def write(writer: int) -> None:
        for n in range(50):
            logs.put("g", "s", [event(n, f"{writer}/{n}/{k}") for k in range(3)])

    threads = [threading.Thread(target=write, args=(writer,)) for writer in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    seen: list[str] = []
    token = None
    while True:
        page = logs.get("g", "s", token=token, limit=7, from_head=True)
        if not page[0]:
            break
        seen += texts(page)
        token = page[1]
    assert sorted(seen) == sorted(f"{w}/{n}/{k}" for w in range(4) for n in range(50) for k in range(3))
    assert token == "f/600"


def test_what_a_token_skips_it_skips_for_ever(logs: LogStore) -> None:
    for n in range(10):
        logs.put("g", "s", [event(n, str(n)), event(n, f"{n}'")])
    page = logs.get("g", "s", start=5, from_head=True, limit=3)
    assert texts(page) == ["5", "5'", "6"]
    assert texts(logs.get("g", "s", token=page[1], start=5, limit=2)) == ["6'", "7"]
    assert texts(logs.get("g", "s", token=page[2], start=5)) == []
    assert texts(logs.get("g", "s", token=page[2])) == []
    page = logs.get("g", "s", end=5, limit=3)
    assert texts(page) == ["3'", "4", "4'"]
    assert texts(logs.get("g", "s", token=page[2], end=5, limit=2)) == ["2'", "3"]


@pytest.mark.parametrize(
    "events",
    [
        [],
        [{}],
        [{"timestamp": 1}],
        [{"message": "x"}],
        [{"timestamp": "1", "message": "x"}],
        [{"timestamp": True, "message": "x"}],
        [event(1), {"timestamp": 2, "message": None}],
        [5],
        [event(2**63)],
        [event(-(2**63) - 1)],
    ],
)
def test_a_bad_batch_writes_nothing(logs: LogStore, events: Any) -> None:
    with pytest.raises(EventsError):
        logs.put("g", "s", events)
    with pytest.raises(StreamNotFoundError, match=r"^There is no log stream s in the log group g\.$"):
        logs.get("g", "s")


@pytest.mark.parametrize("token", ["", "f", "f/", "f/x", "x/1", "f/-1", "f/2", "f/\u0661"])
def test_a_token_of_another_store_is_refused(logs: LogStore, token: str) -> None:
    logs.put("g", "s", [event(1)])
    with pytest.raises(TokenError):
        logs.get("g", "s", token=token)


def test_a_failed_write_leaves_the_numbering_whole(tmp_path: Path, logs: LogStore) -> None:
    other = sqlite3.connect(tmp_path / "logs.sqlite3", isolation_level=None)
    logs.put("g", "s", [event(1, "a")])
    other.execute("CREATE TRIGGER full BEFORE INSERT ON batch BEGIN SELECT RAISE(ABORT, 'full'); END")
    with pytest.raises(sqlite3.IntegrityError):
        logs.put("g", "s", [event(2, "b")])
    with pytest.raises(sqlite3.IntegrityError):
        logs.put("g", "t", [event(2, "b")])
    other.execute("DROP TRIGGER full")
    other.close()
    assert logs.put("g", "s", [event(3, "c")]) == 2
    assert texts(logs.get("g", "s", from_head=True)) == ["a", "c"]
    with pytest.raises(StreamNotFoundError):
        logs.get("g", "t")


def test_a_stream_of_the_same_name_in_another_group_is_another(logs: LogStore) -> None:
    logs.put("g", "s", [event(1, "g")])
    logs.put("h", "s", [event(1, "h")])
    assert texts(logs.get("g", "s")) == ["g"]
    assert texts(logs.get("h", "s")) == ["h"]
    assert logs.has_group("g")
    assert not logs.has_group("i")


def test_large_batches_are_packed(tmp_path: Path, logs: LogStore) -> None:
    logs.put("g", "s", [event(n, "the same line again and again") for n in range(10_000)])
    other = sqlite3.connect(tmp_path / "logs.sqlite3")
    ((size, packed),) = other.execute("SELECT length(events), packed FROM batch").fetchall()
    other.close()
    assert packed == 1
    assert size < 100_000
    assert len(logs.get("g", "s")[0]) == 10_000


def test_a_folder_that_is_not_there_is_named(tmp_path: Path) -> None:
    path = tmp_path / "nowhere" / "logs.sqlite3"
    with pytest.raises(StoreError) as raised:
        LogStore(path)
    assert str(raised.value) == (
        f"The farm's log database {path} cannot be opened (unable to open database file). Free the disk or make it "
        "writable, or move that file away: the farm makes a new one."
    )
