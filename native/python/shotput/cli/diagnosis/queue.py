"""The farm and the queue: what they are set to, what the caller may do with them, and the queue's bucket."""

from __future__ import annotations

import asyncio
import os
import platform
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from shotput import _native
from shotput.cli.diagnosis.questions import Answer, Finding, Level, Questions, counted, failed, ok, unknown, warning
from shotput.errors import ServiceError

# What a submission asks; without one of these there is no job.
_NEEDED = ("GetQueue", "ListQueueEnvironments", "GetQueueEnvironment", "AssumeQueueRoleForUser")
_OTHERS = {
    "ListFarms": "`shotput status` cannot tell whether somebody is logged in",
    "AssumeQueueRoleForRead": "outputs of jobs do not come home",
    "GetFarm": "the farm's name is not known",
    "ListQueueFleetAssociations": "nobody can tell here whether a worker fits",
    "GetFleet": "nobody can tell here whether a worker fits",
    "GetStorageProfileForQueue": "submissions with a storage profile fail",
    "SearchJobs": "`shotput job list` and `last` fail",
    "GetJob": "a submission cannot see whether its job was made",
}


@dataclass
class Queue:
    """What was learned about a queue; what could not be asked is ``None``."""

    farm_id: str
    queue_id: str
    details: dict[str, Any] | None = None
    definitions: list[dict[str, Any]] | None = None
    fleet_ids: list[str] | None = None
    storage_profile: dict[str, Any] | None = None
    findings: list[Finding] | None = None

    @property
    def bucket(self) -> tuple[str, str] | None:
        """Bucket and root prefix of its job attachments."""
        settings = (self.details or {}).get("jobAttachmentSettings")
        return (settings["s3BucketName"], settings["rootPrefix"]) if settings else None


async def look_at(questions: Questions, place: dict[str, Any]) -> Queue:
    """Ask for all that a queue is set to, at once."""
    queue = Queue(place["farm_id"], place["queue_id"])
    ids = (queue.farm_id, queue.queue_id)
    farm, details, environments, definitions, associations, jobs, profile = await asyncio.gather(
        questions.ask(_native.get_farm, queue.farm_id, tries="GetFarm"),
        questions.ask(_native.get_queue, *ids, tries="GetQueue"),
        questions.ask(_native.list_queue_environments, *ids, tries="ListQueueEnvironments"),
        questions.ask(_native.get_queue_parameter_definitions, *ids),
        questions.ask(_native.list_queue_fleet_associations, *ids, tries="ListQueueFleetAssociations"),
        questions.ask(_native.search_jobs, queue.farm_id, [queue.queue_id], limit=1, tries="SearchJobs"),
        _storage_profile(questions, ids, place["storage_profile_id"]),
    )
    queue.details = details.value
    queue.definitions = definitions.value
    queue.storage_profile = profile.value
    if definitions.error is None and environments.error is None and environments.value["environments"]:
        questions.rights["GetQueueEnvironment"] = definitions
    if jobs.error is None and jobs.value["jobs"]:
        await questions.ask(_native.get_job, *ids, jobs.value["jobs"][0]["jobId"], tries="GetJob")
    if associations.error is None:
        listed = associations.value["queueFleetAssociations"]
        queue.fleet_ids = [item["fleetId"] for item in listed if item["status"] == "ACTIVE"]
    queue.findings = [
        _farm(farm),
        *_status(details),
        _environments(environments, definitions),
        *_profile(place["storage_profile_id"], profile, queue),
    ]
    return queue


async def _storage_profile(questions: Questions, ids: tuple[str, str], profile_id: str | None) -> Answer:
    if not profile_id:
        return Answer()
    return await questions.ask(
        _native.get_storage_profile_for_queue, *ids, profile_id, tries="GetStorageProfileForQueue"
    )


def _farm(answer: Answer) -> Finding:
    if answer.error is None:
        return ok("queue.farm", f"{answer.value['displayName']} ({answer.value['farmId']})", answer.value["farmId"])
    return answer.finding("queue.farm", Level.WARNING if answer.is_refused else Level.FAILED)


def _status(answer: Answer) -> list[Finding]:
    if answer.error is not None:
        return [answer.finding("queue.status")]
    queue = answer.value
    name, status = queue["displayName"], queue["status"]
    if status == "SCHEDULING_BLOCKED":
        reason = queue.get("blockedReason", "no reason is given")
        then = "Jobs are taken and do not start. Ask the farm's administrator to look at the queue's budget."
        findings = [warning("queue.status", f"{name} is SCHEDULING_BLOCKED: {reason}", then, status)]
    else:
        findings = [ok("queue.status", f"{name} is {status}", status)]
    settings = queue.get("jobAttachmentSettings")
    if settings:
        found = f"s3://{settings['s3BucketName']}/{settings['rootPrefix']}"
        return [*findings, ok("queue.attachments", found, settings)]
    then = "Files of jobs are not uploaded. Ask the farm's administrator to set a bucket for job attachments."
    return [*findings, warning("queue.attachments", "the queue has no settings for job attachments", then)]


def _environments(environments: Answer, definitions: Answer) -> Finding:
    check = "queue.environments"
    for answer in (environments, definitions):
        if answer.error is not None:
            return answer.finding(check)
    names = [item["name"] for item in environments.value["environments"]]
    if not names:
        return ok(check, "none", [])
    asked = ", ".join(definition["name"] for definition in definitions.value)
    return ok(check, f"{', '.join(names)}; asks for {asked or 'nothing'}", names)


def _profile(profile_id: str | None, answer: Answer, queue: Queue) -> list[Finding]:
    check = "queue.storage_profile"
    required = set((queue.details or {}).get("requiredFileSystemLocationNames", ()))
    if not profile_id:
        if not required:
            return [ok(check, "none is set, and none is needed")]
        then = "Choose the one of this machine: shotput config set settings.storage_profile_id sp-…"
        return [warning(check, f"none is set; the queue requires the locations {_listed(required)}", then)]
    if answer.error is not None:
        found, then = answer.explained()
        level = Level.UNKNOWN if answer.is_silence else Level.FAILED
        return [Finding(check, level, f"{profile_id}: {found}", then)]
    profile = answer.value
    locations = profile.get("fileSystemLocations", [])
    found = f"{profile['displayName']} for {profile['osFamily']}, {counted(len(locations), 'location')}"
    findings = []
    if profile["osFamily"].upper() != _os_family():
        then = "Choose the one of this machine: shotput config set settings.storage_profile_id sp-…"
        findings.append(failed(check, f"{found}; this machine is {_os_family()}", then, profile))
    else:
        findings.append(ok(check, found, profile))
    lacking = required - {location["name"] for location in locations}
    if lacking:
        then = "Ask the farm's administrator to add them to the profile."
        findings.append(failed("queue.locations", f"the queue requires {_listed(lacking)}, which it lacks", then))
    gone = [location for location in locations if not Path(location["path"]).exists()]
    if gone:
        paths = ", ".join(f"{location['path']} ({location['name']})" for location in gone)
        then = "Mount them, or have the profile corrected: files are sorted by where they lie."
        findings.append(warning("queue.locations", f"not on this machine: {paths}", then))
    return findings


def _os_family() -> str:
    return {"Darwin": "MACOS", "Windows": "WINDOWS"}.get(platform.system(), "WINDOWS" if os.name == "nt" else "LINUX")


def rights(questions: Questions) -> list[Finding]:
    """What the caller may do, operation by operation, after all questions were asked."""
    tried = questions.rights
    findings = []
    for operation in (*_NEEDED, *_OTHERS):
        answer = tried.get(operation)
        check = f"rights.{operation}"
        if answer is None:
            if operation == "AssumeQueueRoleForUser":
                findings.append(unknown(check, "not tried: no bucket is known that it would be for"))
        elif answer.error is None:
            findings.append(ok(check, "allowed"))
        elif answer.is_refused:
            found, then = answer.explained()
            if operation in _OTHERS:
                then = f"{then.rstrip('.')}: without it {_OTHERS[operation]}."
            findings.append(Finding(check, Level.FAILED if operation in _NEEDED else Level.WARNING, found, then))
        else:
            found, then = answer.explained()
            findings.append(unknown(check, found, then))
    if questions.target is not None:
        return [*findings, ok("rights.CreateJob", "the local farm's own key may do all")]
    found = "not tried: it would make a job"
    role = tried.get("AssumeQueueRoleForUser")
    if role is not None and role.error is None:
        found += ". The service's own policies allow it together with AssumeQueueRoleForUser, which is allowed"
    return [*findings, unknown("rights.CreateJob", found)]


async def bucket(questions: Questions, queue: Queue, region: str) -> list[Finding]:
    """What the queue's role may do with its bucket, without leaving anything there."""
    if queue.details is None:
        return [unknown("bucket.exists", "not asked: the queue's settings are not known")]
    if queue.bucket is None:
        return []
    name, prefix = queue.bucket
    place = (queue.farm_id, queue.queue_id, name, prefix)
    answer, _ = await asyncio.gather(
        questions.ask(_native.probe_bucket, *place, tries="AssumeQueueRoleForUser"),
        questions.ask(_native.probe_bucket, *place, read_only=True, tries="AssumeQueueRoleForRead"),
    )
    if answer.error is not None:
        if isinstance(answer.error, ServiceError) and answer.error.operation == "GetCallerIdentity":
            questions.rights["AssumeQueueRoleForUser"] = Answer(value=True)
        refused = questions.rights.get("AssumeQueueRoleForUser")
        if refused is not None and refused.error is answer.error:
            return [unknown("bucket.exists", f"s3://{name} was not asked: see AssumeQueueRoleForUser, above")]
        found, then = answer.explained()
        return [unknown("bucket.exists", f"s3://{name} was not asked: {found}", then)]
    report = answer.value
    findings = [_exists(name, report)]
    if report["region"] and report["region"] != region and queue.bucket:
        then = "Have the queue set to a bucket in the farm's region; others are refused."
        findings.append(failed("bucket.region", f"it lies in {report['region']}, the farm in {region}", then))
    if report["owner"] is not None:
        owner = report["owner"]
        then = "Files are sent to no other account's bucket. Check the bucket's name in the queue's settings."
        findings.append(
            ok("bucket.owner", f"the account {report['account']}, that of the queue's role", report["account"])
            if owner["allowed"]
            else failed("bucket.owner", f"not the account {report['account']} of the queue's role", then)
        )
    below = f"s3://{name}/{prefix}/"
    emptiness = "nothing is there yet" if report["is_empty"] else "it holds objects"
    for check, verb, action, note in (
        ("list", "listed", "s3:ListBucket", f"; {emptiness}"),
        ("read", "read", "s3:GetObject", ""),
        ("write", "written", "s3:PutObject", "; nothing was written to find out"),
    ):
        attempt = report[check]
        if attempt is None:
            continue
        if attempt["allowed"]:
            findings.append(ok(f"bucket.{check}", f"{below} can be {verb}{note}"))
        elif attempt["allowed"] is False:
            then = f"Ask the farm's administrator to give the queue's role {action} on it."
            findings.append(failed(f"bucket.{check}", f"{below} cannot be {verb}: {attempt['message']}", then, attempt))
        else:
            findings.append(unknown(f"bucket.{check}", f"not clear: {attempt['message']}", value=attempt))
    return findings


def _exists(name: str, report: dict[str, Any]) -> Finding:
    check, attempt = "bucket.exists", report["bucket"]
    if attempt["allowed"]:
        where = f" in {report['region']}" if report["region"] else ""
        return ok(check, f"s3://{name}{where}", report["region"])
    if attempt["code"] == "NoSuchBucket":
        then = "Check the bucket in the queue's job attachment settings."
        return failed(check, f"there is no bucket {name}", then)
    if attempt["status"] == 0:
        then = "Check the network, the proxy and the endpoint of S3."
        return failed(check, f"s3://{name} does not answer: {attempt['message']}", then)
    then = "Ask the farm's administrator to give the queue's role s3:ListBucket on it, and check whose bucket it is."
    return failed(check, f"s3://{name} is refused to the queue's role: {attempt['message']}", then, attempt)


def _listed(names: set[str]) -> str:
    return ", ".join(sorted(names))
