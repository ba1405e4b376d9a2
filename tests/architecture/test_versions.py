"""One version for wheel, farm and add-ons."""

import re
import tomllib
from pathlib import Path

import shotput
import shotput_farm

ROOT = Path(__file__).resolve().parents[2]


def test_every_part_has_the_version_of_the_workspace():
    expected = tomllib.loads((ROOT / "Cargo.toml").read_text())["workspace"]["package"]["version"]
    found = {"shotput": shotput.__version__, "shotput_farm": shotput_farm.__version__}
    for folder in (".", "shared_ui", "farm", "integrations", "compat"):
        found[folder] = tomllib.loads((ROOT / folder / "pyproject.toml").read_text())["project"]["version"]
    assert found == dict.fromkeys(found, expected)


def test_the_changelog_has_a_section_for_what_comes_next():
    assert re.search(r"^## \[Unreleased\]$", (ROOT / "CHANGELOG.md").read_text(), re.M)
