"""Frames as adaptors read them."""

from __future__ import annotations

import re

__all__ = ["parse_frame_range"]

_FRAMES = re.compile(r"(-?\d+)(?:-(-?\d+)(?::(-?\d+))?)?")


def parse_frame_range(frame_string: str) -> list[int]:
    """The frames of ``7``, ``1-10``, ``10-1`` or ``1-10:2``, in order. Raises ``ValueError`` for other text."""
    match = _FRAMES.fullmatch(frame_string)
    if match is None:
        raise ValueError(f"{frame_string!r} is no range of frames; write it as 1-10 or 1-10:2.")
    start = int(match[1])
    stop = int(match[2]) if match[2] else start
    step = int(match[3]) if match[3] else (1 if start < stop else -1)
    if step == 0 or (stop - start) * step < 0:
        raise ValueError(
            f"The range {frame_string!r} never ends: a step of {step} does not lead from {start} to {stop}."
        )
    return list(range(start, stop + (1 if step > 0 else -1), step))
