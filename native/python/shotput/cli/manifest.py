"""``shotput manifest``: which files a folder has, how it differs, and the manifests of jobs."""

from __future__ import annotations

import enum
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.markup import escape

from shotput import _native, manifests
from shotput.cli import places, targets
from shotput.cli.failure import CommandFailure, ExitCode
from shotput.cli.job import find
from shotput.cli.output import JsonOption, bars, counted, emit, out

app = typer.Typer(
    help="Make, compare, send and fetch manifests: lists of files with their hashes.",
    epilog="Example: shotput manifest snapshot --root ./shot010",
    no_args_is_help=True,
)

Root = Annotated[Path, typer.Option("--root", help="The folder whose files are meant.")]
Include = Annotated[list[str] | None, typer.Option("--include", "-i", help="Pattern of files; `**` for any depth.")]
Exclude = Annotated[list[str] | None, typer.Option("--exclude", "-e", help="Pattern of files that are left out.")]
Patterns = Annotated[
    str | None,
    typer.Option("--include-exclude-config", "-ie", help='JSON, or a file of it: {"include": [], "exclude": []}.'),
]
Rehash = Annotated[bool, typer.Option("--force-rehash", help="Read every file, and compare contents.")]


class AssetType(enum.StrEnum):
    """Which of a job's manifests."""

    INPUT = "input"
    OUTPUT = "output"
    ALL = "all"


@app.command(epilog="Example: shotput manifest snapshot --root ./shot010 --destination ./manifests")
def snapshot(
    root: Root,
    destination: Annotated[
        Path | None, typer.Option("--destination", "-d", help="Where the manifest goes; into the root otherwise.")
    ] = None,
    name: Annotated[
        str | None, typer.Option("--name", "-n", help="The beginning of its name; the root's path otherwise.")
    ] = None,
    include: Include = None,
    exclude: Exclude = None,
    patterns: Patterns = None,
    force_rehash: Rehash = False,
    diff: Annotated[
        Path | None, typer.Option("--diff", help="A manifest: only what is new or changed since it is taken.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Write the manifest of a folder's files."""
    root = _folder(root, "root")
    chosen = manifests.Chosen.of(include or (), exclude or (), patterns)
    folder = root if destination is None else _folder(destination, "destination")
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
    root = _folder(root, "root")
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
    manifest_file: Annotated[Path, typer.Argument(help="The manifest.")],
    s3_cas_uri: Annotated[
        str | None, typer.Option("--s3-cas-uri", help="s3://BUCKET/PREFIX, in place of the queue's own.")
    ] = None,
    s3_manifest_prefix: Annotated[
        str, typer.Option("--s3-manifest-prefix", help="Folder below `Manifests/` that it goes to.")
    ] = "",
    target: targets.TargetOption = targets.TargetName.LOCAL,
    as_json: JsonOption = False,
) -> None:
    """Send a manifest, and none of its files, to the object store."""
    connection = targets.connect(target)
    path = "/".join(filter(None, (s3_manifest_prefix.strip("/"), manifest_file.name)))
    place = places.of(connection, s3_cas_uri)
    stored = _native.upload_manifest(manifests.read(manifest_file), path, **place)
    emit(as_json, stored, lambda: out.print(f"[green]✓[/] Manifests/{escape(stored['path'])}"))


@app.command(epilog="Example: shotput manifest download ./manifests --job-id last --asset-type output")
def download(
    download_dir: Annotated[Path, typer.Argument(help="Where the manifests go.")],
    job_id: Annotated[str, typer.Option("--job-id", help="A job's id, its unique beginning, or `last`.")] = "last",
    step_id: Annotated[str | None, typer.Option("--step-id", help="A step, with the steps that it waits for.")] = None,
    asset_type: Annotated[
        AssetType, typer.Option("--asset-type", case_sensitive=False, help="Those of inputs, of outputs, or all.")
    ] = AssetType.ALL,
    target: targets.TargetOption = targets.TargetName.LOCAL,
    as_json: JsonOption = False,
) -> None:
    """Fetch a job's manifests, merged by root."""
    folder = _folder(download_dir, "download")
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


def _folder(path: Path, what: str) -> Path:
    if not path.is_dir():
        raise CommandFailure(f"The {what} folder {path} does not exist.", ExitCode.USAGE)
    return path.absolute()
