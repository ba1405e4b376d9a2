"""The drop-in beside what asks for the official package: nothing brings that along, and who breaks in is found out."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest
from drop_in.conftest import AGENT, ROOT, SUBMITTERS, uv

pytestmark = pytest.mark.slow

TELL = """
from importlib.metadata import version
from inspect import signature
from deadline.client.api import create_job_from_job_bundle as submit
print(version("deadline"), version("deadline-job-attachments"), "auto_accept" in signature(submit).parameters)
"""


class Studio:
    """An environment of a studio, with pip, and Shotput as .venv-compat has it."""

    def __init__(self, folder: Path, drop_in: Path) -> None:
        self.folder = folder
        uv("venv", "--seed", "--python", drop_in, folder / "venv")
        self.python = folder / "venv" / "bin" / "python"
        site = self._site(self.python)
        # The native module is built already, and editable there.
        for part in self._site(drop_in).glob("shotput[-.]*"):
            (shutil.copytree if part.is_dir() else shutil.copy)(part, site / part.name)
        uv("build", "--quiet", "--wheel", "--out-dir", folder / "wheels", ROOT / "compat")
        (self.wheel,) = (folder / "wheels").glob("shotput_deadline-*.whl")

    @staticmethod
    def _site(python: Path) -> Path:
        code = "import sysconfig; print(sysconfig.get_path('purelib'))"
        return Path(subprocess.run([python, "-c", code], capture_output=True, text=True, check=True).stdout.strip())

    def run(self, *words: str | Path, code: int = 0) -> str:
        done = subprocess.run([*map(str, words)], capture_output=True, text=True, check=False, cwd=self.folder)
        assert done.returncode == code, done.stdout + done.stderr
        return done.stdout + done.stderr

    def pip(self, *words: str | Path) -> str:
        return self.run(self.python, "-m", "pip", "--quiet", *words)

    def drop_in(self, *words: str | Path, code: int = 0) -> str:
        return self.run(self.python.with_name("shotput-deadline"), *words, code=code)


@pytest.fixture
def studio(drop_in: Path, tmp_path: Path) -> Studio:
    return Studio(tmp_path, drop_in)


def test_submitters_and_the_worker_agent_are_content_with_it(studio: Studio) -> None:
    studio.pip("install", studio.wheel)
    written = studio.drop_in("wheels", "stand-ins", "--job-attachments", "0.1.3").splitlines()
    assert [Path(line).name for line in written] == [
        "deadline-0.60.10+shotput-py3-none-any.whl",
        "deadline_job_attachments-0.1.3+shotput-py3-none-any.whl",
    ]
    studio.pip("install", *written)
    studio.pip("install", *SUBMITTERS, AGENT)
    assert studio.pip("check") == ""
    assert studio.run(studio.python, "-c", TELL) == "0.60.10+shotput 0.1.3+shotput True\n"
    assert studio.drop_in("check") == "shotput-deadline is whole, and alone.\n"
    # What asks for an extra gets what the extra brings, and no other `deadline`.
    asked = studio.run(studio.python, "-m", "pip", "install", "--dry-run", "deadline[gui]<0.61,>=0.60.4")
    (plan,) = [line for line in asked.splitlines() if line.startswith("Would install ")]
    assert "PySide6" in plan
    assert "deadline" not in plan


def test_the_official_package_over_it_is_told(studio: Studio) -> None:
    studio.pip("install", studio.wheel)
    studio.pip("install", "--no-deps", "deadline", "deadline-job-attachments")
    said = studio.drop_in("check", code=1).splitlines()
    assert {line.split(" has its files")[0].split(" ")[0] for line in said if "has its files" in line} == {
        "deadline",
        "deadline-job-attachments",
    }
    assert any(line.startswith("Files of shotput-deadline were overwritten or are gone: deadline/") for line in said)
    # The other way round: the drop-in over the official package.
    studio.pip("install", "--force-reinstall", "--no-deps", studio.wheel)
    told = studio.run(studio.python, "-c", "import deadline.client")
    assert "RuntimeWarning: The official package deadline lies in " in told
    # What it says to do puts it right.
    studio.pip("uninstall", "--yes", "deadline", "deadline-job-attachments", "shotput-deadline")
    studio.pip("install", studio.wheel)
    assert studio.run(studio.python, "-W", "error", "-c", "import deadline.client.api") == ""
    assert studio.drop_in("check") == "shotput-deadline is whole, and alone.\n"
