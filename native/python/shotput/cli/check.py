"""``shotput check``: does a template, or a whole bundle, keep the OpenJD rules?"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape

from shotput import _native, bundle_check
from shotput.cli.failure import CommandFailure, ExitCode
from shotput.cli.output import JsonOption, emit, out

EXAMPLE = "Example: shotput check my-bundle/"


def check(
    path: Annotated[Path, typer.Argument(metavar="TEMPLATE|BUNDLE", help="A template file, or a job bundle's folder.")],
    as_json: JsonOption = False,
) -> None:
    """Check a template or a bundle as a submission does, but without a farm. Lists every error with its place."""
    # Unlike Path.is_dir, this takes a name that is too long for one that is not there.
    if os.path.isdir(path):  # noqa: PTH112
        findings = bundle_check.findings(path)
    else:
        found = _native.check_template(bundle_check.read_text(path))
        findings = [{"document": "", **finding} for finding in found]
    if findings:
        raise CommandFailure(_listed(path, findings), ExitCode.DOCUMENT, {"findings": findings})
    emit(as_json, {"path": str(path), "findings": []}, lambda: out.print(f"[green]✓[/] {escape(str(path))} is valid."))


def _listed(path: Path, findings: list[dict[str, str]]) -> str:
    """The findings below the document that each is in."""
    lines = []
    for name in dict.fromkeys(finding["document"] for finding in findings):
        own = [finding for finding in findings if finding["document"] == name]
        count = "1 error" if len(own) == 1 else f"{len(own)} errors"
        lines.append(f"{path / name} has {count}:")
        lines += (f"  {finding['path'] or 'document'}: {_indented(finding['message'])}" for finding in own)
    return "\n".join(lines)


def _indented(message: str) -> str:
    """A message of several lines (it shows the place in an expression), below its first."""
    return message.replace("\n", "\n    ")
