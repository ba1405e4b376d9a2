"""What a submitter says of itself."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

__all__ = ["SubmitterInfo"]


@dataclass
class SubmitterInfo:
    """Names and versions of a submitter, its package and its host; dialogs show them.

    ``additional_info`` is anything that YAML can hold.
    """

    submitter_name: str
    submitter_package_name: str | None = None
    submitter_package_version: str | None = None
    host_application_name: str | None = None
    host_application_version: str | None = None
    additional_info: dict[str, Any] | None = None
