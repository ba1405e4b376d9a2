"""What `shotput doctor` finds at AWS-shaped services on this machine, with a real object store as the bucket."""

from __future__ import annotations

import asyncio
import json
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from fakes import console_sign_in
from fakes.deadline_service import FARM, FLEET, QUEUE, STORAGE_PROFILE, DeadlineService
from shotput import _native
from shotput.cli import diagnosis
from shotput.cli.diagnosis import Finding, Level

CONDA = {
    "queueEnvironmentId": "queueenv-0123456789abcdef0123456789abcdef",
    "name": "Conda",
    "priority": 1,
    "templateType": "JSON",
    "template": json.dumps(
        {
            "specificationVersion": "environment-2023-09",
            "parameterDefinitions": [
                {"name": "CondaPackages", "type": "STRING", "default": ""},
                {"name": "CondaChannels", "type": "STRING", "default": "deadline-cloud"},
            ],
            "environment": {"name": "Conda", "variables": {"A": "b"}},
        }
    ),
}
READY = {"actions": {"onRun": {"command": "true"}}}
DENIED = "User: arn:aws:sts::123456789012:assumed-role/artists/ann is not authorized"


@dataclass
class Cloud:
    """A farm in the cloud, as far as this machine can tell."""

    folder: Path
    service: DeadlineService
    store: _native.ObjectStore
    template: dict[str, Any] = field(
        default_factory=lambda: {
            "specificationVersion": "jobtemplate-2023-09",
            "name": "shot010",
            "parameterDefinitions": [{"name": "Frames", "type": "STRING", "default": "1-10"}],
            "steps": [{"name": "Render", "script": READY}],
        }
    )
    values: dict[str, str] = field(default_factory=dict)
    inputs: list[str] = field(default_factory=list)

    def bundle(self) -> Path:
        folder = self.folder / "bundle"
        folder.mkdir(exist_ok=True)
        (folder / "template.json").write_text(json.dumps(self.template))
        values = [{"name": name, "value": value} for name, value in self.values.items()]
        (folder / "parameter_values.json").write_text(json.dumps({"parameterValues": values}))
        references = {"inputs": {"filenames": self.inputs}}
        (folder / "asset_references.json").write_text(json.dumps({"assetReferences": references}))
        return folder

    def grant(self, **rights: Any) -> None:
        """What the queue's role may do."""
        rights = {"bucket": "studio", "prefix": "Root", **rights}
        self.store.add_credentials("ASIAQUEUEROLE", "queue-secret", "queue-token", **rights)

    def refuse(self, method: str, path: str, code: str = "AccessDeniedException", status: int = 403) -> None:
        self.service.fail(method, path, code, DENIED, status=status)

    def examine(
        self, bundle: Path | None = None, values: dict[str, str] | None = None, timeout: float = 20, **known: Any
    ) -> dict[str, Finding]:
        """Findings by check; of several for one check the one that was found last."""
        found = asyncio.run(diagnosis.examine(None, bundle, values or {}, timeout=timeout, **known))
        return {finding.check: finding for finding in found}

    def objects(self) -> list[Path]:
        return [path for path in (self.folder / "objects").rglob("*") if path.is_file() and "shotput" in path.name]


@pytest.fixture
def cloud(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Cloud]:
    for name in list(os.environ):
        if name.startswith(("AWS_", "DEADLINE_")) or name.lower().endswith("_proxy"):
            monkeypatch.delenv(name)
    config = tmp_path / "config"
    config.write_text(
        f"[defaults]\naws_profile_name = studio\n[profile-studio defaults]\nfarm_id = {FARM}\n"
        f"[profile-studio {FARM} defaults]\nqueue_id = {QUEUE}\n"
    )
    aws = tmp_path / "aws"
    aws.write_text(
        "[profile studio]\naws_access_key_id = AKIATEST\naws_secret_access_key = secret\nregion = us-west-2\n"
        "[profile person]\nmonitor_id = monitor-1\nuser_id = user-1\nregion = us-west-2\n"
        "aws_access_key_id = AKIAMONITOR\naws_secret_access_key = secret\n"
    )
    with DeadlineService() as service, _native.ObjectStore(str(tmp_path / "objects")) as store:
        for name, value in {
            "HOME": str(tmp_path),
            "DEADLINE_CONFIG_FILE_PATH": str(config),
            "AWS_CONFIG_FILE": str(aws),
            "AWS_SHARED_CREDENTIALS_FILE": str(tmp_path / "none"),
            "AWS_EC2_METADATA_DISABLED": "true",
            "AWS_ENDPOINT_URL_DEADLINE": service.endpoint,
            "AWS_ENDPOINT_URL_STS": f"{service.endpoint}/sts",
            "AWS_ENDPOINT_URL_S3": store.endpoint,
            "AWS_ENDPOINT_URL_CLOUDWATCH_LOGS": service.endpoint,
        }.items():
            monkeypatch.setenv(name, value)
        service.queue["jobAttachmentSettings"] = {"s3BucketName": "studio", "rootPrefix": "Root"}
        made = Cloud(tmp_path, service, store)
        made.grant()
        yield made


def said(finding: Finding) -> tuple[Level, str, str]:
    return finding.level, finding.found, finding.next


def levels(findings: dict[str, Finding], level: Level) -> set[str]:
    return {check for check, finding in findings.items() if finding.level is level}


def test_a_target_that_is_well(cloud: Cloud) -> None:
    texture = cloud.folder / "wood.png"
    texture.write_bytes(b"x" * 1500)
    cloud.inputs = [str(texture)]
    cloud.service.environments.append(CONDA)
    cloud.values["CondaPackages"] = "blender=4.5"
    findings = cloud.examine(cloud.bundle(), known=[cloud.folder])
    assert levels(findings, Level.FAILED) | levels(findings, Level.WARNING) == set()
    assert levels(findings, Level.UNKNOWN) == {"rights.CreateJob"}
    port = cloud.service.port
    characters = len((cloud.folder / "bundle" / "template.json").read_text())
    assert findings["network.deadline"].found.startswith(f"http://management.localhost:{port} answered in 0.")
    assert {check: finding.found for check, finding in findings.items() if not check.startswith("network")} == {
        "target.configuration": f"{FARM}, {QUEUE} in us-west-2, the AWS profile studio",
        "identity.credentials": "the AWS profile studio",
        "identity.login": "AUTHENTICATED, and sees 1 farm",
        "identity.caller": "arn:aws:sts::123456789012:assumed-role/queue/somebody, account 123456789012",
        "rights.GetQueue": "allowed",
        "rights.ListQueueEnvironments": "allowed",
        "rights.GetQueueEnvironment": "allowed",
        "rights.AssumeQueueRoleForUser": "allowed",
        "rights.ListFarms": "allowed",
        "rights.AssumeQueueRoleForRead": "allowed",
        "rights.GetFarm": "allowed",
        "rights.ListQueueFleetAssociations": "allowed",
        "rights.GetFleet": "allowed",
        "rights.SearchJobs": "allowed",
        "rights.GetJob": "allowed",
        "rights.CreateJob": "not tried: it would make a job. The service's own policies allow it together with "
        "AssumeQueueRoleForUser, which is allowed",
        "queue.farm": f"Test Farm ({FARM})",
        "queue.status": "Test Queue is IDLE",
        "queue.attachments": "s3://studio/Root",
        "queue.environments": "Conda; asks for CondaPackages, CondaChannels",
        "queue.storage_profile": "none is set, and none is needed",
        "bucket.exists": "s3://studio",
        "bucket.owner": "the account 123456789012, that of the queue's role",
        "bucket.list": "s3://studio/Root/ can be listed; nothing is there yet",
        "bucket.read": "s3://studio/Root/ can be read",
        "bucket.write": "s3://studio/Root/ can be written; nothing was written to find out",
        "fleets.Test Fleet": "ACTIVE, 1 of at most 10 workers; vCPU 4 to 16, memory 8192 MiB or more",
        "bundle.documents": "shot010: 1 step, 1 task",
        "bundle.files": f"1 file, 1.5 KB, below {cloud.folder}",
        "bundle.limits": f"template of {characters} characters, 3 parameters, 1 asset root",
        "parameters.bundle": "1 parameter of the bundle, each with a value",
        "parameters.CondaPackages": "blender=4.5 (the bundle's)",
        "parameters.CondaChannels": "deadline-cloud (the queue's default)",
        "steps.Render": "runs on Test Fleet",
    }
    # Nothing was made, and nothing was left.
    posted = {request.path for request in cloud.service.requests if request.method != "GET"}
    assert posted == {f"/2023-10-12/farms/{FARM}/search/jobs", "/sts/"}
    assert cloud.objects() == []


def test_parameters_of_the_queue_that_the_bundle_leaves_open(cloud: Cloud) -> None:
    cloud.service.environments.append(CONDA)
    findings = cloud.examine(cloud.bundle())
    assert said(findings["parameters.CondaPackages"]) == (
        Level.WARNING,
        "empty: workers fetch no software for the job",
        "Name what the job runs: -p CondaPackages=… (a renderer that is on the workers already needs none).",
    )
    findings = cloud.examine(cloud.bundle(), {"CondaPackages": "blender"})
    assert said(findings["parameters.CondaPackages"]) == (Level.OK, "blender (given)", "")


def test_parameters_that_a_submission_would_refuse(cloud: Cloud) -> None:
    cloud.values["CondaPackages"] = "blender"
    findings = cloud.examine(cloud.bundle())
    assert said(findings["parameters.values"]) == (
        Level.FAILED,
        'The bundle gives a value for the parameter "CondaPackages", which neither its template nor an environment of '
        "the queue defines.",
        "Correct the name, or remove the value from parameter_values.",
    )
    # Who may not ask the queue cannot know.
    cloud.refuse("GET", "/environments")
    findings = cloud.examine(cloud.bundle())
    assert "parameters.values" not in findings
    assert said(findings["parameters.queue"]) == (
        Level.UNKNOWN,
        "what the queue's environments ask for is not known",
        "The answer to the queue's environments, above, says why.",
    )
    assert said(findings["rights.ListQueueEnvironments"]) == (
        Level.FAILED,
        f"AccessDeniedException: {DENIED}",
        "Ask the farm's administrator for the right to ListQueueEnvironments.",
    )


def test_rights_that_are_refused(cloud: Cloud) -> None:
    cloud.refuse("GET", "/user-roles")
    cloud.refuse("GET", "/read-roles")
    cloud.refuse("POST", "/search/jobs")
    cloud.refuse("GET", f"/fleets/{FLEET}")
    findings = cloud.examine(cloud.bundle())
    assert levels(findings, Level.FAILED) == {"rights.AssumeQueueRoleForUser"}
    refused = f"AccessDeniedException: {DENIED}"
    assert findings["rights.AssumeQueueRoleForUser"].found == (
        f"Cannot assume the role of the queue {QUEUE}. Ask the farm's administrator for access to the queue. {refused}"
    )
    assert findings["rights.AssumeQueueRoleForRead"].level is Level.WARNING
    assert findings["rights.AssumeQueueRoleForRead"].next == (
        "Ask the farm's administrator for the right to AssumeQueueRoleForRead: without it outputs of jobs do not come "
        "home."
    )
    assert said(findings["rights.SearchJobs"]) == (
        Level.WARNING,
        refused,
        "Ask the farm's administrator for the right to SearchJobs: without it `shotput job list` and `last` fail.",
    )
    assert said(findings[f"fleets.{FLEET}"]) == (
        Level.UNKNOWN,
        f"{FLEET}: GetFleet is refused",
        "See the rights, above.",
    )
    assert findings["bucket.exists"].level is Level.UNKNOWN
    assert findings["rights.CreateJob"].found == "not tried: it would make a job"


@pytest.mark.parametrize(
    ("rights", "check", "found", "then"),
    [
        (
            {"read_only": True},
            "bucket.write",
            "s3://studio/Root/ cannot be written: The access key ASIAQUEUEROLE may only read (AccessDenied, HTTP 403)",
            "Ask the farm's administrator to give the queue's role s3:PutObject on it.",
        ),
        (
            {"prefix": "Other"},
            "bucket.list",
            "s3://studio/Root/ cannot be listed: This access key is for s3://studio/Other, not for s3://studio/Root/ "
            "(AccessDenied, HTTP 403)",
            "Ask the farm's administrator to give the queue's role s3:ListBucket on it.",
        ),
    ],
)
def test_a_bucket_that_the_role_may_not_use(
    cloud: Cloud, rights: dict[str, Any], check: str, found: str, then: str
) -> None:
    cloud.grant(**rights)
    assert said(cloud.examine()[check]) == (Level.FAILED, found, then)


def test_a_bucket_that_is_not_there(cloud: Cloud) -> None:
    cloud.service.queue["jobAttachmentSettings"]["s3BucketName"] = "nowhere"
    finding = cloud.examine()["bucket.exists"]
    assert finding.level is Level.FAILED
    assert "nowhere" in finding.found
    del cloud.service.queue["jobAttachmentSettings"]
    findings = cloud.examine()
    assert not any(check.startswith("bucket") for check in findings)
    assert findings["queue.attachments"].level is Level.WARNING


def test_a_bundle_with_files_for_a_queue_without_a_bucket(cloud: Cloud) -> None:
    (cloud.folder / "a").write_text("a")
    cloud.inputs = [str(cloud.folder / "a")]
    del cloud.service.queue["jobAttachmentSettings"]
    assert said(cloud.examine(cloud.bundle())["bundle.files"]) == (
        Level.FAILED,
        "1 file would not be uploaded: the queue has no bucket",
        "Ask the farm's administrator to set a bucket for the queue's job attachments.",
    )


@pytest.mark.parametrize(
    ("change", "check", "level", "found"),
    [
        ({"maxWorkerCount": 0}, "fleets.queue", Level.FAILED, "no fleet of the queue can have a worker"),
        (
            {"status": "SUSPENDED", "statusMessage": "A quota was reached"},
            "fleets.Test Fleet",
            Level.WARNING,
            "SUSPENDED: A quota was reached",
        ),
        ({"workerCount": 0}, "fleets.Test Fleet", Level.WARNING, "ACTIVE, 0 of at most 10 workers"),
    ],
)
def test_a_fleet_without_workers(cloud: Cloud, change: dict[str, Any], check: str, level: Level, found: str) -> None:
    cloud.service.fleet.update(change)
    finding = cloud.examine()[check]
    assert (finding.level, finding.found) == (level, found)
    assert finding.next


@pytest.mark.parametrize(
    ("requirements", "managed", "level", "found"),
    [
        ({"amounts": [{"name": "amount.worker.vcpu", "min": 16}]}, False, Level.OK, "runs on Test Fleet"),
        (
            {"amounts": [{"name": "amount.worker.vcpu", "min": 32}]},
            False,
            Level.FAILED,
            "no fleet can run it: Test Fleet lacks vCPU 32, of which it has at most 16",
        ),
        (
            {"amounts": [{"name": "amount.worker.gpu", "min": 1}]},
            False,
            Level.UNKNOWN,
            "perhaps on Test Fleet (asked for: GPUs 1, of which it names none)",
        ),
        (
            {"amounts": [{"name": "amount.worker.gpu", "min": 1}]},
            True,
            Level.FAILED,
            "no fleet can run it: Test Fleet lacks GPUs 1, of which it names none",
        ),
        (
            {"attributes": [{"name": "attr.worker.os.family", "anyOf": ["windows", "macos"]}]},
            False,
            Level.FAILED,
            "no fleet can run it: Test Fleet lacks attr.worker.os.family macos or windows, and it has linux",
        ),
    ],
)
def test_what_a_step_asks_of_workers(
    cloud: Cloud, requirements: dict[str, Any], managed: bool, level: Level, found: str
) -> None:
    cloud.template["steps"][0]["hostRequirements"] = requirements
    if managed:
        cloud.service.fleet["configuration"] = {"serviceManagedEc2": {}}
    finding = cloud.examine(cloud.bundle())["steps.Render"]
    assert (finding.level, finding.found) == (level, found)


def test_a_storage_profile(cloud: Cloud) -> None:
    _native.set_setting("settings.storage_profile_id", STORAGE_PROFILE)
    cloud.service.queue["requiredFileSystemLocationNames"] = ["Assets", "Tools"]
    shared = {"name": "Assets", "path": str(cloud.folder / "assets"), "type": "SHARED"}
    cloud.service.storage_profile["fileSystemLocations"] = [shared]
    cloud.service.storage_profile["osFamily"] = "WINDOWS"
    findings = asyncio.run(diagnosis.examine(None, None, {}, timeout=20))
    of_profile = [said(finding) for finding in findings if finding.check.startswith(("queue.storage", "queue.loc"))]
    assert of_profile == [
        (
            Level.FAILED,
            "Workstations for WINDOWS, 1 location; this machine is LINUX",
            "Choose the one of this machine: shotput config set settings.storage_profile_id sp-…",
        ),
        (
            Level.FAILED,
            "the queue requires Tools, which it lacks",
            "Ask the farm's administrator to add them to the profile.",
        ),
        (
            Level.WARNING,
            f"not on this machine: {cloud.folder}/assets (Assets)",
            "Mount them, or have the profile corrected: files are sorted by where they lie.",
        ),
    ]
    # What lies in a shared location stays there.
    (cloud.folder / "assets").mkdir()
    (cloud.folder / "assets" / "a").write_text("a")
    cloud.inputs = [shared["path"] + "/a"]
    assert cloud.examine(cloud.bundle())["bundle.files"].found == "none to upload"


def test_files_that_somebody_is_asked_about(cloud: Cloud) -> None:
    folder = cloud.folder / "my textures" / "wood"
    folder.mkdir(parents=True)
    for name in ("a", "b"):
        (folder / name).write_text(name)
    cloud.inputs = [str(folder / "a"), str(folder / "b")]
    assert said(cloud.examine(cloud.bundle())["bundle.known"]) == (
        Level.WARNING,
        f"2 files outside of the known folders, in:\n  {folder}",
        "You are asked about them; without a terminal, or with --yes, the submission ends. Name them known: "
        f"-k '{folder}', or settings.known_asset_paths.",
    )
    assert "bundle.known" not in cloud.examine(cloud.bundle(), known=[cloud.folder])
    _native.set_setting("settings.known_asset_paths", str(folder))
    assert "bundle.known" not in cloud.examine(cloud.bundle())


def test_missing_files_limits_and_documents(cloud: Cloud) -> None:
    gone = str(cloud.folder / "gone.png")
    cloud.inputs = [gone]
    assert said(cloud.examine(cloud.bundle())["bundle.files"]) == (
        Level.FAILED,
        f"An input is missing.\n  {gone}",
        "Restore it, or take it out of the job's inputs.",
    )
    cloud.inputs = []
    cloud.values["Frames"] = "1" * 2000
    assert said(cloud.examine(cloud.bundle())["bundle.limits"]) == (
        Level.FAILED,
        'The value of the job parameter "Frames" has 2000 characters; the service takes at most 1024 for a value of '
        "the type STRING.",
        "Put it into a file of the bundle, and refer to the file.",
    )
    cloud.values.clear()
    cloud.template["steps"] = []
    findings = cloud.examine(cloud.bundle())
    level, found, then = said(findings["bundle.documents"])
    assert level is Level.FAILED
    assert found.startswith(f"The template {cloud.folder}/bundle/template.json breaks the OpenJD rules. ")
    assert then == "Correct it; `shotput check` finds the same without a farm."
    assert not any(check.startswith("steps") for check in findings)


def test_somebody_who_is_not_logged_in(cloud: Cloud) -> None:
    _native.set_setting("defaults.aws_profile_name", "person")
    _native.set_setting("defaults.farm_id", FARM)
    _native.set_setting("defaults.queue_id", QUEUE)
    cloud.refuse("GET", "/farms")
    findings = cloud.examine()
    assert said(findings["identity.login"]) == (
        Level.FAILED,
        f"NEEDS_LOGIN: AccessDeniedException: {DENIED}",
        "Log in: shotput login",
    )
    assert findings["identity.credentials"].found == "a login of the Deadline Cloud monitor, profile person"


def test_nothing_to_sign_with(cloud: Cloud) -> None:
    with (cloud.folder / "aws").open("a") as aws:
        aws.write(f"[profile console]\n{console_sign_in.PROFILE}[profile empty]\nregion = us-west-2\n")
    for profile, source, status, then in [
        ("console", "a sign-in to the AWS console, profile console", "NEEDS_LOGIN", "Log in: shotput login"),
        ("empty", "the AWS profile empty", "CONFIGURATION_ERROR", "Log in, or set the profile"),
    ]:
        _native.set_setting("defaults.aws_profile_name", profile)
        _native.set_setting("defaults.farm_id", FARM)
        _native.set_setting("defaults.queue_id", QUEUE)
        findings = cloud.examine(cloud.bundle())
        assert findings["identity.credentials"].found == source
        login = findings["identity.login"]
        assert login.level is Level.FAILED
        assert login.found.startswith(
            f"{status}: ListFarms was not sent, because there are no usable AWS credentials: "
        )
        assert login.next.startswith(then)
        for check in ("queue.status", "bucket.exists"):
            assert said(findings[check]) == (Level.UNKNOWN, "not asked: there are no credentials to ask with", "")
        # It says so once.
        assert not any(check.startswith("rights.") for check in findings)
        assert findings["bundle.limits"].level is Level.OK
    assert cloud.service.sent("GET", "/farms") == []
    _native.set_setting("defaults.aws_profile_name", "console")
    console_sign_in.sign_in()
    assert cloud.examine()["identity.login"].level is Level.OK


def test_keys_that_are_not_taken(cloud: Cloud) -> None:
    cloud.refuse("GET", "/farms", "UnrecognizedClientException")
    assert said(cloud.examine()["identity.login"]) == (
        Level.FAILED,
        f"CONFIGURATION_ERROR: UnrecognizedClientException: {DENIED}",
        "Log in again, or correct the keys; `shotput status` says whose they are.",
    )
    cloud.refuse("GET", "/farms", "AccessDeniedException")
    findings = cloud.examine()
    assert said(findings["identity.login"]) == (Level.OK, "the keys are taken; ListFarms is not allowed", "")
    assert findings["rights.ListFarms"].level is Level.WARNING


def test_a_configuration_that_chooses_nothing(cloud: Cloud) -> None:
    _native.set_setting("defaults.farm_id", "")
    findings = cloud.examine(cloud.bundle())
    assert said(findings["target.configuration"]) == (
        Level.FAILED,
        "no farm is chosen (region us-west-2, the AWS profile studio)",
        "Choose one: shotput config set defaults.farm_id farm-…",
    )
    assert findings["queue.farm"].next == f"Those that you may use: {FARM} (Test Farm)."
    # The bundle is looked at all the same.
    assert findings["bundle.documents"].level is Level.OK
    _native.set_setting("defaults.aws_profile_name", "gone")
    findings = cloud.examine()
    assert list(findings) == ["target.configuration"]
    assert findings["target.configuration"].next == (
        "Add the profile there, or set defaults.aws_profile_name to another one."
    )


def test_a_service_that_is_silent(cloud: Cloud) -> None:
    cloud.service.answer("GET", "/", body={}, delay=30)
    started = datetime.now(UTC)
    findings = cloud.examine(timeout=0.3)
    assert datetime.now(UTC) - started < timedelta(seconds=10)
    assert findings["network.deadline"].level is Level.FAILED
    assert findings["identity.login"].found == "not asked: Deadline Cloud is not reached"
    cloud.service.answers.clear()
    cloud.service.answer("GET", f"/queues/{QUEUE}", body=cloud.service.queue, delay=30)
    findings = cloud.examine(timeout=0.5)
    assert said(findings["queue.status"]) == (
        Level.UNKNOWN,
        "GetQueue got no answer within 0.5 s.",
        "Check the network, or give more time: --timeout.",
    )


def test_nothing_where_the_service_should_be(cloud: Cloud, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL_DEADLINE", "http://127.0.0.1:9")
    monkeypatch.setenv("AWS_ENDPOINT_URL_STS", "https://sts.invalid")
    monkeypatch.setenv("HTTPS_PROXY", "http://bob:secret@127.0.0.1:9")
    monkeypatch.setenv("AWS_CA_BUNDLE", str(cloud.folder / "config"))
    findings = cloud.examine()
    assert said(findings["network.deadline"]) == (
        Level.FAILED,
        findings["network.deadline"].found,
        "Start the local farm with `shotput farm up`, or correct the endpoint.",
    )
    assert said(findings["network.certificates"]) == (
        Level.FAILED,
        f"{cloud.folder}/config holds no certificate",
        "Set settings.ca_bundle or AWS_CA_BUNDLE to a PEM file of certificates.",
    )
    assert "secret" not in str([finding.document() for finding in findings.values()])


@pytest.mark.parametrize(
    ("minutes", "level", "found"),
    [
        (0.5, Level.OK, "this machine's clock is 30 s behind"),
        (2, Level.WARNING, "this machine's clock is 120 s behind"),
        (-10, Level.FAILED, "this machine's clock is 600 s ahead"),
    ],
)
def test_a_clock_that_is_off(cloud: Cloud, minutes: float, level: Level, found: str) -> None:
    cloud.service.clock_ahead = timedelta(minutes=minutes)
    finding = cloud.examine()["network.clock"]
    assert finding.level is level
    said_seconds = re.search(r"[0-9]+", finding.found)
    assert said_seconds is not None
    assert abs(int(said_seconds[0]) - abs(minutes) * 60) <= 2
    assert finding.found.replace(said_seconds[0], f"{abs(minutes) * 60:.0f}") == found
