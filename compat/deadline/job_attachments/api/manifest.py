"""Manifests on disk: of a folder, of what changed in it since, of a job, several as one; and back to the store."""

from __future__ import annotations

import json
import os
from datetime import datetime
from pathlib import Path
from typing import Any, Callable

from shotput.manifests import matches

from .. import _store
from .._aws.aws_clients import get_boto3_session
from .._job_files import get_manifest_from_s3, get_output_manifests_by_asset_root, merge_asset_manifests
from .._uploader import snapshot
from ..asset_manifests import BaseAssetManifest, hash_data
from ..asset_manifests.decode import decode_manifest
from ..exceptions import NonValidInputError
from ..models import (
    S3_MANIFEST_FOLDER_NAME,
    AssetType,
    GlobConfig,
    JobAttachmentS3Settings,
    ManifestDiff,
    ManifestDownload,
    ManifestDownloadResponse,
    ManifestMerge,
    ManifestSnapshot,
)
from ..progress_tracker import ProgressReportMetadata, ProgressStatus, ProgressTracker, SummaryStatistics
from ._utils import _read_manifests

__all__ = [
    "_glob_files",
    "_manifest_diff",
    "_manifest_download",
    "_manifest_merge",
    "_manifest_snapshot",
    "_manifest_upload",
]

_Print = Callable[[Any], None]


def _glob_files(
    root: str,
    include: list[str] | None = None,
    exclude: list[str] | None = None,
    include_exclude_config: str | None = None,
) -> list[str]:
    """Files of a folder by patterns, sorted; all of them without any.

    ``include_exclude_config`` is ``{"include": [...], "exclude": [...]}`` as JSON or a file with it; it counts when
    neither of the others is given. Raises ``NonValidInputError`` for text that is not this.
    """
    config = GlobConfig()
    if include or exclude:
        config = GlobConfig(include or config.include_glob, exclude or [])
    elif include_exclude_config:
        try:
            given = Path(include_exclude_config)
            document = json.loads(given.read_text("utf-8") if given.is_file() else include_exclude_config)
            config.include_glob = document.get(GlobConfig.INCLUDE, config.include_glob)
            config.exclude_glob = document.get(GlobConfig.EXCLUDE, config.exclude_glob)
        except (OSError, ValueError, AttributeError) as error:
            raise NonValidInputError(f"The patterns {include_exclude_config!r} cannot be read: {error}") from error

    base = _place(root)
    return sorted(matches(base, config.include_glob) - matches(base, config.exclude_glob))


def _place(root: str) -> Path:
    return Path(os.path.normpath(Path(root).absolute()))


def _within(root: str, files: list[str], tell: _Print) -> list[Path]:
    """Files without those whose links lead out of the folder: a manifest of the folder cannot have them."""
    inside = Path(root).resolve()
    kept = []
    for path in map(Path, files):
        if inside in path.resolve().parents:
            kept.append(path)
        else:
            tell(f"Left out, because it leads out of {root}: {path}")
    return kept


def _hashed(
    root: str, files: list[Path], cache_dir: str | None, callback: Callable[[ProgressReportMetadata], bool] | None
) -> tuple[BaseAssetManifest | None, SummaryStatistics]:
    total = sum(path.stat().st_size for path in files)
    tracker = ProgressTracker(ProgressStatus.PREPARING_IN_PROGRESS, len(files), total, callback)
    manifest = snapshot(_place(root), files, cache_dir, tracker) if files else None
    return manifest, tracker.get_summary_statistics()


def _changes(
    known: BaseAssetManifest, root: str, files: list[Path], rehash: bool, cache_dir: str | None, tell: _Print
) -> ManifestDiff:
    """How files differ from a manifest: by size and time, or by what is in them."""
    entries = {entry.path: entry for entry in known.paths}
    base = _place(root)
    found = {path.relative_to(base).as_posix(): path for path in files}
    common = sorted(set(found) & set(entries))
    if rehash:
        manifest, _ = _hashed(root, [found[name] for name in common], cache_dir, None)
        hashes = {entry.path: entry.hash for entry in manifest.paths} if manifest else {}
        modified = [name for name in common if hashes[name] != entries[name].hash]
    else:
        looks = {name: found[name].stat() for name in common}
        modified = [
            name
            for name, look in looks.items()
            # A time that was set from a double may be off by one.
            if look.st_size != entries[name].size or abs(look.st_mtime_ns // 1000 - entries[name].mtime) > 1
        ]
    changes = ManifestDiff(sorted(set(found) - set(entries)), modified, sorted(set(entries) - set(found)))
    for kind in ("new", "modified", "deleted"):
        for name in getattr(changes, kind):
            tell(f"Found difference at: {name}, Status: {kind.upper()}")
    return changes


def _manifest_snapshot(
    *,
    root: str,
    destination: str,
    name: str,
    include: list[str] | None = None,
    exclude: list[str] | None = None,
    include_exclude_config: str | None = None,
    diff: str | None = None,
    force_rehash: bool = False,
    print_function_callback: _Print = lambda _: None,
    hashing_progress_callback: Callable[[ProgressReportMetadata], bool] | None = None,
    telemetry_callback: Callable[[SummaryStatistics], None] | None = None,
    hash_cache_dir: str | None = None,
) -> ManifestSnapshot | None:
    """Write a manifest of a folder's files, or of those that changed since the manifest ``diff``; None without any.

    Patterns are those of :func:`_glob_files`. Size and time tell what changed, with ``force_rehash`` what is in the
    files. A link that leads out of the folder is left out, and told.
    """
    files = _within(root, _glob_files(root, include, exclude, include_exclude_config), print_function_callback)
    if diff:
        known = decode_manifest(Path(diff).read_text("utf-8"))
        changes = _changes(known, root, files, force_rehash, hash_cache_dir, print_function_callback)
        files = [_place(root) / name for name in (*changes.new, *changes.modified)]
    manifest, statistics = _hashed(root, files, hash_cache_dir, hashing_progress_callback)
    if manifest is None:
        print_function_callback("No manifest generated")
        return None
    if telemetry_callback:
        telemetry_callback(statistics)
    written = _write_manifest(root, manifest, destination, name)
    print_function_callback(f"Manifest generated at {written}")
    return ManifestSnapshot(root, written)


def _write_manifest(root: str, manifest: BaseAssetManifest, destination: str, name: str | None = None) -> str:
    """Write a manifest to ``<destination>/<name or root>-<hash of the root>-<local time>.manifest``; the path."""
    label = name or root
    for mark in "/\\:":
        label = label.replace(mark, "_")
    digest = hash_data(root.encode("utf-8"), manifest.get_default_hash_alg())
    label = label[1:] if label.startswith("_") else label
    path = Path(destination, f"{label}-{digest}-{datetime.now():%Y-%m-%dT%H-%M-%S}.manifest")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(manifest.encode(), encoding="utf-8")
    return str(path)


def _manifest_diff(
    manifest: str,
    root: str,
    include: list[str] | None = None,
    exclude: list[str] | None = None,
    include_exclude_config: str | None = None,
    force_rehash: bool = False,
    print_function_callback: _Print = lambda _: None,
    cache_dir: str | None = None,
) -> ManifestDiff:
    """How a folder's files differ from a manifest, as :func:`_manifest_snapshot` finds it; paths below the folder."""
    files = _within(root, _glob_files(root, include, exclude, include_exclude_config), print_function_callback)
    known = decode_manifest(Path(manifest).read_text("utf-8"))
    return _changes(known, root, files, force_rehash, cache_dir, print_function_callback)


def _manifest_upload(
    manifest_file: str,
    s3_bucket_name: str,
    s3_cas_prefix: str,
    boto_session: Any,
    s3_key_prefix: str | None = None,
    print_function_callback: _Print = lambda _: None,
) -> None:
    """Store a manifest at ``<s3_cas_prefix>/Manifests/<s3_key_prefix>/<file name>``."""
    path = Path(manifest_file)
    parts = [s3_cas_prefix, S3_MANIFEST_FOLDER_NAME, s3_key_prefix, path.name]
    key = "/".join(part for part in parts if part)
    # S3 keeps ASCII alone.
    source = json.dumps(manifest_file).strip('"')
    metadata = {"Metadata": {"file-system-location-name": source}}
    _store.put(boto_session or get_boto3_session(), s3_bucket_name, key, path.read_bytes(), metadata)
    print_function_callback(f"Manifest uploaded to s3://{s3_bucket_name}/{key}")


def _manifest_download(
    *,
    deadline_client: Any,
    download_dir: str,
    farm_id: str,
    job_id: str,
    queue_id: str,
    queue_role_session: Any,
    queue_s3_settings: JobAttachmentS3Settings,
    asset_type: AssetType = AssetType.ALL,
    print_function_callback: _Print = lambda _: None,
    step_id: str | None = None,
) -> ManifestDownloadResponse:
    """Write one manifest for each root of a job: of its inputs, its outputs, or both.

    With a step: of the outputs of that step, and the inputs are those of the job with what the steps wrote that it
    waits for.
    """
    ids = {"farmId": farm_id, "queueId": queue_id, "jobId": job_id}
    layers: dict[str, list[BaseAssetManifest]] = {}

    def add_outputs(of_step: str | None) -> None:
        found = get_output_manifests_by_asset_root(
            queue_s3_settings, farm_id, queue_id, job_id, of_step, session=queue_role_session
        )
        for root, manifests in found.items():
            print_function_callback(f"Found output manifest for root: {root}")
            layers.setdefault(root, []).extend(manifests)

    if asset_type in (None, AssetType.INPUT, AssetType.ALL):
        attachments = deadline_client.get_job(**ids).get("attachments") or {}
        for root in attachments.get("manifests", []):
            if root.get("inputManifestPath"):
                print_function_callback(f"Found input manifest for root: {root['rootPath']}")
                key = queue_s3_settings.add_root_and_manifest_folder_prefix(root["inputManifestPath"])
                manifest = get_manifest_from_s3(key, queue_s3_settings.s3BucketName, queue_role_session)
                layers.setdefault(root["rootPath"], []).append(manifest)
        if step_id:
            pages = deadline_client.get_paginator("list_step_dependencies").paginate(**ids, stepId=step_id)
            for dependency in (dependency for page in pages for dependency in page["dependencies"]):
                add_outputs(dependency["stepId"])
    if asset_type in (None, AssetType.OUTPUT, AssetType.ALL):
        add_outputs(step_id)
    written = []
    for root, manifests in layers.items():
        merged = merge_asset_manifests(manifests)
        assert merged is not None
        path = _write_manifest(root, merged, download_dir)
        print_function_callback(f"Downloaded merged manifest for root: {root} to: {path}")
        written.append(ManifestDownload(root, path))
    return ManifestDownloadResponse(written)


def _manifest_merge(
    root: str,
    manifest_files: list[str],
    destination: str,
    name: str | None,
    print_function_callback: _Print = lambda _: None,
) -> ManifestMerge | None:
    """Write one manifest of several; a file of a later one wins. None of none."""
    merged = merge_asset_manifests(list(_read_manifests(manifest_files).values()))
    if merged is None:
        return None
    written = _write_manifest(root, merged, destination, name)
    print_function_callback(f"Manifest generated at {written}")
    return ManifestMerge(root, written)
