"""The ``shotput`` command. Needs the extra ``cli`` (typer, rich) and Python 3.11; nothing else of the package does."""

from __future__ import annotations

import sys


def main() -> None:
    """Run the command and exit with a code of :class:`shotput.cli.failure.ExitCode`."""
    try:
        from shotput.cli.app import run
    except KeyboardInterrupt:
        sys.exit(130)
    except ModuleNotFoundError as error:
        if error.name not in {"typer", "rich", "click", "shotput_farm"}:
            raise
        sys.exit(f"The shotput command needs the package {error.name}: pip install 'shotput[cli]'")
    sys.exit(run(sys.argv[1:]))
