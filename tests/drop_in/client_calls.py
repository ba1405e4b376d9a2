"""Calls of ``deadline.client.api``: sessions, resources, login, telemetry, updates."""

from __future__ import annotations

import http.server
import json
import os
import sys
import threading
from configparser import ConfigParser
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError
from deadline.client import api
from deadline.client import version as client_version
from deadline.client.api import _loginout, _queue_parameters, _session
from deadline.client.config import config_file, set_setting
from deadline.client.exceptions import DeadlineOperationError
from deadline.job_attachments import version as attachments_version
from deadline.job_attachments._aws.aws_clients import get_s3_client
from deadline.job_attachments.models import (
    FileSystemLocationType,
    StorageProfile,
    StorageProfileOperatingSystemFamily,
)
from deadline.job_attachments.progress_tracker import SummaryStatistics
from drop_in.calls import calls
from drop_in.conftest import PARAMETER, Workstation
from fakes.console_sign_in import PROFILE, AwsCommand

API = "deadline.client.api"
USER = "00000000-1111-2222-3333-444444444444"


@calls("deadline.client", "version")
@calls("deadline.job_attachments", "version")
def versions(workstation: Workstation) -> None:
    assert [len(text.split(".")) for text in (client_version, attachments_version)] == [3, 3]


@calls(API, "AwsCredentialsSource", "get_credentials_source")
def credentials_source(workstation: Workstation) -> None:
    assert api.get_credentials_source() is api.AwsCredentialsSource.HOST_PROVIDED
    config = ConfigParser()
    set_setting("defaults.aws_profile_name", "nobody", config)
    assert api.get_credentials_source(config) is api.AwsCredentialsSource.NOT_VALID
    workstation.file("home/.aws/config", "[profile studio]\nmonitor_id = m\nuser_id = u\nidentity_store_id = i\n")
    set_setting("defaults.aws_profile_name", "studio", config)
    assert api.get_credentials_source(config) is api.AwsCredentialsSource.DEADLINE_CLOUD_MONITOR_LOGIN


@calls(API, "AwsAuthenticationStatus", "check_authentication_status")
def authentication_status(workstation: Workstation) -> None:
    assert api.check_authentication_status() is api.AwsAuthenticationStatus.AUTHENTICATED
    os.environ["AWS_SECRET_ACCESS_KEY"] = "wrong"
    assert api.check_authentication_status() is api.AwsAuthenticationStatus.CONFIGURATION_ERROR


@calls(API, "check_deadline_api_available")
def api_available(workstation: Workstation) -> None:
    assert api.check_deadline_api_available() is True
    os.environ["AWS_ENDPOINT_URL_DEADLINE"] = "http://127.0.0.1:9"
    assert api.check_deadline_api_available() is False


@calls(API, "get_user_and_identity_store_id")
def user_and_identity_store(workstation: Workstation) -> None:
    assert api.get_user_and_identity_store_id() == (None, None)
    workstation.file("home/.aws/config", "[profile studio]\nmonitor_id = m\nuser_id = u\nidentity_store_id = i\n")
    config = ConfigParser()
    set_setting("defaults.aws_profile_name", "studio", config)
    assert api.get_user_and_identity_store_id(config) == ("u", "i")


@calls(API, "get_boto3_session", "get_boto3_client", "session_context")
def sessions(workstation: Workstation) -> None:
    session = api.get_boto3_session()
    assert isinstance(session, boto3.Session)
    assert session is api.get_boto3_session()
    assert session is not api.get_boto3_session(force_refresh=True)
    assert api.get_boto3_session(region="eu-west-1").region_name == "eu-west-1"
    # An endpoint of one region does not stand for another.
    os.environ["AWS_ENDPOINT_URL_DEADLINE"] = "https://deadline.us-west-2.example.com"
    for region, host in (("eu-west-1", "eu-west-1"), (None, "us-west-2")):
        there = api.get_boto3_client("deadline", region=region)
        assert there.meta.endpoint_url == f"https://deadline.{host}.example.com"
    os.environ["AWS_ENDPOINT_URL_DEADLINE"] = workstation.farm.state["endpoint_url"]
    api.get_boto3_session(force_refresh=True)
    client = api.get_boto3_client("deadline")
    assert client.get_farm(farmId=workstation.farm_id)["farmId"] == workstation.farm_id
    assert client is api.get_boto3_client("deadline")
    api.session_context["submitter-name"] = "Blender"
    api.session_context["submitter-version"] = "1.2"
    agent = api.get_boto3_client("deadline").meta.config.user_agent_extra
    assert agent == f"app/deadline-client#{client_version} submitter/Blender#1.2"


@calls(API, "get_queue_user_boto3_session", "precache_clients")
def queue_session(workstation: Workstation) -> None:
    deadline = api.get_boto3_client("deadline")
    session = api.get_queue_user_boto3_session(deadline, queue_display_name="Local queue")
    assert session.get_credentials().get_frozen_credentials().token
    bucket = workstation.farm.state["bucket"]
    prefix = workstation.farm.state["root_prefix"]
    assert session.client("s3").list_objects_v2(Bucket=bucket, Prefix=f"{prefix}/")["Name"] == bucket
    client, s3 = api.precache_clients()
    assert client is deadline
    assert s3.list_objects_v2(Bucket=bucket, Prefix=f"{prefix}/")["Name"] == bucket
    # What transfers with the session use is warm then.
    assert s3 is get_s3_client(session, s3_max_pool_connections=50)
    # A farm is asked in its own region, whichever farm is the configured one.
    memory = config_file.read_config()
    set_setting("defaults.farm_id", "farm-far", memory)
    set_setting("defaults.farm_region", "eu-west-1", memory)
    set_setting("defaults.farm_id", workstation.farm_id, memory)
    for farm, region in (("farm-far", "eu-west-1"), (workstation.farm_id, session.region_name)):
        assert _session.client_for_farm("deadline", farm, memory).meta.region_name == region
    places = [api.get_queue_user_boto3_session(deadline, memory, farm).region_name for farm in ("farm-far", None)]
    assert places == ["eu-west-1", session.region_name]
    refused = api.get_queue_user_boto3_session(deadline, queue_id="queue-" + "0" * 32, queue_display_name="Gone")
    with pytest.raises(DeadlineOperationError) as error:
        refused.client("s3").list_objects_v2(Bucket=bucket)
    said = str(error.value.__cause__)
    assert str(error.value) == (
        f"The role for users of the queue 'Gone' cannot be assumed: {said} "
        "Ask your administrator whether the queue has a role and whether you may use it."
    )


@calls(API, "assume_queue_role_for_user", "assume_queue_role_for_read")
def roles(workstation: Workstation) -> None:
    for assume in (api.assume_queue_role_for_user, api.assume_queue_role_for_read):
        credentials = assume(workstation.farm_id, workstation.queue_id)["credentials"]
        assert set(credentials) == {"accessKeyId", "secretAccessKey", "sessionToken", "expiration"}


@calls(API, "list_farms", "list_queues", "list_fleets", "list_jobs", "list_storage_profiles_for_queue")
def lists(workstation: Workstation) -> None:
    (farm,) = api.list_farms()["farms"]
    assert (farm["farmId"], farm["region"]) == (workstation.farm_id, "us-west-2")
    (queue,) = api.list_queues(farmId=workstation.farm_id)["queues"]
    assert queue["queueId"] == workstation.queue_id
    (fleet,) = api.list_fleets(farmId=workstation.farm_id)["fleets"]
    assert fleet["fleetId"] == workstation.farm.state["fleet_id"]
    jobs = {workstation.submit(name=f"Job {number}") for number in range(3)}
    listed = api.list_jobs(farmId=workstation.farm_id, queueId=workstation.queue_id, maxResults=2)
    assert jobs <= {job["jobId"] for job in listed["jobs"]}
    profiles = api.list_storage_profiles_for_queue(**workstation.queue)["storageProfiles"]
    assert workstation.storage_profile_id in [profile["storageProfileId"] for profile in profiles]


@calls(API, "get_storage_profile_for_queue")
def storage_profile(workstation: Workstation) -> None:
    made = workstation.farm.client().create_storage_profile(
        farmId=workstation.farm_id,
        displayName="Studio",
        osFamily="LINUX",
        fileSystemLocations=[{"name": "Projects", "path": "/projects", "type": "SHARED"}],
    )["storageProfileId"]
    workstation.farm.client().update_queue(**workstation.queue, allowedStorageProfileIdsToAdd=[made])
    profile = api.get_storage_profile_for_queue(workstation.farm_id, workstation.queue_id, made)
    workstation.farm.client().update_queue(**workstation.queue, allowedStorageProfileIdsToRemove=[made])
    assert isinstance(profile, StorageProfile)
    assert (profile.displayName, profile.osFamily) == ("Studio", StorageProfileOperatingSystemFamily.LINUX)
    (place,) = profile.fileSystemLocations
    assert (place.name, place.path, place.type) == ("Projects", "/projects", FileSystemLocationType.SHARED)


@calls(API, "get_queue_parameter_definitions")
@calls("deadline.client.api._queue_parameters", "get_queue_parameter_definitions")
def queue_parameters(workstation: Workstation) -> None:
    assert api.get_queue_parameter_definitions is _queue_parameters.get_queue_parameter_definitions
    assert api.get_queue_parameter_definitions(**workstation.queue) == [PARAMETER]
    assert api.get_queue_parameter_definitions(**workstation.queue, region="us-west-2") == [PARAMETER]


@calls(API, "get_queue_parameters")
def queue_parameters_with_values(workstation: Workstation) -> None:
    assert api.get_queue_parameters() == [{**PARAMETER, "value": "blender=4.*"}]
    given = api.get_queue_parameters(
        workstation.farm_id, workstation.queue_id, {"CondaPackages": "blender=4.5", "Other": "x"}
    )
    assert given == [{**PARAMETER, "value": "blender=4.5"}]
    set_setting("defaults.farm_id", "")
    with pytest.raises(DeadlineOperationError) as error:
        api.get_queue_parameters()
    assert str(error.value) == (
        "No farm or no queue is chosen. Set defaults.farm_id and defaults.queue_id in "
        f"{workstation.folder}/home/.deadline/config, or give farm_id and queue_id."
    )


@calls(API, "BaseSubmitter", "BaseSubmitterSettings", "SubmissionContext")
def submitter(workstation: Workstation) -> None:
    from deadline.client.job_bundle.submission import AssetReferences

    class Submitter(api.BaseSubmitter):
        def get_settings(self) -> api.BaseSubmitterSettings:
            return api.BaseSubmitterSettings(job_name="Shot", frame_list="1-3")

        def get_job_template(
            self, settings: api.BaseSubmitterSettings, host_requirements: dict[str, Any] | None = None
        ) -> dict[str, Any]:
            return {"name": settings.job_name}

        def get_parameter_values(
            self, settings: api.BaseSubmitterSettings, queue_parameters: list[dict[str, Any]]
        ) -> list[dict[str, Any]]:
            return [{"name": one["name"], "value": one["value"]} for one in queue_parameters]

        def get_asset_references(self, settings: api.BaseSubmitterSettings) -> AssetReferences:
            return AssetReferences(input_filenames=set(settings.input_filenames))

    context = Submitter().get_submission_context(initial_values={"CondaPackages": "maya"})
    assert context == api.SubmissionContext(
        api.BaseSubmitterSettings(job_name="Shot", frame_list="1-3"),
        {"name": "Shot"},
        [{"name": "CondaPackages", "value": "maya"}],
        AssetReferences(),
    )
    with pytest.raises(TypeError, match="abstract"):
        api.BaseSubmitter()  # type: ignore[abstract]


MONITOR = """#!{python}
import pathlib, sys, time
assert sys.argv[2:] == ["--profile", "studio"], sys.argv
marker = pathlib.Path({marker!r})
if sys.argv[1] == "login":
    marker.touch()
    time.sleep(5)  # a window that stays
else:
    marker.unlink()
    print("Logged out.")
"""
PROCESS = """#!{python}
import json, pathlib, sys
if not pathlib.Path({marker!r}).exists():
    sys.exit("not logged in")
print(json.dumps({{"Version": 1, "AccessKeyId": {key!r}, "SecretAccessKey": {secret!r}}}))
"""


@calls(API, "login", "logout")
def login(workstation: Workstation) -> None:
    values = {
        "python": sys.executable,
        "marker": str(workstation.folder / "logged-in"),
        "key": os.environ.pop("AWS_ACCESS_KEY_ID"),
        "secret": os.environ.pop("AWS_SECRET_ACCESS_KEY"),
    }
    monitor = workstation.file("monitor", MONITOR.format(**values))
    process = workstation.file("credentials", PROCESS.format(**values))
    for program in (monitor, process):
        program.chmod(0o755)
    workstation.file(
        "home/.aws/config",
        f"[profile studio]\nmonitor_id = m\nuser_id = {USER}\nidentity_store_id = i\ncredential_process = {process}\n",
    )
    set_setting("defaults.aws_profile_name", "studio")
    set_setting("deadline-cloud-monitor.path", str(monitor))
    assert api.check_authentication_status() is api.AwsAuthenticationStatus.NEEDS_LOGIN
    # Programs make their session first, and offer the login then.
    assert api.get_boto3_session(force_refresh=True).profile_name == "studio"
    assert api.get_user_and_identity_store_id() == (USER, "i")
    told: list[dict[str, Any]] = []
    assert api.login(lambda **keywords: told.append(keywords), lambda: False) == (
        "Deadline Cloud monitor profile: studio"
    )
    assert told == [{"credentials_source": api.AwsCredentialsSource.DEADLINE_CLOUD_MONITOR_LOGIN}]
    assert api.check_authentication_status() is api.AwsAuthenticationStatus.AUTHENTICATED
    assert api.logout() == "Logged out.\n"
    assert api.check_authentication_status() is api.AwsAuthenticationStatus.NEEDS_LOGIN


@calls("deadline.client.api._loginout", "LoginCanceled")
def login_to_the_console(workstation: Workstation) -> None:
    role = api.assume_queue_role_for_user(farmId=workstation.farm_id, queueId=workstation.queue_id)["credentials"]
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        del os.environ[name]
    keys = {"accessKeyId": role["accessKeyId"], "secretAccessKey": role["secretAccessKey"]}
    os.environ["PATH"] = f"{workstation.folder / 'programs'}{os.pathsep}{os.environ['PATH']}"
    workstation.file("home/.aws/config", f"[profile studio]\n{PROFILE}")
    set_setting("defaults.aws_profile_name", "studio")
    assert api.get_credentials_source() is api.AwsCredentialsSource.AWS_CONSOLE_LOGIN
    assert api.check_authentication_status() is api.AwsAuthenticationStatus.NEEDS_LOGIN
    programs = workstation.folder / "programs"
    AwsCommand.install(programs, ends_with=None)
    with pytest.raises(_loginout.LoginCanceled):
        api.login(None, lambda: True)
    AwsCommand.install(programs, sessionToken=role["sessionToken"], **keys)
    told: list[dict[str, Any]] = []
    assert api.login(lambda **keywords: told.append(keywords), lambda: False) == "AWS Console sign-in profile: studio"
    assert told == [{"credentials_source": api.AwsCredentialsSource.AWS_CONSOLE_LOGIN}]
    assert api.check_authentication_status() is api.AwsAuthenticationStatus.AUTHENTICATED
    assert api.logout() == "Successfully logged out of AWS Console sign-in profile: studio"
    assert api.check_authentication_status() is api.AwsAuthenticationStatus.NEEDS_LOGIN


@calls(API, "TelemetryClient", "get_telemetry_client", "get_deadline_cloud_library_telemetry_client")
def telemetry(workstation: Workstation) -> None:
    client = api.TelemetryClient("deadline-cloud-for-maya", "1.2.3.post4")
    assert (client.telemetry_opted_out, client.is_initialized, client.package_ver) == (True, False, "1.2.3")
    assert client.get_account_id(api.get_boto3_session()) == "000000000000"
    del os.environ["DEADLINE_CLOUD_TELEMETRY_OPT_OUT"]
    set_setting("telemetry.opt_out", "true")
    for word in ("", "false"):
        os.environ["DEADLINE_CLOUD_TELEMETRY_OPT_OUT"] = word
        client.set_opt_out()
        assert client.telemetry_opted_out is True
    del os.environ["DEADLINE_CLOUD_TELEMETRY_OPT_OUT"]
    set_setting("telemetry.opt_out", "false")
    received = _collect()
    client = api.get_deadline_cloud_library_telemetry_client()
    assert client is api.get_deadline_cloud_library_telemetry_client()
    assert client is api.get_telemetry_client("deadline-cloud-library", client_version)
    assert (client.telemetry_opted_out, client.is_initialized) == (False, True)
    client.update_common_details({"maya-version": "2026"})
    client.telemetry_opted_out = True
    client.record_event("com.amazon.rum.deadline.submitter.window", {})
    client.telemetry_opted_out = False
    client.record_event(event_type="com.amazon.rum.deadline.adaptor.runtime.start", event_details={}, from_gui=True)
    client.record_event("com.amazon.rum.deadline.mcp.tool", {"usage_mode": "MCP"})
    client.record_event("com.amazon.rum.deadline.nothing", None)  # type: ignore[arg-type]  # never raises
    client.record_error({"exit_code": 1, "exception_scope": "on_run"}, str(RuntimeError))
    client.record_error(event_details={}, exception_type="ValueError", from_gui=True)
    client.record_error_with_trace(ValueError("secret"), "on_start")
    client.record_hashing_summary(SummaryStatistics(total_files=1))
    client.record_upload_summary(SummaryStatistics(total_files=2), from_gui=True)
    client.record_vfs_mounting(True)
    client.close()
    types = [event["type"].removeprefix("com.amazon.rum.deadline.") for event in received]
    assert types == [
        "adaptor.runtime.start",
        "mcp.tool",
        "error",
        "error",
        "error",
        "job_attachments.hashing_summary",
        "job_attachments.upload_summary",
        "job_attachments.vfs_mount",
    ]
    details = [json.loads(event["details"]) for event in received]
    assert all(one["maya-version"] == "2026" for one in details)
    assert [one["usage_mode"] for one in details[:4]] == ["GUI", "MCP", "CLI", "GUI"]
    assert "secret" not in json.dumps(details)


def _collect() -> list[dict[str, Any]]:
    """Stand up an endpoint for telemetry and name it in the environment; what it gets."""
    received: list[dict[str, Any]] = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            received.extend(body["RumEvents"])
            self.send_response(200)
            self.end_headers()

        def log_message(self, *words: object) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    os.environ["AWS_ENDPOINT_URL_DEADLINE"] = f"http://127.0.0.1:{server.server_port}"
    return received


@calls(API, "record_success_fail_telemetry_event", "record_function_latency_telemetry_event")
def decorators(workstation: Workstation) -> None:
    asked: list[tuple[Any, ...]] = []

    def provider(name: str, **rest: Any) -> dict[str, Any]:
        asked.append((name, rest))
        return {"asked": name}

    @api.record_success_fail_telemetry_event(metric_name="asset_upload", event_details={"kind": "test"})
    @api.record_function_latency_telemetry_event(details_provider=provider)
    def divide(one: int, other: int = 2, *, name: str = "n", from_gui: bool = False) -> float:
        """Divide."""
        return one / other

    assert (divide.__name__, divide.__doc__) == ("divide", "Divide.")
    assert divide(8) == 4
    with pytest.raises(ZeroDivisionError):
        divide(1, 0, name="m")
    with pytest.raises(TypeError, match="missing 1 required positional argument: 'one'"):
        divide()  # type: ignore[call-arg]
    assert asked == [
        ("n", {"one": 8, "other": 2, "from_gui": False}),
        ("m", {"one": 1, "other": 0, "from_gui": False}),
        ("n", {"other": 2, "from_gui": False}),
    ]

    # The library's own calls are watched so. Nobody answers this one.
    del os.environ["DEADLINE_CLOUD_TELEMETRY_OPT_OUT"]
    received = _collect()
    api.get_deadline_cloud_library_telemetry_client().set_opt_out()
    with pytest.raises(ClientError):
        api.list_queues(farmId=workstation.farm_id)
    api.get_deadline_cloud_library_telemetry_client().close()
    (event,) = received
    details = json.loads(event["details"])
    assert (event["type"], details["function_call"]) == ("com.amazon.rum.deadline.latency", "list_queues")
    assert (details["is_success"], details["exception_type"], details["usage_mode"]) == (False, "ClientError", "CLI")
    assert details["latency"] > 0


@calls(API, "safe_check_for_updates", "UpdateCheckResult", "UpdateCheckStatus")
def updates(workstation: Workstation) -> None:
    result, status = api.UpdateCheckResult, api.UpdateCheckStatus
    latest = {"installer": "/1.5/setup.run", "componentVersions": {"deadline-cloud-for-maya": "1.10.0", "odd": "one"}}
    platforms = dict.fromkeys(("linux", "macos", "windows"), latest)
    manifest = json.dumps({"DeadlineCloudSubmitter": {"versions": {"latest": platforms}}})
    url = serve(workstation.file("served/manifest.json", manifest).parent)
    os.environ["SHOTPUT_UPDATE_MANIFEST_URL"] = f"{url}/manifest.json"
    found = api.safe_check_for_updates("deadline-cloud-for-maya", "1.9.0")
    assert found == result(status.SUCCESS, "1.9.0", True, "1.10.0", f"{url}/1.5/setup.run")
    assert api.safe_check_for_updates("deadline-cloud-for-maya", "1.10.0").update_available is False
    assert api.safe_check_for_updates("x", "1") == result(
        status.INTEGRATION_NOT_FOUND, "1", error_message=f"{url}/manifest.json does not list 'x'."
    )
    assert api.safe_check_for_updates("odd", "1") == result(
        status.INVALID_VERSION, "1", latest_version="one", error_message="Invalid version: 'one'"
    )
    workstation.file("served/manifest.json", "[]")
    assert api.safe_check_for_updates("x", "1").status is status.PARSE_ERROR
    os.environ["SHOTPUT_UPDATE_MANIFEST_URL"] = "http://127.0.0.1:9/manifest.json"
    assert api.safe_check_for_updates("x", "1").status is status.NETWORK_ERROR
    set_setting("settings.submitter_update_notification", "false")
    assert api.safe_check_for_updates("x", "1") == result(status.SUCCESS, "1")


def serve(folder: Path) -> str:
    """Serve the files of a folder over HTTP; where."""

    class Handler(http.server.SimpleHTTPRequestHandler):
        def __init__(self, *words: Any) -> None:
            super().__init__(*words, directory=str(folder))

        def log_message(self, *words: object) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return f"http://127.0.0.1:{server.server_port}"
