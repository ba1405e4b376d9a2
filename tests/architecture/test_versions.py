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
    for project in ("pyproject.toml", "shared_ui/pyproject.toml", "farm/pyproject.toml", "integrations/pyproject.toml"):
        found[project] = tomllib.loads((ROOT / project).read_text())["project"]["version"]
    assert found == dict.fromkeys(found, expected)


def test_the_changelog_has_a_section_for_what_comes_next():
    assert re.search(r"^## \[Unreleased\]$", (ROOT / "CHANGELOG.md").read_text(), re.M)
