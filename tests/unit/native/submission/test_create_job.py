"""What of a bundle and of the caller reaches CreateJob."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from fakes.deadline_service import FARM, JOB, QUEUE, STORAGE_PROFILE, DeadlineService
from job_bundles import TEMPLATE, Bundle, create_job
from shotput import _native


def test_the_plainest_job(service: DeadlineService, submit: Callable[..., Any]) -> None:
    printed: list[str] = []
    assert submit(on={"on_print": printed.append}) == {"job_id": JOB}
    assert create_job(service) == {
        "template": TEMPLATE,
        "templateType": "YAML",
        "priority": 50,
        "maxFailedTasksCount": 20,
        "maxRetriesPerTask": 5,
    }
    assert printed == [
        "Submitting to the queue Test Queue.",
        "Waiting for the job to be created...",
        printed[2],
        "Job creation completed successfully",
        JOB,
    ]
    assert printed[2].startswith("Submitted the job bundle ")
    agents = {request.headers["user-agent"] for request in service.requests}
    assert all(agent.endswith(" submitter/Custom") for agent in agents)


def test_everything_from_the_configuration(service: DeadlineService, bundle: Bundle, aws_environment: Path) -> None:
    settings = {
        "defaults.farm_id": FARM,
        "defaults.queue_id": QUEUE,
        "settings.storage_profile_id": STORAGE_PROFILE,
        "settings.max_retries_per_task": "2",
    }
    for name, value in settings.items():
        _native.set_setting(name, value)
    before = aws_environment.read_text()
    assert _native.create_job_from_job_bundle({"job_bundle_dir": bundle.folder}) == {"job_id": JOB}
    body = create_job(service)
    assert body["storageProfileId"] == STORAGE_PROFILE
    assert body["maxRetriesPerTask"] == 2
    assert body["maxFailedTasksCount"] == 20
    assert aws_environment.read_text() == before, "submitting wrote the configuration"


def test_what_a_caller_asks_for(service: DeadlineService, bundle: Bundle, submit: Callable[..., Any]) -> None:
    bundle.values(
        Samples="32", deadline__priority=10, deadline__maxRetriesPerTask="3", deadline__maxWorkerCount=4, other__x=1
    )
    submit(
        name="Another name",
        priority=70,
        max_failed_tasks_count=7,
        target_task_run_status="SUSPENDED",
        submitter_name="Blender Kit",
        submitter_version="1.2",
        job_parameters=[{"name": "Frames", "value": "1-10"}, {"name": "Gain", "value": 2}],
        farm_id=None,
    )
    body = create_job(service)
    assert "name: Another name" in body.pop("template")
    assert body == {
        "templateType": "YAML",
        "priority": 70,
        "maxFailedTasksCount": 7,
        "maxRetriesPerTask": 3,
        "maxWorkerCount": 4,
        "targetTaskRunStatus": "SUSPENDED",
        "parameters": {"Samples": {"int": "32"}, "Frames": {"string": "1-10"}, "Gain": {"float": "2"}},
    }
    assert service.requests[0].headers["user-agent"].endswith(" submitter/Blender-Kit#1.2")


def test_a_template_in_json(service: DeadlineService, bundle: Bundle, submit: Callable[..., Any]) -> None:
    (bundle.folder / "template.yaml").unlink()
    template = {
        "specificationVersion": "jobtemplate-2023-09",
        "name": "J",
        "steps": [{"name": "S", "script": {"actions": {"onRun": {"command": "/bin/true"}}}}],
    }
    bundle.write("template.json", template)
    submit(name="K")
    body = create_job(service)
    assert json.loads(body["template"]) == {**template, "name": "K"}
    assert body["templateType"] == "JSON"


def test_queue_parameters_come_first(service: DeadlineService, bundle: Bundle, submit: Callable[..., Any]) -> None:
    service.environments[:] = [
        {
            "queueEnvironmentId": "queueenv-1",
            "name": "Conda",
            "priority": 1,
            "templateType": "YAML",
            "template": "parameterDefinitions:\n- {name: Packages, type: STRING, default: ''}\nenvironment: "
            "{name: Conda}\n",
        }
    ]
    bundle.values(Packages="blender=4.2")
    submit()
    assert create_job(service)["parameters"] == {"Packages": {"string": "blender=4.2"}}


def test_given_queue_parameters_are_not_asked_for(
    service: DeadlineService, bundle: Bundle, submit: Callable[..., Any]
) -> None:
    bundle.values(Packages="x")
    definitions = [{"name": "Packages", "type": "STRING", "default": ""}]
    submit(queue_parameter_definitions=definitions)
    assert create_job(service)["parameters"] == {"Packages": {"string": "x"}}
    assert service.sent("GET", "/environments") == []
