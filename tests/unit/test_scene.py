from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from shotput.scene import (
    Dependency,
    DependencyCollection,
    FrameRange,
    Output,
    Owner,
    RenderUnit,
    SceneDescription,
    Verdict,
    colliding_outputs,
)

WOOD, WALL = Owner("image", "Wood", "filepath"), Owner("object", "Wall")


def _dependency(path: str, verdict: Verdict, *owners: Owner, directory: bool = False) -> Dependency:
    return Dependency(path, "image", verdict, owners or (WOOD,), directory=directory)


@pytest.mark.parametrize(
    ("frames", "expression"),
    [
        (FrameRange(1, 10), "1-10"),
        (FrameRange(1, 10, 2), "1-9:2"),
        (FrameRange(7, 7), "7"),
        (FrameRange(1, 4, 10), "1"),
        (FrameRange(-5, -1), "-5--1"),
    ],
)
def test_frames_are_range_expressions(frames: FrameRange, expression: str) -> None:
    assert frames.expression == expression


@given(st.integers(-50, 50), st.integers(0, 60), st.integers(1, 9))
def test_the_expression_ends_at_the_last_frame(start: int, length: int, step: int) -> None:
    frames = FrameRange(start, start + length, step)
    assert frames.expression.split(":")[0].endswith(str(frames.frames()[-1]))


def test_impossible_frames_are_refused() -> None:
    with pytest.raises(ValueError, match=r"^The frame step is 0; it must be 1 or more\.$"):
        FrameRange(1, 2, 0)
    with pytest.raises(ValueError, match=r"^The frame range ends at 1, before its start at 5; swap the two\.$"):
        FrameRange(5, 1)


def test_one_dependency_a_path_with_all_owners() -> None:
    collection = DependencyCollection()
    collection.add(_dependency("/b", Verdict.FOUND))
    collection.add(_dependency("/a", Verdict.EXCLUDED, WALL))
    collection.add(_dependency("/a", Verdict.MISSING, WOOD))
    collection.add(_dependency("/b", Verdict.EXCLUDED, WALL))
    first, second = collection.sorted()
    assert (first.path, first.verdict, first.owners) == ("/a", Verdict.MISSING, (WOOD, WALL))
    assert (second.path, second.verdict, second.owners) == ("/b", Verdict.FOUND, (WOOD, WALL))
    assert "/a" in collection


def test_what_travels_is_what_was_found() -> None:
    scene = SceneDescription(
        "blender",
        "4.5",
        "shot",
        "/shot.blend",
        False,
        (RenderUnit("Beauty", ("Beauty",), FrameRange(1, 2)),),
        (),
        (
            _dependency("/z", Verdict.FOUND),
            _dependency("/a", Verdict.FOUND),
            _dependency("/d", Verdict.FOUND, directory=True),
            _dependency("/m", Verdict.MISSING),
            _dependency("/g", Verdict.GENERATED),
        ),
    )
    assert scene.input_files == ("/a", "/z")
    assert scene.input_directories == ("/d",)
    assert [item.path for item in scene.missing] == ["/m"]
    document = json.loads(json.dumps(scene.to_dict()))
    assert document["dependencies"][3]["verdict"] == "missing"
    assert document["units"][0]["frames"] == {"start": 1, "end": 2, "step": 1}


def test_outputs_that_overwrite_each_other_are_found() -> None:
    one, two = Output("A", "/out", "####", "PNG"), Output("B", "/out", "####", "PNG")
    other = Output("C", "/out", "c_####", "PNG")
    assert colliding_outputs([one, other, two]) == ((one, two),)


def test_owners_read_as_people_say_them() -> None:
    assert str(WOOD) == 'image "Wood" (filepath)'
    assert str(WALL) == 'object "Wall"'
