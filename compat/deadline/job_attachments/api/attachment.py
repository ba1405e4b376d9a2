"""Files of manifests on disk, to and from a store, with rules that say where roots lie."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Callable

from .._fetch import download_files_from_manifests
from .._uploader import S3AssetUploader
from ..exceptions import NonValidInputError
from ..models import (
    FileConflictResolution,
    JobAttachmentS3Settings,
    ManifestProperties,
    PathFormat,
    PathMappingRule,
    UploadManifestInfo,
)
from ..progress_tracker import DownloadSummaryStatistics
from ._utils import _read_manifests

__all__ = ["_attachment_download", "_attachment_upload", "_process_path_mapping"]

_Print = Callable[[Any], None]


def _attachment_download(
    manifests: list[str],
    s3_root_uri: str,
    boto3_session: Any,
    path_mapping_rules: str | None = None,
    print_function_callback: _Print = lambda _: None,
    conflict_resolution: FileConflictResolution = FileConflictResolution.CREATE_COPY,
) -> DownloadSummaryStatistics:
    """Download the files of manifests.

    A manifest whose file name has the hash of a rule's source goes to that rule's destination, others to a folder of
    their name in the current one. ``path_mapping_rules`` is a file of JSON. Raises ``NonValidInputError`` for two
    manifests with one destination, and for paths that are no files.
    """
    rules = _process_path_mapping(path_mapping_rules)
    by_root = {}
    for name, manifest in _read_manifests(manifests).items():
        rule = _rule_of(name, rules)
        destination = rule.destination_path if rule else str(Path.cwd() / name)
        if destination in by_root:
            raise NonValidInputError(f"Two manifests go to {destination}; merge them first.")
        by_root[destination] = manifest
    settings = JobAttachmentS3Settings.from_s3_root_uri(s3_root_uri)
    return download_files_from_manifests(
        settings.s3BucketName,
        by_root,
        settings.full_cas_prefix(),
        session=boto3_session,
        conflict_resolution=conflict_resolution,
    )


def _attachment_upload(
    manifests: list[str],
    s3_root_uri: str,
    boto3_session: Any,
    root_dirs: list[str] = [],  # as published; it is only read
    path_mapping_rules: str | None = None,
    manifest_path_mapping: dict[str, str] | None = None,
    upload_manifest_path: str | None = None,
    print_function_callback: _Print = lambda _: None,
    s3_check_cache_dir: str | None = None,
    s3_max_pool_connections: int = 50,
    small_file_threshold_multiplier: int = 20,
) -> list[UploadManifestInfo]:
    """Upload the files of manifests and, to ``upload_manifest_path`` below ``Manifests``, the manifests.

    Each manifest's file name has the hash of its root: a folder of ``root_dirs``, or the source of a rule, whose files
    lie at its destination. ``manifest_path_mapping`` says the root of a manifest whose name does not. Raises
    ``NonValidInputError`` for both or neither of the two, and for a manifest without a root.
    """
    if bool(path_mapping_rules) == bool(root_dirs):
        raise NonValidInputError("Give either root folders or path mapping rules.")
    rules = _process_path_mapping(path_mapping_rules, root_dirs)
    read = _read_manifests(manifests)
    settings = JobAttachmentS3Settings.from_s3_root_uri(s3_root_uri)
    uploader = S3AssetUploader(
        boto3_session,
        s3_max_pool_connections=s3_max_pool_connections,
        small_file_threshold_multiplier=small_file_threshold_multiplier,
    )
    sent = []
    for path in manifests:
        name = Path(path).name
        source = (manifest_path_mapping or {}).get(path)
        rule = next((rule for rule in rules if rule.source_path == source), None) or _rule_of(name, rules)
        if rule is None:
            raise NonValidInputError(f"No root folder and no rule is that of the manifest {name}.")
        windows = rule.source_path_format.lower() == PathFormat.WINDOWS.value
        root = ManifestProperties(rule.source_path, PathFormat.WINDOWS if windows else PathFormat.POSIX)
        key, digest = uploader.upload_assets(
            settings,
            read[name],
            Path(rule.source_path),
            upload_manifest_path,
            manifest_file_name=name,
            manifest_metadata=root.as_output_metadata(),
            asset_root=Path(rule.destination_path),
            s3_check_cache_dir=s3_check_cache_dir,
        )
        print_function_callback(f"The files of {rule.destination_path} are in {settings.to_s3_root_uri()}.")
        sent.append(UploadManifestInfo(key, digest, rule.source_path))
    return sent


def _rule_of(name: str, rules: list[PathMappingRule]) -> PathMappingRule | None:
    from ..asset_manifests import HashAlgorithm

    return next((rule for rule in rules if rule.get_hashed_source_path(HashAlgorithm.XXH128) in name), None)


def _process_path_mapping(
    path_mapping_rules: str | None = None,
    root_dirs: list[str] = [],  # as published; it is only read
) -> list[PathMappingRule]:
    """Rules of a file, ``[{"source_path_format", "source_path", "destination_path"}]`` or that as
    ``path_mapping_rules``, and one for each folder, to itself. Raises ``NonValidInputError`` for what is not there.
    """
    rules = []
    if path_mapping_rules:
        try:
            document = json.loads(Path(path_mapping_rules).read_text("utf-8"))
            listed = document["path_mapping_rules"] if isinstance(document, dict) else document
            rules = [PathMappingRule(**rule) for rule in listed]
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise NonValidInputError(f"{path_mapping_rules} is no file of path mapping rules: {error}") from error
    missing = [folder for folder in root_dirs if not Path(folder).is_dir()]
    if missing:
        raise NonValidInputError(f"There is no folder {', '.join(missing)}.")
    return rules + [PathMappingRule("", folder, folder) for folder in root_dirs]
