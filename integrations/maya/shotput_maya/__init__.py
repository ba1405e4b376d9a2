"""Shotput in Maya: not ready. The add-on loads, says so, and changes nothing."""

from __future__ import annotations

import logging

NOT_READY = (
    "Shotput for Maya is not ready yet: this version submits from Blender, and from bundles by the shotput command."
)


def start() -> None:
    """Called when Maya starts with the add-on installed."""
    logging.getLogger(__name__).warning(NOT_READY)
