"""What manifests of all versions have."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any

from .hash_algorithms import HashAlgorithm
from .versions import ManifestVersion

__all__ = ["BaseAssetManifest", "BaseManifestPath"]


@dataclass(init=False)
class BaseManifestPath(ABC):
    """A file: path below the root with ``/``, hash, size in bytes, time in microseconds since 1970."""

    path: str
    hash: str
    size: int
    mtime: int
    manifest_version = ManifestVersion.UNDEFINED

    def __init__(self, *, path: str, hash: str, size: int, mtime: int) -> None:
        self.path, self.hash, self.size, self.mtime = path, hash, size, mtime


@dataclass(init=False)
class BaseAssetManifest(ABC):
    """The files of a root."""

    hashAlg: HashAlgorithm
    paths: list[BaseManifestPath]
    manifestVersion: ManifestVersion
    totalSize: int

    def __init__(self, *, paths: list[BaseManifestPath], hash_alg: HashAlgorithm) -> None:
        self.paths, self.hashAlg = paths, hash_alg

    @classmethod
    @abstractmethod
    def get_default_hash_alg(cls) -> HashAlgorithm:
        """The algorithm of new manifests."""

    @classmethod
    @abstractmethod
    def decode(cls, *, manifest_data: dict[str, Any]) -> BaseAssetManifest:
        """From a document that was checked."""

    @abstractmethod
    def encode(self) -> str:
        """The canonical text, whose hash the service keeps."""
