"""Rows of a page of the documentation that are made of a table which a test walks."""

from __future__ import annotations

from pathlib import Path

PAGE = Path(__file__).parents[1] / "docs" / "compatibility.md"


def replaced(text: str, name: str, rows: str) -> str:
    """The page with the rows between the marks of a name."""
    begin, end = f"<!-- {name}: begin -->\n", f"<!-- {name}: end -->\n"
    before, _, rest = text.partition(begin)
    _, found, after = rest.partition(end)
    assert found, f"the page has no {begin.strip()} and {end.strip()}"
    return f"{before}{begin}\n{rows}{end}{after}"
