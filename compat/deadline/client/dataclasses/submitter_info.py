"""The module that holds the class in the official package."""

from __future__ import annotations

from . import SubmitterInfo

__all__ = ["SubmitterInfo"]
