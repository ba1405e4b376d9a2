"""Sessions beside each other: callbacks, folders, the facade."""

from __future__ import annotations

import contextlib
import os
import threading
from pathlib import Path
from typing import Any

import pytest
from session_jobs import Make, Recorder, alive, environment, job
from shotput import _native, sessions
from shotput.errors import SessionError

pytestmark = pytest.mark.skipif(os.name == "nt", reason="the scripts are for a POSIX shell")


class TestMany:
    def test_two_sessions_at_once_have_logs_of_their_own(self, session: Make) -> None:
        recorders = [Recorder(), Recorder()]
        made = job("for i in 1 2 3 4 5; do echo $WHO $i; sleep 0.02; done")
        opened = [
            session(f"s{index}", log=recorder.log, status=None, environment={"WHO": f"w{index}"})
            for index, recorder in enumerate(recorders)
        ]
        threads = [threading.Thread(target=one.run_task, args=(made.steps[0].script,)) for one in opened]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        for index, recorder in enumerate(recorders):
            said = [text for text in recorder.messages if text[:1] == "w"]
            assert said == [f"w{index} {i}" for i in range(1, 6)]

    def test_sixteen_sessions(self, session: Make) -> None:
        made = job("echo hi")
        opened = [session(f"many-{index}") for index in range(16)]
        results: list[dict[str, Any]] = []
        threads = [
            threading.Thread(target=lambda one=one: results.extend(one.run_tasks(made.steps[0].script, [{}] * 5)))
            for one in opened
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert [result["state"] for result in results] == ["SUCCESS"] * 80


class TestCallbacks:
    def test_an_exception_comes_out_of_the_call(self, session: Make) -> None:
        def angry(_lines: list[dict[str, Any]]) -> None:
            raise LookupError("the log is full")

        opened = session(log=angry)
        with pytest.raises(LookupError) as raised:
            opened.run_task(job().steps[0].script)
        assert str(raised.value) == "the log is full"
        assert opened.action_status["state"] == "SUCCESS"
        with contextlib.suppress(LookupError):
            opened.close()

    def test_an_exception_of_the_status_callback(self, session: Make) -> None:
        def angry(_status: dict[str, Any]) -> None:
            raise LookupError("no status wanted")

        opened = session(status=angry)
        with pytest.raises(LookupError) as raised:
            opened.run_tasks(job().steps[0].script, [{}, {}])
        assert str(raised.value) == "no status wanted"

    def test_not_callable(self) -> None:
        with pytest.raises(TypeError) as raised:
            _native.Session("s", log=3)
        assert str(raised.value) == "log must be callable or None."

    def test_a_callback_may_call_back(self, session: Make) -> None:
        seen: list[Any] = []
        holder: list[_native.Session] = []

        def curious(status: dict[str, Any]) -> None:
            seen.append(holder[0].state)
            holder[0].flush()
            if status["progress"] is not None and status["state"] == "RUNNING":
                holder[0].cancel()

        holder.append(session(status=curious))
        result = holder[0].run_task(job("echo openjd_progress: 1; sleep 60").steps[0].script)
        assert result["state"] == "CANCELED"
        assert "RUNNING" in seen

    def test_everything_was_told_when_the_call_returns(self, session: Make, recorder: Recorder) -> None:
        opened = session()
        script = job("echo said").steps[0].script
        for count in range(1, 101):
            opened.run_task(script)
            assert recorder.messages.count("said") == count
            assert recorder.statuses[-1]["state"] == "SUCCESS"


class TestFolder:
    def test_removed_or_retained(self, session: Make, tmp_path: Path) -> None:
        opened = session()
        folder = Path(opened.working_directory)
        assert folder.parent == tmp_path
        assert folder.name.startswith("session-1-")
        assert folder.stat().st_mode & 0o777 == 0o700
        opened.run_task(job("touch made").steps[0].script)
        opened.close()
        assert not folder.exists()
        opened.close()
        with pytest.raises(SessionError) as raised:
            opened.run_task(job().steps[0].script)
        assert str(raised.value) == "The session 'session-1' is closed. Make another one."
        assert repr(opened) == '<Session "session-1", ENDED>'
        kept = session("kept/../x", retain_working_dir=True)
        kept.run_task(job("touch made").steps[0].script)
        kept.close()
        assert (Path(kept.working_directory) / "made").exists()
        assert Path(kept.working_directory).parent == tmp_path

    def test_a_root_that_cannot_be_used(self, tmp_path: Path) -> None:
        (tmp_path / "file").touch()
        with pytest.raises(SessionError) as raised:
            _native.Session("s", session_root=str(tmp_path / "file" / "below"))
        assert str(raised.value) == (
            f"The folder of the session 's' cannot be made in {tmp_path}/file/below: Not a directory (os error 20)."
        )

    def test_what_an_environment_left_running_ends_with_the_session(self, session: Make, recorder: Recorder) -> None:
        # What is still in the group when the action ends is killed with it, so the child says itself when it has left.
        leaves = (
            "setsid sh -c 'echo pid $$ > left; sleep 300; :' >/dev/null 2>&1 &"
            " until [ -s left ]; do sleep 0.01; done; cat left"
        )
        made = job(environments=[environment("host", leaves)])
        opened = session()
        opened.enter_environment(made.job_environments[0])
        (pid,) = [int(text.split()[1]) for text in recorder.messages if text.startswith("pid ")]
        assert alive(pid)
        opened.close()
        assert not alive(pid)


class TestFacade:
    def test_entered_environments_are_exited_in_reverse_order(self, tmp_path: Path, recorder: Recorder) -> None:
        made = job("exit 3", [environment("a", "true", "echo bye a"), environment("b", "true", "echo bye b")])
        opened = sessions.session_for(made, "facade", session_root=str(tmp_path), log=recorder.log)
        with sessions.entered(opened, made.job_environments) as identifiers:
            assert opened.environments_entered == identifiers
            assert sessions.describe(opened.run_task(made.steps[0].script)) == "failed with exit code 3"
        opened.close()
        assert [text for text in recorder.messages if text.startswith("bye")] == ["bye b", "bye a"]

    def test_failures_to_enter_and_exit(self, session: Make, recorder: Recorder) -> None:
        made = job(environments=[environment("a", "true", "echo bye a"), environment("b", "exit 9")])
        with pytest.raises(SessionError) as raised, sessions.entered(session(), made.job_environments):
            raise AssertionError("not reached")
        assert str(raised.value) == "Entering the environment 'b' failed with exit code 9."
        assert "bye a" in recorder.messages
        made = job(environments=[environment("a", leave="echo openjd_fail: stuck")])
        with pytest.raises(SessionError) as raised, sessions.entered(session("b"), made.job_environments):
            pass
        assert str(raised.value) == "Exiting an environment failed: stuck."
