"""The ``shotput`` command. Needs the extra ``cli`` (typer, rich) and Python 3.11; nothing else of the package does."""

from __future__ import annotations

import json
import sys

from shotput.cli import interruption


def main() -> None:
    """Run the command and exit with a code of :class:`shotput.cli.failure.ExitCode`."""
    arguments = sys.argv[1:]
    interruption.listen()
    try:
        from shotput.cli.app import run
    except KeyboardInterrupt:
        code = interruption.code()
        if "--json" in arguments:
            failure = {"message": "Canceled.", "kind": code.name, "exitCode": int(code), "log": None}
            sys.stdout.write(json.dumps({"error": failure}, indent=2) + "\n")
        sys.exit(code)
    except ModuleNotFoundError as error:
        if error.name not in {"typer", "rich", "click", "shotput_farm"}:
            raise
        sys.exit(f"The shotput command needs the package {error.name}: pip install 'shotput[cli]'")
    sys.exit(run(arguments))
