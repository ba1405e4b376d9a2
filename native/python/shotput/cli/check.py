"""``shotput check``: does a template, or a whole bundle, keep the OpenJD rules?"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape

from shotput import _native
from shotput.cli.failure import CommandFailure, ExitCode
from shotput.cli.output import JsonOption, emit, out

EXAMPLE = "Example: shotput check my-bundle/"

_TEMPLATES = ("template.yaml", "template.json")


def check(
    path: Annotated[Path, typer.Argument(metavar="TEMPLATE|BUNDLE", help="A template file, or a job bundle's folder.")],
    as_json: JsonOption = False,
) -> None:
    """Check a template or a bundle against the OpenJD rules, natively; lists every error with its place."""
    template = _template(path)
    findings = _native.check_template(_text(template))
    if not findings and path.is_dir():
        _native.read_bundle(str(path))
    if findings:
        lines = "\n".join(f"  {finding['path'] or 'document'}: {_indented(finding['message'])}" for finding in findings)
        count = "1 error" if len(findings) == 1 else f"{len(findings)} errors"
        raise CommandFailure(f"{template} has {count}:\n{lines}", ExitCode.DOCUMENT, {"findings": findings})
    emit(as_json, {"path": str(path), "findings": []}, lambda: out.print(f"[green]✓[/] {escape(str(path))} is valid."))


def _indented(message: str) -> str:
    """A message of several lines (it shows the place in an expression), below its first."""
    return message.replace("\n", "\n    ")


def _template(path: Path) -> Path:
    if not path.is_dir():
        return path
    found = [path / name for name in _TEMPLATES if (path / name).is_file()]
    if len(found) == 1:
        return found[0]
    state = "both template.yaml and template.json" if found else "neither template.yaml nor template.json"
    raise CommandFailure(f"{path} has {state}; a job bundle has exactly one of them.", ExitCode.DOCUMENT)


def _text(template: Path) -> str:
    try:
        return template.read_text(encoding="utf-8")
    except OSError as error:
        raise CommandFailure(f"Cannot read {template}: {error.strerror}.", ExitCode.DOCUMENT) from error
    except UnicodeDecodeError as error:
        raise CommandFailure(f"{template} is not a template: it is not UTF-8 text.", ExitCode.DOCUMENT) from error
