"""Hooks of submissions: what they are, and who runs them where no submission does.

``create_job_from_job_bundle`` runs hooks by itself, natively; these classes are for submitters that do it before.
"""

from __future__ import annotations

from ._manager import (
    HookManager,
    _generate_hooks_confirmation_message,
    collect_pre_gui_hook_sources,
    collect_submission_hook_sources,
)
from ._models import HookConfiguration, HookDefinition, HookMetadata, HookResult, validate_pre_gui_output

__all__ = [
    "HookConfiguration",
    "HookDefinition",
    "HookManager",
    "HookMetadata",
    "HookResult",
    "_generate_hooks_confirmation_message",
    "collect_pre_gui_hook_sources",
    "collect_submission_hook_sources",
    "validate_pre_gui_output",
]
