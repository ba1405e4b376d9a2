"""Small tasks through the whole farm (signed HTTP, scheduler, worker, session, logs), submission to last status."""

from __future__ import annotations

import json
import tempfile
import time
from pathlib import Path
from typing import Any

import boto3
from botocore.config import Config
from shotput import local_farm

from benchmarks.measure import REPEATS, Figure, Row, at_least

TASKS = 1_000
_POLL_SECONDS = 0.02
_ENDED = ("SUCCEEDED", "FAILED", "CANCELED", "NOT_COMPATIBLE")


def run() -> list[Row]:
    rates = []
    with tempfile.TemporaryDirectory() as folder:
        state = local_farm.start(data_dir=Path(folder) / "farm")
        try:
            for _ in range(REPEATS):
                job_id, seconds = _submit_and_wait(state)
                _check(state, job_id)
                rates.append(TASKS / seconds)
        finally:
            local_farm.stop(data_dir=Path(folder) / "farm")
    return [at_least(f"{TASKS:,} tasks of /bin/true through the farm", Figure(tuple(rates), "tasks/s"), 200)]


def _template() -> dict[str, Any]:
    return {
        "specificationVersion": "jobtemplate-2023-09",
        "name": "small tasks",
        "steps": [
            {
                "name": "True",
                "hostRequirements": {"amounts": [{"name": "amount.worker.vcpu", "min": 1}]},
                "parameterSpace": {
                    "taskParameterDefinitions": [{"name": "Task", "type": "INT", "range": f"1-{TASKS}"}]
                },
                "script": {"actions": {"onRun": {"command": "/bin/true"}}},
            }
        ],
    }


def _submit_and_wait(state: local_farm.FarmState) -> tuple[str, float]:
    client = _client(state, "deadline", state.endpoint_url)
    queue = {"farmId": state.farm_id, "queueId": state.queue_id}
    client.get_queue(**queue)  # the client's own first-call costs are no part of the farm
    template = json.dumps(_template())
    started = time.perf_counter()
    job_id: str = client.create_job(**queue, template=template, templateType="JSON", priority=50)["jobId"]
    while (job := client.get_job(**queue, jobId=job_id)).get("taskRunStatus") not in _ENDED:
        time.sleep(_POLL_SECONDS)
    seconds = time.perf_counter() - started
    if job["taskRunStatusCounts"].get("SUCCEEDED") != TASKS:
        raise RuntimeError(f"{job_id} ended with {job['taskRunStatusCounts']}")
    return job_id, seconds


def _check(state: local_farm.FarmState, job_id: str) -> None:
    """Every task has an action with its exit code, and every session a log with a line for each of its tasks."""
    client = _client(state, "deadline", state.endpoint_url)
    logs = _client(state, "logs", state.logs_endpoint_url)
    job = {"farmId": state.farm_id, "queueId": state.queue_id, "jobId": job_id}
    tasks = set()
    for page in client.get_paginator("list_sessions").paginate(**job):
        for session in page["sessions"]:
            count = 0
            pages = client.get_paginator("list_session_actions").paginate(**job, sessionId=session["sessionId"])
            for action in (action for page in pages for action in page["sessionActions"]):
                if "taskRun" in action["definition"]:
                    detail = client.get_session_action(**job, sessionActionId=action["sessionActionId"])
                    if detail["status"] != "SUCCEEDED" or detail["processExitCode"] != 0:
                        raise RuntimeError(f"{detail['sessionActionId']} is {detail['status']}")
                    tasks.add(action["definition"]["taskRun"]["taskId"])
                    count += 1
            lines = _lines(logs, f"/aws/deadline/{state.farm_id}/{state.queue_id}", session["sessionId"])
            if sum("/bin/true" in line for line in lines) < count:
                raise RuntimeError(f"the log of {session['sessionId']} has {len(lines)} lines for {count} tasks")
    if len(tasks) != TASKS:
        raise RuntimeError(f"{len(tasks)} tasks have an action, not {TASKS}")


def _lines(logs: Any, group: str, stream: str) -> list[str]:
    lines: list[str] = []
    token: dict[str, str] = {}
    while True:
        page = logs.get_log_events(logGroupName=group, logStreamName=stream, startFromHead=True, **token)
        lines += [event["message"] for event in page["events"]]
        if page["nextForwardToken"] == token.get("nextToken"):
            return lines
        token = {"nextToken": page["nextForwardToken"]}


def _client(state: local_farm.FarmState, service: str, endpoint: str) -> Any:
    return boto3.client(
        service,
        region_name=state.region,
        endpoint_url=endpoint,
        aws_access_key_id=state.access_key_id,
        aws_secret_access_key=state.secret_access_key,
        config=Config(inject_host_prefix=False),
    )
