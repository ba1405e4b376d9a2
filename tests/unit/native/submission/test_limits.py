"""What the service would not take is refused before a file is read or a byte is sent, with the figure."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from fakes.deadline_service import DeadlineService
from job_bundles import Bundle, create_job, refuse
from shotput import _native
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


CHUNKED = """\
specificationVersion: jobtemplate-2023-09
extensions: [TASK_CHUNKING]
name: A Job
parameterDefinitions:
- {name: Frames, type: STRING, default: "1-100"}
- {name: ChunkSize, type: INT, default: 1, minValue: 1, maxValue: 40}
steps:
- name: Render
  parameterSpace:
    taskParameterDefinitions:
    - name: Frame
      type: CHUNK[INT]
      range: "{{Param.Frames}}"
      chunks: {defaultTaskCount: SIZE, rangeConstraint: CONTIGUOUS}
  script:
    actions:
      onRun: {command: /bin/true}
- name: Assemble
  dependencies: [{dependsOn: Render}]
  script:
    actions:
      onRun: {command: /bin/true}
"""
TOO_MANY = "The job has {} tasks; the farm takes at most {} in one job. "
OTHERWISE = " Submit parts of its frames as jobs of their own, or have the farm's quota raised."


def chunked(bundle: Bundle, size: str) -> None:
    bundle.write("template.yaml", CHUNKED.replace("SIZE", size))


@pytest.mark.parametrize(
    ("most", "size", "tasks"),
    # 100 frames and one task that assembles them.
    [(101, None, None), (100, 2, 51), (51, 2, 51), (50, 3, 35), (11, 10, 11), (10, 12, 10), (4, 34, 4)],
)
def test_chunks_become_larger(
    most: int, size: int | None, tasks: int, service: DeadlineService, bundle: Bundle, submit: Callable[..., Any]
) -> None:
    chunked(bundle, '"{{Param.ChunkSize}}"')
    printed: list[str] = []
    submit(max_tasks=most, on={"on_print": printed.append})
    sent = create_job(service)
    assert sent["template"] == (bundle.folder / "template.yaml").read_text()
    expected = {} if size is None else {"ChunkSize": {"int": str(size)}}
    assert sent.get("parameters", {}) == expected
    said = (
        f"The job has 101 tasks, and the farm takes at most {most} in one job. With larger chunks it has {tasks}: "
        f'chunks of {size} instead of 1 in the step "Render" (ChunkSize).'
    )
    assert (said in printed) is (size is not None)


def test_chunks_of_the_template_become_larger(
    service: DeadlineService, bundle: Bundle, submit: Callable[..., Any]
) -> None:
    chunked(bundle, "5")
    submit(max_tasks=11, name="Another")
    sent = create_job(service)
    template = _native.parse_template(sent["template"])
    (frame,) = template["steps"][0]["parameterSpace"]["taskParameterDefinitions"]
    assert frame["chunks"] == {"defaultTaskCount": 10, "rangeConstraint": "CONTIGUOUS"}
    assert template["name"] == "Another"
    assert template == {
        **_native.parse_template(CHUNKED.replace("SIZE", "5")),
        "name": "Another",
        "steps": template["steps"],
    }
    assert "parameters" not in sent


def test_chunks_that_follow_the_time_count_by_their_first_size(
    service: DeadlineService, bundle: Bundle, submit: Callable[..., Any]
) -> None:
    chunked(bundle, '"{{ Param.ChunkSize }}", targetRuntimeSeconds: 60')
    submit(max_tasks=21)
    assert create_job(service)["parameters"] == {"ChunkSize": {"int": "5"}}


@pytest.mark.parametrize(
    ("size", "most", "why"),
    [
        (
            '"{{Param.ChunkSize}}"',
            1,
            'Its chunks cannot be made larger: The parameter "ChunkSize" cannot be 41: it must be at most 40.',
        ),
        ("1", 1, "Larger chunks do not make it fit."),
        (None, 99, "None of its steps takes frames in chunks (TASK_CHUNKING)."),
    ],
)
def test_too_many_tasks(
    size: str | None, most: int, why: str, service: DeadlineService, bundle: Bundle, submit: Callable[..., Any]
) -> None:
    if size is None:
        bundle.values(Frames="1-100")
    else:
        chunked(bundle, size)
    text = TOO_MANY.format(100 if size is None else 101, most) + why + OTHERWISE
    refuse(submit, DeadlineOperationError, text, service, max_tasks=most)


def test_more_tasks_than_the_service_can_count(
    service: DeadlineService, bundle: Bundle, submit: Callable[..., Any]
) -> None:
    bundle.values(Frames="0-2147483647")
    text = TOO_MANY.format(2**31, 2**31 - 1) + "None of its steps takes frames in chunks (TASK_CHUNKING)." + OTHERWISE
    refuse(submit, DeadlineOperationError, text, service)
    bundle.values(Frames="1-2147483647")
    submit()
    assert create_job(service)
