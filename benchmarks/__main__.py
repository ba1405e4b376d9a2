"""Our figures beside the peers', in one run: a table on the terminal and ``benchmarks/results.json``.

Each module of ``SUITES`` has ``run() -> list[Row]``. ``python -m benchmarks [SUITE ...]`` runs the named ones, or all.
"""

from __future__ import annotations

import importlib
import json
import os
import platform
import sys
from pathlib import Path

from rich.console import Console
from rich.table import Table

from benchmarks.measure import Row

SUITES = ("startup", "attachments", "sessions", "farm", "render")
RESULTS = Path(__file__).with_name("results.json")


def main(names: list[str]) -> int:
    unknown = sorted(set(names) - set(SUITES))
    if unknown:
        sys.exit(f"No suite is named {', '.join(unknown)}; there are {', '.join(SUITES)}.")
    # Without a terminal rich takes 80 columns, in which no row is read.
    console = Console(width=None if sys.stdout.isatty() else 180)
    rows: list[Row] = []
    for name in names or SUITES:
        with console.status(f"{name}…"):
            rows += importlib.import_module(f"benchmarks.{name}").run()
    table = Table(title=f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}")
    for column in ("name", "ours", "peer", "ratio", "target", "met"):
        table.add_column(column, justify="left" if column == "name" else "right", overflow="fold")
    for row in rows:
        met = "[green]yes[/]" if row.met else "[red]no[/]"
        table.add_row(
            row.name, row.ours.text(), row.peer.text() if row.peer else "–", row.ratio_text(), row.target, met
        )
    console.print(table)
    RESULTS.write_text(json.dumps([row.document() for row in rows], indent=2) + "\n", encoding="utf-8")
    console.print(f"{RESULTS}: {sum(row.met for row in rows)} of {len(rows)} targets met")
    return 0 if all(row.met for row in rows) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
