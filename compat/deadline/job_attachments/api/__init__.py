"""Sizes and lists of files for people. Manifests and attachments are in the modules beside this one."""

from __future__ import annotations

from .._path_summarization import (
    PathSummary,
    human_readable_file_size,
    summarize_path_list,
    summarize_paths_by_nested_directory,
    summarize_paths_by_sequence,
)

__all__ = [
    "PathSummary",
    "human_readable_file_size",
    "summarize_path_list",
    "summarize_paths_by_nested_directory",
    "summarize_paths_by_sequence",
]
