"""Many paths in few lines: numbered files as one, folders with what is in them."""

from __future__ import annotations

import ntpath
import os
import posixpath
import re
from collections.abc import Collection, Iterable
from pathlib import PurePath, PurePosixPath, PureWindowsPath
from types import ModuleType
from typing import Any

from .models import PathFormat
from .progress_tracker import human_readable_file_size

__all__ = [
    "PathSummary",
    "human_readable_file_size",
    "summarize_path_list",
    "summarize_paths_by_nested_directory",
    "summarize_paths_by_sequence",
]

# A name, its last number, a suffix.
_NUMBERED = re.compile(r"^(.*\D|)(\d+)(\.[^/\\]+)?$", re.DOTALL)
_Paths = Collection["PurePath | str"]


class PathSummary:
    """A file, a folder (its path ends with a separator) or a sequence of files.

    ``path`` of a sequence has a ``%d`` or ``%04d`` for the numbers in ``index_set``. ``total_size`` is in bytes, None
    when nobody said. ``children`` of a folder are by their names.
    """

    def __init__(
        self,
        path: str,
        *,
        path_format: PathFormat | None = None,
        index_set: set[int] | None = None,
        file_count: int | None = None,
        total_size: int | None = None,
        children: dict[str, PathSummary] | None = None,
    ) -> None:
        self._paths = _rules(path_format)
        self.path = path
        self.index_set = index_set or set()
        self.file_count = len(self.index_set) or (file_count if file_count is not None else int(not self.is_dir()))
        self.total_size = total_size
        self.children = children

    def is_dir(self) -> bool:
        """Whether it is a folder."""
        return self.path.endswith(tuple(filter(None, (self._paths.sep, self._paths.altsep))))

    def summary(self, *, include_totals: bool = True, relative_to: PurePath | str | None = None) -> str:
        """The path, below ``relative_to`` where that is given, and what is in it."""
        path = self.path
        if relative_to is not None:
            path = self._paths.relpath(self.path, relative_to) + (self._paths.sep if self.is_dir() else "")
        if include_totals:
            return f"{path} ({self.summary_totals()})"
        return f"{path} (sequence indexes {_ranges(self.index_set)})" if self.index_set else path

    def summary_totals(self) -> str:
        """What is in it: ``3 files, 30 MB, sequence 1-3``."""
        parts = [f"{self.file_count} file{'' if self.file_count == 1 else 's'}"]
        if self.total_size is not None:
            parts.append(human_readable_file_size(self.total_size))
        if self.index_set:
            parts.append(f"sequence {_ranges(self.index_set)}")
        return ", ".join(parts)

    def __str__(self) -> str:
        return self.summary()

    def __repr__(self) -> str:
        members = [repr(self.path)]
        if self.is_dir() and self.file_count:
            members.append(f"file_count={self.file_count}")
        if self.index_set:
            members.append(f"index_set={{{', '.join(map(str, sorted(self.index_set)))}}}")
        members += [
            f"{name}={value!r}" for name in ("total_size", "children") if (value := getattr(self, name)) is not None
        ]
        return f"PathSummary({', '.join(members)})"

    def _key(self) -> tuple[Any, ...]:
        return self.path, self.index_set, self.file_count, self.total_size, self.children

    def __eq__(self, other: object) -> bool:
        return isinstance(other, PathSummary) and self._key() == other._key()

    __hash__ = None  # type: ignore[assignment]  # it can be changed


def _rules(path_format: PathFormat | None) -> ModuleType:
    return {PathFormat.WINDOWS: ntpath, PathFormat.POSIX: posixpath}.get(path_format, os.path)  # type: ignore[arg-type]


def _ranges(numbers: set[int]) -> str:
    """Numbers as ``1-3,7``."""
    runs: list[list[int]] = []
    for number in sorted(numbers):
        if runs and number == runs[-1][-1] + 1:
            runs[-1][1:] = [number]
        else:
            runs.append([number])
    return ",".join("-".join(map(str, run)) for run in runs)


def _sequences(paths: Iterable[str]) -> dict[str, set[int]]:
    """Paths, and patterns of three and more with their numbers."""
    groups: dict[tuple[str, str], list[tuple[str, str]]] = {}
    found: dict[str, set[int]] = {}
    for path in sorted(paths):
        if match := _NUMBERED.match(path):
            groups.setdefault((match[1], match[3] or ""), []).append((match[2], path))
        else:
            found[path] = set()
    for (stem, suffix), members in groups.items():
        rest = members
        while len(rest) > 2:
            # A number with a zero in front says how many digits there are; longer ones may be of the same sequence.
            digits = max(len(number) if number.startswith("0") else 1 for number, _ in rest)
            taken = {int(number) for number, _ in rest if len(number) >= digits}
            found[f"{stem}{f'%0{digits}d' if digits > 1 else '%d'}{suffix}"] = taken
            rest = [member for member in rest if len(member[0]) < digits]
        found.update((path, set()) for _, path in rest)
    return found


def summarize_paths_by_sequence(
    path_list: _Paths, *, path_format: PathFormat | None = None, total_size_by_path: dict[str, int] | None = None
) -> list[PathSummary]:
    """Numbered files and folders as sequences, sorted. ``total_size_by_path`` has the bytes of every path."""
    path_format = path_format or PathFormat.get_host_path_format()

    def written(path: PurePath | str) -> str:
        return str(path).replace("/", "\\") if path_format is PathFormat.WINDOWS else str(path)

    sizes = {written(path): size for path, size in (total_size_by_path or {}).items()}
    found = []
    for path, numbers in sorted(_sequences({written(path) for path in path_list}).items()):
        summary = PathSummary(path, path_format=path_format, index_set=numbers)
        if sizes:
            head, mark, tail = re.split(r"(%\d*d)(?=\.[^/\\]*$|$)", path, maxsplit=1) if numbers else (path, "", "")
            names = [f"{head}{mark % number}{tail}" for number in numbers] or [path]
            summary.total_size = sum(sizes[name] for name in names)
        found.append(summary)
    return found


def summarize_paths_by_nested_directory(
    path_list: _Paths, *, path_format: PathFormat | None = None, total_size_by_path: dict[str, int] | None = None
) -> list[PathSummary]:
    """Sequences within their folders: one entry for each drive or first folder, from where it branches."""
    path_format = path_format or PathFormat.get_host_path_format()
    kind = PureWindowsPath if path_format is PathFormat.WINDOWS else PurePosixPath
    rules = _rules(path_format)
    top: dict[str, PathSummary] = {}
    for summary in summarize_paths_by_sequence(
        path_list, path_format=path_format, total_size_by_path=total_size_by_path
    ):
        level = top
        *folders, name = kind(summary.path).parts
        for depth, folder in enumerate(folders):
            if folder not in level:
                place = rules.join(*folders[: depth + 1], "")
                size = 0 if total_size_by_path else None
                level[folder] = PathSummary(place, path_format=path_format, total_size=size, children={})
            level[folder].file_count += summary.file_count
            if summary.total_size is not None:
                level[folder].total_size = (level[folder].total_size or 0) + summary.total_size
            children = level[folder].children
            assert children is not None
            level = children
        level[name] = summary
    return [_branching(summary) for summary in top.values()]


def _branching(summary: PathSummary) -> PathSummary:
    """The first folder on the way down that has more than one thing in it."""
    while summary.children is not None and len(summary.children) == 1:
        (summary,) = summary.children.values()
    return summary


def summarize_path_list(
    path_list: _Paths,
    *,
    path_format: PathFormat | None = None,
    total_size_by_path: dict[str, int] | None = None,
    max_entries: int = 10,
    include_totals: bool = True,
) -> str:
    """About ``max_entries`` lines that say what is in the list, the largest first; empty for an empty list."""
    entries = summarize_paths_by_nested_directory(
        path_list, path_format=path_format, total_size_by_path=total_size_by_path
    )
    if len(entries) == 1 and entries[0].children and len(entries[0].children) <= max_entries / 2:
        entries = [_branching(child) for child in entries[0].children.values()]
    entries = _largest_first(entries)
    # Every entry has a line; what is left of them goes to what is in the entries, evenly.
    shown = entries[:max_entries]
    inner = [min(len(entry.children or ()), max_entries) for entry in shown]
    while len(shown) + sum(inner) > max_entries and max(inner, default=0) > 1:
        widest = max(range(len(inner)), key=lambda index: (inner[index], index))
        inner[widest] -= 1
    while len(shown) + sum(inner) > max_entries and len(shown) > 1:
        shown.pop()
        inner.pop()
    lines = []
    for entry, count in zip(shown, inner):
        children = _largest_first((entry.children or {}).values())
        lines.append(entry.summary(include_totals=include_totals) + (":" if children else ""))
        if count == len(children) - 1:
            # A line that says "one more" may as well say which.
            count += 1
        for child in children[:count]:
            lines.append("  " + child.summary(include_totals=include_totals, relative_to=entry.path))
        if len(children) > count:
            lines.append(f"  ... and {len(children) - count} more")
    rest = entries[len(shown) :]
    if rest:
        totals = PathSummary("", file_count=sum(entry.file_count for entry in rest))
        if total_size_by_path:
            totals.total_size = sum(entry.total_size or 0 for entry in rest)
        lines.append(f"... and {len(rest)} more" + (f" ({totals.summary_totals()})" if include_totals else ""))
    return "".join(f"{line}\n" for line in lines)


def _largest_first(entries: Iterable[PathSummary]) -> list[PathSummary]:
    return sorted(
        entries,
        key=lambda entry: (-(entry.file_count if entry.total_size is None else entry.total_size), entry.path),
    )
