"""The client side of the package ``deadline``. ``version`` is the one whose names and signatures these are."""

from __future__ import annotations

import warnings
from pathlib import Path

__all__ = ["version"]

version = "0.60.10"

# A module that the official package alone has: what is imported from here is then a mixture of both.
if Path(__file__).with_name("_version.py").exists():
    warnings.warn(
        f"The official package deadline lies in {Path(__file__).parent} too, below the files of shotput-deadline. "
        "`shotput-deadline check` says how to take them apart.",
        RuntimeWarning,
        stacklevel=2,
    )
