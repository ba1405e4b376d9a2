"""The worker's command line: ``python -I -m shotput_farm.worker --data-dir DIR``. The farm starts it."""

from __future__ import annotations

import argparse
import logging
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from shotput import local_farm

from shotput_farm.logfile import log_to
from shotput_farm.worker import orphans

LOG = logging.getLogger("shotput_farm.worker")

NO_FARM = 3
BUSY = 4


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the worker of the farm that serves in the data directory; return the exit code."""
    options = _parser().parse_args(arguments)
    data_dir = options.data_dir.absolute()
    state = local_farm.state(data_dir)
    if state is None:
        sys.stderr.write(f"No farm serves in {data_dir}. Start one with `shotput farm up`; it brings its worker.\n")
        return NO_FARM
    log_to(data_dir / "logs" / "worker.log")
    lock = orphans.WorkerLock.acquire(data_dir)
    if lock is None:
        LOG.error("Another worker of %s does not end. End it, and start the farm again.", data_dir)
        return BUSY
    with lock:
        # Imported late: an argument that is wrong needs no native module.
        from shotput_farm.worker.agent import Agent

        try:
            orphans.end(data_dir)
            Agent(data_dir, state, vcpu=options.vcpu).run()
        except Exception:
            LOG.exception("The worker failed.")
            raise
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m shotput_farm.worker",
        description="The worker of a local farm. The farm starts it by itself.",
        epilog="Example: python -m shotput_farm.worker --data-dir ~/.local/share/shotput/farm-myhost",
    )
    parser.add_argument(
        "--data-dir", type=Path, default=local_farm.data_dir(), help="the farm's folder (default: %(default)s)"
    )
    parser.add_argument(
        "--vcpu",
        type=int,
        default=int(os.environ.get("SHOTPUT_WORKER_VCPU", "0")) or None,
        help="cores to offer (default: $SHOTPUT_WORKER_VCPU, else all that this process may use)",
    )
    return parser


if __name__ == "__main__":
    sys.exit(main())
