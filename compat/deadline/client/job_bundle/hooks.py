"""Hooks of submissions, for submitters that run them themselves."""

from __future__ import annotations

from ._hooks import HookManager

__all__ = ["HookManager"]
