"""``shotput config``: the client configuration, which is shared with the official client."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.markup import escape

from shotput import _native
from shotput.cli.output import JsonOption, emit, out, table

app = typer.Typer(
    help="Show and change the configuration. It is the file that the official client `deadline` uses, too.",
    epilog="Example: shotput config show",
    no_args_is_help=True,
)

SettingArgument = Annotated[
    str, typer.Argument(metavar="SETTING", help="The name of a setting, e.g. defaults.farm_id.", show_default=False)
]


@app.command(epilog="Example: shotput config show --json")
def show(as_json: JsonOption = False) -> None:
    """Show every setting, and which of them have their default. With --json, also what each is for."""
    found = _native.list_settings()

    def text() -> None:
        out.print(f"[dim]{escape(found['path'])}[/]")
        grid = table("SETTING", "VALUE", "", folds=1)
        for name, setting in sorted(found["settings"].items(), key=lambda item: (not item[1]["is_stored"], item[0])):
            value = escape(setting["value"])
            grid.add_row(name, value) if setting["is_stored"] else grid.add_row(
                name, f"[dim]{value}[/]", "[dim]default[/]"
            )
        out.print(grid)

    settings = {
        name: {"value": setting["value"], "isStored": setting["is_stored"], "description": setting["description"]}
        for name, setting in found["settings"].items()
    }
    emit(as_json, {"path": found["path"], "settings": settings}, text)


@app.command(epilog="Example: shotput config get defaults.farm_id")
def get(name: SettingArgument, as_json: JsonOption = False) -> None:
    """Print the stored value of a setting, or its default when none is stored."""
    value = _native.get_setting(name)
    emit(as_json, {"name": name, "value": value}, lambda: typer.echo(value))


@app.command("set", epilog="Example: shotput config set defaults.aws_profile_name studio")
def set_(
    name: SettingArgument,
    value: Annotated[str, typer.Argument(metavar="VALUE", help="The new value; '' is no value.", show_default=False)],
    as_json: JsonOption = False,
) -> None:
    """Store a setting. Farms are stored for each AWS profile, and queues for each farm: set profile, farm, queue."""
    _native.set_setting(name, value)
    emit(as_json, {"name": name, "value": value}, lambda: out.print(f"[green]✓[/] {name} = {escape(value)}"))
