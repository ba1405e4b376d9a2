"""Input files: uploaded, missing, outside of the known folders."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from fakes.deadline_service import FARM, JOB, QUEUE, STORAGE_PROFILE, DeadlineService
from job_bundles import Bundle, create_job, refuse
from shotput import _native
from shotput.errors import (
    DeadlineOperationCanceled,
    DeadlineOperationError,
    MissingInputsError,
    UserInitiatedCancel,
)


def test_files_are_uploaded(
    service: DeadlineService, bundle: Bundle, submit: Callable[..., Any], bucket: Path, tmp_path: Path
) -> None:
    scene = bundle.write("scene.blend", b"x" * 3000)
    bundle.write("textures/a.png", b"a")
    bundle.write("textures/b.png", b"b")
    bundle.write("asset_references.yaml", {"assetReferences": {"inputs": {"directories": ["textures"]}}})
    output = tmp_path / "output"
    hashing: list[dict[str, Any]] = []
    uploading: list[dict[str, Any]] = []
    printed: list[str] = []
    submit(
        job_parameters=[{"name": "Scene", "value": str(scene)}, {"name": "Output", "value": str(output)}],
        on={
            "on_print": printed.append,
            "on_hashing_progress": lambda info: hashing.append(info) or True,
            "on_upload_progress": lambda info: uploading.append(info) or True,
            "on_confirm": lambda *_: pytest.fail("files of the bundle need no question"),
        },
    )
    body = create_job(service)
    assert body["parameters"] == {"Scene": {"path": str(scene)}, "Output": {"path": str(output)}}
    (manifest,) = body["attachments"]["manifests"]
    assert body["attachments"]["fileSystem"] == "COPIED"
    assert manifest["rootPath"] == str(tmp_path.resolve())
    assert manifest["rootPathFormat"] == "posix"
    assert manifest["outputRelativeDirectories"] == ["output"]
    assert manifest["inputManifestPath"].startswith(f"{FARM}/{QUEUE}/Inputs/")
    for reports, status in ((hashing, "PREPARING_IN_PROGRESS"), (uploading, "UPLOAD_IN_PROGRESS")):
        last = reports[-1]
        assert last["status"] == status
        assert last["progress"] == 100.0
        assert last["processedFiles"] == 3
        assert last["processedBytes"] == last["totalBytes"] == 3002
        assert last["transferRate"] > 0
        assert "3 KB" in last["progressMessage"]
    assert "The job reads 3 input files, 3 KB in total." in printed
    roles = service.sent("GET", "/user-roles")
    assert len(roles) <= 1
    stored = [path for path in bucket.rglob("*") if path.is_file() and b"x" * 3000 in path.read_bytes()]
    assert len(stored) == 1


def test_a_queue_without_attachments(service: DeadlineService, bundle: Bundle, submit: Callable[..., Any]) -> None:
    bundle.write("asset_references.yaml", {"assetReferences": {"inputs": {"filenames": ["template.yaml"]}}})
    printed: list[str] = []
    submit(on={"on_print": printed.append})
    assert "attachments" not in create_job(service)
    assert "The queue has no job attachment settings: the job's files are not uploaded." in printed


def test_a_missing_input(service: DeadlineService, bundle: Bundle, submit: Callable[..., Any], bucket: Path) -> None:
    missing = bundle.folder / "gone.png"
    bundle.write("asset_references.yaml", {"assetReferences": {"inputs": {"filenames": [str(missing)]}}})
    with pytest.raises(MissingInputsError) as caught:
        submit(require_paths_exist=True)
    assert caught.value.paths == [str(missing)]
    assert str(missing) in str(caught.value)
    assert service.sent("POST", "/jobs") == []
    printed: list[str] = []
    submit(on={"on_print": printed.append})
    assert any(str(missing) in line for line in printed)


def test_a_file_outside_of_the_known_folders(
    service: DeadlineService, submit: Callable[..., Any], bucket: Path, outside: Path
) -> None:
    about = f"1 input file lies outside of the known folders:\n  {outside}\n"
    fix = "Add their folders to known_asset_paths or to settings.known_asset_paths."
    refuse(
        submit,
        DeadlineOperationCanceled,
        f"The submission was canceled, because nobody could be asked. {about} {fix}",
        service,
    )
    refuse(
        submit,
        DeadlineOperationCanceled,
        f"The submission was canceled, because auto_accept covers no files outside of the known folders. {about} {fix}",
        service,
        auto_accept=True,
        on={"on_confirm": lambda *_: True},
    )
    asked: list[tuple[str, bool]] = []
    refuse(
        submit,
        UserInitiatedCancel,
        "The submission was declined. Nothing was uploaded.",
        service,
        on={"on_confirm": lambda message, default: asked.append((message, default))},
    )
    assert asked == [(f"{about}\n\nUpload them all the same?", False)]
    assert not any(path.is_file() and path.read_bytes() == b"pixels" for path in bucket.rglob("*"))
    assert submit(on={"on_confirm": lambda *_: True}) == {"job_id": JOB}


@pytest.mark.parametrize("way", ["params", "setting", "storage profile", "parameter", "queue parameter", "gui"])
def test_ways_to_make_a_folder_known(
    way: str,
    service: DeadlineService,
    bundle: Bundle,
    submit: Callable[..., Any],
    bucket: Path,
    outside: Path,
    config_path: Path,
) -> None:
    changes: dict[str, Any] = {}
    if way == "params":
        changes["known_asset_paths"] = [outside.parent]
    elif way == "setting":
        _native.set_setting("settings.known_asset_paths", f"/x{os.pathsep}{outside.parent}", str(config_path))
        changes["config_path"] = str(config_path)
    elif way == "storage profile":
        service.storage_profile["fileSystemLocations"] = [
            {"name": "Projects", "path": str(outside.parent), "type": "LOCAL"}
        ]
        changes["storage_profile_id"] = STORAGE_PROFILE
    elif way == "parameter":
        changes["job_parameters"] = [{"name": "Scene", "value": str(outside)}]
    elif way == "queue parameter":
        definition = {"name": "Plate", "type": "PATH", "objectType": "FILE", "dataFlow": "IN", "default": ""}
        changes["queue_parameter_definitions"] = [definition]
        changes["job_parameters"] = [{"name": "Plate", "value": str(outside)}]
    else:
        changes |= {"auto_accept": True, "from_gui": True, "on": {"on_confirm": lambda *_: True}}
    assert submit(**changes) == {"job_id": JOB}


def test_ten_files_are_shown(
    service: DeadlineService, bundle: Bundle, submit: Callable[..., Any], bucket: Path, outside: Path
) -> None:
    for number in range(13):
        (outside.parent / f"{number:02}.png").write_bytes(b"x")
    bundle.write("asset_references.yaml", {"assetReferences": {"inputs": {"directories": [str(outside.parent)]}}})
    asked: list[str] = []
    with pytest.raises(UserInitiatedCancel):
        submit(on={"on_confirm": lambda message, default: asked.append(message)})
    assert asked[0].startswith("14 input files lie outside of the known folders:\n")
    assert asked[0].count("\n  /") == 10
    assert "\n  and 4 more\n" in asked[0]


def test_more_than_ten_roots(
    service: DeadlineService, bundle: Bundle, submit: Callable[..., Any], bucket: Path, tmp_path: Path
) -> None:
    locations = []
    names = []
    for number in range(11):
        folder = tmp_path.resolve() / f"disk{number:02}"
        folder.mkdir()
        (folder / "file").write_bytes(b"x")
        locations.append({"name": f"Disk {number}", "path": str(folder), "type": "LOCAL"})
        names.append(str(folder / "file"))
    service.storage_profile["fileSystemLocations"] = locations
    bundle.write("asset_references.yaml", {"assetReferences": {"inputs": {"filenames": names}}})
    with pytest.raises(DeadlineOperationError) as caught:
        submit(storage_profile_id=STORAGE_PROFILE)
    roots = "".join(f"\n  {location['path']}" for location in locations)
    assert str(caught.value) == (
        "The job's files lie under 11 roots; a job can have at most 10. Move files together, or name their folders as "
        "locations of a "
        f"storage profile. The roots are:{roots}"
    )
