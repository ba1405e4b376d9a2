"""Cancelation, and what outlives its session."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest
from session_jobs import Make, Recorder, action, alive, environment, job, wait_for
from shotput import _native
from shotput.errors import SessionError

pytestmark = pytest.mark.skipif(os.name == "nt", reason="the scripts are for a POSIX shell")


class TestCancel:
    def cancel_when(self, opened: _native.Session, recorder: Recorder, text: str, **options: Any) -> threading.Thread:
        def cancel() -> None:
            wait_for(lambda: text in recorder.messages, text)
            assert opened.cancel(**options)

        thread = threading.Thread(target=cancel)
        thread.start()
        return thread

    def test_every_environment_exits_after_a_canceled_task(self, session: Make, recorder: Recorder) -> None:
        made = job(
            "echo going; sleep 60", [environment("a", "true", "echo bye a"), environment("b", "true", "echo bye b")]
        )
        opened = session()
        ids = [opened.enter_environment(e)["environment_id"] for e in made.job_environments]
        thread = self.cancel_when(opened, recorder, "going")
        result = opened.run_task(made.steps[0].script)
        thread.join()
        assert (result["state"], result["exit_code"]) == ("CANCELED", -9)
        for identifier in reversed(ids):
            assert opened.exit_environment(identifier)["state"] == "SUCCESS"
        assert [text for text in recorder.messages if text.startswith("bye")] == ["bye b", "bye a"]
        assert not opened.cancel()

    def test_notified_process_has_its_time(self, session: Make, recorder: Recorder) -> None:
        notify = {"mode": "NOTIFY_THEN_TERMINATE", "notifyPeriodInSeconds": 60}
        script = "trap 'cat cancel_info.json; echo; sleep 2; echo saved; exit 7' TERM; echo going; while :; do sleep 0.05; done"  # noqa: E501
        opened = session()
        thread = self.cancel_when(opened, recorder, "going")
        result = opened.run_task(job(action(script, cancelation=notify)).steps[0].script)
        thread.join()
        assert (result["state"], result["exit_code"]) == ("CANCELED", 7)
        assert "saved" in recorder.messages
        (info,) = [json.loads(text) for text in recorder.messages if text.startswith("{")]
        assert set(info) == {"NotifyEnd"}

    def test_a_deaf_process_is_killed_after_its_time(self, session: Make, recorder: Recorder) -> None:
        notify = {"mode": "NOTIFY_THEN_TERMINATE", "notifyPeriodInSeconds": 1}
        script = "trap '' TERM; echo going; while :; do sleep 0.05; done"
        opened = session()
        thread = self.cancel_when(opened, recorder, "going", mark_failed=True)
        result = opened.run_task(job(action(script, cancelation=notify)).steps[0].script)
        thread.join()
        assert (result["state"], result["exit_code"]) == ("FAILED", -9)
        assert "The grace period is over." in recorder.messages

    def test_a_time_limit_shortens_the_grace(self, session: Make, recorder: Recorder) -> None:
        notify = {"mode": "NOTIFY_THEN_TERMINATE", "notifyPeriodInSeconds": 500}
        opened = session()
        thread = self.cancel_when(opened, recorder, "going", time_limit=0)
        result = opened.run_task(job(action("trap '' TERM; echo going; sleep 60", cancelation=notify)).steps[0].script)
        thread.join()
        assert result["state"] == "CANCELED"

    def test_the_whole_tree_is_gone(self, session: Make, recorder: Recorder) -> None:
        # One child in the group, one that left it, and one that even lost its parent.
        script = "sleep 300 & echo pid $!; setsid sleep 300 & echo pid $!; (setsid sh -c 'echo pid $$; sleep 300; :' &); sleep 0.3; echo going; sleep 300"  # noqa: E501
        opened = session()
        thread = self.cancel_when(opened, recorder, "going")
        opened.run_task(job(script).steps[0].script)
        thread.join()
        pids = [int(text.split()[1]) for text in recorder.messages if text.startswith("pid ")]
        assert len(pids) == 3
        wait_for(lambda: not [pid for pid in pids if alive(pid)], "the tree is gone")
        assert _native.find_orphans("session-1") == []

    def test_a_cancel_ends_a_batch(self, session: Make, recorder: Recorder) -> None:
        made = job("echo going; sleep 60", space=[{"name": "N", "type": "INT", "range": "1-5"}])
        opened = session()
        thread = self.cancel_when(opened, recorder, "going")
        results = opened.run_tasks(made.steps[0].script, made.steps[0].parameter_space.slice(0, 5))
        thread.join()
        assert [result["state"] for result in results] == ["CANCELED"]

    def test_busy(self, session: Make, recorder: Recorder) -> None:
        opened = session()
        errors: list[str] = []

        def disturb() -> None:
            wait_for(lambda: "going" in recorder.messages, "going")
            try:
                opened.run_task(job().steps[0].script)
            except SessionError as error:
                errors.append(str(error))
            opened.cancel()

        thread = threading.Thread(target=disturb)
        thread.start()
        opened.run_task(job("echo going; sleep 60").steps[0].script)
        thread.join()
        assert errors == ["The session 'session-1' is busy: another action runs in it. Wait for its end, or cancel it."]

    def test_bad_time_limit(self, session: Make) -> None:
        with pytest.raises(ValueError, match="time_limit") as raised:
            session().cancel(time_limit=-1)
        assert str(raised.value) == "time_limit is a number of seconds, 0 or more."

    def test_keyboard_interrupt(self, tmp_path: Path) -> None:
        program = (
            "import sys\nfrom shotput import _native\n"
            "job = _native.create_job({'specificationVersion': 'jobtemplate-2023-09', 'name': 'j', 'steps': [{'name': 's',"  # noqa: E501
            " 'script': {'actions': {'onRun': {'command': 'sleep', 'args': ['300']}}}}]})\n"
            f"session = _native.Session('interrupted', session_root={str(tmp_path)!r})\n"
            "print('ready', flush=True)\n"
            "try:\n    session.run_task(job.steps[0].script)\n"
            "except KeyboardInterrupt:\n    print(session.action_status['state'])\n    session.close()\n"
        )
        with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout is not None
            assert process.stdout.readline() == "ready\n"
            wait_for(lambda: _native.find_orphans("interrupted"), "the task runs")
            process.send_signal(signal.SIGINT)
            assert process.stdout.read() == "CANCELED\n"
        assert process.returncode == 0
        assert _native.find_orphans("interrupted") == []


class TestOrphans:
    def test_processes_of_a_killed_owner_are_found_and_killed(self, tmp_path: Path) -> None:
        program = (
            "from shotput import _native\n"
            "job = _native.create_job({'specificationVersion': 'jobtemplate-2023-09', 'name': 'j', 'steps': [{'name': 's',"  # noqa: E501
            " 'script': {'actions': {'onRun': {'command': 'sh', 'args': ['-c', 'sleep 300 & sleep 300']}}}}]})\n"
            f"session = _native.Session('orphaned', session_root={str(tmp_path)!r}, marker='owner-of-orphans')\n"
            "session.run_task(job.steps[0].script)\n"
        )
        with subprocess.Popen([sys.executable, "-c", program]) as owner:
            pids = wait_for(
                lambda: (p := _native.find_orphans("owner-of-orphans")) and len(p) == 3 and p, "three processes"
            )
            owner.kill()
        assert sorted(_native.find_orphans("orphaned")) == sorted(pids)
        assert all(alive(pid) for pid in pids)
        assert _native.kill_orphans("owner-of-orphans") == 3
        assert not [pid for pid in pids if alive(pid)]
        assert _native.kill_orphans("owner-of-orphans") == 0

    def test_an_interpreter_may_end_with_a_session_at_work(self, tmp_path: Path) -> None:
        program = (
            "import threading, time\nfrom shotput import _native\n"
            "job = _native.create_job({'specificationVersion': 'jobtemplate-2023-09', 'name': 'j', 'steps': [{'name': 's',"  # noqa: E501
            " 'script': {'actions': {'onRun': {'command': 'sh', 'args': ['-c', 'while :; do echo x; done']}}}}]})\n"
            f"session = _native.Session('at-exit', session_root={str(tmp_path)!r}, log=lambda lines: None)\n"
            "threading.Thread(target=session.run_task, args=(job.steps[0].script,), daemon=True).start()\n"
            "time.sleep(0.3)\n"
        )
        done = subprocess.run([sys.executable, "-c", program], timeout=60, check=False)
        _native.kill_orphans("at-exit")
        assert done.returncode == 0
