"""How commands speak: one JSON document or text on standard output, progress on standard error, and a log file."""

from __future__ import annotations

import json
import logging
import logging.handlers
import sys
import textwrap
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn
from rich.table import Table

from shotput import local_farm

JsonOption = Annotated[bool, typer.Option("--json", help="Print one JSON document and no progress.")]

# What goes to a file or another program is not folded to a terminal's width: ids and paths stay whole.
_UNFOLDED = 1000
out = Console(highlight=False, soft_wrap=True, width=None if sys.stdout.isatty() else _UNFOLDED)
err = Console(stderr=True, highlight=False, soft_wrap=True, width=None if sys.stderr.isatty() else _UNFOLDED)
log = logging.getLogger("shotput")


def log_file() -> Path:
    """Where this command writes its log."""
    return local_farm.data_dir() / "logs" / "shotput.log"


def start_log() -> None:
    """Send the records of ``shotput`` to the log file; with nowhere to write, the command goes on without one."""
    path = log_file()
    log.setLevel(logging.INFO)
    log.propagate = False
    # A line that a full disk does not take is lost, and no traceback of logging's own stands in for it.
    logging.raiseExceptions = False
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handler = logging.handlers.RotatingFileHandler(path, maxBytes=2_000_000, backupCount=3, encoding="utf-8")
    except OSError as error:
        # Without any handler, logging would put tracebacks on standard error.
        log.addHandler(logging.NullHandler())
        err.print(f"No log is written: {path} cannot be opened ({error.strerror}).", style="yellow", markup=False)
        return
    handler.setFormatter(logging.Formatter("%(asctime)s %(process)d %(levelname)s %(message)s"))
    log.addHandler(handler)


def is_logged() -> bool:
    """Whether the log file could be opened."""
    return any(isinstance(handler, logging.FileHandler) for handler in log.handlers)


def emit(as_json: bool, document: Any, show: Callable[[], None]) -> None:
    """Print the document, or show it to a person."""
    if as_json:
        typer.echo(json.dumps(document, indent=2, ensure_ascii=False, default=str))
    else:
        show()


def table(*columns: str, folds: int = -1) -> Table:
    """An empty table in the one style. A column that begins with ``>`` is aligned to the right.

    Where a terminal is too narrow, the column ``folds`` takes more lines. The others stay whole: names, ids and words,
    for the eye and for the mouse.
    """
    grid = Table(box=None, pad_edge=False, header_style="bold", padding=(0, 2, 0, 0))
    for index, column in enumerate(columns):
        grid.add_column(
            column.removeprefix(">"),
            justify="right" if column.startswith(">") else "left",
            overflow="fold",
            no_wrap=index != folds % len(columns),
        )
    return grid


def in_words(text: str) -> str:
    """Lines for the error console, broken between words; what is longer than a line stays whole: a path to copy."""
    if not err.is_terminal:
        return text
    lines = (
        textwrap.wrap(line, err.width, break_long_words=False, break_on_hyphens=False)
        if len(line) > err.width
        else [line]
        for line in text.split("\n")
    )
    return "\n".join(part for wrapped in lines for part in wrapped)


def size(count: float) -> str:
    """Bytes for a person, in SI units: ``1.5 MB``."""
    for unit in ("B", "KB", "MB", "GB", "TB"):
        if abs(count) < 1000 or unit == "TB":
            return f"{count:.0f} B" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1000
    raise AssertionError("unreachable")


def counted(files: int) -> str:
    """A number of files for a person: ``1 file``."""
    return "1 file" if files == 1 else f"{files} files"


def parameter_value(value: Any) -> str:
    """A parameter's value as ``-p`` takes it: text as it is, the rest as JSON, e.g. ``true`` or ``["a", "b"]``."""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


_STATUS_STYLES = {
    "SUCCEEDED": "green",
    "FAILED": "red",
    "NOT_COMPATIBLE": "red",
    "CANCELED": "yellow",
    "SUSPENDED": "yellow",
    "RUNNING": "cyan",
}


def status(name: str) -> str:
    """A status in its colour."""
    style = _STATUS_STYLES.get(name)
    return f"[{style}]{name}[/]" if style else name


class Bar:
    """One line of progress, there from its first report on; nothing when there is nobody to see it."""

    def __init__(self, progress: Progress | None, title: str) -> None:
        self._progress = progress
        self._title = title
        self._task: TaskID | None = None
        self.last: dict[str, Any] = {}
        """What the native module said last of a transfer; empty when there was none."""

    def transfer(self, info: dict[str, Any]) -> bool:
        """Show a progress dictionary of the native module; ``True``, so that it serves as the callback itself."""
        self.last = info
        skipped = info.get("skippedFiles", 0)
        note = f"{counted(info['processedFiles'] + skipped)}, {size(info['totalBytes'])}"
        if skipped:
            note += f", {skipped} known already"
        if info["transferRate"] > 0:
            note += f" at {size(info['transferRate'])}/s"
        self.update(info["progress"], note)
        return True

    def update(self, percent: float, note: str = "") -> None:
        """Show ``percent`` (0 to 100) and a note."""
        if self._progress is None:
            return
        if self._task is None:
            self._task = self._progress.add_task(self._title, total=100, note="")
        self._progress.update(self._task, completed=percent, note=note)


class Bars:
    """The bars of one command, one below the other."""

    def __init__(self, progress: Progress | None) -> None:
        self._progress = progress

    def add(self, title: str) -> Bar:
        """A new bar."""
        return Bar(self._progress, title)


@contextmanager
def bars(as_json: bool) -> Iterator[Bars]:
    """Progress bars on standard error while the block runs; none with ``--json``, or where nobody watches."""
    if as_json or not err.is_terminal:
        yield Bars(None)
        return
    columns = (
        TextColumn("{task.description:<8}"),
        BarColumn(bar_width=30),
        TextColumn("{task.percentage:>3.0f}%"),
        TimeElapsedColumn(),
        TextColumn("[dim]{task.fields[note]}"),
    )
    with Progress(*columns, console=err) as progress:
        yield Bars(progress)
