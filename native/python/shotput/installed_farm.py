"""The copies of the farm that hosts start it from: an update of an add-on pulls nothing from under a running farm.

A copy, ``programs/<version>-<hash of the content>`` below the folder of application data, is made once and never
changed. It goes when another one is installed, nobody has asked for it for a day, and no farm runs from it: each farm
holds a lock in its copy (``shotput.local_farm``).
"""

from __future__ import annotations

import hashlib
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from shotput import kept_files, local_farm
from shotput._native import __version__
from shotput.errors import FarmError

# A host starts the farm soon after it has installed it, and other machines' hosts may share the folder.
_UNUSED_SECONDS = 86400.0


def install(source_folder: str | os.PathLike[str], *, python: str | None = None) -> list[str]:
    """Copy the farm that an add-on brings to the user's data folder and return the command that starts it from there.

    ``source_folder`` holds ``run_farm.py``, the package ``shotput_farm`` and what it needs, all but ``shotput`` itself,
    which is taken from where it was imported. ``python`` is the interpreter to start it with (default: this one).
    Raises FarmError when there is no farm in the folder or the copy cannot be made.
    """
    source = Path(source_folder).absolute()
    package = Path(__file__).resolve().parent
    if not (source / local_farm.LAUNCH_FILE).is_file():
        raise FarmError(f"There is no farm in {source}: {local_farm.LAUNCH_FILE} is missing. Install the add-on again.")
    programs = local_farm.data_root() / "programs"
    try:
        files = [*_program_files(source, ""), *_program_files(package, "shotput/")]
        program = programs / f"{__version__}-{_content_hash(files)}"
        if program.is_dir():
            os.utime(program)
        else:
            _copy_program(files, program)
    except OSError as error:
        raise FarmError(
            f"The farm of {source} cannot be copied to {programs} ({error.strerror}: {error.filename}). Make "
            "room or the folder writable, or name another one in SHOTPUT_DATA_DIR."
        ) from error
    _remove_unused(programs, program)
    return [python or sys.executable, "-I", str(program / local_farm.LAUNCH_FILE)]


def _remove_unused(programs: Path, current: Path) -> None:
    for path in programs.iterdir():
        try:
            if path == current or time.time() - path.stat().st_mtime < _UNUSED_SECONDS:
                continue
            # A copy that was never finished has another name and no lock: nobody runs it.
            if not path.name.startswith("."):
                lock = local_farm.FarmLock.acquire(path, name=local_farm.USE_FILE, patience=0)
                if lock is None:
                    continue
                lock.release()
        except OSError:
            continue
        kept_files.remove(path)


def _program_files(folder: Path, prefix: str) -> list[tuple[str, Path]]:
    """Every file to copy from a folder, by its name in the copy; what Python compiled for itself is none."""
    found = []
    for root, folders, names in os.walk(folder):
        folders[:] = sorted(name for name in folders if name != "__pycache__")
        for name in sorted(names):
            path = Path(root, name)
            found.append((prefix + path.relative_to(folder).as_posix(), path))
    return found


def _content_hash(files: Sequence[tuple[str, Path]]) -> str:
    digest = hashlib.sha256()
    for name, path in files:
        digest.update(f"{name}\0{path.stat().st_size}\0".encode())
        with path.open("rb") as stream:
            while block := stream.read(1 << 20):
                digest.update(block)
    return digest.hexdigest()[:16]


def _copy_program(files: Sequence[tuple[str, Path]], program: Path) -> None:
    """Copy under another name and rename when all is there: a copy with its final name is whole."""
    program.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    partial = Path(tempfile.mkdtemp(prefix=f".{program.name}-", dir=program.parent))
    try:
        for name, path in files:
            target = partial / name
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, target)
        (partial / local_farm.USE_FILE).touch()
        try:
            partial.rename(program)
        except OSError:
            # Another host copied the same farm in the meantime.
            if not program.is_dir():
                raise
    finally:
        shutil.rmtree(partial, ignore_errors=True)
