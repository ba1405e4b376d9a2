"""Submission hooks: which run, what they are told, what they may change, how they fail."""

from __future__ import annotations

import json
import os
import re
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from fakes.deadline_service import FARM, JOB, QUEUE, STORAGE_PROFILE, DeadlineService
from job_bundles import TEMPLATE, Bundle, create_job, refuse
from shotput import _native
from shotput.errors import (
    BundleError,
    DeadlineOperationCanceled,
    DeadlineOperationError,
    DeadlineOperationTimedOut,
    TemplateError,
    UserInitiatedCancel,
)


@pytest.fixture
def allowed(config_path: Path) -> str:
    """A configuration that allows both kinds of hooks."""
    for kind in ("bundle", "environment"):
        _native.set_setting(f"settings.allow_{kind}_hooks", "true", str(config_path))
    return str(config_path)


def program(folder: Path, name: str, body: str) -> Path:
    """A hook's program. It notes what it was told and then does what ``body`` says."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / name
    path.write_text(
        f"#!{sys.executable}\n"
        "import json, os, sys, time\n"
        "from pathlib import Path\n"
        "told = json.loads(sys.stdin.read())\n"
        f"note = Path({str(folder)!r}) / {f'{name}.json'!r}\n"
        "variables = {k: v for k, v in os.environ.items() if k.startswith('DEADLINE_') or k == 'EXTRA'}\n"
        "note.write_text(json.dumps({'told': told, 'variables': variables, 'arguments': sys.argv[1:]}))\n"
        f"{body}\n"
    )
    path.chmod(0o755)
    return path


def noted(folder: Path, name: str) -> dict[str, Any]:
    found = json.loads((folder / f"{name}.json").read_text())
    assert isinstance(found, dict)
    return found


def hooks(bundle: Bundle, *, before: list[Any] | None = None, after: list[Any] | None = None) -> Path:
    def entry(hook: Any) -> Any:
        return hook if isinstance(hook, dict) else {"command": hook}

    document = {
        "version": "1.0",
        "preSubmission": [entry(hook) for hook in before or []],
        "postSubmission": [entry(hook) for hook in after or []],
    }
    return bundle.write("hooks.yaml", document)


def test_hooks_do_not_run_by_default(
    service: DeadlineService,
    bundle: Bundle,
    submit: Callable[..., Any],
    config_path: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    elsewhere = tmp_path / "hooks"
    for folder in (bundle.folder, elsewhere):
        program(folder, "hook", "")
        Path(folder, "hooks.json").write_text('{"version": "1.0", "preSubmission": [{"command": "hook"}]}')
    monkeypatch.setenv("DEADLINE_HOOKS_DIR", str(elsewhere))
    printed: list[str] = []
    submit(
        on={"on_print": printed.append, "on_confirm": lambda *_: pytest.fail("nothing runs")},
        config_path=str(config_path),
    )
    assert [line for line in printed if "are not run" in line] == [
        f"The submission hooks in {elsewhere}/hooks.json are not run: settings.allow_environment_hooks is off.",
        f"The submission hooks in {bundle.folder}/hooks.json are not run: settings.allow_bundle_hooks is off.",
    ]
    assert not (bundle.folder / "hook.json").exists()
    assert not (elsewhere / "hook.json").exists()


def test_what_a_hook_is_told(
    service: DeadlineService, bundle: Bundle, submit: Callable[..., Any], allowed: str, tmp_path: Path
) -> None:
    for name in ("before", "after"):
        program(bundle.folder, name, "print('a line for people', file=sys.stderr)")
    bundle.write("data.txt", "x")
    hooks(
        bundle,
        before=[
            {
                "command": "before",
                "args": ["data.txt", "--flag", "nothing"],
                "env": {"EXTRA": 1, "DEADLINE_JOB_NAME": "mine"},
            }
        ],
        after=["after"],
    )
    bundle.values(Frames="7")
    printed: list[str] = []
    submit(
        on={"on_print": printed.append},
        config_path=allowed,
        priority=7,
        submitter_name="blender",
        storage_profile_id=STORAGE_PROFILE,
        job_parameters=[{"name": "Output", "value": str(tmp_path)}],
    )
    before, after = noted(bundle.folder, "before"), noted(bundle.folder, "after")
    told = before["told"]
    assert sorted(told) == [
        "assetReferences",
        "farmId",
        "jobBundleDir",
        "jobName",
        "parameters",
        "priority",
        "queueId",
        "storageProfileId",
        "submissionPayload",
        "submitterName",
    ]
    assert told["jobName"] == "A Job"
    assert (told["farmId"], told["queueId"], told["storageProfileId"]) == (FARM, QUEUE, STORAGE_PROFILE)
    assert told["jobBundleDir"] == str(bundle.folder)
    assert told["priority"] == 7
    assert told["submitterName"] == "blender"
    assert told["parameters"]["Frames"] == "7"
    assert told["parameters"]["Output"] == str(tmp_path)
    assert told["assetReferences"] == {
        "assetReferences": {
            "inputs": {"filenames": [], "directories": []},
            "outputs": {"directories": [str(tmp_path)]},
            "referencedPaths": [],
        }
    }
    assert told["submissionPayload"]["template"] == TEMPLATE
    assert told["submissionPayload"]["parameters"]["Frames"] == {"string": "7"}
    assert before["arguments"] == [str(bundle.folder / "data.txt"), "--flag", "nothing"]
    assert before["variables"] == {
        "DEADLINE_JOB_NAME": "mine",
        "DEADLINE_PRIORITY": "7",
        "DEADLINE_FARM_ID": FARM,
        "DEADLINE_QUEUE_ID": QUEUE,
        "DEADLINE_JOB_BUNDLE_DIR": str(bundle.folder),
        "DEADLINE_STORAGE_PROFILE_ID": STORAGE_PROFILE,
        "EXTRA": "1",
    }
    assert after["told"]["jobId"] == after["variables"]["DEADLINE_JOB_ID"] == JOB
    assert [line for line in printed if "a line" in line] == ["[before] a line for people", "[after] a line for people"]


def test_hooks_of_the_environment_come_first(
    service: DeadlineService,
    bundle: Bundle,
    submit: Callable[..., Any],
    allowed: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    elsewhere = tmp_path / "studio hooks"
    program(elsewhere, "first", "print(json.dumps({'priority': 10, 'parameters': {'Frames': '10', 'Samples': 10}}))")
    Path(elsewhere, "hooks.yaml").write_text("version: '1.0'\npreSubmission:\n- command: first\n")
    monkeypatch.setenv("DEADLINE_HOOKS_DIR", str(elsewhere))
    program(
        bundle.folder,
        "second",
        "print(json.dumps({'priority': told['submissionPayload']['priority'] + 1, 'parameters': {'Samples': 11}}))",
    )
    hooks(bundle, before=["second"])
    submit(config_path=allowed)
    body = create_job(service)
    assert body["priority"] == 11
    assert body["parameters"] == {"Frames": {"string": "10"}, "Samples": {"int": "11"}}


def test_a_caller_has_the_last_word_on_parameters(
    service: DeadlineService, bundle: Bundle, submit: Callable[..., Any], allowed: str
) -> None:
    program(bundle.folder, "hook", "print(json.dumps({'parameters': {'Frames': '10', 'Samples': 10}}))")
    hooks(bundle, before=["hook"])
    submit(config_path=allowed, job_parameters=[{"name": "Frames", "value": "5"}])
    assert create_job(service)["parameters"] == {"Frames": {"string": "5"}, "Samples": {"int": "10"}}


@pytest.mark.parametrize("how", ["text", "object", "file"])
def test_a_hook_changes_the_template(
    how: str, service: DeadlineService, bundle: Bundle, submit: Callable[..., Any], allowed: str
) -> None:
    changed = json.dumps(
        {
            "specificationVersion": "jobtemplate-2023-09",
            "name": "Changed",
            "steps": [{"name": "S", "script": {"actions": {"onRun": {"command": "/bin/true"}}}}],
        }
    )
    answers = {"text": {"template": changed}, "object": {"template": json.loads(changed)}}
    if how == "file":
        body = f"Path({str(bundle.folder / 'template.yaml')!r}).write_text({changed!r})"
    else:
        body = f"print({json.dumps(answers[how])!r})"
    program(bundle.folder, "hook", body)
    hooks(bundle, before=["hook"])
    submit(config_path=allowed)
    body = create_job(service)
    assert json.loads(body["template"]) == json.loads(changed)
    assert body["templateType"] == ("YAML" if how == "file" else "JSON")
    assert "parameters" not in body


def test_a_hook_adds_files(
    service: DeadlineService, bundle: Bundle, submit: Callable[..., Any], allowed: str, bucket: Path
) -> None:
    bundle.write("baked/cache.abc", b"baked")
    bundle.write("note.txt", b"note")
    references = {"inputFilenames": ["note.txt"], "inputDirectories": [str(bundle.folder / "baked")]}
    program(bundle.folder, "hook", f"print({json.dumps({'attachments': {'assetReferences': references}})!r})")
    hooks(bundle, before=["hook"])
    sent: list[dict[str, Any]] = []
    submit(config_path=allowed, on={"on_upload_progress": lambda info: sent.append(info) or True})
    assert sent[-1]["processedFiles"] == 2
    assert len(create_job(service)["attachments"]["manifests"]) == 1


def test_other_members(service: DeadlineService, bundle: Bundle, submit: Callable[..., Any], allowed: str) -> None:
    answer = {"maxWorkerCount": 3, "targetTaskRunStatus": "SUSPENDED", "farmId": "farm-other"}
    program(bundle.folder, "hook", f"print({json.dumps(answer)!r})")
    hooks(bundle, before=["hook"])
    printed: list[str] = []
    submit(config_path=allowed, on={"on_print": printed.append})
    body = create_job(service)
    assert (body["maxWorkerCount"], body["targetTaskRunStatus"]) == (3, "SUSPENDED")
    assert "A submission hook answered farmId, which cannot be changed." in printed


@pytest.mark.parametrize(
    ("answer", "complaint"),
    [
        ({"priority": [1]}, "priority as [1]"),
        ({"parameters": 5}, "parameters as 5"),
        ({"attachments": []}, "attachments as []"),
        ({"attachments": {"assetReferences": {"inputFilenames": "a"}}}, 'inputFilenames as "a"'),
        ({"attachments": {"assetReferences": {"inputFilenames": [5]}}}, "5 in inputFilenames"),
        ({"template": 5}, "template as 5"),
        ({"template": "a: ["}, "a template that is not YAML (*)"),
        (
            {"parameters": {"Scene": "shot.blend"}},
            'the relative path "shot.blend" for the parameter "Scene"; it must be absolute',
        ),
    ],
)
def test_answers_that_cannot_be_used(
    answer: Any, complaint: str, service: DeadlineService, bundle: Bundle, submit: Callable[..., Any], allowed: str
) -> None:
    program(bundle.folder, "hook", f"print({json.dumps(answer)!r})")
    hooks(bundle, before=["hook"])
    with pytest.raises(DeadlineOperationError) as caught:
        submit(config_path=allowed)
    expected = f"A submission hook answered {complaint}, which cannot be used. Correct the hook."
    assert re.fullmatch(re.escape(expected).replace(r"\*", ".+"), str(caught.value))
    assert service.sent("POST", "/jobs") == []


def test_a_template_that_a_hook_breaks(
    service: DeadlineService, bundle: Bundle, submit: Callable[..., Any], allowed: str
) -> None:
    answer = {"template": {"specificationVersion": "jobtemplate-2023-09", "name": "J", "steps": []}}
    program(bundle.folder, "hook", f"print({json.dumps(answer)!r})")
    hooks(bundle, before=["hook"])
    with pytest.raises(TemplateError):
        submit(config_path=allowed)
    assert service.sent("POST", "/jobs") == []


def test_output_that_is_no_object(
    service: DeadlineService, bundle: Bundle, submit: Callable[..., Any], allowed: str
) -> None:
    program(bundle.folder, "hook", "print('done')")
    document = hooks(bundle, before=["hook"])
    refuse(
        submit,
        DeadlineOperationError,
        f'The submission hook "hook" of {document} did not print a JSON object. A hook before the submission prints '
        "nothing, or the members to change; what is for people goes to its standard error.",
        service,
        config_path=allowed,
    )


def test_a_hook_that_fails(service: DeadlineService, bundle: Bundle, submit: Callable[..., Any], allowed: str) -> None:
    program(bundle.folder, "hook", "sys.exit('no licence')")
    document = hooks(bundle, before=["hook"])
    printed: list[str] = []
    refuse(
        submit,
        DeadlineOperationError,
        f'The submission hook "hook" of {document} ended with code 1, so the job was not submitted.',
        service,
        config_path=allowed,
        on={"on_print": printed.append},
    )
    assert printed[-1] == "[hook] no licence"


def test_a_hook_after_the_submission_only_warns(
    service: DeadlineService, bundle: Bundle, submit: Callable[..., Any], allowed: str
) -> None:
    program(bundle.folder, "bad", "sys.exit(3)")
    program(bundle.folder, "good", "print('told the tracker')")
    document = hooks(bundle, after=["bad", "good"])
    printed: list[str] = []
    assert submit(config_path=allowed, on={"on_print": printed.append}) == {"job_id": JOB}
    assert printed[-2:] == [
        f'Warning: The submission hook "bad" of {document} ended with code 3; the job was submitted before.',
        "told the tracker",
    ]


def test_a_hook_that_takes_too_long_ends_with_all_that_it_started(
    service: DeadlineService, bundle: Bundle, submit: Callable[..., Any], allowed: str
) -> None:
    program(
        bundle.folder,
        "hook",
        "import subprocess\n"
        "child = subprocess.Popen(['sleep', '1000'])\n"
        f"Path({str(bundle.folder / 'pid')!r}).write_text(str(child.pid))\n"
        "time.sleep(1000)",
    )
    document = hooks(bundle, before=[{"command": "hook", "timeout": 1}])
    refuse(
        submit,
        DeadlineOperationTimedOut,
        f'The submission hook "hook" of {document} did not end within 1 seconds. Make it faster, or raise its timeout.',
        service,
        config_path=allowed,
    )
    pid = int((bundle.folder / "pid").read_text())
    while (
        Path(f"/proc/{pid}").exists() and "Z" not in Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
    ):
        time.sleep(0.01)


def test_a_process_that_a_hook_leaves_behind_goes_on(
    service: DeadlineService, bundle: Bundle, submit: Callable[..., Any], allowed: str
) -> None:
    program(
        bundle.folder,
        "hook",
        "import subprocess\n"
        "child = subprocess.Popen(['sleep', '1000'])\n"
        f"Path({str(bundle.folder / 'pid')!r}).write_text(str(child.pid))\n",
    )
    hooks(bundle, before=["hook"])
    submit(config_path=allowed)
    os.kill(int((bundle.folder / "pid").read_text()), 9)


@pytest.mark.parametrize(
    ("document", "complaint"),
    [
        ({"version": "2.0"}, 'have the version "2.0"; only "1.0" is known'),
        ({}, "cannot be used: missing field `version`"),
        (
            {"version": "1.0", "preSubmission": [{"args": []}]},
            "cannot be used: preSubmission[0]: missing field `command`",
        ),
        (
            {"version": "1.0", "preSubmission": [{"command": "a", "timeout": 0}]},
            "have a timeout of 0; it must be a number of seconds from 1 on",
        ),
        (
            {"version": "1.0", "postSubmission": [{"command": "a", "timeout": "long"}]},
            'cannot be used: postSubmission[0].timeout: invalid type: string "long", expected u64',
        ),
    ],
)
def test_documents_that_cannot_be_used(
    document: Any, complaint: str, service: DeadlineService, bundle: Bundle, submit: Callable[..., Any], allowed: str
) -> None:
    path = bundle.write("hooks.json", document)
    refuse(submit, BundleError, f"The hooks {path} {complaint}.", service, config_path=allowed)


def test_a_program_that_is_not_there(
    service: DeadlineService, bundle: Bundle, submit: Callable[..., Any], allowed: str
) -> None:
    document = hooks(bundle, before=["no-such-program"])
    refuse(
        submit,
        DeadlineOperationError,
        f'The submission hook "no-such-program" of {document} is neither a file, nor one in {bundle.folder}, nor a '
        "program on PATH.",
        service,
        config_path=allowed,
    )


def test_a_program_on_path(service: DeadlineService, bundle: Bundle, submit: Callable[..., Any], allowed: str) -> None:
    hooks(bundle, before=["true"])
    submit(config_path=allowed)
    assert create_job(service)


def test_the_folder_of_the_environment_must_exist(
    service: DeadlineService, submit: Callable[..., Any], allowed: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DEADLINE_HOOKS_DIR", "/nowhere/hooks")
    refuse(
        submit,
        DeadlineOperationError,
        "The folder of submission hooks /nowhere/hooks (DEADLINE_HOOKS_DIR) does not exist. Correct the variable, or "
        "turn settings.allow_environment_hooks off.",
        service,
        config_path=allowed,
    )


def test_a_bundle_that_is_a_copy_finds_its_programs_where_it_came_from(
    service: DeadlineService, bundle: Bundle, submit: Callable[..., Any], allowed: str, tmp_path: Path
) -> None:
    origin = tmp_path / "origin"
    program(origin, "hook", "")
    bundle.write(".hooks_origin", f"{origin}\n")
    hooks(bundle, before=["hook"])
    submit(config_path=allowed)
    assert noted(origin, "hook")["told"]["jobBundleDir"] == str(bundle.folder)


def test_a_person_is_asked(service: DeadlineService, bundle: Bundle, submit: Callable[..., Any], allowed: str) -> None:
    program(bundle.folder, "hook", "")
    document = hooks(bundle, before=[{"command": "hook", "args": ["a"]}], after=["true"])
    asked: list[Any] = []
    with pytest.raises(UserInitiatedCancel) as caught:
        submit(config_path=allowed, on={"on_confirm": lambda *question: asked.append(question)})
    assert str(caught.value) == "The submission was declined, because of its hooks. Nothing was sent."
    assert asked == [
        (
            f"This submission runs programs:\n\n  before it: hook a ({document})\n  after it: true ({document})\n\n"
            "Run them?",
            True,
        )
    ]
    assert service.requests == []
    submit(config_path=allowed, auto_accept=True, on={"on_confirm": lambda *_: pytest.fail("auto_accept answers")})
    submit(config_path=allowed)


def test_a_submission_is_canceled_while_a_hook_runs(
    service: DeadlineService, bundle: Bundle, submit: Callable[..., Any], allowed: str
) -> None:
    program(bundle.folder, "hook", "print('go', file=sys.stderr, flush=True)\ntime.sleep(1000)")
    hooks(bundle, before=["hook"])

    class EnoughError(Exception):
        pass

    def enough(line: str) -> None:
        if line == "[hook] go":
            raise EnoughError

    with pytest.raises(EnoughError):
        submit(config_path=allowed, on={"on_print": enough})
    assert service.sent("POST", "/jobs") == []
    assert issubclass(UserInitiatedCancel, DeadlineOperationCanceled)
