"""Walks the table of symbols row by row: each is called for real, has the official signature, and is documented."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from drop_in import (
    attachment_calls,
    bundle_calls,
    client_calls,
    monitoring_calls,
    submission_calls,
    transfer_calls,
    worker_calls,
)
from drop_in.calls import CALLS, Call
from drop_in.conftest import ROOT
from drop_in.signatures import differences
from drop_in.table import Row, page, rows
from generated_rows import PAGE
from shotput import _native

ROWS = rows()
OUTCOMES: dict[Call, str] = {}
DESCRIBE = Path(__file__).with_name("describe.py")
CALLERS = (
    attachment_calls,
    bundle_calls,
    client_calls,
    monitoring_calls,
    submission_calls,
    transfer_calls,
    worker_calls,
)


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.symbol)
def test_the_symbol_works_against_a_farm(row: Row, request: pytest.FixtureRequest) -> None:
    call = CALLS[row.symbol]
    # A function that calls several symbols for real does so once, and says for all of them how it ended.
    if call not in OUTCOMES:
        OUTCOMES[call] = "did not end"
        call(request.getfixturevalue("workstation"))
        OUTCOMES[call] = "passed"
    assert OUTCOMES[call] == "passed", f"{call.__name__} failed for another symbol"


def test_the_table_has_every_call_and_every_call_is_in_the_table() -> None:
    assert sorted(CALLS) == sorted(row.symbol for row in ROWS)


def _described(python: Path) -> dict[str, Any]:
    command = [python, "-I", DESCRIBE, *(row.symbol for row in ROWS)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    answer: dict[str, Any] = json.loads(done.stdout)
    return answer


@pytest.fixture(scope="session")
def described(drop_in: Path, newest: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    return _described(drop_in), _described(newest)


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.symbol)
def test_the_symbol_looks_like_the_official_one(row: Row, described: Any) -> None:
    ours, official = (description[row.symbol] for description in described)
    assert ours is not None
    assert differences(official, ours) == list(row.signature)


def test_the_native_names_are_those_of_the_contract_and_the_same_objects() -> None:
    from deadline import _native as published

    names = json.loads((DESCRIBE.parent / "native_names.json").read_text())
    assert len(names) == 18
    assert published.__all__ == names
    assert dir(published) == sorted(names)
    for name in names:
        assert getattr(published, name) is getattr(_native, name)
    with pytest.raises(AttributeError, match=r"^module 'deadline._native' has no attribute 'Session'$"):
        _ = published.Session


def test_the_documentation_has_a_line_for_every_row() -> None:
    text = PAGE.read_text("utf-8")
    assert text == page(text), "run: PYTHONPATH=tests python -m drop_in.table"


def test_a_program_hears_nothing_but_its_own_words(drop_in: Path, tmp_path: Path) -> None:
    """Hosts read the standard output of such programs line by line."""
    code = "import sys\n" + "".join(f"import {module}\n" for module in dict.fromkeys(row.module for row in ROWS))
    code += "loaded = {'boto3', 'botocore', 'qtpy', 'PySide2', 'PySide6'} & set(sys.modules)\nassert not loaded, loaded"
    done = subprocess.run([drop_in, "-I", "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_packages_of_others_live_in_the_namespace(drop_in: Path, tmp_path: Path) -> None:
    package = tmp_path / "site" / "deadline" / "foo_submitter"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text("from deadline.client.api import TelemetryClient\n")
    code = f"import sys; sys.path.append({str(tmp_path / 'site')!r}); import deadline, deadline.foo_submitter as foo; "
    code += "print(foo.TelemetryClient.__name__, getattr(deadline, '__file__', None))"
    done = subprocess.run([drop_in, "-I", "-c", code], capture_output=True, text=True, check=False)
    assert (done.stdout, done.stderr) == ("TelemetryClient None\n", "")


def test_this_process_tests_the_sources_of_the_repository() -> None:
    assert Path(sys.modules["deadline.client.api"].__file__ or "").is_relative_to(ROOT / "compat")
    assert all(caller.__name__.startswith("drop_in.") for caller in CALLERS)
