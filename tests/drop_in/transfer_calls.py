"""Calls of ``deadline.job_attachments``: uploads and downloads of manifests, caches, permissions, progress."""

from __future__ import annotations

import json
import logging
import os
import sqlite3
import stat
import time
from collections import defaultdict
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from io import BytesIO
from pathlib import Path
from threading import Lock
from typing import Any

import pytest
from deadline.client import api
from deadline.job_attachments import _utils, caches, download, os_file_permission, upload
from deadline.job_attachments._aws import aws_clients
from deadline.job_attachments._aws import deadline as service
from deadline.job_attachments.asset_manifests import BaseAssetManifest, HashAlgorithm, hash_file
from deadline.job_attachments.asset_manifests.decode import decode_manifest
from deadline.job_attachments.exceptions import (
    AssetSyncCancelledError,
    AssetSyncError,
    JobAttachmentsError,
    JobAttachmentsS3ClientError,
    PathOutsideDirectoryError,
)
from deadline.job_attachments.models import FileConflictResolution, JobAttachmentS3Settings
from deadline.job_attachments.progress_tracker import ProgressReportMetadata, ProgressStatus, ProgressTracker
from deadline.job_attachments.upload import S3AssetManager, S3AssetUploader
from drop_in.calls import calls
from drop_in.conftest import Workstation

DOWNLOAD = "deadline.job_attachments.download"
CACHES = "deadline.job_attachments.caches"
ALGORITHM = HashAlgorithm.XXH128


def settings(workstation: Workstation) -> JobAttachmentS3Settings:
    return JobAttachmentS3Settings(workstation.farm.state["bucket"], workstation.farm.state["root_prefix"])


def queue_session() -> Any:
    return api.get_queue_user_boto3_session(api.get_boto3_client("deadline"))


def uploader(session: Any = None) -> S3AssetUploader:
    return S3AssetUploader(session, s3_max_pool_connections=50, small_file_threshold_multiplier=20)


def manifest_of(root: Path) -> BaseAssetManifest:
    from shotput import _native

    return decode_manifest(_native.snapshot(root)["manifest"].decode())


@dataclass
class Job:
    """A job that read ``in.txt`` and whose two tasks wrote frames, as a worker of the farm stored them."""

    job_id: str
    step_id: str
    root: Path
    attachments: Any


def rendered(workstation: Workstation) -> Job:
    root = workstation.folder / "project"
    scene = workstation.file("project/in.txt", f"input of {workstation.folder}")
    code = (
        "import os, pathlib; folder = pathlib.Path(os.environ['OPENJD_SESSION_WORKING_DIR']).parent; "
        "read = next(folder.rglob('in.txt')); out = read.parent / 'out'; out.mkdir(exist_ok=True); "
        "(out / 'frame.txt').write_text('frame of ' + read.read_text())"
    )
    template = json.loads((workstation.bundle(code=code) / "template.json").read_text())
    manager = S3AssetManager(workstation.farm_id, workstation.queue_id, settings(workstation), session=queue_session())
    group = manager.prepare_paths_for_upload([str(scene)], [str(root / "out")], [])
    _, roots = manager.hash_assets_and_create_manifest(group.asset_groups, 1, 1)
    _, attached = manager.upload_assets(roots)
    job_id = workstation.farm.submit(template, attachments=attached.to_dict())
    workstation.farm.wait_job(job_id)
    ids = {"farmId": workstation.farm_id, "queueId": workstation.queue_id, "jobId": job_id}
    (step,) = api.get_boto3_client("deadline").list_steps(**ids)["steps"]
    return Job(job_id, step["stepId"], root, attached)


@calls("deadline.job_attachments.progress_tracker", "ProgressTracker")
def tracker(workstation: Workstation) -> None:
    reports: list[ProgressReportMetadata] = []
    lines: list[str] = []
    logger = logging.Logger("test")
    logger.addHandler(type("Lines", (logging.Handler,), {"emit": lambda self, record: lines.append(record.msg)})())
    counted = ProgressTracker(
        ProgressStatus.UPLOAD_IN_PROGRESS, 3, 2000, lambda report: reports.append(report) or True, logger=logger
    )
    assert counted.track_progress_callback(500) is True
    assert reports == []
    assert counted.track_progress_callback(500, True) is True
    counted.increase_processed(1, 500)
    counted.increase_skipped(1, 500)
    assert counted.report_progress() is True
    assert [report.progress for report in reports] == [50.0, 100.0]
    assert reports[-1].progressMessage.startswith("Uploaded 2.0 KB / 2.0 KB of 3 files (Transfer rate: ")
    assert lines[0].startswith("Uploaded 500 B / 2.0 KB of 3 files")
    counted.total_time = 2.0
    total = counted.get_summary_statistics()
    assert (total.processed_files, total.processed_bytes, total.skipped_files, total.transfer_rate) == (2, 1500, 1, 750)
    down = counted.get_download_summary_statistics({"/a": ["/a/y", "/a/x"]})
    assert (down.file_counts_by_root_directory, down.downloaded_files) == ({"/a": 2}, ["/a/x", "/a/y"])
    many = ProgressTracker(ProgressStatus.PREPARING_IN_PROGRESS, 0, 0, lambda _: False)
    many.set_total_files(100, 100)
    many.increase_processed(49, 49)
    assert (many.report_progress(), many.continue_reporting) == (True, True)
    many.increase_processed(1, 1)
    assert (many.report_progress(), many.continue_reporting) == (False, False)


@calls("deadline.job_attachments.upload", "S3AssetUploader")
def upload_of_a_manifest(workstation: Workstation) -> None:
    root = workstation.file("up/ä.txt", f"up of {workstation.folder}").parent
    manifest = manifest_of(root)
    place, up = settings(workstation), uploader(queue_session())
    counted = ProgressTracker(ProgressStatus.UPLOAD_IN_PROGRESS, 1, manifest.totalSize)
    key, digest = up.upload_assets(
        place,
        manifest,
        Path("/of/another/machine"),
        partial_manifest_prefix="tests/inputs",
        progress_tracker=counted,
        s3_check_cache_dir=str(workstation.folder / "checks"),
        manifest_write_dir=str(workstation.folder / "kept"),
        manifest_metadata={"Metadata": {"asset-root": "/of/another/machine"}},
        manifest_file_name="one",
        asset_root=root,
    )
    assert key == "tests/inputs/one"
    stored = place.add_root_and_manifest_folder_prefix(key)
    body = workstation.farm.client("s3").get_object(Bucket=place.s3BucketName, Key=stored)
    assert body["Body"].read().decode() == manifest.encode()
    assert body["Metadata"] == {"asset-root": "/of/another/machine"}
    assert hash_file(str(workstation.folder / "kept/manifests/one"), ALGORITHM) == digest
    assert counted.get_summary_statistics().processed_files == 1
    # The object is there, and the cache says so.
    (entry,) = manifest.paths
    name = f"{place.full_cas_prefix()}/{entry.hash}.xxh128"
    assert up.file_already_uploaded(place.s3BucketName, name) is True
    cache = str(workstation.folder / "checks")
    with caches.S3CheckCache(cache) as checks:
        assert checks.get_entry(f"{place.s3BucketName}/{name}") is not None
        same = up.upload_object_to_cas(entry, ALGORITHM, place.s3BucketName, root, place.full_cas_prefix(), checks)
    assert same == (False, entry.size)
    assert up.verify_hash_cache_integrity(cache, manifest, place.full_cas_prefix(), place.s3BucketName) is True
    with caches.S3CheckCache(cache) as checks:
        gone = manifest_of(workstation.file("gone/g", "gone").parent)
        missing = f"{place.s3BucketName}/{place.full_cas_prefix()}/{gone.paths[0].hash}.xxh128"
        checks.put_entry(caches.S3CheckCacheEntry(missing, str(time.time())))
    assert up.verify_hash_cache_integrity(cache, gone, place.full_cas_prefix(), place.s3BucketName) is False
    up.reset_s3_check_cache(cache)
    assert not Path(cache, "s3_check_cache.db").exists()
    # Anything, anywhere.
    sizes: list[int] = []
    prefix = place.rootPrefix
    up.upload_bytes_to_s3(BytesIO(b"abc"), place.s3BucketName, f"{prefix}/any/bytes", sizes.append)
    up.upload_file_to_s3(root / "ä.txt", place.s3BucketName, f"{prefix}/any/file", base_dir_path=root)
    assert sizes == [3]
    assert up.file_already_uploaded(place.s3BucketName, f"{prefix}/any/file") is True
    assert up.file_already_uploaded(place.s3BucketName, f"{prefix}/any/nothing") is False
    (root / "link").symlink_to(workstation.file("outside", "secret"))
    with pytest.raises(AssetSyncError, match=r"/outside, out of .*; it was not uploaded\.$"):
        up.upload_file_to_s3(root / "link", place.s3BucketName, f"{prefix}/any/link", base_dir_path=root)
    with pytest.raises(JobAttachmentsS3ClientError) as refused:
        up.upload_bytes_to_s3(BytesIO(b""), "another", f"{prefix}/x")
    assert (refused.value.status_code, refused.value.bucket_name) == (403, "another")
    another = JobAttachmentS3Settings("another", prefix)
    with pytest.raises(JobAttachmentsS3ClientError, match=r"^Cannot upload .*, HTTP 403\)\. Check the ") as refused:
        up.upload_assets(another, manifest, root, "x", force_s3_check=True)
    assert (refused.value.status_code, refused.value.bucket_name) == (403, "another")
    assert refused.value.key_or_prefix == f"{prefix}/Data/{entry.hash}.xxh128"
    with pytest.raises(
        AssetSyncError, match=r"^The setting s3_max_pool_connections is 0; it has to be a number above 0"
    ):
        S3AssetUploader(s3_max_pool_connections=0, small_file_threshold_multiplier=20)
    stopped = ProgressTracker(ProgressStatus.UPLOAD_IN_PROGRESS, 1, 3, lambda _: False)
    with pytest.raises(AssetSyncCancelledError):
        up.upload_input_files(manifest, place.s3BucketName, root, place.full_cas_prefix(), stopped)


class Fleeting:
    """Credentials that are always about to expire."""

    def __init__(self, credentials: Any) -> None:
        self.credentials, self.asked = credentials, 0

    @property
    def _expiry_time(self) -> datetime:
        return datetime.now(UTC) + timedelta(seconds=2)

    def get_frozen_credentials(self) -> Any:
        self.asked += 1
        return self.credentials.get_frozen_credentials()


@calls("deadline.job_attachments.upload", "S3_MULTIPART_UPLOAD_CHUNK_SIZE", "S3_UPLOAD_MAX_CONCURRENCY")
def rights_that_end_during_a_transfer(workstation: Workstation) -> None:
    """They are those that the session has at each moment, not those that it had in the beginning."""
    assert (upload.S3_MULTIPART_UPLOAD_CHUNK_SIZE, upload.S3_UPLOAD_MAX_CONCURRENCY) == (8 << 20, 10)
    session, place = queue_session(), settings(workstation)
    for number in range(20):
        workstation.file(f"long/{number}", f"{number} of {workstation.folder}")
    manifest = manifest_of(workstation.folder / "long")
    credentials = Fleeting(session.get_credentials())
    session.get_credentials = lambda: credentials
    try:
        uploader(session).upload_assets(place, manifest, workstation.folder / "long", "tests/long")
        sent, credentials.asked = credentials.asked, 0
        download.download_files_from_manifests(
            place.s3BucketName, {str(workstation.folder / "back"): manifest}, place.full_cas_prefix(), session=session
        )
        brought = credentials.asked
    finally:
        del session.get_credentials
    assert (sent > 3, brought > 3) == (True, True)
    assert (workstation.folder / "back" / "7").read_text() == f"7 of {workstation.folder}"


@calls(CACHES, "HashCache", "HashCacheEntry", "S3CheckCache", "S3CheckCacheEntry", "CacheDB")
@calls(CACHES, "CONFIG_ROOT", "COMPONENT_NAME", "WHOLE_FILE_RANGE_END")
def cache_files(workstation: Workstation) -> None:
    from shotput import _native

    folder = str(workstation.folder / "caches")
    path = workstation.file("hashed/a.txt", "a").resolve()
    _native.snapshot(path.parent, cache_dir=folder)
    with caches.HashCache(folder) as hashes:
        entry = hashes.get_entry(str(path), ALGORITHM)
        assert entry is not None
        assert entry.is_whole_file()
        assert (entry.file_path, entry.file_hash) == (str(path), hash_file(str(path), ALGORITHM))
        # What is written here is believed by the native module.
        hashes.put_entry(caches.HashCacheEntry(str(path), ALGORITHM, "0" * 32, entry.last_modified_time))
        part = caches.HashCacheEntry(str(path), ALGORITHM, "1" * 32, "t", 0, 5)
        hashes.put_entry(part)
        assert hashes.get_connection_entry(str(path), ALGORITHM, hashes.get_local_connection(), 0, 5) == part
        assert part.to_dict()["range_end"] == 5
        assert hashes.get_entry("/nothing", ALGORITHM) is None
    again = decode_manifest(_native.snapshot(path.parent, cache_dir=folder)["manifest"].decode())
    assert again.paths[0].hash == "0" * 32
    with pytest.raises(ValueError, match=r"^The range of bytes 5 to 5 is empty\.$"):
        caches.HashCacheEntry("a", ALGORITHM, "h", "t", 5, 5)
    with caches.S3CheckCache(folder) as checks:
        old = time.time() - 31 * 24 * 60 * 60
        for key, moment in (("b/new", str(time.time())), ("b/old", str(old)), ("b/odd", "long ago")):
            checks.put_entry(caches.S3CheckCacheEntry(key, moment))
        assert [checks.get_entry(key) is None for key in ("b/new", "b/old", "b/odd", "b/none")] == [
            False,
            True,
            True,
            True,
        ]
        assert checks.get_connection_entry("b/new", checks.get_local_connection()) is not None
    assert caches.S3CheckCacheEntry("k", "1").to_dict() == {"s3_key": "k", "last_seen_time": "1"}
    home = workstation.folder / "home"
    assert caches.CacheDB.get_default_cache_db_file_dir() == str(home / caches.CONFIG_ROOT / caches.COMPONENT_NAME)
    assert caches.WHOLE_FILE_RANGE_END == -1
    workstation.file("caches/hash_cache.db", "no database")
    with pytest.raises(JobAttachmentsError, match="cannot be used: file is not a database"), caches.HashCache(folder):
        pass
    assert sqlite3.connect(Path(folder, "s3_check_cache.db")).execute("select count(*) from s3checkV1").fetchone() == (
        3,
    )


@calls("deadline.job_attachments.os_file_permission", "PosixFileSystemPermissionSettings")
@calls("deadline.job_attachments.os_file_permission", "WindowsFileSystemPermissionSettings", "WindowsPermissionEnum")
def permissions(workstation: Workstation) -> None:
    import grp

    place = workstation.file("shared/deep/file", "x")
    root = workstation.folder / "shared"
    for path in (root, root / "deep", place):
        path.chmod(0o700)
    group = grp.getgrgid(os.getgid()).gr_name
    posix = os_file_permission.PosixFileSystemPermissionSettings("nobody", group, 0o050, 0o040)
    os_file_permission._set_fs_group([str(place)], str(root), posix)
    modes = [stat.S_IMODE(path.stat().st_mode) for path in (root, root / "deep", place)]
    assert modes == [0o750, 0o750, 0o740]
    with pytest.raises(PathOutsideDirectoryError, match=r"does not lie below .*/shared\.$"):
        os_file_permission._set_fs_group_for_posix([str(workstation.folder)], str(root), posix)
    windows = os_file_permission.WindowsFileSystemPermissionSettings(
        "nobody",
        os_file_permission.WindowsPermissionEnum.READ,
        os_file_permission.WindowsPermissionEnum("FULL_CONTROL"),
    )
    with pytest.raises(TypeError, match="POSIX"):
        os_file_permission._set_fs_group([str(place)], str(root), windows)


@calls(
    "deadline.job_attachments._utils",
    "_float_to_iso_datetime_string",
    "_generate_random_guid",
    "_get_bucket_and_object_key",
    "_get_long_path_compatible_path",
    "_get_unique_dest_dir_name",
    "_is_relative_to",
    "_join_s3_paths",
    "_retry",
)
def small_rules(workstation: Workstation) -> None:
    assert _utils._join_s3_paths("a", "b", "c") == "a/b/c"
    assert _utils._get_unique_dest_dir_name("/projects") == "assetroot-1a525518311f2ec5b85e"
    assert _utils._float_to_iso_datetime_string(1700000000.25) == "2023-11-14T22:13:20.250000Z"
    assert _utils._get_bucket_and_object_key("s3://bucket/a/b") == ("bucket", "a/b")
    assert len(_utils._generate_random_guid()) == 32
    (workstation.folder / "link").symlink_to("/")
    assert _utils._is_relative_to(workstation.folder / "x" / ".." / "y", workstation.folder) is True
    assert _utils._is_relative_to(workstation.folder / "link" / "etc", workstation.folder) is False
    assert _utils._get_long_path_compatible_path("/a" * 200) == Path("/a" * 200)
    tries: list[int] = []

    @_utils._retry(ZeroDivisionError, tries=3, delay=(0.0, 0.001), logger=None)
    def fails() -> None:
        tries.append(1)
        _ = 1 / (len(tries) // 3)

    fails()
    assert len(tries) == 3


@calls("deadline.job_attachments._aws.aws_clients", "get_account_id", "get_boto3_session", "get_s3_client")
@calls("deadline.job_attachments._aws.aws_clients", "get_botocore_session")
@calls("deadline.job_attachments._aws.aws_clients", "get_deadline_client", "get_s3_transfer_manager")
@calls("deadline.job_attachments._aws.deadline", "get_queue", "get_job")
def clients(workstation: Workstation) -> None:
    assert aws_clients.get_account_id() == "000000000000"
    session = aws_clients.get_boto3_session()
    assert session is aws_clients.get_boto3_session()
    core = aws_clients.get_botocore_session()
    assert aws_clients.get_boto3_session(core) is aws_clients.get_boto3_session(core)
    assert core.get_config_variable("sts_regional_endpoints") == "regional"
    s3 = aws_clients.get_s3_client(queue_session(), s3_max_pool_connections=7)
    assert s3.meta.config.max_pool_connections == 7
    # A bucket of another account is not the queue's.
    sent: list[dict[str, str]] = []
    s3.meta.events.register("before-send.s3", lambda request, **_: sent.append(dict(request.headers)))
    place = settings(workstation)
    s3.put_object(Bucket=place.s3BucketName, Key=f"{place.rootPrefix}/any/one", Body=b"1")
    with aws_clients.get_s3_transfer_manager(s3) as transfers:
        done = transfers.download(place.s3BucketName, f"{place.rootPrefix}/any/one", str(workstation.folder / "one"))
        done.result()
    assert (workstation.folder / "one").read_bytes() == b"1"
    assert [headers["x-amz-expected-bucket-owner"] for headers in sent] == [b"000000000000"] * len(sent)
    assert aws_clients.get_deadline_client().list_farms()["farms"]
    queue = service.get_queue(workstation.farm_id, workstation.queue_id)
    assert (queue.queueId, queue.jobAttachmentSettings) == (workstation.queue_id, place)
    job_id = workstation.submit()
    assert service.get_job(workstation.farm_id, workstation.queue_id, job_id).attachments is None
    with pytest.raises(JobAttachmentsError, match=r"^job-0+ cannot be looked at: .*ResourceNotFoundException"):
        service.get_job(workstation.farm_id, workstation.queue_id, "job-" + "0" * 32)


@calls(DOWNLOAD, "OutputDownloader", "InputDownloader", "download_files_from_manifests", "get_manifest_from_s3")
@calls(DOWNLOAD, "get_job_input_paths_by_asset_root", "get_job_output_paths_by_asset_root")
@calls(DOWNLOAD, "get_job_input_output_paths_by_asset_root", "get_output_manifests_by_asset_root")
@calls(DOWNLOAD, "get_asset_root_and_manifest_from_s3", "download_files_in_directory", "download_files")
@calls(DOWNLOAD, "download_file", "merge_asset_manifests", "filter_manifests")
def downloads(workstation: Workstation) -> None:
    job, place, session = rendered(workstation), settings(workstation), queue_session()
    ids = (workstation.farm_id, workstation.queue_id, job.job_id)
    root = str(job.root)
    outputs = download.get_output_manifests_by_asset_root(place, *ids, session=session)
    assert [(key, [entry.path for entry in one.paths]) for key, (one,) in outputs.items()] == [
        (root, ["out/frame.txt"])
    ]
    assert download.get_output_manifests_by_asset_root(place, *ids[:2], "job-" + "0" * 32, session=session) == {}
    found = download.get_job_input_output_paths_by_asset_root(place, job.attachments, *ids, session=session)
    assert found[root].get_all_paths() == ["in.txt", "out/frame.txt"]
    (task,) = api.list_tasks(workstation.farm_id, workstation.queue_id, job.job_id, job.step_id)["tasks"]
    whose = (*ids, job.step_id, task["taskId"], task["latestSessionActionId"])
    assert download.get_job_output_paths_by_asset_root(place, *whose, session=session)[root].get_all_paths() == [
        "out/frame.txt"
    ]
    with pytest.raises(JobAttachmentsError, match="was named without step and task"):
        download.get_output_manifests_by_asset_root(place, *ids, session_action_id="a", session=session)
    key = place.add_root_and_manifest_folder_prefix(job.attachments.manifests[0].inputManifestPath)
    inputs = download.get_manifest_from_s3(key, place.s3BucketName, session)
    assert download.get_asset_root_and_manifest_from_s3(key, place.s3BucketName, session) == (None, inputs)
    with pytest.raises(JobAttachmentsS3ClientError) as missing:
        download.get_manifest_from_s3(f"{key}x", place.s3BucketName, session)
    assert missing.value.status_code == 404

    home = download.OutputDownloader(place, *ids, session=session)
    assert home.get_output_paths_by_root() == {root: ["out/frame.txt"]}
    with pytest.raises(ValueError, match=r"^The output files have no root '/nothing'; there are "):
        home.set_root_path("/nothing", "/a")
    frames = workstation.folder / "home-folder"
    home.set_root_path(root, str(frames))
    reports: list[ProgressReportMetadata] = []
    done = home.download_job_output(FileConflictResolution.SKIP, lambda report: reports.append(report) or True)
    assert (done.processed_files, done.file_counts_by_root_directory) == (1, {str(frames): 1})
    assert done.downloaded_files == [str(frames / "out/frame.txt")]
    assert (reports[-1].status, reports[-1].progress) == (ProgressStatus.DOWNLOAD_IN_PROGRESS, 100.0)
    (frames / "out/frame.txt").write_text("mine")
    assert home.download(FileConflictResolution.SKIP).skipped_files == 1
    assert (frames / "out/frame.txt").read_text() == "mine"
    home.download()
    assert (frames / "out/frame (1).txt").read_text().startswith("frame of input of ")
    home.apply_include_filters(["*.exr"])
    assert home.get_paths_by_root() == {}
    both = download.InputDownloader(place, job.attachments, session, include_filters=["project/"])
    assert both.get_paths_by_root() == {root: ["in.txt"]}

    merged = download.merge_asset_manifests([inputs, outputs[root][0]])
    assert merged is not None
    assert [entry.path for entry in merged.paths] == ["in.txt", "out/frame.txt"]
    (kept,) = download.filter_manifests({root: [merged]}, ["out/*.txt"])[root]
    assert ([entry.path for entry in kept.paths], kept.totalSize) == (["out/frame.txt"], kept.paths[0].size)
    prefix = place.full_cas_prefix()
    many = download.download_files_from_manifests(
        place.s3BucketName, {str(workstation.folder / name): merged for name in "xy"}, prefix, session=session
    )
    assert (many.total_files, many.processed_files) == (4, 4)
    with pytest.raises(AssetSyncCancelledError):
        download.download_files_from_manifests(
            place.s3BucketName, {str(workstation.folder / "z"): merged}, prefix, None, session, lambda _: False
        )
    for path in ("../escaped", "/etc/escaped"):
        merged.paths[0].path = path
        with pytest.raises(PathOutsideDirectoryError):
            download.download_files_from_manifests(
                place.s3BucketName, {str(workstation.folder / "w"): merged}, prefix, session=session
            )
    assert not (workstation.folder / "w").exists()

    folder = workstation.folder / "some"
    assert download.download_files(kept.paths, ALGORITHM, str(folder), place, session) == [
        str(folder / "out/frame.txt")
    ]
    one = download.download_file(
        kept.paths[0], ALGORITHM, str(folder), Lock(), defaultdict(int), place.s3BucketName, prefix, session=session
    )
    assert one == (kept.paths[0].size, folder / "out/frame.txt")
    with pytest.raises(ValueError, match="does not say what to do with files that are there"):
        download.download_files(kept.paths, ALGORITHM, str(folder), place, session, None, None)
    within = download.download_files_in_directory(
        place, job.attachments, *ids, "out", str(workstation.folder / "within"), session
    )
    assert within.downloaded_files == [str(workstation.folder / "within/out/frame.txt")]
