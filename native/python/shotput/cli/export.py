"""``shotput export``: a scene becomes a job bundle, through its own host run without a window."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer
from rich.markup import escape

from shotput import hosts
from shotput.cli.output import JsonOption, emit, err, out

EXAMPLE = "Example: shotput export shot010.blend -o shot010-bundle"

SettingsOption = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        "-s",
        metavar="NAME=VALUE",
        help="An export setting for a scene, e.g. frames=1-10; a wrong name lists all. May be repeated.",
    ),
]
ExecutableOption = Annotated[
    Path | None,
    typer.Option("--executable", help="The program that opens the scene, e.g. blender; by default from PATH."),
]


def parse_pairs(pairs: list[str] | None, option: str) -> dict[str, str]:
    """``["a=1"]`` as ``{"a": "1"}``."""
    values = {}
    for pair in pairs or []:
        name, equals, value = pair.partition("=")
        if not equals or not name:
            raise typer.BadParameter(f"{pair!r} is not NAME=VALUE.", param_hint=option)
        values[name] = value
    return values


def export(
    scene: Annotated[Path, typer.Argument(metavar="SCENE", help="The scene file.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="The bundle's folder; made when it does not exist.")],
    settings: SettingsOption = None,
    executable: ExecutableOption = None,
    as_json: JsonOption = False,
) -> None:
    """Export a scene to an OpenJD job bundle that renders on the local farm and on AWS Deadline Cloud."""
    result = export_scene(scene, output, parse_pairs(settings, "--set"), executable, quiet=as_json)

    def show() -> None:
        out.print(f"[green]✓[/] {escape(str(scene))} → {escape(str(output))}")
        for dependency in result.get("missing", []):
            owners = ", ".join(dependency["owners"])
            out.print(f"  [yellow]missing[/] {escape(dependency['path'])} [dim]({escape(owners)})[/]")
        for warning in result.get("warnings", []):
            out.print(f"  [yellow]warning[/] {escape(warning)}")

    emit(as_json, result, show)


def export_scene(
    scene: Path, bundle: Path, settings: dict[str, Any], executable: Path | None, *, quiet: bool
) -> dict[str, Any]:
    """Run the host on a scene; shows that it works unless ``quiet``."""
    if quiet:
        return hosts.export_scene(scene, bundle, executable=executable, options=settings)
    with err.status(f"Exporting {scene.name}…"):
        return hosts.export_scene(scene, bundle, executable=executable, options=settings)
