"""Our figures beside the peers', in one run: a table on the terminal and ``benchmarks/results.json``.

Each module of ``SUITES`` has ``run() -> list[Row]``. ``python -m benchmarks [SUITE ...]`` runs the named ones, or all;
``--readme`` writes the table of all into ``benchmarks/README.md``.
"""

from __future__ import annotations

import importlib
import json
import sys
from pathlib import Path

from rich.console import Console
from rich.table import Table

from benchmarks import machine
from benchmarks.measure import QUICK, Row

# Suites that delete many files after those that time how files are made.
SUITES = ("startup", "again", "attachments", "memory", "growth", "submission", "sessions", "farm", "render")
RESULTS = Path(__file__).with_name("results.json")
README = Path(__file__).with_name("README.md")
_COLUMNS = ("name", "ours", "peer", "ratio", "target", "met")
_BEGIN, _END = "<!-- table: by `make bench README=yes` -->\n", "<!-- end of the table -->\n"


def main(arguments: list[str]) -> int:
    names = [name for name in arguments if name != "--readme"]
    unknown = sorted(set(names) - set(SUITES))
    if unknown:
        sys.exit(f"No suite is named {', '.join(unknown)}; there are {', '.join(SUITES)}.")
    readme = "--readme" in arguments
    if readme and (names or QUICK):
        sys.exit("The table in the README is that of one whole run: name no suites, and unset SHOTPUT_BENCH_QUICK.")
    # Without a terminal rich takes 80 columns, in which no row is read.
    console = Console(width=None if sys.stdout.isatty() else 180)
    rows: list[Row] = []
    for name in names or SUITES:
        with console.status(f"{name}…"):
            rows += importlib.import_module(f"benchmarks.{name}").run()
    table = Table(title=machine.description())
    for column in _COLUMNS:
        table.add_column(column, justify="left" if column == "name" else "right", overflow="fold")
    for row in rows:
        table.add_row(*_cells(row), "[green]yes[/]" if row.met else "[red]no[/]")
    console.print(table)
    RESULTS.write_text(json.dumps([row.document() for row in rows], indent=2) + "\n", encoding="utf-8")
    console.print(f"{RESULTS}: {sum(row.met for row in rows)} of {len(rows)} targets met")
    if readme:
        _write_readme(rows)
    return 0 if all(row.met for row in rows) else 1


def _cells(row: Row) -> tuple[str, ...]:
    return row.name, row.ours.text(), row.peer.text() if row.peer else "–", row.ratio_text(), row.target


def _write_readme(rows: list[Row]) -> None:
    text = README.read_text(encoding="utf-8")
    before, begin, rest = text.partition(_BEGIN)
    _, end, after = rest.partition(_END)
    if not begin or not end:
        sys.exit(f"{README} has no place for the table: {_BEGIN.strip()} … {_END.strip()}")
    lines = [machine.description(), ""]
    lines += [f"| {' | '.join(_COLUMNS)} |", "|---|---:|---:|---:|---:|---|"]
    lines += [f"| {' | '.join([*_cells(row), 'yes' if row.met else 'no'])} |" for row in rows]
    README.write_text("\n".join([before + begin, *lines, "", end + after]), encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
