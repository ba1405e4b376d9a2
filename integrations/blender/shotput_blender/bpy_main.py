# SPDX-License-Identifier: GPL-3.0-or-later
"""Makes the ``bpy`` wheel answer to the part of Blender's command line that Shotput uses.

``python bpy_main.py --background scene.blend --python script.py -- arguments`` does what ``blender`` does with the same
arguments, in the same order, so a machine without Blender renders with the wheel and nothing else knows the difference.
It refuses options that it does not know rather than do something else than Blender would.
"""

from __future__ import annotations

import os
import shutil
import sys
import traceback
from collections.abc import Sequence
from typing import Any

# Windows are never opened; these say so, or concern what the wheel does anyway.
_IGNORED = {"--background", "-b", "--factory-startup", "--no-window-focus", "-noaudio", "--quiet"}
_IGNORED_WITH_VALUE = {"--threads", "-t", "--log-level", "--debug-exit-on-error"}


def _run(code: str, filename: str, exit_code: int) -> None:
    # Blender runs scripts as __main__, one after the other, in one namespace of their own each.
    namespace: dict[str, Any] = {"__name__": "__main__", "__file__": filename, "__builtins__": __builtins__}
    try:
        exec(compile(code, filename, "exec"), namespace)
    except SystemExit:
        raise
    except BaseException:
        traceback.print_exc()
        if exit_code:
            sys.stdout.flush()
            sys.exit(exit_code)


def main(arguments: Sequence[str]) -> int:
    """Runs the arguments in order, as Blender does. Returns the exit code."""
    sys.argv = ["blender", *arguments]
    import bpy

    # The wheel starts with factory settings; preferences of a person would need Blender itself.
    own = list(arguments[: arguments.index("--")] if "--" in arguments else arguments)
    exit_code = 0
    while own:
        argument = own.pop(0)
        if argument in ("--version", "-v"):
            print(f"Blender {bpy.app.version_string}")
            return 0
        if argument in _IGNORED:
            continue
        if argument in _IGNORED_WITH_VALUE:
            own.pop(0)
        elif argument == "--python-exit-code":
            exit_code = int(own.pop(0))
        elif argument in ("--python", "-P"):
            path = own.pop(0)
            try:
                with open(path, encoding="utf-8") as stream:
                    code = stream.read()
            except OSError as error:
                print(f"Error: Python script '{path}' cannot be read: {error.strerror}", file=sys.stderr)
                return exit_code or 1
            _run(code, path, exit_code)
        elif argument == "--python-expr":
            _run(own.pop(0), "<string>", exit_code)
        elif argument.startswith("-"):
            print(f"Error: unknown option '{argument}' (this Blender is the bpy wheel)", file=sys.stderr)
            return 1
        else:
            try:
                bpy.ops.wm.open_mainfile(filepath=os.path.abspath(argument))
            except RuntimeError as error:
                print(f"Error: Cannot read file '{argument}': {error}", file=sys.stderr)
                return 1
    return 0


def _exit(code: int) -> None:
    # The wheel's own teardown (bpy 4.5) reports memory it holds itself as leaked, and now and then never ends: two of
    # its threads wait for each other. Everything is written by now, so the process ends without it.
    import bpy

    sys.stdout.flush()
    sys.stderr.flush()
    shutil.rmtree(bpy.app.tempdir, ignore_errors=True)
    os._exit(code)


if __name__ == "__main__":
    try:
        status = main(sys.argv[1:])
    except SystemExit as stop:
        status = stop.code if isinstance(stop.code, int) else 1
    _exit(status)
