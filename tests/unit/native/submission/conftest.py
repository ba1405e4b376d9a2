"""What submissions need: a bundle, a service that takes it, a bucket for its files."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from fakes.deadline_service import DeadlineService
from job_bundles import Bundle
from shotput import _native


@pytest.fixture
def bundle(tmp_path: Path, config_path: Path) -> Bundle:
    return Bundle(tmp_path / "bundle")


@pytest.fixture
def submit(service: DeadlineService, bundle: Bundle) -> Callable[..., dict[str, Any]]:
    def call(
        params: dict[str, Any] | None = None, *, on: dict[str, Any] | None = None, **changes: Any
    ) -> dict[str, Any]:
        given = {"job_bundle_dir": str(bundle.folder), "target": service.target(), **(params or {}), **changes}
        return _native.create_job_from_job_bundle(given, **(on or {}))

    return call


@pytest.fixture
def bucket(service: DeadlineService, tmp_path: Path) -> Iterator[Path]:
    """A queue with job attachments. Gives the folder of the object store."""
    root = tmp_path / "objects"
    service.queue["jobAttachmentSettings"] = {"s3BucketName": "studio", "rootPrefix": "Root"}
    with _native.ObjectStore(str(root)) as store:
        store.add_credentials("ASIAQUEUEROLE", "queue-secret", "queue-token", bucket="studio", prefix="Root")
        original = service.target
        endpoint = store.endpoint
        service.target = lambda **changes: original(**{"s3_endpoint_url": endpoint, **changes})  # type: ignore[method-assign]
        yield root


@pytest.fixture
def outside(bundle: Bundle, tmp_path: Path) -> Path:
    """An input that no known folder holds."""
    path = tmp_path.resolve() / "elsewhere" / "texture.png"
    path.parent.mkdir()
    path.write_bytes(b"pixels")
    bundle.write("asset_references.yaml", {"assetReferences": {"inputs": {"filenames": [str(path)]}}})
    return path
