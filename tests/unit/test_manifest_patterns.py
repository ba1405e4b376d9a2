"""Which files patterns mean: those that `glob` finds, as in the official client, without links in circles."""

from __future__ import annotations

import glob
import os
from pathlib import Path

import pytest
from shotput.errors import MissingInputsError
from shotput.manifests import Chosen

FILES = [
    "scene.ma",
    ".hidden",
    "tex/wood.tx",
    "tex/[b]/x.TX",
    "tex/deep/er/a.tx",
    ".git/config",
    "tex/.cache/big.vdb",
    "cache/1/.keep",
]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    root = tmp_path / "a [root]"
    for name in FILES:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(name)
    (root / "broken").symlink_to("nowhere")
    (root / "itself").symlink_to("itself")
    (root / "linked").symlink_to("tex")
    return root


@pytest.mark.parametrize(
    "pattern",
    [
        "**/*",
        "**",
        "**/*.tx",
        "**/",
        "*",
        "tex/*",
        "tex/**/*.tx",
        "**/deep/**/*",
        "**/.*",
        ".*/**/*",
        "**/.cache/*",
        "*/[[]b[]]/**",
        "./**/*.ma",
        "**/**/a.t[xy]",
        "**.ma",
        "tex//**/*",
        "none/**/*",
        "scene.ma",
    ],
)
def test_as_glob_has_it(root: Path, pattern: str) -> None:
    found = glob.glob(os.path.join(glob.escape(str(root)), pattern), recursive=True)  # noqa: PTH118, PTH207
    expected = sorted({os.path.normpath(path) for path in found if os.path.isfile(path)})  # noqa: PTH113
    assert Chosen((pattern,)).files(root) == expected


def test_links_in_a_circle_are_walked_once(root: Path) -> None:
    for name in ("here", "tex/up", "tex/deep/top"):
        (root / name).symlink_to(root)
    found = [os.path.relpath(path, root) for path in Chosen().files(root)]
    twice = ["[b]/x.TX", "deep/er/a.tx", "wood.tx"]
    assert found == sorted(["scene.ma", *(f"{folder}/{name}" for folder in ("linked", "tex") for name in twice)])


def test_patterns_that_lead_out_are_refused(root: Path) -> None:
    (root.parent / "secret").write_text("not yours")
    with pytest.raises(MissingInputsError, match=r"^Links lead out of "):
        Chosen(("../*",)).files(root)
