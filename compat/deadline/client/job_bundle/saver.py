"""Writes documents of a job bundle."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from ._yaml import deadline_yaml_dump

__all__ = ["save_yaml_or_json_to_file"]


def save_yaml_or_json_to_file(bundle_dir: str, filename: str, file_type: str, data: Any) -> None:
    """Write ``<filename>.yaml`` or ``.json`` into the bundle; ``file_type`` is ``YAML`` or ``JSON``."""
    if file_type not in ("YAML", "JSON"):
        raise RuntimeError(f"The type of {filename} in {bundle_dir} is {file_type!r}; it must be YAML or JSON.")
    with (Path(bundle_dir) / f"{filename}.{file_type.lower()}").open("w", encoding="utf-8") as stream:
        if file_type == "YAML":
            deadline_yaml_dump(data, stream)
        else:
            json.dump(data, stream, indent=2)
