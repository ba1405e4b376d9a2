"""The release workflow: well-formed, all commands targets of the Makefile, all actions pinned, every platform named."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
from shotput import _native

ROOT = Path(__file__).resolve().parents[2]
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
ACTIONLINT = "github.com/rhysd/actionlint/cmd/actionlint@v1.7.12"
# Of GitHub's runners, Windows comes without make.
WITHOUT_MAKE = "choco install --no-progress --yes make nasm"

workflows = pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)


def steps(path: Path) -> list[dict[str, Any]]:
    document = _native.parse_template(path.read_text("utf-8"))
    return [step for job in document["jobs"].values() for step in job["steps"]]


@workflows
def test_actionlint_finds_nothing(path: Path) -> None:
    go = shutil.which("go")
    if go is None:
        pytest.skip("actionlint is a program in Go, and there is no Go")
    # The package of this name on PyPI fetches a binary when it is installed; Go's own way checks what it gets.
    done = subprocess.run([go, "run", ACTIONLINT, path], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


@workflows
def test_every_command_is_a_target_of_the_makefile(path: Path) -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE))
    commands = [step["run"] for step in steps(path) if "run" in step]
    found = [re.fullmatch(r"make ([a-z-]+)( [A-Z]+=\$\{\{ matrix\.[a-z]+ \}\})?", text) for text in commands]
    assert {text for text, match in zip(commands, found, strict=True) if not match} == {WITHOUT_MAKE}
    assert {match[1] for match in found if match} <= targets


@workflows
def test_actions_are_pinned_to_a_commit(path: Path) -> None:
    used = [step["uses"] for step in steps(path) if "uses" in step]
    assert used
    assert [action for action in used if not re.fullmatch(r"[\w.-]+/[\w.-]+@[0-9a-f]{40}", action)] == []


def test_the_release_is_built_for_every_platform() -> None:
    document = _native.parse_template((ROOT / ".github" / "workflows" / "release.yml").read_text("utf-8"))
    assert [entry["target"] for entry in document["jobs"]["wheel"]["strategy"]["matrix"]["include"]] == [
        "x86_64-unknown-linux-gnu",
        "aarch64-unknown-linux-gnu",
        "universal2-apple-darwin",
        "x86_64-pc-windows-msvc",
        "aarch64-pc-windows-msvc",
        "i686-pc-windows-msvc",
    ]
    publish = document["jobs"]["publish"]
    assert publish["permissions"] == {"id-token": "write", "attestations": "write"}
    assert set(publish["needs"]) == set(document["jobs"]) - {"publish"}
