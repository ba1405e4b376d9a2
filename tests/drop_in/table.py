"""The table of symbols that the drop-in has, one row a symbol, and its pages in the documentation.

``PYTHONPATH=tests python -m drop_in.table`` writes the rows into ``docs/compatibility.md``; a test holds them equal.
"""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

from generated_rows import PAGE, replaced

_TABLE = Path(__file__).with_name("symbols.toml")


@dataclass(frozen=True)
class Row:
    """A symbol: how it compares with the official one, and why."""

    module: str
    name: str
    verdict: str
    note: str
    signature: tuple[str, ...]

    @property
    def symbol(self) -> str:
        return f"{self.module}:{self.name}"


def rows() -> list[Row]:
    return [
        Row(module, name, row["verdict"], row.get("note", ""), tuple(row.get("signature", ())))
        for module, symbols in tomllib.loads(_TABLE.read_text("utf-8")).items()
        for name, row in symbols.items()
    ]


def documentation() -> str:
    """The rows as the page has them."""
    parts = []
    for module, listed in groupby(rows(), lambda row: row.module):
        lines = "".join(f"| `{row.name}` | {row.verdict} | {row.note} |\n" for row in listed)
        parts.append(f"## `{module}`\n\n| symbol | | |\n|---|---|---|\n{lines}\n")
    return "".join(parts)


def page(text: str) -> str:
    """The page with the rows of today."""
    return replaced(text, "rows", documentation())


if __name__ == "__main__":
    PAGE.write_text(page(PAGE.read_text("utf-8")), "utf-8")
