"""Starts the local farm from an add-on's private folder.

The farm's process runs isolated (``python -I``), so this file puts the folder that it lies in on the path; the module
``shotput`` itself lies in the folder given as the first argument.
"""

import runpy
import sys
from pathlib import Path

here = Path(__file__).resolve().parent
sys.path[:0] = [str(here), sys.argv.pop(1)]
runpy.run_module("shotput_farm", run_name="__main__", alter_sys=True)
