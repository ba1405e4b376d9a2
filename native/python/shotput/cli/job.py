"""``shotput job``: what became of a submission."""

from __future__ import annotations

import enum
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.markup import escape

from shotput import _native
from shotput.cli import interruption, targets
from shotput.cli.failure import JOB_CODES, CommandFailure, ExitCode
from shotput.cli.output import JsonOption, bars, counted, emit, out, parameter_value, size, status, table
from shotput.errors import ServiceError
from shotput.submission import ENDED, Connection, SubmittedJob, progress_of

app = typer.Typer(
    help="List, watch and cancel jobs, and download their outputs.",
    epilog="Example: shotput job list",
    no_args_is_help=True,
)

JobArgument = Annotated[
    str,
    typer.Argument(
        metavar="JOB",
        help="A job's id, the beginning of an id among the newest 100 jobs, or `last`: the newest.",
        show_default=True,
    ),
]


class Conflict(enum.StrEnum):
    """What happens to files that are there already."""

    SKIP = "skip"
    OVERWRITE = "overwrite"
    CREATE_COPY = "create_copy"


def find(target: targets.TargetName, name: str) -> tuple[SubmittedJob, dict[str, Any]]:
    """The job that a person means by ``name``, and what the farm says of it now."""
    connection = targets.connect(target)
    if name.startswith("job-") and len(name) == 36:
        found = SubmittedJob(name, connection)
        try:
            return found, found.read()
        except ServiceError as error:
            if error.code != "ResourceNotFoundException":
                raise
            raise CommandFailure(f"No job has the id {name}; `shotput job list` shows them.", ExitCode.USAGE) from error
    jobs = newest(connection, 100)
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
    found = SubmittedJob(matches[0]["jobId"], connection)
    return found, found.read()


def newest(connection: Connection, limit: int) -> list[dict[str, Any]]:
    """At most ``limit`` jobs of the queue, the newest first."""
    answer = _native.search_jobs(connection.farm_id, [connection.queue_id], limit=limit, target=connection.target)
    jobs: list[dict[str, Any]] = answer["jobs"]
    return jobs


def code_of(job: dict[str, Any]) -> ExitCode:
    """The exit code that says how a job ended."""
    return JOB_CODES.get(job.get("taskRunStatus", ""), ExitCode.FAILED)


@app.command("list", epilog="Example: shotput job list --json")
def list_jobs(
    limit: Annotated[int, typer.Option("--limit", "-n", min=1, help="How many jobs to list at most.")] = 20,
    target: targets.TargetOption = targets.TargetName.LOCAL,
    as_json: JsonOption = False,
) -> None:
    """List the newest jobs, the newest first."""
    connection = targets.connect(target)
    jobs = newest(connection, limit)

    def show() -> None:
        if not jobs:
            out.print("No jobs yet. Submit one: [bold]shotput submit SCENE[/]")
            return
        grid = table("JOB", "STATUS", ">TASKS", "CREATED", "NAME")
        for job in jobs:
            grid.add_row(
                job["jobId"],
                status(_status_of(job)),
                _tasks(job),
                _when(job.get("createdAt"), "%m-%d %H:%M"),
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
    found, job = find(target, name)
    steps = _native.list_steps(*found.farm.queue, found.job_id, target=found.farm.target)["steps"]

    def text() -> None:
        out.print(f"[bold]{escape(job['name'])}[/]  {job['jobId']}")
        out.print(f"{status(_status_of(job))}  {_tasks(job)} tasks  priority {job['priority']}")
        out.print(f"created {_when(job.get('createdAt'))}  ended {_when(job.get('endedAt'))}\n", style="dim")
        grid = table("STEP", "STATUS", ">TASKS", ">FAILED", ">RETRIES", folds=0)
        for step in steps:
            failed = step.get("taskRunStatusCounts", {}).get("FAILED", 0)
            retries = step.get("taskFailureRetryCount", 0)
            grid.add_row(
                escape(step["name"]),
                status(step["taskRunStatus"]),
                _tasks(step),
                str(failed),
                str(retries),
            )
        out.print(grid)
        if job.get("parameters"):
            values = table("PARAMETER", "VALUE")
            for key, value in sorted(job["parameters"].items()):
                values.add_row(escape(key), escape(parameter_value(next(iter(value.values())))))
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
    found, _ = find(target, name)
    streams = session_logs(found)

    def text() -> None:
        for stream in streams:
            out.print(stream["sessionId"], style="bold")
            for event in stream["events"]:
                moment = datetime.fromtimestamp(event["timestamp"] / 1000)
                out.print(f"{moment:%H:%M:%S} {event['message']}", markup=False, soft_wrap=True)

    emit(as_json, {"jobId": found.job_id, "sessions": streams}, text)


def session_logs(job: SubmittedJob) -> list[dict[str, Any]]:
    """``{"sessionId", "events"}`` of each session of a job, the oldest first."""
    sessions = _native.list_sessions(*job.farm.queue, job.job_id, target=job.farm.target)["sessions"]
    return [
        {"sessionId": session["sessionId"], "events": session_events(job.farm, session["sessionId"])}
        for session in sorted(sessions, key=lambda session: str(session["startedAt"]))
    ]


def session_events(connection: Connection, session_id: str) -> list[dict[str, Any]]:
    """Every log event of a session; none when its log is gone."""
    events: list[dict[str, Any]] = []
    token = None
    while True:
        try:
            page = _native.get_session_log(*connection.queue, session_id, next_token=token, target=connection.target)
        except ServiceError as error:
            # Logs may be deleted before their job; the job's other sessions still have theirs.
            if error.code == "ResourceNotFoundException" and error.operation == "GetLogEvents":
                return events
            raise
        events.extend(page["events"])
        # The protocol's end is a token that comes back unchanged.
        following = page.get("nextForwardToken")
        if not page["events"] or not following or following == token:
            return events
        token = following


@app.command(epilog="Example: shotput job wait last --timeout 600")
def wait(
    name: JobArgument = "last",
    timeout: Annotated[
        float | None, typer.Option("--timeout", min=0, help="Seconds to wait at most; without a limit by default.")
    ] = None,
    target: targets.TargetOption = targets.TargetName.LOCAL,
    as_json: JsonOption = False,
) -> int:
    """Wait until a job ends.

    Exit code: 0 succeeded, 10 failed, 11 canceled, 12 suspended, 13 no worker can run it, 14 --timeout is over.
    """
    found, _ = find(target, name)
    final = wait_for(found, timeout=timeout, as_json=as_json)
    emit(as_json, final, lambda: show_end(final, None))
    return code_of(final)


def wait_for(
    job: SubmittedJob, *, timeout: float | None = None, as_json: bool = False, then: str = ""
) -> dict[str, Any]:
    """Wait until the job ends; the last GetJob reply. Shows a progress bar unless ``as_json``.

    ``then`` is what becomes of the job when somebody interrupts; by default it goes on.
    """
    last: dict[str, Any] = {}
    then = then or f"The job goes on: shotput job wait {job.job_id}"
    with interruption.naming(job.job_id, then), bars(as_json) as shown:
        bar = shown.add("Render")
        for last in job.watch(timeout):
            done, total = progress_of(last)
            note = f"{done}/{total} tasks, {_status_of(last).lower()}"
            bar.update(100 * done / total if total else 0, note)
    return last


@app.command(epilog="Example: shotput job cancel last")
def cancel(
    name: JobArgument = "last",
    target: targets.TargetOption = targets.TargetName.LOCAL,
    as_json: JsonOption = False,
) -> None:
    """Cancel a job: running tasks are ended, the rest never starts."""
    found, job = find(target, name)
    status_before = _status_of(job)
    if status_before in ENDED:
        text = f"{found.job_id} has ended already: {status(status_before)}."
    else:
        found.cancel()
        text = f"[green]✓[/] {found.job_id} is being canceled."
    emit(as_json, {"jobId": found.job_id, "taskRunStatus": status_before}, lambda: out.print(text))


def bring_home(
    job: SubmittedJob, *, conflict: Conflict = Conflict.OVERWRITE, as_json: bool = False, **params: Any
) -> dict[str, Any]:
    """Download the outputs with a progress bar; the native call's answer. ``params`` are others of that call."""
    going_on = f"What came home stays. The rest: shotput job outputs {job.job_id}"
    with interruption.naming(job.job_id, going_on), bars(as_json) as shown:
        return job.download(shown.add("Download").transfer, conflict=conflict.value.upper(), **params)


def show_end(job: dict[str, Any], outputs: dict[str, Any] | None) -> None:
    """Say how a job ended and where its outputs are."""
    out.print(f"{status(_status_of(job))} {escape(job['name'])} [dim]{job['jobId']}, {_tasks(job)} tasks[/]")
    if outputs is not None:
        files = outputs["files"]
        out.print(f"{counted(len(files))}, {size(outputs['statistics']['total_bytes'])}")
        for folder in sorted({str(Path(path).parent) for path in files}):
            out.print(f"  {escape(folder)}")
    elif code_of(job) is not ExitCode.OK:
        out.print(f"See why: [bold]shotput job logs {job['jobId']}[/]")


def _tasks(entity: dict[str, Any]) -> str:
    """How many tasks of a job or a step succeeded, of all: ``11/12``."""
    counts = entity.get("taskRunStatusCounts", {})
    return f"{counts.get('SUCCEEDED', 0)}/{sum(counts.values())}"


def _status_of(job: dict[str, Any]) -> str:
    """The status of a job's tasks; of the job itself while it has none."""
    return str(job.get("taskRunStatus") or job["lifecycleStatus"])


def _when(text: str | None, form: str = "%Y-%m-%d %H:%M:%S") -> str:
    """A wire timestamp in local time; a dash when there is none."""
    if not text:
        return "–"
    return datetime.fromisoformat(text.replace("Z", "+00:00")).astimezone().strftime(form)
