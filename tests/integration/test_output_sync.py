"""`shotput job outputs --sync`: what is new comes home, and the official command goes on where it stopped, and back."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from integration.command import Command, bundle, writer
from integration.conftest import FarmUnderTest
from shotput import local_farm, output_checkpoint

pytestmark = pytest.mark.slow

LOOKBACK = ("--bootstrap-lookback-minutes", "60")


class Studio:
    """A workstation with a farm of its own, the folder that jobs write to, and the checkpoint's folder."""

    def __init__(self, folder: Path) -> None:
        self.shotput = Command(folder / "alone")
        self.folder = folder
        self.renders = folder / "renders"
        self.checkpoints = folder / "checkpoints"

    def job(self, name: str, frames: str = "1-3") -> str:
        """Submit a job that writes a file a frame into ``renders/<name>``, and wait for its end."""
        job_id = self.submit(name, writer(name, frames))
        self.shotput("job", "wait", job_id)
        return job_id

    def submit(self, name: str, template: dict[str, Any], then: str = "") -> str:
        """Submit such a job; its tasks run more code at their end, with the frame in ``sys.argv[2]``."""
        arguments = template["steps"][0]["script"]["actions"]["onRun"]["args"]
        arguments[1] = "; ".join(filter(None, (arguments[1], then)))
        out = str(self.renders / name)
        source = bundle(self.folder / f"bundle-{name}", template, {"OutputDir": out}, outputs=[out])
        return str(self.shotput.document("submit", source)["jobId"])

    def sync(self, *words: str | Path, code: int = 0) -> Any:
        folder = ("--checkpoint-dir", self.checkpoints)
        return self.shotput.document("job", "outputs", "--sync", *folder, *words, code=code)

    def names(self) -> list[str]:
        return sorted(str(path.relative_to(self.renders)) for path in self.renders.rglob("*") if path.is_file())

    @property
    def farm(self) -> FarmUnderTest:
        return FarmUnderTest(self.shotput.data).attach()

    @property
    def checkpoint(self) -> Path:
        (path,) = self.checkpoints.glob("*_download_checkpoint.json")
        return path

    def state(self) -> dict[str, Any]:
        document: dict[str, Any] = json.loads(self.checkpoint.read_text())
        return document


@pytest.fixture
def studio(tmp_path: Path) -> Iterator[Studio]:
    made = Studio(tmp_path)
    made.shotput("farm", "up")
    yield made
    local_farm.stop(data_dir=made.shotput.data)


@pytest.fixture
def official(peers: Path, studio: Studio) -> Any:
    """Runs the official command against the farm of the studio."""
    state = local_farm.state(studio.shotput.data)
    assert state is not None
    home = studio.folder / "official"
    home.mkdir()
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "DEADLINE_"))}
    own = {"HOME": str(home), "DEADLINE_CONFIG_FILE_PATH": str(home / "config")}
    environment = {**kept, **local_farm.environment(state), **own}

    def run(*words: str | Path) -> str:
        command = [peers / "deadline", *words]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=120)
        assert done.returncode == 0, f"{words}: {done.stdout}\n{done.stderr}"
        return done.stdout

    run("config", "set", "defaults.farm_id", state.farm_id)
    run("config", "set", "defaults.queue_id", state.queue_id)
    run("config", "set", "settings.storage_profile_id", state.storage_profile_id)
    run("config", "set", "telemetry.opt_out", "true")

    def sync(*words: str) -> str:
        return run("queue", "sync-output", "--checkpoint-dir", studio.checkpoints, "--verbose", *words)

    return sync


def test_only_what_is_new_comes(studio: Studio) -> None:
    first = studio.job("first")
    seen = studio.sync(*LOOKBACK, "--dry-run")
    assert (seen["dryRun"], seen["files"]) == (True, [str(studio.renders / f"first/{n}.txt") for n in (1, 2, 3)])
    assert not studio.renders.exists()
    assert list(studio.checkpoints.iterdir()) == [], "a dry run writes nothing"
    done = studio.sync(*LOOKBACK)
    assert done["files"] == seen["files"]
    assert (done["jobs"]["added"], done["failed"], done["unmapped"]) == ([first], {}, {})
    assert done["checkpoint"] == str(studio.checkpoint)
    assert studio.names() == ["first/1.txt", "first/2.txt", "first/3.txt"]
    # A search may show a job late: those of the last two minutes are looked at again, and found the same.
    again = studio.sync()
    assert (again["files"], again["jobs"]["unchanged"]) == ([], [first])
    shutil.rmtree(studio.renders)
    second = studio.job("second", "1-2")
    third = studio.sync()
    assert (third["jobs"]["added"], third["jobs"]["unchanged"]) == ([second], [first])
    assert studio.names() == ["second/1.txt", "second/2.txt"]
    text = studio.shotput("job", "outputs", "--sync", "--checkpoint-dir", studio.checkpoints)
    assert re.fullmatch(r"Nothing is new since \d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\n", text)
    # Begun anew, all of it comes; what is in place is not fetched again.
    anew = studio.sync("--force-bootstrap", *LOOKBACK)
    assert len(anew["files"]) == 5
    assert (anew["statistics"]["processed_files"], anew["statistics"]["skipped_files"]) == (3, 2)


def test_a_requeued_task_comes_again(studio: Studio) -> None:
    job_id = studio.job("again")
    studio.sync(*LOOKBACK)
    (studio.renders / "again/2.txt").unlink()
    farm = studio.farm
    (step,) = farm.steps(job_id).values()
    task = next(item for item in farm.tasks(job_id, step["stepId"]) if item["parameters"]["Frame"]["int"] == "2")
    client = farm.client()
    client.update_task(
        **farm.queue, jobId=job_id, stepId=step["stepId"], taskId=task["taskId"], targetRunStatus="READY"
    )
    farm.wait_job(job_id)
    done = studio.sync()
    assert (done["files"], done["jobs"]["updated"]) == ([str(studio.renders / "again/2.txt")], [job_id])


def test_frames_come_while_the_job_runs(studio: Studio) -> None:
    gate = studio.folder / "gate"
    waiting = f"import time; is_free = lambda: sys.argv[2] == '1' or pathlib.Path({str(gate)!r}).exists(); "
    waiting += "[time.sleep(0.1) for _ in iter(is_free, True)]"
    job_id = studio.submit("running", writer("running", "1-2"), waiting)
    farm = studio.farm
    farm.wait(lambda: farm.job(job_id)["taskRunStatusCounts"]["SUCCEEDED"] == 1, "the first frame", 60)
    done = studio.sync(*LOOKBACK)
    assert (done["files"], done["jobs"]["added"]) == ([str(studio.renders / "running/1.txt")], [job_id])
    again = studio.sync()
    assert (again["files"], again["jobs"]["unchanged"]) == ([], [job_id])
    gate.touch()
    farm.wait_job(job_id)
    done = studio.sync()
    assert (done["files"], done["jobs"]["updated"]) == ([str(studio.renders / "running/2.txt")], [job_id])


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGKILL], ids=lambda how: how.name)
def test_an_interrupted_run_is_made_up_for(studio: Studio, how: signal.Signals) -> None:
    studio.job("first", "1")
    studio.sync(*LOOKBACK)
    before = studio.checkpoint.read_bytes()
    many = "import os; [(folder / f'{index}.bin').write_bytes(os.urandom(1_000_000)) for index in range(200)]"
    job_id = studio.submit("many", writer("many", "1"), many)
    studio.shotput("job", "wait", job_id)
    process = studio.shotput.start("job", "outputs", "--sync", "--checkpoint-dir", studio.checkpoints)
    while not list(studio.renders.glob("many/*.bin")):
        time.sleep(0.001)
    process.send_signal(how)
    answer = studio.shotput.end(process)
    lock = studio.checkpoint.with_name(f"{studio.checkpoint.name}.pid")
    if how == signal.SIGINT:
        assert (answer.code, lock.exists()) == (130, False)
        assert answer.err.startswith("Canceled. What came home stays. The next run fetches the rest.\nLog: ")
    assert studio.checkpoint.read_bytes() == before
    visible = list(studio.renders.glob("many/*.bin"))
    assert 0 < len(visible) < 200
    assert {path.stat().st_size for path in visible} == {1_000_000}
    done = studio.sync()
    assert (len(done["files"]), done["failed"]) == (201, {})
    assert done["statistics"]["skipped_files"] >= len(visible)
    # Nothing else lies there: no part, no draft.
    assert len(list((studio.renders / "many").iterdir())) == 201
    assert not lock.exists()


def test_either_program_goes_on_where_the_other_stopped(studio: Studio, official: Any) -> None:
    first = studio.job("first")
    assert len(studio.sync(*LOOKBACK)["files"]) == 3
    ours = studio.state()
    shutil.rmtree(studio.renders)
    said = official()
    assert "nothing new" in said.lower(), said
    assert studio.names() == [], "the official command finds that the outputs are here"
    theirs = studio.state()
    assert set(theirs) == set(ours)
    assert [item["job"]["jobId"] for item in theirs["jobs"]] == [first]
    assert theirs["jobs"] == ours["jobs"], "it keeps what we wrote of a job"
    second = studio.job("second", "1-2")
    assert "2 files" in official()
    assert studio.names() == ["second/1.txt", "second/2.txt"]
    done = studio.sync()
    assert (done["files"], sorted(done["jobs"]["unchanged"])) == ([], sorted([first, second]))
    kept = {item["job"]["jobId"]: item for item in studio.state()["jobs"]}
    theirs_now = kept[second]
    assert set(theirs_now) >= {"job", "sessionCompletedIndexes"}
    third = studio.job("third", "1")
    assert studio.sync()["jobs"]["added"] == [third]
    assert "nothing new" in official().lower()


def test_a_first_run_of_theirs_is_a_checkpoint_of_ours(studio: Studio, official: Any) -> None:
    first = studio.job("first")
    official(*LOOKBACK)
    assert studio.names() == ["first/1.txt", "first/2.txt", "first/3.txt"]
    shutil.rmtree(studio.renders)
    done = studio.sync()
    assert (done["files"], done["jobs"]["unchanged"], studio.names()) == ([], [first], [])


def test_one_program_at_a_time(studio: Studio, official: Any) -> None:
    studio.sync(*LOOKBACK)
    lock = studio.checkpoint.with_name(f"{studio.checkpoint.name}.pid")
    words = ("job", "outputs", "--sync", "--checkpoint-dir", studio.checkpoints)
    with output_checkpoint.locked(lock):
        assert lock.read_text() == str(os.getpid())
        assert studio.shotput.refused(*words, code=7) == (
            f"Outputs of this queue are being downloaded by another program, process {os.getpid()}, which holds "
            f"{lock}. Wait until it has ended."
        )
        with pytest.raises(AssertionError, match="already holds the lock"):
            official()
    assert not lock.exists()
    # A program that was killed holds nothing, and neither does half a number.
    ended = subprocess.Popen(["true"])
    ended.wait()
    for left in (str(ended.pid), "12x"):
        lock.write_text(left)
        assert studio.sync()["files"] == []
    assert sorted(path.name for path in studio.checkpoints.iterdir()) == sorted(
        [studio.checkpoint.name, studio.checkpoint.name.replace("download_checkpoint", "failed_jobs")]
    )


def test_a_job_that_fails_is_named_and_holds_up_nothing(studio: Studio) -> None:
    good = studio.job("good", "1")
    bad = studio.job("bad", "7")
    # The objects of the two differ in nothing but their text, which is the same: make the bad one's unlike.
    (path,) = (studio.renders / name for name in ("bad/7.txt",))
    manifests = [item for item in (studio.shotput.data / "objects").rglob("*") if item.is_file() and bad in str(item)]
    assert manifests, "the manifests of a job lie below its id"
    kept = {item: item.read_bytes() for item in manifests}
    for item in manifests:
        item.unlink()
    done = studio.sync(*LOOKBACK, code=7)
    assert (list(done["failed"]), done["abandoned"]) == ([bad], [])
    assert done["failed"][bad].startswith("Cannot download the manifest s3://")
    assert studio.names() == ["good/1.txt"]
    assert [item["job"]["jobId"] for item in studio.state()["jobs"]] == [good]
    failures = studio.checkpoints / studio.checkpoint.name.replace("download_checkpoint", "failed_jobs")
    assert json.loads(failures.read_text()) == {bad: 1}
    said = studio.shotput.end(studio.shotput.start("job", "outputs", "--sync", "--checkpoint-dir", studio.checkpoints))
    assert said.code == 7
    assert f"{bad} Cannot download the manifest" in said.out
    assert said.out.rstrip().endswith("The next run tries again.")
    # Too often: it is left alone until somebody begins anew.
    failures.write_text(json.dumps({bad: 4}))
    assert studio.sync(code=7)["abandoned"] == [bad]
    assert studio.sync()["failed"] == {}
    for item, content in kept.items():
        item.write_bytes(content)
    assert studio.sync("--force-bootstrap", *LOOKBACK)["failed"] == {}
    assert path.read_text() == "light"
    assert json.loads(failures.read_text()) == {}


def test_refusals(studio: Studio) -> None:
    words = ("job", "outputs", "--sync", "--checkpoint-dir", studio.checkpoints)
    studio.sync(*LOOKBACK)
    whole = json.loads(studio.checkpoint.read_text())

    def with_(name: str, value: object) -> str:
        return json.dumps({**whole, name: value})

    said = studio.shotput.refused(*words, "last", code=2)
    assert said == "--sync is about all jobs of the queue; leave the job out."
    said = studio.shotput.refused(*words, "--ignore-storage-profiles", "--storage-profile-id", "sp-1", code=2)
    assert said == "Give --storage-profile-id or --ignore-storage-profiles, and not both."
    said = studio.shotput.refused("job", "outputs", "last", "--dry-run", code=2)
    assert said == "--dry-run, --force-bootstrap and the lookback belong to --sync."
    said = studio.shotput.refused("job", "outputs", "last", "--map-root", "/show", code=2)
    assert said == "--map-root takes ROOT=FOLDER, not '/show'."
    said = studio.shotput.refused("job", "outputs", "--sync", "--checkpoint-dir", studio.checkpoint, code=7)
    lock = studio.checkpoint / f"{studio.checkpoint.name}.pid"
    assert said == f"Cannot write {lock}: File exists. Make room or choose another folder."
    studio.checkpoint.write_text("{")
    said = studio.shotput.refused(*words, code=7)
    assert said.startswith(f"The checkpoint {studio.checkpoint} cannot be read: ")
    assert said.endswith(
        "Remove it or begin anew with --force-bootstrap; --bootstrap-lookback-minutes then says how far back."
    )
    for text, why in (
        ("null", "it has not the shape of a checkpoint"),
        ('{"localStorageProfileId": null}', "it has no 'downloadsStartedTimestamp'"),
        (with_("downloadsCompletedTimestamp", "2026-01-01T00:00:00"), "the time '2026-01-01T00:00:00' has no offset"),
        (with_("eventualConsistencyMaxSeconds", 1e300), "it has not the shape of a checkpoint"),
    ):
        studio.checkpoint.write_text(text)
        assert f" cannot be read: {why}. Remove it" in studio.shotput.refused(*words, code=7)
    for minutes in ("nan", "inf", "1e300", "2e9"):
        said = studio.shotput.refused(*words, "--bootstrap-lookback-minutes", minutes, code=2)
        assert said == f"--bootstrap-lookback-minutes {float(minutes):g} leads to no date. Give fewer."
    before = sorted(studio.checkpoints.iterdir())
    said = studio.shotput.refused(*words, "--storage-profile-id", f"sp-{'0' * 32}", code=5)
    assert said.startswith("ResourceNotFoundException: ")
    assert sorted(studio.checkpoints.iterdir()) == before
    # What is no process holds no lock.
    for holder in ("", "x", "0", "-1", "9" * 30):
        studio.checkpoint.with_name(f"{studio.checkpoint.name}.pid").write_text(holder)
        studio.sync("--force-bootstrap")
    ignoring = studio.sync("--ignore-storage-profiles")
    assert ignoring["storageProfileId"] is None
    assert ignoring["checkpoint"].endswith("_ignore-storage-profiles_download_checkpoint.json")
    other = Path(ignoring["checkpoint"])
    document = {**json.loads(other.read_text()), "localStorageProfileId": "sp-1"}
    other.write_text(json.dumps(document))
    assert studio.shotput.refused(*words, "--ignore-storage-profiles", code=7) == (
        "The checkpoint was made with sp-1, and now it is none (--ignore-storage-profiles). Use the same, or begin "
        "anew with --force-bootstrap."
    )


def test_paths_of_another_machine_are_mapped(studio: Studio) -> None:
    farm = studio.farm
    client = farm.client()
    farm_id = farm.state["farm_id"]
    there, here = studio.renders, studio.folder / "here"

    def profile(name: str, place: Path) -> str:
        reply = client.create_storage_profile(
            farmId=farm_id,
            displayName=name,
            osFamily="LINUX",
            fileSystemLocations=[{"name": "Renders", "path": str(place), "type": "LOCAL"}],
        )
        return str(reply["storageProfileId"])

    theirs, ours, nothing = profile("there", there), profile("here", here), profile("nowhere", studio.folder / "no")
    client.update_storage_profile(
        farmId=farm_id,
        storageProfileId=nothing,
        fileSystemLocationsToAdd=[{"name": "Other", "path": str(studio.folder / "other"), "type": "LOCAL"}],
        fileSystemLocationsToRemove=[{"name": "Renders", "path": str(studio.folder / "no"), "type": "LOCAL"}],
    )
    queue = {**farm.queue, "allowedStorageProfileIdsToAdd": [theirs, ours, nothing]}
    client.update_queue(**queue)
    out = str(there / "shot")
    source = bundle(studio.folder / "mapped", writer("mapped", "1"), {"OutputDir": out}, outputs=[out])
    from shotput import _native

    params = {"job_bundle_dir": str(source), "target": farm.target(), "storage_profile_id": theirs, "auto_accept": True}
    job_id = str(_native.create_job_from_job_bundle(params)["job_id"])
    assert farm.wait_job(job_id)["taskRunStatus"] == "SUCCEEDED", farm.log(job_id)
    done = studio.sync(*LOOKBACK, "--storage-profile-id", ours)
    assert done["files"] == [str(here / "shot/1.txt")]
    assert (here / "shot/1.txt").read_text() == "light"
    left = studio.sync(*LOOKBACK, "--storage-profile-id", nothing)
    assert (left["files"], left["unmapped"]) == ([], {job_id: [str(there / "shot/1.txt")]})
    assert studio.sync(*LOOKBACK, "--storage-profile-id", theirs)["files"] == [str(there / "shot/1.txt")]
    # The outputs of one job go the same ways.
    shutil.rmtree(here)
    one = studio.shotput.document("job", "outputs", job_id, "--storage-profile-id", ours)
    assert one["files"] == [str(here / "shot/1.txt")]
    (step,) = farm.steps(job_id).values()
    (task,) = farm.tasks(job_id, step["stepId"])
    elsewhere = studio.folder / "elsewhere"
    moved = ("--ignore-storage-profiles", "--map-root", f"{there}/shot={elsewhere}")
    assert studio.shotput.document("job", "outputs", job_id, *moved)["files"] == [str(elsewhere / "1.txt")]
    said = studio.shotput.refused("job", "outputs", job_id, *moved[:2], f"{there}={elsewhere}", code=2)
    assert said == f"The job has no root {there}. Its roots: {there}/shot."
    words = ("--step-id", step["stepId"], "--task-id", task["taskId"], "--ignore-storage-profiles")
    assert studio.shotput.document("job", "outputs", job_id, *words)["files"] == [str(there / "shot/1.txt")]
