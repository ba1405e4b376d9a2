"""Job attachments under their published names. ``version`` is the one whose names and signatures these are."""

from __future__ import annotations

__all__ = ["version"]

version = "0.1.5"
