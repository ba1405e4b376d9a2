"""``shotput manifest``: which files a folder has, how it differs, and the manifests of jobs."""

from __future__ import annotations

import enum
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.markup import escape

from shotput import _native, manifests
from shotput.cli import places, targets
from shotput.cli.job import find
from shotput.cli.output import JsonOption, bars, counted, emit, out

app = typer.Typer(
    help="Make, compare, upload and download manifests: lists of files with their hashes.",
    epilog="Example: shotput manifest snapshot --root ./shot010",
    no_args_is_help=True,
)

Root = Annotated[Path, typer.Option("--root", help="The folder that the manifest is about.")]
Include = Annotated[
    list[str] | None,
    typer.Option("--include", "-i", help="Only files that match this pattern; `**` is any depth. May be repeated."),
]
Exclude = Annotated[
    list[str] | None, typer.Option("--exclude", "-e", help="Leave out files that match this pattern. May be repeated.")
]
Patterns = Annotated[
    str | None,
    typer.Option(
        "--include-exclude-config", "-ie", help='Both as JSON, or a JSON file: {"include": [], "exclude": []}.'
    ),
]
Rehash = Annotated[bool, typer.Option("--force-rehash", help="Read every file again, whatever its time and size.")]


class AssetType(enum.StrEnum):
    """Which of a job's manifests."""

    INPUT = "input"
    OUTPUT = "output"
    ALL = "all"


@app.command(epilog="Example: shotput manifest snapshot --root ./shot010 --destination ./manifests")
def snapshot(
    root: Root,
    destination: Annotated[
        Path | None, typer.Option("--destination", "-d", help="The folder to write it to; by default the root.")
    ] = None,
    name: Annotated[
        str | None, typer.Option("--name", "-n", help="How its file name begins; by default with the root's path.")
    ] = None,
    include: Include = None,
    exclude: Exclude = None,
    patterns: Patterns = None,
    force_rehash: Rehash = False,
    diff: Annotated[
        Path | None, typer.Option("--diff", help="An earlier manifest: list only what is new or changed since.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Write the manifest of a folder's files."""
    root = places.folder(root, "root")
    chosen = manifests.Chosen.of(include or (), exclude or (), patterns)
    folder = root if destination is None else places.folder(destination, "destination")
    with bars(as_json) as shown:
        made = manifests.snapshot(
            root,
            chosen,
            diff=diff,
            rehash=force_rehash,
            cache_dir=places.cache_dir(),
            on_transfer=shown.add("Hashing").transfer,
        )
    path = manifests.write(made, str(root), folder, name) if made is not None else None
    document = {"root": str(root), "manifest": str(path) if path else None}

    def show() -> None:
        if made is None:
            out.print("There is nothing to write: no file is " + ("new or changed." if diff else "chosen."))
        else:
            out.print(f"[green]✓[/] {counted(len(manifests.entries(made)))}: {escape(str(path))}")

    emit(as_json, document, show)


@app.command(epilog="Example: shotput manifest diff --root ./shot010 --manifest shot010.manifest")
def diff(
    root: Root,
    manifest: Annotated[Path, typer.Option("--manifest", help="The manifest to compare with.")],
    include: Include = None,
    exclude: Exclude = None,
    patterns: Patterns = None,
    force_rehash: Rehash = False,
    as_json: JsonOption = False,
) -> None:
    """Show what is new, changed or gone in a folder since a manifest was made."""
    root = places.folder(root, "root")
    before = manifests.read(manifest)
    files = manifests.Chosen.of(include or (), exclude or (), patterns).files(root)
    with bars(as_json) as shown:
        on_transfer = shown.add("Hashing").transfer
        changes = manifests.compare(before, root, files, rehash=force_rehash, on_transfer=on_transfer)

    def show() -> None:
        for kind, mark, style in (("new", "+", "green"), ("modified", "M", "yellow"), ("deleted", "-", "red")):
            for path in changes[kind]:
                out.print(f"[{style}]{mark}[/] {escape(path)}")
        if not any(changes.values()):
            out.print("No file differs.")

    emit(as_json, changes, show)


@app.command(epilog="Example: shotput manifest upload shot010.manifest --s3-manifest-prefix plates")
def upload(
    manifest_file: Annotated[Path, typer.Argument(metavar="MANIFEST", help="The manifest.")],
    s3_cas_uri: Annotated[
        str | None,
        typer.Option("--s3-cas-uri", help="s3://BUCKET/PREFIX instead of the queue's, with your own credentials."),
    ] = None,
    s3_manifest_prefix: Annotated[
        str, typer.Option("--s3-manifest-prefix", help="The folder below `Manifests/` to store it in.")
    ] = "",
    target: targets.TargetOption = targets.TargetName.LOCAL,
    as_json: JsonOption = False,
) -> None:
    """Upload a manifest, without the files that it lists."""
    connection = targets.connect(target)
    path = "/".join(filter(None, (s3_manifest_prefix.strip("/"), manifest_file.name)))
    place = places.of(connection, s3_cas_uri)
    stored = _native.upload_manifest(manifests.read(manifest_file), path, **place)
    emit(as_json, stored, lambda: out.print(f"[green]✓[/] Manifests/{escape(stored['path'])}"))


@app.command(epilog="Example: shotput manifest download ./manifests --job-id last --asset-type output")
def download(
    download_dir: Annotated[Path, typer.Argument(metavar="FOLDER", help="The folder to write them to.")],
    job_id: Annotated[str, typer.Option("--job-id", help="As in `shotput job show`.")] = "last",
    step_id: Annotated[
        str | None,
        typer.Option(
            "--step-id",
            help="Only the outputs of this step; its inputs are then also the outputs of steps that it waits for.",
        ),
    ] = None,
    asset_type: Annotated[
        AssetType,
        typer.Option("--asset-type", case_sensitive=False, help="The manifests of inputs, of outputs, or both."),
    ] = AssetType.ALL,
    target: targets.TargetOption = targets.TargetName.LOCAL,
    as_json: JsonOption = False,
) -> None:
    """Download a job's manifests, merged into one for each root folder."""
    folder = places.folder(download_dir, "download")
    found, job = find(target, job_id)
    merged = manifests.of_job(
        found.farm,
        job,
        step_id=step_id,
        inputs=asset_type is not AssetType.OUTPUT,
        outputs=asset_type is not AssetType.INPUT,
    )
    downloaded = [
        {"manifest_root": root, "local_manifest_path": str(manifests.write(manifest, root, folder))}
        for root, manifest in merged.items()
    ]

    def show() -> None:
        for item in downloaded:
            out.print(f"{escape(item['manifest_root'])}\n  {escape(item['local_manifest_path'])}")
        if not downloaded:
            out.print("The job has no such manifests.")

    document: dict[str, Any] = {"downloaded": downloaded}
    emit(as_json, document, show)
