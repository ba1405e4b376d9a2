"""Path rules and frame rules of the module that travels with jobs, asked inside Blender in one run."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

MODULE = Path(__file__).parents[3] / "integrations/blender/shotput_blender/render/datapaths.py"

POSIX = {"source_path_format": "POSIX", "source_path": "/show/assets", "destination_path": "/mnt/a"}
DRIVE = {"source_path_format": "WINDOWS", "source_path": "S:\\Show", "destination_path": "/mnt/s"}
SHARE = {"source_path_format": "WINDOWS", "source_path": "\\\\nas\\show\\", "destination_path": "/mnt/nas"}

ASKED: list[tuple[str, list[Any], Any]] = [
    # (function, arguments, answer)
    ("absolute", ["//tex/a.png", "/show/shots/a.blend"], "/show/shots/tex/a.png"),
    ("absolute", ["//../tex/a.png", "/show/shots/a.blend"], "/show/tex/a.png"),
    ("absolute", ["//..\\tex\\a.png", "/show/shots/a.blend"], "/show/tex/a.png"),
    ("absolute", ["//../tex/a.png", "S:\\show\\shots\\a.blend"], "S:\\show\\tex\\a.png"),
    ("absolute", ["//..\\tex\\a.png", "\\\\nas\\show\\shots\\a.blend"], "\\\\nas\\show\\tex\\a.png"),
    ("absolute", ["/tex/./a.png", "/show/a.blend"], "/tex/a.png"),
    ("absolute", ["S:/tex/a.png", "/show/a.blend"], "S:/tex/a.png"),
    ("mapped", ["/show/assets/a/b.png", [POSIX]], "/mnt/a/a/b.png"),
    ("mapped", ["/show/assets", [POSIX]], "/mnt/a"),
    ("mapped", ["/show/assets2/b.png", [POSIX]], None),
    ("mapped", ["/SHOW/assets/b.png", [POSIX]], None),
    ("mapped", ["/show/assets/skin.<UDIM>.png", [POSIX]], "/mnt/a/skin.<UDIM>.png"),
    ("mapped", ["/show/assets/f_####.exr", [POSIX]], "/mnt/a/f_####.exr"),
    ("mapped", ["s:/show/Tex/a.png", [DRIVE]], "/mnt/s/Tex/a.png"),
    ("mapped", ["S:\\SHOW\\tex\\a.png", [POSIX, DRIVE]], "/mnt/s/tex/a.png"),
    ("mapped", ["\\\\NAS\\show\\tex\\a.png", [DRIVE, SHARE]], "/mnt/nas/tex/a.png"),
    ("mapped", ["//nas/show/a.png", [SHARE]], None),
    ("numbered", ["/a1/plate_0007.v2.png", 12], "/a1/plate_0007.v12.png"),
    ("numbered", ["/a/plate_0007.png", 12], "/a/plate_0012.png"),
    ("numbered", ["/a/plate_0007.png", 12345], "/a/plate_12345.png"),
    ("numbered", ["/a/plate.png", 3], "/a/plate.png"),
]

IMAGE = {"frame_duration": 4, "frame_start": 10, "frame_offset": 100, "use_cyclic": False}
VOLUME = {"frame_duration": 4, "frame_start": 10, "frame_offset": 100}
FRAMES: list[tuple[str, dict[str, Any], list[int], list[int | None]]] = [
    ("image_frame", IMAGE, [8, 10, 13, 14], [101, 101, 104, 104]),
    ("image_frame", {**IMAGE, "use_cyclic": True}, [9, 10, 14, 18], [104, 101, 101, 101]),
    ("volume_frame", {**VOLUME, "sequence_mode": "CLIP"}, [9, 10, 13, 14], [None, 101, 104, None]),
    ("volume_frame", {**VOLUME, "sequence_mode": "EXTEND"}, [9, 10, 13, 14], [101, 101, 104, 104]),
    ("volume_frame", {**VOLUME, "sequence_mode": "REPEAT"}, [9, 10, 13, 14], [104, 101, 104, 101]),
    ("volume_frame", {**VOLUME, "sequence_mode": "PING_PONG"}, [10, 13, 14, 15, 16], [101, 104, 103, 102, 101]),
]

CODE = """
import importlib.util, json, sys, types
spec = importlib.util.spec_from_file_location("datapaths", {module!r})
paths = importlib.util.module_from_spec(spec)
sys.modules["datapaths"] = paths
spec.loader.exec_module(paths)
asked, frames = json.loads({asked!r})
said = [getattr(paths, name)(*arguments) for name, arguments in asked]
seen = [[getattr(paths, name)(types.SimpleNamespace(**user), at) for at in places] for name, user, places in frames]
print("said:" + json.dumps([said, seen]))
"""


@pytest.fixture(scope="module")
def answers(blender: Path) -> Any:
    asked = json.dumps([[item[:2] for item in ASKED], [item[:3] for item in FRAMES]])
    command = [str(blender), "--background", "--factory-startup", "--python-exit-code", "1", "--python-expr"]
    done = subprocess.run(
        [*command, CODE.format(module=str(MODULE), asked=asked)], capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return json.loads(next(line[5:] for line in done.stdout.splitlines() if line.startswith("said:")))


@pytest.mark.parametrize("number", range(len(ASKED)), ids=[f"{item[0]} {item[1][0]}" for item in ASKED])
def test_paths(answers: Any, number: int) -> None:
    assert answers[0][number] == ASKED[number][2]


@pytest.mark.parametrize(
    "number", range(len(FRAMES)), ids=[f"{item[0]} {number}" for number, item in enumerate(FRAMES)]
)
def test_frames(answers: Any, number: int) -> None:
    assert answers[1][number] == FRAMES[number][3]
