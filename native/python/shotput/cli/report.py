"""``shotput report``: what a bug report needs, in one file and without secrets."""

from __future__ import annotations

import json
import platform
import re
import socket
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
from shotput import _native, local_farm
from shotput.cli.output import JsonOption, emit, out, size

EXAMPLE = "Example: shotput report -o report.zip"

# Per file: the end of a log says why, its beginning rarely.
_LOG_TAIL = 1_000_000

_KEY_ID = re.compile(r"\b(?:AKIA|ASIA)[0-9A-Z]{12,}\b")
_SECRET = re.compile(
    r"(?i)(secret[\w-]*|session[_-]?token|password|passwd|x-amz-security-token|authorization|signature|credential)"
    r"(\"?\s*[:=]\s*\"?)([^\s\",;]+)"
)


def report(
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="The zip file; a dated name by default.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Pack logs, settings and versions for a bug report. Keys, tokens, user and machine names are taken out."""
    path = output or Path(f"shotput-report-{datetime.now():%Y%m%d-%H%M%S}.zip")
    names = []
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, text in _contents():
            archive.writestr(name, redact(text))
            names.append(name)

    def show() -> None:
        out.print(f"[green]✓[/] {escape(str(path))} [dim]({size(path.stat().st_size)})[/]")
        for name in names:
            out.print(f"  {escape(name)}")
        out.print("Look through it before you send it.", style="dim")

    emit(as_json, {"path": str(path), "files": names}, show)


def redact(text: str) -> str:
    """Take out access keys, secrets, the user's home folder and the machine's name."""
    text = _KEY_ID.sub("<key id>", text)
    text = _SECRET.sub(r"\1\2<redacted>", text)
    text = text.replace(str(Path.home()), "<home>")
    host = socket.gethostname()
    return re.sub(rf"\b{re.escape(host)}\b", "<machine>", text) if host and host != "localhost" else text


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
    for log in sorted(root.rglob("*.log*")):
        with log.open("rb") as file:
            file.seek(max(0, log.stat().st_size - _LOG_TAIL))
            yield f"logs/{log.relative_to(root).as_posix()}", file.read().decode("utf-8", "replace")


def _versions() -> dict[str, Any]:
    return {
        "shotput": shotput.__version__,
        "python": sys.version,
        "platform": platform.platform(),
        "packages": {item.metadata["Name"]: item.version for item in distributions()},
    }
