"""Environments of sessions and the variables that they set."""

from __future__ import annotations

import json
import os

import pytest
from session_jobs import Make, Recorder, environment, job
from shotput import _native
from shotput.errors import SessionError, TemplateError

pytestmark = pytest.mark.skipif(os.name == "nt", reason="the scripts are for a POSIX shell")


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


def test_expressions_that_cannot_be_resolved_fail_the_action(session: Make) -> None:
    with pytest.raises(TemplateError):
        job("{{Param.Nope}}")
    made = job(parameters={"A": "/a"}, parameterDefinitions=[{"name": "A", "type": "PATH"}], run="echo {{Param.A}}")
    result = session().run_task(made.steps[0].script)
    assert result["state"] == "FAILED"
    assert result["fail_message"].startswith("The arguments cannot be resolved: ")
