"""A bundle without files, whole processes on one farm: ``shotput submit`` beside ``deadline bundle submit``."""

from __future__ import annotations

import json
import socket
import sys
import tempfile
import time
from pathlib import Path

from shotput import local_farm

from benchmarks.measure import REPEATS, Figure, Row, peer_programs, run_process, within

# Of a system that no worker of this farm has, so that no task runs beside the next submission.
_TEMPLATE = {
    "specificationVersion": "jobtemplate-2023-09",
    "name": "{{Param.Name}}",
    "parameterDefinitions": [
        {"name": "Name", "type": "STRING", "default": "no files"},
        {"name": "Quality", "type": "FLOAT", "default": 0.5},
    ],
    "steps": [
        {
            "name": "Render",
            "hostRequirements": {"attributes": [{"name": "attr.worker.os.family", "anyOf": ["windows"]}]},
            "parameterSpace": {"taskParameterDefinitions": [{"name": "Frame", "type": "INT", "range": "1-100"}]},
            "script": {"actions": {"onRun": {"command": "render", "args": ["{{Task.Param.Frame}}"]}}},
        }
    ],
}


def run() -> list[Row]:
    peers = peer_programs()
    shotput = Path(sys.executable).with_name("shotput")
    with tempfile.TemporaryDirectory(prefix="shotput-bench-") as text:
        folder = Path(text)
        bundle = folder / "bundle"
        bundle.mkdir()
        (bundle / "template.json").write_text(json.dumps(_TEMPLATE), encoding="utf-8")
        data = folder / "data"
        mine = {"HOME": str(folder), "SHOTPUT_DATA_DIR": str(data)}
        try:
            run_process([shotput, "farm", "up"], mine)
            state = local_farm.state(data / f"farm-{socket.gethostname()}")
            assert state is not None
            theirs = {**local_farm.environment(state), "HOME": str(folder)}
            theirs["DEADLINE_CONFIG_FILE_PATH"] = str(folder / "config")
            for name, value in (
                ("defaults.farm_id", state.farm_id),
                ("defaults.queue_id", state.queue_id),
                ("settings.storage_profile_id", state.storage_profile_id),
                ("telemetry.opt_out", "true"),
            ):
                run_process([peers / "deadline", "config", "set", name, value], theirs)
            commands = (
                ([shotput, "submit", "--yes", bundle], mine),
                ([peers / "deadline", "bundle", "submit", "--yes", bundle], theirs),
            )
            samples: tuple[list[float], list[float]] = ([], [])
            # In turns, so that what else the machine does falls on both; the first turn warms the file cache.
            for turn in range(REPEATS + 1):
                for (command, variables), taken in zip(commands, samples, strict=True):
                    started = time.perf_counter()
                    run_process(command, variables)
                    if turn:
                        taken.append(time.perf_counter() - started)
        finally:
            if data.is_dir():
                run_process([shotput, "farm", "down"], mine)
    ours, peer = (Figure(tuple(taken), "s") for taken in samples)
    return [within("submit a bundle without files; deadline bundle submit", ours, peer, 0.5)]


if __name__ == "__main__":
    print(json.dumps([row.document() for row in run()], indent=2))
