"""What a job reads and writes, by the manifests in the store."""

from __future__ import annotations

import posixpath
import re
from collections import defaultdict
from copy import copy
from fnmatch import fnmatch
from typing import Any

from . import _store
from ._aws.aws_clients import get_boto3_session
from .asset_manifests import BaseAssetManifest, BaseManifestPath, HashAlgorithm
from .asset_manifests.v2023_03_03 import AssetManifest
from .exceptions import JobAttachmentsError, MissingAssetRootError
from .models import Attachments, JobAttachmentS3Settings, ManifestPathGroup

__all__ = [
    "filter_manifests",
    "get_asset_root_and_manifest_from_s3",
    "get_job_input_output_paths_by_asset_root",
    "get_job_input_paths_by_asset_root",
    "get_job_output_paths_by_asset_root",
    "get_manifest_from_s3",
    "get_output_manifests_by_asset_root",
    "manifest_of",
    "merge_asset_manifests",
]


def get_manifest_from_s3(manifest_key: str, s3_bucket: str, session: Any = None) -> BaseAssetManifest:
    """A manifest of the store."""
    return _store.manifest(session or get_boto3_session(), s3_bucket, manifest_key).manifest


def get_asset_root_and_manifest_from_s3(
    manifest_key: str, s3_bucket: str, session: Any = None
) -> tuple[str | None, BaseAssetManifest]:
    """The root that a manifest of the store says it is of, None when it says none, and the manifest."""
    found = _store.manifest(session or get_boto3_session(), s3_bucket, manifest_key)
    return found.root, found.manifest


def get_output_manifests_by_asset_root(
    s3_settings: JobAttachmentS3Settings,
    farm_id: str,
    queue_id: str,
    job_id: str,
    step_id: str | None = None,
    task_id: str | None = None,
    session_action_id: str | None = None,
    session: Any = None,
) -> dict[str, list[BaseAssetManifest]]:
    """What a job, step, task or session action wrote, by root.

    Of each task the last run counts, and all runs of a step with chunks; a root has one manifest, in which the file
    that was stored last wins. With a session action, which needs step and task, a root has all manifests of that
    action. Nothing written is ``{}``. Raises ``MissingAssetRootError`` for a manifest that does not say its root.
    """
    session = session or get_boto3_session()
    bucket = s3_settings.s3BucketName
    if session_action_id:
        if not step_id or not task_id:
            raise JobAttachmentsError(f"The session action {session_action_id} was named without step and task.")
        found = _session_action_keys(
            s3_settings, (farm_id, queue_id, job_id, step_id, task_id), session_action_id, session
        )
    else:
        prefix = _get_output_manifest_prefix(s3_settings, farm_id, queue_id, job_id, step_id, task_id)
        found = _latest(_store.keys(session, bucket, prefix))
    by_root: defaultdict[str, list[_store.StoredManifest]] = defaultdict(list)
    for key, stored in zip(found, _store.manifests(session, bucket, found)):
        if not stored.root:
            raise MissingAssetRootError(f"The manifest s3://{bucket}/{key} does not say which root it is of.")
        by_root[stored.root].append(stored)
    if session_action_id:
        return {root: [one.manifest for one in of_root] for root, of_root in by_root.items()}
    outputs = {}
    for root, of_root in by_root.items():
        merged = merge_asset_manifests([one.manifest for one in sorted(of_root, key=lambda one: one.stored_at)])
        assert merged is not None
        outputs[root] = [merged]
    return outputs


def _get_output_manifest_prefix(
    s3_settings: JobAttachmentS3Settings,
    farm_id: str,
    queue_id: str,
    job_id: str,
    step_id: str | None = None,
    task_id: str | None = None,
) -> str:
    """Where the output manifests of a job, step or task lie."""
    if task_id and not step_id:
        raise JobAttachmentsError(f"The task {task_id} was named without its step. Name both.")
    below = [part for part in (step_id, task_id) if part]
    return "/".join([s3_settings.full_job_output_prefix(farm_id, queue_id, job_id), *below, ""])


def _get_tasks_manifests_keys_from_s3(
    manifest_prefix: str, s3_bucket: str, session: Any = None, *, select_latest_per_task: bool = True
) -> list[str]:
    """Keys of output manifests below a prefix: of each task those of its last run, or all."""
    found = _store.keys(session or get_boto3_session(), s3_bucket, manifest_prefix)
    if not found:
        raise JobAttachmentsError(f"There are no manifests below s3://{s3_bucket}/{manifest_prefix}.")
    return _latest(found) if select_latest_per_task else [key for key in found if _OUTPUT.search(key)]


_OUTPUT = re.compile(r"(?P<task>step-[^/]*(?:/task-[^/]*)?)/(?P<run>[^/]*)/[^/]*output[^/]*$")


def _latest(found: list[str]) -> list[str]:
    """Of output manifests those of the last run of each task, and all of steps with chunks."""
    matches = [(key, match["task"], match["run"]) for key in found if (match := _OUTPUT.search(key))]
    last: dict[str, str] = {}
    for _, task, run in matches:
        last[task] = max(run, last.get(task, ""))
    return [key for key, task, run in matches if "/task-" not in task or last[task] == run]


def _session_action_keys(
    settings: JobAttachmentS3Settings, ids: tuple[str, str, str, str, str], session_action_id: str, session: Any
) -> list[str]:
    """Output manifests of a session action: of its task, else, when it ran a chunk, of the step."""
    wanted = re.compile(rf"{re.escape(session_action_id)}/[^/]*output[^/]*$")
    for prefix in (_get_output_manifest_prefix(settings, *ids), _get_output_manifest_prefix(settings, *ids[:4])):
        listed = _store.keys(session, settings.s3BucketName, prefix)
        if found := [key for key in listed if wanted.search(key)]:
            return found
    return []


def merge_asset_manifests(manifests: list[BaseAssetManifest]) -> BaseAssetManifest | None:
    """One manifest of several: of two files of one path the later one. None of none."""
    if len(manifests) < 2:
        return manifests[0] if manifests else None
    algorithms = {manifest.hashAlg for manifest in manifests}
    if len(algorithms) > 1:
        names = " and ".join(sorted(algorithm.value for algorithm in algorithms))
        raise NotImplementedError(f"Manifests that are hashed with {names} cannot be one.")
    entries = {entry.path: entry for manifest in manifests for entry in manifest.paths}
    return manifest_of(list(entries.values()), manifests[0].hashAlg)


def manifest_of(entries: list[BaseManifestPath], algorithm: HashAlgorithm) -> AssetManifest:
    return AssetManifest(hash_alg=algorithm, paths=entries, total_size=sum(entry.size for entry in entries))


def get_job_input_paths_by_asset_root(
    s3_settings: JobAttachmentS3Settings, attachments: Attachments, session: Any = None
) -> dict[str, ManifestPathGroup]:
    """The files that a job reads, by root."""
    roots = [root for root in attachments.manifests if root.inputManifestPath]
    wanted = [s3_settings.add_root_and_manifest_folder_prefix(str(root.inputManifestPath)) for root in roots]
    stored = _store.manifests(session or get_boto3_session(), s3_settings.s3BucketName, wanted)
    groups: defaultdict[str, ManifestPathGroup] = defaultdict(ManifestPathGroup)
    for root, one in zip(roots, stored):
        groups[root.rootPath].add_manifest_to_group(one.manifest)
    return dict(groups)


def get_job_output_paths_by_asset_root(
    s3_settings: JobAttachmentS3Settings,
    farm_id: str,
    queue_id: str,
    job_id: str,
    step_id: str | None = None,
    task_id: str | None = None,
    session_action_id: str | None = None,
    session: Any = None,
) -> dict[str, ManifestPathGroup]:
    """The files that a job, step, task or session action wrote, by root."""
    groups: defaultdict[str, ManifestPathGroup] = defaultdict(ManifestPathGroup)
    for root, manifests in get_output_manifests_by_asset_root(
        s3_settings, farm_id, queue_id, job_id, step_id, task_id, session_action_id, session
    ).items():
        for manifest in manifests:
            groups[root].add_manifest_to_group(manifest)
    return dict(groups)


def get_job_input_output_paths_by_asset_root(
    s3_settings: JobAttachmentS3Settings,
    attachments: Attachments,
    farm_id: str,
    queue_id: str,
    job_id: str,
    step_id: str | None = None,
    task_id: str | None = None,
    session_action_id: str | None = None,
    session: Any = None,
) -> dict[str, ManifestPathGroup]:
    """The files that a job reads, and those that it, a step, task or session action wrote, by root."""
    groups = get_job_input_paths_by_asset_root(s3_settings, attachments, session)
    for root, written in get_job_output_paths_by_asset_root(
        s3_settings, farm_id, queue_id, job_id, step_id, task_id, session_action_id, session
    ).items():
        groups.setdefault(root, ManifestPathGroup()).combine_with_group(written)
    return groups


def _matches_any_filter(file_path: str, filters: list[str]) -> bool:
    """Whether a whole path fits one of the patterns.

    ``*`` fits ``/`` too; a pattern that ends with ``/`` means all below; one that is not absolute may begin anywhere.
    """
    for pattern in filters:
        below = f"{pattern}*" if pattern.endswith("/") else pattern
        is_anchored = below.startswith(("/", "*")) or below[1:2] == ":"
        if fnmatch(file_path, below if is_anchored else f"*/{below}"):
            return True
    return False


def _filtered(root: str, entries: list[BaseManifestPath], filters: list[str]) -> list[BaseManifestPath]:
    folder = root.replace("\\", "/")
    return [entry for entry in entries if _matches_any_filter(posixpath.join(folder, entry.path), filters)]


def _filter_paths(paths_by_root: dict[str, ManifestPathGroup], path_filters: list[str]) -> dict[str, ManifestPathGroup]:
    """The files that fit one of the patterns; roots without any are left out."""
    found = {}
    for root, group in paths_by_root.items():
        kept = ManifestPathGroup()
        for algorithm, entries in group.files_by_hash_alg.items():
            if fitting := _filtered(root, entries, path_filters):
                kept.add_manifest_to_group(manifest_of(fitting, algorithm))
        if kept.files_by_hash_alg:
            found[root] = kept
    return found


def filter_manifests(
    manifests_by_root: dict[str, list[BaseAssetManifest]], path_filters: list[str]
) -> dict[str, list[BaseAssetManifest]]:
    """Copies of manifests with the files whose whole path fits one of the patterns; empty ones are left out."""
    found: dict[str, list[BaseAssetManifest]] = {}
    for root, manifests in manifests_by_root.items():
        for manifest in manifests:
            if fitting := _filtered(root, manifest.paths, path_filters):
                kept = copy(manifest)
                kept.paths, kept.totalSize = fitting, sum(entry.size for entry in fitting)
                found.setdefault(root, []).append(kept)
    return found
