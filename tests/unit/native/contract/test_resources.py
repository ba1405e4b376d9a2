"""Section 5 of the contract: the shapes of farms, queues, storage profiles and queue parameters."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from fakes.deadline_service import CREATED, FARM, QUEUE, STORAGE_PROFILE, DeadlineService
from shotput import _native
from shotput.errors import BundleError

LISTED = "2024-01-02T03:04:05.678Z"
SHOWN = "2024-01-02 03:04:05.678+00:00"


def test_list_farms(service: DeadlineService, configured: Path) -> None:
    assert _native.list_farms() == {
        "farms": [{"farmId": FARM, "displayName": "Test Farm", "createdAt": LISTED, "createdBy": "somebody"}]
    }


def test_list_queues(service: DeadlineService, configured: Path) -> None:
    assert _native.list_queues(FARM) == {
        "queues": [
            {
                "queueId": QUEUE,
                "displayName": "Test Queue",
                "status": "IDLE",
                "createdAt": LISTED,
                "createdBy": "somebody",
            }
        ]
    }


def test_list_storage_profiles_for_queue(service: DeadlineService, configured: Path) -> None:
    assert _native.list_storage_profiles_for_queue(FARM, QUEUE) == {
        "storageProfiles": [{"storageProfileId": STORAGE_PROFILE, "displayName": "Workstations", "osFamily": "linux"}]
    }


FARM_MEMBERS: dict[str, Any] = {
    "kmsKeyArn": "arn:aws:kms:us-west-2:123456789012:key/1",
    "updatedAt": SHOWN,
    "updatedBy": "somebody",
    "description": "A farm",
}


def test_get_farm(service: DeadlineService, configured: Path) -> None:
    least = {
        "farmId": FARM,
        "displayName": "Test Farm",
        "createdAt": SHOWN,
        "createdBy": "somebody",
        "costScaleFactor": 1.0,
    }
    assert _native.get_farm(FARM) == least
    service.farms[0] |= {**FARM_MEMBERS, "updatedAt": CREATED["createdAt"], "unheardOf": 1}
    assert _native.get_farm(FARM) == {**least, **FARM_MEMBERS}


QUEUE_MEMBERS: dict[str, Any] = {
    "blockedReason": "NO_BUDGET_CONFIGURED",
    "updatedAt": SHOWN,
    "updatedBy": "somebody",
    "description": "A queue",
    "jobAttachmentSettings": {"s3BucketName": "bucket", "rootPrefix": "Root"},
    "roleArn": "arn:aws:iam::123456789012:role/queue",
    "requiredFileSystemLocationNames": ["projects"],
    "jobRunAsUser": {"runAs": "QUEUE_CONFIGURED_USER", "posix": {"user": "u", "group": "g"}},
    "schedulingConfiguration": {"priorityFifo": {}},
}


def test_get_queue(service: DeadlineService, configured: Path) -> None:
    least = {
        "farmId": FARM,
        "queueId": QUEUE,
        "displayName": "Test Queue",
        "status": "IDLE",
        "defaultBudgetAction": "NONE",
        "createdAt": SHOWN,
        "createdBy": "somebody",
        "allowedStorageProfileIds": [STORAGE_PROFILE],
    }
    assert _native.get_queue(FARM, QUEUE) == least
    service.queue |= {**QUEUE_MEMBERS, "updatedAt": CREATED["createdAt"], "allowedStorageProfileIds": []}
    del least["allowedStorageProfileIds"]
    assert _native.get_queue(FARM, QUEUE) == {**least, **QUEUE_MEMBERS}


def test_lists_come_with_all_pages(service: DeadlineService, configured: Path) -> None:
    service.page_size = 2
    service.farms = [{"farmId": f"farm-{n}", "displayName": "F", **CREATED} for n in range(5)]
    assert [farm["farmId"] for farm in _native.list_farms()["farms"]] == [f"farm-{n}" for n in range(5)]


def environment(number: int, priority: int, template: str) -> dict[str, Any]:
    return {
        "queueEnvironmentId": f"queueenv-{number:032x}",
        "name": f"E{number}",
        "priority": priority,
        "templateType": "YAML",
        "template": f"specificationVersion: environment-2023-09\n{template}\nenvironment: {{name: Env{number}}}\n",
    }


def definitions(*items: str) -> str:
    return "parameterDefinitions:\n" + "\n".join(f"- {item}" for item in items)


def test_queue_parameter_definitions(service: DeadlineService, configured: Path) -> None:
    assert _native.get_queue_parameter_definitions(FARM, QUEUE) == []
    one = definitions(
        "{name: B, type: INT, default: 1}", "{name: A, type: STRING, default: b, allowedValues: [b, first]}"
    )
    other = definitions("{name: A, type: STRING, default: first, allowedValues: [first, b]}")
    service.environments = [environment(1, 20, one), environment(2, 10, other), environment(3, 10, "")]
    assert _native.get_queue_parameter_definitions(FARM, QUEUE) == [
        {
            "name": "A",
            "type": "STRING",
            "default": "first",
            "allowedValues": ["first", "b"],
            "userInterface": {"groupLabel": "Queue Environment: Env2", "control": "DROPDOWN_LIST"},
        },
        {
            "name": "B",
            "type": "INT",
            "default": 1,
            "userInterface": {"groupLabel": "Queue Environment: Env1", "control": "SPIN_BOX"},
        },
    ]


@pytest.mark.parametrize(
    ("member", "one", "other"),
    [
        ("type", "STRING", "PATH"),
        ("minLength", 1, 2),
        ("maxLength", 8, 9),
        ("allowedValues", "[a, b]", "[a, c]"),
    ],
)
def test_definitions_that_contradict_each_other(
    member: str, one: Any, other: Any, service: DeadlineService, configured: Path
) -> None:
    def definition(value: Any) -> str:
        kind = "" if member == "type" else "type: STRING, "
        return definitions(f"{{name: A, {kind}{member}: {value}, default: a}}")

    service.environments = [environment(1, 1, definition(one)), environment(2, 2, definition(other))]
    with pytest.raises(BundleError) as caught:
        _native.get_queue_parameter_definitions(FARM, QUEUE)
    assert str(caught.value) == (
        f'The queue environment queueenv-{2:032x} defines the parameter "A" differently from another environment of '
        f"the queue in: {member}. Ask the farm's administrator to correct it."
    )
