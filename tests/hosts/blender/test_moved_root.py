"""A job renders the same picture where none of its folders lies where the artist had it."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

RED, GREEN, BLUE = [1, 0, 0], [0, 1, 0], [0, 0, 1]


def _picture(path: Path) -> str:
    """Reads every pixel, and the three squares of the scene, left to right, at the middle row of 32 × 18 pixels."""
    squares = "[[round(v) for v in pixels[(9 * 32 + x) * 4 : (9 * 32 + x) * 4 + 3]] for x in (5, 16, 27)]"
    return f"(lambda pixels: [pixels, {squares}])(bpy.data.images.load({str(path)!r}).pixels[:])"


@pytest.mark.parametrize("name", ["linked", "linked_absolute"])
def test_moved_roots_render_equal(
    name: str, build: Callable[..., Any], export: Callable[..., Any], tmp_path: Path
) -> None:
    scene = build(name)
    folder = scene.parents[3]
    bundle, _ = export(scene, output_path=str(tmp_path / "home"))
    here = bundle.run(tmp_path / "here", frames="1", probe=_picture(tmp_path / "home/0001.png"))
    assert here.code == 0, here.output
    assert here.probe[1] == [BLUE, GREEN, RED]
    # Both roots go elsewhere, and not beside each other as they were.
    shutil.move(folder / "one", tmp_path / "assets-1" / "x")
    shutil.move(folder / "two", tmp_path / "b")
    rules = [
        {
            "source_path_format": "POSIX",
            "source_path": str(folder / "one"),
            "destination_path": str(tmp_path / "assets-1/x"),
        },
        {"source_path_format": "POSIX", "source_path": str(folder / "two"), "destination_path": str(tmp_path / "b")},
        {
            "source_path_format": "POSIX",
            "source_path": str(tmp_path / "home"),
            "destination_path": str(tmp_path / "away"),
        },
    ]
    away = bundle.run(tmp_path / "there", frames="1", rules=rules, probe=_picture(tmp_path / "away/0001.png"))
    assert away.code == 0, away.output
    assert away.probe == here.probe


def test_a_file_that_did_not_travel_fails_the_task(
    build: Callable[..., Any], export: Callable[..., Any], tmp_path: Path
) -> None:
    scene = build("linked")
    two = scene.parents[3] / "two"
    bundle, _ = export(scene, output_path=str(tmp_path / "out"))
    (two / "libs/part/maps/part.png").unlink()
    run = bundle.run(tmp_path / "work", frames="1")
    assert run.code == 1
    assert run.says("fail") == [
        f'Missing: {two}/libs/part/maps/part.png (needed by image "part.png"). '
        "Submit the job with the file, or allow missing files."
    ]
    assert not (tmp_path / "out").exists()
    # Allowed, it renders without; Blender shows what it lacks in pink.
    run = bundle.run(tmp_path / "again", frames="1", MissingFiles="IGNORE", probe=_picture(tmp_path / "out/0001.png"))
    assert run.code == 0, run.output
    assert run.probe[1] == [[1, 0, 1], GREEN, RED]
