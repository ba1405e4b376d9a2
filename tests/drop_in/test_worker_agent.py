"""The newest worker agent of PyPI over the drop-in: it imports as over the official package, and takes nothing else."""

from __future__ import annotations

from pathlib import Path

import pytest
from drop_in.conftest import imported, missing_names

pytestmark = pytest.mark.slow
PACKAGES = ["deadline_worker_agent"]


def test_the_agent_imports_as_with_the_official_package(drop_in: Path, agent: Path, official: Path) -> None:
    ours, theirs = imported(drop_in, PACKAGES, agent), imported(official, PACKAGES)
    assert ours["endings"] == theirs["endings"]
    assert ours["endings"]["deadline_worker_agent.worker"] == "imported"
    assert ours["endings"]["deadline_worker_agent.sessions.actions.scripts.attachment_upload"] == "imported"


def test_every_name_that_the_agent_takes_is_there(drop_in: Path, agent: Path) -> None:
    names = imported(drop_in, PACKAGES, agent)["names"]
    assert "deadline.job_attachments.asset_sync:AssetSync" in names
    assert missing_names(names) == []
