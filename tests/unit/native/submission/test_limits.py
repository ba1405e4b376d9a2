"""What the service would not take is refused before a file is read or a byte is sent, with the figure."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from fakes.deadline_service import DeadlineService
from job_bundles import Bundle, create_job, refuse
from shotput.errors import AttachmentsError, DeadlineOperationError


@pytest.mark.parametrize(
    ("params", "text"),
    [
        ({"priority": 101}, "The job's priority is 101; it must be a whole number from 0 to 100."),
        ({"priority": -1}, "The job's priority is -1; it must be a whole number from 0 to 100."),
        (
            {"max_worker_count": -2},
            "The job's maxWorkerCount is -2; it must be a whole number from -1 to 2147483647.",
        ),
        (
            {"max_failed_tasks_count": -1},
            "The job's maxFailedTasksCount is -1; it must be a whole number from 0 to 2147483647.",
        ),
        (
            {"max_retries_per_task": 2**31},
            "The job's maxRetriesPerTask is 2147483648; it must be a whole number from 0 to 2147483647.",
        ),
        (
            {"target_task_run_status": "PAUSED"},
            'The job\'s targetTaskRunStatus is "PAUSED"; it must be one of READY, SUSPENDED.',
        ),
        (
            {"job_parameters": [{"name": "Frames", "value": "1," * 600}]},
            'The value of the job parameter "Frames" has 1200 characters; the service takes at most 1024 for a value '
            "of the type STRING. Put it into a file of the bundle, and refer to the file.",
        ),
    ],
)
def test_members(params: dict[str, Any], text: str, service: DeadlineService, submit: Callable[..., Any]) -> None:
    refuse(submit, DeadlineOperationError, text, service, **params)


@pytest.mark.parametrize(
    "params",
    [
        {"priority": 100, "max_worker_count": -1, "max_failed_tasks_count": 0, "max_retries_per_task": 2**31 - 1},
        {"job_parameters": [{"name": "Frames", "value": "é" * 1024}]},
    ],
)
def test_what_is_just_taken(params: dict[str, Any], service: DeadlineService, submit: Callable[..., Any]) -> None:
    submit(**params)
    assert create_job(service)


def test_too_many_parameters(service: DeadlineService, bundle: Bundle, submit: Callable[..., Any]) -> None:
    def definition(number: int) -> dict[str, Any]:
        return {"name": f"Q{number}", "type": "INT", "default": 1, "value": number}

    queue = [definition(number) for number in range(201)]
    refuse(
        submit,
        DeadlineOperationError,
        "The job has values for 201 parameters; the service takes at most 200. Leave out those that are as the "
        "template has them by default, or put several into one.",
        service,
        queue_parameter_definitions=queue,
    )
    submit(queue_parameter_definitions=queue[:200])
    assert len(create_job(service)["parameters"]) == 200


def test_too_many_output_folders(
    service: DeadlineService, bundle: Bundle, submit: Callable[..., Any], bucket: Path, tmp_path: Path
) -> None:
    folders = [str(tmp_path.resolve() / "out" / f"{number:03}") for number in range(101)]
    bundle.write("asset_references.yaml", {"assetReferences": {"outputs": {"directories": folders}}})
    refuse(
        submit,
        AttachmentsError,
        f"The job writes into 101 folders under {tmp_path.resolve() / 'out'}; the service takes at most 100. Name a "
        "folder that holds several of them.",
        service,
    )
    bundle.write("asset_references.yaml", {"assetReferences": {"outputs": {"directories": folders[:100]}}})
    submit()
    (manifest,) = create_job(service)["attachments"]["manifests"]
    assert len(manifest["outputRelativeDirectories"]) == 100


def test_an_output_folder_with_a_long_path(
    service: DeadlineService, bundle: Bundle, submit: Callable[..., Any], bucket: Path, tmp_path: Path
) -> None:
    out = tmp_path.resolve() / "out"
    long = "/".join(["x" * 200] * 6)
    bundle.write(
        "asset_references.yaml",
        {"assetReferences": {"outputs": {"directories": [str(out / long), str(out / "other")]}}},
    )
    refuse(
        submit,
        AttachmentsError,
        f"The job writes into a folder whose path under {out} has {len(long)} characters; the service takes at most "
        f"1024. Shorten it: {long}.",
        service,
    )
