"""A bundle against a queue: the checks of a submission, up to its first byte."""

from __future__ import annotations

import asyncio
import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from shotput import _native
from shotput.cli.diagnosis.questions import Finding, counted, failed, ok, parted, unknown, warning
from shotput.cli.diagnosis.queue import Queue
from shotput.cli.output import parameter_value, size
from shotput.errors import DeadlineOperationError

# Parameters of queue environments that fetch software: empty, they fetch none.
_SOFTWARE = ("CondaPackages", "RezPackages")

_FOLDERS_SHOWN = 5


class Examined:
    """What is known of a bundle: findings, and its steps (none when its template is not usable)."""

    def __init__(self) -> None:
        self.findings: list[Finding] = []
        self.steps: list[Any] = []


async def examine(
    folder: Path,
    values: Mapping[str, str],
    known: Sequence[Path],
    target: dict[str, Any] | None,
    queue: Queue | None,
) -> Examined:
    """Go through the submission of a bundle. ``queue`` is ``None`` when nothing is known of one."""
    examined = Examined()
    definitions = queue.definitions if queue is not None else None
    params = {
        "job_bundle_dir": str(folder),
        "target": target,
        # Where there is no farm yet, the bundle is looked at all the same.
        "farm_id": (queue.farm_id if queue is not None else "") or "farm",
        "queue_id": (queue.queue_id if queue is not None else "") or "queue",
        "job_parameters": [{"name": name, "value": value} for name, value in values.items()],
        "known_asset_paths": [str(path) for path in known],
        "queue_parameter_definitions": definitions,
        "require_paths_exist": True,
    }
    profile = queue.storage_profile if queue is not None else None
    try:
        preview = await asyncio.ensure_future(_native.call_async(_native.preview_submission, (params, profile)))
    except DeadlineOperationError as error:
        examined.findings.append(failed("bundle.documents", *parted(str(error))))
        return examined
    problems: dict[str, list[str]] = {}
    for problem in preview["problems"]:
        problems.setdefault(problem["about"], []).append(problem["message"])
    if "bundle" in problems:
        examined.findings += [failed("bundle.documents", *_document(text)) for text in problems["bundle"]]
    else:
        examined.findings.append(_steps(examined, preview))
    examined.findings += _files(preview, problems, queue)
    limits = problems.get("limits", [])
    characters = preview["template_characters"]
    examined.findings += [failed("bundle.limits", *parted(text)) for text in limits]
    then = "Choose the size of its chunks by hand, if that is not wanted."
    examined.findings += [warning("bundle.tasks", text, then) for text in preview["changes"]]
    if not limits and "bundle" not in problems:
        found = f"template of {characters} characters, {counted(len(preview['parameters']), 'parameter')}"
        examined.findings.append(ok("bundle.limits", f"{found}, {counted(len(preview['roots']), 'asset root')}"))
    examined.findings += _parameters(preview, problems, definitions, values)
    return examined


def _document(text: str) -> tuple[str, str]:
    """What is wrong with a document; the findings of a template say nothing about what to do."""
    if " the OpenJD rules" not in text:
        return parted(text)
    return text, "Correct it; `shotput check` finds the same without a farm."


def _parted_list(text: str) -> tuple[str, str]:
    """A sentence with a list of paths below it: what is wrong with which, and what to do."""
    head, newline, paths = text.partition("\n")
    what, then = parted(head)
    return (f"{what}\n{paths}", f"{then.rstrip(':')}.") if newline else (what, then)


def _steps(examined: Examined, preview: dict[str, Any]) -> Finding:
    check = "bundle.documents"
    template = preview["template"]
    defined = {definition["name"] for definition in template.get("parameterDefinitions") or ()}
    values = {
        parameter["name"]: parameter["value"]
        for parameter in preview["parameters"]
        if parameter["name"] in defined and "value" in parameter
    }
    try:
        job = _native.create_job(_native.decode_job_template(template), values)
    except DeadlineOperationError as error:
        if not preview["parameters"] and defined:
            # Why they have no values is told with the parameters.
            return unknown(check, "its steps are not known without its parameters")
        return failed(check, *_document(str(error)))
    examined.steps = job.steps
    tasks = sum(len(step.parameter_space) for step in job.steps)
    found = f"{job.name}: {counted(len(job.steps), 'step')}, {counted(tasks, 'task')}"
    return ok(check, found, {"steps": len(job.steps), "tasks": tasks})


def _parameters(
    preview: dict[str, Any],
    problems: dict[str, list[str]],
    definitions: list[dict[str, Any]] | None,
    given: Mapping[str, str],
) -> list[Finding]:
    if "bundle" in problems:
        return []
    findings = [failed("parameters.values", *parted(text)) for text in problems.get("parameters", ())]
    if definitions is None:
        why = "what the queue's environments ask for is not known"
        return [*findings, unknown("parameters.queue", why, "The answer to the queue's environments, above, says why.")]
    if findings:
        return findings
    values = {parameter["name"]: parameter for parameter in preview["parameters"]}
    own = len(values) - len(definitions)
    findings = [ok("parameters.bundle", f"{counted(own, 'parameter')} of the bundle, each with a value")] if own else []
    return findings + [_of_queue(definition, values[definition["name"]], given) for definition in definitions]


def _of_queue(definition: dict[str, Any], merged: dict[str, Any], given: Mapping[str, str]) -> Finding:
    name = definition["name"]
    check = f"parameters.{name}"
    value = merged.get("value", merged.get("default"))
    origin = "given" if name in given else "the bundle's" if "value" in merged else "the queue's default"
    if name in _SOFTWARE and not str(value).strip():
        then = f"Name what the job runs: -p {name}=… (a renderer that is on the workers already needs none)."
        return warning(check, "empty: workers fetch no software for the job", then, value)
    return ok(check, f"{parameter_value(value) or 'empty'} ({origin})", value)


def _files(preview: dict[str, Any], problems: dict[str, list[str]], queue: Queue | None) -> list[Finding]:
    check = "bundle.files"
    if "bundle" in problems:
        return []
    if "files" in problems:
        return [failed(check, *_parted_list(text)) for text in problems["files"]]
    roots = preview["roots"]
    files, total = sum(root["files"] for root in roots), sum(root["bytes"] for root in roots)
    findings = [warning(check, *parted(text)) for text in preview["warnings"]]
    if files and queue is not None and queue.details is not None and queue.bucket is None:
        then = "Ask the farm's administrator to set a bucket for the queue's job attachments."
        return [
            *findings,
            failed(check, f"{counted(files, 'file')} would not be uploaded: the queue has no bucket", then),
        ]
    if preview["unknown_files"]:
        shown = preview["unknown_folders"][:_FOLDERS_SHOWN]
        names = "".join(f"\n  {name}" for name in shown)
        found = f"{counted(preview['unknown_files'], 'file')} outside of the known folders, in:{names}"
        then = "You are asked about them; without a terminal, or with --yes, the submission ends. Name them known: "
        then += f"-k {shlex.quote(shown[0])}" if len(preview["unknown_folders"]) == 1 else "-k FOLDER, for each"
        findings.append(warning("bundle.known", found, f"{then}, or settings.known_asset_paths.", shown))
    where = ", ".join(
        f"{root['root']}" + (f" (location {root['location_name']})" if root["location_name"] else "") for root in roots
    )
    found = f"{counted(files, 'file')}, {size(total)}, below {where}" if roots else "none to upload"
    return [*findings, ok(check, found, roots)]
