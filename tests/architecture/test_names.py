"""Names and sizes that the design asks for."""

import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
FORBIDDEN = {"utils", "helpers", "common", "core", "misc", "manager", "lib", "base"}
SOURCES = {".py", ".rs"}


def sources():
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    paths = listed.stdout.split() if listed.returncode == 0 else []
    if not paths:
        pytest.skip("not a git checkout")
    return [Path(path) for path in paths if Path(path).suffix in SOURCES and (ROOT / path).exists()]


def test_no_module_has_a_name_that_says_nothing():
    # `lib.rs` is Cargo's own name for a crate's root, `native/core` the crate's folder.
    bad = [str(path) for path in sources() if path.stem in FORBIDDEN and path.name != "lib.rs"]
    assert bad == []


def test_no_generic_top_level_package_is_importable_inside_a_host():
    packages = {path.parts[2] for path in sources() if path.parts[0] == "integrations" and len(path.parts) > 3}
    assert all(name.startswith("shotput_") for name in packages), packages
