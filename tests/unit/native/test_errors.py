"""Each kind of failure of the native module is one exception class, and every one of them survives pickling."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from fakes.deadline_service import FARM, DeadlineService
from shotput import _native, errors


class Trigger:
    """Makes the native module fail in one way."""

    def __init__(self, service: DeadlineService, folder: Path) -> None:
        self.service = service
        self.folder = folder
        self.bundle = folder / "bundle"
        self.bundle.mkdir()
        self.write(
            "template.yaml",
            "specificationVersion: jobtemplate-2023-09\nname: J\n"
            "steps: [{name: S, script: {actions: {onRun: {command: /bin/true}}}}]\n",
        )

    def write(self, name: str, text: str) -> None:
        (self.bundle / name).write_text(text)

    def submit(self, *, on: dict[str, Any] | None = None, **params: Any) -> None:
        given = {"job_bundle_dir": str(self.bundle), "target": self.service.target(), **params}
        _native.create_job_from_job_bundle(given, **(on or {}))

    def submit_file(self, path: str, **params: Any) -> None:
        self.service.queue["jobAttachmentSettings"] = {"s3BucketName": "b", "rootPrefix": "r"}
        self.write("asset_references.yaml", f"assetReferences: {{inputs: {{filenames: [{path}]}}}}")
        self.submit(**params)

    def operation(self) -> None:
        self.submit(job_bundle_dir=None)

    def canceled(self) -> None:
        self.submit_file("template.yaml", on={"on_hashing_progress": lambda info: False})

    def user_canceled(self) -> None:
        outside = self.folder.resolve() / "outside"
        outside.write_text("x")
        self.submit_file(str(outside), on={"on_confirm": lambda *_: False})

    def waiter_canceled(self) -> None:
        self.submit(on={"on_continue": lambda: False})

    def timed_out(self) -> None:
        self.service.job["lifecycleStatus"] = "CREATE_IN_PROGRESS"
        self.submit(create_timeout=0.5)

    def config(self) -> None:
        _native.get_setting("nothing", str(self.folder / "config"))

    def service_error(self) -> None:
        self.service.fail("GET", f"/farms/{FARM}", "AccessDeniedException", "No", status=403)
        _native.get_farm(FARM, target=self.service.target())

    def template(self) -> None:
        self.write("template.yaml", "specificationVersion: jobtemplate-2023-09\nname: J\nsteps: []\n")
        self.submit()

    def bundle_error(self) -> None:
        self.submit(job_bundle_dir="/nowhere")

    def attachments(self) -> None:
        target = self.service.target(s3_endpoint_url="http://127.0.0.1:9")
        self.submit_file("template.yaml", target=target)

    def missing_inputs(self) -> None:
        self.submit_file("gone.png", require_paths_exist=True)

    def object_store(self) -> None:
        taken = int(self.service.port)
        _native.ObjectStore(str(self.folder / "objects"), port=taken).start()


CASES: dict[str, type[errors.DeadlineOperationError]] = {
    "operation": errors.DeadlineOperationError,
    "canceled": errors.DeadlineOperationCanceled,
    "user_canceled": errors.UserInitiatedCancel,
    "waiter_canceled": errors.CreateJobWaiterCanceled,
    "timed_out": errors.DeadlineOperationTimedOut,
    "config": errors.ConfigError,
    "service_error": errors.ServiceError,
    "template": errors.TemplateError,
    "bundle_error": errors.BundleError,
    "attachments": errors.AttachmentsError,
    "missing_inputs": errors.MissingInputsError,
    "object_store": errors.ObjectStoreError,
}


@pytest.mark.parametrize(("kind", "expected"), CASES.items())
def test_each_kind_has_its_class(
    kind: str,
    expected: type[errors.DeadlineOperationError],
    service: DeadlineService,
    config_path: Path,
    tmp_path: Path,
) -> None:
    trigger: Callable[[], None] = getattr(Trigger(service, tmp_path), kind)
    with pytest.raises(errors.DeadlineOperationError) as caught:
        trigger()
    error = caught.value
    assert type(error) is expected
    assert str(error)
    copy = pickle.loads(pickle.dumps(error))
    assert type(copy) is expected
    assert str(copy) == str(error)
    assert copy.args == error.args
    assert copy.__dict__ == error.__dict__


def test_the_attributes_of_a_service_error(service: DeadlineService, config_path: Path, tmp_path: Path) -> None:
    with pytest.raises(errors.ServiceError) as caught:
        Trigger(service, tmp_path).service_error()
    error = pickle.loads(pickle.dumps(caught.value))
    assert (error.code, error.operation, error.status) == ("AccessDeniedException", "GetFarm", 403)


def test_the_text_of_a_timeout(service: DeadlineService, config_path: Path, tmp_path: Path) -> None:
    with pytest.raises(errors.DeadlineOperationTimedOut) as caught:
        Trigger(service, tmp_path).timed_out()
    job = service.job["jobId"]
    assert str(caught.value) == (
        f"The job {job} was not created within 0.5 seconds. Look at it later with `shotput job show {job}`."
    )


def test_the_base_class_is_the_one_of_the_package() -> None:
    assert _native.DeadlineOperationError is errors.DeadlineOperationError


@pytest.mark.parametrize("name", errors.__all__)
def test_every_class_survives_pickling(name: str) -> None:
    error = getattr(errors, name)("text")
    copy = pickle.loads(pickle.dumps(error))
    assert (type(copy), copy.args, str(copy), copy.__dict__) == (type(error), error.args, "text", error.__dict__)
    assert isinstance(copy, errors.DeadlineOperationError)
