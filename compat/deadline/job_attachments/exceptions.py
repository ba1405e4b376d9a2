"""Exceptions of job attachments. Those that the native module knows too are also ``DeadlineOperationError``."""

from __future__ import annotations

from typing import Any

from shotput.errors import DeadlineOperationCanceled, DeadlineOperationError

__all__ = [
    "AssetOutsideOfRootError",
    "AssetSyncCancelledError",
    "AssetSyncError",
    "JobAttachmentS3BotoCoreError",
    "JobAttachmentsError",
    "JobAttachmentsS3ClientError",
    "MalformedAttachmentSettingError",
    "ManifestCreationException",
    "ManifestDecodeValidationError",
    "MisconfiguredInputsError",
    "MissingAssetRootError",
    "MissingJobAttachmentSettingsError",
    "MissingManifestError",
    "MissingS3BucketError",
    "MissingS3RootPrefixError",
    "NonValidInputError",
    "PathOutsideDirectoryError",
    "UnsupportedHashingAlgorithmError",
    "VFSExecutableMissingError",
    "VFSFailedToMountError",
    "VFSLaunchScriptMissingError",
    "VFSOSUserNotSetError",
    "VFSRunPathNotSetError",
]


class JobAttachmentsError(Exception):
    """Something about job attachments failed."""


class AssetSyncError(DeadlineOperationError):
    """Files could not be brought to or from the object store."""


class AssetSyncCancelledError(JobAttachmentsError, DeadlineOperationCanceled):
    """A callback ended a transfer. ``summary_statistics`` is what was done until then."""

    def __init__(self, message: str, summary_statistics: Any = None) -> None:
        super().__init__(message)
        self.summary_statistics = summary_statistics


class JobAttachmentsS3ClientError(AssetSyncError):
    """S3 refused a request."""

    def __init__(
        self, action: str, status_code: int, bucket_name: str, key_or_prefix: str, message: str | None = None
    ) -> None:
        self.action, self.status_code = action, status_code
        self.bucket_name, self.key_or_prefix = bucket_name, key_or_prefix
        place = f"s3://{bucket_name}/{key_or_prefix}"
        super().__init__(f"S3 answered {status_code} while {action} {place}. {message or _ADVICE.get(status_code, '')}")


_ADVICE = {
    403: "Ask your administrator whether the queue's role may read, write and list there.",
    404: "Check the bucket and the root prefix of the queue's job attachments.",
    408: "Check the network connection and try again.",
    500: "The service failed; try again later.",
    503: "The service is overloaded; try again later.",
}


class JobAttachmentS3BotoCoreError(AssetSyncError):
    """A request to S3 got no answer."""

    def __init__(self, action: str, error_details: str) -> None:
        self.action = action
        super().__init__(f"{action} failed: {error_details}. Check the network connection and the credentials.")


class ManifestCreationException(Exception):
    """A manifest could not be made."""


class MissingJobAttachmentSettingsError(JobAttachmentsError):
    """The queue has no job attachments."""


class MissingS3BucketError(JobAttachmentsError):
    """The job attachments of the queue name no bucket."""


class MissingS3RootPrefixError(JobAttachmentsError):
    """The job attachments of the queue name no root prefix."""


class MalformedAttachmentSettingError(JobAttachmentsError):
    """Text that should name a bucket and a root prefix does not."""


class AssetOutsideOfRootError(JobAttachmentsError):
    """A file does not lie below its root."""


class MisconfiguredInputsError(JobAttachmentsError, DeadlineOperationError):
    """Inputs are missing, or are folders."""


class ManifestDecodeValidationError(JobAttachmentsError):
    """Text is no manifest of a known version."""


class MissingManifestError(JobAttachmentsError):
    """A manifest is not in the object store."""


class MissingAssetRootError(JobAttachmentsError):
    """A manifest does not say which root it is of."""


class PathOutsideDirectoryError(JobAttachmentsError):
    """A manifest leads out of its root."""


class UnsupportedHashingAlgorithmError(JobAttachmentsError):
    """There is no such algorithm."""


class NonValidInputError(JobAttachmentsError):
    """What a person gave cannot be used."""


class VFSExecutableMissingError(JobAttachmentsError):
    """The virtual file system is not installed."""


class VFSLaunchScriptMissingError(JobAttachmentsError):
    """The virtual file system has no launch script."""


class VFSFailedToMountError(JobAttachmentsError):
    """The virtual file system could not be mounted."""


class VFSOSUserNotSetError(JobAttachmentsError):
    """The virtual file system needs a user of the operating system."""


class VFSRunPathNotSetError(JobAttachmentsError):
    """The virtual file system needs a folder to run in."""
