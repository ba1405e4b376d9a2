"""Hashing and uploading what one manifest lists: the native module's work under the published methods."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any, Callable

from shotput import _native

from . import _store
from ._aws.aws_clients import get_boto3_session, get_s3_client
from ._store import Feed, translated
from .asset_manifests import BaseAssetManifest, BaseManifestPath, HashAlgorithm, hash_data
from .asset_manifests.decode import decode_manifest
from .asset_manifests.v2023_03_03 import AssetManifest
from .caches import CacheDB, S3CheckCache
from .exceptions import AssetSyncCancelledError, AssetSyncError
from .models import S3_DATA_FOLDER_NAME, S3_MANIFEST_FOLDER_NAME, JobAttachmentS3Settings
from .progress_tracker import ProgressStatus, ProgressTracker

__all__ = ["S3_MULTIPART_UPLOAD_CHUNK_SIZE", "S3_UPLOAD_MAX_CONCURRENCY", "S3AssetUploader", "snapshot"]

# Part of a multipart upload, of which the official client makes its thresholds.
S3_MULTIPART_UPLOAD_CHUNK_SIZE = 8 * 1024 * 1024
S3_UPLOAD_MAX_CONCURRENCY = 10
# Entries of the check cache that are looked for before they are believed.
_SAMPLE = 30


class S3AssetUploader:
    """Brings the files of manifests to an object store.

    ``session`` is a ``boto3.Session`` with the queue's rights, by default that of boto3's own chain of credentials.
    Connections and thresholds are the native module's own: the other two arguments have to be positive, and change
    nothing but what callers read back.
    """

    def __init__(
        self, session: Any = None, *, s3_max_pool_connections: int, small_file_threshold_multiplier: int
    ) -> None:
        for name, value in (
            ("small_file_threshold_multiplier", small_file_threshold_multiplier),
            ("s3_max_pool_connections", s3_max_pool_connections),
        ):
            if value <= 0:
                raise AssetSyncError(f"The setting {name} is {value}; it has to be a number above 0.")
        self.small_file_threshold = S3_MULTIPART_UPLOAD_CHUNK_SIZE * small_file_threshold_multiplier
        at_once = min(small_file_threshold_multiplier, S3_UPLOAD_MAX_CONCURRENCY)
        self.num_upload_workers = max(s3_max_pool_connections // at_once, 1)
        self._given_session = session

    @property
    def _session(self) -> Any:
        # Made when it is needed: hashing needs no boto3.
        return self._given_session or get_boto3_session()

    def upload_assets(
        self,
        job_attachment_settings: JobAttachmentS3Settings,
        manifest: BaseAssetManifest,
        source_root: Path,
        partial_manifest_prefix: str | None = None,
        file_system_location_name: str | None = None,
        progress_tracker: ProgressTracker | None = None,
        s3_check_cache_dir: str | None = None,
        manifest_write_dir: str | None = None,
        manifest_name_suffix: str = "input",
        manifest_metadata: dict[str, dict[str, str]] = {},  # as published; it is only read
        manifest_file_name: str | None = None,
        asset_root: Path | None = None,
        force_s3_check: bool | None = None,
    ) -> tuple[str, str]:
        """Upload the files of a manifest that the store lacks, then the manifest: its key and its hash.

        The key is that below ``Manifests``. Without ``partial_manifest_prefix`` the manifest is not uploaded. The files
        lie below ``asset_root``, else ``source_root``, after which the manifest is named. With ``manifest_write_dir``
        a copy of the manifest is kept in ``manifests`` below it.
        """
        settings = job_attachment_settings
        algorithm, body, name = self._gather_upload_metadata(manifest, source_root, manifest_name_suffix)
        name = manifest_file_name or name
        partial_key = f"{partial_manifest_prefix}/{name}" if partial_manifest_prefix else name
        key = settings.add_root_and_manifest_folder_prefix(partial_key)
        if manifest_write_dir:
            self._write_local_manifest(manifest_write_dir, name, key, manifest)
        self.upload_input_files(
            manifest,
            settings.s3BucketName,
            asset_root or source_root,
            settings.full_cas_prefix(),
            progress_tracker,
            s3_check_cache_dir,
            force_s3_check,
        )
        # Last, so that there is never a manifest of files that are not there.
        if partial_manifest_prefix:
            _store.put(self._session, settings.s3BucketName, key, body, manifest_metadata)
        return partial_key, hash_data(body, algorithm)

    def upload_input_files(
        self,
        manifest: BaseAssetManifest,
        s3_bucket: str,
        source_root: Path,
        s3_cas_prefix: str,
        progress_tracker: ProgressTracker | None = None,
        s3_check_cache_dir: str | None = None,
        force_s3_check: bool | None = None,
    ) -> None:
        """Upload the files of a manifest that the store lacks.

        Raises ``AssetSyncCancelledError`` when the tracker's callback gives a false value, ``AssetSyncError`` when the
        store fails or a file is not what the manifest says.
        """
        feed = Feed(progress_tracker or _silent(ProgressStatus.UPLOAD_IN_PROGRESS, manifest))
        with translated(feed.tracker):
            statistics = _native.upload_snapshot(
                source_root,
                manifest.encode().encode("utf-8"),
                bucket=s3_bucket,
                root_prefix="",
                data_prefix=_store.data_prefix(s3_cas_prefix),
                target=_store.target(self._session),
                cache_dir=s3_check_cache_dir or CacheDB.get_default_cache_db_file_dir(),
                force_s3_check=bool(force_s3_check),
                credentials=_store.keys_of(self._session),
                on_progress=feed.report,
            )
        feed.finish(statistics)

    def upload_object_to_cas(
        self,
        file: BaseManifestPath,
        hash_algorithm: HashAlgorithm,
        s3_bucket: str,
        source_root: Path,
        s3_cas_prefix: str,
        s3_check_cache: S3CheckCache,
        progress_tracker: ProgressTracker | None = None,
        force_s3_check: bool | None = None,
    ) -> tuple[bool, int]:
        """Upload one file of a manifest, if the store lacks it: whether it did, and the size."""
        manifest = AssetManifest(hash_alg=hash_algorithm, paths=[file], total_size=file.size)
        counted = _silent(ProgressStatus.UPLOAD_IN_PROGRESS, manifest)
        folder = str(Path(s3_check_cache.cache_dir).parent)
        self.upload_input_files(manifest, s3_bucket, source_root, s3_cas_prefix, counted, folder, force_s3_check)
        if progress_tracker and counted.processed_files:
            progress_tracker.track_progress_callback(file.size, current_file_done=True)
        return counted.processed_files == 1, file.size

    def upload_file_to_s3(
        self,
        local_path: Path,
        s3_bucket: str,
        s3_upload_key: str,
        progress_tracker: ProgressTracker | None = None,
        base_dir_path: Path | None = None,
    ) -> None:
        """Upload any file to any key. One whose links lead out of ``base_dir_path`` is refused."""
        path = Path(local_path).resolve()
        if base_dir_path and not self._is_file_within_directory(path, base_dir_path):
            raise AssetSyncError(f"The file {local_path} leads to {path}, out of {base_dir_path}; it was not uploaded.")
        with _store.answered("storing", s3_bucket, s3_upload_key):
            get_s3_client(self._session).upload_file(
                str(path),
                s3_bucket,
                s3_upload_key,
                Callback=progress_tracker and progress_tracker.track_progress_callback,
            )
        if progress_tracker:
            progress_tracker.increase_processed(1, 0)
            if not progress_tracker.report_progress():
                raise AssetSyncCancelledError(
                    "The callback ended the operation.", progress_tracker.get_summary_statistics()
                )

    def upload_bytes_to_s3(
        self,
        bytes: Any,
        bucket: str,
        key: str,
        progress_handler: Callable[[int], None] | None = None,
        extra_args: dict[str, Any] = {},  # as published; it is only read
    ) -> None:
        """Store what a binary file object has; ``progress_handler`` gets the number of bytes."""
        body = bytes.read()
        _store.put(self._session, bucket, key, body, extra_args)
        if progress_handler:
            progress_handler(len(body))

    def file_already_uploaded(self, bucket: str, key: str) -> bool:
        """Whether the store has an object. Raises ``JobAttachmentsS3ClientError`` when it may not be asked."""
        return _store.exists(self._session, bucket, key)

    def verify_hash_cache_integrity(
        self, s3_check_cache_dir: str | None, manifest: BaseAssetManifest, s3_cas_prefix: str, s3_bucket: str
    ) -> bool:
        """Whether the store still has what the check cache says it has of a manifest: of 30 objects at most."""
        names = (f"{s3_cas_prefix}/{entry.hash}.{manifest.hashAlg.value}" for entry in manifest.paths)
        with S3CheckCache(s3_check_cache_dir) as cache:
            known = [name for name in names if cache.get_entry(f"{s3_bucket}/{name}") is not None]
        return all(_store.exists(self._session, s3_bucket, name) for name in known[:_SAMPLE])

    def reset_s3_check_cache(self, s3_check_cache_dir: str | None) -> None:
        """Forget everything about what the store has."""
        with S3CheckCache(s3_check_cache_dir) as cache:
            cache.remove_cache()

    def _snapshot_assets(
        self,
        snapshot_dir: Path,
        manifest: BaseAssetManifest,
        source_root: Path,
        partial_manifest_prefix: str | None = None,
        file_system_location_name: str | None = None,
        progress_tracker: ProgressTracker | None = None,
        manifest_name_suffix: str = "input",
        manifest_file_name: str | None = None,
        asset_root: Path | None = None,
    ) -> tuple[str, str]:
        """What :meth:`upload_assets` does, into a folder that looks like the store."""
        algorithm, body, name = self._gather_upload_metadata(manifest, source_root, manifest_name_suffix)
        name = manifest_file_name or name
        partial_key = f"{partial_manifest_prefix}/{name}" if partial_manifest_prefix else name
        place = Path(snapshot_dir, S3_MANIFEST_FOLDER_NAME, partial_key)
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(body)
        data = Path(snapshot_dir, S3_DATA_FOLDER_NAME)
        data.mkdir(exist_ok=True)
        tracker = progress_tracker or _silent(ProgressStatus.SNAPSHOT_IN_PROGRESS, manifest)
        for entry in manifest.paths:
            shutil.copyfile(Path(asset_root or source_root, entry.path), data / f"{entry.hash}.{algorithm.value}")
            tracker.increase_processed(1, entry.size)
            if not tracker.report_progress():
                raise AssetSyncCancelledError("The callback ended the operation.", tracker.get_summary_statistics())
        return partial_key, hash_data(body, algorithm)

    @staticmethod
    def _gather_upload_metadata(
        manifest: BaseAssetManifest,
        source_root: Path,
        manifest_name_suffix: str,
        file_system_location_name: str | None = None,
    ) -> tuple[HashAlgorithm, bytes, str]:
        """The algorithm, the bytes and the name of a manifest."""
        algorithm, name = S3AssetUploader._get_hashed_file_name_from_root_str(
            manifest, str(source_root), manifest_name_suffix
        )
        return algorithm, manifest.encode().encode("utf-8"), name

    @staticmethod
    def _get_hashed_file_name_from_root_str(
        manifest: BaseAssetManifest, source_root: str, manifest_name_suffix: str
    ) -> tuple[HashAlgorithm, str]:
        """The algorithm and the name of a manifest."""
        algorithm = manifest.get_default_hash_alg()
        return algorithm, f"{hash_data(source_root.encode('utf-8'), algorithm)}_{manifest_name_suffix}"

    def _write_local_manifest(
        self,
        manifest_write_dir: str,
        manifest_name: str,
        full_manifest_key: str,
        manifest: BaseAssetManifest,
        root_dir_name: str | None = None,
    ) -> None:
        """Keep a copy of a manifest, and a line that says which key it has."""
        kept = self._write_local_input_manifest(manifest_write_dir, manifest_name, manifest, root_dir_name)
        with (kept.parent / "manifest_s3_mapping").open("a", encoding="utf-8") as mapping:
            mapping.write(f"{ {'local_file': manifest_name, 's3_key': full_manifest_key} }\n")

    @staticmethod
    def _write_local_input_manifest(
        manifest_write_dir: str,
        manifest_name: str,
        manifest: BaseAssetManifest,
        root_dir_name: str | None = None,
    ) -> Path:
        """Keep a copy of a manifest in ``manifests``, or ``<root_dir_name>_manifests``."""
        folder = f"{root_dir_name}_manifests" if root_dir_name else "manifests"
        kept = Path(manifest_write_dir, folder, manifest_name)
        kept.parent.mkdir(parents=True, exist_ok=True)
        kept.write_text(manifest.encode(), encoding="utf-8")
        return kept

    def _is_file_within_directory(self, file_path: Path, directory_path: Path) -> bool:
        """Whether a file lies in a folder when all links are followed."""
        return Path(directory_path).resolve() in Path(file_path).resolve().parents


def snapshot(
    root: Path, files: list[Path] | None, hash_cache_dir: str | None, tracker: ProgressTracker
) -> BaseAssetManifest | None:
    """A manifest of files below a root, or of all; None without any.

    Without a folder for the cache it is ``~/.deadline/job_attachments``.
    """
    feed = Feed(tracker)
    cache_dir = hash_cache_dir or CacheDB.get_default_cache_db_file_dir()
    with translated(tracker):
        made = _native.snapshot(root, files, cache_dir=cache_dir, on_progress=feed.report)
    feed.finish(made["statistics"])
    return decode_manifest(made["manifest"].decode("utf-8")) if made["manifest"] else None


def _silent(status: ProgressStatus, manifest: BaseAssetManifest) -> ProgressTracker:
    return ProgressTracker(status, len(manifest.paths), manifest.totalSize)
