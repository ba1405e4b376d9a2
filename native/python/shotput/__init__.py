"""Shotput: from a scene to frames, through an Open Job Description bundle.

This package is the typed facade over the native module. It imports nothing but itself and the standard library, so that
every host can load it: no Qt, no DCC, no third-party package.
"""

from __future__ import annotations

from shotput._native import __version__

__all__ = ["__version__"]
