"""Importing in a fresh interpreter: any module first, nothing but the standard library, nothing done by it."""

from __future__ import annotations

import json
import pkgutil
import subprocess
import sys
from pathlib import Path

import pytest
import shotput

MODULES = ["shotput", *(f"shotput.{module.name}" for module in pkgutil.iter_modules(shotput.__path__))]

# What the import brought beside the standard library and ours, and how many threads run after it.
CODE = """
import json, sys
sys.path.append(sys.argv[1])
__import__(sys.argv[2])
import os
roots = {name.partition(".")[0] for name in sys.modules} - set(sys.stdlib_module_names) - {"__main__"}
print(json.dumps([sorted(roots), len(os.listdir("/proc/self/task"))]))
"""


@pytest.mark.skipif(sys.platform != "linux", reason="counts threads through /proc")
@pytest.mark.parametrize("module", MODULES)
def test_a_module_comes_alone(module: str, tmp_path: Path) -> None:
    package = Path(shotput.__file__).parents[1]
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-B", "-W", "error", "-c", CODE, str(package), module],
        cwd=tmp_path,
        env={"HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert json.loads(done.stdout) == [["shotput"], 1]
    assert list(tmp_path.iterdir()) == []
