"""Manifests on disk: which files of a folder they name, and how the folder differs from them.

A manifest file is named as the official client names it, with the hash of its root, by which it is found again.
Hashing, uploads and downloads are the native module's.
"""
# ruff: noqa: PTH112, PTH113, PTH114, PTH116, PTH117, PTH118, PTH120, PTH206, PTH207
# Paths by the hundred thousand are texts.

from __future__ import annotations

import fnmatch
import glob
import json
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Callable

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
            if not isinstance(document, dict):
                raise ValueError("it is no object")
            patterns = {"include": list(ALL_FILES), "exclude": [], **document}
            for name in ("include", "exclude"):
                # A text is a sequence too: of patterns with one letter.
                found = patterns[name]
                if not (isinstance(found, list) and all(isinstance(pattern, str) for pattern in found)):
                    raise ValueError(f"{name!r} is no list of patterns")
            return cls(patterns["include"], patterns["exclude"])
        except (OSError, ValueError) as error:
            raise AttachmentsError(
                f'The patterns {config!r} cannot be read: {error}. Give {{"include": ["**/*"], "exclude": []}} as text '
                "or in a file."
            ) from error

    def files(self, root: Path) -> list[str]:
        """The absolute paths of the files, sorted.

        Raises ``MissingInputsError`` for links that lead out of ``root``: nobody named what they show.
        """
        found = matches(root, self.include) - matches(root, self.exclude)
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


def matches(root: Path, patterns: Sequence[str]) -> set[str]:
    """Files of a folder by patterns, as ``glob`` finds them; links in a circle are walked once."""
    base = str(root)
    found: set[str] = set()
    walked: list[tuple[str, ...]] | None = None
    hidden = any(part.startswith(".") and part != "." for pattern in patterns for part in re.split(r"[/\\]", pattern))
    for pattern in patterns:
        parts = pattern.replace(os.altsep or os.sep, os.sep).split(os.sep)
        if "**" not in parts or ".." in parts or os.path.isabs(pattern):
            paths = glob.iglob(os.path.join(glob.escape(base), pattern))
            found.update(os.path.normpath(path) for path in paths if os.path.isfile(path))
            continue
        if not parts[-1]:
            # Folders are meant.
            continue
        # `glob` follows links in a circle 40 times, and two of them until the end of days.
        walked = list(_walk(base, hidden)) if walked is None else walked
        tests = [None if part == "**" else _test(part) for part in parts if part not in ("", ".")]
        found.update(os.path.join(base, *names) for names in walked if _fits(names, tests))
    return found


def _walk(root: str, hidden: bool) -> Iterator[tuple[str, ...]]:
    """The names on the way to every file below a folder, and in hidden ones too when asked.

    Links are followed, but not to a folder that they lie in.
    """
    rest: list[tuple[str, tuple[str, ...], tuple[tuple[int, int], ...]]] = [(root, (), ())]
    while rest:
        folder, names, above = rest.pop()
        try:
            status = os.stat(folder)
            entries = list(os.scandir(folder))
        except OSError:
            # What cannot be read has no files, as for `glob`.
            continue
        here = (status.st_dev, status.st_ino)
        if here in above:
            continue
        for entry in entries:
            if entry.name.startswith(".") and not hidden:
                continue
            is_link = entry.is_symlink()
            if os.path.isdir(entry.path) if is_link else entry.is_dir():
                rest.append((entry.path, (*names, entry.name), (*above, here)))
            elif os.path.isfile(entry.path) if is_link else entry.is_file():
                yield (*names, entry.name)


_Test = Callable[[str], bool]


def _test(part: str) -> _Test:
    """Whether a name fits one part of a pattern."""
    fits = re.compile(fnmatch.translate(os.path.normcase(part))).match
    shows_hidden = part.startswith(".")
    return lambda name: (shows_hidden or not name.startswith(".")) and fits(os.path.normcase(name)) is not None


def _fits(names: Sequence[str], tests: Sequence[_Test | None]) -> bool:
    """Whether names fit the parts of a pattern; ``None`` is ``**``, which any number of folders fit."""
    if not tests:
        return not names
    first, *others = tests
    if first is None and _fits(names, others):
        return True
    if not names:
        return False
    if first is None:
        return not names[0].startswith(".") and _fits(names[1:], tests)
    return first(names[0]) and _fits(names[1:], others)


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
