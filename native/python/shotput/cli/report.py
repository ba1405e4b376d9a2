"""``shotput report``: what a bug report needs, in one file and without secrets."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import platform
import re
import sys
import zipfile
from collections.abc import Iterator
from datetime import datetime
from importlib.metadata import distributions
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.markup import escape

import shotput
from shotput import _native, hosts, local_farm
from shotput.cli.failure import CommandFailure, ExitCode
from shotput.cli.output import JsonOption, emit, out, size
from shotput.cli.redaction import redact, secrets_of_environment

EXAMPLE = "Example: shotput report -o report.zip"

# Per file: the end of a log says why, its beginning rarely.
_LOG_TAIL = 1_000_000
_HOST_LOGS = 5


def report(
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="The zip file to write; by default with the date in its name.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Pack logs, settings and versions for a bug report, without keys, tokens, user names and machine names."""
    path = output or Path(f"shotput-report-{datetime.now():%Y%m%d-%H%M%S}.zip")
    names = []
    secrets = _secrets_of_the_farm() | secrets_of_environment()
    try:
        if path.is_dir():
            # A folder named by "." or "" has no name to put a draft beside.
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
        draft = path.with_name(f".{path.name}.{os.getpid()}")
        try:
            with zipfile.ZipFile(draft, "w", zipfile.ZIP_DEFLATED) as archive:
                for name, text in _contents():
                    archive.writestr(name, redact(text, secrets))
                    names.append(name)
            draft.replace(path)
        finally:
            draft.unlink(missing_ok=True)
    except OSError as error:
        raise CommandFailure(
            f"The report cannot be written to {path}: {error.strerror}. Name another file with --output.",
            ExitCode.FAILED,
        ) from error

    def show() -> None:
        out.print(f"[green]✓[/] {escape(str(path))} [dim]({size(path.stat().st_size)})[/]")
        for name in names:
            out.print(f"  {escape(name)}")
        out.print("Look through it before you send it.", style="dim")

    emit(as_json, {"path": str(path), "files": names}, show)


def _secrets_of_the_farm() -> set[str]:
    """Every secret that the farm's own files hold, whatever a log line around it looks like."""
    found: set[str] = set()

    def gather(name: str, value: object) -> None:
        if isinstance(value, dict):
            for key, inner in value.items():
                gather(str(key), inner)
        elif isinstance(value, list):
            for inner in value:
                gather(name, inner)
        elif isinstance(value, str) and value and re.search(r"(?i)secret|token|access_?key|seed", name):
            found.add(value)

    for name in (local_farm.STATE_FILE, local_farm.KEYS_FILE):
        with contextlib.suppress(OSError, ValueError):
            gather("", json.loads((local_farm.data_dir() / name).read_text(encoding="utf-8")))
    return found


def _contents() -> Iterator[tuple[str, str]]:
    yield "versions.json", json.dumps(_versions(), indent=2)
    try:
        settings: Any = _native.read_config()
    except shotput.errors.DeadlineOperationError as error:
        settings = {"error": str(error)}
    yield "settings.json", json.dumps(settings, indent=2)
    state = local_farm.state()
    yield (
        "farm.json",
        json.dumps({"running": state is not None, "endpoint": state.endpoint_url if state else None}, indent=2),
    )
    root = local_farm.data_dir()
    logs = root / "logs"
    for log in sorted((*logs.glob("*.log*"), *logs.glob("*.out"))):
        yield f"logs/{log.name}", _tail(log)
    # The newest last: what a host said when it exported.
    for log in sorted(hosts.log_folder().glob("*.log"), key=lambda path: path.stat().st_mtime)[-_HOST_LOGS:]:
        yield f"hosts/{log.name}", _tail(log)


def _tail(log: Path) -> str:
    try:
        with log.open("rb") as file:
            left_out = max(0, log.stat().st_size - _LOG_TAIL)
            file.seek(left_out)
            text = file.read().decode("utf-8", "replace")
    except OSError as error:
        return f"This log cannot be read: {error.strerror}."
    # In the rest of a line nobody could see what is secret.
    return text.partition("\n")[2] if left_out else text


def _versions() -> dict[str, Any]:
    return {
        "shotput": shotput.__version__,
        "python": sys.version,
        "platform": platform.platform(),
        "packages": {item.metadata["Name"]: item.version for item in distributions()},
    }
