"""The folder of a farm that is gone at the end, and its workers with it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from shotput import local_farm
from unit.farm_process.processes import alive, workers


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    path = tmp_path / "farm"
    yield path
    local_farm.stop(data_dir=path)
    for pid in workers(path):
        assert not alive(pid)
