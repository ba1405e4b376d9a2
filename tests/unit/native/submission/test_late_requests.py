"""Requests to the object store that are refused: for their age, which a new signature mends, for what another request
does, and for good."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import pytest
from fakes.deadline_service import DeadlineService
from job_bundles import Bundle
from shotput.errors import AttachmentsError

# Larger ones are looked for before they are sent.
SIZE = 300 * 1024


@pytest.fixture
def store(service: DeadlineService, bundle: Bundle) -> DeadlineService:
    """The service stands for the store as well, and the bundle has one file for it."""
    service.queue["jobAttachmentSettings"] = {"s3BucketName": "studio", "rootPrefix": "Root"}
    service.answer("GET", "/studio", body=b"<ListBucketResult/>")
    service.answer("PUT", "/studio/.*", body=b"")
    service.answer("HEAD", "/studio/.*", status=404, body=b"")
    bundle.write("scene.bin", bytes(SIZE))
    bundle.write("asset_references.yaml", {"assetReferences": {"inputs": {"filenames": ["scene.bin"]}}})
    original = service.target
    endpoint = f"http://127.0.0.1:{service.port}"
    service.target = lambda **changes: original(**{"s3_endpoint_url": endpoint, **changes})  # type: ignore[method-assign]
    return service


def expire_in(store: DeadlineService, seconds: float) -> None:
    store.credentials["expiration"] = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + seconds))


def looks(store: DeadlineService) -> int:
    return len(store.sent("HEAD", r"/Data/\w+\.xxh128"))


def test_a_refusal_without_a_reason_is_one(store: DeadlineService, submit: Callable[..., Any]) -> None:
    store.answer("HEAD", "/studio/.*", status=403, body=b"")
    with pytest.raises(AttachmentsError) as caught:
        submit()
    assert str(caught.value).startswith("Cannot look for s3://studio/Root/Data/")
    assert str(caught.value).endswith(
        ": HTTP 403 Forbidden. Check the credentials and that their role has s3:PutObject, s3:GetObject and "
        "s3:ListBucket for this bucket."
    )
    # The keys hold for long, so they are not the reason.
    assert looks(store) == 1
    assert len(store.sent("GET", "/user-roles")) == 1
    assert store.sent("POST", "/jobs") == []


@pytest.mark.parametrize("times", [1, 10**6])
def test_keys_that_run_out_are_asked_for_again_once(
    times: int, store: DeadlineService, submit: Callable[..., Any]
) -> None:
    expire_in(store, 60)
    store.answer("HEAD", "/studio/.*", status=403, body=b"", times=times)
    if times == 1:
        submit()
        assert len(store.sent("POST", "/jobs")) == 1
    else:
        with pytest.raises(AttachmentsError, match="HTTP 403 Forbidden"):
            submit()
    assert looks(store) == 2


@pytest.mark.parametrize("code", ["ExpiredToken", "RequestExpired", "RequestTimeTooSkewed", "TokenRefreshRequired"])
def test_a_request_that_came_too_late_is_signed_anew(
    code: str, store: DeadlineService, submit: Callable[..., Any]
) -> None:
    said = f"<Error><Code>{code}</Code><Message>Too late.</Message></Error>".encode()
    store.answer("PUT", r"/Data/\w+\.xxh128", status=403, body=said, times=1)
    submit()
    first, second = store.sent("PUT", r"/Data/\w+\.xxh128")
    assert len(second.body) == SIZE
    assert first.headers["content-length"] == second.headers["content-length"]
    assert len(store.sent("POST", "/jobs")) == 1


def test_a_request_that_stays_too_late_is_refused(store: DeadlineService, submit: Callable[..., Any]) -> None:
    said = b"<Error><Code>RequestTimeTooSkewed</Code><Message>The clocks differ.</Message></Error>"
    store.answer("PUT", r"/Data/\w+\.xxh128", status=403, body=said)
    with pytest.raises(AttachmentsError, match=r"The clocks differ \(RequestTimeTooSkewed, HTTP 403\)"):
        submit()
    assert len(store.sent("PUT", r"/Data/\w+\.xxh128")) == 2


@pytest.mark.parametrize(("status", "code"), [(409, "ConditionalRequestConflict"), (501, "NotImplemented")])
def test_an_object_is_sent_without_the_condition_that_the_store_cannot_decide(
    status: int, code: str, store: DeadlineService, submit: Callable[..., Any]
) -> None:
    said = f"<Error><Code>{code}</Code><Message>no</Message></Error>".encode()
    store.answer("PUT", r"/Data/\w+\.xxh128", status=status, body=said, times=1)
    submit()
    first, second = store.sent("PUT", r"/Data/\w+\.xxh128")
    assert first.headers["if-none-match"] == "*"
    assert "if-none-match" not in second.headers
    assert len(second.body) == SIZE
