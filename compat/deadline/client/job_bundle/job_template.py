"""What templates say of user interfaces."""

from __future__ import annotations

import enum

__all__ = ["ControlType"]


class ControlType(enum.Enum):
    """Controls of job parameters. A ``SPIN_BOX`` has one for each of its types."""

    LINE_EDIT = enum.auto()
    MULTILINE_EDIT = enum.auto()
    INT_SPIN_BOX = enum.auto()
    FLOAT_SPIN_BOX = enum.auto()
    DROPDOWN_LIST = enum.auto()
    CHOOSE_INPUT_FILE = enum.auto()
    CHOOSE_OUTPUT_FILE = enum.auto()
    CHOOSE_DIRECTORY = enum.auto()
    CHECK_BOX = enum.auto()
    HIDDEN = enum.auto()
    LINE_EDIT_LIST = enum.auto()
    SPIN_BOX_LIST = enum.auto()
    CHECK_BOX_LIST = enum.auto()
    CHOOSE_INPUT_FILE_LIST = enum.auto()
    CHOOSE_OUTPUT_FILE_LIST = enum.auto()
    CHOOSE_DIRECTORY_LIST = enum.auto()
