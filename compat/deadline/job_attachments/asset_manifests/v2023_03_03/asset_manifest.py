"""The classes of manifests of version 2023-03-03."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import Any

from ...exceptions import ManifestDecodeValidationError
from ..base_manifest import BaseAssetManifest, BaseManifestPath
from ..hash_algorithms import HashAlgorithm
from ..manifest_model import BaseManifestModel
from ..versions import ManifestVersion

__all__ = ["DEFAULT_HASH_ALG", "SUPPORTED_HASH_ALGS", "AssetManifest", "ManifestModel", "ManifestPath"]

DEFAULT_HASH_ALG = HashAlgorithm.XXH128
SUPPORTED_HASH_ALGS = {DEFAULT_HASH_ALG}


@dataclass(init=False)
class ManifestPath(BaseManifestPath):
    """A file."""

    manifest_version = ManifestVersion.v2023_03_03


@dataclass(init=False)
class AssetManifest(BaseAssetManifest):
    """The files of a root."""

    def __init__(self, *, hash_alg: HashAlgorithm, paths: list[BaseManifestPath], total_size: int) -> None:
        if hash_alg not in SUPPORTED_HASH_ALGS:
            raise ManifestDecodeValidationError(f"There is no hash algorithm {hash_alg!r}; use xxh128.")
        super().__init__(paths=paths, hash_alg=hash_alg)
        self.totalSize = total_size
        self.manifestVersion = ManifestVersion.v2023_03_03

    @classmethod
    def get_default_hash_alg(cls) -> HashAlgorithm:
        """``XXH128``."""
        return DEFAULT_HASH_ALG

    @classmethod
    def decode(cls, *, manifest_data: dict[str, Any]) -> AssetManifest:
        """From a document that was checked."""
        return cls(
            hash_alg=HashAlgorithm(manifest_data["hashAlg"]),
            paths=[
                ManifestPath(path=entry["path"], hash=entry["hash"], size=entry["size"], mtime=entry["mtime"])
                for entry in manifest_data["paths"]
            ],
            total_size=manifest_data["totalSize"],
        )

    def encode(self) -> str:
        """The canonical text: ASCII, keys sorted, no spaces, paths by their UTF-16 code units."""
        self.paths.sort(key=lambda entry: entry.path.encode("utf-16-be", "surrogatepass"))
        return json.dumps(asdict(self), sort_keys=True, separators=(",", ":"), ensure_ascii=True)


class ManifestModel(BaseManifestModel):
    """The classes of this version."""

    manifest_version = ManifestVersion.v2023_03_03
    AssetManifest = AssetManifest
    Path = ManifestPath
