"""A farm process with a tiny farm behind it, for tests of how it starts, is found and ends: ``tiny.py [farm options]``.

What it stands in for is the scheduler and the object store; lock, ports, keys, API, signals and supervision are real.
"""

from __future__ import annotations

import functools
import os
import sys
from pathlib import Path
from typing import Any

from shotput_farm import __main__ as command
from shotput_farm import process


class TinyFarm:
    def __init__(self, folder: Path) -> None:
        self.folder = folder

    async def on_start(self) -> None:
        assert self.credentials.root.access_key_id  # type: ignore[attr-defined]
        if (self.folder / "broken").exists():
            raise RuntimeError("the cellar is flooded")

    def on_stop(self) -> None:
        (self.folder / "stopped").touch()

    def is_idle(self) -> bool:
        return not (self.folder / "busy").exists()

    def defaults(self) -> dict[str, str]:
        names = ("farm_id", "queue_id", "fleet_id", "storage_profile_id", "bucket", "root_prefix")
        return {name: f"the {name}" for name in names}

    def close(self) -> None:
        (self.folder / "closed").touch()


class TinyObjects:
    def __init__(self, root: str, port: int) -> None:
        self._sock = process.listen(port)

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self._sock.getsockname()[1]}"

    def start(self) -> None:
        pass

    def add_credentials(self, *_: Any, **__: Any) -> None:
        pass

    def remove_credentials(self, *_: Any) -> None:
        pass

    def close(self) -> None:
        self._sock.close()


def work(folder: Path) -> None:
    """Be a worker: write down who one is, and wait until the farm is gone."""
    with (folder / "workers").open("a") as stream:
        stream.write(f"{os.getpid()}\n")
    sys.stdin.buffer.read()
    (folder / f"worker-{os.getpid()}-ended").touch()


if __name__ == "__main__":
    if sys.argv[1] == "worker":
        work(Path(sys.argv[3]))
    else:
        process.run = functools.partial(process.run, open_farm=TinyFarm, open_objects=TinyObjects)
        sys.exit(command.main(sys.argv[1:], launcher=[sys.executable, "-I", __file__]))
