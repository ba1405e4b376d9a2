"""Frames and the files that they become: one rule for exports and for workers."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from shotput import bundle, frame_files
from shotput.frame_files import check_pattern, fill, parse_frames
from shotput.parameters import refuse_frames

TOKENS = {"layer": "Beauty/..", "scene": "..", "camera": "Cam<x>"}


@pytest.mark.parametrize(
    ("expression", "frames"),
    [
        ("7", [7]),
        ("1-3", [1, 2, 3]),
        ("1-9:4, 20", [1, 5, 9, 20]),
        ("3-1:-1", [3, 2, 1]),
        ("-2-1", [-2, -1, 0, 1]),
        ("-1--3:-2", [-1, -3]),
    ],
)
def test_frames_are_listed(expression: str, frames: list[int]) -> None:
    assert parse_frames(expression) == frames
    refuse_frames(expression)


@pytest.mark.parametrize(
    ("expression", "said"),
    [
        ("1 to 4", "The frames '1 to 4' are no range expression. Write them like 1-10, 1-9:2 or 1,5,9."),
        ("", "The frames '' are no range expression. Write them like 1-10, 1-9:2 or 1,5,9."),
        ("1-5:0", "The frames '1-5:0' have a step of 0. Give a step of 1 or more."),
        (
            "5-1",
            "The frames '5-1' lead away from their end. Swap first and last, or give a step below 0, as in 10-1:-1.",
        ),
        ("1-1000000000", "The frames '1-1000000000' are more than 1000000. Split the job."),
    ],
)
def test_frames_that_are_none(expression: str, said: str) -> None:
    with pytest.raises(ValueError, match=f"^{re.escape(said)}$"):
        parse_frames(expression)


@given(st.integers(-50, 50), st.integers(-50, 50), st.integers(-7, 7))
def test_what_the_script_takes_the_farm_takes_too(first: int, last: int, step: int) -> None:
    expression = f"{first}-{last}:{step}"
    try:
        frames = parse_frames(expression)
    except ValueError:
        with pytest.raises(ValueError, match=r"^The frames '"):
            refuse_frames(expression)
    else:
        assert frames == list(range(first, last + (1 if step > 0 else -1), step))
        refuse_frames(expression)


@pytest.mark.parametrize(
    ("pattern", "frame", "path"),
    [
        ("shot_####", 7, "shot_0007"),
        ("shot", 7, "shot0007"),
        ("a\\b_##c", -7, "a/b_-07c"),
        ("<scene>/<layer>_#", 12, "__/Beauty_.._12"),
        ("<camera>/#", 1, "Cam_x_/1"),
    ],
)
def test_a_pattern_becomes_a_file_below_the_folder(pattern: str, frame: int, path: str) -> None:
    assert "/".join(fill(pattern, frame, TOKENS)) == path


@pytest.mark.parametrize(
    ("pattern", "said"),
    [
        ("", " is empty. Write it like shot_####."),
        ("  ", " is empty. Write it like shot_####."),
        ("a\nb", " has a line break or another control character. Write it in one line."),
        ("../../x####", " leads out of the output folder. Make it relative."),
        ("a/../b", " leads out of the output folder. Make it relative."),
        ("/tmp/x", " leads out of the output folder. Make it relative."),
        ("\\\\server\\x", " leads out of the output folder. Make it relative."),
        ("C:x", " leads out of the output folder. Make it relative."),
        ("a##_b####", " has the frame number twice. Keep one run of #."),
    ],
)
def test_patterns_that_are_refused(pattern: str, said: str) -> None:
    for refuse in (check_pattern, lambda text: fill(text, 1, TOKENS)):
        with pytest.raises(ValueError, match="^" + re.escape(f"The output pattern '{pattern}'{said}") + "$"):
            refuse(pattern)


@given(st.text(max_size=30), st.text(max_size=8), st.integers(-9999, 9999))
def test_no_pattern_and_no_name_leads_out(pattern: str, name: str, frame: int) -> None:
    try:
        check_pattern(pattern)
    except ValueError:
        return
    parts = fill(pattern, frame, dict.fromkeys(("layer", "scene", "camera"), name))
    assert ".." not in parts
    assert parts[0] != ""


def test_the_module_travels_as_it_is() -> None:
    carried = bundle.frame_files_module()
    assert carried.text == Path(frame_files.__file__).read_text("utf-8")
    assert "{{" not in carried.text
    assert "}}" not in carried.text
    namespace: dict[str, Any] = {"__name__": "carried"}
    exec(compile(carried.text, carried.filename, "exec"), namespace)
    assert namespace["fill"]("a_##", 3, {}) == ["a_03"]
