"""The fuzz targets build and find nothing in a short run; ``make fuzz SECONDS=3600`` looks further."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SECONDS = "5"


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.skipif(shutil.which("c++") is None, reason="libFuzzer is C++, and there is no compiler for it")
def test_a_short_run_finds_nothing() -> None:
    command = [ROOT / "tools" / "fuzz", SECONDS]
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
    assert done.returncode == 0, done.stdout[-5000:]
    targets = list((ROOT / "native" / "fuzz" / "fuzz_targets").glob("*.rs"))
    # Each sees branches of the core, and tried more than what it was given.
    assert len(re.findall(r"Loaded 1 PC tables \(\d{3,} PCs\)", done.stdout)) == len(targets)
    runs = [int(number) for number in re.findall(r"^Done (\d+) runs", done.stdout, re.MULTILINE)]
    assert len(runs) == len(targets)
    assert min(runs) > 100, runs
