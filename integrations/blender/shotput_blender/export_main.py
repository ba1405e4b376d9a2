# SPDX-License-Identifier: GPL-3.0-or-later
"""Run by Blender without a window: exports the open scene, or builds the demo scene, and prints one line of JSON.

``blender --background SCENE --python export_main.py -- --output BUNDLE --options JSON [--python-path JSON]``. The last
line of standard output starts with ``shotput-result:``; its document has ``ok``, and then ``result`` or ``error`` and
``kind`` (the exception's class). ``shotput.hosts`` reads it.
"""

from __future__ import annotations

import argparse
import json
import sys
import traceback
from pathlib import Path
from typing import Any


def _run(arguments: argparse.Namespace) -> Any:
    if arguments.demo:
        from shotput_blender.demo_scene import build

        return {"scene": str(build(Path(arguments.demo)))}
    import bpy
    from shotput.errors import SceneError

    from shotput_blender.exporter import export

    if not bpy.data.filepath:
        raise SceneError("Blender did not open the scene. Open it by hand to see why.")
    return export(arguments.output, json.loads(arguments.options))


def main() -> int:
    """Answers one request; 0 when it succeeded."""
    parser = argparse.ArgumentParser(prog="export_main.py")
    parser.add_argument("--output", default="")
    parser.add_argument("--options", default="{}")
    parser.add_argument("--demo", default="")
    parser.add_argument("--python-path", default="[]")
    arguments = parser.parse_args(sys.argv[sys.argv.index("--") + 1 :])
    # A Blender without the add-on gets the packages from the caller; an installed add-on's own come first.
    sys.path += [path for path in json.loads(arguments.python_path) if path not in sys.path]
    try:
        document = {"ok": True, "result": _run(arguments)}
    except Exception as error:
        traceback.print_exc()
        document = {"ok": False, "kind": type(error).__name__, "error": str(error)}
    print("shotput-result:" + json.dumps(document), flush=True)
    return 0 if document["ok"] else 1


if __name__ == "__main__":
    status = main()
    if status:
        sys.exit(status)
