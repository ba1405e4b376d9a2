"""The database: migrations, group commit, and what is left when its process is killed in the middle of writing."""

from __future__ import annotations

import signal
import sqlite3
import subprocess
import sys
import threading
import time
from collections import Counter
from pathlib import Path

import pytest
from shotput_farm.farm import Farm, page_token, token_for
from shotput_farm.protocol.errors import Validation
from shotput_farm.store import Store, StoreError, Transaction, jobs, records, tasks
from shotput_farm.store import sessions as session_rows
from shotput_farm.store.database import load_migrations


def store(folder: Path, **more: object) -> Store:
    return Store(folder / "farm.sqlite3", clock=time.time, **more)  # type: ignore[arg-type]


def insert(tx: Transaction, name: str) -> None:
    values = {"farm_id": name, "display_name": name, "created_at": tx.now, "created_by": "me"}
    records.insert(tx.db, "farm", values)


def names(opened: Store) -> list[str]:
    with opened.read() as db:
        return [row["farm_id"] for row in records.page(db, "farm", {}, after=0, limit=1000)]


def test_migrations_are_numbered_and_leave_a_version(tmp_path: Path) -> None:
    opened = store(tmp_path)
    opened.close()
    db = sqlite3.connect(tmp_path / "farm.sqlite3")
    assert db.execute("PRAGMA user_version").fetchone() == (max(load_migrations()),)
    assert db.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    db.close()
    store(tmp_path).close()  # a second start finds nothing to do


def test_a_database_of_a_newer_version_is_refused(tmp_path: Path) -> None:
    store(tmp_path).close()
    path = tmp_path / "farm.sqlite3"
    db = sqlite3.connect(path)
    db.execute("PRAGMA user_version = 999")
    db.close()
    newest = max(load_migrations())
    with pytest.raises(StoreError) as caught:
        store(tmp_path)
    assert str(caught.value) == (
        f"The farm's database {path} was written by a newer Shotput (schema 999, this one knows {newest}). Update "
        "Shotput, or start this one with another data directory."
    )


def test_a_file_that_is_no_database_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "farm.sqlite3"
    path.write_bytes(b"no database " * 100)
    with pytest.raises(StoreError) as caught:
        store(tmp_path)
    assert str(caught.value) == (
        f"The farm's database {path} cannot be opened (file is not a database). It is damaged: move it away, and the "
        "farm starts with an empty one."
    )


def test_a_write_that_raises_leaves_nothing(tmp_path: Path) -> None:
    opened = store(tmp_path)

    def fail(tx: Transaction) -> None:
        insert(tx, "half")
        raise LookupError("stop")

    with pytest.raises(LookupError, match=r"^stop$"):
        opened.write(fail)
    opened.write(lambda tx: insert(tx, "whole"))
    assert names(opened) == ["whole"]
    opened.close()
    with pytest.raises(StoreError, match=r"is closed; start the farm again\.$"):
        opened.write(lambda tx: None)


def test_writers_that_wait_share_a_commit_and_only_the_failed_one_is_undone(tmp_path: Path) -> None:
    commits: list[set[str]] = []
    opened = store(tmp_path, on_commit=commits.append)
    entered, go_on = threading.Event(), threading.Event()

    def block(tx: Transaction) -> None:
        entered.set()
        assert go_on.wait(10)
        tx.wake.add("first")

    def write(name: str) -> None:
        def work(tx: Transaction) -> None:
            insert(tx, name)
            tx.wake.add(name)
            if name == "bad":
                raise LookupError(name)

        try:
            opened.write(work)
        except LookupError:
            failed.append(name)

    failed: list[str] = []
    threads = [threading.Thread(target=opened.write, args=(block,))]
    threads[0].start()
    assert entered.wait(10)
    threads += [threading.Thread(target=write, args=(name,)) for name in ("a", "b", "bad", "c")]
    for thread in threads[1:]:
        thread.start()
    while len(opened._waiting) < 4:
        time.sleep(0.001)
    go_on.set()
    for thread in threads:
        thread.join(10)
    assert sorted(names(opened)) == ["a", "b", "c"]
    assert failed == ["bad"]
    assert commits == [{"first"}, {"a", "b", "c"}]
    opened.close()


def test_a_read_sees_one_moment(tmp_path: Path) -> None:
    opened = store(tmp_path)
    opened.write(lambda tx: insert(tx, "one"))
    with opened.read() as db:
        assert records.count(db, "farm", {}) == 1
        opened.write(lambda tx: insert(tx, "two"))
        assert records.count(db, "farm", {}) == 1
        with pytest.raises(sqlite3.OperationalError, match="readonly"):
            db.execute("DELETE FROM farm")
    assert names(opened) == ["one", "two"]
    opened.close()


@pytest.mark.parametrize("position", [(0,), (1,), (35,), (36,), (123456789,), (3, 0), (7, 1295)])
def test_page_tokens(position: tuple[int, ...]) -> None:
    assert page_token(token_for(*position)) == position


@pytest.mark.parametrize("token", [None, ""])
def test_no_token_is_the_beginning(token: str | None) -> None:
    assert page_token(token) == ()


@pytest.mark.parametrize("token", ["p1.", "p1.-3", "p1.é", "7", "p2.7", "p1.1.", "p1.1..2"])
def test_other_tokens_are_refused(token: str) -> None:
    with pytest.raises(Validation) as caught:
        page_token(token)
    assert caught.value.message == f"The nextToken {token!r} is none of this farm's. Begin again without a nextToken."


_WRITER = """
import sys, time, json
from pathlib import Path
from shotput_farm.farm import Farm
from shotput_farm.scheduler import end_sessions
from shotput_farm.store import records
from shotput_farm.submission import Submission, insert_job
from shotput_farm.template import decode

farm = Farm.open(Path(sys.argv[1]))
farm.bootstrap()
ids = farm.defaults()
space = {"taskParameterDefinitions": [{"name": "Frame", "type": "INT", "range": "1-5000"}]}
run = {"actions": {"onRun": {"command": "/bin/true"}}}
steps = [{"name": "Render", "script": run, "parameterSpace": space},
         {"name": "Comp", "script": run, "parameterSpace": space, "dependencies": [{"dependsOn": "Render"}]}]
text = json.dumps({"specificationVersion": "jobtemplate-2023-09", "name": "Shot", "steps": steps})
submission = Submission(ids["farm_id"], ids["queue_id"], text, "JSON", 50, "me")
farm.store.write(lambda tx: insert_job(tx, submission, decode(text, {})))
worker = "worker-" + sys.argv[2]
capabilities = {"amounts": [{"name": "amount.worker.vcpu", "value": 4}], "attributes": []}
values = {"worker_id": worker, "farm_id": ids["farm_id"], "fleet_id": ids["fleet_id"], "status": "STARTED",
          "capabilities": json.dumps(capabilities), "last_seen": int(time.time() * 1000),
          "created_at": 0, "created_by": "me"}
def begin(tx):
    for row in records.page(tx.db, "worker", {}, after=0, limit=100):
        end_sessions(tx, row["worker_id"])
    records.insert(tx.db, "worker", values)
farm.store.write(begin)
reports = {}
while True:
    reply = farm.scheduler.schedule(worker, reports)
    for name in reports:
        print(name, flush=False)
    print("-", flush=True)
    now = time.time()
    report = {"completedStatus": "SUCCEEDED", "startedAt": now, "endedAt": now + 0.001, "processExitCode": 0}
    given = reply["assignedSessions"].values()
    reports = {a["sessionActionId"]: report for session in given for a in session["sessionActions"][:25]}
"""


def test_a_killed_process_loses_nothing_that_it_had_answered(tmp_path: Path) -> None:
    script = tmp_path / "writer.py"
    script.write_text(_WRITER)
    data = tmp_path / "data"
    data.mkdir()
    answered: list[str] = []
    for attempt, delay in enumerate((0.3, 0.05, 0.15)):
        child = subprocess.Popen(
            [sys.executable, str(script), str(data), f"{attempt:032x}"], stdout=subprocess.PIPE, text=True
        )
        assert child.stdout is not None
        lines = [child.stdout.readline() for _ in range(30)]
        time.sleep(delay)
        child.send_signal(signal.SIGKILL)
        lines += child.stdout.read().splitlines(keepends=True)
        child.wait()
        child.stdout.close()
        # What came before the last "-" was committed before it was printed.
        whole = "".join(lines).rpartition("-\n")[0]
        answered += [line for line in whole.splitlines() if line.startswith("sessionaction-")]
    assert len(answered) > 100
    assert len(answered) == len(set(answered))

    farm = Farm.open(data)
    try:
        with farm.store.read() as db:
            assert db.execute("PRAGMA integrity_check").fetchone()[0] == "ok"
            assert db.execute("PRAGMA foreign_key_check").fetchall() == []
            ended = Counter[int]()
            for name in answered:
                _, session, number = name.split("-")
                row = records.get(db, "session", f"session-{session}")
                assert row is not None
                action = session_rows.action(db, row["seq"], int(number))
                assert action is not None
                assert action["status"] == "SUCCEEDED"
                task = tasks.get(db, action["step_seq"], action["ordinal"])
                assert task is not None
                assert task["status"] == "SUCCEEDED"
                ended[action["step_seq"]] += 1
            assert session_rows.double_runs(db) == []
            for job in records.page(db, "job", {}, after=0, limit=10):
                for step in jobs.steps(db, job["seq"]):
                    counted = {status: n for status, n in jobs.counts(step).items() if n}
                    assert counted == tasks.recount(db, step["seq"])
                    # At most the last exchange was committed and not yet answered.
                    assert 0 <= counted.get("SUCCEEDED", 0) - ended[step["seq"]] <= 3 * 25
    finally:
        farm.close()
