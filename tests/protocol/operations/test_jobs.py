"""Jobs from submission to their end, through boto3 and a worker that follows the protocol."""

from __future__ import annotations

import tracemalloc
from datetime import UTC, datetime
from typing import Any

import pytest
from botocore.exceptions import ClientError

TRUE = {"actions": {"onRun": {"command": "/bin/true"}}}


def step(name: str = "Render", frames: str | None = None, **more: Any) -> dict[str, Any]:
    body: dict[str, Any] = {"name": name, "script": TRUE, **more}
    if frames is not None:
        definition = {"name": "Frame", "type": "INT", "range": frames}
        body["parameterSpace"] = {"taskParameterDefinitions": [definition]}
    return body


def chunked(frames: str, count: int, constraint: str, seconds: int = 0) -> dict[str, Any]:
    chunks = {"defaultTaskCount": count, "rangeConstraint": constraint, "targetRuntimeSeconds": seconds}
    definition = {"name": "Frame", "type": "CHUNK[INT]", "range": frames, "chunks": chunks}
    body = {"name": "Render", "script": TRUE, "parameterSpace": {"taskParameterDefinitions": [definition]}}
    return {"extensions": ["TASK_CHUNKING"], "steps": [body]}


def one_vcpu(minimum: int = 1) -> dict[str, Any]:
    return {"amounts": [{"name": "amount.worker.vcpu", "min": minimum}]}


def refused(error: ClientError) -> tuple[str, str]:
    return error.response["Error"]["Code"], error.response["Error"]["Message"]


def counts(job: dict[str, Any]) -> dict[str, int]:
    return {status: number for status, number in job["taskRunStatusCounts"].items() if number}


def test_a_job_runs_to_its_end(served: Any) -> None:
    job = served.submit({"steps": [step(frames="1-10")]}, priority=70)
    found = served.call.get_job(**job)
    assert (found["name"], found["priority"], found["taskRunStatus"]) == ("Shot", 70, "READY")
    assert (found["lifecycleStatus"], found["lifecycleStatusMessage"]) == (
        "CREATE_COMPLETE",
        "Job creation completed successfully",
    )
    assert set(found["taskRunStatusCounts"]) >= {"READY", "SUCCEEDED", "FAILED", "CANCELED"}
    assert served.call.get_queue(**served.in_queue)["status"] == "SCHEDULING"
    worker = served.worker()
    assert worker.run_out() == 10
    found = served.call.get_job(**job)
    assert (found["taskRunStatus"], counts(found)) == ("SUCCEEDED", {"SUCCEEDED": 10})
    assert found["startedAt"] <= found["endedAt"]
    assert served.call.get_queue(**served.in_queue)["status"] == "IDLE"
    (render,) = served.call.list_steps(**job)["steps"]
    assert render["taskRunStatus"] == "SUCCEEDED"
    tasks = served.call.list_tasks(**job, stepId=render["stepId"])["tasks"]
    assert [task["parameters"]["Frame"]["int"] for task in tasks] == [str(i) for i in range(1, 11)]
    action_id = tasks[4]["latestSessionActionId"]
    action = served.call.get_session_action(**job, sessionActionId=action_id)
    assert (action["status"], action["processExitCode"]) == ("SUCCEEDED", 0)
    assert action["definition"]["taskRun"]["taskId"] == tasks[4]["taskId"]
    (listed,) = served.call.list_session_actions(**job, taskId=tasks[4]["taskId"])["sessionActions"]
    assert listed["sessionActionId"] == action_id
    sessions = served.call.list_sessions(**job)["sessions"]
    assert {session["lifecycleStatus"] for session in sessions} == {"ENDED"}
    session = served.call.get_session(**job, sessionId=action["sessionId"])
    assert session["log"]["options"] == {
        "logGroupName": f"/aws/deadline/{job['farmId']}/{job['queueId']}",
        "logStreamName": action["sessionId"],
    }
    assert served.call.get_worker(**worker.ids)["status"] == "IDLE"
    actions = served.call.get_paginator("list_session_actions").paginate(**job, PaginationConfig={"PageSize": 3})
    assert sum(len(page["sessionActions"]) for page in actions) == 10


def test_a_template_that_breaks_the_rules_is_refused_with_paths(served: Any) -> None:
    with pytest.raises(ClientError) as caught:
        served.submit({"steps": [{"name": "Render"}]})
    assert refused(caught.value)[0] == "ValidationException"
    (field,) = caught.value.response["fieldList"]
    assert field["name"].startswith("steps[0]")
    with pytest.raises(ClientError) as caught:
        served.call.create_job(**served.in_queue, priority=50)
    assert refused(caught.value) == (
        "ValidationException",
        "A job needs a template or a sourceJobId; neither was given.",
    )
    definitions = [{"name": "Shot", "type": "STRING"}]
    with pytest.raises(ClientError) as caught:
        served.submit({"steps": [step()], "parameterDefinitions": definitions})
    assert refused(caught.value)[0] == "ValidationException"
    assert "Shot" in refused(caught.value)[1]
    assert served.call.list_jobs(**served.in_queue)["jobs"] == []


def test_parameters_of_a_job_and_its_copy(served: Any) -> None:
    definitions = [
        {"name": "Frames", "type": "STRING", "default": "1-2"},
        {"name": "Samples", "type": "INT", "default": 64},
        {"name": "Scale", "type": "FLOAT", "default": 1.5},
    ]
    document = {"parameterDefinitions": definitions, "steps": [step(frames="{{Param.Frames}}")]}
    job = served.submit(document, parameters={"Frames": {"string": "5-7"}, "Samples": {"int": "8"}})
    assert served.call.get_job(**job)["parameters"] == {
        "Frames": {"string": "5-7"},
        "Samples": {"int": "8"},
        "Scale": {"float": "1.5"},
    }
    copy = served.call.create_job(
        **served.in_queue,
        priority=1,
        sourceJobId=job["jobId"],
        parameters={"Samples": {"int": "9"}},
        nameOverride="Again",
    )
    found = served.call.get_job(**served.in_queue, jobId=copy["jobId"])
    assert (found["name"], found["sourceJobId"]) == ("Again", job["jobId"])
    assert found["parameters"]["Frames"] == {"string": "5-7"}
    assert found["parameters"]["Samples"] == {"int": "9"}
    assert counts(found) == {"READY": 3}
    listed = served.call.list_job_parameter_definitions(**job)["jobParameterDefinitions"]
    assert [definition["name"] for definition in listed] == ["Frames", "Samples", "Scale"]


@pytest.mark.parametrize(
    ("frames", "count", "constraint", "seconds"),
    [
        ("1-10", 4, "CONTIGUOUS", 0),
        ("1-4,10-13", 3, "CONTIGUOUS", 0),
        ("1-10:3", 2, "NONCONTIGUOUS", 0),
        ("1-10", 4, "CONTIGUOUS", 60),
    ],
)
def test_chunks_hold_every_frame_once(served: Any, frames: str, count: int, constraint: str, seconds: int) -> None:
    job = served.submit(chunked(frames, count, constraint, seconds))
    (render,) = served.call.list_steps(**job)["steps"]
    tasks = served.call.list_tasks(**job, stepId=render["stepId"])["tasks"]
    chunks = [task["parameters"]["Frame"]["chunkInt"] for task in tasks]
    wanted = {"1-10": range(1, 11), "1-4,10-13": [*range(1, 5), *range(10, 14)], "1-10:3": range(1, 11, 3)}[frames]
    assert [frame for chunk in chunks for frame in expand(chunk)] == list(wanted)
    assert all(len(expand(chunk)) <= count for chunk in chunks)
    assert len(chunks) < len(wanted)
    if constraint == "CONTIGUOUS":
        assert all(expand(chunk) == list(range(expand(chunk)[0], expand(chunk)[-1] + 1)) for chunk in chunks)
    parameter = served.call.get_step(**job, stepId=render["stepId"])["parameterSpace"]["parameters"][0]
    assert parameter["chunks"]["defaultTaskCount"] == count
    assert parameter["chunks"].get("targetRuntimeSeconds", 0) == seconds
    assert (parameter["type"], parameter["chunks"]["rangeConstraint"]) == ("CHUNK_INT", constraint)
    assert served.worker().run_out() == len(chunks)
    assert served.call.get_job(**job)["taskRunStatus"] == "SUCCEEDED"


def expand(expression: str) -> list[int]:
    frames: list[int] = []
    for part in expression.split(","):
        span, _, by = part.partition(":")
        first, _, last = span.partition("-")
        frames += range(int(first), int(last or first) + 1, int(by or 1))
    return frames


def test_steps_wait_for_what_they_depend_on(served: Any) -> None:
    last = step("Comp", "1-2", dependencies=[{"dependsOn": "Render"}])
    job = served.submit({"steps": [step("Render", "1-3"), last]})
    steps = served.steps(job)
    comp = {**job, "stepId": steps["Comp"]["stepId"]}
    render = {**job, "stepId": steps["Render"]["stepId"]}
    assert (steps["Render"]["taskRunStatus"], steps["Comp"]["taskRunStatus"]) == ("READY", "PENDING")
    assert steps["Comp"]["dependencyCounts"]["dependenciesUnresolved"] == 1
    assert served.call.list_step_dependencies(**comp)["dependencies"] == [
        {"stepId": render["stepId"], "status": "UNRESOLVED"}
    ]
    worker = served.worker()
    worker.exchange()
    while worker.actions()[0]["definition"]["taskRun"]["stepId"] == render["stepId"]:
        assert served.steps(job)["Comp"]["taskRunStatus"] == "PENDING"
        worker.finish(1)
    assert worker.actions()[0]["definition"]["taskRun"]["stepId"] == comp["stepId"]
    assert served.call.list_step_dependencies(**comp)["dependencies"][0]["status"] == "RESOLVED"
    assert served.call.list_step_consumers(**render)["consumers"] == [{"stepId": comp["stepId"], "status": "RESOLVED"}]
    worker.run_out()
    assert served.call.get_job(**job)["taskRunStatus"] == "SUCCEEDED"
    assert len(served.call.list_sessions(**job)["sessions"]) == 1  # one session went through both steps


def test_a_failed_step_ends_the_job_and_a_requeue_revives_it(served: Any) -> None:
    last = step("Comp", dependencies=[{"dependsOn": "Render"}])
    job = served.submit({"steps": [step("Render", "1-2"), last]}, maxRetriesPerTask=1)
    worker = served.worker()
    worker.exchange()
    for _ in range(4):
        worker.finish(1, "FAILED")
        worker.exchange()
    found = served.call.get_job(**job)
    assert (found["taskRunStatus"], counts(found)) == ("FAILED", {"FAILED": 2, "PENDING": 1})
    assert found["taskFailureRetryCount"] == 2
    assert "endedAt" in found
    assert worker.sessions == {}
    render = {**job, "stepId": served.steps(job)["Render"]["stepId"]}
    for task in served.call.list_tasks(**render)["tasks"]:
        assert (task["runStatus"], task["failureRetryCount"]) == ("FAILED", 1)
        served.call.update_task(**render, taskId=task["taskId"], targetRunStatus="PENDING")
    found = served.call.get_job(**job)
    assert (found["taskRunStatus"], counts(found)) == ("READY", {"READY": 2, "PENDING": 1})
    assert "endedAt" not in found
    assert worker.run_out() == 3
    assert served.call.get_job(**job)["taskRunStatus"] == "SUCCEEDED"


def test_a_job_that_fails_too_often_stops(served: Any) -> None:
    job = served.submit({"steps": [step(frames="1-20")]}, maxRetriesPerTask=0, maxFailedTasksCount=2)
    worker = served.worker()
    worker.exchange()
    failures = 0
    while worker.sessions:
        failures += worker.kinds().count("taskRun") and 1
        worker.finish(1, "FAILED")
        worker.exchange()
    assert failures == 3
    found = served.call.get_job(**job)
    assert (found["taskRunStatus"], counts(found)) == ("FAILED", {"FAILED": 3, "CANCELED": 17})


def test_sixteen_cores_run_one_render_or_sixteen_small_tasks(served: Any) -> None:
    worker = served.worker(vcpu=16)
    render = served.submit({"steps": [step(frames="1-4")]})
    other = served.submit({"steps": [step(frames="1-4")]})
    worker.exchange()
    assert worker.kinds() == ["taskRun"]
    served.call.update_job(**render, targetTaskRunStatus="CANCELED")
    served.call.update_job(**other, targetTaskRunStatus="CANCELED")
    worker.exchange()
    worker.finish(1, "CANCELED")
    assert worker.sessions == {}
    small = served.submit({"steps": [step(frames="1-40", hostRequirements=one_vcpu())]})
    worker.exchange()
    assert len(worker.sessions) == 16
    assert worker.kinds() == ["taskRun"] * 16
    assert served.call.get_worker(**worker.ids)["status"] == "RUNNING"
    requirements = served.call.get_step(**small, stepId=served.steps(small)["Render"]["stepId"])["requiredCapabilities"]
    assert requirements["amounts"] == [{"name": "amount.worker.vcpu", "min": 1.0}]
    worker.run_out()
    assert served.call.get_job(**small)["taskRunStatus"] == "SUCCEEDED"


def test_canceling_a_job_reaches_the_worker(served: Any) -> None:
    entered = {"actions": {"onEnter": {"command": "/bin/true"}, "onExit": {"command": "/bin/true"}}}
    job = served.submit({"steps": [step(frames="1-5")], "jobEnvironments": [{"name": "Blender", "script": entered}]})
    worker = served.worker()
    worker.exchange()
    assert worker.kinds() == ["envEnter", "taskRun"]
    worker.finish(1)
    running = worker.actions()[0]["sessionActionId"]
    worker.exchange({running: {"startedAt": datetime.now(UTC), "progressPercent": 40.0, "progressMessage": "Sampling"}})
    found = served.call.get_session_action(**job, sessionActionId=running)
    assert (found["status"], found["progressPercent"], found["progressMessage"]) == ("RUNNING", 40.0, "Sampling")
    assert counts(served.call.get_job(**job)) == {"RUNNING": 1, "READY": 4}
    served.call.update_job(**job, targetTaskRunStatus="CANCELED")
    assert counts(served.call.get_job(**job)) == {"INTERRUPTING": 1, "CANCELED": 4}
    worker.exchange()
    assert worker.canceled == {next(iter(worker.sessions)): [running]}
    worker.finish(1, "CANCELED")
    assert worker.kinds() == ["envExit"]
    assert worker.canceled == {}
    worker.finish(1)
    assert worker.sessions == {}
    found = served.call.get_job(**job)
    assert (found["taskRunStatus"], counts(found)) == ("CANCELED", {"CANCELED": 5})


def test_suspend_and_resume(served: Any) -> None:
    job = served.submit({"steps": [step(frames="1-3")]}, targetTaskRunStatus="SUSPENDED")
    worker = served.worker()
    worker.exchange()
    assert worker.sessions == {}
    assert served.call.get_job(**job)["taskRunStatus"] == "SUSPENDED"
    served.call.update_job(**job, targetTaskRunStatus="READY")
    worker.exchange()
    served.call.update_job(**job, targetTaskRunStatus="SUSPENDED")
    worker.exchange()
    worker.finish(1, "CANCELED")
    found = served.call.get_job(**job)
    assert (found["taskRunStatus"], counts(found)) == ("SUSPENDED", {"SUSPENDED": 3})
    served.call.update_job(**job, targetTaskRunStatus="READY")
    assert worker.run_out() == 3
    found = served.call.get_job(**job)
    assert (found["taskRunStatus"], found["taskFailureRetryCount"]) == ("SUCCEEDED", 0)


@pytest.mark.parametrize("result", ["SUCCEEDED", "FAILED", "CANCELED", "INTERRUPTED"])
def test_a_task_that_is_requeued_while_it_runs_has_all_its_retries_again(served: Any, result: str) -> None:
    job = served.submit({"steps": [step(frames="1")]}, maxRetriesPerTask=1)
    task = {**job, "stepId": served.steps(job)["Render"]["stepId"]}
    worker = served.worker()
    worker.exchange()
    worker.finish(1, "FAILED")
    worker.exchange()
    task["taskId"] = worker.actions()[0]["definition"]["taskRun"]["taskId"]
    assert served.call.get_task(**task)["failureRetryCount"] == 1
    served.call.update_task(**task, targetRunStatus="PENDING")
    found = served.call.get_task(**task)
    assert (found["runStatus"], found["targetRunStatus"]) == ("INTERRUPTING", "PENDING")
    worker.exchange()
    (canceled,) = worker.canceled.values()
    assert canceled == [worker.actions()[0]["sessionActionId"]]
    worker.finish(1, result)
    assert served.call.get_task(**task)["failureRetryCount"] == 0
    assert worker.run_out() == 1
    assert counts(served.call.get_job(**job)) == {"SUCCEEDED": 1}


def test_what_a_step_waits_for_may_be_canceled_marked_and_requeued(served: Any) -> None:
    job = served.submit({"steps": [step(frames="1-2"), step("Comp", "1-2", dependencies=[{"dependsOn": "Render"}])]})
    render, comp = ({**job, "stepId": served.steps(job)[name]["stepId"]} for name in ("Render", "Comp"))

    def seen() -> tuple[str, dict[str, int]]:
        found = served.call.get_job(**job)
        return found["taskRunStatus"], counts(found)

    served.call.update_step(**render, targetTaskRunStatus="CANCELED")
    assert seen() == ("CANCELED", {"CANCELED": 2, "PENDING": 2})
    assert "endedAt" in served.call.get_job(**job)
    served.call.update_step(**render, targetTaskRunStatus="SUCCEEDED")
    assert seen() == ("READY", {"SUCCEEDED": 2, "READY": 2})
    served.call.update_step(**render, targetTaskRunStatus="PENDING")
    assert seen() == ("READY", {"READY": 2, "PENDING": 2})
    assert "endedAt" not in served.call.get_job(**job)
    served.call.update_step(**comp, targetTaskRunStatus="CANCELED")
    assert served.worker().run_out() == 2
    assert seen() == ("CANCELED", {"SUCCEEDED": 2, "CANCELED": 2})


@pytest.mark.parametrize("mark", ["SUCCEEDED", "FAILED", "CANCELED"])
def test_marking_a_job(served: Any, mark: str) -> None:
    job = served.submit({"steps": [step(frames="1-3"), step("Comp", dependencies=[{"dependsOn": "Render"}])]})
    served.call.update_job(**job, targetTaskRunStatus=mark)
    found = served.call.get_job(**job)
    assert (found["taskRunStatus"], counts(found)) == (mark, {mark: 4})
    assert found["lifecycleStatus"] == "UPDATE_SUCCEEDED"
    served.call.update_job(**job, targetTaskRunStatus="PENDING")
    found = served.call.get_job(**job)
    assert (found["taskRunStatus"], counts(found)) == ("READY", {"READY": 3, "PENDING": 1})


def test_environments_that_do_not_come_up_cost_a_retry(served: Any) -> None:
    entered = {"actions": {"onEnter": {"command": "/bin/false"}, "onExit": {"command": "/bin/true"}}}
    environments = [{"name": "Conda", "script": entered}]
    job = served.submit({"steps": [step(frames="1-3")], "jobEnvironments": environments}, maxRetriesPerTask=1)
    worker = served.worker()
    worker.exchange()
    sessions = 0
    while worker.sessions:
        assert worker.kinds()[0] == "envEnter"
        sessions += 1
        worker.finish(1, "FAILED")
        assert worker.kinds() == ["envExit"]  # also of the one that failed
        worker.finish(1)
        worker.exchange()
    assert sessions == 6
    assert counts(served.call.get_job(**job)) == {"FAILED": 3}


def test_step_environments_are_left_when_a_session_goes_on(served: Any) -> None:
    entered = {"actions": {"onEnter": {"command": "/bin/true"}}}
    first = step("A", stepEnvironments=[{"name": "EnvA", "script": entered}])
    second = step("B", stepEnvironments=[{"name": "EnvB", "script": entered}], dependencies=[{"dependsOn": "A"}])
    job = served.submit({"steps": [first, second], "jobEnvironments": [{"name": "Outer", "script": entered}]})
    worker = served.worker()
    worker.exchange()
    assert worker.kinds() == ["envEnter", "envEnter", "taskRun"]
    worker.finish()
    assert worker.kinds() == ["envExit", "envEnter", "taskRun"]
    worker.finish()
    left = [action["definition"]["envExit"]["environmentId"].rsplit(":", 1)[1] for action in worker.actions()]
    assert left == ["EnvB", "Outer"]
    worker.finish()
    assert served.call.get_job(**job)["taskRunStatus"] == "SUCCEEDED"


def test_priority_then_turns(served: Any) -> None:
    low = served.submit({"steps": [step(frames="1-2")]}, priority=10)
    high = served.submit({"steps": [step(frames="1-2")]}, priority=90)
    worker = served.worker()
    worker.exchange()
    order = []
    while worker.sessions:
        (session,) = worker.sessions.values()
        order.append(session["jobId"])
        worker.finish(1)
    assert order == [high["jobId"]] * 2 + [low["jobId"]] * 2


def test_max_worker_count(served: Any) -> None:
    job = served.submit({"steps": [step(frames="1-9")]}, maxWorkerCount=1)
    first, second = served.worker(), served.worker()
    first.exchange()
    second.exchange()
    assert (len(first.sessions), len(second.sessions)) == (1, 0)
    served.call.update_job(**job, maxWorkerCount=2)
    second.exchange()
    assert len(second.sessions) == 1
    assert served.call.get_job(**job)["maxWorkerCount"] == 2


def test_a_million_tasks_are_one_row(served: Any) -> None:
    tracemalloc.start()
    job = served.submit({"steps": [step(frames="1-1000000")]})
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 20_000_000
    with served.farm.store.read() as db:
        assert db.execute("SELECT count(*) FROM task").fetchone()[0] == 0
    found = served.call.get_job(**job)
    assert counts(found) == {"READY": 1_000_000}
    render = {**job, "stepId": served.steps(job)["Render"]["stepId"]}
    page = served.call.list_tasks(**render, maxResults=2)
    assert [task["parameters"]["Frame"]["int"] for task in page["tasks"]] == ["1", "2"]
    task_id = f"task-{render['stepId'][5:]}-999999"
    assert served.call.get_task(**render, taskId=task_id)["parameters"] == {"Frame": {"int": "1000000"}}
    served.call.update_task(**render, taskId=task_id, targetRunStatus="CANCELED")
    worker = served.worker()
    worker.exchange()
    worker.finish(1)
    with served.farm.store.read() as db:
        assert db.execute("SELECT count(*) FROM task").fetchone()[0] < 200
    served.call.update_job(**job, targetTaskRunStatus="CANCELED")
    worker.exchange()
    worker.finish(1, "CANCELED")
    worker.exchange()
    assert counts(served.call.get_job(**job)) == {"SUCCEEDED": 1, "CANCELED": 999_999}


def test_search_filters_and_sorts(served: Any) -> None:
    names = ["Bees", "Ants", "Cats"]
    definitions = [{"name": "Shot", "type": "STRING", "default": "x"}]
    jobs = []
    for i, name in enumerate(names):
        document = {"name": name, "steps": [step(frames="1-2")], "parameterDefinitions": definitions}
        jobs.append(served.submit(document, priority=10 * i, parameters={"Shot": {"string": f"sh{i}"}}))
        served.clock.ahead += 1
    worker = served.worker()
    served.call.update_job(**jobs[0], targetTaskRunStatus="CANCELED")
    base = {**served.in_farm, "queueIds": [served.ids["queue_id"]], "itemOffset": 0}

    def found(filters: list[dict[str, Any]] | None = None, operator: str = "AND", **more: Any) -> list[str]:
        if filters is not None:
            more["filterExpressions"] = {"filters": filters, "operator": operator}
        return [job["name"] for job in served.call.search_jobs(**base, **more)["jobs"]]

    def by(name: str, order: str) -> dict[str, Any]:
        return {"sortExpressions": [{"fieldSort": {"name": name, "sortOrder": order}}]}

    assert found(**by("CREATED_AT", "ASCENDING")) == ["Bees", "Ants", "Cats"]
    assert found(**by("CREATED_AT", "DESCENDING")) == ["Cats", "Ants", "Bees"]
    assert found(**by("NAME", "ASCENDING")) == ["Ants", "Bees", "Cats"]
    assert found(**by("PRIORITY", "DESCENDING")) == ["Cats", "Ants", "Bees"]
    status = {
        "stringListFilter": {"name": "TASK_RUN_STATUS", "operator": "ANY_EQUALS", "values": ["CANCELED", "FAILED"]}
    }
    assert found([status]) == ["Bees"]
    assert found([{"searchTermFilter": {"searchTerm": "at", "matchType": "CONTAINS"}}]) == ["Cats"]
    assert found([{"stringFilter": {"name": "NAME", "operator": "NOT_EQUAL", "value": "Ants"}}]) == ["Bees", "Cats"]
    assert found([{"parameterFilter": {"name": "Shot", "operator": "EQUAL", "value": "sh1"}}]) == ["Ants"]
    created = served.call.get_job(**jobs[1])["createdAt"]
    since = {"dateTimeFilter": {"name": "CREATED_AT", "operator": "GREATER_THAN_EQUAL_TO", "dateTime": created}}
    assert found([since]) == ["Ants", "Cats"]
    ended = {"dateTimeFilter": {"name": "ENDED_AT", "operator": "GREATER_THAN_EQUAL_TO", "dateTime": created}}
    assert found([ended]) == ["Bees"]
    group = {"groupFilter": {"filters": [status, ended], "operator": "AND"}}
    ants = {"stringFilter": {"name": "NAME", "operator": "EQUAL", "value": "Ants"}}
    assert found([group, ants], "OR") == ["Bees", "Ants"]
    page = served.call.search_jobs(**base, pageSize=2)
    assert (page["totalResults"], page["nextItemOffset"]) == (3, 2)
    rest = served.call.search_jobs(**{**base, "itemOffset": 2})
    assert [job["name"] for job in page["jobs"] + rest["jobs"]] == names
    assert "nextItemOffset" not in rest
    with pytest.raises(ClientError) as caught:
        found(**by("COLOUR", "ASCENDING"))
    assert refused(caught.value)[1].startswith(
        "A job cannot be searched by 'COLOUR'. Use one of CREATED_AT, CREATED_BY, "
    )
    with pytest.raises(ClientError) as caught:
        served.call.search_jobs(**{**base, "queueIds": ["queue-" + "0" * 32]})
    assert refused(caught.value)[0] == "ResourceNotFoundException"

    tasks = {**base, "jobId": jobs[0]["jobId"]}
    assert served.call.search_tasks(**tasks)["totalResults"] == 2
    worker.exchange()
    worker.finish(1)
    running = {"stringFilter": {"name": "RUN_STATUS", "operator": "EQUAL", "value": "SUCCEEDED"}}
    reply = served.call.search_tasks(**base, filterExpressions={"filters": [running], "operator": "AND"})
    assert reply["totalResults"] == 1
    assert reply["tasks"][0]["jobId"] == jobs[2]["jobId"]
    frame = {"parameterFilter": {"name": "Frame", "operator": "EQUAL", "value": "2"}}
    reply = served.call.search_tasks(**base, filterExpressions={"filters": [frame], "operator": "AND"})
    assert [task["parameters"]["Frame"]["int"] for task in reply["tasks"]] == ["2", "2", "2"]
    ready = {"stringFilter": {"name": "TASK_RUN_STATUS", "operator": "EQUAL", "value": "CANCELED"}}
    steps = served.call.search_steps(**base, filterExpressions={"filters": [ready], "operator": "AND"})
    assert [step["jobId"] for step in steps["steps"]] == [jobs[0]["jobId"]]
    assert served.call.search_steps(**tasks)["totalResults"] == 1
    workers = {**served.in_farm, "fleetIds": [served.ids["fleet_id"]], "itemOffset": 0}
    host = {"stringFilter": {"name": "HOST_NAME", "operator": "EQUAL", "value": "render01"}}
    reply = served.call.search_workers(**workers, filterExpressions={"filters": [host], "operator": "AND"})
    assert [found["workerId"] for found in reply["workers"]] == [worker.ids["workerId"]]
    assert reply["totalResults"] == 1


def test_batches(served: Any) -> None:
    job = served.submit({"steps": [step(frames="1-2")]})
    render = {**job, "stepId": served.steps(job)["Render"]["stepId"]}
    nobody = {**job, "jobId": "job-" + "0" * 32}
    reply = served.call.batch_get_job(identifiers=[job, nobody])
    assert [found["jobId"] for found in reply["jobs"]] == [job["jobId"]]
    assert reply["errors"] == [
        {
            **nobody,
            "code": "ResourceNotFoundException",
            "message": f"There is no job {nobody['jobId']} on this farm. "
            "List what exists, then use an id from that list.",
        }
    ]
    reply = served.call.batch_get_step(identifiers=[render])
    assert reply["steps"][0]["name"] == "Render"
    task_ids = [{**render, "taskId": f"task-{render['stepId'][5:]}-{i}"} for i in (0, 1, 2)]
    reply = served.call.batch_get_task(identifiers=task_ids)
    assert [found["taskId"] for found in reply["tasks"]] == [item["taskId"] for item in task_ids[:2]]
    assert reply["errors"][0]["taskId"] == task_ids[2]["taskId"]
    reply = served.call.batch_update_task(tasks=[{**item, "targetRunStatus": "CANCELED"} for item in task_ids])
    assert [error["code"] for error in reply["errors"]] == ["ResourceNotFoundException"]
    assert counts(served.call.get_job(**job)) == {"CANCELED": 2}
    reply = served.call.batch_update_job(jobs=[{**job, "priority": 99, "name": "Renamed"}, {**nobody, "priority": 1}])
    assert [error["jobId"] for error in reply["errors"]] == [nobody["jobId"]]
    found = served.call.get_job(**job)
    assert (found["priority"], found["name"]) == (99, "Renamed")


def test_an_archived_job_is_out_of_the_way(served: Any) -> None:
    job = served.submit({"steps": [step(frames="1-2")]})
    served.call.update_job(**job, lifecycleStatus="ARCHIVED")
    found = served.call.get_job(**job)
    assert (found["lifecycleStatus"], found["taskRunStatus"]) == ("ARCHIVED", "CANCELED")
    worker = served.worker()
    worker.exchange()
    assert worker.sessions == {}
    with pytest.raises(ClientError) as caught:
        served.call.update_job(**job, priority=3)
    assert refused(caught.value) == (
        "ConflictException",
        f"Job {job['jobId']} is ARCHIVED and can no longer be changed. Submit it again instead.",
    )
