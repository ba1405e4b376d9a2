"""Manifests on disk."""

from __future__ import annotations

from pathlib import Path

from ..asset_manifests import BaseAssetManifest
from ..asset_manifests.decode import decode_manifest
from ..exceptions import NonValidInputError

__all__ = ["_read_manifests"]


def _read_manifests(manifest_paths: list[str]) -> dict[str, BaseAssetManifest]:
    """Manifests by the names of their files. Raises ``NonValidInputError`` for a path that is no file."""
    missing = [path for path in manifest_paths if not Path(path).is_file()]
    if missing:
        raise NonValidInputError(f"There is no manifest {', '.join(missing)}. Check the path.")
    return {Path(path).name: decode_manifest(Path(path).read_text("utf-8")) for path in manifest_paths}
