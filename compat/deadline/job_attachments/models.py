"""The words of job attachments as data: what a queue, a storage profile and a job say of files."""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass, field
from datetime import datetime, timezone
from enum import Enum
from pathlib import Path
from typing import Any
from urllib.parse import urlparse
from uuid import uuid4

from .asset_manifests import BaseAssetManifest, BaseManifestPath, HashAlgorithm, hash_data
from .exceptions import MalformedAttachmentSettingError, MissingS3RootPrefixError

S3_DATA_FOLDER_NAME = "Data"
S3_MANIFEST_FOLDER_NAME = "Manifests"
S3_INPUT_MANIFEST_FOLDER_NAME = "Inputs"


class PathFormat(str, Enum):
    """How paths are written."""

    WINDOWS = "windows"
    POSIX = "posix"

    @classmethod
    def get_host_path_format(cls) -> PathFormat:
        """That of this machine."""
        return cls.WINDOWS if sys.platform == "win32" else cls.POSIX

    @classmethod
    def get_host_path_format_string(cls) -> str:
        """That of this machine, as text."""
        return cls.get_host_path_format().value


class StorageProfileOperatingSystemFamily(str, Enum):
    """Operating systems; from text in any case."""

    WINDOWS = "windows"
    LINUX = "linux"
    MACOS = "macos"

    @classmethod
    def _missing_(cls, value: object) -> StorageProfileOperatingSystemFamily | None:
        return next((member for member in cls if member.value == str(value).lower()), None)

    @classmethod
    def get_host_os_family(cls) -> StorageProfileOperatingSystemFamily:
        """That of this machine."""
        return {"win32": cls.WINDOWS, "darwin": cls.MACOS}.get(sys.platform, cls.LINUX)


class FileSystemLocationType(str, Enum):
    """Whether workers see a location (``SHARED``) or files go through the object store (``LOCAL``)."""

    SHARED = "SHARED"
    LOCAL = "LOCAL"


class JobAttachmentsFileSystem(str, Enum):
    """Whether a worker copies files before a task, or mounts them."""

    COPIED = "COPIED"
    VIRTUAL = "VIRTUAL"


class FileConflictResolution(Enum):
    """What a download does with a file that is there."""

    NOT_SELECTED = 0
    SKIP = 1
    OVERWRITE = 2
    CREATE_COPY = 3


class AssetType(str, Enum):
    """Which manifests of a job are meant."""

    INPUT = "input"
    OUTPUT = "output"
    ALL = "all"


class FileStatus(Enum):
    """A local file compared with its manifest."""

    UNCHANGED = 0
    NEW = 1
    MODIFIED = 2
    DELETED = 3


@dataclass
class FileSystemLocation:
    """A location of a storage profile."""

    name: str
    path: str
    type: FileSystemLocationType

    def to_dict(self) -> dict[str, Any]:
        """In the words of the service."""
        return {"name": self.name, "path": self.path, "type": self.type.value}


@dataclass
class StorageProfile:
    """Where a machine has its files."""

    storageProfileId: str
    displayName: str
    osFamily: StorageProfileOperatingSystemFamily
    fileSystemLocations: list[FileSystemLocation] = field(default_factory=list)

    def to_dict(self) -> dict[str, Any]:
        """In the words of the service."""
        return {
            "storageProfileId": self.storageProfileId,
            "displayName": self.displayName,
            "osFamily": self.osFamily.value,
            "fileSystemLocations": [place.to_dict() for place in self.fileSystemLocations],
        }


@dataclass
class ManifestProperties:
    """A root of a job: its manifest, and the folders below it that the job writes to."""

    rootPath: str
    rootPathFormat: PathFormat
    fileSystemLocationName: str | None = None
    inputManifestPath: str | None = None
    inputManifestHash: str | None = None
    outputRelativeDirectories: list[str] | None = None

    def to_dict(self) -> dict[str, Any]:
        """In the words of the service, without what is not set."""
        members = {
            "rootPath": self.rootPath,
            "fileSystemLocationName": self.fileSystemLocationName,
            "rootPathFormat": self.rootPathFormat.value,
            "inputManifestPath": self.inputManifestPath,
            "inputManifestHash": self.inputManifestHash,
            "outputRelativeDirectories": self.outputRelativeDirectories,
        }
        return {name: value for name, value in members.items() if value or name == "rootPath"}

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> ManifestProperties:
        """From the words of the service."""
        return cls(
            data["rootPath"],
            PathFormat(data["rootPathFormat"]),
            data.get("fileSystemLocationName"),
            data.get("inputManifestPath"),
            data.get("inputManifestHash"),
            data.get("outputRelativeDirectories"),
        )

    def as_output_metadata(self) -> dict[str, dict[str, str]]:
        """What an output manifest in the object store says of its root: ASCII, as S3 asks."""
        metadata = {"asset-root": self.rootPath}
        if not self.rootPath.isascii():
            text = json.dumps(self.rootPath)
            metadata = {"asset-root": text, "asset-root-json": text}
        if self.fileSystemLocationName:
            metadata["file-system-location-name"] = self.fileSystemLocationName
        return {"Metadata": metadata}


@dataclass
class Attachments:
    """The attachments of a job."""

    manifests: list[ManifestProperties] = field(default_factory=list)
    fileSystem: str = JobAttachmentsFileSystem.COPIED.value

    def to_dict(self) -> dict[str, Any]:
        """In the words of the service."""
        return {"manifests": [manifest.to_dict() for manifest in self.manifests], "fileSystem": self.fileSystem}


@dataclass
class JobAttachmentS3Settings:
    """Where a queue keeps files, and the keys below that place."""

    s3BucketName: str
    rootPrefix: str

    @staticmethod
    def from_root_path(root_path: str) -> JobAttachmentS3Settings:
        """From ``bucket/prefix``."""
        bucket, slash, prefix = root_path.partition("/")
        if not slash:
            raise MalformedAttachmentSettingError(
                f"{root_path!r} is no place of attachments; write it as bucket/prefix."
            )
        return JobAttachmentS3Settings(bucket, prefix)

    @staticmethod
    def from_s3_root_uri(uri: str) -> JobAttachmentS3Settings:
        """From ``s3://bucket/prefix``."""
        parsed = urlparse(uri)
        if parsed.scheme != "s3" or not parsed.netloc or not parsed.path[1:]:
            raise MalformedAttachmentSettingError(
                f"{uri!r} is no place of attachments; write it as s3://bucket/prefix."
            )
        return JobAttachmentS3Settings(parsed.netloc, parsed.path[1:])

    def to_root_path(self) -> str:
        """``bucket/prefix``."""
        return f"{self.s3BucketName}/{self.rootPrefix}"

    def to_s3_root_uri(self) -> str:
        """``s3://bucket/prefix``."""
        return f"s3://{self.to_root_path()}"

    def full_cas_prefix(self) -> str:
        """Where the contents of files lie."""
        return self._below_root(S3_DATA_FOLDER_NAME)

    def full_job_output_prefix(self, farm_id: str, queue_id: str, job_id: str) -> str:
        """Where the output manifests of a job lie."""
        return self._below_manifests(farm_id, queue_id, job_id)

    def full_step_output_prefix(self, farm_id: str, queue_id: str, job_id: str, step_id: str) -> str:
        """Where the output manifests of a step lie."""
        return self._below_manifests(farm_id, queue_id, job_id, step_id)

    def full_task_output_prefix(self, farm_id: str, queue_id: str, job_id: str, step_id: str, task_id: str) -> str:
        """Where the output manifests of a task lie."""
        return self._below_manifests(farm_id, queue_id, job_id, step_id, task_id)

    def full_output_prefix(
        self, farm_id: str, queue_id: str, job_id: str, step_id: str, task_id: str, session_action_id: str
    ) -> str:
        """Where the output manifests of an action lie."""
        return self._below_manifests(farm_id, queue_id, job_id, step_id, task_id, session_action_id)

    @staticmethod
    def partial_session_action_manifest_prefix(
        farm_id: str, queue_id: str, job_id: str, step_id: str, task_id: str, session_action_id: str, time: float
    ) -> str:
        """The key of an action's output manifests below ``Manifests``; ``time`` is when it began, since 1970."""
        return _joined(farm_id, queue_id, job_id, step_id, task_id, f"{_moment(time)}_{session_action_id}")

    @staticmethod
    def partial_session_action_manifest_prefix_without_task(
        farm_id: str, queue_id: str, job_id: str, step_id: str, session_action_id: str, time: float
    ) -> str:
        """The same for an action that ran several tasks."""
        return _joined(farm_id, queue_id, job_id, step_id, f"{_moment(time)}_{session_action_id}")

    def partial_manifest_prefix(self, farm_id: str, queue_id: str) -> str:
        """A new key for input manifests below ``Manifests``."""
        return _joined(farm_id, queue_id, S3_INPUT_MANIFEST_FOLDER_NAME, uuid4().hex)

    def add_root_and_manifest_folder_prefix(self, path: str) -> str:
        """The whole key of one below ``Manifests``."""
        return self._below_manifests(path)

    def _below_manifests(self, *parts: str) -> str:
        return self._below_root(S3_MANIFEST_FOLDER_NAME, *parts)

    def _below_root(self, *parts: str) -> str:
        if not self.rootPrefix:
            raise MissingS3RootPrefixError(f"The attachments in the bucket {self.s3BucketName} have no root prefix.")
        return _joined(self.rootPrefix, *parts)


def _joined(*parts: str) -> str:
    return "/".join(parts)


def _moment(time: float) -> str:
    return datetime.fromtimestamp(time, timezone.utc).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


@dataclass
class Fleet:
    """A fleet of a queue."""

    fleetId: str
    priority: int


@dataclass
class Queue:
    """A queue."""

    queueId: str
    displayName: str
    farmId: str
    status: str
    defaultBudgetAction: str
    jobAttachmentSettings: JobAttachmentS3Settings | None = None


@dataclass
class Job:
    """A job."""

    jobId: str
    attachments: Attachments | None = None


@dataclass
class AssetRootGroup:
    """Paths with one root."""

    file_system_location_name: str | None = None
    root_path: str = ""
    inputs: set[Path] = field(default_factory=set)
    outputs: set[Path] = field(default_factory=set)
    references: set[Path] = field(default_factory=set)


@dataclass
class AssetUploadGroup:
    """All that is to be uploaded. Paths below ``known_asset_paths`` need no question."""

    asset_groups: list[AssetRootGroup] = field(default_factory=list)
    known_asset_paths: list[Path] = field(default_factory=list)
    total_input_files: int = 0
    total_input_bytes: int = 0


@dataclass
class AssetRootManifest:
    """A root with the manifest of its inputs, and the folders that the job writes to."""

    file_system_location_name: str | None = None
    root_path: str = ""
    asset_manifest: BaseAssetManifest | None = None
    outputs: list[Path] = field(default_factory=list)


@dataclass
class ManifestPathGroup:
    """Files of several manifests of one root, by hash algorithm."""

    total_bytes: int = 0
    files_by_hash_alg: dict[HashAlgorithm, list[BaseManifestPath]] = field(default_factory=dict)

    def add_manifest_to_group(self, manifest: BaseAssetManifest) -> None:
        """Add the files of a manifest."""
        self.files_by_hash_alg.setdefault(manifest.hashAlg, []).extend(manifest.paths)
        self.total_bytes += manifest.totalSize

    def combine_with_group(self, group: ManifestPathGroup) -> None:
        """Add the files of another group."""
        for algorithm, paths in group.files_by_hash_alg.items():
            self.files_by_hash_alg.setdefault(algorithm, []).extend(paths)
        self.total_bytes += group.total_bytes

    def get_all_paths(self) -> list[str]:
        """All paths, sorted."""
        return sorted(entry.path for paths in self.files_by_hash_alg.values() for entry in paths)


@dataclass
class OutputFile:
    """A file that a task wrote."""

    file_size: int
    file_hash: str
    rel_path: str
    full_path: str
    s3_key: str
    in_s3: bool
    base_dir: str | None


@dataclass
class PathMappingRule:
    """Where a path of the submitting machine lies on this one."""

    source_path_format: str
    source_path: str
    destination_path: str

    def get_hashed_source_path(self, hash_alg: HashAlgorithm) -> str:
        """Hash of the source path, by which manifests are named."""
        return hash_data(self.source_path.encode("utf-8"), hash_alg)


def default_glob_all() -> list[str]:
    """The patterns that every file matches."""
    return ["**/*"]


@dataclass
class GlobConfig:
    """Patterns of files that are meant, and of those that are not."""

    include_glob: list[str] = field(default_factory=default_glob_all)
    exclude_glob: list[str] = field(default_factory=list)

    INCLUDE = "include"
    EXCLUDE = "exclude"


@dataclass
class ManifestSnapshot:
    """A manifest of a folder, and where it was written."""

    root: str
    manifest: str


@dataclass
class ManifestDiff:
    """What changed in a folder since its manifest."""

    new: list[str] = field(default_factory=list)
    modified: list[str] = field(default_factory=list)
    deleted: list[str] = field(default_factory=list)


@dataclass
class ManifestDownload:
    """A manifest that was downloaded."""

    manifest_root: str = field(default_factory=str)
    local_manifest_path: str = field(default_factory=str)


@dataclass
class ManifestMerge:
    """A manifest that was merged of several."""

    manifest_root: str = field(default_factory=str)
    local_manifest_path: str = field(default_factory=str)


@dataclass
class ManifestDownloadResponse:
    """All manifests that were downloaded."""

    downloaded: list[ManifestDownload] = field(default_factory=list)


@dataclass
class UploadManifestInfo:
    """A manifest that was uploaded: its key below ``Manifests``, its hash, and the root it is of."""

    output_manifest_path: str
    output_manifest_hash: str
    source_path: str | None = None
