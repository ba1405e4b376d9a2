"""Job attachments as programs use them that were written against the official package."""

from __future__ import annotations

import importlib
import json
import subprocess
from pathlib import Path
from typing import Any

import boto3
import pytest
from deadline.client import api
from deadline.job_attachments._aws.aws_clients import get_s3_client
from deadline.job_attachments.api.manifest import _glob_files, _manifest_snapshot
from deadline.job_attachments.asset_manifests import BaseAssetManifest, HashAlgorithm, hash_data
from deadline.job_attachments.asset_manifests.v2023_03_03 import AssetManifest, ManifestPath
from deadline.job_attachments.download import download_files_from_manifests
from deadline.job_attachments.exceptions import JobAttachmentsS3ClientError
from deadline.job_attachments.models import FileConflictResolution, JobAttachmentS3Settings
from deadline.job_attachments.upload import S3AssetManager, S3AssetUploader
from drop_in.conftest import Workstation

TAKEN_ALONG = """
import importlib, inspect, json
found = {}
for name in ("download", "upload", "asset_sync"):
    module = importlib.import_module(f"deadline.job_attachments.{name}")
    found[module.__name__] = [
        key for key, value in vars(module).items()
        if not key.startswith("_") and (inspect.isclass(value) or inspect.isfunction(value))
        and value.__module__.startswith("deadline.")
    ]
print(json.dumps(found))
"""


def test_names_that_the_official_modules_take_from_others(newest: Path) -> None:
    done = subprocess.run([newest, "-I", "-c", TAKEN_ALONG], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    missing = {
        module: [name for name in names if not hasattr(importlib.import_module(module), name)]
        for module, names in json.loads(done.stdout).items()
    }
    assert not any(missing.values()), missing


def test_links_in_a_circle_are_walked_once(workstation: Workstation) -> None:
    frame = workstation.file("plates/shot/frame.exr", "f")
    for name in ("up", "up2"):
        (frame.parent / name).symlink_to("..")
    root = str(workstation.folder / "plates")
    assert _glob_files(root) == [str(frame)]
    snapshot = _manifest_snapshot(root=root, destination=str(workstation.folder / "manifests"), name="plates")
    assert snapshot is not None
    paths = json.loads(Path(snapshot.manifest).read_text())["paths"]
    assert [entry["path"] for entry in paths] == ["shot/frame.exr"]


def _queue_store(workstation: Workstation) -> tuple[JobAttachmentS3Settings, Any]:
    deadline = api.get_boto3_client("deadline")
    settings = deadline.get_queue(**workstation.queue)["jobAttachmentSettings"]
    session = api.get_queue_user_boto3_session(
        deadline, farm_id=workstation.farm_id, queue_id=workstation.queue_id, queue_display_name="queue"
    )
    return JobAttachmentS3Settings(**settings), session


def test_what_was_skipped_is_not_named_as_downloaded(workstation: Workstation) -> None:
    settings, session = _queue_store(workstation)
    manager = S3AssetManager(workstation.farm_id, workstation.queue_id, settings, session=session)
    files = [workstation.file(f"sent/{name}", name) for name in ("a", "b")]
    group = manager.prepare_paths_for_upload([str(path) for path in files], [], [])
    _, (root,) = manager.hash_assets_and_create_manifest(group.asset_groups, 2, 2, str(workstation.folder / "cache"))
    manager.upload_assets([root])
    files[0].unlink()
    manifest = root.asset_manifest
    assert isinstance(manifest, BaseAssetManifest)

    def download(conflict: FileConflictResolution) -> list[str]:
        statistics = download_files_from_manifests(
            settings.s3BucketName,
            {str(files[0].parent): manifest},
            settings.full_cas_prefix(),
            session=session,
            conflict_resolution=conflict,
        )
        assert statistics.file_counts_by_root_directory == {str(files[0].parent): len(statistics.downloaded_files)}
        return statistics.downloaded_files

    assert download(FileConflictResolution.SKIP) == [str(files[0])]
    assert download(FileConflictResolution.SKIP) == []
    assert download(FileConflictResolution.OVERWRITE) == [str(path) for path in files]


@pytest.mark.parametrize("folder", ["Objects", "", None])
def test_objects_may_lie_anywhere(workstation: Workstation, folder: Any) -> None:
    # None is the published default of downloads. The keys are the farm's own: those of a queue end at its prefix.
    bucket = _queue_store(workstation)[0].s3BucketName
    session = boto3.Session()
    path = workstation.file("plates/frame.exr", f"plates of {folder}")
    digest = hash_data(path.read_bytes(), HashAlgorithm.XXH128)
    entry = ManifestPath(path="frame.exr", hash=digest, size=path.stat().st_size, mtime=path.stat().st_mtime_ns // 1000)
    manifest = AssetManifest(hash_alg=HashAlgorithm.XXH128, paths=[entry], total_size=entry.size)
    uploader = S3AssetUploader(session=session, s3_max_pool_connections=50, small_file_threshold_multiplier=20)
    cache = str(workstation.folder / "cache")
    uploader.upload_input_files(manifest, bucket, path.parent, folder, s3_check_cache_dir=cache)
    key = f"{folder}/{digest}.xxh128" if folder else f"{digest}.xxh128"
    assert get_s3_client(session).get_object(Bucket=bucket, Key=key)["Body"].read() == path.read_bytes()
    target = workstation.folder / "home-again"
    download_files_from_manifests(bucket, {str(target): manifest}, folder, session=session)
    assert (target / "frame.exr").read_text() == f"plates of {folder}"


def test_a_refused_upload_of_a_file_has_its_published_exception(workstation: Workstation) -> None:
    settings, session = _queue_store(workstation)
    uploader = S3AssetUploader(session=session, s3_max_pool_connections=50, small_file_threshold_multiplier=20)
    path = workstation.file("file", "f")
    with pytest.raises(JobAttachmentsS3ClientError, match="S3 answered 403 while storing s3://") as refused:
        uploader.upload_file_to_s3(path, settings.s3BucketName, "outside/of/the/prefix")
    assert refused.value.status_code == 403
