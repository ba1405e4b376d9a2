"""A debug snapshot: what a submission would send, on disk."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from fakes.deadline_service import FARM, QUEUE, STORAGE_PROFILE, DeadlineService
from job_bundles import TEMPLATE, Bundle
from shotput import _native
from shotput.errors import DeadlineOperationCanceled, DeadlineOperationError


def files_below(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


def test_a_snapshot_without_files(
    service: DeadlineService, bundle: Bundle, submit: Callable[..., Any], tmp_path: Path
) -> None:
    folder = tmp_path / "deep" / "snapshot"
    printed: list[str] = []
    answer = submit(debug_snapshot_dir=str(folder), max_retries_per_task=2, on={"on_print": printed.append})
    assert answer == {"job_id": None}
    assert service.sent("POST", "/jobs") == []
    assert files_below(folder) == [
        "create_job_args.json",
        "queue.json",
        "submit_job.bat",
        "submit_job.sh",
        "template_param.data",
    ]
    assert json.loads((folder / "create_job_args.json").read_text()) == {
        "farmId": FARM,
        "queueId": QUEUE,
        "template": TEMPLATE,
        "templateType": "YAML",
        "priority": 50,
        "maxFailedTasksCount": 20,
        "maxRetriesPerTask": 2,
    }
    assert (folder / "template_param.data").read_text() == TEMPLATE
    assert json.loads((folder / "queue.json").read_text()) == service.queue
    assert printed[-1] == f"The debug snapshot is in {folder}. No job was created."


def test_a_snapshot_with_files(
    service: DeadlineService, bundle: Bundle, submit: Callable[..., Any], bucket: Path, tmp_path: Path
) -> None:
    for name, content in (("a.png", b"same"), ("b.png", b"same"), ("c.png", b"other")):
        bundle.write(f"textures/{name}", content)
    bundle.write("asset_references.yaml", {"assetReferences": {"inputs": {"directories": ["textures"]}}})
    folder = tmp_path / "snapshot"
    reports: list[dict[str, Any]] = []
    answer = submit(
        debug_snapshot_dir=folder,
        storage_profile_id=STORAGE_PROFILE,
        job_parameters=[{"name": "Frames", "value": "it's 100%"}],
        on={"on_upload_progress": lambda info: reports.append(info) or True},
    )
    assert answer == {"job_id": None}
    # Nobody's rights are needed for what is not sent.
    assert service.sent("GET", "/user-roles") == []
    assert list(bucket.rglob("*.xxh128")) == []
    arguments = json.loads((folder / "create_job_args.json").read_text())
    (manifest,) = arguments["attachments"]["manifests"]
    stored = folder / "Manifests" / manifest["inputManifestPath"]
    contents = json.loads(stored.read_text())
    assert [entry["path"] for entry in contents["paths"]] == ["a.png", "b.png", "c.png"]
    data = {path.name: path.read_bytes() for path in (folder / "Data").iterdir()}
    assert {entry["path"]: data[f"{entry['hash']}.xxh128"] for entry in contents["paths"]} == {
        "a.png": b"same",
        "b.png": b"same",
        "c.png": b"other",
    }
    assert len(data) == 2
    assert json.loads((folder / "attachments_param.json").read_text()) == arguments["attachments"]
    assert json.loads((folder / "parameters_param.json").read_text()) == arguments["parameters"]
    assert json.loads((folder / "storage_profile.json").read_text()) == service.storage_profile
    assert reports[-1]["status"] == "SNAPSHOT_IN_PROGRESS"
    assert reports[-1]["progressMessage"].startswith("Snapshotted 13 B / 13 B of 3 files")


def test_the_scripts_submit_the_job(
    service: DeadlineService, bundle: Bundle, submit: Callable[..., Any], bucket: Path, tmp_path: Path
) -> None:
    bundle.write("asset_references.yaml", {"assetReferences": {"inputs": {"filenames": ["template.yaml"]}}})
    folder = tmp_path / "snap shot"
    submit(debug_snapshot_dir=str(folder), target_task_run_status="SUSPENDED")
    # A stand-in for the AWS tool notes its words.
    tools = tmp_path / "tools"
    tools.mkdir()
    (tools / "aws").write_text('#!/bin/sh\nfor word; do printf "%s\\n" "$word"; done >> "$NOTE"\necho == >> "$NOTE"\n')
    (tools / "aws").chmod(0o755)
    note = tmp_path / "note"
    environment = {**os.environ, "PATH": f"{tools}:{os.environ['PATH']}", "NOTE": str(note)}
    subprocess.run([folder / "submit_job.sh"], check=True, env=environment, capture_output=True)
    calls = [call.split("\n")[:-1] for call in note.read_text().split("==\n")[:-1]]
    assert calls == [
        ["s3", "cp", "--recursive", "./Data", "s3://studio/Root/Data"],
        ["s3", "cp", "--recursive", "./Manifests", "s3://studio/Root/Manifests"],
        [
            "deadline",
            "create-job",
            "--farm-id",
            FARM,
            "--queue-id",
            QUEUE,
            "--template",
            "file://template_param.data",
            "--template-type",
            "YAML",
            "--priority",
            "50",
            "--max-failed-tasks-count",
            "20",
            "--max-retries-per-task",
            "5",
            "--target-task-run-status",
            "SUSPENDED",
            "--attachments",
            "file://attachments_param.json",
        ],
    ]
    batch = (folder / "submit_job.bat").read_bytes()
    assert batch.count(b"\n") == batch.count(b"\r\n")
    command = batch.decode().split("\r\n\r\n")[-1].replace(" ^\r\n   ", "")
    assert shlex.split(command) == ["aws", *calls[-1]]


def test_a_folder_that_cannot_be_made(service: DeadlineService, submit: Callable[..., Any], tmp_path: Path) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("")
    with pytest.raises(DeadlineOperationError) as caught:
        submit(debug_snapshot_dir=str(blocked / "snapshot"))
    assert str(caught.value) == (
        f"Cannot write {blocked}/snapshot of the debug snapshot: Not a directory (os error 20). Give another "
        "debug_snapshot_dir."
    )


def test_a_snapshot_is_canceled(
    service: DeadlineService, bundle: Bundle, submit: Callable[..., Any], bucket: Path, tmp_path: Path
) -> None:
    bundle.write("asset_references.yaml", {"assetReferences": {"inputs": {"filenames": ["template.yaml"]}}})
    with pytest.raises(DeadlineOperationCanceled) as caught:
        submit(debug_snapshot_dir=str(tmp_path / "snapshot"), on={"on_upload_progress": lambda _: False})
    assert str(caught.value) == "The snapshot was canceled after 1 of 1 files."


def test_hooks_see_a_snapshot_but_no_job(
    service: DeadlineService, bundle: Bundle, submit: Callable[..., Any], config_path: Path, tmp_path: Path
) -> None:
    _native.set_setting("settings.allow_bundle_hooks", "true", str(config_path))
    ran = tmp_path / "ran"
    bundle.write(
        "hooks.yaml",
        {
            "version": "1.0",
            "preSubmission": [{"command": "touch", "args": [f"{ran}-before"]}],
            "postSubmission": [{"command": "touch", "args": [f"{ran}-after"]}],
        },
    )
    submit(debug_snapshot_dir=str(tmp_path / "snapshot"), config_path=str(config_path))
    assert Path(f"{ran}-before").exists()
    assert not Path(f"{ran}-after").exists()
