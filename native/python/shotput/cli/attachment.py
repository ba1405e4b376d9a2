"""``shotput attachment``: the files that manifests name, to the object store and back."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.markup import escape

from shotput import _native, manifests
from shotput.cli import interruption, places, targets
from shotput.cli.failure import CommandFailure, ExitCode
from shotput.cli.job import Conflict
from shotput.cli.output import JsonOption, bars, counted, emit, out, size

app = typer.Typer(
    help="Upload and download the files that manifests list.",
    epilog="Example: shotput attachment upload -m shot010-*.manifest -r ./shot010",
    no_args_is_help=True,
)

Manifests = Annotated[
    list[Path],
    typer.Option(
        "--manifests",
        "-m",
        help="A manifest. Its file name holds the hash of its root, as `shotput manifest` writes it. May be repeated.",
    ),
]
Rules = Annotated[
    Path | None,
    typer.Option(
        "--path-mapping-rules",
        help="JSON file: a list of {source_path_format, source_path, destination_path}, from roots to folders here.",
    ),
]
Uri = Annotated[
    str | None,
    typer.Option("--s3-root-uri", help="s3://BUCKET/PREFIX instead of the queue's, with your own credentials."),
]


@dataclass(frozen=True)
class Rule:
    """A root and the folder of this machine that it stands for."""

    source_path: str
    destination_path: str

    def is_for(self, manifest: Path) -> bool:
        """Whether a manifest's name holds the hash of the root."""
        return _native.hash_bytes(self.source_path.encode("utf-8")) in manifest.name


@app.command(epilog="Example: shotput attachment upload -m shot010-*.manifest -r ./shot010")
def upload(
    manifest_files: Manifests,
    root_dirs: Annotated[
        list[Path] | None,
        typer.Option("--root-dirs", "-r", help="The folder that a manifest was made from. May be repeated."),
    ] = None,
    path_mapping_rules: Rules = None,
    s3_root_uri: Uri = None,
    upload_manifest_path: Annotated[
        str | None,
        typer.Option("--upload-manifest-path", help="Upload the manifests too, to this folder below `Manifests/`."),
    ] = None,
    force_s3_check: Annotated[
        bool, typer.Option("--force-s3-check", help="Ask the bucket for every file, not the cache.")
    ] = False,
    target: targets.TargetOption = targets.TargetName.LOCAL,
    as_json: JsonOption = False,
) -> None:
    """Upload the files that manifests list and that the bucket does not have yet."""
    if bool(root_dirs) == bool(path_mapping_rules):
        raise CommandFailure("Name either --root-dirs or --path-mapping-rules: where the files lie.", ExitCode.USAGE)
    rules = read_rules(path_mapping_rules) if path_mapping_rules else _rules_of(root_dirs or [])
    chosen = [(path, _rule_for(path, rules)) for path in manifest_files]
    place = places.of(targets.connect(target), s3_root_uri)
    results: list[dict[str, Any]] = []
    going_on = "What was sent is not sent again: run the same command."
    with interruption.telling(going_on), bars(as_json) as shown:
        bar = shown.add("Upload")
        for path, rule in chosen:
            manifest = manifests.read(path)
            statistics = _native.upload_snapshot(
                rule.destination_path,
                manifest,
                **place,
                cache_dir=places.cache_dir(),
                force_s3_check=force_s3_check,
                on_progress=bar.transfer,
            )
            result: dict[str, Any] = {"manifest": str(path), "sourcePath": rule.source_path, "statistics": statistics}
            if upload_manifest_path:
                key = f"{upload_manifest_path.strip('/')}/{path.name}"
                stored = _native.upload_manifest(manifest, key, asset_root=rule.source_path, **place)
                result |= {"outputManifestPath": stored["path"], "outputManifestHash": stored["hash"]}
            results.append(result)

    def show() -> None:
        for result in results:
            done = result["statistics"]
            sent, known = done["processed_files"], done["skipped_files"]
            out.print(f"[green]✓[/] {escape(result['sourcePath'])}: {counted(sent)} sent, {known} there already")

    emit(as_json, {"uploaded": results}, show)


@app.command(epilog="Example: shotput attachment download -m shot010-*.manifest --path-mapping-rules rules.json")
def download(
    manifest_files: Manifests,
    s3_root_uri: Uri = None,
    path_mapping_rules: Rules = None,
    conflict: Annotated[
        Conflict | None,
        typer.Option(
            "--conflict-resolution",
            "--conflict",
            metavar="HOW",
            case_sensitive=False,
            help="What to do with files that exist: `skip`, `overwrite` or `create_copy`; by default as "
            "configured (`shotput config show`), else `create_copy`.",
        ),
    ] = None,
    target: targets.TargetOption = targets.TargetName.LOCAL,
    as_json: JsonOption = False,
) -> None:
    """Download the files that manifests list.

    They go to the folder that a rule names for their root.
    Without a rule they go to a folder with the manifest's name, below the current one.
    The current folder therefore cannot be the one that the manifest lies in.
    """
    rules = read_rules(path_mapping_rules) if path_mapping_rules else []
    folders: dict[str, Path] = {}
    for path in manifest_files:
        folder = next((rule.destination_path for rule in rules if rule.is_for(path)), str(Path.cwd() / path.name))
        if folder in folders:
            raise CommandFailure(f"{path} and {folders[folder]} both go to {folder}; merge them first.", ExitCode.USAGE)
        folders[folder] = path
    wanted = [
        {"manifest": manifests.read(path), "root_path": str(Path(folder).absolute())}
        for folder, path in folders.items()
    ]
    place = places.of(targets.connect(target), s3_root_uri)
    params = {**place, "manifests": wanted, "conflict_resolution": (conflict or _configured()).value.upper()}
    going_on = "What is there stays. Run the same command for the rest."
    with interruption.telling(going_on), bars(as_json) as shown:
        done = _native.download_manifests(params, on_progress=shown.add("Download").transfer)
    failures = [group["error"] for group in done.pop("groups").values() if group["error"]]
    if failures:
        raise CommandFailure(failures[0], ExitCode.TRANSFER)

    def show() -> None:
        out.print(f"{counted(len(done['files']))}, {size(done['statistics']['total_bytes'])}")
        for root, count in done["file_counts_by_root_directory"].items():
            out.print(f"  {escape(root)}: {counted(count)}")

    emit(as_json, done, show)


def read_rules(path: Path) -> list[Rule]:
    """The rules of a file: a list, or ``{"path_mapping_rules": [...]}``. Raises :class:`CommandFailure`."""
    try:
        document = json.loads(path.read_text("utf-8"))
        items = document["path_mapping_rules"] if isinstance(document, dict) else document
        return [Rule(str(item["source_path"]), str(item["destination_path"])) for item in items]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise CommandFailure(
            f"The path mapping rules {path} cannot be read: {error}. Give a list of objects with source_path_format, "
            "source_path and destination_path.",
            ExitCode.USAGE,
        ) from error


def _rules_of(roots: list[Path]) -> list[Rule]:
    for root in roots:
        places.folder(root, "root")
    # As written, and absolute: the name of a manifest may hold the hash of either.
    return [
        Rule(source, str(root.absolute()))
        for root in roots
        for source in dict.fromkeys((str(root), str(root.absolute())))
    ]


def _rule_for(manifest: Path, rules: list[Rule]) -> Rule:
    found = next((rule for rule in rules if rule.is_for(manifest)), None)
    if found is None:
        raise CommandFailure(
            f"No root is known for the manifest {manifest}: its name must hold the hash of one of "
            f"{', '.join(rule.source_path for rule in rules)}.",
            ExitCode.USAGE,
        )
    return found


def _configured() -> Conflict:
    setting = _native.get_setting("settings.conflict_resolution")
    return Conflict(setting.lower()) if setting in ("SKIP", "OVERWRITE", "CREATE_COPY") else Conflict.CREATE_COPY
