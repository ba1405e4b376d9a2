"""Versions of manifests."""

from __future__ import annotations

from enum import Enum

__all__ = ["ManifestVersion"]


class ManifestVersion(str, Enum):
    """``v2023_03_03`` is the only one; ``UNDEFINED`` stands for none."""

    UNDEFINED = "UNDEFINED"
    v2023_03_03 = "2023-03-03"
