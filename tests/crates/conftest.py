from __future__ import annotations

import os

import pytest


@pytest.fixture(autouse=True)
def asked_for() -> None:
    """Keep builds of the core for other compilers and systems out of runs that did not ask for them."""
    if not os.environ.get("SHOTPUT_CRATES"):
        pytest.skip("builds the core once more, which takes minutes; set SHOTPUT_CRATES=1 to have it")
