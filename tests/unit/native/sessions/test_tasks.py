"""Tasks in sessions, with real subprocesses."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

import pytest
from session_jobs import Make, Recorder, action, job
from shotput import _native
from shotput.errors import SessionError

pytestmark = pytest.mark.skipif(os.name == "nt", reason="the scripts are for a POSIX shell")


class TestTasks:
    def test_output_status_and_exit_code(self, session: Make, recorder: Recorder) -> None:
        script = (
            job("echo out; echo err >&2; echo openjd_progress: 50; echo 'openjd_status: half'; exit 0").steps[0].script
        )
        result = session().run_task(script)
        assert (result["state"], result["exit_code"], result["progress"], result["status_message"]) == (
            "SUCCESS",
            0,
            50.0,
            "half",
        )
        assert (result["kind"], result["task_index"], result["environment_id"], result["fail_message"]) == (
            "task",
            0,
            None,
            None,
        )
        assert result["started_at"] <= result["ended_at"] <= time.time()
        at = recorder.messages.index("out")
        assert recorder.messages[at : at + 5] == [
            "out",
            "err",
            "openjd_progress: 50",
            "openjd_status: half",
            "Exit code: 0",
        ]
        assert [(s["state"], s["progress"], s["status_message"]) for s in recorder.statuses] == [
            ("RUNNING", None, None),
            ("RUNNING", 50.0, None),
            ("RUNNING", 50.0, "half"),
            ("SUCCESS", 50.0, "half"),
        ]
        assert {line["action"] for line in recorder.lines} == {0, 1}
        assert all(abs(line["timestamp"] / 1000 - time.time()) < 60 for line in recorder.lines)

    def test_failures(self, session: Make) -> None:
        made = session()
        result = made.run_task(job("exit 3").steps[0].script)
        assert (result["state"], result["exit_code"], result["fail_message"]) == ("FAILED", 3, None)
        with pytest.raises(SessionError) as raised:
            made.run_task(job().steps[0].script)
        assert str(raised.value) == (
            "The session 'session-1' is ending, because an action did not succeed or an environment was exited. "
            "Only environments can be exited now."
        )
        assert made.state == "READY_ENDING"
        result = session("b").run_task(job("echo 'openjd_fail: no licence'").steps[0].script)
        assert (result["state"], result["exit_code"], result["fail_message"]) == ("FAILED", 0, "no licence")
        result = session("c").run_task(job("kill -9 $$").steps[0].script)
        assert (result["state"], result["exit_code"]) == ("FAILED", -9)

    @pytest.mark.parametrize(
        ("command", "message"),
        [
            (
                "no-such-program",
                "The command 'no-such-program' was not found on the PATH of the session (/nowhere:/bin).",
            ),
            ("/no/such", "The command '/no/such' does not exist."),
            ("/etc/passwd", "The command '/etc/passwd' is not executable."),
            ("/etc", "The command '/etc' is a folder."),
        ],
    )
    def test_programs_that_cannot_run(self, session: Make, recorder: Recorder, command: str, message: str) -> None:
        result = session(environment={"PATH": "/nowhere:/bin"}).run_task(job({"command": command}).steps[0].script)
        assert (result["state"], result["exit_code"], result["fail_message"]) == ("FAILED", None, message)
        assert message in recorder.messages

    def test_a_thousand_lines_in_order(self, session: Make, recorder: Recorder) -> None:
        session().run_task(job("i=0; while [ $i -lt 1000 ]; do echo line $i; i=$((i+1)); done").steps[0].script)
        assert [text for text in recorder.messages if text.startswith("line ")] == [f"line {i}" for i in range(1000)]

    def test_a_slow_listener_bounds_the_process_not_the_order(self, session: Make) -> None:
        seen: list[str] = []

        def slow(lines: list[dict[str, Any]]) -> None:
            time.sleep(0.01)
            seen.extend(line["message"] for line in lines)

        session(log=slow).run_task(job("seq 1 30000").steps[0].script)
        assert [int(text) for text in seen if text.isdigit()] == list(range(1, 30001))

    def test_long_lines_and_foreign_bytes(self, session: Make, recorder: Recorder) -> None:
        session().run_task(
            job("head -c 150000 /dev/zero | tr '\\0' x; echo; printf 'caf\\351\\r\\nend'").steps[0].script
        )
        lengths = [len(text) for text in recorder.messages if text.startswith("xxx")]
        assert lengths == [65536, 65536, 18928]
        assert "caf\\xe9" in recorder.messages
        assert "end" in recorder.messages

    def test_parameters_and_embedded_files(self, session: Make, recorder: Recorder) -> None:
        files = [
            {
                "name": "Run",
                "type": "TEXT",
                "runnable": True,
                "filename": "run.sh",
                "data": "#!/bin/sh\necho {{Task.Param.Frame}} {{Param.Label}}\n",
            }
        ]
        made = job(
            {"command": "{{Task.File.Run}}"},
            files=files,
            parameters={"Label": "x"},
            parameterDefinitions=[{"name": "Label", "type": "STRING"}],
            space=[{"name": "Frame", "type": "INT", "range": "1-3"}],
        )
        opened = session(parameters=made.parameters)
        space = made.steps[0].parameter_space
        results = opened.run_tasks(made.steps[0].script, space.slice(0, len(space)))
        assert [result["state"] for result in results] == ["SUCCESS"] * 3
        assert [text for text in recorder.messages if text.endswith(" x")] == ["1 x", "2 x", "3 x"]
        assert "--------- Running task of step: Frame(INT)=2" in recorder.messages
        (file,) = (Path(opened.working_directory) / "embedded_files").iterdir()
        assert (file.name, file.stat().st_mode & 0o777) == ("run.sh", 0o700)

    def test_a_step_as_a_worker_gets_it(self, session: Make, recorder: Recorder) -> None:
        template = {
            "name": "s",
            "script": {"actions": {"onRun": {"command": "echo", "args": ["{{Param.A}}-{{Task.Param.F}}"]}}},
        }
        template["parameterSpace"] = {"taskParameterDefinitions": [{"name": "F", "type": "INT", "range": [7]}]}
        parameters = {"A": {"string": "a"}}
        script = _native.step_from_template(template, parameters).script
        assert session(parameters=parameters).run_task(script, {"F": {"int": "7"}})["state"] == "SUCCESS"
        assert "a-7" in recorder.messages

    def test_a_batch_stops_at_the_first_failure(self, session: Make, recorder: Recorder) -> None:
        made = job("test {{Task.Param.N}} -lt 3 || exit 5", space=[{"name": "N", "type": "INT", "range": "1-9"}])
        space = made.steps[0].parameter_space
        results = session().run_tasks(made.steps[0].script, space.slice(0, 9))
        assert [(result["task_index"], result["state"], result["exit_code"]) for result in results] == [
            (0, "SUCCESS", 0),
            (1, "SUCCESS", 0),
            (2, "FAILED", 5),
        ]
        assert [s["task_index"] for s in recorder.statuses if s["state"] != "RUNNING"] == [0, 1, 2]
        assert {line["action"] for line in recorder.lines} == {0, 1, 2, 3}

    def test_standard_input_is_empty(self, session: Make, recorder: Recorder) -> None:
        assert session().run_task(job("cat; echo done").steps[0].script)["state"] == "SUCCESS"
        assert "done" in recorder.messages

    def test_timeout(self, session: Make, recorder: Recorder) -> None:
        result = session().run_task(job(action("sleep 60 & sleep 60", timeout=1)).steps[0].script)
        assert (result["state"], result["exit_code"]) == ("TIMEOUT", -9)
        assert result["ended_at"] - result["started_at"] < 30
        assert "The time of 1 s is up." in recorder.messages

    def test_a_background_process_does_not_hold_the_session(self, session: Make, recorder: Recorder) -> None:
        result = session().run_task(job("sleep 60 & echo $!").steps[0].script)
        assert result["state"] == "SUCCESS"
        assert "A process that it started holds its output open; it is not waited for." in recorder.messages

    def test_low_priority(self, session: Make, recorder: Recorder) -> None:
        own = os.getpriority(os.PRIO_PROCESS, 0)
        session(low_priority=True).run_task(job("echo nice $(nice)").steps[0].script)
        assert f"nice {min(own + 10, 19)}" in recorder.messages
