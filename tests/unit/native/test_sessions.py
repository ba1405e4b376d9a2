"""Sessions of the native module, with real subprocesses."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from shotput import _native, sessions
from shotput.errors import SessionError, TemplateError

pytestmark = pytest.mark.skipif(os.name == "nt", reason="the scripts are for a POSIX shell")


class Recorder:
    """Hears what a session tells."""

    def __init__(self) -> None:
        self.lines: list[dict[str, Any]] = []
        self.statuses: list[dict[str, Any]] = []

    def log(self, lines: list[dict[str, Any]]) -> None:
        self.lines += lines

    @property
    def messages(self) -> list[str]:
        return [line["message"] for line in self.lines]


Make = Callable[..., _native.Session]


@pytest.fixture
def recorder() -> Recorder:
    return Recorder()


@pytest.fixture
def session(tmp_path: Path, recorder: Recorder) -> Iterator[Make]:
    with contextlib.ExitStack() as stack:

        def make(session_id: str = "session-1", **options: Any) -> _native.Session:
            options = {
                "log": recorder.log,
                "status": recorder.statuses.append,
                "session_root": str(tmp_path),
                **options,
            }
            made = _native.Session(session_id, **options)
            stack.callback(made.close)
            return made

        yield make


def action(script: str, **more: Any) -> dict[str, Any]:
    return {"command": "/bin/sh", "args": ["-c", script], **more}


def job(
    run: dict[str, Any] | str = "true",
    environments: list[dict[str, Any]] | None = None,
    parameters: dict[str, Any] | None = None,
    files: list[dict[str, Any]] | None = None,
    **template: Any,
) -> _native.Job:
    on_run = action(run) if isinstance(run, str) else run
    script: dict[str, Any] = {"actions": {"onRun": on_run}}
    if files:
        script["embeddedFiles"] = files
    step: dict[str, Any] = {"name": "step", "script": script}
    if "space" in template:
        step["parameterSpace"] = {"taskParameterDefinitions": template.pop("space")}
    document = {"specificationVersion": "jobtemplate-2023-09", "name": "job", "steps": [step], **template}
    if environments:
        document["jobEnvironments"] = environments
    return _native.create_job(document, parameters or {})


def environment(name: str, enter: str | None = None, leave: str | None = None, **more: Any) -> dict[str, Any]:
    actions: dict[str, Any] = {}
    if enter is not None:
        actions["onEnter"] = action(enter)
    if leave is not None:
        actions["onExit"] = action(leave)
    return {"name": name, **({"script": {"actions": actions}} if actions else {}), **more}


def wait_for(condition: Callable[[], Any], what: str) -> Any:
    end = time.monotonic() + 20
    while time.monotonic() < end:
        value = condition()
        if value:
            return value
        time.sleep(0.01)
    raise AssertionError(f"never: {what}")


def alive(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
    except OSError:
        return False
    return state != "Z"


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


class TestEnvironments:
    def test_variables_come_and_go(self, session: Make, recorder: Recorder) -> None:
        made = job(
            "echo task $A $B $C",
            [
                environment("outer", "echo 'openjd_env: B=2'", "echo bye outer $A $B", variables={"A": "1"}),
                environment("inner", "echo 'openjd_unset_env: A'; echo 'openjd_env: C=3'", "echo bye inner $A $B $C"),
            ],
        )
        opened = session()
        outer, inner = (opened.enter_environment(e, identifier=e.name) for e in made.job_environments)
        assert (outer["environment_id"], inner["environment_id"]) == ("outer", "inner")
        assert opened.environments_entered == ["outer", "inner"]
        opened.run_task(made.steps[0].script)
        with pytest.raises(SessionError) as raised:
            opened.exit_environment("outer")
        assert (
            str(raised.value) == "The environment 'outer' cannot be exited before 'inner', which was entered after it."
        )
        opened.exit_environment("inner")
        opened.exit_environment("outer")
        said = [text for text in recorder.messages if text.startswith(("task ", "bye "))]
        assert said == ["task 2 3", "bye inner 2 3", "bye outer 1 2"]
        assert opened.state == "READY_ENDING"

    def test_misuse(self, session: Make) -> None:
        made = job(environments=[environment("e", "true")])
        opened = session()
        opened.enter_environment(made.job_environments[0], identifier="e")
        with pytest.raises(SessionError) as raised:
            opened.enter_environment(made.job_environments[0], identifier="e")
        assert str(raised.value) == "The environment 'e' is already entered in the session 'session-1'. Exit it first."
        with pytest.raises(SessionError) as raised:
            opened.exit_environment("x")
        assert str(raised.value) == "No environment 'x' is entered in the session 'session-1'."
        opened.exit_environment("e", keep_running=True)
        assert opened.state == "READY"

    def test_another_step_may_follow(self, session: Make) -> None:
        made = job(environments=[environment("e", "true", "true")])
        opened = session()
        for _ in range(2):
            entered = opened.enter_environment(made.job_environments[0])
            assert opened.run_task(made.steps[0].script)["state"] == "SUCCESS"
            opened.exit_environment(entered["environment_id"], keep_running=True)

    def test_a_failed_enter_is_still_to_be_exited(self, session: Make, recorder: Recorder) -> None:
        made = job(environments=[environment("e", "exit 4", "echo cleaned")])
        opened = session()
        entered = opened.enter_environment(made.job_environments[0])
        assert (entered["state"], entered["exit_code"]) == ("FAILED", 4)
        assert opened.exit_environment(entered["environment_id"])["state"] == "SUCCESS"
        assert "cleaned" in recorder.messages

    def test_an_environment_without_script(self, session: Make) -> None:
        made = job("test $A = 1", [environment("e", variables={"A": "1"})])
        opened = session()
        entered = opened.enter_environment(made.job_environments[0])
        assert (entered["state"], entered["exit_code"]) == ("SUCCESS", None)
        assert opened.run_task(made.steps[0].script)["state"] == "SUCCESS"

    def test_a_malformed_variable_stops_the_action(self, session: Make, recorder: Recorder) -> None:
        made = job(environments=[environment("e", "echo 'openjd_env: no value'; sleep 60")])
        entered = session().enter_environment(made.job_environments[0])
        assert (entered["state"], entered["fail_message"]) == (
            "FAILED",
            "Failed to parse environment variable assignment.",
        )
        assert "openjd_env: no value -- ERROR: Failed to parse environment variable assignment." in recorder.messages

    def test_secrets_are_not_logged(self, session: Make, recorder: Recorder) -> None:
        made = job(
            "echo the word is $WORD; echo 'openjd_status: it is hunter2'",
            [environment("e", "echo openjd_redacted_env: WORD=hunter2; echo said hunter2 twice: hunter2")],
            extensions=["REDACTED_ENV_VARS"],
        )
        opened = session()
        opened.enter_environment(made.job_environments[0])
        result = opened.run_task(made.steps[0].script)
        output = [text for text in recorder.messages if not text.startswith(("Running command", "---"))]
        assert "hunter2" not in "\n".join(output)
        assert "openjd_redacted_env: WORD=********" in output
        assert "said ******** twice: ********" in output
        assert "the word is ********" in output
        assert result["status_message"] == "it is ********"
        assert "hunter2" not in "\n".join(text for text in recorder.messages if "openjd_status" in text)


class TestVariables:
    def test_what_a_process_finds(self, session: Make, recorder: Recorder) -> None:
        opened = session(environment={"EXTRA": "1", "DEADLINE_JOB_ID": "job-1"}, marker="farm-1")
        names = "EXTRA DEADLINE_JOB_ID MINE SHOTPUT_SESSION_ID SHOTPUT_SESSION_MARKER DEADLINE_SESSION_ID OPENJD_SESSION_WORKING_DIR PWD"  # noqa: E501
        opened.run_task(
            job(f'for n in {names}; do eval "echo $n=\\$$n"; done').steps[0].script, variables={"MINE": "2"}
        )
        folder = opened.working_directory
        assert {
            "EXTRA=1",
            "DEADLINE_JOB_ID=job-1",
            "MINE=2",
            "SHOTPUT_SESSION_ID=session-1",
            "SHOTPUT_SESSION_MARKER=farm-1",
            "DEADLINE_SESSION_ID=session-1",
            f"OPENJD_SESSION_WORKING_DIR={folder}",
            f"PWD={folder}",
        } <= set(recorder.messages)

    def test_path_mapping(self, session: Make, recorder: Recorder) -> None:
        made = job(
            'echo {{Param.Scene}} {{RawParam.Scene}} {{Session.HasPathMappingRules}}; cat "{{Session.PathMappingRulesFile}}"; echo',  # noqa: E501
            parameters={"Scene": "/mnt/show/a.blend"},
            parameterDefinitions=[{"name": "Scene", "type": "PATH"}],
        )
        rules = [
            {"source_path_format": "POSIX", "source_path": "/mnt", "destination_path": "/elsewhere"},
            {"sourcePathFormat": "posix", "sourcePath": "/mnt/show", "destinationPath": "/local"},
        ]
        session(parameters=made.parameters, path_mapping_rules=rules).run_task(made.steps[0].script)
        assert "/local/a.blend /mnt/show/a.blend true" in recorder.messages
        (document,) = [json.loads(text) for text in recorder.messages if text.startswith("{")]
        assert document == {
            "version": "pathmapping-1.0",
            "path_mapping_rules": [
                {"source_path_format": "POSIX", "source_path": "/mnt/show", "destination_path": "/local"},
                {"source_path_format": "POSIX", "source_path": "/mnt", "destination_path": "/elsewhere"},
            ],
        }

    def test_bad_rule(self) -> None:
        with pytest.raises(ValueError, match="It needs source_path_format") as raised:
            _native.Session("s", path_mapping_rules=[{"source_path": "/a"}])
        assert str(raised.value).startswith('The path mapping rule {"source_path":"/a"} cannot be used: ')


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
        made = job(environments=[environment("host", "setsid sleep 300 >/dev/null 2>&1 & echo pid $!")])
        opened = session()
        opened.enter_environment(made.job_environments[0])
        (pid,) = [int(text.split()[1]) for text in recorder.messages if text.startswith("pid ")]
        assert alive(pid)
        opened.close()
        assert not alive(pid)


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


def test_expressions_that_cannot_be_resolved_fail_the_action(session: Make) -> None:
    with pytest.raises(TemplateError):
        job("{{Param.Nope}}")
    made = job(parameters={"A": "/a"}, parameterDefinitions=[{"name": "A", "type": "PATH"}], run="echo {{Param.A}}")
    result = session().run_task(made.steps[0].script)
    assert result["state"] == "FAILED"
    assert result["fail_message"].startswith("The arguments cannot be resolved: ")


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
