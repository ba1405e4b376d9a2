"""Starts the local farm from the folder that this file lies in: ``python -I run_farm.py [ARGUMENTS ...]``.

The folder holds the farm, its web stack and the package ``shotput`` (see ``shotput.installed_farm``). The farm's
process runs isolated and sees them, and no other process does.
"""

import sys
from pathlib import Path

script = Path(__file__).resolve()
sys.path.insert(0, str(script.parent))

if __name__ == "__main__":
    from shotput_farm.__main__ import main

    sys.exit(main(launcher=(sys.executable, "-I", str(script))))
