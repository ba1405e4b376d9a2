"""Manifests on disk: which files of a folder they name, and how the folder differs from them.

A manifest file is named as the official client names it, with the hash of its root, by which it is found again.
Hashing, uploads and downloads are the native module's.
"""
# ruff: noqa: PTH113, PTH114, PTH116, PTH118, PTH120, PTH207
# Paths by the hundred thousand are texts.

from __future__ import annotations

import glob
import json
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from shotput import _native
from shotput.errors import AttachmentsError, MissingInputsError
from shotput.submission import Connection, OnTransfer

ALL_FILES = ("**/*",)


@dataclass(frozen=True)
class Chosen:
    """Which files of a folder are meant: patterns as those of a shell, ``**`` for any depth.

    Names that begin with a dot are meant only by patterns that begin with one too.
    """

    include: Sequence[str] = ALL_FILES
    exclude: Sequence[str] = ()

    @classmethod
    def of(cls, include: Sequence[str], exclude: Sequence[str], config: str | None) -> Chosen:
        """From patterns, else from ``config``: ``{"include": [...], "exclude": [...]}`` as text or in a file.

        Raises ``AttachmentsError`` for text that is not this.
        """
        if include or exclude or not config:
            return cls(include or ALL_FILES, exclude)
        try:
            text = Path(config).read_text("utf-8") if os.path.isfile(config) else config
            document = json.loads(text)
            return cls(document.get("include", ALL_FILES), document.get("exclude", ()))
        except (OSError, ValueError, AttributeError) as error:
            raise AttachmentsError(
                f'The patterns {config!r} cannot be read: {error}. Give {{"include": ["**/*"], "exclude": []}} as text '
                "or in a file."
            ) from error

    def files(self, root: Path) -> list[str]:
        """The absolute paths of the files, sorted.

        Raises ``MissingInputsError`` for links that lead out of ``root``: nobody named what they show.
        """
        found = _matches(root, self.include) - _matches(root, self.exclude)
        inside = os.path.realpath(root)
        folders: dict[str, str] = {}
        strays = []
        for path in found:
            folder = os.path.dirname(path)
            if folder not in folders:
                folders[folder] = os.path.realpath(folder)
            real = os.path.realpath(path) if os.path.islink(path) else folders[folder]
            if os.path.commonpath((inside, real)) != inside:
                strays.append(path)
        if strays:
            lines = "".join(f"\n  {path} -> {os.path.realpath(path)}" for path in sorted(strays))
            raise MissingInputsError(
                f"Links lead out of {root}. Leave them out with --exclude, or replace them by copies:{lines}",
                sorted(strays),
            )
        return sorted(found)


def _matches(root: Path, patterns: Iterable[str]) -> set[str]:
    base = glob.escape(str(root))
    paths = (path for pattern in patterns for path in glob.iglob(os.path.join(base, pattern), recursive=True))
    return {os.path.normpath(path) for path in paths if os.path.isfile(path)}


def read(path: Path) -> bytes:
    """The bytes of a manifest file. Raises ``AttachmentsError`` for a file that cannot be read or is no manifest."""
    try:
        manifest = path.read_bytes()
    except OSError as error:
        raise AttachmentsError(f"The manifest {path} cannot be read: {error.strerror}. Check its path.") from error
    entries(manifest, str(path))
    return manifest


def snapshot(
    root: Path,
    chosen: Chosen = Chosen(),
    *,
    diff: Path | None = None,
    rehash: bool = False,
    cache_dir: Path | None = None,
    on_transfer: OnTransfer | None = None,
) -> bytes | None:
    """The manifest of the chosen files; with ``diff`` only of those that are new or changed since that manifest.

    ``None`` when there is none. ``rehash`` reads every file and compares contents; otherwise sizes and times tell.
    Raises ``AttachmentsError``, ``MissingInputsError``, ``DeadlineOperationCanceled``.
    """
    files = chosen.files(root)
    if diff is not None:
        changes = compare(read(diff), root, files, rehash=rehash, on_transfer=on_transfer)
        files = [str(root / path) for path in (*changes["new"], *changes["modified"])]
    if not files:
        return None
    cache = None if rehash else cache_dir
    manifest: bytes | None = _native.snapshot(root, files, cache_dir=cache, on_progress=on_transfer)["manifest"]
    return manifest


def compare(
    manifest: bytes, root: Path, files: Sequence[str], *, rehash: bool = False, on_transfer: OnTransfer | None = None
) -> dict[str, list[str]]:
    """How ``files`` differ from a manifest: ``{"new", "modified", "deleted"}``, sorted paths below ``root``.

    Raises ``AttachmentsError``, ``DeadlineOperationCanceled``.
    """
    known = entries(manifest)
    found = {Path(path).relative_to(root).as_posix(): path for path in files}
    common = sorted(set(found) & set(known))
    if rehash and common:
        paths = [found[name] for name in common]
        hashed = entries(_native.snapshot(root, paths, on_progress=on_transfer)["manifest"])
        modified = [name for name in common if hashed[name]["hash"] != known[name]["hash"]]
    else:
        modified = [name for name in common if not _is_same(os.stat(found[name]), known[name])]
    return {"new": sorted(set(found) - set(known)), "modified": modified, "deleted": sorted(set(known) - set(found))}


def _is_same(found: os.stat_result, entry: Mapping[str, Any]) -> bool:
    # A time that was set from a double may be off by one.
    return bool(found.st_size == entry["size"] and abs(found.st_mtime_ns // 1000 - entry["mtime"]) <= 1)


def entries(manifest: bytes, name: str = "") -> dict[str, dict[str, Any]]:
    """The files of a manifest by their path. Raises ``AttachmentsError``, with its name, for what is no manifest."""
    try:
        return {item["path"]: item for item in json.loads(manifest)["paths"]}
    except (ValueError, KeyError, TypeError) as error:
        raise AttachmentsError(
            f"The manifest {name or 'given'} cannot be read: {error}. Make it anew with `shotput manifest snapshot`."
        ) from error


def write(manifest: bytes, root: str, folder: Path, name: str | None = None) -> Path:
    """Write a manifest to ``<folder>/<name>-<hash of the root>-<local time>.manifest``; the path.

    Raises ``AttachmentsError`` when it cannot be written.
    """
    label = name or root
    for mark in "/\\:":
        label = label.replace(mark, "_")
    label = label[1:] if label.startswith("_") else label
    path = folder / f"{label}-{_native.hash_bytes(root.encode('utf-8'))}-{datetime.now():%Y-%m-%dT%H-%M-%S}.manifest"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        path.write_bytes(manifest)
    except OSError as error:
        raise AttachmentsError(f"Cannot write the manifest {path}: {error.strerror}. Choose another folder.") from error
    return path


def of_job(
    connection: Connection,
    job: Mapping[str, Any],
    *,
    step_id: str | None = None,
    inputs: bool = True,
    outputs: bool = True,
) -> dict[str, bytes]:
    """One manifest for each root of a job, merged of its inputs and outputs; later ones win.

    With a step: the job's inputs, the outputs of the steps that it waits for, and its own. Raises ``AttachmentsError``,
    ``ServiceError``.
    """
    place = {
        "farm_id": connection.farm_id,
        "queue_id": connection.queue_id,
        "job_id": job["jobId"],
        "target": connection.target,
    }
    layers: dict[str, list[bytes]] = {}
    if inputs:
        roots = [item for item in (job.get("attachments") or {}).get("manifests", ()) if item.get("inputManifestPath")]
        if roots:
            paths = [root["inputManifestPath"] for root in roots]
            for root, found in zip(roots, _native.read_manifests({**place, "paths": paths})):
                layers.setdefault(root["rootPath"], []).append(found["manifest"])
        if step_id is not None:
            answer = _native.list_step_dependencies(*connection.queue, job["jobId"], step_id, target=connection.target)
            for dependency in answer["dependencies"]:
                _add_outputs(layers, {**place, "step_id": dependency["stepId"]})
    if outputs:
        _add_outputs(layers, {**place, "step_id": step_id})
    return {root: merge(manifests) for root, manifests in layers.items()}


def _add_outputs(layers: dict[str, list[bytes]], params: Mapping[str, Any]) -> None:
    for found in _native.read_manifests(params):
        layers.setdefault(found["asset_root"], []).append(found["manifest"])


def merge(manifests: Sequence[bytes]) -> bytes:
    """One canonical manifest of several; a file of a later one wins."""
    return _native.merge_manifests(list(manifests))
