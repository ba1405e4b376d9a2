"""The table of the contract has a row for every name and every decision, and each row a test that exists."""

from __future__ import annotations

import ast
import json
import tomllib
from pathlib import Path
from typing import Any

import pytest

HERE = Path(__file__).parent
NATIVE_NAMES = HERE.parents[2] / "drop_in" / "native_names.json"
TABLE: dict[str, Any] = tomllib.loads((HERE / "contract.toml").read_text("utf-8"))
ROWS: dict[str, dict[str, str]] = {
    **TABLE["functions"],
    **TABLE["classes"],
    **{row["question"]: row for row in TABLE["decisions"]},
}


def test_there_is_a_row_for_every_name_and_every_decision() -> None:
    assert (len(TABLE["functions"]), len(TABLE["classes"]), len(TABLE["decisions"])) == (16, 2, 11)
    assert sorted([*TABLE["functions"], *TABLE["classes"]]) == sorted(json.loads(NATIVE_NAMES.read_text()))
    assert len(ROWS) == 29


@pytest.mark.parametrize("name", ROWS)
def test_a_row_says_how_it_compares_and_names_its_test(name: str) -> None:
    row = ROWS[name]
    assert row["verdict"] in ("same", "better", "differs")
    assert row["verdict"] == "same" or row["note"]
    place, _, function = row["test"].partition("::")
    tree = ast.parse((HERE.parent / place).read_text("utf-8"))
    assert function in {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}
