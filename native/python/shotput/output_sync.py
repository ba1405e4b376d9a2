"""Brings home what a queue's jobs have made since the last time: one call a run, by hand or on a schedule.

The service tells which jobs may have new outputs, and which session actions made them; the object store has the
manifest of each. What is here already is known from a checkpoint (``shotput.output_checkpoint``). The course is that of
the official ``deadline queue sync-output``; what is better: a job that fails does not hold up the others and is named,
and a file that is in place is not fetched again.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

from shotput import _native
from shotput.errors import AttachmentsError, ServiceError
from shotput.output_checkpoint import (
    DEFAULT_FOLDER,
    Checkpoint,
    FailedJobs,
    TrackedJob,
    locked,
    moment,
    with_python_times,
)
from shotput.submission import Connection, OnTransfer

_ACTIVE = ("READY", "ASSIGNED", "STARTING", "SCHEDULED", "RUNNING")
_PARALLEL = 3
"""Questions about sessions at once: the service limits how often it is asked."""
_PAGE, _MOST = 100, 10_000


@dataclass(frozen=True)
class Options:
    """What a run may do otherwise."""

    storage_profile_id: str | None
    """This machine's: paths of jobs with another one are mapped. ``None``: all paths are as the jobs have them."""
    checkpoint_dir: Path = DEFAULT_FOLDER
    lookback: timedelta = timedelta()
    """How far back the first run looks."""
    force_bootstrap: bool = False
    """Begin as a first run, whatever the checkpoint says."""
    conflict: str = "OVERWRITE"
    dry_run: bool = False
    """Only say what would be downloaded; nothing is written."""


@dataclass
class Run:
    """What a run did."""

    checkpoint: Path
    since: datetime
    until: datetime
    jobs: dict[str, list[str]] = field(default_factory=dict)
    """Job ids by what they are: added, updated, completed, unchanged, inactive, no_attachments, no_storage_profile."""
    files: list[str] = field(default_factory=list)
    statistics: dict[str, Any] = field(default_factory=dict)
    failed: dict[str, str] = field(default_factory=dict)
    """Job id to the reason."""
    abandoned: list[str] = field(default_factory=list)
    """Jobs that failed too often to be tried again by themselves."""
    unmapped: dict[str, list[str]] = field(default_factory=dict)
    """Job id to paths that have no place on this machine."""


def checkpoint_path(queue_id: str, options: Options) -> Path:
    """The file that is the state of a queue and a storage profile."""
    return _file(queue_id, options, "download_checkpoint.json")


def sync(connection: Connection, options: Options, on_transfer: OnTransfer | None = None) -> Run:
    """Download what is new, and save the checkpoint.

    Raises ``AttachmentsError`` (another program syncs, the checkpoint cannot be used), ``ServiceError``,
    ``DeadlineOperationCanceled``. Jobs that fail are named in the answer.
    """
    if options.storage_profile_id is not None:
        # One that is not there would be noticed by the first job of another machine, whenever that comes.
        _native.get_storage_profile_for_queue(*connection.queue, options.storage_profile_id, target=connection.target)
    path = checkpoint_path(connection.queue_id, options)
    with locked(path.with_name(f"{path.name}.pid")):
        failed = FailedJobs(_file(connection.queue_id, options, "failed_jobs.json"))
        if options.force_bootstrap or not path.exists():
            checkpoint = Checkpoint.begin(options.storage_profile_id, options.lookback)
            failed.forget()
        else:
            checkpoint = Checkpoint.load(path)
            _check_profile(checkpoint, options)
        run = _Sync(connection, options, checkpoint, failed).run(path, on_transfer)
        if not options.dry_run:
            failed.save()
            checkpoint.save(path)
        return run


def _file(queue_id: str, options: Options, name: str) -> Path:
    profile = options.storage_profile_id or "ignore-storage-profiles"
    return options.checkpoint_dir.expanduser().absolute() / f"{queue_id}_{profile}_{name}"


def _check_profile(checkpoint: Checkpoint, options: Options) -> None:
    if checkpoint.storage_profile_id != options.storage_profile_id:
        was = checkpoint.storage_profile_id or "no storage profile (--ignore-storage-profiles)"
        now = options.storage_profile_id or "none (--ignore-storage-profiles)"
        raise AttachmentsError(
            f"The checkpoint was made with {was}, and now it is {now}. Use the same, or begin anew with "
            "--force-bootstrap."
        )


class _Sync:
    """One run."""

    def __init__(self, connection: Connection, options: Options, checkpoint: Checkpoint, failed: FailedJobs) -> None:
        self._connection = connection
        self._options = options
        self._checkpoint = checkpoint
        self._failed = failed
        self._jobs: dict[str, dict[str, Any]] = {}

    def run(self, path: Path, on_transfer: OnTransfer | None) -> Run:
        checkpoint = self._checkpoint
        now = datetime.now(timezone.utc)
        # What a search does not show yet is found by the next run.
        until = max(checkpoint.started, now - checkpoint.window)
        run = Run(path, checkpoint.completed, now)
        retried = self._find_jobs()
        kinds = self._sort(until)
        run.jobs = {kind: sorted(ids) for kind, ids in kinds.items()}
        sessions = self._sessions(kinds["added"] | kinds["updated"] | kinds["completed"], kinds["added"])
        wanted = self._wanted(sessions)
        params = {
            "farm_id": self._connection.farm_id,
            "queue_id": self._connection.queue_id,
            "manifests": wanted,
            "conflict_resolution": self._options.conflict,
            "dry_run": self._options.dry_run,
            "target": self._connection.target,
        }
        done = _native.download_manifests(params, on_progress=on_transfer)
        run.files, run.statistics = done["files"], done["statistics"]
        run.failed = {job_id: group["error"] for job_id, group in done["groups"].items() if group["error"]}
        run.unmapped = {job_id: group["unmapped"] for job_id, group in done["groups"].items() if group["unmapped"]}
        self._keep(kinds, sessions, set(run.failed))
        self._failed.note(set(run.failed), (set(done["groups"]) | retried) - set(run.failed))
        run.abandoned = sorted(job_id for job_id in run.failed if self._failed.is_abandoned(job_id))
        checkpoint.completed = until
        return run

    # --- which jobs -------------------------------------------------------------------------------------------------

    def _find_jobs(self) -> set[str]:
        """All jobs that may have new outputs; gives those that are looked at because they failed before."""
        active = {"stringListFilter": {"name": "TASK_RUN_STATUS", "operator": "ANY_EQUALS", "values": list(_ACTIVE)}}
        since = self._checkpoint.completed.isoformat()
        ended = {"dateTimeFilter": {"name": "ENDED_AT", "operator": "GREATER_THAN_EQUAL_TO", "dateTime": since}}
        for condition in (active, ended):
            for job in self._search(condition):
                if job.get("taskRunStatusCounts", {}).get("SUCCEEDED", 0) > 0:
                    self._jobs[job["jobId"]] = with_python_times(job)
        retried = set(self._failed.to_retry())
        for job_id in retried - set(self._jobs):
            try:
                job = with_python_times(self._get_job(job_id))
            except ServiceError as error:
                if error.code != "ResourceNotFoundException":
                    raise
                continue
            self._jobs[job_id] = {"attachments": None, "storageProfileId": None, **job}
        for job_id in list(self._jobs):
            if self._failed.is_abandoned(job_id):
                del self._jobs[job_id]
        return retried

    def _search(self, condition: dict[str, Any]) -> list[dict[str, Any]]:
        """Every job that a condition holds for, by pages that begin at the last creation time of the one before."""
        found: dict[str, dict[str, Any]] = {}
        filters: list[dict[str, Any]] = [{"groupFilter": {"filters": [condition], "operator": "AND"}}]
        limit = _PAGE
        while True:
            page = _native.search_jobs(
                self._connection.farm_id,
                [self._connection.queue_id],
                limit=limit,
                filter_expressions={"filters": filters, "operator": "AND"},
                oldest_first=True,
                target=self._connection.target,
            )
            jobs = page["jobs"]
            found.update((job["jobId"], job) for job in jobs)
            if len(jobs) >= page["totalResults"] or not jobs:
                return list(found.values())
            last = jobs[-1]["createdAt"]
            if jobs[0]["createdAt"] == last:
                # All of one moment: no later page begins behind them.
                limit *= 10
                if limit > _MOST:
                    raise AttachmentsError(
                        f"More than {_MOST // 10} jobs were created at {last}; not all can be found."
                    )
                continue
            since = {"name": "CREATED_AT", "operator": "GREATER_THAN_EQUAL_TO", "dateTime": last}
            filters, limit = [filters[0], {"dateTimeFilter": since}], _PAGE

    def _get_job(self, job_id: str) -> dict[str, Any]:
        return _native.get_job(*self._connection.queue, job_id, target=self._connection.target)

    def _sort(self, until: datetime) -> dict[str, set[str]]:
        """Compare the jobs with the checkpoint. Completes ``self._jobs`` by what only GetJob tells."""
        tracked = {job_id: item.job for job_id, item in self._checkpoint.jobs.items()}
        names = ("added", "updated", "completed", "unchanged", "inactive", "no_attachments", "no_storage_profile")
        kinds: dict[str, set[str]] = {name: set() for name in names}
        kinds["inactive"] = set(tracked) - set(self._jobs)
        for job_id, job in self._jobs.items():
            before = tracked.get(job_id)
            if before is None or set(before) == {"jobId"}:
                if "attachments" not in job:
                    full = self._get_job(job_id)
                    job.update({name: full.get(name) for name in ("attachments", "storageProfileId")})
                kind = "added"
            else:
                job.update({name: before.get(name) for name in ("attachments", "storageProfileId")})
                same = before.get("taskRunStatusCounts", {}).get("SUCCEEDED") == job["taskRunStatusCounts"]["SUCCEEDED"]
                kind = "unchanged" if same and before.get("endedAt") == job.get("endedAt") else "updated"
            if job["attachments"] is None:
                kind = "no_attachments"
            elif job["storageProfileId"] is None and self._options.storage_profile_id is not None:
                kind = "no_storage_profile"
            elif kind != "unchanged" and _is_done(job, until):
                kind = "completed"
            kinds[kind].add(job_id)
        return kinds

    # --- which outputs ----------------------------------------------------------------------------------------------

    def _sessions(self, job_ids: Iterable[str], added: set[str]) -> dict[str, list[dict[str, Any]]]:
        """By job the sessions that may have new outputs, with the ``actions`` that made them."""
        with ThreadPoolExecutor(_PARALLEL) as pool:
            ids = sorted(job_ids)
            by_job = dict(zip(ids, pool.map(lambda job_id: self._sessions_of(job_id, job_id in added), ids)))
            pairs = [(job_id, session) for job_id, sessions in by_job.items() for session in sessions]
            for (_, session), actions in zip(pairs, pool.map(lambda pair: self._actions(*pair), pairs)):
                session["actions"] = actions
        for job_id, sessions in by_job.items():
            self._add_manifests(job_id, [action for session in sessions for action in session["actions"]])
        return by_job

    def _sessions_of(self, job_id: str, added: bool) -> list[dict[str, Any]]:
        before = self._checkpoint.jobs.get(job_id)
        ended = before.session_ended if before is not None else None
        threshold = ended or self._checkpoint.started
        if ended is not None or not added:
            threshold -= self._checkpoint.window
        answer = _native.list_sessions(*self._connection.queue, job_id, target=self._connection.target)
        return [item for item in answer["sessions"] if "endedAt" not in item or moment(item["endedAt"]) >= threshold]

    def _actions(self, job_id: str, session: dict[str, Any]) -> list[dict[str, Any]]:
        """The task runs of a session that succeeded and are not here yet."""
        before = self._checkpoint.jobs.get(job_id)
        known = before.session_indexes.get(session["sessionId"], -1) if before is not None else -1
        answer = _native.list_session_actions(
            *self._connection.queue, job_id, session_id=session["sessionId"], target=self._connection.target
        )
        return [
            action
            for action in answer["sessionActions"]
            if action.get("status") == "SUCCEEDED"
            and "taskRun" in action.get("definition", {})
            and _index(action["sessionActionId"]) > known
        ]

    def _add_manifests(self, job_id: str, actions: Sequence[dict[str, Any]]) -> None:
        """Find the manifests of actions in the object store, where the service does not name them."""
        unknown = {action["sessionActionId"]: action for action in actions if "manifests" not in action}
        if not unknown:
            return
        roots = self._jobs[job_id]["attachments"]["manifests"]
        hashes = [
            _native.hash_bytes(f"{root.get('fileSystemLocationName', '')}{root['rootPath']}".encode()) for root in roots
        ]
        for action in unknown.values():
            action["manifests"] = [{} for _ in roots]
        params = {
            "farm_id": self._connection.farm_id,
            "queue_id": self._connection.queue_id,
            "job_id": job_id,
            "target": self._connection.target,
        }
        for path in _native.list_output_manifests(params):
            found = re.search(r"(sessionaction-[^/-]+-[^/-]+)/", path)
            action = unknown.get(found[1], {}) if found else {}
            for index, digest in enumerate(hashes):
                if action and digest in path:
                    action["manifests"][index] = {"outputManifestPath": path}

    def _wanted(self, sessions: dict[str, list[dict[str, Any]]]) -> list[dict[str, Any]]:
        """The manifests to download, as the native call takes them."""
        rules = self._rules({self._jobs[job_id]["storageProfileId"] for job_id in sessions})
        wanted = []
        for job_id, found in sessions.items():
            job = self._jobs[job_id]
            for action in (action for session in found for action in session["actions"]):
                for root, manifest in zip(job["attachments"]["manifests"], action["manifests"]):
                    if manifest.get("outputManifestPath"):
                        wanted.append(
                            {
                                "group": job_id,
                                "path": manifest["outputManifestPath"],
                                "root_path": root["rootPath"],
                                "root_path_format": root["rootPathFormat"],
                                "path_mapping_rules": rules.get(job["storageProfileId"]),
                            }
                        )
        return wanted

    def _rules(self, profile_ids: set[str | None]) -> dict[str | None, list[dict[str, str]]]:
        """Rules by the storage profile of jobs; none for this machine's own."""
        own = self._options.storage_profile_id
        if own is None:
            return {}
        others = {profile_id for profile_id in profile_ids if profile_id and profile_id != own}
        return {profile_id: path_mapping_rules(self._connection, profile_id, own) for profile_id in others}

    # --- what is remembered -----------------------------------------------------------------------------------------

    def _keep(self, kinds: dict[str, set[str]], sessions: dict[str, list[dict[str, Any]]], failed: set[str]) -> None:
        """Make the checkpoint's jobs those of this run. A job that failed is new to the next one."""
        before = self._checkpoint.jobs
        jobs: dict[str, TrackedJob] = {}
        for job_id, job in self._jobs.items():
            if job_id in failed:
                continue
            if job_id in kinds["no_attachments"]:
                jobs[job_id] = TrackedJob({"jobId": job_id, "name": job["name"], "attachments": None})
                continue
            if job_id in kinds["no_storage_profile"]:
                members = ("jobId", "name", "attachments", "storageProfileId")
                jobs[job_id] = TrackedJob({name: job[name] for name in members})
                continue
            kept = before.get(job_id, TrackedJob({}))
            tracked = TrackedJob(job, kept.session_ended, dict(kept.session_indexes))
            for session in sessions.get(job_id, ()):
                if "endedAt" in session:
                    ended = moment(session["endedAt"])
                    tracked.session_ended = max(tracked.session_ended or ended, ended)
                if session["actions"]:
                    last = max(_index(action["sessionActionId"]) for action in session["actions"])
                    tracked.session_indexes[session["sessionId"]] = last
            jobs[job_id] = tracked
        for job_id in kinds["inactive"]:
            # Kept small, to know the sessions of before when it is requeued.
            if before[job_id].session_ended is not None:
                jobs[job_id] = TrackedJob({"jobId": job_id}, before[job_id].session_ended)
        self._checkpoint.jobs = jobs


def path_mapping_rules(connection: Connection, source_id: str, destination_id: str) -> list[dict[str, str]]:
    """Rules from one storage profile to another: one for each location that both have, by its name.

    Raises ``ServiceError``.
    """
    if source_id == destination_id:
        return []
    source, destination = (
        _native.get_storage_profile_for_queue(*connection.queue, profile_id, target=connection.target)
        for profile_id in (source_id, destination_id)
    )
    places = {place["name"]: place["path"] for place in destination.get("fileSystemLocations", ())}
    return [
        {
            "source_path_format": "WINDOWS" if source["osFamily"].upper() == "WINDOWS" else "POSIX",
            "source_path": place["path"],
            "destination_path": places[place["name"]],
        }
        for place in source.get("fileSystemLocations", ())
        if place["name"] in places
    ]


def _is_done(job: dict[str, Any], until: datetime) -> bool:
    counts = job["taskRunStatusCounts"]
    return counts["SUCCEEDED"] == sum(counts.values()) and "endedAt" in job and moment(job["endedAt"]) < until


def _index(action_id: str) -> int:
    """The place of an action in its session: ``sessionaction-abc-12`` is 12."""
    return int(action_id.rsplit("-", 1)[-1])
