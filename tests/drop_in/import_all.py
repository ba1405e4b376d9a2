"""Imports every module of packages, and says how each import ends, as JSON.

Usage: import_all.py [--pretend NAME,NAME] PACKAGE ... Pretended modules have every name: they stand for what a host
brings, so that what is imported behind it is imported too.
"""

from __future__ import annotations

import argparse
import ast
import importlib
import importlib.abc
import importlib.util
import json
import sys
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType
from typing import ClassVar
from unittest.mock import MagicMock


class Pretended(ModuleType):
    """A module that has every name."""

    __path__: ClassVar[list[str]] = []

    def __getattr__(self, name: str) -> MagicMock:
        if name.startswith("__"):
            raise AttributeError(name)
        found = MagicMock(name=name)
        setattr(self, name, found)
        return found


class Pretender(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Finds modules of some names, whatever is below them."""

    def __init__(self, names: list[str]) -> None:
        self.names = names

    def find_spec(self, fullname: str, path: object, target: object = None) -> ModuleSpec | None:
        return ModuleSpec(fullname, self, is_package=True) if fullname.split(".")[0] in self.names else None

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        return Pretended(spec.name)

    def exec_module(self, module: ModuleType) -> None:
        pass


def modules(package: str) -> list[tuple[str, Path]]:
    spec = importlib.util.find_spec(package)
    assert spec is not None
    found = []
    for place in spec.submodule_search_locations or []:
        for path in sorted(Path(place).rglob("*.py")):
            parts = [*package.split("."), *path.relative_to(place).with_suffix("").parts]
            if all(part.isidentifier() for part in parts) and parts[-1] != "__main__":
                found.append((".".join(part for part in parts if part != "__init__"), path))
    return found


def ending(module: str) -> str:
    try:
        importlib.import_module(module)
    except Exception as error:
        return f"{type(error).__name__}: {error}"
    return "imported"


def names(path: Path) -> list[str]:
    """The names that a module takes from the client, and those of `api` and `config` that it uses."""
    found = []
    tree = ast.parse(path.read_text("utf-8"))
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith(
            ("deadline.client", "deadline.job_attachments")
        ):
            found += [f"{node.module}:{alias.name}" for alias in node.names]
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "api":
            found.append(f"deadline.client.api:{node.attr}")
    return found


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--pretend", default="")
    parser.add_argument("packages", nargs="+")
    given = parser.parse_args()
    sys.meta_path.insert(0, Pretender(given.pretend.split(",")))
    found = [one for package in given.packages for one in modules(package)]
    json.dump(
        {
            "endings": {module: ending(module) for module, _ in found},
            "names": sorted({name for _, path in found for name in names(path)}),
        },
        sys.stdout,
    )


if __name__ == "__main__":
    main()
