"""What Shotput keeps in its data folder for a look afterwards, and how much of it: nobody ever clears it by hand."""

from __future__ import annotations

import os
import shutil
import time
from pathlib import Path

from shotput import local_farm

_DAY = 86400.0
_MOST_BUNDLES = 20
_BUNDLE_DAYS = 30.0
# A folder's name has a time before it, and file systems take 255 bytes.
_NAME_BYTES = 200


def keep_newest(folder: Path, count: int, *, days: float = float("inf")) -> None:
    """Leaves the ``count`` newest entries of a folder that are not older than ``days``, by their time of change.

    What cannot be removed stays, and so does what another process removes meanwhile.
    """
    times: list[tuple[float, Path]] = []
    try:
        entries = list(folder.iterdir())
    except OSError:
        return
    for path in entries:
        try:
            times.append((path.stat().st_mtime, path))
        except OSError:
            continue
    oldest = time.time() - days * _DAY
    for position, (changed, path) in enumerate(sorted(times, reverse=True)):
        if position >= count or changed < oldest:
            remove(path)


def remove(path: Path) -> None:
    """Removes a file or a whole folder as far as that can be done."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
        return
    try:
        path.unlink()
    except OSError:
        return


def file_stem(scene: str | os.PathLike[str]) -> str:
    """The name of a scene's file without suffix, short enough for a file or folder that has it in its name."""
    return os.fsencode(Path(scene).stem)[:_NAME_BYTES].decode("utf-8", "ignore") or "scene"


def bundle_folder(scene: str | os.PathLike[str]) -> Path:
    """The place of a new bundle, for the time until its job is made; nothing is there yet.

    Bundles of submissions that failed are kept here for a look, the newest of them: a bundle may hold a copy of the
    scene.
    """
    bundles = local_farm.data_dir() / "bundles"
    keep_newest(bundles, _MOST_BUNDLES - 1, days=_BUNDLE_DAYS)
    now = time.time_ns()
    stamp = time.strftime("%Y-%m-%d-%H%M%S", time.localtime(now // 10**9))
    return bundles / f"{stamp}-{now // 1000 % 10**6:06d}-{file_stem(scene)}"
