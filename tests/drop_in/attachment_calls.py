"""Calls of ``deadline.job_attachments``: models, manifests, progress, and uploads to a real object store."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from deadline.client import api
from deadline.client.exceptions import DeadlineOperationCanceled, DeadlineOperationError
from deadline.job_attachments import exceptions, models
from deadline.job_attachments.asset_manifests import (
    BaseAssetManifest,
    BaseManifestModel,
    BaseManifestPath,
    HashAlgorithm,
    ManifestModelRegistry,
    ManifestVersion,
    hash_data,
    hash_file,
)
from deadline.job_attachments.asset_manifests.decode import decode_manifest, validate_manifest
from deadline.job_attachments.asset_manifests.v2023_03_03 import (
    AssetManifest,
    ManifestModel,
    ManifestPath,
    asset_manifest,
)
from deadline.job_attachments.exceptions import (
    AssetSyncCancelledError,
    AssetSyncError,
    JobAttachmentsError,
    MalformedAttachmentSettingError,
    ManifestDecodeValidationError,
    MisconfiguredInputsError,
    MissingS3BucketError,
    MissingS3RootPrefixError,
)
from deadline.job_attachments.models import JobAttachmentS3Settings, ManifestProperties, PathFormat
from deadline.job_attachments.progress_tracker import (
    DownloadSummaryStatistics,
    ProgressReportMetadata,
    ProgressStatus,
    SummaryStatistics,
)
from deadline.job_attachments.upload import S3AssetManager
from drop_in.calls import calls
from drop_in.conftest import Workstation

MODELS = "deadline.job_attachments.models"
MANIFESTS = "deadline.job_attachments.asset_manifests"
EMPTY_HASH = "99aa06d3014798d86001c324468d497f"


@calls("deadline.job_attachments.exceptions", *exceptions.__all__)
def all_exceptions(workstation: Workstation) -> None:
    made = {
        "JobAttachmentsS3ClientError": ("uploading", 403, "bucket", "key", "denied"),
        "JobAttachmentS3BotoCoreError": ("Uploading", "no route to host"),
    }
    texts = {
        "JobAttachmentsS3ClientError": "S3 answered 403 while uploading s3://bucket/key. denied",
        "JobAttachmentS3BotoCoreError": (
            "Uploading failed: no route to host. Check the network connection and the credentials."
        ),
    }
    for name in exceptions.__all__:
        kind = getattr(exceptions, name)
        error = kind(*made.get(name, ("why",)))
        assert str(error) == texts.get(name, "why")
        with pytest.raises(kind):
            raise error
    canceled = AssetSyncCancelledError("stopped", SummaryStatistics(total_files=3))
    assert canceled.summary_statistics == SummaryStatistics(total_files=3)
    assert isinstance(canceled, DeadlineOperationCanceled)
    assert issubclass(MisconfiguredInputsError, DeadlineOperationError)


@calls(MODELS, "JobAttachmentS3Settings")
def settings(workstation: Workstation) -> None:
    place = JobAttachmentS3Settings("bucket", "Root/Deep")
    assert JobAttachmentS3Settings.from_root_path("bucket/Root/Deep") == place
    assert JobAttachmentS3Settings.from_s3_root_uri("s3://bucket/Root/Deep") == place
    assert (place.to_root_path(), place.to_s3_root_uri()) == ("bucket/Root/Deep", "s3://bucket/Root/Deep")
    ids = ("farm-1", "queue-1", "job-1", "step-1", "task-1", "action-1")
    below = "Root/Deep/Manifests/farm-1/queue-1/job-1"
    assert place.full_cas_prefix() == "Root/Deep/Data"
    assert place.full_job_output_prefix(*ids[:3]) == below
    assert place.full_step_output_prefix(*ids[:4]) == f"{below}/step-1"
    assert place.full_task_output_prefix(*ids[:5]) == f"{below}/step-1/task-1"
    assert place.full_output_prefix(*ids) == f"{below}/step-1/task-1/action-1"
    assert place.partial_session_action_manifest_prefix(*ids, 1.5) == (
        "farm-1/queue-1/job-1/step-1/task-1/1970-01-01T00:00:01.500000Z_action-1"
    )
    assert place.partial_session_action_manifest_prefix_without_task(*ids[:4], ids[5], 0) == (
        "farm-1/queue-1/job-1/step-1/1970-01-01T00:00:00.000000Z_action-1"
    )
    first, second = (place.partial_manifest_prefix("farm-1", "queue-1") for _ in range(2))
    assert first != second
    assert first.rpartition("/")[0] == "farm-1/queue-1/Inputs"
    assert place.add_root_and_manifest_folder_prefix("key") == "Root/Deep/Manifests/key"
    with pytest.raises(MalformedAttachmentSettingError) as error:
        JobAttachmentS3Settings.from_s3_root_uri("https://bucket/Root")
    assert str(error.value) == "'https://bucket/Root' is no place of attachments; write it as s3://bucket/prefix."
    with pytest.raises(MissingS3RootPrefixError) as missing:
        JobAttachmentS3Settings("bucket", "").full_cas_prefix()
    assert str(missing.value) == "The attachments in the bucket bucket have no root prefix."


@calls(MODELS, "ManifestProperties", "Attachments", "PathFormat", "JobAttachmentsFileSystem", "Job")
def attachments(workstation: Workstation) -> None:
    root = ManifestProperties("/projekte/ä", PathFormat.get_host_path_format(), "Projects", "key", "hash", ["out"])
    document = {
        "rootPath": "/projekte/ä",
        "fileSystemLocationName": "Projects",
        "rootPathFormat": "posix",
        "inputManifestPath": "key",
        "inputManifestHash": "hash",
        "outputRelativeDirectories": ["out"],
    }
    assert root.to_dict() == document
    assert ManifestProperties.from_dict(document) == root
    assert ManifestProperties("/a", PathFormat.WINDOWS).to_dict() == {"rootPath": "/a", "rootPathFormat": "windows"}
    assert root.as_output_metadata() == {
        "Metadata": {
            "asset-root": '"/projekte/\\u00e4"',
            "asset-root-json": '"/projekte/\\u00e4"',
            "file-system-location-name": "Projects",
        }
    }
    assert ManifestProperties("/a", PathFormat.POSIX).as_output_metadata() == {"Metadata": {"asset-root": "/a"}}
    job = models.Job("job-1", models.Attachments([root], models.JobAttachmentsFileSystem.VIRTUAL.value))
    assert job.attachments is not None
    assert job.attachments.to_dict() == {"manifests": [document], "fileSystem": "VIRTUAL"}
    assert PathFormat.get_host_path_format_string() == "posix"


@calls(MODELS, "StorageProfile", "StorageProfileOperatingSystemFamily", "FileSystemLocation", "FileSystemLocationType")
def storage_profile(workstation: Workstation) -> None:
    family = models.StorageProfileOperatingSystemFamily
    assert [family("LINUX"), family("Windows"), family.get_host_os_family()] == [
        family.LINUX,
        family.WINDOWS,
        family.LINUX,
    ]
    with pytest.raises(ValueError, match="'amiga' is not a valid StorageProfileOperatingSystemFamily"):
        family("amiga")
    place = models.FileSystemLocation("Projects", "/projects", models.FileSystemLocationType("SHARED"))
    assert models.StorageProfile("sp-1", "Studio", family.LINUX, [place]).to_dict() == {
        "storageProfileId": "sp-1",
        "displayName": "Studio",
        "osFamily": "linux",
        "fileSystemLocations": [{"name": "Projects", "path": "/projects", "type": "SHARED"}],
    }


@calls(MODELS, "AssetType", "FileConflictResolution", "FileStatus")
def words(workstation: Workstation) -> None:
    assert models.AssetType("output") is models.AssetType.OUTPUT
    assert models.FileConflictResolution["CREATE_COPY"].value == 3
    assert models.FileStatus(2) is models.FileStatus.MODIFIED


@calls(
    MODELS,
    "Fleet",
    "GlobConfig",
    "ManifestDiff",
    "ManifestDownload",
    "ManifestDownloadResponse",
    "ManifestMerge",
    "ManifestSnapshot",
    "OutputFile",
    "Queue",
    "UploadManifestInfo",
    "default_glob_all",
)
def records(workstation: Workstation) -> None:
    queue = models.Queue("queue-1", "Q", "farm-1", "IDLE", "NONE", JobAttachmentS3Settings("b", "r"))
    assert queue.jobAttachmentSettings == JobAttachmentS3Settings("b", "r")
    assert models.Fleet("fleet-1", 3).priority == 3
    globs = models.GlobConfig()
    assert (globs.include_glob, globs.exclude_glob) == (models.default_glob_all(), [])
    assert (models.GlobConfig.INCLUDE, models.GlobConfig.EXCLUDE) == ("include", "exclude")
    assert models.ManifestDiff(new=["a"]) == models.ManifestDiff(["a"], [], [])
    download = models.ManifestDownload("/root", "/manifest")
    assert models.ManifestDownloadResponse([download]).downloaded[0].local_manifest_path == "/manifest"
    assert models.ManifestMerge() == models.ManifestMerge("", "")
    assert models.ManifestSnapshot("/root", "/manifest").manifest == "/manifest"
    assert models.OutputFile(1, "h", "a", "/a", "k", False, None).in_s3 is False
    assert models.UploadManifestInfo("p", "h").source_path is None


@calls(MODELS, "PathMappingRule")
@calls(MANIFESTS, "HashAlgorithm", "hash_data", "hash_file")
def hashes(workstation: Workstation) -> None:
    assert hash_data(b"", HashAlgorithm.XXH128) == EMPTY_HASH
    # Published for bytes, and taken by the official one in each of these shapes.
    shapes: Any = (b"\xc3\xa9", bytearray(b"\xc3\xa9"), memoryview(b"\xc3\xa9"), "é")
    assert len({hash_data(data, HashAlgorithm.XXH128) for data in shapes}) == 1
    assert hash_file(str(workstation.file("empty", "")), HashAlgorithm.XXH128) == EMPTY_HASH
    link = workstation.folder / "links" / "away"
    link.parent.mkdir()
    link.symlink_to(workstation.folder / "empty")
    assert hash_file(str(link), HashAlgorithm.XXH128) == EMPTY_HASH
    with pytest.raises(FileNotFoundError):
        hash_file(str(workstation.folder / "missing"), HashAlgorithm.XXH128)
    rule = models.PathMappingRule("posix", "/projects", "/mnt")
    assert rule.get_hashed_source_path(HashAlgorithm.XXH128) == hash_data(b"/projects", HashAlgorithm.XXH128)
    with pytest.raises(exceptions.UnsupportedHashingAlgorithmError) as error:
        hash_data(b"", "md5")  # type: ignore[arg-type]
    assert str(error.value) == "There is no hash algorithm 'md5'; use xxh128."


@calls(MODELS, "AssetRootManifest", "ManifestPathGroup")
@calls(MANIFESTS, "BaseAssetManifest", "BaseManifestPath", "ManifestVersion")
@calls(MANIFESTS, "BaseManifestModel", "ManifestModelRegistry")
@calls(f"{MANIFESTS}.decode", "decode_manifest", "validate_manifest")
@calls(f"{MANIFESTS}.v2023_03_03", "AssetManifest", "ManifestModel", "ManifestPath")
@calls(f"{MANIFESTS}.v2023_03_03.asset_manifest", "AssetManifest", "ManifestModel", "ManifestPath")
def manifests(workstation: Workstation) -> None:
    names = ("z", "ä", "\ue000", "🎬")
    paths: list[BaseManifestPath] = [ManifestPath(path=name, hash="abc", size=1, mtime=2) for name in names]
    manifest = AssetManifest(hash_alg=AssetManifest.get_default_hash_alg(), paths=paths, total_size=4)
    text = manifest.encode()
    assert text == (
        '{"hashAlg":"xxh128","manifestVersion":"2023-03-03","paths":['
        '{"hash":"abc","mtime":2,"path":"z","size":1},{"hash":"abc","mtime":2,"path":"\\u00e4","size":1},'
        '{"hash":"abc","mtime":2,"path":"\\ud83c\\udfac","size":1},{"hash":"abc","mtime":2,"path":"\\ue000","size":1}'
        '],"totalSize":4}'
    )
    decoded = decode_manifest(text)
    assert isinstance(decoded, BaseAssetManifest)
    assert decoded == manifest
    assert decoded.manifestVersion is ManifestVersion.v2023_03_03
    group = models.ManifestPathGroup()
    group.add_manifest_to_group(decoded)
    other = models.ManifestPathGroup()
    other.combine_with_group(group)
    assert (other.total_bytes, other.get_all_paths()) == (4, sorted(names))
    assert models.AssetRootManifest(root_path="/r", asset_manifest=decoded).outputs == []
    for change, said in (
        ({"manifestVersion": "1"}, "The manifest is of version '1'; only 2023-03-03 is known."),
        ({"paths": []}, "The manifest lists no file."),
        ({"totalSize": "4"}, "The manifest has '4' as totalSize; it must be of the type int."),
    ):
        with pytest.raises(ManifestDecodeValidationError) as error:
            decode_manifest(json.dumps({**json.loads(text), **change}))
        assert str(error.value) == said
        assert validate_manifest({**json.loads(text), **change}, ManifestVersion.v2023_03_03) == (False, said)
    assert validate_manifest(json.loads(text), ManifestVersion.v2023_03_03) == (True, None)
    assert validate_manifest(json.loads(text), ManifestVersion.UNDEFINED)[0] is False
    model = ManifestModelRegistry.get_manifest_model(version=ManifestVersion.v2023_03_03)
    assert issubclass(model, BaseManifestModel)
    assert (model, model.AssetManifest, model.Path) == (ManifestModel, AssetManifest, ManifestPath)
    assert asset_manifest.AssetManifest is AssetManifest
    with pytest.raises(RuntimeError) as unknown:
        ManifestModelRegistry.get_manifest_model(version=ManifestVersion.UNDEFINED)
    assert str(unknown.value).endswith("only 2023-03-03 is known.")


@calls("deadline.job_attachments.progress_tracker", "ProgressReportMetadata", "ProgressStatus")
def progress(workstation: Workstation) -> None:
    report = ProgressReportMetadata.from_dict(
        {
            "status": "UPLOAD_IN_PROGRESS",
            "progress": 50.0,
            "transferRate": 2.0,
            "progressMessage": "Uploaded 1 B / 2 B",
            "processedFiles": 1,
            "totalFiles": 2,
        }
    )
    assert report == ProgressReportMetadata(ProgressStatus.UPLOAD_IN_PROGRESS, 50.0, 2.0, "Uploaded 1 B / 2 B", 1)
    assert (report.transfer_rate, report.processed_files, report.status.verb_in_message) == (2.0, 1, "Uploaded")


@calls("deadline.job_attachments.progress_tracker", "SummaryStatistics", "DownloadSummaryStatistics")
def statistics(workstation: Workstation) -> None:
    total = SummaryStatistics(2.0, 2, 3_000_000, 1, 1_500_000, 1, 1_500_000, 750_000.0)
    assert str(total) == (
        "Processed 1 file totaling 1.5 MB.\n"
        "Skipped re-processing 1 files totaling 1.5 MB.\n"
        "Total processing time of 2.0 seconds at 750.0 KB/s.\n"
    )
    twice = SummaryStatistics().aggregate(total).aggregate(total)
    assert (twice.total_files, twice.transfer_rate) == (4, 750_000.0)
    down = DownloadSummaryStatistics(total_files=1, file_counts_by_root_directory={"/a": 1}, downloaded_files=["/a/b"])
    down.aggregate(DownloadSummaryStatistics(file_counts_by_root_directory={"/a": 2, "/c": 1}))
    assert down.file_counts_by_root_directory == {"/a": 3, "/c": 1}
    assert down.convert_to_summary_statistics() == SummaryStatistics(total_files=1)
    with pytest.raises(TypeError, match=r"^SummaryStatistics cannot be added to DownloadSummaryStatistics$"):
        down.aggregate(total)


@calls("deadline.job_attachments.upload", "S3AssetManager")
@calls(MODELS, "AssetRootGroup", "AssetUploadGroup")
def upload(workstation: Workstation) -> None:
    # Contents that no other test has stored.
    scene = workstation.file("project/scene.ma", f"scene of {workstation.folder}")
    wood = workstation.file("library/wood.png", f"wood of {workstation.folder}")
    size = scene.stat().st_size + wood.stat().st_size
    profile = models.StorageProfile(
        "sp-1",
        "Studio",
        models.StorageProfileOperatingSystemFamily.LINUX,
        [models.FileSystemLocation("Library", str(wood.parent), models.FileSystemLocationType.LOCAL)],
    )
    state = workstation.farm.state
    manager = S3AssetManager(
        farm_id=workstation.farm_id,
        queue_id=workstation.queue_id,
        job_attachment_settings=JobAttachmentS3Settings(state["bucket"], state["root_prefix"]),
        session=api.get_queue_user_boto3_session(api.get_boto3_client("deadline")),
    )
    outputs = [str(scene.parent / "out")]
    group = manager.prepare_paths_for_upload([str(scene), str(wood), ""], outputs, [], profile)
    assert group == models.AssetUploadGroup(
        [
            models.AssetRootGroup("Library", str(wood.parent), {wood}),
            models.AssetRootGroup(None, str(scene.parent), {scene}, {Path(outputs[0])}),
        ],
        total_input_files=2,
        total_input_bytes=size,
    )

    cache = str(workstation.folder / "cache")
    reports: list[ProgressReportMetadata] = []
    counted, roots = _hash(manager, group, cache, reports)
    assert (counted.processed_files, counted.skipped_files, counted.processed_bytes) == (2, 0, size)
    assert (reports[-1].status, reports[-1].progress) == (ProgressStatus.PREPARING_IN_PROGRESS, 100.0)
    assert _hash(manager, group, cache, [])[0].skipped_files == 2

    kept = workstation.folder / "kept"
    reports.clear()
    sent, attached = manager.upload_assets(
        roots, lambda report: reports.append(report) or True, cache, manifest_write_dir=str(kept)
    )
    assert (sent.processed_files, sent.skipped_files) == (2, 0)
    assert (reports[-1].status, reports[-1].progress) == (ProgressStatus.UPLOAD_IN_PROGRESS, 100.0)
    assert manager.upload_assets(roots, s3_check_cache_dir=cache, force_s3_check=True)[0].skipped_files == 2
    store = manager.session.client("s3")
    for root, properties in zip(roots, attached.manifests, strict=True):
        assert root.asset_manifest is not None
        key = f"{state['root_prefix']}/Manifests/{properties.inputManifestPath}"
        body = store.get_object(Bucket=state["bucket"], Key=key)["Body"].read()
        assert body.decode() == root.asset_manifest.encode()
        assert properties.inputManifestHash == hash_data(body, HashAlgorithm.XXH128)
        assert (kept / "manifests" / key.rpartition("/")[2]).read_bytes() == body
        (entry,) = root.asset_manifest.paths
        data = f"{state['root_prefix']}/Data/{entry.hash}.xxh128"
        assert (
            store.get_object(Bucket=state["bucket"], Key=data)["Body"].read()
            == Path(root.root_path, entry.path).read_bytes()
        )
    assert [one.outputRelativeDirectories for one in attached.manifests] == [[], ["out"]]
    assert len((kept / "manifests" / "manifest_s3_mapping").read_text().splitlines()) == 2

    # The farm takes the attachments, and a worker reads the files.
    code = (
        "import os, pathlib; folder = pathlib.Path(os.environ['OPENJD_SESSION_WORKING_DIR']).parent; "
        "print('found', *sorted(path.name for path in folder.rglob('*') if path.suffix in ('.ma', '.png')))"
    )
    template = (workstation.bundle(code=code) / "template.json").read_text()
    job_id = workstation.farm.submit(json.loads(template), attachments=attached.to_dict())
    workstation.farm.wait_job(job_id)
    assert "found scene.ma wood.png" in workstation.farm.log(job_id), workstation.farm.log(job_id)

    snapshot = workstation.folder / "snapshot"
    reports.clear()
    copied, described = manager.snapshot_assets(str(snapshot), roots, lambda report: reports.append(report) or True)
    assert (copied.processed_files, reports[-1].progress) == (2, 100.0)
    for root, properties in zip(roots, described.manifests, strict=True):
        assert root.asset_manifest is not None
        assert (snapshot / "Manifests" / str(properties.inputManifestPath)).read_text() == root.asset_manifest.encode()
        (entry,) = root.asset_manifest.paths
        assert hash_file(str(snapshot / "Data" / f"{entry.hash}.xxh128"), HashAlgorithm.XXH128) == entry.hash

    _refusals(workstation, manager, group, roots)


def _hash(
    manager: S3AssetManager, group: models.AssetUploadGroup, cache: str, reports: list[ProgressReportMetadata]
) -> tuple[SummaryStatistics, list[models.AssetRootManifest]]:
    return manager.hash_assets_and_create_manifest(
        group.asset_groups,
        group.total_input_files,
        group.total_input_bytes,
        hash_cache_dir=cache,
        on_preparing_to_submit=lambda report: reports.append(report) or True,
    )


def _refusals(workstation: Workstation, manager: S3AssetManager, group: Any, roots: Any) -> None:
    gone = str(workstation.folder / "gone.png")
    with pytest.raises(MisconfiguredInputsError):
        manager.prepare_paths_for_upload([gone], [], [], require_paths_exist=True)
    with pytest.raises(MisconfiguredInputsError):
        manager.prepare_paths_for_upload([str(workstation.folder)], [], [])
    for call in (
        lambda no: manager.hash_assets_and_create_manifest(group.asset_groups, 2, 9, on_preparing_to_submit=no),
        lambda no: manager.upload_assets(roots, no),
        lambda no: manager.snapshot_assets(str(workstation.folder / "other"), roots, no),
    ):
        with pytest.raises(AssetSyncCancelledError) as canceled:
            call(lambda _: False)
        assert canceled.value.summary_statistics is not None
    with pytest.raises(JobAttachmentsError) as nowhere:
        S3AssetManager().upload_assets(roots)
    assert str(nowhere.value) == (
        "This S3AssetManager has nowhere to store files. Make it with farm_id, queue_id and job_attachment_settings."
    )
    with pytest.raises(MissingS3BucketError) as bucket:
        S3AssetManager(queue_id="queue-1", job_attachment_settings=JobAttachmentS3Settings("", "r"))
    assert str(bucket.value) == "The job attachments of the queue queue-1 name no bucket."
    assert manager.job_attachment_settings is not None
    manager.job_attachment_settings.s3BucketName = "another"
    with pytest.raises(AssetSyncError, match=r"s3://another/"):
        manager.upload_assets(roots)
