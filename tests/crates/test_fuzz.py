"""The fuzz targets build and find nothing in a short run; ``make fuzz SECONDS=3600`` looks further."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SECONDS = "5"


@pytest.mark.slow
@pytest.mark.timeout(2400)
def test_a_short_run_finds_nothing() -> None:
    rustup = shutil.which("rustup")
    if rustup is None or subprocess.run([rustup, "run", "nightly", "rustc", "-V"], check=False).returncode:
        pytest.skip("the fuzzer needs a nightly Rust: rustup toolchain install nightly")
    command = [ROOT / "tools" / "fuzz", SECONDS]
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
    assert done.returncode == 0, done.stdout[-5000:]
    for target in (path.stem for path in (ROOT / "native" / "fuzz" / "fuzz_targets").glob("*.rs")):
        assert (ROOT / "native" / "fuzz" / "corpus" / target).is_dir(), f"{target} was not run"
