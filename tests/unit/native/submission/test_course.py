"""The course of a submission: callbacks, waiting, credentials, interrupts."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from fakes.deadline_service import JOB, QUEUE, DeadlineService
from job_bundles import Bundle, refuse
from shotput.errors import (
    CreateJobWaiterCanceled,
    DeadlineOperationCanceled,
    DeadlineOperationError,
    ServiceError,
)


@pytest.mark.parametrize("callback", ["on_hashing_progress", "on_upload_progress"])
def test_a_progress_callback_cancels(
    callback: str, service: DeadlineService, bundle: Bundle, submit: Callable[..., Any], bucket: Path
) -> None:
    bundle.write("asset_references.yaml", {"assetReferences": {"inputs": {"filenames": ["template.yaml"]}}})
    with pytest.raises(DeadlineOperationCanceled) as caught:
        submit(on={callback: lambda info: None})
    assert type(caught.value) is DeadlineOperationCanceled
    assert service.sent("POST", "/jobs") == []


class QuarrelError(Exception):
    pass


@pytest.mark.parametrize(
    "callback", ["on_print", "on_hashing_progress", "on_upload_progress", "on_confirm", "on_continue"]
)
@pytest.mark.parametrize("kind", [QuarrelError, KeyboardInterrupt])
def test_what_a_callback_raises_comes_out(
    callback: str,
    kind: type[BaseException],
    service: DeadlineService,
    submit: Callable[..., Any],
    bucket: Path,
    outside: Path,
) -> None:
    raised = kind("mine")

    def quarrel(*_: object) -> bool:
        raise raised

    on: dict[str, Any] = {"on_confirm": lambda *_: True, callback: quarrel}
    with pytest.raises(kind) as caught:
        submit(on=on)
    assert caught.value is raised
    assert len(service.sent("POST", "/jobs")) == (1 if callback == "on_continue" else 0)


def test_waiting_is_canceled(service: DeadlineService, submit: Callable[..., Any]) -> None:
    with pytest.raises(CreateJobWaiterCanceled) as caught:
        submit(on={"on_continue": lambda: False})
    assert str(caught.value) == (
        f"The wait for the job {JOB} was canceled. The job itself goes on; cancel it if it is not wanted."
    )
    assert isinstance(caught.value, DeadlineOperationCanceled)
    assert service.sent("GET", f"/jobs/{JOB}") == []


def test_waiting_goes_on_while_the_job_is_being_created(service: DeadlineService, submit: Callable[..., Any]) -> None:
    service.answer("GET", f"/jobs/{JOB}", body={**service.job, "lifecycleStatus": "CREATE_IN_PROGRESS"}, times=2)
    asked: list[bool] = []
    submit(on={"on_continue": lambda: asked.append(True) or True})
    assert len(asked) == len(service.sent("GET", f"/jobs/{JOB}")) == 3


def test_a_job_that_the_farm_cannot_create(service: DeadlineService, submit: Callable[..., Any]) -> None:
    service.job |= {"lifecycleStatus": "CREATE_FAILED", "lifecycleStatusMessage": "Too many tasks."}
    with pytest.raises(DeadlineOperationError) as caught:
        submit()
    assert str(caught.value) == (
        f"The farm could not create the job {JOB}: Too many tasks. Correct the bundle, and submit it again."
    )


def test_a_farm_that_refuses(service: DeadlineService, submit: Callable[..., Any]) -> None:
    service.fail("POST", "/jobs", "ServiceQuotaExceededException", "No more jobs", status=402)
    with pytest.raises(ServiceError) as caught:
        submit()
    assert str(caught.value) == "ServiceQuotaExceededException: No more jobs"
    assert caught.value.operation == "CreateJob"


@pytest.mark.parametrize(
    ("code", "text"),
    [
        (
            "AccessDeniedException",
            "Cannot assume the role of the queue Test Queue. Ask the farm's administrator for access to the queue. "
            "AccessDeniedException: no",
        ),
        (
            "ThrottlingException",
            "Assuming the role of the queue Test Queue was throttled. Try again in a moment, or have the account's "
            "request rate "
            "raised. ThrottlingException: no",
        ),
        (
            "InternalServerErrorException",
            "The service failed to assume the role of the queue Test Queue. Try again in a moment. "
            "InternalServerErrorException: no",
        ),
    ],
)
def test_a_role_that_cannot_be_assumed(
    code: str, text: str, service: DeadlineService, bundle: Bundle, submit: Callable[..., Any], bucket: Path
) -> None:
    bundle.write("asset_references.yaml", {"assetReferences": {"inputs": {"filenames": ["template.yaml"]}}})
    service.fail("GET", "/user-roles", code, "no", status=400)
    refuse(submit, ServiceError, text, service)


def test_empty_role_credentials(
    service: DeadlineService, bundle: Bundle, submit: Callable[..., Any], bucket: Path
) -> None:
    bundle.write("asset_references.yaml", {"assetReferences": {"inputs": {"filenames": ["template.yaml"]}}})
    service.credentials = {}
    refuse(
        submit,
        ServiceError,
        "The role of the queue Test Queue gave empty credentials. Ask the farm's administrator whether the queue has a "
        "role.",
        service,
    )


def test_role_credentials_are_kept_until_they_near_their_end(
    service: DeadlineService, bundle: Bundle, submit: Callable[..., Any], bucket: Path
) -> None:
    bundle.write("asset_references.yaml", {"assetReferences": {"inputs": {"filenames": ["template.yaml"]}}})
    submit()
    submit()
    assert len(service.sent("GET", "/user-roles")) == 1
    service.credentials["expiration"] = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + 60))
    target = service.target(region="eu-west-1")
    submit(target=target)
    submit(target=target)
    assert len(service.sent("GET", "/user-roles")) >= 3


def test_other_threads_run_meanwhile(service: DeadlineService, submit: Callable[..., Any]) -> None:
    service.answer("GET", f"/queues/{QUEUE}", body=service.queue, delay=0.6)
    done = threading.Event()
    counted = 0

    def count() -> None:
        nonlocal counted
        while not done.is_set():
            counted += 1
            time.sleep(0.001)

    thread = threading.Thread(target=count)
    thread.start()
    submit()
    done.set()
    thread.join()
    assert counted > 20


def test_an_interrupt_ends_the_submission(service: DeadlineService, bundle: Bundle) -> None:
    service.answer("GET", f"/queues/{QUEUE}", body=service.queue, delay=5)
    code = (
        "import time; from shotput import _native\n"
        "started = time.monotonic()\n"
        f"params = {{'job_bundle_dir': {str(bundle.folder)!r}, 'target': {service.target()!r}}}\n"
        "try: _native.create_job_from_job_bundle(params)\n"
        "except KeyboardInterrupt: print('interrupted', time.monotonic() - started < 4)\n"
    )
    child = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    while not service.sent("GET", f"/queues/{QUEUE}"):
        time.sleep(0.01)
    child.send_signal(2)
    assert child.communicate(timeout=10)[0] == "interrupted True\n"
    assert service.sent("POST", "/jobs") == []
