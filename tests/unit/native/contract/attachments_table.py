"""The table of the rules of job attachments, one row a rule, and its section in the documentation.

``PYTHONPATH=tests python -m unit.native.contract.attachments_table`` writes the rows into ``docs/compatibility.md``; a
test holds them equal.
"""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

from generated_rows import PAGE, replaced

_TABLE = Path(__file__).with_name("attachments.toml")
VERDICTS = ("same", "better", "differs", "not ours")


@dataclass(frozen=True)
class Row:
    """A rule: how ours compares with the official client's, why, and which tests hold it (``file::function``)."""

    section: str
    rule: str
    verdict: str
    note: str
    held: tuple[str, ...]


def rows() -> list[Row]:
    return [
        Row(section, row["rule"], row["verdict"], row.get("note", ""), tuple(row.get("held", ())))
        for section, rules in tomllib.loads(_TABLE.read_text("utf-8")).items()
        for row in rules
    ]


def page(text: str) -> str:
    """The page with the rows of today."""
    parts = []
    for section, listed in groupby(rows(), lambda row: row.section):
        lines = "".join(f"| {row.rule} | {row.verdict} | {row.note} |\n" for row in listed)
        parts.append(f"### {section}\n\n| | | |\n|---|---|---|\n{lines}\n")
    return replaced(text, "attachments", "".join(parts))


if __name__ == "__main__":
    PAGE.write_text(page(PAGE.read_text("utf-8")), "utf-8")
