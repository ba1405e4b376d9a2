"""``shotput job outputs``: what jobs have made comes home, of one job or of all that made something since."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.markup import escape

from shotput import output_sync
from shotput.cli import interruption, targets
from shotput.cli.failure import CommandFailure, ExitCode
from shotput.cli.job import Conflict, bring_home, find, show_end
from shotput.cli.output import JsonOption, bars, counted, emit, out, size
from shotput.output_checkpoint import DEFAULT_FOLDER
from shotput.submission import Connection

EXAMPLE = "Example: shotput job outputs last --conflict skip"

_SHOWN_PATHS = 10


def outputs(
    name: Annotated[
        str | None,
        typer.Argument(
            metavar="JOB",
            help="A job's id, the beginning of an id among the newest 100 jobs, or `last` (the default): the newest.",
        ),
    ] = None,
    step_id: Annotated[str | None, typer.Option("--step-id", help="Only the outputs of this step.")] = None,
    task_id: Annotated[
        str | None, typer.Option("--task-id", help="Only the outputs of this task; needs --step-id.")
    ] = None,
    sync: Annotated[
        bool,
        typer.Option(
            "--sync", help="Instead of one JOB: all jobs of the queue, and what they made since the last run."
        ),
    ] = False,
    roots: Annotated[
        list[str] | None,
        typer.Option(
            "--map-root",
            metavar="ROOT=FOLDER",
            help="Write the files of ROOT, a folder that the job names, below FOLDER instead. May be repeated.",
        ),
    ] = None,
    conflict: Annotated[
        Conflict,
        typer.Option(
            "--conflict",
            "--conflict-resolution",
            metavar="HOW",
            case_sensitive=False,
            help="What to do with files that exist: `skip`, `overwrite` or `create_copy`.",
        ),
    ] = Conflict.OVERWRITE,
    storage_profile_id: Annotated[
        str | None,
        typer.Option(
            "--storage-profile-id",
            metavar="ID",
            help="The storage profile of this machine; by default the configured one.",
        ),
    ] = None,
    ignore_storage_profiles: Annotated[
        bool, typer.Option("--ignore-storage-profiles", help="Map no paths between storage profiles.")
    ] = False,
    checkpoint_dir: Annotated[
        Path,
        typer.Option(
            "--checkpoint-dir",
            metavar="FOLDER",
            help="With --sync: the folder that records what came home; by default that of the official client.",
            show_default=False,
        ),
    ] = DEFAULT_FOLDER,
    lookback: Annotated[
        float,
        typer.Option(
            "--bootstrap-lookback-minutes",
            metavar="MINUTES",
            min=0,
            help="With --sync: how far back the first run looks.",
        ),
    ] = 0,
    force_bootstrap: Annotated[
        bool, typer.Option("--force-bootstrap", help="With --sync: forget the checkpoint, and begin as the first run.")
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="With --sync: show what would be downloaded, and write nothing.")
    ] = False,
    target: targets.TargetOption = targets.TargetName.LOCAL,
    as_json: JsonOption = False,
) -> int:
    """Download the outputs of a job to the folders that the job names, or, with --sync, what all jobs made."""
    if ignore_storage_profiles and storage_profile_id:
        raise CommandFailure("Give --storage-profile-id or --ignore-storage-profiles, and not both.", ExitCode.USAGE)
    if sync:
        if name or step_id or task_id or roots:
            raise CommandFailure("--sync is about all jobs of the queue; leave the job out.", ExitCode.USAGE)
        connection = targets.connect(target)
        profile = None if ignore_storage_profiles else storage_profile_id or targets.storage_profile(connection)
        if profile is None and not ignore_storage_profiles:
            raise CommandFailure(
                "No storage profile of this machine is known, so paths of other machines cannot be mapped. Set "
                "settings.storage_profile_id, give --storage-profile-id, or use --ignore-storage-profiles where all "
                "jobs come from this machine.",
                ExitCode.CONFIG,
            )
        options = output_sync.Options(
            profile, checkpoint_dir, _span(lookback), force_bootstrap, conflict.value.upper(), dry_run
        )
        return _sync(connection, options, as_json)
    if dry_run or force_bootstrap or lookback:
        raise CommandFailure("--dry-run, --force-bootstrap and the lookback belong to --sync.", ExitCode.USAGE)
    more: dict[str, Any] = {"step_id": step_id, "task_id": task_id, "root_map": _root_map(roots or [])}
    found, job = find(target, name or "last")
    known = [manifest["rootPath"] for manifest in job.get("attachments", {}).get("manifests", [])]
    for root in more["root_map"]:
        if root not in known:
            raise CommandFailure(
                f"The job has no root {root}. Its roots: {', '.join(known) or 'none'}.", ExitCode.USAGE
            )
    here = None if ignore_storage_profiles else storage_profile_id or targets.storage_profile(found.farm)
    there = job.get("storageProfileId")
    if here and there and here != there:
        more["path_mapping_rules"] = output_sync.path_mapping_rules(found.farm, there, here)
    result = bring_home(found, conflict=conflict, as_json=as_json, **more)

    def show_result() -> None:
        show_end(job, result)
        _show_unmapped({found.job_id: result["unmapped"]})

    emit(as_json, result, show_result)
    return ExitCode.OK


def _span(minutes: float) -> timedelta:
    """A lookback that leads to a date."""
    try:
        span = timedelta(minutes=minutes)
        datetime.now(UTC) - span
    except (OverflowError, ValueError):
        raise CommandFailure(
            f"--bootstrap-lookback-minutes {minutes:g} leads to no date. Give fewer.", ExitCode.USAGE
        ) from None
    return span


def _root_map(texts: list[str]) -> dict[str, str]:
    """``ROOT=FOLDER`` as the native call takes it."""
    folders = {}
    for text in texts:
        root, _, folder = text.partition("=")
        if not root or not folder:
            raise CommandFailure(f"--map-root takes ROOT=FOLDER, not {text!r}.", ExitCode.USAGE)
        folders[root] = str(Path(folder).expanduser().absolute())
    return folders


def _sync(connection: Connection, options: output_sync.Options, as_json: bool) -> int:
    going_on = "What came home stays. The next run fetches the rest."
    with interruption.telling(going_on), bars(as_json) as shown:
        run = output_sync.sync(connection, options, shown.add("Download").transfer)
    document = {
        "queueId": connection.queue_id,
        "storageProfileId": options.storage_profile_id,
        "checkpoint": str(run.checkpoint),
        "dryRun": options.dry_run,
        "since": run.since.isoformat(),
        "until": run.until.isoformat(),
        "jobs": run.jobs,
        "files": run.files,
        "statistics": run.statistics,
        "failed": run.failed,
        "abandoned": run.abandoned,
        "unmapped": run.unmapped,
    }

    def show() -> None:
        coming = "would come" if options.dry_run else "came"
        total = sum(len(run.jobs[kind]) for kind in ("added", "updated", "completed"))
        jobs = "1 job" if total == 1 else f"{total} jobs"
        if run.files or total:
            out.print(f"{counted(len(run.files))} {coming} of {jobs}, {size(run.statistics['total_bytes'])}")
        else:
            out.print(f"Nothing is new since {run.since.astimezone():%Y-%m-%d %H:%M:%S}.")
        for folder in sorted({str(Path(path).parent) for path in run.files}):
            out.print(f"  {escape(folder)}")
        for job_id in run.jobs["no_storage_profile"]:
            out.print(f"[yellow]{job_id} has no storage profile, so its outputs stay where they are.[/]")
        _show_unmapped(run.unmapped)
        for job_id, reason in run.failed.items():
            then = "It is not tried again by itself." if job_id in run.abandoned else "The next run tries again."
            out.print(f"[red]{job_id}[/] {escape(reason)} {then}")

    emit(as_json, document, show)
    return ExitCode.TRANSFER if run.failed else ExitCode.OK


def _show_unmapped(unmapped: dict[str, list[str]]) -> None:
    for job_id, paths in unmapped.items():
        if paths:
            out.print(f"[yellow]{job_id}: {counted(len(paths))} in no location of this machine's storage profile:[/]")
            for path in paths[:_SHOWN_PATHS]:
                out.print(f"  {escape(path)}")
            if len(paths) > _SHOWN_PATHS:
                out.print(f"  and {len(paths) - _SHOWN_PATHS} more")
