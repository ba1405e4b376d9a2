"""Files, folders and scenes that an export of the plain case would pass over."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from shotput.errors import SceneError, SettingsError


@pytest.fixture(scope="module")
def unseen(build: Callable[..., Any], export: Callable[..., Any]) -> tuple[Path, Any, dict[str, Any]]:
    scene: Path = build("unseen")
    bundle, said = export(scene)
    return scene.parent, bundle, said


def _verdicts(folder: Path, said: dict[str, Any]) -> dict[str, str]:
    found = said["description"]["dependencies"]
    return {item["path"].removeprefix(f"{folder}/"): item["verdict"] for item in found}


def test_files_of_strips_and_geometry_nodes_travel(unseen: Any) -> None:
    folder, _, said = unseen
    verdicts = _verdicts(folder, said)
    for number in range(1, 5):
        assert verdicts[f"maps/edit_{number:03d}.png"] == "found"
        # Which frame a geometry node reads is known only while it runs.
        assert verdicts[f"maps/field_{number:02d}.png"] == "found"
    assert verdicts["tables/points.csv"] == "found"


def test_a_gap_between_tiles_is_missing(unseen: Any) -> None:
    folder, _, said = unseen
    verdicts = _verdicts(folder, said)
    assert {name: verdict for name, verdict in verdicts.items() if "skin" in name} == {
        "maps/skin.1001.png": "found",
        "maps/skin.1002.png": "missing",
        "maps/skin.1003.png": "found",
    }
    (missing,) = said["missing"]
    assert missing["path"] == f"{folder}/maps/skin.1002.png"
    assert 'object "Skin"' in missing["owners"]


def test_a_path_that_nodes_make_is_told(unseen: Any) -> None:
    assert [text for text in unseen[2]["warnings"] if "Import" in text] == [
        'node "Import Text" of geometry node tree "Field": ValueError: Other nodes make its path, so it is known only '
        "while they run."
    ]


def test_a_scene_with_all_of_them_renders_elsewhere(unseen: Any, tmp_path: Path) -> None:
    folder, bundle, _ = unseen
    moved = tmp_path / "moved"
    shutil.copytree(folder, moved)
    rules = [{"source_path_format": "POSIX", "source_path": str(folder), "destination_path": str(moved)}]
    # Blender 4.4 renamed sequences to strips.
    strips = "(lambda e: getattr(e, 'strips_all', None) or e.sequences_all)(scene.sequence_editor)"
    probe = f"[bpy.path.abspath(strip.directory) for strip in {strips}]"
    run = bundle.run(
        tmp_path / "work", frames="1", rules=rules, probe=probe, MissingFiles="IGNORE", OutputDir=str(tmp_path / "out")
    )
    assert run.code == 0, run.output
    assert [os.path.normpath(path) for path in run.probe] == [str(moved / "maps")]
    assert (tmp_path / "out" / "0001.png").is_file()
    # The gap alone is missing.
    assert [line for line in run.output.splitlines() if line.startswith("Missing: ")] == [
        f'Missing: {moved}/maps/skin.1002.png (needed by image "skin.1001.png")'
    ]


def test_outputs_beside_the_picture_come_home_and_templates_are_filled_in(
    build: Callable[..., Any], export: Callable[..., Any], tmp_path: Path
) -> None:
    scene = build("outputs")
    folder = scene.parent
    bundle, _ = export(scene)
    assert bundle.values["OutputDir"] == str(folder / "frames")
    assert bundle.values["OutputPattern"] in ("shot_<scene>_###", "shot_Scene_###")
    # Blender 5.0 has its compositor elsewhere; the fixture adds none there.
    nodes = [str(folder / "passes")] if (folder / "passes").as_posix() in str(bundle.references) else []
    assert bundle.references["outputs"]["directories"] == sorted([str(folder / "frames"), *nodes])
    moved = tmp_path / "moved"
    shutil.copytree(folder, moved)
    rules = [{"source_path_format": "POSIX", "source_path": str(folder), "destination_path": str(moved)}]
    run = bundle.run(tmp_path / "work", frames="-1", rules=rules)
    assert run.code == 0, run.output
    assert [path.name for path in (moved / "frames").iterdir()] == ["shot_Scene_-001.png"]
    assert [path.suffix for path in (moved / "passes").iterdir()] == [".png"] * len(nodes)
    assert not (folder / "passes").exists()


def test_what_is_not_set_is_as_in_the_chosen_scene(build: Callable[..., Any], export: Callable[..., Any]) -> None:
    scene = build("two_scenes")
    bundle, said = export(scene, scene="Second", layers=["ViewLayer"], output_pattern="<layer>/x_####")
    values = bundle.values
    assert (values["Frames"], values["ResolutionX"], values["ResolutionY"]) == ("5-6", 40, 20)
    assert (values["Scene"], values["Camera"]) == ("Second", "Other")
    assert said["description"]["units"][0]["frames"]["start"] == 5


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (
            {"layers": ["A:1", "A_1"], "output_pattern": "<layer>/x_####"},
            "The view layers 'A:1' and 'A_1' would write the same files with the output pattern '<layer>/x_####'. "
            "Rename one of them.",
        ),
        (
            {"layers": ["ViewLayer", "A_1"], "output_pattern": "x_####"},
            "The view layers 'ViewLayer' and 'A_1' would write the same files with the output pattern 'x_####'. Put "
            "<layer> into the pattern.",
        ),
    ],
)
def test_two_layers_of_one_file_are_refused(
    options: dict[str, Any], said: str, build: Callable[..., Any], export: Callable[..., Any]
) -> None:
    with pytest.raises(SettingsError) as raised:
        export(build("two_scenes"), scene="Second", **options)
    assert str(raised.value) == said


def test_any_object_can_be_the_camera(build: Callable[..., Any], export: Callable[..., Any], tmp_path: Path) -> None:
    bundle, _ = export(build("two_scenes"), output_path=str(tmp_path / "out"))
    assert bundle.values["Camera"] == "Lens"
    run = bundle.run(tmp_path / "work", frames="1")
    assert run.code == 0, run.output
    assert (tmp_path / "out" / "0001.png").is_file()


def test_a_scene_without_a_camera_is_refused_before_a_byte_is_sent(
    build: Callable[..., Any], export: Callable[..., Any]
) -> None:
    scene = build("two_scenes")
    with pytest.raises(SceneError) as raised:
        export(scene, scene="Bare")
    assert str(raised.value) == "The scene 'Bare' has no active camera, so nothing can be rendered. Add one."
