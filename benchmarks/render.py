"""The demo's frames through the farm, submission to frames at home, beside one bare Blender making the same frames."""

from __future__ import annotations

import json
import sys
import tempfile
from pathlib import Path

from benchmarks.measure import REPEATS, Figure, Row, run_process, within

_THROUGH_THE_FARM = ("submit", "render", "outputs")


def run() -> list[Row]:
    ours, bare = [], []
    for _ in range(REPEATS):
        with tempfile.TemporaryDirectory() as folder:
            shotput = Path(sys.executable).with_name("shotput")
            report = json.loads(run_process([shotput, "demo", "--json", "--output", Path(folder) / "demo"]))
        ours.append(sum(report["seconds"][phase] for phase in _THROUGH_THE_FARM))
        bare.append(report["seconds"]["reference"])
    return [
        within(
            "the demo's 12 frames, submission to frames at home",
            Figure(tuple(ours), "s"),
            Figure(tuple(bare), "s"),
            1.15,
        )
    ]
