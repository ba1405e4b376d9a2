from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest


@pytest.fixture(scope="module")
def scanned(build: Callable[..., Any], export: Callable[..., Any]) -> tuple[Any, Any, dict[str, Any], dict[str, Any]]:
    scene = build("kinds")
    bundle, said = export(scene)
    found = {item["path"].removeprefix(f"{scene.parent}/"): item for item in said["description"]["dependencies"]}
    return scene.parent, bundle, said, found


@pytest.mark.parametrize(
    ("path", "kind", "verdict", "owner"),
    [
        ("maps/single.png", "image", "found", "Single"),
        ("maps/skin.1001.png", "image", "found", "Skin"),
        ("maps/skin.1002.png", "image", "found", "Skin"),
        ("maps/packed.png", "image", "generated", "Packed"),
        ("maps/idle.png", "image", "excluded", "idle.png"),
        ("maps/gone.png", "image", "missing", "Gone too"),
        ("fonts/shot.woff2", "font", "found", "Title"),
        ("sounds/beep.wav", "sound", "found", "Speaker"),
        ("vdb/smoke_001.vdb", "volume", "found", "Smoke"),
        ("vdb/smoke_003.vdb", "volume", "found", "Smoke"),
        ("vdb/smoke_005.vdb", "volume", "missing", "Smoke"),
        ("caches/cube.abc", "cache", "found", "cube.abc"),
        ("caches/cube.pc2", "cache", "found", "Cache"),
        ("caches/points", "cache", "found", "Emitter"),
    ],
)
def test_every_kind_has_a_verdict_and_owners(scanned: Any, path: str, kind: str, verdict: str, owner: str) -> None:
    item = scanned[3][path]
    assert (item["kind"], item["verdict"]) == (kind, verdict)
    assert owner in {entry["name"] for entry in item["owners"]}


def test_only_the_frames_of_a_sequence_that_are_seen_travel(scanned: Any) -> None:
    # Frames 1, 3, 5 with an offset of 1.
    plates = sorted(path for path in scanned[3] if "plate_" in path)
    assert plates == ["maps/plate_0002.png", "maps/plate_0004.png", "maps/plate_0006.png"]


def test_sizes_are_those_of_the_disk(scanned: Any) -> None:
    folder, _, _, found = scanned
    assert found["maps/single.png"]["size"] == (folder / "maps/single.png").stat().st_size
    assert found["caches/points"]["size"] == 8
    assert found["maps/gone.png"]["size"] is None


def test_missing_files_name_all_who_need_them(scanned: Any) -> None:
    missing = {item["path"]: item["owners"] for item in scanned[2]["missing"]}
    folder = scanned[0]
    assert set(missing) == {f"{folder}/maps/gone.png", f"{folder}/vdb/smoke_005.vdb"}
    assert 'object "Gone"' in missing[f"{folder}/maps/gone.png"]
    assert 'object "Gone too"' in missing[f"{folder}/maps/gone.png"]


def test_references_hold_found_and_missing_and_nothing_else(scanned: Any) -> None:
    folder, bundle, _, found = scanned
    inputs = bundle.references["inputs"]
    wanted = {name for name, item in found.items() if item["verdict"] in ("found", "missing") and not item["directory"]}
    assert set(inputs["filenames"]) == {f"{folder}/{name}" for name in wanted} | {f"{folder}/shot.blend"}
    assert inputs["directories"] == [f"{folder}/caches/points"]


def test_ignored_missing_files_are_not_referenced(scanned: Any, export: Callable[..., Any]) -> None:
    folder = scanned[0]
    bundle, _ = export(folder / "shot.blend", missing_files="IGNORE")
    assert f"{folder}/maps/gone.png" not in bundle.references["inputs"]["filenames"]
    assert bundle.values["MissingFiles"] == "IGNORE"


@pytest.mark.parametrize("name", ["linked", "linked_absolute"])
def test_libraries_are_followed_two_deep(name: str, build: Callable[..., Any], export: Callable[..., Any]) -> None:
    scene = build(name)
    folder = scene.parents[3]
    bundle, said = export(scene)
    assert said["missing"] == []
    assert bundle.references["inputs"]["filenames"] == [
        f"{folder}/one/libs/prop.blend",
        f"{folder}/one/shots/010/shot.blend",
        f"{folder}/two/libs/part/maps/part.png",
        f"{folder}/two/libs/part/part.blend",
        f"{folder}/two/maps/prop.png",
        f"{folder}/two/maps/wall.png",
    ]
