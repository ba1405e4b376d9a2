"""The client side of the package ``deadline``. ``version`` is the one whose names and signatures these are."""

from __future__ import annotations

__all__ = ["version"]

version = "0.60.10"
