"""Manifests: which files a root has, with hash, size and time of each."""

from __future__ import annotations

from .base_manifest import BaseAssetManifest, BaseManifestPath
from .hash_algorithms import HashAlgorithm, hash_data, hash_file
from .manifest_model import BaseManifestModel, ManifestModelRegistry
from .versions import ManifestVersion

__all__ = [
    "BaseAssetManifest",
    "BaseManifestModel",
    "BaseManifestPath",
    "HashAlgorithm",
    "ManifestModelRegistry",
    "ManifestVersion",
    "hash_data",
    "hash_file",
]

ManifestModelRegistry.register()
