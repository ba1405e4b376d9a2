"""Grouping, hashing and upload of a job's files, step by step. Each step is the native module's."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any, Callable, Optional

from shotput import _native
from shotput.errors import AttachmentsError, DeadlineOperationCanceled, MissingInputsError

from .asset_manifests import ManifestVersion
from .asset_manifests.decode import decode_manifest
from .exceptions import (
    AssetSyncCancelledError,
    AssetSyncError,
    JobAttachmentsError,
    MisconfiguredInputsError,
    MissingS3BucketError,
    MissingS3RootPrefixError,
)
from .models import (
    AssetRootGroup,
    AssetRootManifest,
    AssetUploadGroup,
    Attachments,
    JobAttachmentS3Settings,
    ManifestProperties,
    PathFormat,
    StorageProfile,
)
from .progress_tracker import ProgressReportMetadata, ProgressStatus, SummaryStatistics

__all__ = ["S3AssetManager"]

_OnProgress = Optional[Callable[[ProgressReportMetadata], bool]]


class S3AssetManager:
    """Brings the files of a job to the object store of a queue.

    ``session`` is a ``boto3.Session`` with the queue's rights; it is needed to upload. Connections and thresholds are
    the native module's own: the last two arguments are taken and change nothing but what callers read back.
    """

    def __init__(
        self,
        farm_id: str | None = None,
        queue_id: str | None = None,
        job_attachment_settings: JobAttachmentS3Settings | None = None,
        asset_uploader: Any = None,
        session: Any = None,
        asset_manifest_version: ManifestVersion = ManifestVersion.v2023_03_03,
        s3_max_pool_connections: int = 50,
        small_file_threshold_multiplier: int = 20,
    ) -> None:
        if job_attachment_settings and not job_attachment_settings.s3BucketName:
            raise MissingS3BucketError(f"The job attachments of the queue {queue_id} name no bucket.")
        if job_attachment_settings and not job_attachment_settings.rootPrefix:
            raise MissingS3RootPrefixError(f"The job attachments of the queue {queue_id} name no root prefix.")
        self.farm_id = farm_id
        self.queue_id = queue_id
        self.job_attachment_settings = job_attachment_settings
        self.asset_uploader = asset_uploader
        self.session = session
        self.manifest_version = asset_manifest_version
        self.s3_max_pool_connections = s3_max_pool_connections
        self.small_file_threshold_multiplier = small_file_threshold_multiplier

    def prepare_paths_for_upload(
        self,
        input_paths: list[str],
        output_paths: list[str],
        referenced_paths: list[str],
        storage_profile: StorageProfile | None = None,
        require_paths_exist: bool = False,
    ) -> AssetUploadGroup:
        """Sort paths under roots. Empty ones are left out, and so are those that workers see.

        Raises ``MisconfiguredInputsError`` for inputs that are folders and, when asked for, for missing ones.
        """
        locations = [place.to_dict() for place in storage_profile.fileSystemLocations] if storage_profile else []
        with _translated():
            found = _native.group_paths(
                list(filter(None, input_paths)),
                list(filter(None, output_paths)),
                list(filter(None, referenced_paths)),
                locations=locations,
                require_paths_exist=require_paths_exist,
            )
        groups = [
            AssetRootGroup(
                group["location_name"],
                group["root"],
                *({Path(path) for path in group[member]} for member in ("inputs", "outputs", "references")),
            )
            for group in found["groups"]
        ]
        return AssetUploadGroup(groups, total_input_files=found["total_files"], total_input_bytes=found["total_bytes"])

    def hash_assets_and_create_manifest(
        self,
        asset_groups: list[AssetRootGroup],
        total_input_files: int,
        total_input_bytes: int,
        hash_cache_dir: str | None = None,
        on_preparing_to_submit: _OnProgress = None,
    ) -> tuple[SummaryStatistics, list[AssetRootManifest]]:
        """Hash every input: statistics, and a manifest for each root. ``hash_cache_dir`` spares what did not change.

        Raises ``AssetSyncCancelledError`` when the callback gives a false value.
        """
        progress = _Progress(
            on_preparing_to_submit, ProgressStatus.PREPARING_IN_PROGRESS, total_input_files, total_input_bytes
        )
        manifests = []
        for group in asset_groups:
            manifest = None
            if group.inputs:
                with _translated(progress.done):
                    made = _native.snapshot(
                        group.root_path, sorted(group.inputs), cache_dir=hash_cache_dir, on_progress=progress.report
                    )
                progress.add(made["statistics"])
                manifest = decode_manifest(made["manifest"].decode("utf-8"))
            manifests.append(
                AssetRootManifest(group.file_system_location_name, group.root_path, manifest, sorted(group.outputs))
            )
        return progress.finish(), manifests

    def upload_assets(
        self,
        manifests: list[AssetRootManifest],
        on_uploading_assets: _OnProgress = None,
        s3_check_cache_dir: str | None = None,
        manifest_write_dir: str | None = None,
        force_s3_check: bool | None = None,
    ) -> tuple[SummaryStatistics, Attachments]:
        """Upload manifests, and the files that the object store lacks: statistics, and the job's attachments.

        With ``manifest_write_dir`` a copy of each manifest is kept below it, in ``manifests``. Raises
        ``AssetSyncCancelledError`` when the callback gives a false value, ``AssetSyncError`` when the store fails.
        """
        settings = self._settings()
        session = self.session or _default_session()

        def upload(root: str, text: str, key: str, name: str, progress: _Progress) -> None:
            if manifest_write_dir:
                _keep_manifest(Path(manifest_write_dir), text, key, name)
            _put_object(session, settings.s3BucketName, key, text.encode("utf-8"))
            with _translated(progress.done):
                statistics = _native.upload_snapshot(
                    root,
                    text.encode("utf-8"),
                    bucket=settings.s3BucketName,
                    root_prefix=settings.rootPrefix,
                    target=_target(session),
                    cache_dir=s3_check_cache_dir,
                    force_s3_check=bool(force_s3_check),
                    on_progress=progress.report,
                )
            progress.add(statistics)

        return self._store(manifests, on_uploading_assets, ProgressStatus.UPLOAD_IN_PROGRESS, upload)

    def snapshot_assets(
        self,
        snapshot_dir: str,
        manifests: list[AssetRootManifest],
        on_snapshotting_assets: _OnProgress = None,
    ) -> tuple[SummaryStatistics, Attachments]:
        """Put manifests and files into a folder that looks like the object store, for a later upload by hand."""
        folder = Path(snapshot_dir).absolute()
        root_prefix = self._settings().rootPrefix

        def copy(root: str, text: str, key: str, name: str, progress: _Progress) -> None:
            place = folder / Path(key).relative_to(root_prefix)
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_text(text, encoding="utf-8")
            (folder / "Data").mkdir(exist_ok=True)
            for entry in decode_manifest(text).paths:
                shutil.copyfile(Path(root, entry.path), folder / "Data" / f"{entry.hash}.xxh128")
                progress.add({"processed_files": 1, "processed_bytes": entry.size})
                progress.tell()

        return self._store(manifests, on_snapshotting_assets, ProgressStatus.SNAPSHOT_IN_PROGRESS, copy)

    def _settings(self) -> JobAttachmentS3Settings:
        if not self.farm_id or not self.queue_id or not self.job_attachment_settings:
            raise JobAttachmentsError(
                "This S3AssetManager has nowhere to store files. Make it with farm_id, queue_id and "
                "job_attachment_settings."
            )
        return self.job_attachment_settings

    def _store(
        self,
        manifests: list[AssetRootManifest],
        callback: _OnProgress,
        status: ProgressStatus,
        store: Callable[[str, str, str, str, _Progress], None],
    ) -> tuple[SummaryStatistics, Attachments]:
        """Hand every manifest to ``store``, and describe all of them as a job's attachments."""
        settings = self._settings()
        kept = [root.asset_manifest for root in manifests if root.asset_manifest]
        files = sum(len(manifest.paths) for manifest in kept)
        progress = _Progress(callback, status, files, sum(manifest.totalSize for manifest in kept))
        properties = []
        for root in manifests:
            path, digest = None, None
            if root.asset_manifest:
                text = root.asset_manifest.encode()
                name = f"{_native.hash_bytes(os.fsencode(root.root_path))}_input"
                path = f"{settings.partial_manifest_prefix(str(self.farm_id), str(self.queue_id))}/{name}"
                digest = _native.hash_bytes(text.encode("utf-8"))
                store(root.root_path, text, settings.add_root_and_manifest_folder_prefix(path), name, progress)
            outputs = [str(output.relative_to(root.root_path)) for output in root.outputs]
            properties.append(
                ManifestProperties(
                    root.root_path,
                    PathFormat.get_host_path_format(),
                    root.file_system_location_name,
                    path,
                    digest,
                    outputs,
                )
            )
        return progress.finish(), Attachments(properties)


class _Progress:
    """One progress over all roots: the native module tells that of one root at a time."""

    def __init__(self, callback: _OnProgress, status: ProgressStatus, total_files: int, total_bytes: int) -> None:
        self.callback, self.status = callback, status
        self.done = SummaryStatistics(total_files=total_files, total_bytes=total_bytes)
        self.began = time.perf_counter()

    def report(self, progress: dict[str, Any]) -> bool:
        """Tell the caller of a report about the root at hand."""
        here = progress["totalBytes"] * progress["progress"] / 100
        return self._call(here, progress["processedFiles"], progress["transferRate"], progress["progressMessage"])

    def tell(self) -> None:
        """Tell the caller how far everything is."""
        message = f"{self.status.verb_in_message} {self.done.processed_files} of {self.done.total_files} files"
        if not self._call(0, 0, 0.0, message):
            raise AssetSyncCancelledError("The callback ended the operation.", self.done)

    def _call(self, more_bytes: float, more_files: int, rate: float, message: str) -> bool:
        if self.callback is None:
            return True
        ready = self.done.processed_bytes + self.done.skipped_bytes + more_bytes
        percent = 100 * ready / self.done.total_bytes if self.done.total_bytes else 100.0
        files = self.done.processed_files + more_files
        return bool(self.callback(ProgressReportMetadata(self.status, min(percent, 100.0), rate, message, files)))

    def add(self, statistics: dict[str, Any]) -> None:
        """A root is done."""
        for member in ("processed_files", "processed_bytes", "skipped_files", "skipped_bytes"):
            setattr(self.done, member, getattr(self.done, member) + statistics.get(member, 0))

    def finish(self) -> SummaryStatistics:
        """Everything is done; what it came to."""
        self.done.total_time = time.perf_counter() - self.began
        if self.done.total_time:
            self.done.transfer_rate = self.done.processed_bytes / self.done.total_time
        if not self.done.total_files:
            self.tell()
        return self.done


@contextmanager
def _translated(done: SummaryStatistics | None = None) -> Iterator[None]:
    """The native module's exceptions under their published names."""
    try:
        yield
    except MissingInputsError as error:
        raise MisconfiguredInputsError(str(error)) from error
    except DeadlineOperationCanceled as error:
        raise AssetSyncCancelledError(str(error), done) from error
    except AttachmentsError as error:
        raise AssetSyncError(str(error)) from error


def _keep_manifest(folder: Path, text: str, key: str, name: str) -> None:
    """A copy of a manifest, and a line that says which key it has."""
    kept = folder / "manifests"
    kept.mkdir(parents=True, exist_ok=True)
    (kept / name).write_text(text, encoding="utf-8")
    with (kept / "manifest_s3_mapping").open("a", encoding="utf-8") as mapping:
        mapping.write(f"{ {'local_file': name, 's3_key': key} }\n")


def _default_session() -> Any:
    import boto3

    return boto3.Session()


@cache
def _account(session: Any) -> str:
    return str(session.client("sts").get_caller_identity()["Account"])


def _put_object(session: Any, bucket: str, key: str, body: bytes) -> None:
    from botocore.exceptions import BotoCoreError, ClientError

    try:
        # A bucket of another account is not the queue's, whatever its name.
        session.client("s3").put_object(Bucket=bucket, Key=key, Body=body, ExpectedBucketOwner=_account(session))
    except (BotoCoreError, ClientError) as error:
        raise AssetSyncError(f"The manifest s3://{bucket}/{key} cannot be stored: {error}") from error


def _target(session: Any) -> dict[str, Any]:
    """The keys of a boto3 session and the environment's endpoint, as the native module takes them."""
    keys = session.get_credentials().get_frozen_credentials()
    return {
        "region": session.region_name,
        "s3_endpoint_url": os.environ.get("AWS_ENDPOINT_URL_S3") or os.environ.get("AWS_ENDPOINT_URL"),
        "access_key_id": keys.access_key,
        "secret_access_key": keys.secret_key,
        "session_token": keys.token,
    }
