"""``shotput doctor``: will a submission go through, and its job run? Asked before a byte leaves."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from shotput import submission
from shotput.cli import targets
from shotput.cli.export import parse_pairs
from shotput.cli.failure import CommandFailure, ExitCode
from shotput.cli.output import JsonOption, emit, err, out
from shotput.cli.submit import KnownPathsOption
from shotput.errors import FarmError

if TYPE_CHECKING:
    from shotput.cli.diagnosis import Finding

EXAMPLE = "Example: shotput doctor --target cloud bundle/"


def doctor(
    bundle: Annotated[
        Path | None, typer.Argument(metavar="[BUNDLE]", help="A job bundle's folder, to check for this target.")
    ] = None,
    parameters: Annotated[
        list[str] | None,
        typer.Option(
            "--parameter", "-p", metavar="NAME=VALUE", help="A job parameter, as in `shotput submit`. May be repeated."
        ),
    ] = None,
    known: KnownPathsOption = None,
    timeout: Annotated[float, typer.Option("--timeout", min=0.1, help="Seconds to wait for each answer.")] = 10,
    target: targets.TargetOption = targets.TargetName.LOCAL,
    as_json: JsonOption = False,
) -> int:
    """Check, before you submit, whether a target is ready: network, identity, rights, queue, bucket, fleets, a bundle.

    Nothing is changed and no file is uploaded. A local farm that is stopped is started, as a submission starts it.

    Exit code: 0 when no check failed, 1 otherwise.
    """
    # Only here: what asks many questions at once takes a tenth of the start of every command.
    from shotput.cli.diagnosis import Level
    from shotput.cli.diagnosis.report import report

    # Unlike Path.is_dir, this takes a name that is too long for one that is not there.
    if bundle is not None and not os.path.isdir(bundle):  # noqa: PTH112
        raise CommandFailure(
            f"{bundle} is not a folder; name a job bundle's folder. A scene becomes one by `shotput export`.",
            ExitCode.DOCUMENT,
        )
    values = parse_pairs(parameters, "--parameter")
    if as_json:
        findings = _examined(target, bundle, values, known or [], timeout)
    else:
        with err.status(f"Examining the {target.value} target…"):
            findings = _examined(target, bundle, values, known or [], timeout)
    counts = {level: sum(finding.level is level for finding in findings) for level in Level}
    document = {
        "target": target.value,
        "bundle": str(bundle) if bundle is not None else None,
        "summary": {level.value: count for level, count in counts.items()},
        "findings": [finding.document() for finding in findings],
    }
    emit(as_json, document, lambda: out.print(report(target.value, bundle, findings, counts), soft_wrap=False))
    return ExitCode.FAILED if counts[Level.FAILED] else ExitCode.OK


def _examined(
    target: targets.TargetName, bundle: Path | None, values: dict[str, str], known: list[Path], timeout: float
) -> list[Finding]:
    import asyncio

    from shotput.cli import diagnosis
    from shotput.cli.diagnosis.questions import failed, parted

    connection: dict[str, Any] | None = None
    if target is targets.TargetName.LOCAL:
        try:
            connection = submission.connect_local().target
        except FarmError as error:
            return [failed("target.configuration", *parted(str(error)))]
        # Files of the local farm never leave this machine.
        known = [Path("/")]
    return asyncio.run(diagnosis.examine(connection, bundle, values, known=known, timeout=timeout))
