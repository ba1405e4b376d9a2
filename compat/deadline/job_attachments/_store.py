"""The object store of a queue: how the native module reaches it with a boto3 session, and the manifests in it.

What files contain goes through the native module. Manifests are small, and have metadata of their own; the session
that the caller gave puts and gets them.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Callable, Optional

from shotput.errors import AttachmentsError, DeadlineOperationCanceled, MissingInputsError

from ._aws.aws_clients import get_s3_client
from .asset_manifests import BaseAssetManifest
from .asset_manifests.decode import decode_manifest
from .exceptions import (
    AssetSyncCancelledError,
    AssetSyncError,
    JobAttachmentS3BotoCoreError,
    JobAttachmentsS3ClientError,
    MisconfiguredInputsError,
)
from .progress_tracker import ProgressReportMetadata, ProgressTracker

OnProgress = Optional[Callable[[ProgressReportMetadata], bool]]

_PARALLEL = 10


def keys_of(session: Any) -> Callable[[], dict[str, Any]]:
    """What gives the keys of a session to the native module: it asks again before they expire, and a session renews its
    own in time. Raises ``JobAttachmentS3BotoCoreError`` for a session without any.
    """
    credentials = session.get_credentials()
    if credentials is None:
        raise JobAttachmentS3BotoCoreError("Finding credentials", "there are none for this session")

    def ask() -> dict[str, Any]:
        keys = credentials.get_frozen_credentials()
        expires = getattr(credentials, "_expiry_time", None)
        return {
            "access_key_id": keys.access_key,
            "secret_access_key": keys.secret_key,
            "session_token": keys.token,
            "expiration": expires.timestamp() if expires else None,
        }

    return ask


def target(session: Any) -> dict[str, Any]:
    """Region, endpoint and first keys of a session, as the native module takes them."""
    keys = keys_of(session)()
    endpoint = get_s3_client(session).meta.endpoint_url
    # AWS itself is found by region; another endpoint came from the environment or the profile.
    is_aws = ".amazonaws.com" in endpoint
    return {
        "region": session.region_name,
        "s3_endpoint_url": None if is_aws else endpoint,
        **{name: keys[name] for name in ("access_key_id", "secret_access_key", "session_token")},
    }


def data_prefix(cas_prefix: str | None) -> str:
    """Where objects lie, as the native module takes it. That of a queue without a root prefix begins with a slash."""
    return (cas_prefix or "").lstrip("/")


# What the native module says of a request that the store refused.
_REFUSED = re.compile(r"^Cannot (\w+) .*?s3://([^/\s]+)/(\S+) at \S+: .*, HTTP (\d{3})\)")


def published(error: AttachmentsError) -> AssetSyncError:
    """An exception of the native module under its published name."""
    refused = _REFUSED.match(str(error))
    if refused:
        action, bucket, key, status = refused.groups()
        answer = JobAttachmentsS3ClientError(f"trying to {action}", int(status), bucket, key)
        # It has said all, with what to do next.
        answer.args = error.args
        return answer
    return AssetSyncError(str(error))


@contextmanager
def translated(tracker: ProgressTracker | None = None) -> Iterator[None]:
    """The native module's exceptions under their published names."""
    try:
        yield
    except MissingInputsError as error:
        raise MisconfiguredInputsError(str(error)) from error
    except DeadlineOperationCanceled as error:
        raise AssetSyncCancelledError(str(error), tracker and tracker.get_summary_statistics()) from error
    except AttachmentsError as error:
        raise published(error) from error


@contextmanager
def answered(action: str, bucket: str, key: str) -> Iterator[None]:
    """boto3's exceptions under their published names; ``action`` is what a request does, as ``storing``."""
    from boto3.exceptions import S3UploadFailedError
    from botocore.exceptions import BotoCoreError, ClientError

    try:
        yield
    except (ClientError, S3UploadFailedError) as error:
        # `upload_file` hides what the store answered behind an exception of its own.
        answer = error if isinstance(error, ClientError) else error.__context__
        if not isinstance(answer, ClientError):
            raise
        status = int(answer.response["ResponseMetadata"]["HTTPStatusCode"])
        raise JobAttachmentsS3ClientError(action, status, bucket, key, str(answer)) from error
    except BotoCoreError as error:
        raise JobAttachmentS3BotoCoreError(f"{action} s3://{bucket}/{key}", str(error)) from error


def put(session: Any, bucket: str, key: str, body: Any, arguments: dict[str, Any] | None = None) -> None:
    """Store an object; ``arguments`` are those of ``PutObject``, as ``{"Metadata": {}}``."""
    with answered("storing", bucket, key):
        get_s3_client(session).put_object(Bucket=bucket, Key=key, Body=body, **(arguments or {}))


def exists(session: Any, bucket: str, key: str) -> bool:
    """Whether there is an object. A refusal is no answer: it raises."""
    from botocore.exceptions import ClientError

    with answered("looking for", bucket, key):
        try:
            get_s3_client(session).head_object(Bucket=bucket, Key=key)
        except ClientError as error:
            if int(error.response["ResponseMetadata"]["HTTPStatusCode"]) == 403:
                raise
            return False
    return True


def keys(session: Any, bucket: str, prefix: str) -> list[str]:
    """All keys below a prefix."""
    with answered("listing", bucket, prefix):
        pages = get_s3_client(session).get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix)
        return [item["Key"] for page in pages for item in page.get("Contents", [])]


@dataclass
class StoredManifest:
    """A manifest of the store, the root that it says it is of, and when it was stored."""

    manifest: BaseAssetManifest
    root: str | None
    stored_at: datetime


def manifest(session: Any, bucket: str, key: str) -> StoredManifest:
    """Get a manifest."""
    with answered("getting", bucket, key):
        reply = get_s3_client(session).get_object(Bucket=bucket, Key=key)
        text = reply["Body"].read().decode("utf-8")
    metadata = reply["Metadata"]
    # S3 keeps ASCII alone: another root is there as JSON.
    root = json.loads(metadata["asset-root-json"]) if "asset-root-json" in metadata else metadata.get("asset-root")
    return StoredManifest(decode_manifest(text), root, reply["LastModified"])


def manifests(session: Any, bucket: str, wanted: list[str]) -> list[StoredManifest]:
    """Get manifests, in the order of their keys."""
    with ThreadPoolExecutor(_PARALLEL) as pool:
        return list(pool.map(lambda key: manifest(session, bucket, key), wanted))


class Feed:
    """Brings what the native module tells of one call to a tracker, which may count several."""

    def __init__(self, tracker: ProgressTracker) -> None:
        self.tracker = tracker
        self.files = self.bytes = self.skipped_files = self.skipped_bytes = 0

    def report(self, progress: dict[str, Any]) -> bool:
        """A report of the native module; whether to go on."""
        completed = int(progress["totalBytes"] * progress["progress"] / 100)
        skipped = max(completed - progress["processedBytes"], self.skipped_bytes) if progress["skippedFiles"] else 0
        self._count(progress["processedFiles"], progress["processedBytes"], progress["skippedFiles"], skipped)
        return self.tracker.report_progress()

    def finish(self, statistics: dict[str, Any]) -> None:
        """The call is done; its figures count."""
        self._count(*(statistics[f"{kind}_{of}"] for kind in ("processed", "skipped") for of in ("files", "bytes")))
        with translated(self.tracker):
            if not self.tracker.report_progress():
                raise DeadlineOperationCanceled

    def _count(self, files: int, size: int, skipped_files: int, skipped_bytes: int) -> None:
        self.tracker.increase_processed(files - self.files, size - self.bytes)
        self.tracker.increase_skipped(skipped_files - self.skipped_files, skipped_bytes - self.skipped_bytes)
        self.files, self.bytes = files, size
        self.skipped_files, self.skipped_bytes = skipped_files, skipped_bytes
