"""What stays in the data folder, and how much of it."""

from __future__ import annotations

import os
import re
import time
from pathlib import Path

import pytest
from shotput import kept_files, local_farm


def _aged(path: Path, days: float) -> Path:
    moment = time.time() - days * 86400
    os.utime(path, (moment, moment))
    return path


def test_the_newest_stay(tmp_path: Path) -> None:
    for number in range(4):
        (tmp_path / f"folder-{number}" / "deep").mkdir(parents=True)
        _aged(tmp_path / f"folder-{number}", 40 + number)
    file = tmp_path / "file"
    file.write_text("x")
    outside = tmp_path.parent / f"{tmp_path.name}-outside"
    outside.mkdir()
    (tmp_path / "link").symlink_to(outside)
    _aged(outside, 60)
    kept_files.keep_newest(tmp_path, 3)
    assert {path.name for path in tmp_path.iterdir()} == {"file", "folder-0", "folder-1"}
    assert outside.is_dir()
    kept_files.keep_newest(tmp_path, 3, days=40.5)
    assert {path.name for path in tmp_path.iterdir()} == {"file", "folder-0"}
    kept_files.keep_newest(tmp_path / "nowhere", 3)


@pytest.mark.parametrize("stem", ["shot", "ü" * 120, "s" * 249], ids=len)
def test_a_bundle_gets_a_folder_that_file_systems_take(
    stem: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SHOTPUT_DATA_DIR", str(tmp_path))
    folder = kept_files.bundle_folder(f"/shots/{stem}.blend")
    assert folder.parent == local_farm.data_dir() / "bundles"
    assert re.fullmatch(r"\d{4}-\d\d-\d\d-\d{6}-\d{6}-(.+)", folder.name)
    assert stem.startswith(folder.name[25:])
    folder.mkdir(parents=True)
    (folder / "scene").mkdir()
    (folder / "scene" / f"{kept_files.file_stem(stem)}.blend").touch()


def test_bundles_of_failed_submissions_are_few_and_not_old(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SHOTPUT_DATA_DIR", str(tmp_path))
    bundles = local_farm.data_dir() / "bundles"
    for number in range(25):
        (bundles / f"{number:02d}").mkdir(parents=True)
        _aged(bundles / f"{number:02d}", number * 2)
    folder = kept_files.bundle_folder("shot.blend")
    folder.mkdir()
    assert {path.name for path in bundles.iterdir()} == {folder.name, *(f"{number:02d}" for number in range(15))}
