from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fakes.s3_requests import BUCKET, KEY, SECRET, Raw, client
from shotput import _native


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "objects"


@pytest.fixture
def store(root: Path) -> Iterator[Any]:
    with _native.ObjectStore(root) as store:
        store.add_credentials(KEY, SECRET, bucket=BUCKET)
        yield store


@pytest.fixture
def s3(store: Any) -> Iterator[Any]:
    s3 = client(store.endpoint)
    yield s3
    s3.close()


@pytest.fixture
def raw(store: Any) -> Raw:
    return Raw(store.endpoint, KEY, SECRET)
