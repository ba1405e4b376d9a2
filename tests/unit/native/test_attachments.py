"""Job attachments from Python."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from attachment_files import BUCKET, KEY, PREFIX, SECRET, make_files, target
from shotput import _native
from shotput.errors import AttachmentsError, DeadlineOperationCanceled, MissingInputsError


def test_missing_paths_are_named(tmp_path: Path) -> None:
    with pytest.raises(MissingInputsError) as caught:
        _native.snapshot(tmp_path, ["gone"])
    text = f"An input is missing. Restore it, or take it out of the job's inputs:\n  {tmp_path}/gone"
    assert (str(caught.value), caught.value.paths) == (text, [f"{tmp_path}/gone"])


MISSHAPEN: dict[str, tuple[Callable[[Any], Any], str]] = {
    "manifests": (
        lambda to: _native.download_manifests({"manifests": [{}], "target": to}),
        "manifests of download_manifests: missing field `root_path`",
    ),
    "rules": (
        lambda to: _native.download_manifests({"manifests": [{"root_path": "/x", "path_mapping_rules": [{}]}]}),
        "manifests of download_manifests: missing field `source_path_format`",
    ),
    "sync_inputs": (lambda to: _native.sync_inputs({}), "params of sync_inputs: missing field `session_dir`"),
    "sync_outputs": (lambda to: _native.sync_outputs({}), "params of sync_outputs: missing field `session_dir`"),
    "outputs": (
        lambda to: _native.download_job_outputs({"job_id": 5}),
        "params of download_job_outputs: invalid type: integer `5`, expected a string",
    ),
    "credentials": (
        lambda to: _native.upload_snapshot(
            Path(__file__).parent,
            _native.snapshot(Path(__file__).parent, [Path(__file__).name])["manifest"],
            bucket=BUCKET,
            root_prefix=PREFIX,
            target=to,
            credentials=dict,
        ),
        "What credentials() gave: missing field `access_key_id`",
    ),
}


@pytest.mark.parametrize("row", MISSHAPEN)
def test_arguments_of_another_shape(row: str, store: Any) -> None:
    call, text = MISSHAPEN[row]
    with pytest.raises(TypeError) as caught:
        call(target(store.endpoint))
    assert str(caught.value) == text


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Any]:
    with _native.ObjectStore(tmp_path / "objects") as store:
        store.add_credentials(KEY, SECRET, bucket=BUCKET)
        yield store


def session(store: Any, folder: Path, **more: Any) -> dict[str, Any]:
    place = {"farm_id": "farm-1", "queue_id": "queue-1", "job_id": "job-1", "bucket": BUCKET, "root_prefix": PREFIX}
    return {**place, "session_dir": str(folder), "target": target(store.endpoint), **more}


def test_up_through_a_session_and_home(store: Any, tmp_path: Path) -> None:
    project = tmp_path / "project"
    project.mkdir()
    names = make_files(project)
    (project / "large.bin").write_bytes(os.urandom(40 * 2**20))
    snapshot = _native.snapshot(project)
    place: dict[str, Any] = {"bucket": BUCKET, "root_prefix": PREFIX, "target": target(store.endpoint)}
    reports: list[dict[str, Any]] = []
    sent = _native.upload_snapshot(
        project,
        snapshot["manifest"],
        **place,
        cache_dir=tmp_path / "cache",
        on_progress=lambda r: reports.append(r) or True,
    )
    assert (sent["processed_files"], sent["skipped_files"]) == (len(names) + 1, 0)
    assert reports[-1]["progress"] == 100.0
    assert reports[-1]["status"] == "UPLOAD_IN_PROGRESS"
    assert reports[-1]["transferRate"] > 0
    assert reports[-1]["processedFiles"] == len(names) + 1
    for forced in (False, True):
        again = _native.upload_snapshot(
            project, snapshot["manifest"], **place, cache_dir=tmp_path / "cache", force_s3_check=forced
        )
        assert again["processed_files"] == 0
    wanted = [{"root_path": str(tmp_path / name), "manifest": snapshot["manifest"]} for name in ("one", "two")]
    fetched = _native.download_manifests({**place, "manifests": wanted}, lambda r: reports.append(r) or True)
    assert fetched["file_counts_by_root_directory"] == dict.fromkeys(
        (str(tmp_path / name) for name in ("one", "two")), len(names) + 1
    )
    assert (reports[-1]["status"], reports[-1]["totalFiles"]) == ("DOWNLOAD_IN_PROGRESS", 2 * len(names) + 2)
    assert _native.snapshot(tmp_path / "two")["manifest"] == snapshot["manifest"]
    with pytest.raises(AttachmentsError, match='The conflict resolution "KEEP" is not known'):
        _native.download_manifests({**place, "manifests": [], "conflict_resolution": "KEEP"})
    # A worker: the inputs come by an output manifest of a step, which is a manifest like any other.
    attachments = {
        "manifests": [{"rootPath": str(project), "rootPathFormat": "posix", "outputRelativeDirectories": ["renders"]}]
    }
    folder = tmp_path / "session"
    synced = _native.sync_inputs(session(store, folder, attachments=attachments))
    (rule,) = synced["path_mapping_rules"]
    assert (rule["source_path_format"], rule["source_path"]) == ("POSIX", str(project))
    renders = Path(rule["destination_path"]) / "renders"
    renders.mkdir(parents=True)
    (renders / "0001.exr").write_bytes(b"frame")
    (renders / "large.exr").write_bytes(os.urandom(30 * 2**20))
    run = {
        "step_id": "step-1",
        "task_id": "task-1",
        "session_action_id": "sessionaction-1-0",
        "started_at": time.time(),
    }
    params = session(store, folder, attachments=attachments, snapshot=synced["snapshot"], **run)
    stored = _native.sync_outputs(params)
    assert stored["manifests"][0]["outputManifestPath"].startswith("farm-1/queue-1/job-1/step-1/task-1/")
    assert _native.sync_outputs({**params, "snapshot": stored["snapshot"]})["manifests"] == [{}]
    home = {key: value for key, value in session(store, folder).items() if key != "session_dir"}
    done = _native.download_job_outputs({**home, "conflict_resolution": "OVERWRITE"})
    assert done["files"] == [str(project / "renders" / name) for name in ("0001.exr", "large.exr")]
    assert done["file_counts_by_root_directory"] == {str(project): 2}
    for name in ("0001.exr", "large.exr"):
        assert (project / "renders" / name).read_bytes() == (renders / name).read_bytes()
        assert (project / "renders" / name).stat().st_mtime_ns // 1000 == (renders / name).stat().st_mtime_ns // 1000
    moved = _native.download_job_outputs({**home, "root_map": {str(project): tmp_path / "home"}})
    assert moved["file_counts_by_root_directory"] == {str(tmp_path / "home"): 2}
    assert _native.download_job_outputs({**home, "root_map": None})["statistics"]["skipped_files"] == 2


def test_what_a_callback_raises_comes_out(store: Any, tmp_path: Path) -> None:
    root = tmp_path / "root"
    root.mkdir()
    for index in range(3):
        (root / str(index)).write_text(str(index))

    def fail(_report: dict[str, Any]) -> bool:
        raise LookupError("from the callback")

    with pytest.raises(LookupError, match="from the callback"):
        _native.snapshot(root, on_progress=fail)
    with pytest.raises(DeadlineOperationCanceled, match=r"^Hashing was canceled after [1-3] of 3 files\.$"):
        _native.snapshot(root, on_progress=lambda _report: False)


def test_other_threads_run_meanwhile(tmp_path: Path) -> None:
    root = tmp_path / "root"
    root.mkdir()
    (root / "large").write_bytes(bytes(300 * 2**20))
    counted, done = 0, threading.Event()

    def count() -> None:
        nonlocal counted
        while not done.is_set():
            counted += 1

    thread = threading.Thread(target=count)
    thread.start()
    try:
        before = counted
        _native.snapshot(root)
        assert counted > before + 100
    finally:
        done.set()
        thread.join()


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 8 MB."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=8m", "tmpfs", str(disk)]
    if os.geteuid() != 0 or subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("mounting a small disk needs root")
    yield disk
    subprocess.run(["umount", "-l", str(disk)], check=True)


def test_a_full_disk_of_the_store_is_one_sentence(small_disk: Path, tmp_path: Path) -> None:
    root = tmp_path / "root"
    root.mkdir()
    (root / "fits").write_bytes(os.urandom(2**20))
    (root / "too large").write_bytes(os.urandom(12 * 2**20))
    manifest = _native.snapshot(root)["manifest"]
    with _native.ObjectStore(small_disk / "objects") as store:
        store.add_credentials(KEY, SECRET, bucket=BUCKET)
        place: dict[str, Any] = {"bucket": BUCKET, "root_prefix": PREFIX, "target": target(store.endpoint)}
        with pytest.raises(AttachmentsError) as caught:
            _native.upload_snapshot(root, manifest, **place)
        (digest,) = [item["hash"] for item in json.loads(manifest)["paths"] if item["path"] == "too large"]
        assert str(caught.value) == (
            f"Cannot upload {root}/too large to s3://{BUCKET}/{PREFIX}/Data/{digest}.xxh128: no space is left on the "
            f"disk of the object store at {store.endpoint}. Free some and try again; what is already there is not sent "
            "twice."
        )
        # What fits is there and whole, and nothing half-written takes room.
        (root / "too large").unlink()
        manifest = _native.snapshot(root)["manifest"]
        assert _native.upload_snapshot(root, manifest, **place)["processed_files"] in (0, 1)
        assert sum(path.stat().st_size for path in (small_disk / "objects").rglob("*") if path.is_file()) < 2 * 2**20


def test_a_full_disk_at_home_is_one_sentence(small_disk: Path, store: Any, tmp_path: Path) -> None:
    attachments = {
        "manifests": [{"rootPath": "/project", "rootPathFormat": "posix", "outputRelativeDirectories": ["out"]}]
    }
    folder = tmp_path / "session"
    synced = _native.sync_inputs(session(store, folder, attachments=attachments))
    out = Path(synced["path_mapping_rules"][0]["destination_path"]) / "out"
    out.mkdir(parents=True)
    (out / "frame.exr").write_bytes(os.urandom(12 * 2**20))
    run = {"step_id": "step-1", "task_id": None, "session_action_id": "sessionaction-1-0", "started_at": time.time()}
    _native.sync_outputs(session(store, folder, attachments=attachments, snapshot=synced["snapshot"], **run))
    home = {**session(store, folder), "root_map": {"/project": str(small_disk / "home")}}
    with pytest.raises(AttachmentsError) as caught:
        _native.download_job_outputs(home)
    assert str(caught.value) == (
        f"The disk of {small_disk}/home has 8.39 MB free and the files need 12.58 MB. Free some and try again."
    )
    # A limit that no look at the disk shows: the file is begun, fails, and leaves nothing.
    other = tmp_path / "limited"
    code = "import json, sys, resource, signal; from shotput import _native;"
    code += "signal.signal(signal.SIGXFSZ, signal.SIG_IGN); resource.setrlimit(resource.RLIMIT_FSIZE, (2**20, 2**20));"
    code += "_native.download_job_outputs(json.loads(sys.argv[1]))"
    words = json.dumps({**home, "root_map": {"/project": str(other)}})
    done = subprocess.run([sys.executable, "-I", "-c", code, words], capture_output=True, text=True, check=False)
    text = f"Cannot write {other}/out: the file is larger than the system allows (disk quota or ulimit -f)."
    assert done.stderr.strip().splitlines()[-1] == f"shotput.errors.AttachmentsError: {text}"
    assert [path for path in other.rglob("*") if path.is_file()] == []
