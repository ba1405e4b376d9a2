"""Imports every module of packages, and says how each import ends, as JSON. Usage: import_all.py PACKAGE ..."""

from __future__ import annotations

import ast
import importlib
import importlib.util
import json
import sys
from pathlib import Path


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
    found = [one for package in sys.argv[1:] for one in modules(package)]
    json.dump(
        {
            "endings": {module: ending(module) for module, _ in found},
            "names": sorted({name for _, path in found for name in names(path)}),
        },
        sys.stdout,
    )


if __name__ == "__main__":
    main()
