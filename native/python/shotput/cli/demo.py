"""``shotput demo``: a real scene becomes frames, through every part, and each frame is held against a bare render.

While the farm renders, the folder with the scene and its textures is renamed away: what was submitted has to be enough.
"""

from __future__ import annotations

import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.markup import escape

from shotput import _native, hosts, local_farm
from shotput.cli import job
from shotput.cli.failure import CommandFailure, ExitCode
from shotput.cli.output import JsonOption, bars, emit, err, log, out, table
from shotput.cli.submit import submit_bundle
from shotput.errors import SceneError
from shotput.submission import SubmittedJob, connection_to

EXAMPLE = "Example: shotput demo --json"

# A mean difference below one step of an 8-bit channel cannot be seen.
TOLERANCE = 1 / 255
_MARKER = ".shotput-demo"


class Phases:
    """The seconds of each phase, in the order in which they ran."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}

    @contextmanager
    def phase(self, name: str) -> Iterator[None]:
        """Time the block."""
        started = time.monotonic()
        try:
            yield
        finally:
            self.seconds[name] = round(time.monotonic() - started, 3)
            log.info("demo: %s took %.3f s", name, self.seconds[name])


def demo(
    output: Annotated[
        Path, typer.Option("--output", "-o", help="The folder for scene, frames and contact sheet.")
    ] = Path("demo-out"),
    executable: Annotated[Path | None, typer.Option("--executable", help="The Blender to use.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Build a scene, render it on a farm of its own, bring 12 frames home and check every one of them."""
    root = output.absolute()
    _fresh_folder(root)
    blender = hosts.find_executable("blender", executable)
    phases = Phases()
    project = root / "project"
    with phases.phase("scene"), _saying("Building the scene…", as_json):
        scene = hosts.build_demo_scene("blender", project, executable=blender)
    with phases.phase("export"), _saying("Exporting the bundle…", as_json):
        bundle = root / "bundle"
        options = {"output_directory": str(root / "frames")}
        hosts.export_scene(scene, bundle, executable=blender, options=options)
    try:
        with phases.phase("farm"), _saying("Starting the farm…", as_json):
            state = local_farm.start(data_dir=root / "farm")
        with phases.phase("submit"), bars(as_json) as shown:
            submitted, _ = submit_bundle(bundle, connection_to(state), shown)
        away = root / "project-away"
        project.rename(away)
        try:
            with phases.phase("render"):
                final = job.wait_for(
                    submitted, as_json=as_json, then="The demo's farm is stopped, and its job with it."
                )
        finally:
            away.rename(project)
        if final["taskRunStatus"] != "SUCCEEDED":
            raise _render_failure(submitted, final)
        with phases.phase("outputs"):
            result = job.bring_home(submitted, as_json=as_json)
    finally:
        with phases.phase("stop"):
            local_farm.stop(data_dir=root / "farm")
    frames = sorted(Path(path) for path in result["files"])
    with phases.phase("reference"), _saying("Rendering the same frames with a bare Blender…", as_json):
        references = _bare_render(blender, scene, root / "reference")
    with phases.phase("compare"):
        differences = _compare(frames, references, root)
    sheet = root / "contact-sheet.png"
    with phases.phase("sheet"):
        _native.contact_sheet([str(path) for path in frames], str(sheet), columns=6, thumbnail_size=320)
    document = {
        "jobId": submitted.job_id,
        "scene": str(scene),
        "bundle": str(bundle),
        "frames": [str(path) for path in frames],
        "contactSheet": str(sheet),
        "largestDifference": max(differences.values()),
        "tolerance": TOLERANCE,
        "seconds": phases.seconds,
    }
    emit(as_json, document, lambda: _show(document))


@contextmanager
def _saying(text: str, as_json: bool) -> Iterator[None]:
    if as_json:
        yield
    else:
        with err.status(text):
            yield


def _fresh_folder(root: Path) -> None:
    """An empty folder for the demo; one that another demo left is emptied, anything else is refused."""
    if root.exists() and any(root.iterdir()):
        if not (root / _MARKER).exists():
            raise CommandFailure(
                f"{root} is not empty and not from an earlier demo; name another folder with --output.", ExitCode.USAGE
            )
        # A demo that was killed may have left its farm behind.
        local_farm.stop(data_dir=root / "farm")
        shutil.rmtree(root)
    root.mkdir(parents=True, exist_ok=True)
    (root / _MARKER).touch()


def _render_failure(submitted: SubmittedJob, final: dict[str, Any]) -> CommandFailure:
    streams = job.session_logs(submitted)
    lines = [event["message"] for stream in streams for event in stream["events"]]
    tail = "\n".join(lines[-30:])
    return CommandFailure(f"The job ended {final['taskRunStatus']}. The end of its log:\n{tail}", job.code_of(final))


def _bare_render(blender: Path, scene: Path, folder: Path) -> list[Path]:
    """The scene's frames as Blender makes them without Shotput, one process for all, a subfolder a view layer."""
    script = Path(__file__).with_name("bare_render.py")
    command = [str(blender), "--background", str(scene), "--python-exit-code", "1", "--python", str(script)]
    done = subprocess.run([*command, "--", str(folder)], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise SceneError(f"The bare render of {scene} ended with exit code {done.returncode}:\n{done.stdout[-2000:]}")
    return sorted(folder.rglob("*.png"))


def _compare(frames: list[Path], references: list[Path], root: Path) -> dict[str, float]:
    """The mean difference of every frame from its reference, by name; raises when one is missing or differs."""
    by_name = {path.relative_to(root / "reference").as_posix(): path for path in references}
    found = {path.relative_to(root / "frames").as_posix(): path for path in frames}
    if sorted(by_name) != sorted(found):
        raise CommandFailure(
            f"The farm brought {sorted(found)}, a bare Blender makes {sorted(by_name)}.", ExitCode.FRAMES_DIFFER
        )
    differences = {name: _native.mean_difference(str(path), str(by_name[name])) for name, path in found.items()}
    wrong = {name: value for name, value in differences.items() if value >= TOLERANCE}
    if wrong:
        lines = "\n".join(f"  {name}: {value:.5f}" for name, value in sorted(wrong.items()))
        raise CommandFailure(
            f"{len(wrong)} of {len(found)} frames differ from a bare render by {TOLERANCE:.5f} or more:\n{lines}",
            ExitCode.FRAMES_DIFFER,
            {"differences": differences},
        )
    return differences


def _show(document: dict[str, Any]) -> None:
    count = len(document["frames"])
    out.print(
        f"\n[green]✓[/] {count} frames came home; each equals a bare Blender's "
        f"[dim](largest mean difference {document['largestDifference']:.6f}, allowed {document['tolerance']:.6f})[/]\n"
    )
    places = table("WHAT", "WHERE")
    places.add_row("scene", escape(document["scene"]))
    places.add_row("bundle", escape(document["bundle"]))
    places.add_row("frames", escape(str(Path(document["frames"][0]).parent.parent)))
    places.add_row("contact sheet", escape(document["contactSheet"]))
    out.print(places)
    out.print()
    times = table("PHASE", ">SECONDS")
    for name, seconds in document["seconds"].items():
        times.add_row(name, f"{seconds:.1f}")
    times.add_row("[bold]total", f"[bold]{sum(document['seconds'].values()):.1f}")
    out.print(times)
