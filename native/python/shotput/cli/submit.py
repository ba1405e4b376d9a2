"""``shotput submit``: a scene or a bundle becomes a job."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.markup import escape

from shotput import _native, kept_files, submission
from shotput import bundle as bundles
from shotput.cli import job, targets
from shotput.cli.export import ExecutableOption, SettingsOption, export_scene, parse_pairs
from shotput.cli.failure import CommandFailure, ExitCode
from shotput.cli.output import Bars, JsonOption, bars, emit, err, in_words, log, out
from shotput.errors import ConfigError
from shotput.submission import Connection, SubmittedJob

EXAMPLE = "Example: shotput submit shot010.blend --wait"

KnownPathsOption = Annotated[
    list[Path] | None,
    typer.Option(
        "--known-asset-path",
        "-k",
        metavar="FOLDER",
        help="A folder whose files may be uploaded without asking. May be repeated.",
    ),
]


def _job_name(name: str | None) -> str | None:
    """A name as jobs may have it; farms would refuse another one only after all files were sent."""
    if name is not None and bundles.job_name(name) != name:
        raise typer.BadParameter(
            f"{name!r} is no name of a job; give one line of 1 to {bundles.JOB_NAME_LENGTH} characters without spaces "
            "around it and without double braces."
        )
    return name


def submit(
    source: Annotated[Path, typer.Argument(metavar="SCENE|BUNDLE", help="A scene file, or a job bundle's folder.")],
    name: Annotated[str | None, typer.Option("--name", callback=_job_name, help="The job's name.")] = None,
    priority: Annotated[int | None, typer.Option("--priority", min=0, max=100, help="0 to 100; 50 by default.")] = None,
    parameters: Annotated[
        list[str] | None,
        typer.Option("--parameter", "-p", metavar="NAME=VALUE", help="A job parameter. May be repeated."),
    ] = None,
    settings: SettingsOption = None,
    executable: ExecutableOption = None,
    ignore_missing: Annotated[
        bool, typer.Option("--ignore-missing", help="Submit although input files are missing.")
    ] = False,
    known: KnownPathsOption = None,
    yes: Annotated[
        bool,
        typer.Option("--yes", "-y", help="Ask nothing. Files outside of known folders then cancel the submission."),
    ] = False,
    wait: Annotated[
        bool, typer.Option("--wait", "-w", help="Wait until the job ends, and bring its outputs home.")
    ] = False,
    target: targets.TargetOption = targets.TargetName.LOCAL,
    as_json: JsonOption = False,
) -> int:
    """Submit a scene or a bundle: upload the files that the farm does not have, then create the job.

    Ctrl-Z pauses a submission, and `fg` resumes it.
    If one was canceled or killed, submit again: only the files that are missing are uploaded.
    """
    bundle = source
    # Unlike Path.exists, this takes a name that is too long for one that is not there.
    if not os.path.exists(source):  # noqa: PTH110
        raise CommandFailure(f"{source} does not exist; name a scene file or a job bundle's folder.", ExitCode.DOCUMENT)
    if source.is_file():
        bundle = kept_files.bundle_folder(source)
        chosen = parse_pairs(settings, "--set")
        if ignore_missing:
            # The task on the worker must not stop at what the submission was told to leave out.
            chosen.setdefault("missing_files", "IGNORE")
        exported = export_scene(source, bundle, chosen, executable, quiet=as_json)
        refuse_missing(exported, ignore_missing)
    elif settings or executable:
        raise CommandFailure(
            f"--set and --executable are for scenes, and {source} is a job bundle; give it parameters with "
            "-p NAME=VALUE.",
            ExitCode.USAGE,
        )
    connection = targets.connect(target)
    given: dict[str, Any] = {
        "name": name,
        "priority": priority,
        "job_parameters": [
            {"name": key, "value": value} for key, value in parse_pairs(parameters, "--parameter").items()
        ],
        "require_paths_exist": not ignore_missing,
        "auto_accept": yes or None,
        # Whoever names a scene knows the folder that it lies in.
        "known_asset_paths": [*(known or []), *([] if bundle == source else [source.absolute().parent])],
        # A scene's bundle was made for this submission.
        "keep_bundle": bundle == source,
    }
    with bars(as_json) as shown:
        submitted, sent = submit_bundle(bundle, connection, shown, **given)
    if target is targets.TargetName.CLOUD:
        _remember(submitted.job_id)
    result: dict[str, Any] = {"jobId": submitted.job_id, "source": str(source), "target": connection.name, "sent": sent}
    if not wait:
        emit(as_json, result, lambda: out.print(f"[green]✓[/] {escape(str(source))} is [bold]{submitted.job_id}[/]"))
        return ExitCode.OK
    final = job.wait_for(submitted, as_json=as_json)
    result["taskRunStatus"] = final["taskRunStatus"]
    if final["taskRunStatus"] == "SUCCEEDED":
        result["outputs"] = job.bring_home(submitted, as_json=as_json)
    emit(as_json, result, lambda: job.show_end(final, result.get("outputs")))
    return job.code_of(final)


def _remember(job_id: str) -> None:
    """Store the job as the last one of its queue, where the official command looks for it."""
    try:
        _native.set_setting("defaults.job_id", job_id)
    except ConfigError as error:
        # The job is there all the same.
        log.warning("defaults.job_id was not stored: %s", error)


def submit_bundle(
    bundle: Path, connection: Connection, shown: Bars, **params: Any
) -> tuple[SubmittedJob, dict[str, int]]:
    """Submit with progress bars: the job, and how many files and bytes were sent and how many files were there already.

    What the service says meanwhile goes to the log.
    """
    hashing = shown.add("Hashing")
    upload = shown.add("Upload")
    submitted = submission.submit(
        bundle,
        connection,
        on_hashing=hashing.transfer,
        on_upload=upload.transfer,
        on_print=log.info,
        on_confirm=_confirm,
        **params,
    )
    names = {"files": "processedFiles", "bytes": "processedBytes", "skippedFiles": "skippedFiles"}
    return submitted, {name: int(upload.last.get(member, 0)) for name, member in names.items()}


def refuse_missing(exported: dict[str, Any], ignore: bool) -> None:
    """Stop before a byte is sent when the scene's inputs are missing."""
    missing = exported.get("missing", [])
    if missing and not ignore:
        lines = "\n".join(f"  {item['path']} (used by {', '.join(item['owners'])})" for item in missing)
        count = "1 input file is" if len(missing) == 1 else f"{len(missing)} input files are"
        raise CommandFailure(
            f"{count} missing:\n{lines}\nRelink or restore them, or submit with --ignore-missing.",
            ExitCode.MISSING_FILES,
            {"missing": missing},
        )


def _confirm(message: str, default: bool) -> bool:
    if not sys.stdin.isatty():
        return default
    err.print(escape(in_words(message)))
    return typer.confirm("Go on?", default=default, err=True)
