"""What commands print fits a terminal of 80 columns, and what a person copies stays in one piece."""

from __future__ import annotations

from io import StringIO

from rich.console import Console
from shotput.cli.output import table


def printed(grid: object) -> list[str]:
    console = Console(file=StringIO(), width=80)
    console.print(grid)
    stream = console.file
    assert isinstance(stream, StringIO)
    return [line.rstrip() for line in stream.getvalue().splitlines()]


def test_only_one_column_folds() -> None:
    job = f"job-{'0' * 32}"
    grid = table("JOB", "STATUS", ">TASKS", "CREATED", "NAME")
    grid.add_row(job, "SUCCEEDED", "12/12", "11-21 22:36", "shot010_beauty_v002")
    assert printed(grid)[1:] == [
        f"{job}  SUCCEEDED  12/12  11-21 22:36  shot010_bea",
        f"{'':71}uty_v002"[2:],
    ]
    long = "settings.small_file_threshold_multiplier"
    grid = table("SETTING", "VALUE", "", folds=1)
    grid.add_row(long, "/studio/assets:" * 4, "default")
    lines = printed(grid)
    assert lines[1].startswith(f"{long}  /studio/assets:")
    assert lines[1].endswith("  default")
    assert all(len(line) <= 80 for line in lines)
