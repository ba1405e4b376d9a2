"""What the tables of the contract are checked with: a configured user, a bundle, a queue with a bucket."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from fakes.deadline_service import FARM, QUEUE, DeadlineService
from job_bundles import Bundle
from shotput import _native


@pytest.fixture
def configured(service: DeadlineService, aws_environment: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The configuration of a user who has chosen a farm and a queue."""
    _native.set_setting("defaults.farm_id", FARM)
    _native.set_setting("defaults.queue_id", QUEUE)
    monkeypatch.setenv("AWS_ENDPOINT_URL_STS", str(service.target()["sts_endpoint_url"]))
    return aws_environment


@pytest.fixture
def bundle(configured: Path, tmp_path: Path) -> Bundle:
    return Bundle(tmp_path / "bundle")


@pytest.fixture
def bucket(
    service: DeadlineService, configured: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Path]:
    """A queue with job attachments. Gives the folder of the object store."""
    root = tmp_path / "objects"
    service.queue["jobAttachmentSettings"] = {"s3BucketName": "studio", "rootPrefix": "Root"}
    with _native.ObjectStore(str(root)) as store:
        store.add_credentials("ASIAQUEUEROLE", "queue-secret", "queue-token", bucket="studio", prefix="Root")
        monkeypatch.setenv("AWS_ENDPOINT_URL_S3", store.endpoint)
        yield root
