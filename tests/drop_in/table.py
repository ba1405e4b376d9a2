"""The table of symbols that the drop-in has: one row a symbol."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from pathlib import Path

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
    document = tomllib.loads(_TABLE.read_text("utf-8"))
    found = []
    for module, symbols in document.items():
        for name, row in symbols.items():
            found.append(
                Row(
                    module,
                    name,
                    row["verdict"],
                    row.get("note", ""),
                    tuple(row.get("signature", ())),
                )
            )
    return found
