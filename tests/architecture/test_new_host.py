"""A DCC is added by new files alone: a made-up host in a copy of the repository goes the whole road."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from shotput import local_farm

ROOT = Path(__file__).resolve().parents[2]
NEW_HOST = ROOT / "tests" / "fixtures" / "new_host"
_COMMAND = [sys.executable, "-c", "from shotput.cli import main; main()"]


class Copy:
    """The repository as it is committed and changed, in a folder of its own, with the made-up host added."""

    def __init__(self, folder: Path) -> None:
        self.root = folder / "repository"
        self.work = folder / "work"
        self.work.mkdir(parents=True)
        listed = _run(["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"], ROOT).split("\0")
        names = sorted({name for name in listed if name and (ROOT / name).is_file()})
        for name in names:
            self._add(ROOT / name, name)
        for module in (ROOT / "native" / "python" / "shotput").glob("_native.*"):
            if module.suffix in (".so", ".pyd"):
                self._add(module, module.relative_to(ROOT).as_posix())
        self.git("init", "--quiet")
        self.git("add", "--all")
        self.git("-c", "user.name=test", "-c", "user.email=test@localhost", "commit", "--quiet", "-m", "as it is")
        prefix = NEW_HOST.relative_to(ROOT).as_posix() + "/"
        self.added = [name.removeprefix(prefix) for name in names if name.startswith(prefix)]
        for name in self.added:
            self._add(NEW_HOST / name, name)
        # The scene lies where nobody but the submission knows it.
        self.project = folder / "project"
        shutil.copytree(self.root / "tests" / "fixtures" / "toybox", self.project)
        self.program = folder / "toybox"
        self.program.write_text(f"#!{sys.executable}\n" + (self.project / "toybox.py").read_text("utf-8"), "utf-8")
        self.program.chmod(0o755)
        self.data = folder / "data"

    def _add(self, source: Path, name: str) -> None:
        target = self.root / name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(source, target)

    def git(self, *arguments: str) -> str:
        return _run(["git", *arguments], self.root)

    def variables(self) -> dict[str, str]:
        paths = [self.root / name for name in ("native/python", "shared_ui", "farm")]
        named = {"SHOTPUT_DATA_DIR": str(self.data), "SHOTPUT_TOYBOX": str(self.program)}
        path = os.pathsep.join(map(str, paths))
        return {**os.environ, **named, "PYTHONPATH": path, "PYTHONDONTWRITEBYTECODE": "1"}

    def python(self, *arguments: str | Path) -> str:
        return _run([sys.executable, *map(str, arguments)], self.root, self.variables())

    def shotput(self, *arguments: str | Path, code: int = 0) -> Any:
        """The command of the copy; its one document."""
        command = [*_COMMAND, *map(str, arguments), "--json"]
        # A home of its own, so that neither settings nor caches of whoever runs the tests are in play.
        variables = {**self.variables(), "HOME": str(self.work)}
        done = subprocess.run(command, cwd=self.work, env=variables, capture_output=True, text=True, check=False)
        assert (done.returncode, done.stderr) == (code, ""), done.stdout + done.stderr
        return json.loads(done.stdout)


def _run(command: list[str], folder: Path, variables: dict[str, str] | None = None) -> str:
    done = subprocess.run(command, cwd=folder, env=variables, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
    return done.stdout


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Copy]:
    made = Copy(tmp_path_factory.mktemp("new-host"))
    yield made
    local_farm.stop(data_dir=made.data / f"farm-{socket.gethostname()}")
    # Whatever the tests of this module did: nothing that was there has changed, and nothing else came.
    assert made.git("status", "--porcelain", "--untracked-files=all").splitlines() == [
        f"?? {name}" for name in made.added
    ]


def test_it_keeps_the_rules_of_format_lint_and_imports(copy: Copy) -> None:
    copy.python("-m", "ruff", "check", "--no-cache", ".")
    copy.python("-m", "ruff", "format", "--no-cache", "--check", ".")
    text = copy.python("tools/check_imports.py")
    assert "shotput_toybox goes through the facade KEPT" in text
    assert " 0 broken." in text


def test_the_import_rules_know_its_own_modules(copy: Copy) -> None:
    # The contract would be empty words if the facade could import the new host's program.
    module = copy.root / "native" / "python" / "shotput" / "scene.py"
    before = module.read_text("utf-8")
    module.write_text(before + "\nimport toybox  # noqa\n", "utf-8")
    try:
        done = subprocess.run(
            [sys.executable, "tools/check_imports.py"],
            cwd=copy.root,
            env=copy.variables(),
            capture_output=True,
            text=True,
            check=False,
        )
    finally:
        module.write_text(before, "utf-8")
    assert done.returncode == 1
    assert "shotput.scene -> toybox" in done.stdout


def test_its_add_on_is_built(copy: Copy, tmp_path: Path) -> None:
    copy.python("build_addons.py", "--output", tmp_path, "toybox")
    (archive,) = tmp_path.glob("shotput_toybox-*.zip")
    with zipfile.ZipFile(archive) as content:
        names = content.namelist()
        profile = json.loads(content.read("shotput_toybox/profile.json"))
        note = content.read("toybox-addon.txt").decode()
    assert profile["host"]["name"] == "toybox"
    assert note.startswith("Toybox add-on, version ")
    for name in ("__init__", "export_main", "exporter", "host", "render/render"):
        assert f"shotput_toybox/{name}.py" in names
    assert "python/shotput/scene.py" in names
    assert "LICENSE-Apache-2.0" in names
    assert "THIRD-PARTY-NOTICES" in names


def test_its_scene_becomes_a_bundle_with_what_is_missing(copy: Copy) -> None:
    scene, bundle = copy.project / "room.toy", copy.work / "bundle"
    result = copy.shotput("export", scene, "-o", bundle)
    assert result["steps"] == ["Toys", "Shadows"]
    missing = [{"path": str(copy.project / "textures" / "gone.txt"), "owners": ['toy "Bear" (texture)']}]
    assert result["missing"] == missing
    verdicts = {Path(item["path"]).name: item["verdict"] for item in result["description"]["dependencies"]}
    assert verdicts == {"train.toy": "found", "red.txt": "found", "wood.txt": "found", "gone.txt": "missing"}
    assert copy.shotput("check", bundle)["findings"] == []
    error = copy.shotput("submit", scene, code=4)["error"]
    assert error["message"] == (
        f'1 input file is missing:\n  {copy.project}/textures/gone.txt (used by toy "Bear" (texture))\n'
        "Relink or restore them, or submit with --ignore-missing."
    )
    assert error["missing"] == missing


def test_its_scene_is_rendered_from_what_was_submitted(copy: Copy) -> None:
    out = copy.work / "frames"
    submitted = copy.shotput(
        "submit", copy.project / "room.toy", "--ignore-missing", "--set", f"output_directory={out}"
    )
    # What the farm renders from is what it was sent.
    away = copy.project.with_name("away")
    copy.project.rename(away)
    try:
        job = copy.shotput("job", "wait", submitted["jobId"])
    finally:
        away.rename(copy.project)
    assert job["taskRunStatus"] == "SUCCEEDED"
    copy.shotput("job", "outputs", submitted["jobId"])
    assert {path.relative_to(out).as_posix(): path.read_text("utf-8") for path in out.rglob("*.txt")} == {
        f"{layer}/{frame:04d}.txt": f"{layer} {frame}\nShelf: oak\nBear: pink\nEngine: fire red\n"
        for layer in ("Toys", "Shadows")
        for frame in (1, 2, 3)
    }


def test_its_scene_that_does_not_open_is_one_sentence(copy: Copy) -> None:
    scene = copy.work / "broken.toy"
    scene.write_text("{", "utf-8")
    error = copy.shotput("export", scene, "-o", copy.work / "nothing", code=3)["error"]
    assert error["message"] == (
        f"Toybox cannot export {scene}: it ended with exit code 1 and did not say why. Open the scene in Toybox to see "
        "what is wrong with it, or name another Toybox with --executable."
    )
    assert "JSONDecodeError" in Path(error["log"]).read_text("utf-8")
    assert not (copy.work / "nothing").exists()
