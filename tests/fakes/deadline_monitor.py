"""A stand-in for the Deadline Cloud monitor, which is a program of the user's and cannot be had.

It notes how it was called, says what it is told to say, and then ends as it is told to, or stays as the real one does.
"""

from __future__ import annotations

import json
import os
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass
class Monitor:
    """The program of one test, with the configuration files that lead to it."""

    folder: Path
    config_path: Path

    @classmethod
    def install(cls, folder: Path, config_path: Path, *, says: str = "", ends_with: int | None = None) -> Monitor:
        """Writes the program and its configuration; ``ends_with`` is its exit code, ``None`` lets it stay."""
        folder.mkdir(parents=True, exist_ok=True)
        program = folder / "monitor"
        program.write_text(f"#!{sys.executable}\nimport sys\nsys.argv[1:1] = {[str(folder)]!r}\n" + _BODY)
        program.chmod(0o755)
        (folder / "behaviour.json").write_text(json.dumps({"says": says, "ends_with": ends_with}))
        aws = Path(os.environ["AWS_CONFIG_FILE"])
        aws.parent.mkdir(exist_ok=True)
        aws.write_text(
            "[profile studio]\nmonitor_id = monitor-1\nuser_id = user-1\nregion = us-west-2\n"
            "aws_access_key_id = AKIAMONITOR\naws_secret_access_key = secret\n"
            "[profile plain]\nregion = us-west-2\n"
        )
        config_path.parent.mkdir(exist_ok=True)
        config_path.write_text(f"[defaults]\naws_profile_name = studio\n[deadline-cloud-monitor]\npath = {program}\n")
        return cls(folder, config_path)

    def calls(self) -> list[dict[str, Any]]:
        """Arguments, process id and whether the standard input was at its end, of each start."""
        return [json.loads(path.read_text()) for path in sorted(self.folder.glob("call-*.json"))]

    def is_running(self) -> bool:
        """Whether the program that was started last still runs."""
        try:
            os.kill(self.calls()[-1]["pid"], 0)
        except ProcessLookupError:
            return False
        return True

    def wait_until_gone(self) -> None:
        while self.is_running():
            time.sleep(0.01)


_BODY = """\
import json, os, time
from pathlib import Path
folder = Path(sys.argv[1])
note = folder / f"call-{time.monotonic_ns():020}.json"
part = note.with_suffix(".part")
part.write_text(json.dumps({"arguments": sys.argv[2:], "pid": os.getpid(), "input": sys.stdin.read()}))
part.rename(note)
behaviour = json.loads((folder / "behaviour.json").read_text())
print(behaviour["says"], flush=True)
print("nobody sees this", file=sys.stderr, flush=True)
if behaviour["ends_with"] is not None:
    sys.exit(behaviour["ends_with"])
while not (folder / "stop").exists():
    time.sleep(0.02)
    print("still here", flush=True)
"""
