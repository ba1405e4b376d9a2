"""Reads manifests."""

from __future__ import annotations

import json
from typing import Any

from ..exceptions import ManifestDecodeValidationError
from .base_manifest import BaseAssetManifest
from .manifest_model import ManifestModelRegistry
from .versions import ManifestVersion

__all__ = ["decode_manifest", "validate_manifest"]

_MEMBERS: dict[str, type] = {"hashAlg": str, "manifestVersion": str, "paths": list, "totalSize": int}
_PATH_MEMBERS: dict[str, type] = {"path": str, "hash": str, "size": int, "mtime": int}


def decode_manifest(manifest: str) -> BaseAssetManifest:
    """The manifest of a text. Raises ``ManifestDecodeValidationError`` with what is wrong with it."""
    document = json.loads(manifest)
    _check(document, _MEMBERS, "The manifest")
    try:
        version = ManifestVersion(document["manifestVersion"])
    except ValueError:
        version = ManifestVersion.UNDEFINED
    _check_version(document, version)
    return ManifestModelRegistry.get_manifest_model(version=version).AssetManifest.decode(manifest_data=document)


def validate_manifest(manifest: dict[str, Any], version: ManifestVersion) -> tuple[bool, str | None]:
    """Whether a document is a manifest of a version, and what is wrong with it if not."""
    try:
        _check(manifest, _MEMBERS, "The manifest")
        _check_version(manifest, version)
    except ManifestDecodeValidationError as error:
        return False, str(error)
    return True, None


def _check_version(document: dict[str, Any], version: ManifestVersion) -> None:
    if version != ManifestVersion.v2023_03_03 or document["manifestVersion"] != version.value:
        raise ManifestDecodeValidationError(
            f"The manifest is of version {document['manifestVersion']!r}; only 2023-03-03 is known."
        )
    if document["hashAlg"] != "xxh128":
        raise ManifestDecodeValidationError(
            f"The manifest is hashed with {document['hashAlg']!r}; only xxh128 is known."
        )
    if not document["paths"]:
        raise ManifestDecodeValidationError("The manifest lists no file.")
    for entry in document["paths"]:
        _check(entry, _PATH_MEMBERS, "A file of the manifest")
        if not (entry["hash"].isascii() and entry["hash"].isalnum()):
            raise ManifestDecodeValidationError(
                f"The hash {entry['hash']!r} of {entry['path']!r} in the manifest has other than letters and digits."
            )


def _check(document: Any, members: dict[str, type], what: str) -> None:
    if not isinstance(document, dict):
        raise ManifestDecodeValidationError(f"{what} is {document!r}; it must be an object.")
    for name, kind in members.items():
        if not isinstance(document.get(name), kind):
            raise ManifestDecodeValidationError(
                f"{what} has {document.get(name)!r} as {name}; it must be of the type {kind.__name__}."
            )
