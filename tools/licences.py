"""The licence gate, and the notices of third parties that go into every wheel and add-on.

``tools/licences.py --check`` fails when a crate of the native module, or a Python package that an add-on vendors, has a
licence that ``deny.toml`` does not allow. ``--notices FILE`` writes names, versions, licences and texts.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tomllib
from dataclasses import dataclass
from importlib.metadata import Distribution, PackageNotFoundError, distribution
from pathlib import Path
from typing import Any

from license_expression import ExpressionError, get_spdx_licensing
from packaging.requirements import Requirement

ROOT = Path(__file__).resolve().parent.parent
_TEXT_NAMES = ("license", "licence", "copying", "notice", "unlicense", "copyright")
_OURS = ("shotput",)
# Packages whose metadata do not say it in SPDX's words; the texts were read.
_CLARIFIED = {"python-dateutil": "Apache-2.0 OR BSD-3-Clause", "six": "MIT"}


@dataclass(frozen=True)
class Component:
    """Something of a third party that we ship."""

    name: str
    version: str
    licence: str
    texts: tuple[str, ...]
    origin: str


def crates() -> list[Component]:
    """Every crate that is linked into the native module, build and test dependencies apart."""
    command = ["cargo", "metadata", "--locked", "--format-version", "1"]
    try:
        answer = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True)
    except FileNotFoundError:
        raise SystemExit("licences: no cargo found; install Rust 1.94.1 or newer") from None
    except subprocess.CalledProcessError as error:
        raise SystemExit(f"licences: {' '.join(command)} failed: {error.stderr.strip()}") from None
    metadata = json.loads(answer.stdout)
    packages = {package["id"]: package for package in metadata["packages"]}
    nodes = {node["id"]: node for node in metadata["resolve"]["nodes"]}
    pending = [key for key, package in packages.items() if package["name"] == "shotput-native"]
    seen = set(pending)
    while pending:
        for dependency in nodes[pending.pop()]["deps"]:
            linked = any(kind["kind"] is None for kind in dependency["dep_kinds"])
            if linked and dependency["pkg"] not in seen:
                seen.add(dependency["pkg"])
                pending.append(dependency["pkg"])
    found = []
    for key in seen:
        package = packages[key]
        if package["name"].startswith(_OURS):
            continue
        folder = Path(package["manifest_path"]).parent
        licence = package["license"] or "unknown"
        found.append(Component(package["name"], package["version"], licence, _texts(sorted(folder.iterdir())), "crate"))
    return sorted(found, key=lambda item: (item.name, item.version))


def python_packages(roots: tuple[str, ...] = ("shotput-farm",)) -> list[Component]:
    """What ``roots`` need at run time, themselves and extras apart."""
    found: dict[str, Component] = {}
    pending = list(roots)
    while pending:
        name = pending.pop().lower()
        if name in found:
            continue
        try:
            package = distribution(name)
        except PackageNotFoundError:
            # What is not here cannot be judged, and a gate that skips it would let it through.
            raise SystemExit(f"licences: the package {name} is not installed; run `make setup`") from None
        texts = _texts([Path(str(package.locate_file(file))) for file in package.files or []])
        found[name] = Component(name, package.version, _python_licence(package), texts, "Python package")
        for text in package.requires or []:
            requirement = Requirement(text)
            if requirement.marker is None or requirement.marker.evaluate({"extra": ""}):
                pending.append(requirement.name)
    return sorted((item for item in found.values() if not item.name.startswith(_OURS)), key=lambda item: item.name)


def refused(components: list[Component], rules: dict[str, Any]) -> list[Component]:
    """The components whose licence expression cannot be met with the allowed licences."""
    allowed = set(rules["licenses"]["allow"])
    return [item for item in components if not _met(_CLARIFIED.get(item.name, item.licence), allowed)]


def notices(components: list[Component]) -> str:
    """Names and licences, then each distinct text once with the components that it belongs to."""
    lines = ["Third-party software in Shotput", ""]
    lines += [f"{item.name} {item.version} ({item.origin}): {item.licence}" for item in components]
    owners: dict[str, list[str]] = {}
    for item in components:
        for text in item.texts:
            owners.setdefault(text, []).append(f"{item.name} {item.version}")
    for text, names in owners.items():
        lines += ["", "=" * 100, ", ".join(dict.fromkeys(names)), "-" * 100, text]
    return "\n".join(lines) + "\n"


def _met(expression: str, allowed: set[str]) -> bool:
    """Whether an SPDX expression holds when only the allowed licences count."""
    licensing = get_spdx_licensing()
    # Cargo still takes the old form with a slash.
    try:
        parsed = licensing.parse(expression.replace("/", " OR "), validate=False)
    except ExpressionError:
        return False

    def holds(node: Any) -> bool:
        if node.__class__.__name__ == "AND":
            return all(holds(argument) for argument in node.args)
        if node.__class__.__name__ == "OR":
            return any(holds(argument) for argument in node.args)
        return str(node.render("{symbol.key}")) in allowed

    return parsed is not None and holds(parsed)


def _python_licence(package: Distribution) -> str:
    expression = package.metadata.get("License-Expression")
    if expression:
        return str(expression)
    names = {"MIT License": "MIT", "Apache Software License": "Apache-2.0", "BSD License": "BSD-3-Clause"}
    for line in package.metadata.get_all("Classifier") or []:
        parts = line.split(" :: ")
        if parts[0] == "License" and parts[-1] in names:
            return names[parts[-1]]
    return str(package.metadata.get("License") or "unknown")


def _texts(files: list[Path]) -> tuple[str, ...]:
    return tuple(
        file.read_text(encoding="utf-8", errors="replace").strip()
        for file in files
        if file.name.lower().startswith(_TEXT_NAMES)
        and file.suffix.lower() in ("", ".txt", ".md", ".mit", ".apache")
        and file.is_file()
    )


def main() -> int:
    """See the module's text."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--check", action="store_true", help="fail when a licence is not allowed")
    parser.add_argument("--notices", type=Path, metavar="FILE", help="write the notices")
    parser.add_argument("--crates", action="store_true", help="only what is linked into the native module")
    options = parser.parse_args()
    components = crates() if options.crates else crates() + python_packages()
    if options.notices:
        options.notices.write_text(notices(components), encoding="utf-8")
    if options.check:
        rules = tomllib.loads((ROOT / "deny.toml").read_text(encoding="utf-8"))
        wrong = refused(components, rules)
        for item in wrong:
            print(f"{item.origin} {item.name} {item.version} is under {item.licence!r}, which deny.toml does not allow")
        return 1 if wrong else 0
    return 0


if __name__ == "__main__":
    sys.exit(main())
