"""Manifests of version 2023-03-03."""

from __future__ import annotations

from .asset_manifest import AssetManifest, ManifestModel, ManifestPath

__all__ = ["AssetManifest", "ManifestModel", "ManifestPath"]
