from __future__ import annotations

import importlib.util
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from fakes.deadline_service import DeadlineService

# The native package is also tested with nothing but pytest beside it; the object store's clients are then not there.
collect_ignore = (
    [] if importlib.util.find_spec("boto3") else ["objects", "test_download_safety.py", "contract/test_attachments.py"]
)


@pytest.fixture
def service() -> Iterator[DeadlineService]:
    """The AWS services on this machine."""
    with DeadlineService() as running:
        yield running


@pytest.fixture
def config_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The path of a configuration file that does not exist yet, in an environment without any AWS setting."""
    for name in list(os.environ):
        if name.startswith(("AWS_", "DEADLINE_")) or name.lower() in {
            "http_proxy",
            "https_proxy",
            "no_proxy",
            "all_proxy",
        }:
            monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "aws" / "config"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "aws" / "credentials"))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    return tmp_path / "deadline" / "config"


@pytest.fixture
def aws_environment(service: DeadlineService, config_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Keys and endpoints in the environment, as a user of another AWS tool sets them.

    Gives the configuration's path."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIATEST")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-west-2")
    for name in ("DEADLINE", "STS", "S3", "CLOUDWATCHLOGS"):
        monkeypatch.setenv(f"AWS_ENDPOINT_URL_{name}", service.endpoint)
    monkeypatch.setenv("DEADLINE_CONFIG_FILE_PATH", str(config_path))
    return config_path
