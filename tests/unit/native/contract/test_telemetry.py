"""Section 6 of the contract: the methods of the client, and the types of events that Shotput itself records."""

from __future__ import annotations

import inspect
from pathlib import Path
from typing import Any

import pytest
from fakes.deadline_monitor import Monitor
from fakes.deadline_service import DeadlineService
from job_bundles import Bundle
from shotput import _native

METHODS = {
    "record_event": "event_type, event_details=None, *, details=None, from_gui=False",
    "record_error": "event_details=None, exception_type=None, from_gui=False, *, details=None",
    "update_common_details": "details",
    "close": "",
}


@pytest.mark.parametrize(("name", "arguments"), METHODS.items())
def test_methods(name: str, arguments: str) -> None:
    text = str(inspect.signature(getattr(_native.TelemetryClient, name)))
    assert text.strip("()").removeprefix("self").removeprefix(", /").removeprefix(", ") == arguments


def types(service: DeadlineService) -> set[str]:
    return {request.body["RumEvents"][0]["type"] for request in service.sent("POST", "/telemetry")}


def submission(bundle: Bundle, **params: Any) -> None:
    bundle.write("asset_references.yaml", {"assetReferences": {"inputs": {"filenames": ["template.yaml"]}}})
    _native.create_job_from_job_bundle({"job_bundle_dir": str(bundle.folder), **params})


@pytest.mark.parametrize(
    "event",
    [
        "latency",
        "submission",
        "create_job",
        "job_attachments.hashing_summary",
        "job_attachments.upload_summary",
        "asset_upload",
    ],
)
def test_events_of_a_submission(event: str, service: DeadlineService, bundle: Bundle, bucket: Path) -> None:
    submission(bundle)
    assert f"com.amazon.rum.deadline.{event}" in types(service)


def test_the_event_of_a_snapshot(service: DeadlineService, bundle: Bundle, bucket: Path, tmp_path: Path) -> None:
    submission(bundle, debug_snapshot_dir=str(tmp_path / "snapshot"))
    assert "com.amazon.rum.deadline.asset_snapshot" in types(service)


@pytest.mark.parametrize("call", ["login", "logout"])
def test_the_event_of_a_login(call: str, service: DeadlineService, configured: Path, tmp_path: Path) -> None:
    path = tmp_path / "monitor-config" / "config"
    Monitor.install(tmp_path / "monitor", path, ends_with=0)
    getattr(_native, call)(str(path))
    assert types(service) == {"com.amazon.rum.deadline.latency"}


@pytest.mark.parametrize("event", ["com.amazon.rum.deadline.error", "com.amazon.rum.deadline.adaptor.runtime.start"])
def test_events_of_callers(event: str, service: DeadlineService, configured: Path) -> None:
    client = _native.TelemetryClient()
    if event.endswith("error"):
        client.record_error({"exception_scope": "on_submit", "exit_code": 1}, "RuntimeError")
    else:
        client.record_event(event, {})
    client.close()
    assert types(service) == {event}
