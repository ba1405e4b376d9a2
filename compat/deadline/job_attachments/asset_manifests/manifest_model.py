"""Which classes the manifests of a version have."""

from __future__ import annotations

from typing import ClassVar

from .base_manifest import BaseAssetManifest, BaseManifestPath
from .versions import ManifestVersion

__all__ = ["BaseManifestModel", "ManifestModelRegistry"]


class BaseManifestModel:
    """The classes of a version."""

    manifest_version: ManifestVersion = ManifestVersion.UNDEFINED
    AssetManifest: type[BaseAssetManifest]
    Path: type[BaseManifestPath]


class ManifestModelRegistry:
    """All versions that there are."""

    _asset_manifest_mapping: ClassVar[dict[ManifestVersion, type[BaseManifestModel]]] = {}

    @classmethod
    def register(cls) -> None:
        """Make the versions of this package known. The package itself does so."""
        from .v2023_03_03 import ManifestModel

        cls._asset_manifest_mapping[ManifestModel.manifest_version] = ManifestModel

    @classmethod
    def get_manifest_model(cls, *, version: ManifestVersion) -> type[BaseManifestModel]:
        """The classes of a version. Raises ``RuntimeError`` for one that is not known."""
        model = cls._asset_manifest_mapping.get(version)
        if model is None:
            raise RuntimeError(f"There are no manifests of the version {version!r}; only 2023-03-03 is known.")
        return model
