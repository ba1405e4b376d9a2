"""The tables of what the drop-in has, one row a symbol, and their pages in the documentation.

``PYTHONPATH=tests python -m drop_in.table`` writes the rows into ``docs/compatibility.md``; a test holds them equal.
"""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any

from generated_rows import PAGE, replaced

_TABLE = Path(__file__).with_name("symbols.toml")
_CONTRACT = Path(__file__).parents[1] / "unit" / "native" / "contract" / "contract.toml"


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


def _table(what: str, lines: list[tuple[str, str, str]]) -> str:
    return f"| {what} | | |\n|---|---|---|\n" + "".join(f"| {' | '.join(line)} |\n" for line in lines) + "\n"


def _symbols() -> str:
    """The rows of the package."""
    parts = []
    for module, listed in groupby(rows(), lambda row: row.module):
        lines = [(f"`{row.name}`", row.verdict, row.note) for row in listed]
        parts.append(f"## `{module}`\n\n{_table('symbol', lines)}")
    return "".join(parts)


def _contract() -> str:
    """The rows of the native contract."""
    table: dict[str, Any] = tomllib.loads(_CONTRACT.read_text("utf-8"))
    names = {**table["functions"], **table["classes"]}
    named = [(f"`{name}`", row["verdict"], row.get("note", "")) for name, row in names.items()]
    decided = [(row["question"], row["verdict"], row["note"]) for row in table["decisions"]]
    return _table("name", named) + _table("what the contract leaves open", decided)


def page(text: str) -> str:
    """The page with the rows of today."""
    return replaced(replaced(text, "contract", _contract()), "rows", _symbols())


if __name__ == "__main__":
    PAGE.write_text(page(PAGE.read_text("utf-8")), "utf-8")
