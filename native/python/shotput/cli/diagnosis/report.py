"""Findings as a person reads them: in the order of the road, the eye led to what is to be done."""

from __future__ import annotations

from itertools import groupby
from pathlib import Path
from typing import Any

from rich.console import Group
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from shotput.cli.diagnosis.questions import Finding, Level

_SIGNS = {
    Level.OK: ("✓", "green"),
    Level.WARNING: ("!", "yellow"),
    Level.FAILED: ("✗", "red"),
    Level.UNKNOWN: ("?", "blue"),
}
_WIDEST_NAME = 26
# What nobody could ask leaves the verdict open.
_ESSENTIAL = frozenset({"identity.login", "queue.status", "bucket.exists"})
_TITLES = {
    "target": "Target",
    "network": "Network",
    "identity": "Identity",
    "rights": "Rights",
    "queue": "Queue",
    "bucket": "Bucket",
    "fleets": "Fleets",
    "bundle": "Bundle",
    "parameters": "Parameters",
    "steps": "Steps",
}


def report(target: str, bundle: Path | None, findings: list[Finding], counts: dict[Level, int]) -> Group:
    """The findings for a person: groups in the order of the road, the eye led to what is to be done."""
    groups = [(group, _compact(list(members))) for group, members in groupby(findings, key=lambda found: found.group)]
    width = min(_WIDEST_NAME, max((len(finding.name) for _, members in groups for finding in members), default=0))
    parts: list[Any] = []
    for group, members in groups:
        parts += [Text(_TITLES.get(group, group), style="bold"), _rows(members, width), Text()]
    return Group(*parts, _verdict(target, bundle, findings, counts))


def _compact(findings: list[Finding]) -> list[Finding]:
    """Rights that are granted are one line: a list of names says it all."""
    if not findings or findings[0].group != "rights":
        return findings
    granted = [finding.name for finding in findings if finding.level is Level.OK]
    others = [finding for finding in findings if finding.level is not Level.OK]
    return [Finding("rights.allowed", Level.OK, ", ".join(granted)), *others] if granted else others


def _rows(findings: list[Finding], width: int) -> Padding:
    grid = Table.grid(padding=(0, 2, 0, 0))
    grid.add_column(width=1)
    grid.add_column(width=width, no_wrap=True, overflow="ellipsis")
    grid.add_column(overflow="fold")
    for finding in findings:
        sign, style = _SIGNS[finding.level]
        found = Text(finding.found, style="" if finding.level is not Level.OK else "dim")
        if finding.next:
            found.append("\n→ ", style=style)
            found.append(finding.next, style="default not dim")
        name = Text(finding.name.replace("_", " "), style="bold" if finding.level is Level.FAILED else "")
        grid.add_row(Text(sign, style=f"bold {style}"), name, found)
    return Padding(grid, (0, 0, 0, 2), expand=False)


def _verdict(target: str, bundle: Path | None, findings: list[Finding], counts: dict[Level, int]) -> Text:
    words = {Level.OK: "passed", Level.WARNING: "to look at", Level.FAILED: "failed", Level.UNKNOWN: "not known"}
    text = Text()
    if counts[Level.FAILED]:
        text.append("✗ Not ready. ", style="bold red")
    elif any(finding.level is Level.UNKNOWN and finding.check in _ESSENTIAL for finding in findings):
        text.append("? Perhaps ready: not all could be asked. ", style="bold blue")
    else:
        text.append("✓ Ready. ", style="bold green")
    tally = [(level, counts[level]) for level in Level if counts[level]]
    for position, (level, count) in enumerate(tally):
        text.append(" · " if position else "", style="dim")
        text.append(f"{count} {words[level]}", style=_SIGNS[level][1])
    for finding in findings:
        if finding.level is Level.FAILED:
            text.append(f"\n  ✗ {finding.group}: {finding.name.replace('_', ' ')}", style="red")
    if counts[Level.FAILED]:
        return text
    if bundle is not None:
        text.append("\n  Next: ", style="dim")
        text.append(f"shotput submit {bundle} --target {target}", style="bold")
    else:
        text.append("\n  A bundle can be held against it: ", style="dim")
        text.append(f"shotput doctor BUNDLE --target {target}", style="dim bold")
    return text
