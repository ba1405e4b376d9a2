"""Workers: registration, held requests, loss and return, and what they are told of jobs."""

from __future__ import annotations

import contextlib
import sqlite3
import threading
import time
from collections.abc import Callable
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError
from shotput.local_farm import FarmState
from shotput_farm.protocol.errors import AccessDenied
from shotput_farm.scheduler import LEASE_SECONDS, UPDATE_INTERVAL_SECONDS
from shotput_farm.worker.service import WorkerService

TRUE = {"actions": {"onRun": {"command": "/bin/true"}}}
MANIFESTS = [
    {
        "rootPath": "/shots",
        "rootPathFormat": "posix",
        "outputRelativeDirectories": ["render"],
        "inputManifestPath": "a/b_input",
        "inputManifestHash": "0" * 32,
    }
]


def step(name: str = "Render", frames: str = "1-4", **more: Any) -> dict[str, Any]:
    space = {"taskParameterDefinitions": [{"name": "Frame", "type": "INT", "range": frames}]}
    return {"name": name, "script": TRUE, "parameterSpace": space, **more}


def refused(error: ClientError) -> tuple[str, str]:
    return error.response["Error"]["Code"], error.response["Error"]["Message"]


def succeeded(actions: list[dict[str, Any]]) -> dict[str, Any]:
    now = time.time()
    report = {"completedStatus": "SUCCEEDED", "startedAt": now, "endedAt": now, "processExitCode": 0}
    return {action["sessionActionId"]: report for action in actions}


def test_a_worker_comes_and_goes(served: Any) -> None:
    worker = served.worker()
    found = served.call.get_worker(**worker.ids)
    assert found["status"] == "STARTED"
    assert found["hostProperties"] == {"hostName": "render01"}
    reply = worker.start()
    assert reply["log"]["logDriver"] == "awslogs"
    assert reply["log"]["options"] == {
        "logGroupName": f"/aws/deadline/{served.ids['farm_id']}/{served.ids['fleet_id']}",
        "logStreamName": worker.ids["workerId"],
    }
    schedule = worker.exchange()
    del schedule["ResponseMetadata"]
    assert schedule == {
        "assignedSessions": {},
        "cancelSessionActions": {},
        "updateIntervalSeconds": UPDATE_INTERVAL_SECONDS,
    }
    with pytest.raises(ClientError) as caught:
        served.call.delete_worker(**worker.ids)
    assert caught.value.response["context"] == {"status": "IDLE"}
    worker.call.update_worker(**worker.ids, status="STOPPING")
    with pytest.raises(ClientError) as caught:
        worker.start()
    assert refused(caught.value) == (
        "ConflictException",
        f"Worker {worker.ids['workerId']} is STOPPING and cannot become STARTED. Report STOPPED first, then STARTED.",
    )
    assert caught.value.response["context"] == {"status": "STOPPING"}
    worker.call.update_worker(**worker.ids, status="STOPPED")
    with pytest.raises(ClientError) as caught:
        worker.exchange()
    assert (caught.value.response["reason"], caught.value.response["context"]) == (
        "STATUS_CONFLICT",
        {"status": "STOPPED"},
    )
    assert [found["workerId"] for found in served.call.list_workers(**served.in_fleet)["workers"]] == [
        worker.ids["workerId"]
    ]
    served.call.delete_worker(**worker.ids)
    assert served.call.list_workers(**served.in_fleet)["workers"] == []


def test_a_held_request_answers_when_there_is_work(served: Any) -> None:
    worker = served.worker()
    worker.exchange()
    answered: list[float] = []

    def wait() -> None:
        worker.wait(30)
        answered.append(time.monotonic())

    thread = threading.Thread(target=wait)
    thread.start()
    time.sleep(0.5)
    assert not answered
    served.submit({"steps": [step()]})
    thread.join(10)
    assert answered
    assert worker.kinds() == ["taskRun"]


def test_a_held_request_answers_on_cancel_and_not_for_known_things(served: Any) -> None:
    job = served.submit({"steps": [step()]})
    worker = served.worker()
    worker.exchange()
    known = worker.actions()
    begun = time.monotonic()
    worker.wait(0.4)  # nothing that it was not told already
    assert time.monotonic() - begun >= 0.4
    assert worker.actions() == known
    thread = threading.Thread(target=worker.wait, args=(30,))
    thread.start()
    time.sleep(0.3)
    served.call.update_job(**job, targetTaskRunStatus="CANCELED")
    thread.join(10)
    assert not thread.is_alive()
    assert list(worker.canceled.values()) == [[known[0]["sessionActionId"]]]


def test_results_and_new_work_travel_in_one_exchange(served: Any) -> None:
    served.submit({"steps": [step(frames="1-500")]})
    worker = served.worker(vcpu=2)
    worker.exchange()
    assert len(worker.actions()) == 1  # nobody knows yet how long a task takes
    reply = worker.finish()
    (session,) = reply["assignedSessions"].values()
    assert len(session["sessionActions"]) == 90
    numbers = [int(action["sessionActionId"].rsplit("-", 1)[1]) for action in session["sessionActions"]]
    assert numbers == list(range(1, 91))
    frames = [a["definition"]["taskRun"]["parameters"]["Frame"]["int"] for a in session["sessionActions"]]
    assert frames == [str(frame) for frame in range(2, 92)]
    worker.finish(40)
    assert [int(a["sessionActionId"].rsplit("-", 1)[1]) for a in worker.actions()] == list(range(41, 131))


def test_a_result_counts_once(served: Any) -> None:
    job = served.submit({"steps": [step(frames="1-3")]})
    worker = served.worker()
    worker.exchange()
    reports = succeeded(worker.actions())
    failed = {name: {**report, "completedStatus": "FAILED"} for name, report in reports.items()}
    worker.exchange(reports)
    worker.exchange(reports)
    worker.exchange(failed)
    worker.exchange({"sessionaction-" + "0" * 32 + "-0": next(iter(reports.values()))})
    found = served.call.get_job(**job)["taskRunStatusCounts"]
    assert (found["SUCCEEDED"], found["FAILED"], found["READY"]) == (1, 0, 0)


def test_a_restarted_worker_gives_its_tasks_back(served: Any) -> None:
    job = served.submit({"steps": [step(frames="1-2")]})
    worker = served.worker()
    worker.exchange()
    lost = worker.actions()[0]["sessionActionId"]
    worker.exchange({lost: {"startedAt": time.time()}})
    assert served.call.get_job(**job)["taskRunStatus"] == "RUNNING"
    worker.start()  # the same id, another process
    assert served.call.get_session_action(**job, sessionActionId=lost)["status"] == "INTERRUPTED"
    (session,) = served.call.list_sessions(**job)["sessions"]
    assert session["lifecycleStatus"] == "ENDED"
    found = served.call.get_job(**job)
    assert (found["taskRunStatus"], found["taskFailureRetryCount"]) == ("READY", 0)
    worker.exchange()
    assert worker.actions()[0]["sessionActionId"] != lost
    worker.exchange({lost: {"completedStatus": "SUCCEEDED", "startedAt": time.time(), "endedAt": time.time()}})
    assert served.call.get_job(**job)["taskRunStatusCounts"]["SUCCEEDED"] == 0
    assert worker.run_out() == 2


def test_a_silent_worker_is_given_up_and_one_on_the_line_is_not(served: Any) -> None:
    job = served.submit({"steps": [step(frames="1-2")]}, maxWorkerCount=1)
    silent, other = served.worker(), served.worker()
    silent.exchange()
    thread = threading.Thread(target=other.wait, args=(30,))
    other.exchange()
    thread.start()
    time.sleep(0.3)
    served.clock.ahead = LEASE_SECONDS + 5
    assert served.farm.scheduler.sweep() == [silent.ids["workerId"]]
    thread.join(10)  # the freed place under maxWorkerCount wakes the other
    assert other.kinds() == ["taskRun"]
    assert served.call.get_worker(**silent.ids)["status"] == "NOT_RESPONDING"
    with pytest.raises(ClientError) as caught:
        silent.exchange()
    assert caught.value.response["context"] == {"status": "NOT_RESPONDING"}
    silent.start()
    assert served.call.get_worker(**silent.ids)["status"] == "STARTED"
    assert served.call.get_job(**job)["taskFailureRetryCount"] == 0


def test_a_clock_that_is_set_back_gives_no_silent_worker_a_longer_lease(served: Any) -> None:
    served.clock.ahead = 200
    worker = served.worker()
    worker.exchange()
    served.clock.ahead = 0
    assert served.farm.scheduler.sweep() == []
    served.clock.ahead = LEASE_SECONDS + 5
    assert served.farm.scheduler.sweep() == [worker.ids["workerId"]]


def test_a_worker_renews_its_keys_also_when_they_are_no_longer_good(served: Any) -> None:
    root = served.farm.credentials.root
    rest = dict.fromkeys((field.name for field in fields(FarmState) if field.name not in served.ids), "")
    keys = {"access_key_id": root.access_key_id, "secret_access_key": root.secret_access_key}
    state = FarmState(**{**rest, **served.ids, **keys, "endpoint_url": served.endpoint, "region": "us-west-2"})
    worker = WorkerService(state)
    worker.register("", {})
    worker.assume_fleet_role()
    worker.update_worker("STARTED")
    served.farm.credentials.revoke(worker_id=worker.worker_id)
    with pytest.raises(AccessDenied):
        worker.update_schedule({}, 0.0, None)
    worker.assume_fleet_role()
    assert worker.update_schedule({}, 0.0, None) is not None
    worker.close()


def test_a_damaged_log_does_not_keep_jobs_from_being_done(
    served: Any, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with contextlib.closing(sqlite3.connect(tmp_path / "logs.sqlite3")) as db:
        db.execute("DROP TABLE stream")
    job = served.submit({"steps": [step()]})
    assert served.worker().run_out() == 4
    assert served.call.get_job(**job)["taskRunStatus"] == "SUCCEEDED"
    (session,) = served.call.list_sessions(**job)["sessions"]
    assert caplog.messages[-1] == f"There is no log for {session['sessionId']} (no such table: stream)."


def test_a_farm_that_comes_back_goes_on(
    tmp_path: Path, serve_folder: Callable[[Path], tuple[Any, Callable[[], None]]]
) -> None:
    served, stop = serve_folder(tmp_path)
    try:
        job = served.submit({"steps": [step(frames="1-6")]})
        worker = served.worker()
        worker.exchange()
        worker.finish(1)
        ids, keys = worker.ids, worker.keys
        first = worker.actions()
        defaults = served.ids
    finally:
        stop()
    served, stop = serve_folder(tmp_path)
    try:
        assert served.ids == defaults
        worker.served, worker.call = served, served.client(*keys)
        worker.exchange(succeeded(first))  # finished while the farm was away
        found = served.call.get_job(**job)
        assert found["taskRunStatusCounts"]["SUCCEEDED"] == 1 + len(first)
        assert served.call.get_worker(**ids)["status"] in ("RUNNING", "IDLE")
        worker.run_out()
        assert served.call.get_job(**job)["taskRunStatus"] == "SUCCEEDED"
        assert served.farm.is_idle()
    finally:
        stop()


def test_what_a_worker_is_told_of_a_job(served: Any) -> None:
    entered = {"actions": {"onEnter": {"command": "/bin/true"}}}
    document = {
        "parameterDefinitions": [{"name": "Samples", "type": "INT", "default": 16}],
        "jobEnvironments": [{"name": "Outer", "script": entered}],
        "steps": [
            step("Render", stepEnvironments=[{"name": "Inner", "script": entered}]),
            step("Comp", dependencies=[{"dependsOn": "Render"}]),
        ],
    }
    job = served.submit(document, attachments={"manifests": MANIFESTS})
    steps = served.steps(job)
    worker = served.worker()
    early = worker.call.batch_get_job_entity(**worker.ids, identifiers=[{"jobDetails": {"jobId": job["jobId"]}}])
    assert early["errors"][0]["jobDetails"]["code"] == "ResourceNotFoundException"  # it has no session of it yet
    worker.exchange()
    assert worker.kinds() == ["syncInputJobAttachments", "envEnter", "envEnter", "taskRun"]
    (session,) = worker.sessions.values()
    assert session["logConfiguration"]["options"]["logStreamName"] in worker.sessions
    assert session["logConfiguration"]["parameters"] == {"interval": "1"}
    job_id, render, comp = job["jobId"], steps["Render"]["stepId"], steps["Comp"]["stepId"]
    environments = [f"JOB:{job_id}:Outer", f"STEP:{render}:Inner"]
    assert [a["definition"]["envEnter"]["environmentId"] for a in worker.actions()[1:3]] == environments
    identifiers = [
        {"jobDetails": {"jobId": job_id}},
        {"jobAttachmentDetails": {"jobId": job_id}},
        {"stepDetails": {"jobId": job_id, "stepId": render}},
        {"stepDetails": {"jobId": job_id, "stepId": comp}},
        *({"environmentDetails": {"jobId": job_id, "environmentId": name}} for name in environments),
        {"environmentDetails": {"jobId": job_id, "environmentId": f"JOB:{job_id}:Nowhere"}},
    ]
    reply = worker.call.batch_get_job_entity(**worker.ids, identifiers=identifiers)
    details, attachments, first, second, outer, inner = (next(iter(e.values())) for e in reply["entities"])
    assert details["schemaVersion"] == "jobtemplate-2023-09"
    assert details["parameters"] == {"Samples": {"int": "16"}}
    assert details["jobRunAsUser"] == {"runAs": "WORKER_AGENT_USER"}
    assert details["jobAttachmentSettings"] == {"s3BucketName": "shotput-local", "rootPrefix": "DeadlineCloud"}
    assert details["logGroupName"] == f"/aws/deadline/{job['farmId']}/{job['queueId']}"
    assert details["pathMappingRules"] == []
    assert attachments["attachments"] == {"manifests": MANIFESTS, "fileSystem": "COPIED"}
    assert (first["template"]["name"], first["dependencies"]) == ("Render", [])
    assert (second["template"]["name"], second["dependencies"]) == ("Comp", [render])
    assert (outer["template"]["name"], inner["template"]["name"]) == ("Outer", "Inner")
    assert [error["environmentDetails"]["code"] for error in reply["errors"]] == ["ResourceNotFoundException"]
    for _ in range(10):
        worker.finish()
        if "syncInputJobAttachments" in worker.kinds():
            break
    sync = [a["definition"] for a in worker.actions() if "syncInputJobAttachments" in a["definition"]]
    assert sync == [{"syncInputJobAttachments": {"stepId": comp}}]


def test_output_manifests_of_a_task(served: Any) -> None:
    job = served.submit({"steps": [step(frames="1")]}, attachments={"manifests": MANIFESTS})
    worker = served.worker()
    worker.exchange()
    manifests = [{"outputManifestPath": "out/x_output", "outputManifestHash": "1" * 32}]
    reports = succeeded(worker.actions())
    last = worker.actions()[-1]["sessionActionId"]
    reports[last] = {**reports[last], "manifests": manifests}
    worker.exchange(reports)
    assert served.call.get_session_action(**job, sessionActionId=last)["manifests"] == manifests


def test_ending_a_session_gives_its_tasks_back(served: Any) -> None:
    job = served.submit({"steps": [step(frames="1-2")]})
    worker = served.worker()
    worker.exchange()
    (session_id,) = worker.sessions
    served.call.update_session(**job, sessionId=session_id, targetLifecycleStatus="ENDED")
    assert served.call.get_session(**job, sessionId=session_id)["lifecycleStatus"] == "UPDATE_IN_PROGRESS"
    worker.exchange()
    worker.finish(1, "CANCELED")
    assert session_id not in worker.sessions
    assert served.call.get_session(**job, sessionId=session_id)["lifecycleStatus"] == "ENDED"
    assert worker.run_out() == 2
    sessions = served.call.list_sessions_for_worker(**worker.ids)["sessions"]
    assert [session["jobId"] for session in sessions] == [job["jobId"]] * len(sessions)
    reply = served.call.batch_get_session(identifiers=[{**job, "sessionId": session_id}])
    assert reply["sessions"][0]["sessionId"] == session_id


def test_sessions_and_workers_have_a_log_from_the_beginning(served: Any) -> None:
    job = served.submit({"steps": [step()]})
    worker = served.worker()
    worker.exchange()
    (session_id,) = worker.sessions
    session = served.call.get_session(**job, sessionId=session_id)
    root = served.farm.credentials.root
    logs = served.client(root.access_key_id, root.secret_access_key, service="logs")
    for place in (session["log"]["options"], worker.start()["log"]["options"]):
        page = logs.get_log_events(**place, startFromHead=True)
        assert (page["events"], page["nextForwardToken"]) == ([], "f/0")
        streams = logs.describe_log_streams(logGroupName=place["logGroupName"])["logStreams"]
        assert [stream["logStreamName"] for stream in streams] == [place["logStreamName"]]


def test_paths_are_mapped_between_storage_profiles(served: Any) -> None:
    here = served.call.create_storage_profile(
        **served.in_farm,
        displayName="Desk",
        osFamily="WINDOWS",
        fileSystemLocations=[{"name": "Assets", "path": "Z:\\assets", "type": "SHARED"}],
    )["storageProfileId"]
    there = served.call.create_storage_profile(
        **served.in_farm,
        displayName="Farm",
        osFamily="LINUX",
        fileSystemLocations=[{"name": "Assets", "path": "/mnt/assets", "type": "SHARED"}],
    )["storageProfileId"]
    configuration = served.call.get_fleet(**served.in_fleet)["configuration"]
    configuration["customerManaged"]["storageProfileId"] = there
    served.call.update_fleet(**served.in_fleet, configuration=configuration)
    job = served.submit({"steps": [step()]}, storageProfileId=here)
    worker = served.worker()
    worker.exchange()
    reply = worker.call.batch_get_job_entity(**worker.ids, identifiers=[{"jobDetails": {"jobId": job["jobId"]}}])
    assert reply["entities"][0]["jobDetails"]["pathMappingRules"] == [
        {"sourcePathFormat": "windows", "sourcePath": "Z:\\assets", "destinationPath": "/mnt/assets"}
    ]
