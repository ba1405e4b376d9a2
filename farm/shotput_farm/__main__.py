"""The farm's command line: ``python -I -m shotput_farm --data-dir DIR``. Needs nothing but the farm itself."""

from __future__ import annotations

import argparse
import runpy
import sys
from collections.abc import Sequence
from pathlib import Path

from shotput import local_farm


def main(arguments: Sequence[str] | None = None, *, launcher: Sequence[str] | None = None) -> int:
    """Run a farm, or with ``worker`` as the first argument its worker; return the exit code.

    ``launcher`` is the command that ran this function when that was not ``python -I -m shotput_farm``: an installed
    copy's own script. The worker is then started by it too.
    """
    given = list(sys.argv[1:] if arguments is None else arguments)
    if given[:1] == ["worker"]:
        sys.argv[1:] = given[1:]
        runpy.run_module("shotput_farm.worker", run_name="__main__", alter_sys=True)
        return 0
    options = _parser().parse_args(given)
    worker_command: tuple[str, ...] | None = None
    if options.worker:
        start = (*launcher, "worker") if launcher else (sys.executable, "-I", "-m", "shotput_farm.worker")
        worker_command = (*start, "--data-dir", str(options.data_dir))
    # Imported late: `--help` and a wrong argument need no web stack.
    from shotput_farm.process import Settings, StartError, run

    try:
        return run(Settings(options.data_dir, options.port, options.idle_timeout, worker_command))
    except StartError as error:
        sys.stderr.write(f"{error}\n")
        return error.code


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m shotput_farm",
        description="The local render farm: one per user and machine, on the loopback interface.",
        epilog="Example: python -m shotput_farm --idle-timeout 1800",
    )
    parser.add_argument(
        "--data-dir", type=_folder, default=local_farm.data_dir(), help="the farm's folder (default: %(default)s)"
    )
    parser.add_argument("--port", type=_port, help="port of the API (default: the last one, or a free one)")
    parser.add_argument(
        "--idle-timeout",
        type=_seconds,
        default=0.0,
        metavar="SECONDS",
        help="end when there was nothing to do for so long (default: never)",
    )
    parser.add_argument("--no-worker", dest="worker", action="store_false", help="serve, but render nothing")
    return parser


def _folder(text: str) -> Path:
    return Path(text).absolute()


def _port(text: str) -> int:
    if not (text.isascii() and text.isdigit() and 0 < int(text) < 65536):
        raise argparse.ArgumentTypeError(f"{text!r} is no port: give a number from 1 to 65535")
    return int(text)


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = -1.0
    if not 0 <= seconds < float("inf"):
        raise argparse.ArgumentTypeError(f"{text!r} is no number of seconds")
    return seconds


if __name__ == "__main__":
    sys.exit(main())
