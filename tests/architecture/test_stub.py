"""``_native.pyi`` is the native module's documentation: what a caller sees says shapes and errors.

That it has the module's names and signatures is `mypy.stubtest`'s business, in `make check`.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

STUB = Path(__file__).parents[2] / "native" / "python" / "shotput" / "_native.pyi"
TREE = ast.parse(STUB.read_text("utf-8"))


def public(body: list[ast.stmt], owner: str = "") -> Iterator[tuple[str, ast.FunctionDef | ast.ClassDef]]:
    """Classes, functions, methods and properties by name; protocols of Python apart, but for how objects are made."""
    for node in body:
        if isinstance(node, (ast.FunctionDef, ast.ClassDef)):
            if node.name == "__new__" or not node.name.startswith("_"):
                yield owner + node.name, node
            if isinstance(node, ast.ClassDef):
                yield from public(node.body, f"{node.name}.")


def test_everything_is_documented() -> None:
    assert [name for name, node in public(TREE.body) if not ast.get_docstring(node)] == []


def test_every_function_says_what_it_raises() -> None:
    texts = {name: ast.get_docstring(node) or "" for name, node in public(TREE.body) if "." not in name}
    classes = {node.name for node in TREE.body if isinstance(node, ast.ClassDef)}
    # Also when it raises nothing: then the reader knows.
    assert [name for name, text in texts.items() if "raise" not in text.lower() and name not in classes] == []
