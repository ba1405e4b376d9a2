from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from fakes.deadline_service import FARM, JOB, QUEUE, SESSION, STEP, STORAGE_PROFILE, DeadlineService
from shotput import _native
from shotput.errors import BundleError, ConfigError, ServiceError


def test_list_farms(service: DeadlineService, aws_environment: Path) -> None:
    service.farms[0]["kmsKeyArn"] = "arn:aws:kms:us-west-2:1:key/1"
    assert _native.list_farms() == {
        "farms": [
            {
                "farmId": FARM,
                "displayName": "Test Farm",
                "createdAt": "2024-01-02T03:04:05.678Z",
                "createdBy": "somebody",
            }
        ]
    }


def test_get_farm(service: DeadlineService, aws_environment: Path) -> None:
    service.farms[0] |= {"description": None, "updatedAt": "2024-02-03T04:05:06+02:00", "updatedBy": "else", "new": 1}
    farm = _native.get_farm(FARM)
    assert farm == {
        "farmId": FARM,
        "displayName": "Test Farm",
        "createdAt": "2024-01-02 03:04:05.678+00:00",
        "createdBy": "somebody",
        "updatedAt": "2024-02-03 02:05:06+00:00",
        "updatedBy": "else",
        "costScaleFactor": 1.0,
    }
    assert list(farm)[:3] == ["farmId", "displayName", "createdAt"]


def test_list_queues(service: DeadlineService, aws_environment: Path) -> None:
    assert _native.list_queues(FARM) == {
        "queues": [
            {
                "queueId": QUEUE,
                "displayName": "Test Queue",
                "status": "IDLE",
                "createdAt": "2024-01-02T03:04:05.678Z",
                "createdBy": "somebody",
            }
        ]
    }


def test_get_queue(service: DeadlineService, aws_environment: Path) -> None:
    service.queue["jobAttachmentSettings"] = {"s3BucketName": "bucket", "rootPrefix": "root"}
    service.queue["createdAt"] = 1704164645
    assert _native.get_queue(FARM, QUEUE) == {
        "farmId": FARM,
        "queueId": QUEUE,
        "displayName": "Test Queue",
        "status": "IDLE",
        "defaultBudgetAction": "NONE",
        "createdAt": "2024-01-02 03:04:05+00:00",
        "createdBy": "somebody",
        "jobAttachmentSettings": {"s3BucketName": "bucket", "rootPrefix": "root"},
        "allowedStorageProfileIds": [STORAGE_PROFILE],
    }


def test_list_storage_profiles(service: DeadlineService, aws_environment: Path) -> None:
    assert _native.list_storage_profiles_for_queue(FARM, QUEUE) == {
        "storageProfiles": [{"storageProfileId": STORAGE_PROFILE, "displayName": "Workstations", "osFamily": "linux"}]
    }


def test_jobs_steps_tasks_and_sessions_come_as_they_are_on_the_wire(service: DeadlineService) -> None:
    target = service.target()
    service.job |= {"madeUp": {"later": [1, 2.5, None, True]}}
    service.tasks[:] = [{"taskId": f"task-{n}", "runStatus": "READY"} for n in range(7)]
    service.page_size = 3
    assert _native.get_job(FARM, QUEUE, JOB, target=target) == service.job
    assert _native.search_jobs(FARM, [QUEUE], target=target) == {"jobs": [service.job], "totalResults": 1}
    assert _native.list_steps(FARM, QUEUE, JOB, target=target) == {"steps": service.steps}
    assert _native.list_tasks(FARM, QUEUE, JOB, STEP, target=target) == {"tasks": service.tasks}
    assert _native.list_sessions(FARM, QUEUE, JOB, target=target)["sessions"][0]["extraMember"] == 1
    assert _native.list_session_actions(FARM, QUEUE, JOB, session_id=SESSION, target=target) == {"sessionActions": []}
    assert len(service.sent("GET", "/tasks")) == 3
    assert service.sent("GET", "/session-actions")[0].query == {"sessionId": [SESSION]}
    assert service.sent("POST", "/search/jobs")[0].body == {
        "queueIds": [QUEUE],
        "itemOffset": 0,
        "pageSize": 100,
        "sortExpressions": [{"fieldSort": {"sortOrder": "DESCENDING", "name": "CREATED_AT"}}],
    }


def test_search_goes_on_to_the_limit(service: DeadlineService) -> None:
    def page(offset: int, size: int, following: int | None) -> dict[str, Any]:
        jobs = [{"jobId": f"job-{n}"} for n in range(offset, offset + size)]
        return {"jobs": jobs, "totalResults": 500, **({"nextItemOffset": following} if following else {})}

    service.answer("POST", "/search/jobs", body=page(100, 50, 150), times=1)
    service.answer("POST", "/search/jobs", body=page(0, 100, 100), times=1)
    found = _native.search_jobs(FARM, [QUEUE], limit=150, target=service.target())
    assert [job["jobId"] for job in found["jobs"]] == [f"job-{n}" for n in range(150)]
    assert found["totalResults"] == 500
    assert [(r.body["itemOffset"], r.body["pageSize"]) for r in service.requests] == [(0, 100), (100, 50)]


def test_update_job_and_task(service: DeadlineService) -> None:
    target = service.target()
    assert _native.update_job(FARM, QUEUE, JOB, target_task_run_status="SUSPENDED", priority=7, target=target) == {}
    assert _native.update_task(FARM, QUEUE, JOB, STEP, "task-1", "READY", target=target) == {}
    job, task = service.requests
    assert job.method == "PATCH"
    assert job.body == {"targetTaskRunStatus": "SUSPENDED", "priority": 7}
    assert "x-amz-client-token" in job.headers
    assert task.path.endswith(f"/jobs/{JOB}/steps/{STEP}/tasks/task-1")
    assert task.body == {"targetRunStatus": "READY"}


def test_session_log(service: DeadlineService) -> None:
    log = _native.get_session_log(FARM, QUEUE, SESSION, next_token="f/0", limit=5, target=service.target())
    assert log["events"] == [{"timestamp": 1704164645678, "message": "a line", "ingestionTime": 1704164645700}]
    assert log["nextForwardToken"] == "f/1"
    (request,) = service.requests
    assert request.body == {
        "logGroupName": f"/aws/deadline/{FARM}/{QUEUE}",
        "logStreamName": SESSION,
        "startFromHead": True,
        "limit": 5,
        "nextToken": "f/0",
    }
    assert request.headers["content-type"] == "application/x-amz-json-1.1"
    assert "Credential=AKIATEST/" in request.headers["authorization"]
    assert "/us-west-2/logs/aws4_request" in request.headers["authorization"]


def test_session_log_that_does_not_exist(service: DeadlineService) -> None:
    body = {
        "__type": "com.amazonaws.logs#ResourceNotFoundException",
        "message": "The specified log stream does not exist.",
    }
    service.answer("POST", "/", status=400, body=body)
    with pytest.raises(ServiceError) as caught:
        _native.get_session_log(FARM, QUEUE, SESSION, target=service.target())
    assert str(caught.value) == "ResourceNotFoundException: The specified log stream does not exist."
    assert (caught.value.code, caught.value.operation, caught.value.status) == (
        "ResourceNotFoundException",
        "GetLogEvents",
        400,
    )


def test_session_log_is_asked_again_when_throttled(service: DeadlineService) -> None:
    service.answer("POST", "/", status=400, body={"__type": "ThrottlingException", "message": "slow"}, times=2)
    assert len(_native.get_session_log(FARM, QUEUE, SESSION, target=service.target())["events"]) == 1


def test_all_pages_come(service: DeadlineService, aws_environment: Path) -> None:
    service.farms[:] = [{"farmId": f"farm-{n}", "displayName": str(n)} for n in range(250)]
    farms = _native.list_farms()["farms"]
    assert [farm["farmId"] for farm in farms] == [f"farm-{n}" for n in range(250)]


def test_a_page_that_names_itself_as_the_next_one(service: DeadlineService) -> None:
    service.answer("GET", "/farms", body={"farms": [], "nextToken": "again"})
    with pytest.raises(ServiceError) as caught:
        _native.list_farms(target=service.target())
    assert str(caught.value) == (
        f"{service.endpoint} gave the same page of ListFarms twice. Report this to whoever runs the farm."
    )


def test_a_request_is_signed_and_names_its_client(service: DeadlineService) -> None:
    _native.get_farm(FARM, target=service.target(session_token="token"))
    (request,) = service.requests
    assert request.headers["host"] == f"management.localhost:{service.port}"
    assert request.headers["x-amz-security-token"] == "token"
    assert re.fullmatch(
        r"AWS4-HMAC-SHA256 Credential=AKIATEST/\d{8}/us-west-2/deadline/aws4_request, "
        r"SignedHeaders=\S*host\S*, Signature=\w+",
        request.headers["authorization"],
    )
    assert f"app/deadline-client#{_native.__version__}" in request.headers["user-agent"]


def test_host_prefix_switched_off(service: DeadlineService, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_DISABLE_HOST_PREFIX_INJECTION", "true")
    _native.get_farm(FARM, target=service.target())
    assert service.requests[0].headers["host"] == f"localhost:{service.port}"


def test_nothing_is_put_before_a_number(service: DeadlineService) -> None:
    _native.get_farm(FARM, target=service.target(endpoint_url=f"http://127.0.0.1:{service.port}"))
    assert service.requests[0].headers["host"] == f"127.0.0.1:{service.port}"


def test_loopback_goes_through_no_proxy(
    service: DeadlineService, aws_environment: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    _native.set_setting("settings.https_proxy", "http://127.0.0.1:9")
    assert _native.get_farm(FARM)["farmId"] == FARM


def test_other_hosts_go_through_the_proxy(
    service: DeadlineService, aws_environment: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL_DEADLINE", "http://farm.invalid")
    _native.set_setting("settings.https_proxy", f"http://127.0.0.1:{service.port}")
    service.answer("GET", f"/farms/{FARM}", body=service.farms[0])
    assert _native.get_farm(FARM)["farmId"] == FARM
    assert service.requests[0].headers["host"] == "management.farm.invalid"


def test_endpoints_of_a_profile(service: DeadlineService, config_path: Path) -> None:
    aws = Path(os.environ["AWS_CONFIG_FILE"])
    aws.parent.mkdir()
    aws.write_text(
        f"[profile farm]\nregion = eu-west-1\nservices = local\ndisable_host_prefix_injection = true\n"
        f"aws_access_key_id = AKIAPROFILE\naws_secret_access_key = s\n"
        f"[services local]\ndeadline =\n  endpoint_url = {service.endpoint}\n"
    )
    _native.set_setting("defaults.aws_profile_name", "farm", str(config_path))
    _native.list_farms(str(config_path))
    (request,) = service.requests
    assert "Credential=AKIAPROFILE/" in request.headers["authorization"]
    assert "/eu-west-1/deadline/" in request.headers["authorization"]
    assert request.headers["host"] == f"localhost:{service.port}"


def test_a_named_profile_comes_before_keys_in_the_environment(service: DeadlineService, aws_environment: Path) -> None:
    credentials = Path(os.environ["AWS_SHARED_CREDENTIALS_FILE"])
    credentials.parent.mkdir()
    credentials.write_text("[other]\naws_access_key_id = AKIAOTHER\naws_secret_access_key = s\n")
    _native.set_setting("defaults.aws_profile_name", "other")
    _native.list_farms()
    assert "Credential=AKIAOTHER/" in service.requests[0].headers["authorization"]


ENVIRONMENT = """
specificationVersion: environment-2023-09
parameterDefinitions:
- {{name: CondaPackages, type: STRING, default: "", description: Packages}}
- {{name: Threads, type: INT, default: 4, userInterface: {{control: SPIN_BOX, label: Threads}}}}
- name: Mode
  type: STRING
  default: a
  allowedValues: [{values}]
  userInterface: {{groupLabel: Own, control: DROPDOWN_LIST}}
environment:
  name: {name}
"""


def environment(number: int, priority: int, template: str) -> dict[str, Any]:
    return {
        "queueEnvironmentId": f"queueenv-{number}",
        "name": f"env-{number}",
        "priority": priority,
        "templateType": "YAML",
        "template": template,
    }


def test_no_queue_environment(service: DeadlineService, aws_environment: Path) -> None:
    assert _native.get_queue_parameter_definitions(FARM, QUEUE) == []


def test_queue_parameters(service: DeadlineService) -> None:
    service.environments[:] = [
        environment(1, 5, ENVIRONMENT.format(name="Late", values="b, a")),
        environment(2, 1, '{"parameterDefinitions": [{"name": "First", "type": "PATH", "default": "/x"}]}'),
        environment(3, 2, ENVIRONMENT.format(name="Conda", values="a, b")),
        environment(4, 0, "environment: {name: Without}"),
    ]
    assert _native.get_queue_parameter_definitions(FARM, QUEUE, target=service.target()) == [
        {
            "name": "First",
            "type": "PATH",
            "default": "/x",
            "userInterface": {"groupLabel": "Queue Environment: env-2", "control": "CHOOSE_DIRECTORY"},
        },
        {
            "name": "CondaPackages",
            "type": "STRING",
            "default": "",
            "description": "Packages",
            "userInterface": {"groupLabel": "Queue Environment: Conda", "control": "LINE_EDIT"},
        },
        {
            "name": "Threads",
            "type": "INT",
            "default": 4,
            "userInterface": {"control": "SPIN_BOX", "label": "Threads", "groupLabel": "Queue Environment: Conda"},
        },
        {
            "name": "Mode",
            "type": "STRING",
            "default": "a",
            "allowedValues": ["a", "b"],
            "userInterface": {"groupLabel": "Own", "control": "DROPDOWN_LIST"},
        },
    ]


@pytest.mark.parametrize(
    ("template", "complaint"),
    [
        (
            "parameterDefinitions: 5",
            "The queue environment queueenv-2 has parameterDefinitions 5, which is not a list. Ask the farm's "
            "administrator "
            "to correct it.",
        ),
        (
            "parameterDefinitions: [{name: A, type: STRING}]",
            'The parameter "A" in the queue environment "env-2" has no default.',
        ),
        (
            "parameterDefinitions: [{name: A, type: TEXT, default: a}]",
            'The parameter "A" in the queue environment "env-2" has type "TEXT"; it must be one of STRING, PATH, INT, '
            "FLOAT, BOOL, RANGE_EXPR, LIST[STRING], LIST[PATH], LIST[INT], LIST[FLOAT], LIST[BOOL], LIST[LIST[INT]].",
        ),
        (
            "parameterDefinitions: [{name: Threads, type: INT, default: 4, minValue: 1}]",
            'The queue environment queueenv-2 defines the parameter "Threads" differently from another environment of '
            "the "
            "queue in: minValue. Ask the farm's administrator to correct it.",
        ),
    ],
)
def test_queue_parameters_that_cannot_be(template: str, complaint: str, service: DeadlineService) -> None:
    service.environments[:] = [
        environment(1, 1, ENVIRONMENT.format(name="Conda", values="a")),
        environment(2, 2, template),
    ]
    with pytest.raises(BundleError) as caught:
        _native.get_queue_parameter_definitions(FARM, QUEUE, target=service.target())
    assert str(caught.value) == complaint


def test_a_refusal(service: DeadlineService, aws_environment: Path) -> None:
    with pytest.raises(ServiceError) as caught:
        _native.get_farm("farm-00000000000000000000000000000000")
    error = caught.value
    assert str(error) == "ResourceNotFoundException: There is nothing at /farms/farm-00000000000000000000000000000000"
    assert (error.code, error.operation, error.status) == ("ResourceNotFoundException", "GetFarm", 404)


def test_an_error_that_is_not_in_the_model(service: DeadlineService) -> None:
    service.fail("GET", f"/farms/{FARM}", "TeapotException", "short and stout", status=418)
    with pytest.raises(ServiceError) as caught:
        _native.get_farm(FARM, target=service.target())
    assert str(caught.value) == "TeapotException: short and stout"
    assert caught.value.status == 418


def test_a_server_error_is_tried_again(service: DeadlineService) -> None:
    service.fail("GET", f"/farms/{FARM}", "InternalServerErrorException", "oops", status=500, times=2)
    assert _native.get_farm(FARM, target=service.target())["farmId"] == FARM
    assert len(service.requests) == 3


def test_an_answer_that_is_not_json(service: DeadlineService) -> None:
    service.answer("GET", f"/farms/{FARM}", body=b"<html>hello</html>")
    with pytest.raises(ServiceError) as caught:
        _native.get_farm(FARM, target=service.target())
    assert str(caught.value) == (
        f"GetFarm got an answer that is not JSON from {service.endpoint}: expected value at line 1 column 1. Check "
        "that the "
        "endpoint is Deadline Cloud or a Shotput farm."
    )


def test_an_error_that_is_not_json(service: DeadlineService) -> None:
    service.answer("GET", f"/farms/{FARM}", status=403, body=b"<html>go away</html>")
    with pytest.raises(ServiceError) as caught:
        _native.get_farm(FARM, target=service.target())
    assert str(caught.value) == f"HTTP 403: {service.endpoint} answered GetFarm without a reason"


def test_nobody_answers(service: DeadlineService) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with pytest.raises(ServiceError) as caught:
        _native.get_farm(FARM, target=service.target(endpoint_url=f"http://localhost:{port}"))
    assert re.fullmatch(
        rf"GetFarm got no answer from http://localhost:{port}: .*Connection refused \(os error 111\)\. "
        r"Start the local farm with `shotput farm up`, or correct the endpoint\.",
        str(caught.value),
    )
    assert (caught.value.code, caught.value.status) == ("", 0)


def test_an_unknown_host(service: DeadlineService) -> None:
    with pytest.raises(ServiceError) as caught:
        _native.get_farm(FARM, target=service.target(endpoint_url="http://farm.invalid"))
    text = str(caught.value)
    assert text.startswith("GetFarm got no answer from http://farm.invalid: ")
    assert text.endswith(" Check the network, the proxy and the endpoint.")


def test_no_credentials(service: DeadlineService, aws_environment: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    with pytest.raises(ServiceError) as caught:
        _native.get_farm(FARM)
    text = str(caught.value)
    assert text.startswith("GetFarm was not sent, because there are no usable AWS credentials: ")
    assert text.endswith(
        ". Log in, or set the profile (defaults.aws_profile_name) or the keys (AWS_ACCESS_KEY_ID, "
        "AWS_SECRET_ACCESS_KEY)."
    )
    assert service.requests == []


def test_no_region(service: DeadlineService) -> None:
    with pytest.raises(ConfigError) as caught:
        _native.get_farm(FARM, target=service.target(region="", endpoint_url=None))
    assert str(caught.value) == (
        "No AWS region is known. Set AWS_DEFAULT_REGION, or `region` in the AWS profile, or defaults.farm_region in "
        "the "
        "configuration."
    )


def test_an_empty_id(service: DeadlineService) -> None:
    with pytest.raises(ServiceError) as caught:
        _native.get_farm("", target=service.target())
    assert (
        str(caught.value)
        == "GetFarm was not sent: farm_id was missing: cannot be empty or unset. Correct the arguments."
    )
    assert service.requests == []


@pytest.mark.parametrize("call", [lambda: _native.get_farm(None), lambda: _native.list_farms(target=5)])
def test_wrong_types(call: Callable[[], object]) -> None:
    with pytest.raises(TypeError):
        call()


@pytest.mark.parametrize(
    ("bundle", "complaint"),
    [
        ("/nowhere/ca.pem", "cannot be read: No such file or directory (os error 2)"),
        ("here", "holds no certificate"),
    ],
)
def test_a_ca_bundle_that_is_none(
    bundle: str,
    complaint: str,
    service: DeadlineService,
    aws_environment: Path,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    if bundle == "here":
        bundle = str(tmp_path / "ca.pem")
        Path(bundle).write_text("nothing")
    monkeypatch.setenv("AWS_ENDPOINT_URL_DEADLINE", "https://localhost:1")
    _native.set_setting("settings.ca_bundle", bundle)
    with pytest.raises(ConfigError) as caught:
        _native.list_farms()
    assert str(caught.value) == (
        f"The CA bundle {bundle} {complaint}. Set settings.ca_bundle or AWS_CA_BUNDLE to a PEM file of certificates."
    )


def test_other_threads_run_meanwhile(service: DeadlineService) -> None:
    service.answer("GET", f"/farms/{FARM}", body=service.farms[0], delay=0.6)
    counted = 0
    done = threading.Event()

    def count() -> None:
        nonlocal counted
        while not done.is_set():
            counted += 1
            time.sleep(0.001)

    thread = threading.Thread(target=count)
    thread.start()
    _native.get_farm(FARM, target=service.target())
    done.set()
    thread.join()
    assert counted > 20


def test_an_interrupt_comes_out(service: DeadlineService) -> None:
    service.answer("GET", f"/farms/{FARM}", body=service.farms[0], delay=5)
    code = (
        "import sys, time; from shotput import _native\n"
        "print('ready', flush=True)\n"
        f"started = time.monotonic()\n"
        f"try: _native.get_farm({FARM!r}, target={service.target()!r})\n"
        "except KeyboardInterrupt: print('interrupted', time.monotonic() - started < 4)\n"
    )
    child = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    assert child.stdout is not None
    assert child.stdout.readline() == "ready\n"
    while not service.requests:
        time.sleep(0.01)
    child.send_signal(signal.SIGINT)
    assert child.communicate(timeout=10)[0] == "interrupted True\n"


def test_sixteen_threads_at_once(service: DeadlineService) -> None:
    answers: list[Any] = []
    target = service.target()
    threads = [
        threading.Thread(target=lambda: answers.append(_native.get_farm(FARM, target=target))) for _ in range(16)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [answer["farmId"] for answer in answers] == [FARM] * 16


def test_a_thread_with_a_small_stack(service: DeadlineService) -> None:
    answers: list[Any] = []
    before = threading.stack_size(256 * 1024)
    try:
        thread = threading.Thread(target=lambda: answers.append(_native.get_farm(FARM, target=service.target())))
        thread.start()
        thread.join()
    finally:
        threading.stack_size(before)
    assert answers[0]["farmId"] == FARM
