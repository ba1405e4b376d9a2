"""Every Python and shell block of the documentation, run in the order of its page, as a reader would run it.

A page has a home, a data folder and a working folder of its own, with a scene ``shot010.blend`` in the last. A block
that cannot run here says why: ``<!-- skip: next "reason" -->`` in the line above it.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from integration.command import Command
from shotput import hosts, local_farm
from sybil import Sybil
from sybil.example import Example
from sybil.parsers.markdown import CodeBlockParser, SkipParser

ROOT = Path(__file__).parents[2]
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("[!.]*/README.md")])
# A shell of another system, the content of a file, what a program prints.
NOT_RUN = {"powershell", "ini", "json", "text", "toml", "yaml"}

# Two small frames of what a new Blender shows.
SCENE = """
import bpy
scene = bpy.context.scene
scene.render.engine, scene.cycles.samples = "CYCLES", 1
scene.render.resolution_x, scene.render.resolution_y, scene.frame_end = 64, 36, 2
scene.render.filepath = "//frames/shot010_####"
bpy.ops.wm.save_as_mainfile(filepath="shot010.blend")
"""


@dataclass
class Page:
    """Where the blocks of one page run."""

    command: Command
    variables: dict[str, str]

    def run(self, *arguments: str, folder: Path | None = None, **variables: str) -> None:
        done = subprocess.run(
            arguments,
            cwd=folder or self.command.work,
            env={**self.variables, **variables},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        assert done.returncode == 0, f"{done.stdout}\n{self.command.tail()}"


def run_python(example: Example) -> None:
    page: Page = example.namespace["page"]
    page.run(sys.executable, "-c", example.parsed)


def run_shell(example: Example) -> None:
    page: Page = example.namespace["page"]
    if all(line.startswith("make ") for line in example.parsed.splitlines()):
        # These build for minutes, and run this test among others: only that there are such targets.
        page.run("sh", "-euc", example.parsed, folder=ROOT, MAKEFLAGS="n")
    else:
        page.run("sh", "-euc", example.parsed)


def blocks() -> Iterator[Any]:
    sybil = Sybil([CodeBlockParser("python", run_python), CodeBlockParser("sh", run_shell), SkipParser()])
    for path in PAGES:
        name = str(path.relative_to(ROOT))
        marks: list[pytest.MarkDecorator] = []
        for example in sybil.parse(path):
            if isinstance(example.parsed, tuple):
                action, reason = example.parsed
                assert (action, bool(reason)) == ("next", True), f"{name}:{example.line} is no skip with a reason"
                marks = [pytest.mark.skip(reason=reason.strip('"'))]
            else:
                yield pytest.param(name, example, marks=marks, id=f"{name}:{example.line}")
                marks = []


@pytest.fixture(scope="session")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("scene")
    command = [str(hosts.find_executable("blender")), "--background", "--factory-startup", "--python-exit-code", "1"]
    subprocess.run([*command, "--python-expr", SCENE], cwd=folder, check=True, capture_output=True)
    return folder / "shot010.blend"


@pytest.fixture(scope="module")
def page(scene: Path, peers: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[str], Page]]:
    """Where the blocks of a page run, by its name."""
    path = os.pathsep.join([str(Path(sys.executable).parent), str(peers), os.environ["PATH"]])
    pages: dict[str, Page] = {}

    def of(name: str) -> Page:
        if name not in pages:
            command = Command(tmp_path_factory.mktemp("page"))
            shutil.copy(scene, command.work)
            pages[name] = Page(command, {**command.variables(), "PATH": path})
        return pages[name]

    yield of
    for made in pages.values():
        local_farm.stop(data_dir=made.command.data)


@pytest.mark.parametrize(("name", "example"), list(blocks()))
def test_block(page: Callable[[str], Page], name: str, example: Example) -> None:
    example.namespace["page"] = page(name)
    example.evaluate()


@pytest.mark.parametrize("path", PAGES, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_block_says_what_it_is(path: Path) -> None:
    fences = re.findall(r"^ *```(.*)$", path.read_text("utf-8"), re.MULTILINE)
    assert set(fences[::2]) <= {"python", "sh", *NOT_RUN}
    assert set(fences[1::2]) <= {""}
