"""The ``shotput`` command as people run it: one process a call, with a home and a data folder of its own."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

PROGRAM = [sys.executable, "-c", "from shotput.cli import main; main()"]


@dataclass(frozen=True)
class Answer:
    """How a command ended and what it said."""

    code: int
    out: str
    err: str


@dataclass
class Command:
    """Runs ``shotput`` with its home, data and working folder below ``folder``."""

    folder: Path
    environment: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for path in (self.home, self.work):
            path.mkdir(parents=True, exist_ok=True)

    @property
    def home(self) -> Path:
        return self.folder / "home"

    @property
    def work(self) -> Path:
        return self.folder / "work"

    @property
    def data(self) -> Path:
        """The farm's folder, as `shotput farm status` shows it."""
        return self.folder / "data" / f"farm-{socket.gethostname()}"

    @property
    def log(self) -> Path:
        return self.data / "logs" / "shotput.log"

    @property
    def farm(self) -> dict[str, Any]:
        document: dict[str, Any] = json.loads((self.data / "farm.json").read_text("utf-8"))
        return document

    def variables(self) -> dict[str, str]:
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "DEADLINE_"))}
        own = {"HOME": str(self.home), "SHOTPUT_DATA_DIR": str(self.folder / "data"), "TMPDIR": str(self.folder)}
        return {**kept, **own, **self.environment}

    def start(self, *arguments: str | Path) -> subprocess.Popen[str]:
        """The command, running. In a session of its own, so that a signal to it reaches nothing else."""
        return subprocess.Popen(
            [*PROGRAM, *map(str, arguments)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            cwd=self.work,
            env=self.variables(),
            start_new_session=True,
        )

    def end(self, process: subprocess.Popen[str], timeout: float = 120) -> Answer:
        """Wait for a started command. No answer ever holds a traceback."""
        out, err = process.communicate(timeout=timeout)
        assert "Traceback" not in out + err, out + err
        return Answer(process.returncode, out, err)

    def __call__(self, *arguments: str | Path, code: int = 0) -> str:
        """Run it, expect this code and nothing on standard error; standard output."""
        answer = self.end(self.start(*arguments))
        assert (answer.code, answer.err) == (code, ""), f"{arguments}: {answer}\n{self.tail()}"
        return answer.out

    def document(self, *arguments: str | Path, code: int = 0) -> Any:
        """Run it with ``--json``: exactly one document on standard output, and nothing else anywhere."""
        return json.loads(self(*arguments, "--json", code=code))

    def refused(self, *arguments: str | Path, code: int) -> str:
        """Run it to its failure, as text and with ``--json``; the sentence, which is the same in both.

        Asserts the code, that standard output is empty without ``--json``, and that the log file is named and there.
        """
        answer = self.end(self.start(*arguments))
        assert (answer.code, answer.out) == (code, ""), f"{arguments}: {answer}\n{self.tail()}"
        said, log, rest = answer.err.removeprefix("Error: ").rpartition(f"\nLog: {self.log}\n")
        assert (log, rest) == (f"\nLog: {self.log}\n", ""), answer.err
        assert self.log.is_file()
        error = self.document(*arguments, code=code)["error"]
        assert (error["message"], error["exitCode"], error["log"]) == (said, code, str(self.log))
        return said

    def tail(self) -> str:
        """What the logs say at their end."""
        logs = sorted(path for path in (self.data / "logs").rglob("*") if path.is_file())
        return "\n".join(f"== {path}\n{path.read_text('utf-8', 'replace')[-3000:]}" for path in logs)


def bundle(folder: Path, document: dict[str, Any], values: dict[str, Any] | None = None, **assets: list[str]) -> Path:
    """A job bundle on disk; JSON, which YAML readers read too. ``assets``: inputs (files) and outputs (folders)."""
    folder.mkdir(parents=True)
    (folder / "template.yaml").write_text(json.dumps(document), "utf-8")
    listed = [{"name": name, "value": value} for name, value in (values or {}).items()]
    (folder / "parameter_values.yaml").write_text(json.dumps({"parameterValues": listed}), "utf-8")
    references = {
        "inputs": {"filenames": assets.get("inputs", []), "directories": []},
        "outputs": {"directories": assets.get("outputs", [])},
    }
    (folder / "asset_references.yaml").write_text(json.dumps({"assetReferences": references}), "utf-8")
    return folder


def writer(name: str, frames: str = "1-3") -> dict[str, Any]:
    """A template whose tasks write ``OutputDir/<frame>.txt`` with the text of a parameter."""
    code = (
        "import pathlib, sys; folder = pathlib.Path(sys.argv[1]); folder.mkdir(parents=True, exist_ok=True); "
        "(folder / f'{sys.argv[2]}.txt').write_text(sys.argv[3]); print('wrote frame', sys.argv[2])"
    )
    arguments = ["-c", code, "{{Param.OutputDir}}", "{{Task.Param.Frame}}", "{{Param.Text}}"]
    return {
        "specificationVersion": "jobtemplate-2023-09",
        "name": name,
        "parameterDefinitions": [
            {"name": "Text", "type": "STRING", "default": "light"},
            {"name": "OutputDir", "type": "PATH", "objectType": "DIRECTORY", "dataFlow": "OUT"},
        ],
        "steps": [
            {
                "name": "Write",
                "parameterSpace": {"taskParameterDefinitions": [{"name": "Frame", "type": "INT", "range": frames}]},
                "script": {"actions": {"onRun": {"command": sys.executable, "args": arguments}}},
                "hostRequirements": {"amounts": [{"name": "amount.worker.vcpu", "min": 1}]},
            }
        ],
    }


def runner(name: str, code: str) -> dict[str, Any]:
    """A template with one task that runs Python code."""
    action = {"command": sys.executable, "args": ["-c", code]}
    step = {"name": "Run", "script": {"actions": {"onRun": action}}}
    return {"specificationVersion": "jobtemplate-2023-09", "name": name, "steps": [step]}
