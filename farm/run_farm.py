"""Starts the local farm from an add-on's private folder: ``python -I run_farm.py SHOTPUT_FOLDER [ARGUMENTS ...]``.

The farm's process runs isolated, so this file puts two folders on its path: the one that it lies in, with the farm and
its web stack, and the one given first, which holds the package ``shotput``.
"""

import sys
from pathlib import Path

script = Path(__file__).resolve()
shotput_folder = sys.argv.pop(1)
sys.path[:0] = [str(script.parent), shotput_folder]

if __name__ == "__main__":
    from shotput_farm.__main__ import main

    sys.exit(main(launcher=(sys.executable, "-I", str(script), shotput_folder)))
