"""The frames of a job and the files that they become: the rules that exporters and workers share.

The template embeds this file, so that what an export lets pass is what the render script takes. It needs nothing but
the standard library and has no two equal braces in a row. All refusals are a ``ValueError`` with a whole sentence.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

# Far beyond any shot, and far below what a list of them takes of the machine's memory.
MAX_FRAMES = 1_000_000
_RANGE = re.compile(r"(-?\d+)(?:-(-?\d+)(?::(-?\d+))?)?")
_UNSAFE = re.compile(r'[\x00-\x1f<>:"/\\|?*{}#]')
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")


def parse_frames(expression: str) -> list[int]:
    """Frame numbers of an OpenJD range expression (``1-9:2,20``), in order; at most ``MAX_FRAMES`` of them."""
    frames: list[int] = []
    for part in expression.replace(" ", "").split(","):
        match = _RANGE.fullmatch(part)
        if match is None:
            raise ValueError(
                f"The frames '{expression}' are no range expression. Write them like 1-10, 1-9:2 or 1,5,9."
            )
        start, end, step = int(match[1]), int(match[2] or match[1]), int(match[3] or 1)
        if step == 0:
            raise ValueError(f"The frames '{expression}' have a step of 0. Give a step of 1 or more.")
        if (end - start) // step < 0:
            raise ValueError(
                f"The frames '{expression}' lead away from their end. Swap first and last, or give a step below 0, as "
                "in 10-1:-1."
            )
        if len(frames) + (end - start) // step + 1 > MAX_FRAMES:
            raise ValueError(f"The frames '{expression}' are more than {MAX_FRAMES}. Split the job.")
        frames.extend(range(start, end + (1 if step > 0 else -1), step))
    return frames


def check_pattern(pattern: str) -> None:
    """Refuses a pattern of output files that leads out of its folder or has no one place for the frame number."""
    said = f"The output pattern '{pattern}'"
    parts = pattern.replace("\\", "/").split("/")
    if not pattern.strip():
        raise ValueError(f"{said} is empty. Write it like shot_####.")
    if _CONTROL.search(pattern):
        raise ValueError(f"{said} has a line break or another control character. Write it in one line.")
    if not parts[0] or ".." in parts or ":" in pattern:
        raise ValueError(f"{said} leads out of the output folder. Make it relative.")
    if len(re.findall("#+", pattern)) > 1:
        raise ValueError(f"{said} has the frame number twice. Keep one run of #.")


def fill(pattern: str, frame: int, tokens: Mapping[str, str]) -> list[str]:
    """The parts of one frame's path below the output folder, without extension.

    A run of # is the frame number, padded to its length, its sign apart, and added at the end where there is none, as
    Blender does; ``<name>`` is the text of that token without what files cannot be called.
    """
    check_pattern(pattern)
    pattern = pattern.replace("\\", "/")
    if "#" not in pattern:
        pattern += "####"
    head, run, tail = re.split("(#+)", pattern)
    number = ("-" if frame < 0 else "") + str(abs(frame)).zfill(len(run))
    path = head + number + tail
    for token, value in tokens.items():
        path = path.replace(f"<{token}>", _UNSAFE.sub("_", value))
    # A layer may be called so.
    return ["__" if part == ".." else part for part in path.split("/")]
