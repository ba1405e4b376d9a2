"""Everything that a submission would refuse in a job bundle, found without a farm: all of it, with its place.

The rules are those of the native submission, which stops at the first mistake. A value for a parameter of one of the
queue's environments is told here, because the bundle by itself has no such parameter.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from shotput import _native
from shotput.errors import BundleError, TemplateError
from shotput.parameters import OF_EVERY_JOB, problem

Finding = dict[str, str]
"""``{"document", "path", "message"}``: the file's name in the bundle (``""`` for the bundle as a whole), and the place
in it, like ``parameterValues[2] -> value``."""

_SERVICE = "deadline:"


def findings(folder: str | os.PathLike[str]) -> list[Finding]:
    """Every mistake in the bundle; an empty list means that a farm without environments of its own takes it.

    Raises ``BundleError`` when a document cannot be read, or is there twice or not at all.
    """
    return _Check(Path(folder)).run()


def template_of(folder: Path) -> Path:
    """The template of a bundle. Raises ``BundleError`` when there is none, or more than one."""
    found = _named(folder, "template")
    if found is None:
        raise BundleError(
            f"{folder} has neither template.yaml nor template.json; a job bundle has exactly one of them."
        )
    return found


def read_text(path: Path) -> str:
    """A document's text. Raises ``BundleError``."""
    try:
        return path.read_text(encoding="utf-8")
    except OSError as error:
        raise BundleError(f"Cannot read {path}: {error.strerror}.") from error
    except UnicodeDecodeError as error:
        raise BundleError(f"{path} is not UTF-8 text.") from error


def _named(folder: Path, name: str) -> Path | None:
    found = [path for path in (folder / f"{name}.yaml", folder / f"{name}.json") if path.is_file()]
    if len(found) > 1:
        raise BundleError(f"{folder} has both {name}.yaml and {name}.json; a job bundle has exactly one of them.")
    return found[0] if found else None


class _Check:
    def __init__(self, folder: Path) -> None:
        self.folder = folder.resolve()
        self.template = template_of(self.folder)
        self.found: list[Finding] = []

    def run(self) -> list[Finding]:
        text = read_text(self.template)
        for item in _native.check_template(text):
            self.add(self.template, item["path"], item["message"])
        if not any(item["path"] == "" for item in self.found):
            self.values(_native.parse_template(text).get("parameterDefinitions") or [])
        self.references()
        self.natively(text)
        return self.found

    def add(self, document: Path | None, path: str, message: str) -> None:
        self.found.append({"document": document.name if document else "", "path": path, "message": message})

    def document(self, name: str) -> tuple[Path | None, dict[str, Any]]:
        """A companion of the template; empty when there is none, or when it cannot be understood."""
        path = _named(self.folder, name)
        if path is None:
            return None, {}
        try:
            return path, _native.parse_template(read_text(path))
        except TemplateError as error:
            for item in error.findings:
                self.add(path, item["path"], item["message"])
        return None, {}

    def values(self, definitions: Any) -> None:
        known = {
            item["name"]: item
            for item in (definitions if isinstance(definitions, list) else [])
            if isinstance(item, dict) and isinstance(item.get("name"), str) and isinstance(item.get("type"), str)
        }
        given = set()
        path, document = self.document("parameter_values")
        items = document.get("parameterValues")
        if path is not None and not isinstance(items, list):
            self.add(path, "parameterValues", 'must be a list of {"name": ..., "value": ...}')
        for number, item in enumerate(items if isinstance(items, list) else ()):
            place = f"parameterValues[{number}]"
            if not isinstance(item, dict) or not isinstance(item.get("name"), str) or item.get("value") is None:
                self.add(path, place, f'must be {{"name": ..., "value": ...}}, and is {_shown(item)}')
                continue
            given.add(item["name"])
            said = self.value(known, item["name"], item["value"])
            if said:
                self.add(path, f"{place} -> value", said)
        for name, definition in known.items():
            if name not in given and "default" not in definition:
                self.add(path or self.template, name, "the parameter has neither a value nor a default")

    def value(self, known: Mapping[str, Mapping[str, Any]], name: str, value: Any) -> str:
        """What is wrong with one value; ``""`` when nothing is."""
        if name.startswith(_SERVICE):
            parameter = OF_EVERY_JOB.get(name[len(_SERVICE) :])
            if parameter is None:
                return (
                    f"{name} is no setting of a job; there are {', '.join(_SERVICE + known for known in OF_EVERY_JOB)}"
                )
            said = problem(parameter.definition(), value)
        elif ":" in name:
            return ""
        elif name not in known:
            return f"the template has no parameter {name}; it would have to be one of the queue's environments"
        else:
            said = problem(known[name], value)
            if not said and known[name]["type"] == "PATH" and "allowedValues" not in known[name]:
                said = self.leads_out(value)
        return f"{name} cannot be {_shown(value)}: {said}" if said else ""

    def references(self) -> None:
        path, document = self.document("asset_references")
        if path is None:
            return
        root = self.mapping(path, document, "assetReferences", "")
        for group, member in (("inputs", "filenames"), ("inputs", "directories"), ("outputs", "directories")):
            self.paths(path, self.mapping(path, root, group, "assetReferences"), member, f"assetReferences -> {group}")
        self.paths(path, root, "referencedPaths", "assetReferences")

    def mapping(self, path: Path, document: Mapping[str, Any], name: str, place: str) -> Mapping[str, Any]:
        value = document.get(name)
        if value is None or isinstance(value, dict):
            return value or {}
        where = f"{place} -> {name}" if place else name
        if not any(item["path"] == where for item in self.found):
            self.add(path, where, f"must be a mapping, and is {_shown(value)}")
        return {}

    def paths(self, path: Path, document: Mapping[str, Any], name: str, place: str) -> None:
        items, where = document.get(name), f"{place} -> {name}"
        if items is not None and not isinstance(items, list):
            self.add(path, where, f"must be a list of paths, and is {_shown(items)}")
            return
        for number, item in enumerate(items or ()):
            said = self.leads_out(item) if isinstance(item, str) and item else "it must be a path"
            if said:
                self.add(path, f"{where}[{number}]", f"{_shown(item)} cannot be used: {said}")

    def leads_out(self, path: str) -> str:
        # By their letters alone, as the submission does: what is no longer there has a path too.
        inside = os.path.normpath(self.folder / path)
        if Path(path).is_absolute() or Path(inside).is_relative_to(self.folder):
            return ""
        return "it leads outside of the job bundle; write it as an absolute path"

    def natively(self, text: str) -> None:
        """What submission itself says: of links wherever they are, and of the rest when nothing was found above."""
        try:
            read = _native.read_bundle(self.folder)
        except BundleError as error:
            if not self.found or str(error).startswith("The job bundle "):
                self.add(None, "", str(error))
            return
        if self.found:
            return
        own = {item["name"]: item["value"] for item in read["parameters"] if "type" in item and "value" in item}
        try:
            _native.create_job(text, own, job_template_dir=str(self.folder), current_dir=str(self.folder))
        except TemplateError as error:
            for item in error.findings:
                self.add(self.template, item["path"], item["message"])


def _shown(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)
