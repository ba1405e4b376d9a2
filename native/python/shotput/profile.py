"""Loads DCC profiles: one file of data per host, checked against the schema, as frozen values.

``profiles/<host>.toml`` is what people write. Add-ons carry the same document frozen to JSON, because Python 3.9 and
3.10 have no TOML reader. The check here covers the part of JSON Schema that ``profile.schema.json`` uses and refuses
any other keyword, so that the schema cannot outgrow it unseen. This module interprets profiles; it knows no host by
name.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from shotput.errors import ProfileError

_TYPES: Mapping[str, type] = {"object": dict, "array": list, "string": str, "boolean": bool}
_CHECKED = {
    "type",
    "properties",
    "required",
    "additionalProperties",
    "items",
    "minItems",
    "enum",
    "pattern",
    "minLength",
}
_ANNOTATIONS = {"$schema", "title", "description"}


@dataclass(frozen=True)
class Generation:
    """A version of the host: its own Python (``3.11``), its Qt binding (``none``, ``PySide2``, ``PySide6``) and the
    PyPI package with its type stubs (``""`` when there is none)."""

    version: str
    python: str
    qt: str
    stubs: str = ""


@dataclass(frozen=True)
class DependencyRow:
    """A property that holds a path: ``owner`` (collection or ``nodes``), ``type`` (``""`` for all), dotted
    ``property``."""

    owner: str
    property: str
    kind: str
    type: str = ""
    directory: bool = False

    def to_dict(self) -> dict[str, Any]:
        """The row as it stands in the profile."""
        row: dict[str, Any] = {"owner": self.owner, "property": self.property, "kind": self.kind}
        if self.type:
            row["type"] = self.type
        if self.directory:
            row["directory"] = True
        return row


@dataclass(frozen=True)
class Profile:
    """One DCC. See ``profile.schema.json`` for what each value means."""

    name: str
    label: str
    ready: bool
    license: str
    generations: tuple[Generation, ...]
    package: str
    submitter: str
    export_script: str
    ui_surface: str
    ui_entry: str
    brings_farm: bool
    vendored: tuple[str, ...]
    suffixes: tuple[str, ...]
    executables: tuple[str, ...]
    executable_variable: str
    export_command: tuple[str, ...]
    failure: str
    render_executable: str
    render_setting: str
    render_arguments: tuple[str, ...]
    tokens: Mapping[str, str]
    dependencies: tuple[DependencyRow, ...]
    document: Mapping[str, Any]

    def frozen(self) -> str:
        """The profile as the JSON text that add-ons carry; the same profile gives the same text."""
        return json.dumps(self.document, indent=1, sort_keys=True) + "\n"


def findings(document: Any, schema: Mapping[str, Any], path: str = "") -> list[dict[str, str]]:
    """Every place where the document breaks the schema, as ``{"path", "message"}``; empty when it keeps it."""
    unknown = set(schema) - _CHECKED - _ANNOTATIONS
    if unknown:
        raise ProfileError(
            f"The schema uses {sorted(unknown)} at '{path}', which this check does not cover. Extend it."
        )
    wanted = schema.get("type")
    if wanted and not isinstance(document, _TYPES[wanted]):
        return [{"path": path, "message": f"{json.dumps(document, default=str)} is not of type {wanted}"}]
    found: list[dict[str, str]] = []
    if "enum" in schema and document not in schema["enum"]:
        found.append({"path": path, "message": f"'{document}' is not one of {', '.join(schema['enum'])}"})
    if isinstance(document, str):
        if len(document) < schema.get("minLength", 0):
            found.append({"path": path, "message": "is empty"})
        if "pattern" in schema and not re.search(schema["pattern"], document):
            found.append({"path": path, "message": f"'{document}' does not match {schema['pattern']}"})
    if isinstance(document, list):
        if len(document) < schema.get("minItems", 0):
            found.append({"path": path, "message": "is empty"})
        for number, item in enumerate(document):
            found += findings(item, schema.get("items", {}), f"{path}[{number}]")
    if isinstance(document, dict):
        found += _object_findings(document, schema, path)
    return found


def _object_findings(document: Mapping[str, Any], schema: Mapping[str, Any], path: str) -> list[dict[str, str]]:
    properties = schema.get("properties", {})
    others = schema.get("additionalProperties", True)
    found = [
        {"path": path, "message": f"'{name}' is missing"} for name in schema.get("required", ()) if name not in document
    ]
    for name, value in document.items():
        inner = f"{path}.{name}" if path else name
        if name in properties:
            found += findings(value, properties[name], inner)
        elif others is False:
            found.append({"path": inner, "message": "is not a known key"})
        elif isinstance(others, dict):
            found += findings(value, others, inner)
    return found


def profile_folders() -> tuple[Path, ...]:
    """Where profiles are looked for, first match wins: $SHOTPUT_PROFILES, beside this package, in the repository."""
    package = Path(__file__).resolve().parent
    named = os.environ.get("SHOTPUT_PROFILES")
    repository = package.parents[2] / "profiles" if len(package.parents) > 2 else None
    places = (Path(named) if named else None, package.parent / "shotput_integrations" / "profiles", repository)
    return tuple(folder for folder in places if folder)


def names() -> tuple[str, ...]:
    """The hosts that there are profiles for, sorted."""
    return tuple(
        sorted(
            {
                path.stem
                for folder in profile_folders()
                for path in folder.glob("*.*")
                if path.suffix in (".toml", ".json") and not path.name.endswith(".schema.json")
            }
        )
    )


def find(name: str) -> Profile:
    """The profile of one host. Raises ``ProfileError`` when there is none, or when it breaks the schema."""
    for folder in profile_folders():
        for suffix in (".toml", ".json"):
            path = folder / f"{name}{suffix}"
            if path.is_file():
                return load(path)
    raise ProfileError(f"There is no profile for '{name}'. Known hosts: {', '.join(names()) or 'none'}.")


def for_scene(scene: str | os.PathLike[str]) -> Profile:
    """The profile whose host opens files with this scene's suffix. Raises ``ProfileError`` when no host does."""
    suffix = Path(scene).suffix.lower()
    known: list[str] = []
    for name in names():
        profile = find(name)
        known += profile.suffixes
        if suffix in profile.suffixes:
            return profile
    raise ProfileError(
        f"No host opens '{suffix}' files ({os.fspath(scene)}). Scenes end in: {', '.join(sorted(known))}."
    )


def load(path: str | os.PathLike[str], schema: str | os.PathLike[str] | None = None) -> Profile:
    """The profile in a TOML or JSON file. ``schema`` defaults to ``profile.schema.json`` beside it or in the known
    folders.

    Raises ``ProfileError`` with every finding when the file cannot be read or breaks the schema.
    """
    file = Path(path)
    try:
        text = file.read_text(encoding="utf-8")
    except OSError as error:
        raise ProfileError(f"The profile {file} cannot be read: {error.strerror}. Check the path.") from error
    try:
        document = _parse_toml(text, file) if file.suffix == ".toml" else json.loads(text)
    except ValueError as error:
        raise ProfileError(f"The profile {file} cannot be understood: {error}.") from error
    # A profile frozen into an add-on lies there without the schema: the build has checked it.
    places = (
        [Path(schema)] if schema else [folder / "profile.schema.json" for folder in (file.parent, *profile_folders())]
    )
    for place in places:
        if place.is_file():
            found = findings(document, json.loads(place.read_text(encoding="utf-8")))
            if found:
                listed = "; ".join(f"{item['path'] or 'document'}: {item['message']}" for item in found)
                raise ProfileError(f"The profile {file} breaks its schema: {listed}.", found)
            break
    return parse(document)


def _parse_toml(text: str, file: Path) -> dict[str, Any]:
    try:
        import tomllib
    except ImportError as error:
        raise ProfileError(f"This Python reads no TOML. Use the profile frozen to JSON instead of {file}.") from error
    document: dict[str, Any] = tomllib.loads(text)
    return document


def parse(document: Mapping[str, Any]) -> Profile:
    """A checked document as a ``Profile``."""
    host, exporter, install, export = (document[key] for key in ("host", "exporter", "install", "export"))
    return Profile(
        name=host["name"],
        label=host["label"],
        ready=host["ready"],
        license=host["license"],
        generations=tuple(Generation(**generation) for generation in document["generations"]),
        package=exporter["package"],
        submitter=exporter["submitter"],
        export_script=exporter["script"],
        ui_surface=document["ui"]["surface"],
        ui_entry=document["ui"]["entry"],
        brings_farm=install.get("farm", False),
        vendored=tuple(install.get("vendored", ())),
        suffixes=tuple(export["suffixes"]),
        executables=tuple(export["executables"]),
        executable_variable=export.get("variable", ""),
        export_command=tuple(export["command"]),
        failure=export.get("failure", ""),
        render_executable=document["render"]["executable"],
        render_setting=document["render"].get("setting", ""),
        render_arguments=tuple(document["render"]["arguments"]),
        tokens=dict(document["tokens"]),
        dependencies=tuple(DependencyRow(**row) for row in document["dependencies"]),
        document=document,
    )
