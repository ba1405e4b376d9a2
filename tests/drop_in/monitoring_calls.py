"""Calls of what looks at jobs: waiting, diagnostics, logs, addresses of the monitor."""

from __future__ import annotations

import json
import os
from datetime import UTC, datetime, timedelta

import pytest
from deadline.client import api
from deadline.client.api._monitor_urls import job_url
from deadline.client.config import config_file, set_setting
from deadline.client.exceptions import DeadlineOperationError, DeadlineOperationTimedOut
from drop_in.calls import calls
from drop_in.client_calls import serve
from drop_in.conftest import Workstation

API = "deadline.client.api"


@calls(API, "wait_for_job_completion", "JobCompletionResult", "FailedTask")
def waiting(workstation: Workstation) -> None:
    place = (workstation.farm_id, workstation.queue_id)
    seen: list[tuple[str, str]] = []
    job_id = workstation.submit(code="import sys; sys.exit(3)", max_retries_per_task=0)
    result = api.wait_for_job_completion(
        *place,
        job_id,
        max_poll_interval=1,
        status_callback=lambda status, elapsed, timeout: seen.append(("status", status)),
        job_callback=lambda job, elapsed, timeout: seen.append(("job", job["taskRunStatus"])),
    )
    (failed,) = result.failed_tasks
    (session,) = workstation.farm.sessions(job_id)
    assert isinstance(result, api.JobCompletionResult)
    assert (result.status, seen[-2:]) == ("FAILED", [("status", "FAILED"), ("job", "FAILED")])
    step = workstation.farm.steps(job_id)["Run"]["stepId"]
    (task,) = workstation.farm.tasks(job_id, step)
    assert failed == api.FailedTask(step, task["taskId"], "Run", {}, session["sessionId"])
    done = api.wait_for_job_completion(*place, workstation.submit(), max_poll_interval=1)
    assert (done.status, done.failed_tasks) == ("SUCCEEDED", [])
    # It would run for ever, and ends with its cancelation.
    endless = workstation.submit(code="import time; time.sleep(600)")
    with pytest.raises(DeadlineOperationTimedOut) as late:
        api.wait_for_job_completion(*place, endless, max_poll_interval=1, timeout=1)
    assert str(late.value) == f"The job {endless} had not ended after 1 seconds."
    workstation.farm.client().update_job(**workstation.queue, jobId=endless, targetTaskRunStatus="CANCELED")
    assert api.wait_for_job_completion(*place, endless, max_poll_interval=1).status == "CANCELED"
    with pytest.raises(DeadlineOperationError, match=r"^Cannot look at the job job-0+: "):
        api.wait_for_job_completion(*place, "job-" + "0" * 32)


@calls(API, "get_job", "get_session", "list_sessions", "list_steps", "list_tasks", "search_jobs")
def diagnostics(workstation: Workstation) -> None:
    job_id = workstation.submit(name="Searched for")
    workstation.farm.wait_job(job_id)
    place = {**workstation.queue, "jobId": job_id}
    assert api.get_job(**place)["name"] == "Searched for"
    assert api.get_job(farm_id=workstation.farm_id, queue_id=workstation.queue_id, job_id=job_id)["jobId"] == job_id
    (step,) = api.list_steps(**place)["steps"]
    (task,) = api.list_tasks(**place, stepId=step["stepId"], maxResults=1)["tasks"]
    assert (step["name"], task["runStatus"]) == ("Run", "SUCCEEDED")
    (session,) = api.list_sessions(**place)["sessions"]
    assert api.get_session(**place, sessionId=session["sessionId"])["sessionId"] == session["sessionId"]
    found = api.search_jobs(nameContains="Searched for", taskRunStatus="SUCCEEDED", page_size=500)
    assert job_id in [job["jobId"] for job in found["jobs"]]
    assert found["totalResults"] >= 1
    assert set(found) == {"jobs", "totalResults", "nextItemOffset"}
    assert api.search_jobs(nameContains="no such name")["jobs"] == []
    set_setting("defaults.farm_id", "")
    with pytest.raises(DeadlineOperationError) as error:
        api.search_jobs()
    assert str(error.value) == (
        "No farm or no queue is chosen. Set defaults.farm_id and defaults.queue_id in "
        f"{workstation.folder}/home/.deadline/config, or give farmId and queueIds."
    )


@calls(API, "get_session_logs", "get_worker_logs", "LogEvent", "SessionLogResult", "WorkerLogResult")
def logs(workstation: Workstation) -> None:
    job_id = workstation.submit(code="print('one line  ')")
    workstation.farm.wait_job(job_id)
    (session,) = workstation.farm.sessions(job_id)
    place = (workstation.farm_id, workstation.queue_id)
    result = api.get_session_logs(*place, job_id=job_id)
    assert isinstance(result, api.SessionLogResult)
    assert (result.log_group, result.log_stream, result.count) == (
        f"/aws/deadline/{place[0]}/{place[1]}",
        session["sessionId"],
        len(result.events),
    )
    (event,) = [event for event in result.events if event.message == "one line"]
    assert isinstance(event, api.LogEvent)
    assert event.timestamp.tzinfo is UTC
    assert api.get_session_logs(*place, session["sessionId"], limit=1).count == 1
    later = datetime.now(UTC) + timedelta(hours=1)
    assert api.get_session_logs(*place, session["sessionId"], start_time=later).events == []
    earlier = api.get_session_logs(*place, session["sessionId"], end_time=later, next_token=result.next_token)
    assert (earlier.events, earlier.next_token) == ([], result.next_token)
    assert api.get_session_logs(*place, "session-" + "0" * 32).events == []
    with pytest.raises(DeadlineOperationError, match=r"^Whose log is wanted is not said. Give session_id or job_id.$"):
        api.get_session_logs(*place)
    waiting_job = workstation.submit(target_task_run_status="SUSPENDED")
    with pytest.raises(DeadlineOperationError) as none:
        api.get_session_logs(*place, job_id=waiting_job)
    assert str(none.value) == f"The job {waiting_job} has no session yet. Try again when it runs."

    fleet = workstation.farm.state["fleet_id"]
    (worker,) = workstation.farm.client().list_workers(farmId=place[0], fleetId=fleet)["workers"]
    lines = api.get_worker_logs(place[0], fleet, worker["workerId"])
    assert isinstance(lines, api.WorkerLogResult)
    assert (lines.log_group, lines.log_stream, lines.count) == (
        f"/aws/deadline/{place[0]}/{fleet}",
        worker["workerId"],
        len(lines.events),
    )


@calls(API, "build_monitor_url")
def monitor_url(workstation: Workstation) -> None:
    host = "https://studio.us-east-1.deadlinecloud.amazonaws.com"
    assert api.build_monitor_url("studio", "us-east-1") == f"{host}/farms"
    assert api.build_monitor_url("studio", "eu-west-1", "farm-1", monitor_region="us-east-1") == (
        f"{host}/eu-west-1/farms/farm-1"
    )
    set_setting("defaults.farm_region", "us-east-1")
    assert api.build_monitor_url("studio", None, "farm-1", "queue-1", "job-1", "step-1", "task-1-0") == (
        f"{host}/us-east-1/farms/farm-1/queues/queue-1?jobId=job-1&stepId=step-1&taskId=task-1-0"
    )
    assert api.build_monitor_url("studio", host="https://m.example/") == "https://m.example/farms"
    with pytest.raises(ValueError, match=r"^job_id 'job-1' is given without queue_id$"):
        api.build_monitor_url("studio", farm_id="farm-1", job_id="job-1")
    set_setting("defaults.farm_region", "")
    with pytest.raises(
        ValueError, match=r"^The address of a monitor needs a subdomain and a region; give both, or set "
    ):
        api.build_monitor_url("studio")

    # Who came by the monitor is told a job's page there; nobody else is, and a monitor that is silent does no harm.
    ids = ("farm-1", "queue-1", "job-1")
    assert job_url(None, *ids) is None
    keys = "aws_access_key_id = A\naws_secret_access_key = s\n"
    workstation.file("home/.aws/config", f"[profile studio]\nregion = us-east-1\nmonitor_id = m1\n{keys}")
    set_setting("defaults.aws_profile_name", "studio")
    assert job_url(None, *ids) is None
    monitor = {"monitorId": "m1", "subdomain": "studio", "url": host, "createdAt": "2026-01-01T00:00:00Z"}
    os.environ["AWS_ENDPOINT_URL_DEADLINE"] = serve(
        workstation.file("served/2023-10-12/monitors/m1", json.dumps(monitor)).parents[2]
    )
    api.get_boto3_session(force_refresh=True)
    assert job_url(None, *ids) == f"{host}/us-east-1/farms/farm-1/queues/queue-1?jobId=job-1"
    memory = config_file.read_config()
    set_setting("defaults.farm_id", "farm-1", memory)
    set_setting("defaults.farm_region", "eu-west-1", memory)
    assert job_url(memory, *ids) == f"{host}/eu-west-1/farms/farm-1/queues/queue-1?jobId=job-1"
