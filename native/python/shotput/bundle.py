"""The one writer of job bundles: a host's part in, ``template.yaml`` and its two companions out.

A host says which parameters its job has, which steps, and which files of its own travel in the template. The shape of
the documents (OpenJD 2023-09 with TASK_CHUNKING, Deadline Cloud's value and asset lists) is written here and nowhere
else. The same description gives the same bytes, whichever farm the bundle is for.

YAML is written by ``shotput.yamltext``: see there why a bundle is neither JSON nor written by a library.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from shotput import _native, frame_files, yamltext
from shotput.errors import BundleError
from shotput.parameters import OF_EVERY_JOB, refuse_unfit
from shotput.parameters import JobParameter as JobParameter
from shotput.scene import SceneDescription, Verdict

SPECIFICATION = "jobtemplate-2023-09"
JOB_NAME_LENGTH = 128
_STEP_NAME_LENGTH = 64
# Deadline Cloud's limit for the template of CreateJob.
_TEMPLATE_LENGTH = 1_000_000
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]+")


@dataclass(frozen=True)
class EmbeddedFile:
    """A text that travels inside the template; workers find it as ``{{Task.File.<name>}}``."""

    name: str
    filename: str
    text: str


def frame_files_module() -> EmbeddedFile:
    """``shotput.frame_files`` for the render script: it makes of frames and output pattern what the export checked."""
    text = Path(frame_files.__file__).read_text(encoding="utf-8")
    return EmbeddedFile("FrameFiles", "frame_files.py", text)


@dataclass(frozen=True)
class RenderStep:
    """One step over the chunks of the job's frames: what the worker runs for each chunk.

    ``arguments`` are OpenJD format strings: a text that a person chose must not get there with its double braces.
    """

    name: str
    command: str
    arguments: tuple[str, ...]


@dataclass(frozen=True)
class HostPart:
    """What a host contributes. ``parameters`` hold ``Frames`` and ``ChunkSize``, which the steps' frames come from."""

    parameters: tuple[JobParameter, ...]
    steps: tuple[RenderStep, ...]
    files: tuple[EmbeddedFile, ...]


@dataclass
class AssetReferences:
    """Files and folders that travel with a job: inputs up, outputs home. Field names are those of the official
    client."""

    input_filenames: set[str] = field(default_factory=set)
    input_directories: set[str] = field(default_factory=set)
    output_directories: set[str] = field(default_factory=set)
    referenced_paths: set[str] = field(default_factory=set)

    def to_dict(self) -> dict[str, Any]:
        """The content of ``asset_references.yaml``."""
        return {
            "assetReferences": {
                "inputs": {
                    "filenames": sorted(self.input_filenames),
                    "directories": sorted(self.input_directories),
                },
                "outputs": {"directories": sorted(self.output_directories)},
                "referencedPaths": sorted(self.referenced_paths),
            }
        }


def _plain(text: str) -> str:
    """One line without what OpenJD reads as the start or the end of an expression."""
    line = _CONTROL.sub(" ", text)
    while "{{" in line or "}}" in line:
        line = line.replace("{{", "{ {").replace("}}", "} }")
    return line.strip()


def job_name(text: str) -> str:
    """A name that OpenJD takes: one line, no expression, 1 to 128 characters."""
    cleaned = _plain(text)
    return cleaned[:JOB_NAME_LENGTH].strip() or "Untitled"


def step_names(names: Sequence[str]) -> tuple[str, ...]:
    """One step name for each given name: allowed in OpenJD, at most 64 characters, and different from the others."""
    result: list[str] = []
    for name in names:
        cleaned = _plain(name) or "Step"
        candidate, number = cleaned[:_STEP_NAME_LENGTH].strip(), 2
        while candidate in result:
            suffix = f" {number}"
            candidate, number = cleaned[: _STEP_NAME_LENGTH - len(suffix)].strip() + suffix, number + 1
        result.append(candidate)
    return tuple(result)


def job_template(
    name: str, part: HostPart, *, description: str = "", host_requirements: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """The OpenJD job template. ``host_requirements`` goes into every step as it is.

    Raises ``BundleError`` for a job without steps and for a text in ``part.files`` that OpenJD would take for a format
    string, and ``SettingsError`` for values of ``part.parameters`` that are not allowed.
    """
    refuse_unfit(part.parameters)
    if not part.steps:
        raise BundleError(
            "The job has no step: nothing in the scene is set to render. Enable a layer and export again."
        )
    for file in part.files:
        for braces in ("{{", "}}"):
            if braces in file.text:
                raise BundleError(f"The embedded file {file.filename} has '{braces}' in it, which OpenJD would read.")
    files = [{"name": file.name, "type": "TEXT", "filename": file.filename, "data": file.text} for file in part.files]
    steps: list[dict[str, Any]] = []
    for step in part.steps:
        frame = {
            "name": "Frame",
            "type": "CHUNK[INT]",
            "range": "{{Param.Frames}}",
            # Renderers take any list of frames, so a range with a step still fills its chunks.
            "chunks": {"defaultTaskCount": "{{Param.ChunkSize}}", "rangeConstraint": "NONCONTIGUOUS"},
        }
        document: dict[str, Any] = {"name": step.name, "parameterSpace": {"taskParameterDefinitions": [frame]}}
        if host_requirements:
            document["hostRequirements"] = dict(host_requirements)
        document["script"] = {
            "actions": {"onRun": {"command": step.command, "args": list(step.arguments)}},
            "embeddedFiles": files,
        }
        steps.append(document)
    template: dict[str, Any] = {
        "specificationVersion": SPECIFICATION,
        "extensions": ["TASK_CHUNKING"],
        "name": job_name(name),
    }
    if description:
        template["description"] = description
    template["parameterDefinitions"] = [parameter.definition() for parameter in part.parameters]
    template["steps"] = steps
    return template


def parameter_values(
    part: HostPart, job_values: Mapping[str, Any], queue_parameters: Sequence[Mapping[str, Any]] = ()
) -> list[dict[str, Any]]:
    """The values of the job's own parameters, of the service's (``deadline:priority`` …) and of the queue's.

    ``queue_parameters`` are definitions with a ``value`` each. Raises ``BundleError`` when a queue parameter has the
    name of one of the job's, and ``SettingsError`` for a value of ``job_values`` that is not allowed.
    """
    refuse_unfit([replace(OF_EVERY_JOB[name], value=value) for name, value in job_values.items()])
    values: list[dict[str, Any]] = [{"name": f"deadline:{name}", "value": value} for name, value in job_values.items()]
    values += [{"name": parameter.name, "value": parameter.value} for parameter in part.parameters]
    own = {parameter.name for parameter in part.parameters}
    for parameter in queue_parameters:
        if parameter["name"] in own:
            raise BundleError(
                f"The queue has a parameter '{parameter['name']}' and so has the job. Rename the queue's parameter, "
                "or submit to another queue."
            )
        values.append({"name": parameter["name"], "value": parameter.get("value", parameter.get("default", ""))})
    return values


def asset_references(scene: SceneDescription, scene_file: str, output_directories: Sequence[str]) -> AssetReferences:
    """What travels: the scene file, everything the scan found, and the folders that come home."""
    return AssetReferences(
        input_filenames={scene_file, *scene.input_files},
        input_directories=set(scene.input_directories),
        output_directories=set(output_directories),
    )


def missing_inputs_message(scene: SceneDescription) -> str:
    """One text that names each missing file with every data block that refers to it."""
    lines = [
        f"{dependency.path}: needed by {', '.join(str(owner) for owner in dependency.owners)}."
        for dependency in scene.with_verdict(Verdict.MISSING)
    ]
    return (
        f"{len(lines)} file(s) that the scene needs do not exist. Relink them, or allow missing files.\n"
        + "\n".join(lines)
    )


def write_bundle(
    directory: str | os.PathLike[str],
    template: Mapping[str, Any],
    values: Sequence[Mapping[str, Any]],
    references: AssetReferences,
) -> Path:
    """Writes the three documents into ``directory`` (made when it is not there) and returns it.

    Either all three are written or the folder's old ones stay. Raises ``TemplateError`` when no farm would make a job
    of template and values, and ``BundleError`` when the folder cannot be written or the template is larger than the
    service takes.
    """
    documents = {
        "template.yaml": yamltext.dump(template),
        "parameter_values.yaml": yamltext.dump({"parameterValues": list(values)}),
        "asset_references.yaml": yamltext.dump(references.to_dict()),
    }
    length = len(documents["template.yaml"])
    if length > _TEMPLATE_LENGTH:
        raise BundleError(
            f"The job template has {length:,} characters in {len(template['steps'])} steps; farms take "
            f"{_TEMPLATE_LENGTH:,}. Export fewer layers at once."
        )
    defined = {parameter["name"] for parameter in template.get("parameterDefinitions", ())}
    # The others are those of the service and of the queue, which are checked where they are known.
    own = {item["name"]: item["value"] for item in values if item["name"] in defined}
    _native.create_job(dict(template), own)
    folder = Path(directory)
    written: list[tuple[Path, Path]] = []
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, text in documents.items():
            draft = folder / f".{name}.{os.getpid()}"
            written.append((draft, folder / name))
            draft.write_bytes(text.encode("utf-8"))  # bytes: write_text would write \\r\\n on Windows
        for draft, final in written:
            draft.replace(final)
    except OSError as error:
        for draft, _ in written:
            if draft.exists():
                draft.unlink()
        raise BundleError(
            f"The job bundle cannot be written to {folder}: {error.strerror or error}. Choose another folder."
        ) from error
    return folder
