"""``shotput job``: what became of a submission."""

from __future__ import annotations

import time
from datetime import datetime
from typing import Annotated, Any

import typer
from rich.markup import escape

from shotput import _native
from shotput.cli import targets
from shotput.cli.failure import JOB_CODES, CommandFailure, ExitCode
from shotput.cli.output import JsonOption, bars, emit, out, size, status, table

app = typer.Typer(help="List, watch, cancel jobs, and bring their outputs home.", no_args_is_help=True)

JobArgument = Annotated[
    str, typer.Argument(metavar="JOB", help="A job's id, the unique beginning of one, or `last`.", show_default=True)
]

# The order in which a person reads them, and the share of a task that is done.
_DONE = ("SUCCEEDED", "FAILED", "CANCELED", "NOT_COMPATIBLE")


def find(connection: targets.Connection, name: str) -> dict[str, Any]:
    """The job that a person means by ``name``."""
    if name.startswith("job-") and len(name) == 36:
        return _native.get_job(*connection.queue, name, target=connection.target)
    jobs = _native.search_jobs(connection.farm_id, [connection.queue_id], target=connection.target)
    if name == "last":
        if not jobs:
            raise CommandFailure("There is no job yet; submit one with `shotput submit`.", ExitCode.USAGE)
        matches = jobs[:1]
    else:
        wanted = name if name.startswith("job-") else f"job-{name}"
        matches = [job for job in jobs if job["jobId"].startswith(wanted)]
    if len(matches) != 1:
        problem = "No job's id begins with" if not matches else f"{len(matches)} jobs' ids begin with"
        raise CommandFailure(f"{problem} {name!r}; `shotput job list` shows them.", ExitCode.USAGE)
    return _native.get_job(*connection.queue, matches[0]["jobId"], target=connection.target)


def progress_of(job: dict[str, Any]) -> tuple[int, int]:
    """Tasks that ended, and all tasks."""
    counts = job.get("taskRunStatusCounts", {})
    return sum(counts.get(name, 0) for name in _DONE), sum(counts.values())


def code_of(job: dict[str, Any]) -> ExitCode:
    """The exit code that says how a job ended."""
    return JOB_CODES.get(job["taskRunStatus"], ExitCode.FAILED)


@app.command("list", epilog="Example: shotput job list --json")
def list_jobs(
    limit: Annotated[int, typer.Option("--limit", "-n", min=1, help="How many, the newest first.")] = 20,
    target: targets.TargetOption = targets.TargetName.LOCAL,
    as_json: JsonOption = False,
) -> None:
    """List the newest jobs."""
    connection = targets.connect(target)
    jobs = _native.search_jobs(connection.farm_id, [connection.queue_id], limit=limit, target=connection.target)

    def show() -> None:
        if not jobs:
            out.print("No jobs yet. Submit one: [bold]shotput submit SCENE[/]")
            return
        grid = table("JOB", "STATUS", ">TASKS", "CREATED", "NAME")
        for job in jobs:
            done, total = progress_of(job)
            grid.add_row(
                job["jobId"],
                status(job.get("taskRunStatus", job.get("lifecycleStatus", ""))),
                f"{done}/{total}",
                _when(job.get("createdAt")),
                escape(job["name"]),
            )
        out.print(grid)

    emit(as_json, {"jobs": jobs}, show)


@app.command(epilog="Example: shotput job show last")
def show(
    name: JobArgument = "last",
    target: targets.TargetOption = targets.TargetName.LOCAL,
    as_json: JsonOption = False,
) -> None:
    """Show one job with its steps and parameters."""
    connection = targets.connect(target)
    job = find(connection, name)
    steps = _native.list_steps(*connection.queue, job["jobId"], target=connection.target)

    def text() -> None:
        done, total = progress_of(job)
        out.print(f"[bold]{escape(job['name'])}[/]  {job['jobId']}")
        out.print(f"{status(job['taskRunStatus'])}  {done}/{total} tasks  priority {job['priority']}")
        out.print(f"created {_when(job.get('createdAt'))}  ended {_when(job.get('endedAt'))}\n", style="dim")
        grid = table("STEP", "STATUS", ">TASKS", ">FAILED", ">RETRIES")
        for step in steps:
            step_done, step_total = progress_of(step)
            failed = step.get("taskRunStatusCounts", {}).get("FAILED", 0)
            retries = step.get("taskFailureRetryCount", 0)
            grid.add_row(
                escape(step["name"]),
                status(step["taskRunStatus"]),
                f"{step_done}/{step_total}",
                str(failed),
                str(retries),
            )
        out.print(grid)
        if job.get("parameters"):
            values = table("PARAMETER", "VALUE")
            for key, value in sorted(job["parameters"].items()):
                values.add_row(escape(key), escape(str(next(iter(value.values())))))
            out.print()
            out.print(values)

    emit(as_json, {**job, "steps": steps}, text)


@app.command(epilog="Example: shotput job logs last")
def logs(
    name: JobArgument = "last",
    target: targets.TargetOption = targets.TargetName.LOCAL,
    as_json: JsonOption = False,
) -> None:
    """Print the logs of a job's sessions, the oldest first."""
    connection = targets.connect(target)
    job = find(connection, name)
    sessions = _native.list_sessions(*connection.queue, job["jobId"], target=connection.target)
    sessions.sort(key=lambda session: session["startedAt"])
    streams = [
        {"sessionId": session["sessionId"], "events": session_events(connection, session["sessionId"])}
        for session in sessions
    ]

    def text() -> None:
        for stream in streams:
            out.print(stream["sessionId"], style="bold")
            for event in stream["events"]:
                moment = datetime.fromtimestamp(event["timestamp"] / 1000)
                out.print(f"{moment:%H:%M:%S} {event['message']}", markup=False, soft_wrap=True)

    emit(as_json, {"jobId": job["jobId"], "sessions": streams}, text)


def session_events(connection: targets.Connection, session_id: str) -> list[dict[str, Any]]:
    """Every log event of a session."""
    events: list[dict[str, Any]] = []
    token = None
    while True:
        page = _native.get_session_log(*connection.queue, session_id, next_token=token, target=connection.target)
        events.extend(page["events"])
        # The protocol's end is a token that comes back unchanged.
        following = page.get("nextForwardToken")
        if not page["events"] or not following or following == token:
            return events
        token = following


@app.command(epilog="Example: shotput job wait last --timeout 600")
def wait(
    name: JobArgument = "last",
    timeout: Annotated[float | None, typer.Option("--timeout", min=0, help="Seconds to wait at most.")] = None,
    target: targets.TargetOption = targets.TargetName.LOCAL,
    as_json: JsonOption = False,
) -> int:
    """Wait until a job ends.

    Exit code: 0 succeeded, 10 failed, 11 canceled, 12 suspended, 13 not compatible, 14 out of time.
    """
    connection = targets.connect(target)
    job = find(connection, name)
    final = wait_for(connection, job["jobId"], timeout=timeout, as_json=as_json)
    emit(as_json, final, lambda: show_end(connection, final, None))
    return code_of(final)


def wait_for(
    connection: targets.Connection, job_id: str, *, timeout: float | None = None, as_json: bool = False
) -> dict[str, Any]:
    """Poll until the job ends; the last GetJob reply. Shows a progress bar unless ``as_json``."""
    deadline = None if timeout is None else time.monotonic() + timeout
    delay = 0.1
    with bars(as_json) as shown:
        bar = shown.add("Render")
        while True:
            job = _native.get_job(*connection.queue, job_id, target=connection.target)
            done, total = progress_of(job)
            bar.update(100 * done / total if total else 0, f"{done}/{total} tasks, {job['taskRunStatus'].lower()}")
            if job["taskRunStatus"] in JOB_CODES or job["lifecycleStatus"] in ("CREATE_FAILED", "ARCHIVED"):
                return job
            if deadline is not None and time.monotonic() >= deadline:
                raise CommandFailure(
                    f"{job_id} did not end within {timeout:g} s; it is {job['taskRunStatus']} ({done}/{total} tasks) "
                    "and goes on.",
                    ExitCode.TIMED_OUT,
                )
            time.sleep(delay)
            delay = min(delay * 1.5, 1.0 if connection.name == "local" else 15.0)


@app.command(epilog="Example: shotput job cancel last")
def cancel(
    name: JobArgument = "last",
    target: targets.TargetOption = targets.TargetName.LOCAL,
    as_json: JsonOption = False,
) -> None:
    """Cancel a job: running tasks are ended, the rest never starts."""
    connection = targets.connect(target)
    job = find(connection, name)
    _native.update_job(*connection.queue, job["jobId"], target_task_run_status="CANCELED", target=connection.target)
    emit(
        as_json,
        {"jobId": job["jobId"], "targetTaskRunStatus": "CANCELED"},
        lambda: out.print(f"[green]✓[/] {job['jobId']} is being canceled."),
    )


@app.command(epilog="Example: shotput job outputs last --conflict skip")
def outputs(
    name: JobArgument = "last",
    conflict: Annotated[
        str, typer.Option("--conflict", help="What to do with files that exist: skip, overwrite or create_copy.")
    ] = "overwrite",
    target: targets.TargetOption = targets.TargetName.LOCAL,
    as_json: JsonOption = False,
) -> None:
    """Bring a job's outputs home, to the folders that the job names."""
    connection = targets.connect(target)
    job = find(connection, name)
    result = bring_home(connection, job["jobId"], conflict=conflict, as_json=as_json)
    emit(as_json, result, lambda: show_end(connection, job, result))


def bring_home(
    connection: targets.Connection, job_id: str, *, conflict: str = "overwrite", as_json: bool = False
) -> dict[str, Any]:
    """Download the outputs with a progress bar; the native call's answer."""
    resolution = conflict.upper()
    if resolution not in ("SKIP", "OVERWRITE", "CREATE_COPY"):
        raise typer.BadParameter(f"{conflict!r} is none of skip, overwrite, create_copy.", param_hint="--conflict")
    params = {
        "farm_id": connection.farm_id,
        "queue_id": connection.queue_id,
        "job_id": job_id,
        "conflict_resolution": resolution,
        "target": connection.target,
    }
    with bars(as_json) as shown:
        bar = shown.add("Download")

        return _native.download_job_outputs(params, on_progress=bar.transfer)


def show_end(connection: targets.Connection, job: dict[str, Any], outputs: dict[str, Any] | None) -> None:
    """Say how a job ended and where its outputs are."""
    done, total = progress_of(job)
    out.print(f"{status(job['taskRunStatus'])} {escape(job['name'])} [dim]{job['jobId']}, {done}/{total} tasks[/]")
    if outputs is not None:
        files = outputs["files"]
        count = "1 file" if len(files) == 1 else f"{len(files)} files"
        out.print(f"{count}, {size(outputs['statistics']['total_bytes'])}")
        for folder in sorted({str(path).rpartition("/")[0] or str(path) for path in files}):
            out.print(f"  {escape(folder)}")
    elif code_of(job) is not ExitCode.OK:
        out.print(f"See why: [bold]shotput job logs {job['jobId']}[/]")


def _when(text: str | None) -> str:
    """A wire timestamp in local time; a dash when there is none."""
    if not text:
        return "–"
    return f"{datetime.fromisoformat(text.replace('Z', '+00:00')).astimezone():%Y-%m-%d %H:%M:%S}"
