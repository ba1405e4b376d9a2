"""``shotput farm``: start, stop and look at the local farm. The ``shotput`` command finds it by its entry point."""

from __future__ import annotations

import shlex
import time
from typing import Annotated, Any

import typer
from rich.markup import escape
from shotput import local_farm
from shotput.cli.output import JsonOption, emit, err, out, table

app = typer.Typer(
    help="The local farm: it starts by itself when a job is submitted.",
    epilog="Example: shotput farm up",
    no_args_is_help=True,
)


@app.command(epilog="Example: shotput farm up")
def up(as_json: JsonOption = False) -> None:
    """Start the farm and its worker, or attach to the one that runs."""
    was_running = local_farm.state() is not None
    started = time.monotonic()
    if as_json:
        state = local_farm.start()
    else:
        with err.status("Starting the farm…"):
            state = local_farm.start()
    word = "runs already" if was_running else f"started in {time.monotonic() - started:.1f} s"
    emit(as_json, _document(state), lambda: _show(state, word))


@app.command(epilog="Example: shotput farm down")
def down(
    timeout: Annotated[float, typer.Option("--timeout", min=1, help="Seconds to wait for running tasks to end.")] = 30,
    as_json: JsonOption = False,
) -> None:
    """Stop the farm and its worker. Running tasks are ended, and done again when the farm is started next."""
    stopped = local_farm.stop(timeout=timeout)
    text = "[green]✓[/] The farm is stopped." if stopped else "The farm does not run."
    emit(as_json, {"running": False, "stopped": stopped}, lambda: out.print(text))


@app.command(epilog="Example: shotput farm status --json")
def status(as_json: JsonOption = False) -> None:
    """Show whether the farm runs, and where."""
    state = local_farm.state()
    if state is None:
        folder = escape(str(local_farm.data_dir()))
        emit(
            as_json,
            {"running": False, "dataDir": str(local_farm.data_dir())},
            lambda: out.print(f"The farm does not run. Start it: [bold]shotput farm up[/]\n[dim]data in {folder}[/]"),
        )
        return
    emit(as_json, _document(state), lambda: _show(state, "runs"))


@app.command(epilog='Example: eval "$(shotput farm env)"')
def env(as_json: JsonOption = False) -> None:
    """Print the environment that points other tools (boto3, the deadline command) at the farm, started when needed."""
    variables = local_farm.environment(local_farm.start())

    def show() -> None:
        for name, value in variables.items():
            typer.echo(f"export {name}={shlex.quote(value)}")

    emit(as_json, variables, show)


def _document(state: local_farm.FarmState) -> dict[str, Any]:
    """What may be printed: no keys."""
    return {
        "running": True,
        "version": state.version,
        "pid": state.pid,
        "endpointUrl": state.endpoint_url,
        "s3EndpointUrl": state.s3_endpoint_url,
        "farmId": state.farm_id,
        "queueId": state.queue_id,
        "fleetId": state.fleet_id,
        "dataDir": str(local_farm.data_dir()),
    }


def _show(state: local_farm.FarmState, word: str) -> None:
    out.print(f"[green]●[/] The farm {word}.")
    grid = table("", "")
    grid.show_header = False
    for name, value in (
        ("endpoint", state.endpoint_url),
        ("farm", state.farm_id),
        ("queue", state.queue_id),
        ("data", str(local_farm.data_dir())),
        ("process", str(state.pid)),
    ):
        grid.add_row(f"[dim]{name}[/]", escape(value))
    out.print(grid)
