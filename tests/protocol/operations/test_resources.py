"""Farms, queues, environments, fleets, associations, storage profiles and roles, through boto3."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from botocore.exceptions import ClientError


def refused(error: ClientError) -> tuple[str, str]:
    return error.response["Error"]["Code"], error.response["Error"]["Message"]


def test_a_new_farm_has_what_a_submission_needs(served: Any) -> None:
    farms = served.call.list_farms()["farms"]
    assert [farm["farmId"] for farm in farms] == [served.ids["farm_id"]]
    assert served.call.get_farm(**served.in_farm)["description"] == ""
    queue = served.call.get_queue(**served.in_queue)
    assert queue["jobAttachmentSettings"] == {"s3BucketName": "shotput-local", "rootPrefix": "DeadlineCloud"}
    assert (queue["status"], queue["description"], queue["defaultBudgetAction"]) == ("IDLE", "", "NONE")
    fleet = served.call.get_fleet(**served.in_fleet)
    assert (fleet["status"], fleet["workerCount"]) == ("ACTIVE", 0)
    assert "customerManaged" in fleet["configuration"]
    (association,) = served.call.list_queue_fleet_associations(**served.in_farm)["queueFleetAssociations"]
    assert (association["queueId"], association["fleetId"]) == (served.ids["queue_id"], served.ids["fleet_id"])
    (profile,) = served.call.list_storage_profiles_for_queue(**served.in_queue)["storageProfiles"]
    assert profile["storageProfileId"] == served.ids["storage_profile_id"]


def test_a_client_token_creates_once(served: Any) -> None:
    values = {**served.in_farm, "displayName": "Lighting", "clientToken": "token-1"}
    first = served.call.create_queue(**values)
    assert served.call.create_queue(**values)["queueId"] == first["queueId"]
    with pytest.raises(ClientError) as caught:
        served.call.create_queue(**{**values, "displayName": "Comp"})
    assert refused(caught.value) == (
        "ConflictException",
        "The client token token-1 was used for another CreateQueue before. Use a new token for a new request.",
    )
    assert len(served.call.list_queues(**served.in_farm)["queues"]) == 2


def test_pages_are_stable_while_rows_are_inserted(served: Any) -> None:
    names = [f"Queue {i:02}" for i in range(7)]
    for name in names:
        served.call.create_queue(**served.in_farm, displayName=name)
    first = served.call.list_queues(**served.in_farm, maxResults=3)
    served.call.create_queue(**served.in_farm, displayName="Late")
    seen = [queue["displayName"] for queue in first["queues"]]
    token = first["nextToken"]
    while token:
        page = served.call.list_queues(**served.in_farm, maxResults=3, nextToken=token)
        seen += [queue["displayName"] for queue in page["queues"]]
        token = page.get("nextToken")
    assert seen == ["Local queue", *names, "Late"]
    with pytest.raises(ClientError) as caught:
        served.call.list_queues(**served.in_farm, nextToken="three")
    assert refused(caught.value) == (
        "ValidationException",
        "The nextToken 'three' is none of this farm's. Begin again without a nextToken.",
    )


def test_queues_change_and_go(served: Any) -> None:
    created = served.call.create_queue(**served.in_farm, displayName="Old", allowedStorageProfileIds=[])
    queue = {**served.in_farm, "queueId": created["queueId"]}
    profile = served.ids["storage_profile_id"]
    served.call.update_queue(
        **queue,
        displayName="New",
        description="Two",
        requiredFileSystemLocationNamesToAdd=["Assets", "Shots"],
        allowedStorageProfileIdsToAdd=[profile],
    )
    served.call.update_queue(**queue, requiredFileSystemLocationNamesToRemove=["Assets"])
    found = served.call.get_queue(**queue)
    assert (found["displayName"], found["description"]) == ("New", "Two")
    assert found["requiredFileSystemLocationNames"] == ["Shots"]
    assert found["allowedStorageProfileIds"] == [profile]
    assert found["updatedBy"] == found["createdBy"]
    served.call.delete_queue(**queue)
    with pytest.raises(ClientError) as caught:
        served.call.get_queue(**queue)
    assert refused(caught.value) == (
        "ResourceNotFoundException",
        f"There is no queue {queue['queueId']} on this farm. List what exists, then use an id from that list.",
    )
    with pytest.raises(ClientError) as caught:
        served.call.delete_queue(**served.in_queue)
    assert refused(caught.value) == (
        "ConflictException",
        f"Queue {served.ids['queue_id']} still has 1 queue fleet association(s). Delete them first.",
    )


def test_storage_profiles_and_what_a_queue_allows(served: Any) -> None:
    location = {"name": "Assets", "path": "/mnt/assets", "type": "SHARED"}
    profile_id = served.call.create_storage_profile(
        **served.in_farm, displayName="Windows", osFamily="WINDOWS", fileSystemLocations=[location]
    )["storageProfileId"]
    profile = {**served.in_farm, "storageProfileId": profile_id}
    more = {"name": "Shots", "path": "S:\\shots", "type": "LOCAL"}
    served.call.update_storage_profile(
        **profile, fileSystemLocationsToAdd=[more], fileSystemLocationsToRemove=[location], displayName="Win"
    )
    found = served.call.get_storage_profile(**profile)
    assert (found["displayName"], found["fileSystemLocations"]) == ("Win", [more])
    assert len(served.call.list_storage_profiles(**served.in_farm)["storageProfiles"]) == 2
    served.call.update_queue(**served.in_queue, allowedStorageProfileIdsToAdd=[profile_id])
    (allowed,) = served.call.list_storage_profiles_for_queue(**served.in_queue)["storageProfiles"]
    assert allowed["storageProfileId"] == profile_id
    with pytest.raises(ClientError) as caught:
        served.call.get_storage_profile_for_queue(**served.in_queue, storageProfileId=served.ids["storage_profile_id"])
    assert refused(caught.value)[0] == "ResourceNotFoundException"
    served.call.delete_storage_profile(**profile)
    assert len(served.call.list_storage_profiles(**served.in_farm)["storageProfiles"]) == 1


def test_fleets(served: Any) -> None:
    configuration = served.call.get_fleet(**served.in_fleet)["configuration"]
    created = served.call.create_fleet(
        **served.in_farm,
        displayName="Night",
        roleArn="arn:aws:iam::000000000000:role/x",
        maxWorkerCount=3,
        configuration=configuration,
    )
    fleet = {**served.in_farm, "fleetId": created["fleetId"]}
    served.call.update_fleet(**fleet, maxWorkerCount=5)
    assert served.call.get_fleet(**fleet)["maxWorkerCount"] == 5
    (found,) = served.call.list_fleets(**served.in_farm, displayName="Night")["fleets"]
    assert found["fleetId"] == fleet["fleetId"]
    served.call.create_queue_fleet_association(**served.in_queue, fleetId=fleet["fleetId"])
    pair = {**served.in_queue, "fleetId": fleet["fleetId"]}
    assert served.call.get_queue_fleet_association(**pair)["status"] == "ACTIVE"
    served.call.update_queue_fleet_association(**pair, status="STOP_SCHEDULING_AND_COMPLETE_TASKS")
    assert served.call.get_queue_fleet_association(**pair)["status"] == "STOPPED"
    served.call.delete_queue_fleet_association(**pair)
    served.call.delete_fleet(**fleet)
    assert len(served.call.list_fleets(**served.in_farm)["fleets"]) == 1


def test_queue_environments_are_checked_and_listed(served: Any) -> None:
    template = {
        "specificationVersion": "environment-2023-09",
        "parameterDefinitions": [{"name": "CondaPackages", "type": "STRING", "default": "blender"}],
        "environment": {"name": "Conda", "script": {"actions": {"onEnter": {"command": "/bin/true"}}}},
    }
    text = json.dumps(template)
    values = {**served.in_queue, "templateType": "JSON", "template": text, "priority": 3}
    environment_id = served.call.create_queue_environment(**values)["queueEnvironmentId"]
    (listed,) = served.call.list_queue_environments(**served.in_queue)["environments"]
    assert listed == {"queueEnvironmentId": environment_id, "name": "Conda", "priority": 3}
    found = served.call.get_queue_environment(**served.in_queue, queueEnvironmentId=environment_id)
    assert found["template"] == text
    with pytest.raises(ClientError) as caught:
        served.call.create_queue_environment(**values)
    assert refused(caught.value) == (
        "ConflictException",
        f"Queue {served.ids['queue_id']} has an environment named 'Conda' already. "
        "Update that one, or use another name.",
    )
    with pytest.raises(ClientError) as caught:
        served.call.create_queue_environment(
            **{**values, "template": '{"specificationVersion": "environment-2023-09"}'}
        )
    assert refused(caught.value)[0] == "ValidationException"
    assert caught.value.response["fieldList"]
    served.call.update_queue_environment(**served.in_queue, queueEnvironmentId=environment_id, priority=9)
    assert served.call.list_queue_environments(**served.in_queue)["environments"][0]["priority"] == 9
    job = served.submit({"steps": [{"name": "S", "script": {"actions": {"onRun": {"command": "/bin/true"}}}}]})
    definitions = served.call.list_job_parameter_definitions(**job)["jobParameterDefinitions"]
    assert [definition["name"] for definition in definitions] == ["CondaPackages"]
    worker = served.worker()
    worker.exchange()
    assert worker.kinds() == ["envEnter", "taskRun"]
    environment = worker.actions()[0]["definition"]["envEnter"]["environmentId"]
    assert environment == f"JOB:{job['jobId']}:Conda"
    identifier = {"environmentDetails": {"jobId": job["jobId"], "environmentId": environment}}
    reply = worker.call.batch_get_job_entity(**worker.ids, identifiers=[identifier])
    assert reply["errors"] == []
    assert reply["entities"][0]["environmentDetails"]["template"]["name"] == "Conda"
    served.call.delete_queue_environment(**served.in_queue, queueEnvironmentId=environment_id)
    assert served.call.list_queue_environments(**served.in_queue)["environments"] == []


def test_roles_hand_out_keys_that_expire(served: Any) -> None:
    worker = served.worker()
    soon = datetime.now(UTC) + timedelta(minutes=30)
    for reply in (
        served.call.assume_queue_role_for_user(**served.in_queue),
        served.call.assume_queue_role_for_read(**served.in_queue),
        served.call.assume_fleet_role_for_read(**served.in_fleet),
        worker.call.assume_queue_role_for_worker(**worker.ids, queueId=served.ids["queue_id"]),
        worker.call.assume_fleet_role_for_worker(**worker.ids),
    ):
        assert reply["credentials"]["accessKeyId"].startswith("ASIA")
        assert reply["credentials"]["expiration"] > soon


def test_a_farm_with_contents_is_not_deleted(served: Any) -> None:
    with pytest.raises(ClientError) as caught:
        served.call.delete_farm(**served.in_farm)
    assert refused(caught.value) == (
        "ConflictException",
        f"Farm {served.ids['farm_id']} still has 1 queue(s). Delete them first.",
    )
    other = served.call.create_farm(displayName="Other", description="x")["farmId"]
    served.call.update_farm(farmId=other, displayName="Renamed")
    assert served.call.get_farm(farmId=other)["displayName"] == "Renamed"
    served.call.delete_farm(farmId=other)
    assert len(served.call.list_farms()["farms"]) == 1
