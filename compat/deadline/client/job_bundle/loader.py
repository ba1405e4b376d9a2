"""Documents of a job bundle, in YAML or JSON."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import yaml

from ..exceptions import DeadlineOperationError

__all__ = [
    "is_job_bundle_dir",
    "parse_yaml_or_json_content",
    "read_yaml_or_json",
    "read_yaml_or_json_object",
    "validate_directory_symlink_containment",
]


def is_job_bundle_dir(path: str) -> bool:
    """Whether the folder has a template."""
    return any((Path(path) / f"template.{suffix}").is_file() for suffix in ("yaml", "json"))


def validate_directory_symlink_containment(job_bundle_dir: str) -> None:
    """Raise ``DeadlineOperationError`` for what is no folder, and for an entry that leads out of the folder."""
    root = Path(job_bundle_dir).resolve()
    if not root.is_dir():
        raise DeadlineOperationError(f"The job bundle {job_bundle_dir} is not a folder.")
    for folder, folders, files in os.walk(root):
        for name in (*folders, *files):
            path = Path(folder) / name
            # Not Path.resolve, which fails for links that lead in a circle.
            leads_to = Path(os.path.realpath(path))
            if root not in leads_to.parents:
                raise DeadlineOperationError(
                    f"The job bundle {root} has {path}, which leads outside of it to {leads_to}. Put a copy into "
                    "the bundle, or refer to the file in asset_references."
                )


def read_yaml_or_json(job_bundle_dir: str, filename: str, required: bool) -> tuple[str, str]:
    """Read ``<filename>.yaml`` or ``.json``: its text and ``"YAML"`` or ``"JSON"``; ``("", "")`` when neither is there.

    Raises ``DeadlineOperationError`` when both are there, and when one is required and neither is.
    """
    present = [(Path(job_bundle_dir) / f"{filename}.{kind.lower()}", kind) for kind in ("YAML", "JSON")]
    present = [(path, kind) for path, kind in present if path.is_file()]
    if len(present) > 1:
        raise DeadlineOperationError(
            f"The job bundle {job_bundle_dir} has both {filename}.yaml and {filename}.json. Remove one of them."
        )
    if present:
        path, kind = present[0]
        return path.read_text(encoding="utf-8"), kind
    if required:
        raise DeadlineOperationError(
            f"The job bundle {job_bundle_dir} has neither {filename}.yaml nor {filename}.json."
        )
    return "", ""


def parse_yaml_or_json_content(file_contents: str, file_type: str, bundle_dir: str, filename: str) -> Any:
    """Parse the text of :func:`read_yaml_or_json`. Raises ``DeadlineOperationError`` with the place of a mistake."""
    if file_type not in ("YAML", "JSON"):
        raise RuntimeError(f"The type of {filename} in {bundle_dir} is {file_type!r}; it must be YAML or JSON.")
    try:
        return yaml.safe_load(file_contents) if file_type == "YAML" else json.loads(file_contents)
    except (yaml.YAMLError, json.JSONDecodeError) as error:
        path = Path(bundle_dir) / f"{filename}.{file_type.lower()}"
        raise DeadlineOperationError(f"The file {path} is not {file_type}: {error}") from error


def read_yaml_or_json_object(bundle_dir: str, filename: str, required: bool) -> Any | None:
    """Read and parse a document; ``None`` when it is neither there nor required, and when it is empty."""
    text, kind = read_yaml_or_json(bundle_dir, filename, required)
    return parse_yaml_or_json_content(text, kind, bundle_dir, filename) if text else None
