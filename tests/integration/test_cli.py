"""The ``shotput`` command, process by process, against a farm of its own."""

from __future__ import annotations

import contextlib
import json
import os
import pty
import re
import signal
import stat
import subprocess
import time
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from integration.command import PROGRAM, Command, bundle, runner, writer
from shotput import local_farm

NOBODY = "job-" + "0" * 32
COMMANDS = [
    [],
    ["demo"],
    ["check"],
    ["export"],
    ["submit"],
    ["report"],
    ["farm"],
    *(["farm", name] for name in ("up", "down", "status", "env")),
    ["job"],
    *(["job", name] for name in ("list", "show", "logs", "wait", "cancel", "outputs")),
]


@pytest.fixture(scope="module")
def shotput(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Command]:
    """The command with a farm that the tests of this module share."""
    command = Command(tmp_path_factory.mktemp("cli"))
    command("farm", "up")
    yield command
    local_farm.stop(data_dir=command.data)


@pytest.fixture
def alone(tmp_path: Path) -> Iterator[Command]:
    """The command with nothing that runs."""
    command = Command(tmp_path / "alone")
    yield command
    local_farm.stop(data_dir=command.data)


@pytest.fixture
def light(shotput: Command, tmp_path: Path) -> Path:
    """A bundle of three quick tasks; their outputs go to ``tmp_path/out``."""
    out = str(tmp_path / "out")
    return bundle(tmp_path / "bundle", writer("Light"), {"OutputDir": out}, outputs=[out])


def until(condition: Callable[[], Any], seconds: float = 60) -> Any:
    deadline = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < deadline, "not in time"
        time.sleep(0.02)
    return found


@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
def test_help_has_an_example(shotput: Command, words: list[str]) -> None:
    text = shotput(*words, "--help")
    assert f"Usage: {' '.join(['shotput', *words])} " in text
    assert "Example: " in text
    example = text.partition("Example: ")[2]
    assert " ".join(["shotput", *words]) in example


def test_a_farm_from_up_to_down(alone: Command) -> None:
    assert alone("farm", "status") == (f"The farm does not run. Start it: shotput farm up\ndata in {alone.data}\n")
    assert alone.document("farm", "status") == {"running": False, "dataDir": str(alone.data)}
    first = alone.document("farm", "up")
    state = alone.farm
    assert first == {
        "running": True,
        "version": state["version"],
        "pid": state["pid"],
        "endpointUrl": state["endpoint_url"],
        "s3EndpointUrl": state["s3_endpoint_url"],
        "farmId": state["farm_id"],
        "queueId": state["queue_id"],
        "fleetId": state["fleet_id"],
        "dataDir": str(alone.data),
    }
    # Logs and databases of the farm are nobody else's.
    assert stat.S_IMODE(alone.data.stat().st_mode) == 0o700
    assert alone.document("farm", "up") == first
    again = [line.rstrip() for line in alone("farm", "up").splitlines()]
    assert again == [
        "● The farm runs already.",
        f"endpoint  {state['endpoint_url']}",
        f"farm      {state['farm_id']}",
        f"queue     {state['queue_id']}",
        f"data      {alone.data}",
        f"process   {state['pid']}",
    ]
    assert alone.document("farm", "status") == first
    assert alone("farm", "status").splitlines()[0] == "● The farm runs."
    assert alone("farm", "down") == "✓ The farm is stopped.\n"
    assert alone("farm", "down") == "The farm does not run.\n"
    assert alone.document("farm", "down") == {"running": False, "stopped": False}
    assert not (alone.data / "farm.json").exists()


def test_the_environment_is_what_a_shell_reads(shotput: Command) -> None:
    variables = shotput.document("farm", "env")
    assert variables["AWS_ENDPOINT_URL_DEADLINE"] == shotput.farm["endpoint_url"]
    assert variables["AWS_SECRET_ACCESS_KEY"] == shotput.farm["secret_access_key"]
    script = shotput("farm", "env") + "env"
    seen = subprocess.run(["sh", "-c", script], capture_output=True, text=True, check=True).stdout.splitlines()
    assert {f"{name}={value}" for name, value in variables.items()} <= set(seen)


def test_a_farm_that_cannot_start_says_why(alone: Command) -> None:
    alone.data.parent.mkdir()
    alone.data.write_text("a file where the folder should be")
    answer = alone.end(alone.start("farm", "up"))
    assert (answer.code, answer.out) == (5, "")
    assert answer.err == (
        f"No log is written: {alone.log} cannot be opened (Not a directory).\n"
        f"Error: The farm cannot be started: its folder {alone.data} cannot be used (File exists). Make it writable, "
        "or name another one in SHOTPUT_DATA_DIR.\n"
    )


def test_a_bundle_that_keeps_the_rules(shotput: Command, light: Path) -> None:
    assert shotput("check", light) == f"✓ {light} is valid.\n"
    assert shotput("check", light / "template.yaml") == f"✓ {light / 'template.yaml'} is valid.\n"
    assert shotput.document("check", light) == {"path": str(light), "findings": []}


def test_a_template_that_is_not_yaml(shotput: Command, tmp_path: Path) -> None:
    template = tmp_path / "template.yaml"
    template.write_text("name: [never closed\nsteps: }")
    said = shotput.refused("check", template, code=3)
    first, second = said.splitlines()
    assert first == f"{template} has 1 error:"
    assert second.startswith("  document: ")
    assert "YAML" in second


def test_every_broken_rule_is_listed_with_its_place(shotput: Command, tmp_path: Path) -> None:
    document = writer("Broken")
    document["parameterDefinitions"][0]["minLength"] = 9
    step = document["steps"][0]
    step["name"] = "x" * 65
    step["parameterSpace"]["taskParameterDefinitions"][0]["range"] = "1-"
    action = {"command": "{{Param.Nope}}"}
    document["steps"].append({"name": "Unknown", "script": {"actions": {"onRun": action}}})
    folder = bundle(tmp_path / "broken", document, {"OutputDir": str(tmp_path / "out")})
    said = (
        f"{folder / 'template.yaml'} has 4 errors:\n"
        "  steps[0] -> name: exceeds 64 characters.\n"
        "  parameterDefinitions[0]: Parameter 'Text': default length 5 is less than minLength 9.\n"
        "  steps[0] -> parameterSpace -> taskParameterDefinitions[0]: INT parameter 'Frame' range expression error: "
        "Unexpected end of expression: '1-'\n"
        "  steps[1] -> script -> actions -> onRun -> command: Failed to parse interpolation expression at [0, 14]. "
        "Undefined variable: 'Param.Nope'. Did you mean: Param.Text\n"
        "      Param.Nope\n"
        "      ~~~~~~^~~~"
    )
    assert shotput.refused("check", folder, code=3) == said
    error = shotput.document("check", folder, code=3)["error"]
    assert [finding["path"] for finding in error["findings"]] == [
        "steps[0] -> name",
        "parameterDefinitions[0]",
        "steps[0] -> parameterSpace -> taskParameterDefinitions[0]",
        "steps[1] -> script -> actions -> onRun -> command",
    ]


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda path: None, "Cannot read {path}: No such file or directory."),
        (
            lambda path: path.mkdir(),
            "{path} has neither template.yaml nor template.json; a job bundle has exactly one of them.",
        ),
        (lambda path: path.write_bytes(b"\xff\xfe\x00"), "{path} is not UTF-8 text."),
    ],
    ids=["missing", "empty folder", "not text"],
)
def test_what_is_no_template(shotput: Command, tmp_path: Path, make: Callable[[Path], Any], said: str) -> None:
    path = tmp_path / "thing"
    make(path)
    assert shotput.refused("check", path, code=3) == said.format(path=path)


def test_every_mistake_of_a_bundle_is_listed_without_a_farm(alone: Command, tmp_path: Path) -> None:
    document = writer("Wrong")
    document["parameterDefinitions"] += [
        {"name": "Take", "type": "INT"},
        {"name": "Size", "type": "INT", "minValue": 1, "default": 2},
        {"name": "Map", "type": "PATH", "default": ""},
    ]
    folder = bundle(tmp_path / "bundle", document)
    listed = [
        {"name": "OutputDir", "value": str(tmp_path / "out")},
        {"name": "Nope", "value": 3},
        {"name": "Text", "value": 3},
        {"name": "Size", "value": 0},
        {"name": "Map", "value": "../map.png"},
        {"name": "deadline:priority", "value": 1000},
        {"name": "deadline:color", "value": 1},
        {"name": "Size"},
    ]
    (folder / "parameter_values.yaml").write_text(json.dumps({"parameterValues": listed}))
    inputs = {"filenames": ["in.png", "../../out.png", 4], "directories": "maps"}
    (folder / "asset_references.yaml").write_text(json.dumps({"assetReferences": {"inputs": inputs, "outputs": []}}))
    (folder / "link").symlink_to("/etc/passwd")
    out = "it leads outside of the job bundle; write it as an absolute path"
    wrong = [
        ("parameterValues[1] -> value", "the template has no parameter Nope; it would have to be one of the queue's "
         "environments"),
        ("parameterValues[2] -> value", "Text cannot be 3: it must be text; put it between quotes"),
        ("parameterValues[3] -> value", "Size cannot be 0: it must be at least 1"),
        ("parameterValues[4] -> value", f'Map cannot be "../map.png": {out}'),
        ("parameterValues[5] -> value", "deadline:priority cannot be 1000: it must be at most 100"),
        ("parameterValues[6] -> value", "deadline:color is no setting of a job; there are deadline:priority, "
         "deadline:targetTaskRunStatus, deadline:maxFailedTasksCount, deadline:maxRetriesPerTask, "
         "deadline:maxWorkerCount"),
        ("parameterValues[7]", 'must be {"name": ..., "value": ...}, and is {"name": "Size"}'),
        ("Take", "the parameter has neither a value nor a default"),
    ]  # fmt: skip
    references = [
        ("assetReferences -> inputs -> filenames[1]", f'"../../out.png" cannot be used: {out}'),
        ("assetReferences -> inputs -> filenames[2]", "4 cannot be used: it must be a path"),
        ("assetReferences -> inputs -> directories", 'must be a list of paths, and is "maps"'),
        ("assetReferences -> outputs", "must be a mapping, and is []"),
    ]
    link = (
        f"The job bundle {folder} holds the link {folder / 'link'}, which leads outside, to /etc/passwd. Put the file "
        "itself into the bundle, or refer to it in asset_references."
    )
    assert alone.refused("check", folder, code=3).splitlines() == [
        f"{folder / 'parameter_values.yaml'} has 8 errors:",
        *(f"  {place}: {said}" for place, said in wrong),
        f"{folder / 'asset_references.yaml'} has 4 errors:",
        *(f"  {place}: {said}" for place, said in references),
        f"{folder} has 1 error:",
        f"  document: {link}",
    ]
    found = alone.document("check", folder, code=3)["error"]["findings"]
    assert found == [
        *({"document": "parameter_values.yaml", "path": place, "message": said} for place, said in wrong),
        *({"document": "asset_references.yaml", "path": place, "message": said} for place, said in references),
        {"document": "", "path": "", "message": link},
    ]
    assert not (alone.data / "farm.json").exists()


def test_a_bundle_without_a_value_is_named(shotput: Command, tmp_path: Path) -> None:
    document = writer("No value")
    document["parameterDefinitions"].append({"name": "Take", "type": "INT"})
    folder = bundle(tmp_path / "bundle", document, {"OutputDir": str(tmp_path / "out")})
    said = shotput.refused("submit", folder, code=3)
    assert said == (
        "These job parameters have neither a value nor a default: Take. Give them in the bundle's parameter_values, or "
        "with the submission."
    )


def test_submit_wait_and_look_at_it(shotput: Command, light: Path, tmp_path: Path) -> None:
    text = shotput("submit", light, "--wait", "--name", "By [hand]", "-p", "Text=dark", "--priority", "70")
    (job_id,) = (word.rstrip(",") for word in text.split() if word.startswith("job-"))
    assert text == f"SUCCEEDED By [hand] {job_id}, 3/3 tasks\n3 files, 12 B\n  {tmp_path / 'out'}\n"
    assert {path.name: path.read_text() for path in (tmp_path / "out").iterdir()} == {
        "1.txt": "dark",
        "2.txt": "dark",
        "3.txt": "dark",
    }
    job = shotput.document("job", "show", "last")
    assert (job["jobId"], job["name"], job["priority"]) == (job_id, "By [hand]", 70)
    assert job["parameters"] == {"Text": {"string": "dark"}, "OutputDir": {"path": str(tmp_path / "out")}}
    assert [step["name"] for step in job["steps"]] == ["Write"]
    shown = [line.rstrip() for line in shotput("job", "show", job_id).splitlines()]
    assert shown[:2] == [f"By [hand]  {job_id}", "SUCCEEDED  3/3 tasks  priority 70"]
    assert shown[4:6] == [
        "STEP   STATUS     TASKS  FAILED  RETRIES",
        "Write  SUCCEEDED    3/3       0        0",
    ]
    assert f"OutputDir  {tmp_path / 'out'}" in shown
    listed = shotput.document("job", "list", "--limit", "1")["jobs"]
    assert [(entry["jobId"], entry["name"]) for entry in listed] == [(job_id, "By [hand]")]
    head, row = (line.split() for line in shotput("job", "list", "-n", "1").splitlines())
    assert head == ["JOB", "STATUS", "TASKS", "CREATED", "NAME"]
    assert row[:3] == [job_id, "SUCCEEDED", "3/3"]
    logs = shotput.document("job", "logs", job_id[:20])
    messages = [event["message"] for session in logs["sessions"] for event in session["events"]]
    # Three tasks of one core each may run beside each other.
    assert sorted(line for line in messages if line.startswith("wrote")) == [f"wrote frame {n}" for n in (1, 2, 3)]
    printed = shotput("job", "logs", job_id.removeprefix("job-")[:16])
    assert "wrote frame 3\n" in printed
    assert shotput("job", "cancel", job_id) == f"{job_id} has ended already: SUCCEEDED.\n"


def test_submit_then_wait_in_another_process(shotput: Command, light: Path, tmp_path: Path) -> None:
    answer = shotput.document("submit", light)
    sent = {"files": 0, "bytes": 0, "skippedFiles": 0}
    assert answer == {"jobId": answer["jobId"], "source": str(light), "target": "local", "sent": sent}
    assert (light / "template.yaml").is_file()
    final = shotput.document("job", "wait", answer["jobId"], "--timeout", "60")
    assert (final["jobId"], final["taskRunStatus"]) == (answer["jobId"], "SUCCEEDED")
    assert not (tmp_path / "out").exists()
    home = shotput.document("job", "outputs", answer["jobId"])
    assert sorted(home["files"]) == [str(tmp_path / "out" / f"{n}.txt") for n in (1, 2, 3)]
    (tmp_path / "out" / "2.txt").write_text("mine, and longer")
    shotput("job", "outputs", answer["jobId"], "--conflict", "skip")
    assert (tmp_path / "out" / "2.txt").read_text() == "mine, and longer"
    shotput("job", "outputs", answer["jobId"], "--conflict", "create_copy")
    assert sorted(path.read_text() for path in (tmp_path / "out").glob("2*")) == ["light", "mine, and longer"]
    shotput("job", "outputs", answer["jobId"])
    assert (tmp_path / "out" / "2.txt").read_text() == "light"


def test_a_job_that_fails_and_one_that_is_canceled(shotput: Command, tmp_path: Path) -> None:
    failing = bundle(tmp_path / "failing", runner("Fails", "import sys; print('no licence'); sys.exit(7)"))
    (failing / "parameter_values.yaml").write_text(
        json.dumps({"parameterValues": [{"name": "deadline:maxRetriesPerTask", "value": 0}]})
    )
    text = shotput("submit", failing, "--wait", code=10)
    (job_id, *_) = (word.rstrip(",") for word in text.split() if word.startswith("job-"))
    assert text == f"FAILED Fails {job_id}, 0/1 tasks\nSee why: shotput job logs {job_id}\n"
    assert "no licence\n" in shotput("job", "logs", "last")
    assert shotput.document("job", "wait", job_id, code=10)["taskRunStatus"] == "FAILED"
    sleeping = bundle(tmp_path / "sleeping", runner("Sleeps", "import time; time.sleep(600)"))
    job_id = shotput.document("submit", sleeping)["jobId"]
    said = shotput.refused("job", "wait", job_id, "--timeout", "0.1", code=14).replace("READY", "RUNNING")
    for status in ("STARTING", "ASSIGNED", "SCHEDULED"):
        said = said.replace(status, "RUNNING")
    assert said == (
        f"The job {job_id} did not end within 0.1 s; it is RUNNING (0 of 1 tasks) and goes on. Wait again, or cancel "
        "it."
    )
    assert shotput("job", "cancel", job_id) == f"✓ {job_id} is being canceled.\n"
    assert shotput.document("job", "wait", job_id, code=11)["taskRunStatus"] == "CANCELED"


def test_jobs_that_are_not_there(shotput: Command, alone: Command) -> None:
    for verb in ("show", "logs", "wait", "cancel", "outputs"):
        said = shotput.refused("job", verb, NOBODY, code=2)
        assert said == f"No job has the id {NOBODY}; `shotput job list` shows them."
    assert shotput.refused("job", "show", "zzz", code=2) == (
        "No job's id begins with 'zzz'; `shotput job list` shows them."
    )
    # The farm is started by the first command that needs it.
    assert alone.refused("job", "show", "last", code=2) == "There is no job yet; submit one with `shotput submit`."
    assert alone("job", "list") == "No jobs yet. Submit one: shotput submit SCENE\n"
    assert alone.document("job", "list") == {"jobs": []}


def test_a_beginning_that_several_jobs_have(shotput: Command, light: Path) -> None:
    count = 0
    while count < 2:
        shotput("submit", light)
        count = len(shotput.document("job", "list")["jobs"])
    said = shotput.refused("job", "show", "job-", code=2)
    assert said == f"{count} jobs' ids begin with 'job-'; `shotput job list` shows them."


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["jobb"], 2, "No such command 'jobb'. Did you mean 'job'? See `shotput --help`."),
        (["farm", "frob"], 2, "No such command 'frob'. See `shotput farm --help`."),
        (["submit"], 2, "Missing argument 'SCENE|BUNDLE'. See `shotput submit --help`."),
        (["check", "a", "--loud"], 2, "No such option: --loud. See `shotput check --help`."),
        (
            ["job", "outputs", "--conflict", "merge"],
            2,
            "Invalid value for '--conflict' / '--conflict-resolution': 'merge' is not one of 'skip', 'overwrite', "
            "'create_copy'. See `shotput "
            "job outputs --help`.",
        ),
        (
            ["submit", "x", "--priority", "300"],
            2,
            "Invalid value for '--priority': 300 is not in the range 0<=x<=100. See `shotput submit --help`.",
        ),
        (
            ["submit", "x", "--name", ""],
            2,
            "Invalid value for '--name': '' is no name of a job; give one line of 1 to 128 characters without spaces "
            "around it and without double braces. See `shotput submit --help`.",
        ),
        (
            ["submit", "x", "--name", "a\nb"],
            2,
            "Invalid value for '--name': 'a\\nb' is no name of a job; give one line of 1 to 128 characters without "
            "spaces around it and without double braces. See `shotput submit --help`.",
        ),
        (
            ["submit", "x", "--name", "n" * 129],
            2,
            f"Invalid value for '--name': '{'n' * 129}' is no name of a job; give one line of 1 to 128 characters "
            "without spaces around it and without double braces. See `shotput submit --help`.",
        ),
        (["submit", "n" * 300], 3, f"{'n' * 300} does not exist; name a scene file or a job bundle's folder."),
        (["check", "n" * 300], 3, f"Cannot read {'n' * 300}: File name too long."),
        (
            ["submit", ".", "--set", "samples=4"],
            2,
            "--set and --executable are for scenes, and . is a job bundle; give it parameters with -p NAME=VALUE.",
        ),
        (["submit", "nowhere"], 3, "nowhere does not exist; name a scene file or a job bundle's folder."),
        (
            ["export", "scene.foo", "-o", "b"],
            3,
            "No host opens '.foo' files ({work}/scene.foo). Scenes end in: {suffixes}.",
        ),
        (
            ["job", "list", "--target", "cloud"],
            6,
            "The client configuration names no farm (defaults.farm_id). Set it with `shotput config set`, or use "
            "--target local.",
        ),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_a_mistake_is_one_sentence(shotput: Command, words: list[str], code: int, said: str) -> None:
    from shotput import profile

    suffixes = sorted(suffix for name in profile.names() for suffix in profile.find(name).suffixes)
    assert shotput.refused(*words, code=code) == said.format(suffixes=", ".join(suffixes), work=shotput.work)


def test_values_that_are_no_pairs_and_unknown_parameters(shotput: Command, light: Path) -> None:
    assert shotput.refused("submit", light, "-p", "Text", code=2) == (
        "Invalid value for --parameter: 'Text' is not NAME=VALUE. See `shotput submit --help`."
    )
    assert shotput.refused("submit", light, "-p", "Texture=1", code=3) == (
        'There is no parameter "Texture" in the template or in an environment of the queue. Correct the name.'
    )


def test_missing_inputs_are_listed_and_may_be_left_out(shotput: Command, tmp_path: Path) -> None:
    gone = str(tmp_path / "gone.png")
    out = str(tmp_path / "out")
    folder = bundle(tmp_path / "bundle", writer("Gap"), {"OutputDir": out}, inputs=[gone], outputs=[out])
    error = shotput.document("submit", folder, code=4)["error"]
    assert error["kind"] == "MISSING_FILES"
    assert gone in error["message"]
    assert shotput.refused("submit", folder, code=4) == error["message"]
    assert shotput.document("submit", folder, "--ignore-missing", "--wait")["taskRunStatus"] == "SUCCEEDED"


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)], ids=["int", "term"])
@pytest.mark.parametrize("verb", ["submit", "wait"])
def test_a_signal_ends_the_wait_and_not_the_job(
    shotput: Command, tmp_path: Path, verb: str, number: signal.Signals, code: int
) -> None:
    for extra in ([], ["--json"]):
        work = tmp_path / f"job{len(extra)}"
        work.mkdir()
        marker = work / "runs"
        program = f"import pathlib, time; pathlib.Path({str(marker)!r}).touch(); time.sleep(600)"
        folder = bundle(work / "bundle", runner("Waits", program))
        if verb == "submit":
            process = shotput.start("submit", folder, "--wait", *extra)
            until(marker.exists)
        else:
            shotput("submit", folder)
            until(marker.exists)
            before = shotput.log.stat().st_size
            process = shotput.start("job", "wait", "last", *extra)
            until(lambda size=before: shotput.log.stat().st_size > size)
            # From the first line of its log to the wait is a look at the farm.
            time.sleep(1)
        job_id = shotput.document("job", "show", "last")["jobId"]
        process.send_signal(number)
        answer = shotput.end(process, 20)
        message = f"Canceled. The job goes on: shotput job wait {job_id}"
        if extra:
            kind = {130: "CANCELED", 143: "TERMINATED"}[code]
            error = {"message": message, "kind": kind, "exitCode": code, "log": str(shotput.log)}
            assert (answer.code, answer.err, json.loads(answer.out)) == (code, "", {"error": error, "jobId": job_id})
        else:
            assert (answer.code, answer.out, answer.err) == (code, "", f"{message}\nLog: {shotput.log}\n")
        assert shotput.document("job", "show", job_id)["taskRunStatus"] == "RUNNING"
        shotput("job", "cancel", job_id)
        shotput("job", "wait", job_id, code=11)


def test_a_failure_after_the_submission_names_the_job(shotput: Command, tmp_path: Path) -> None:
    folder = bundle(tmp_path / "bundle", runner("Long", "import time; time.sleep(600)"))
    job_id = shotput.document("submit", folder)["jobId"]
    document = shotput.document("job", "wait", job_id, "--timeout", "0", code=14)
    assert (document["jobId"], document["error"]["kind"]) == (job_id, "TIMED_OUT")
    shotput("job", "cancel", job_id)


def test_no_value_of_a_parameter_is_in_the_log(shotput: Command, light: Path) -> None:
    shotput("submit", light, "-p", "Text=hunter two", "--parameter=Text=hunter three")
    lines = [line for line in shotput.log.read_text().splitlines() if f"submit {light}" in line]
    assert lines[-1].endswith(f": submit {light} -p Text=… --parameter=…")
    assert "hunter" not in shotput.log.read_text()


def on_a_terminal(shotput: Command, width: int, code: int, *arguments: str | Path) -> str:
    """What the command shows a person whose terminal has ``width`` columns."""
    master, terminal = pty.openpty()
    with os.fdopen(terminal, "wb") as stream:
        process = subprocess.Popen(
            [*PROGRAM, *map(str, arguments)], stdin=subprocess.DEVNULL, stdout=stream, stderr=stream,
            env={**shotput.variables(), "TERM": "xterm", "COLUMNS": str(width)}, cwd=shotput.work,
        )  # fmt: skip
    said = b""
    with contextlib.suppress(OSError):
        while part := os.read(master, 65536):
            said += part
    os.close(master)
    assert process.wait(60) == code
    return said.decode().replace("\r\n", "\n")


def test_no_bar_stands_above_an_error(shotput: Command, tmp_path: Path) -> None:
    document = writer("No value")
    document["parameterDefinitions"].append({"name": "Take", "type": "INT"})
    folder = bundle(tmp_path / "bundle", document, {"OutputDir": str(tmp_path / "out")})
    said = on_a_terminal(shotput, 300, 3, "submit", folder)
    assert "These job parameters have neither a value nor a default: Take." in said
    assert ("Hashing" in said, "Upload" in said, "%" in said) == (False, False, False)


def test_an_error_breaks_between_words_and_a_path_stays_whole(shotput: Command) -> None:
    whole = shotput.refused("check", "no-such-folder/" * 5, code=3)
    error, _, log = re.sub(
        r"\x1b\[[0-9;]*m", "", on_a_terminal(shotput, 40, 3, "check", "no-such-folder/" * 5)
    ).partition("\nLog: ")
    assert " ".join(error.split("\n")) == f"Error: {whole}"
    assert [line for line in error.split("\n") if len(line) > 40 and " " in line] == []
    assert log == f"{shotput.log}\n"


def test_an_interrupted_submission_leaves_no_job_and_no_half_object(alone: Command, tmp_path: Path) -> None:
    files = []
    for number in range(96):
        path = tmp_path / "plates" / f"{number}.raw"
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(os.urandom(64) + bytes(4_000_000))
        files.append(str(path))
    out = str(tmp_path / "out")
    folder = bundle(tmp_path / "bundle", writer("Plates"), {"OutputDir": out}, inputs=files, outputs=[out])
    alone("farm", "up")
    objects = alone.data / "objects" / "buckets"
    process = alone.start("submit", folder)
    until(lambda: [path for path in objects.rglob("*") if path.is_file()])
    process.send_signal(signal.SIGTERM)
    answer = alone.end(process, 30)
    assert (answer.code, answer.out, answer.err) == (143, "", f"Canceled.\nLog: {alone.log}\n")
    assert alone.document("job", "list") == {"jobs": []}
    until(lambda: not list((alone.data / "objects" / "temporary").iterdir()), 10)
    whole = [path for path in objects.rglob("*") if path.is_file()]
    assert {path.stat().st_size // 4_000_000 for path in whole} == {1}
    assert alone.document("submit", folder, "--wait")["taskRunStatus"] == "SUCCEEDED"


def test_a_report_tells_no_secret(shotput: Command) -> None:
    shotput("farm", "env")
    with (shotput.data / "logs" / "farm.log").open("a") as log:
        log.write(f"odd {shotput.farm['secret_access_key']} line\n")
    answer = shotput.document("report", "-o", "report.zip")
    path = shotput.work / answer["path"]
    with zipfile.ZipFile(path) as archive:
        assert archive.namelist() == answer["files"]
        texts = {name: archive.read(name).decode() for name in archive.namelist()}
    assert {"versions.json", "settings.json", "farm.json", "logs/farm.log", "logs/shotput.log"} <= set(texts)
    whole = "\n".join(texts.values())
    keys = json.loads((shotput.data / "keys.json").read_text())
    secrets = {value for key in keys["keys"] for name, value in key.items() if "secret" in name or "token" in name}
    secrets |= {shotput.farm["secret_access_key"], shotput.farm["access_key_id"]}
    assert secrets
    assert [secret for secret in secrets if secret and secret in whole] == []
    assert "odd <redacted> line" in texts["logs/farm.log"]
    assert str(shotput.home) not in whole
    assert [path.name for path in shotput.work.glob(".*")] == []
    said = shotput.refused("report", "-o", "no/such/folder/report.zip", code=1)
    assert said == (
        "The report cannot be written to no/such/folder/report.zip: No such file or directory. Name another file with "
        "--output."
    )


def test_what_the_command_leaves_is_for_its_user_alone(shotput: Command) -> None:
    assert stat.S_IMODE((shotput.data / "farm.json").stat().st_mode) == 0o600
    assert stat.S_IMODE((shotput.data / "keys.json").stat().st_mode) == 0o600
