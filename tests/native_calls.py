"""One call of everything in the native module that may wait, each callable at any time and from any thread.

What is not among :func:`calls` is in :data:`WAIT_FOR_NOTHING`; a test holds the two to the module.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import struct
import sys
import time
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fakes.deadline_service import FARM, FLEET, JOB, QUEUE, SESSION, STEP, STORAGE_PROFILE
from shotput import _native

Call = Callable[[], object]

# They look at what they hold, or compute with what they are given.
WAIT_FOR_NOTHING = {
    "PauseSwitch",
    "PauseSwitch.pause",
    "PauseSwitch.resume",
    "ParameterSpace.get",
    "ParameterSpace.slice",
    "ParameterSpace.chunk",
    "ParameterSpace.to_dict",
    "Job.to_dict",
    "Step.to_dict",
    "StepScript.to_dict",
    "Environment.to_dict",
    "apply_job_parameters",
    "call_async",
    "coerce_parameter",
    "compare_parameters",
    "get_parameter_control",
}
TASK = "task-0123456789abcdef0123456789abcdef-0"
BUCKET, PREFIX = "studio", "Root"
KEYS = ("ASIAQUEUEROLE", "queue-secret", "queue-token")
STEPS = [
    {"name": f"Step {number}", "script": {"actions": {"onRun": {"command": sys.executable, "args": ["-c", "pass"]}}}}
    for number in range(50)
]
TEMPLATE: dict[str, Any] = {"specificationVersion": "jobtemplate-2023-09", "name": "job", "steps": STEPS}
ENVIRONMENT: dict[str, Any] = {
    "specificationVersion": "environment-2023-09",
    "environment": {"name": "E", "variables": {"A": "1"}},
}


@dataclass
class Surroundings:
    """Where the calls find what they need. Plain values, so that other processes can have them."""

    folder: str
    """For files: theirs alone."""
    target: dict[str, Any]
    """The service, with an object store that knows ``KEYS`` for ``BUCKET``."""
    monitor: str
    """A configuration that leads to a Deadline Cloud monitor that ends well."""
    bundle: str

    def make(self) -> None:
        """Writes the files."""
        folder = Path(self.folder)
        files = folder / "files"
        files.mkdir(parents=True)
        for number in range(20):
            (files / f"{number}.bin").write_bytes(os.urandom(1000))
        rows = zlib.compress((b"\0" + bytes(3 * 256)) * 256)

        def chunk(name: bytes, data: bytes) -> bytes:
            return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

        header = chunk(b"IHDR", struct.pack(">IIBBBBB", 256, 256, 8, 2, 0, 0, 0))
        (folder / "image.png").write_bytes(b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", rows) + chunk(b"IEND", b""))


def public_names() -> set[str]:
    """Functions, classes that can be made and methods of the module."""
    names = set()
    for name, item in vars(_native).items():
        if name.startswith("_") or name == "DeadlineOperationError":
            continue
        names.add(name)
        if isinstance(item, type):
            members = [f"{name}.{member}" for member, value in vars(item).items() if callable(value)]
            names |= {member for member in members if not member.split(".")[1].startswith("__")}
    # They come from functions.
    return names - {"Environment", "EnvironmentTemplate", "Job", "JobTemplate", "ParameterSpace", "Step", "StepScript"}


def at_once(call: Call) -> object:
    return call()


def calls(where: Surroundings, watched: Callable[[Call], object] = at_once) -> dict[str, Call]:
    """The calls by name. ``watched`` gets the call that a name means, without what is made before it and after it."""
    numbers = itertools.count()
    folder = Path(where.folder)
    image, target = folder / "image.png", where.target
    in_queue, in_job = (FARM, QUEUE), (FARM, QUEUE, JOB)
    text = _yaml()
    place = {"farm_id": FARM, "queue_id": QUEUE, "job_id": JOB, "bucket": BUCKET, "root_prefix": PREFIX}
    of_session = {**place, "target": target, "attachments": {"manifests": [], "fileSystem": "COPIED"}}

    def new(kind: str) -> Path:
        return folder / f"{kind}-{os.getpid()}-{next(numbers)}"

    def snapshot() -> bytes:
        manifest = _native.snapshot(folder / "files")["manifest"]
        assert isinstance(manifest, bytes)
        return manifest

    def upload() -> object:
        manifest = snapshot()
        bucket: dict[str, Any] = {"bucket": BUCKET, "root_prefix": PREFIX, "target": target}
        return watched(lambda: _native.upload_snapshot(folder / "files", manifest, **bucket))

    def with_snapshot(work: Callable[[bytes], object]) -> Call:
        def call() -> object:
            manifest = snapshot()
            return watched(lambda: work(manifest))

        return call

    def fetch() -> object:
        stored: dict[str, Any] = {"bucket": BUCKET, "root_prefix": PREFIX, "target": target}
        manifest = snapshot()
        _native.upload_snapshot(folder / "files", manifest, **stored)
        one = {"manifest": manifest, "root_path": str(new("fetched"))}
        return watched(lambda: _native.download_manifests({"manifests": [one], **stored}))

    def sync(function: Callable[[dict[str, Any]], object], **more: Any) -> object:
        params = {**of_session, "session_dir": str(new("session")), **more}
        return watched(lambda: function(params))

    @contextlib.contextmanager
    def session() -> Any:
        made = _native.Session(new("session").name, session_root=folder, log=lambda _: None)
        try:
            yield made
        finally:
            made.close()

    def in_session(work: Callable[[_native.Session], object]) -> Call:
        def call() -> object:
            with session() as made:
                return watched(lambda: work(made))

        return call

    def environment() -> _native.Environment:
        return _native.environment_from_template(ENVIRONMENT["environment"])

    def new_session() -> object:
        made = watched(lambda: _native.Session(new("session").name, session_root=folder))
        assert isinstance(made, _native.Session)
        return made.close()

    def exit_environment() -> object:
        with session() as made:
            identifier = made.enter_environment(environment())["environment_id"]
            return watched(lambda: made.exit_environment(identifier))

    def cancel() -> object:
        with session() as made:
            return made.cancel()

    def script() -> _native.StepScript:
        return _native.step_from_template(STEPS[0]).script

    def store(work: Callable[[_native.ObjectStore], object]) -> Call:
        def call() -> object:
            with _native.ObjectStore(new("store")) as made:
                made.add_credentials("a", "b", bucket="bucket")
                return work(made)

        return call

    def start() -> object:
        made = _native.ObjectStore(new("store"))
        watched(made.start)
        return made.close()

    def telemetry(work: Callable[[_native.TelemetryClient], object]) -> Call:
        def call() -> object:
            client = _native.TelemetryClient()
            work(client)
            client.close()
            return True

        return call

    return {
        "get_setting": lambda: _native.get_setting("settings.locale") == "",
        "set_setting": lambda: _native.set_setting("settings.locale", ""),
        "read_config": _native.read_config,
        "get_credentials_source": _native.get_credentials_source,
        "check_auth_status": _native.check_auth_status,
        "check_auth_status_with_progress": lambda: _native.check_auth_status_with_progress(None, lambda _: None),
        "check_api_available": _native.check_api_available,
        "login": lambda: _native.login(where.monitor, lambda **_: None, lambda: False),
        "logout": lambda: _native.logout(where.monitor),
        "list_farms": _native.list_farms,
        "get_farm": lambda: _native.get_farm(FARM),
        "list_queues": lambda: _native.list_queues(FARM),
        "get_queue": lambda: _native.get_queue(*in_queue),
        "list_storage_profiles_for_queue": lambda: _native.list_storage_profiles_for_queue(*in_queue),
        "get_queue_parameter_definitions": lambda: _native.get_queue_parameter_definitions(*in_queue),
        "get_storage_profile_for_queue": lambda: _native.get_storage_profile_for_queue(*in_queue, STORAGE_PROFILE),
        "list_queue_environments": lambda: _native.list_queue_environments(*in_queue),
        "list_queue_fleet_associations": lambda: _native.list_queue_fleet_associations(*in_queue),
        "get_fleet": lambda: _native.get_fleet(FARM, FLEET),
        "list_settings": _native.list_settings,
        "resolve_target": _native.resolve_target,
        "reach_service": lambda: _native.reach_service("deadline"),
        "get_caller_identity": _native.get_caller_identity,
        "probe_bucket": lambda: _native.probe_bucket(*in_queue, BUCKET, PREFIX, target=target),
        "preview_submission": lambda: _native.preview_submission(
            {"job_bundle_dir": where.bundle, "farm_id": FARM, "queue_id": QUEUE}
        ),
        "get_job": lambda: _native.get_job(*in_job),
        "search_jobs": lambda: _native.search_jobs(FARM, [QUEUE]),
        "update_job": lambda: _native.update_job(*in_job, priority=1),
        "list_steps": lambda: _native.list_steps(*in_job),
        "list_step_dependencies": lambda: _native.list_step_dependencies(*in_job, STEP),
        "list_tasks": lambda: _native.list_tasks(*in_job, STEP),
        "update_task": lambda: _native.update_task(*in_job, STEP, TASK, "READY"),
        "list_sessions": lambda: _native.list_sessions(*in_job),
        "list_session_actions": lambda: _native.list_session_actions(*in_job, session_id=SESSION),
        "get_session_log": lambda: _native.get_session_log(*in_queue, SESSION),
        "read_bundle": lambda: _native.read_bundle(where.bundle),
        "create_job_from_job_bundle": lambda: _native.create_job_from_job_bundle(
            {"job_bundle_dir": where.bundle}, lambda _: None
        ),
        "TelemetryClient": telemetry(lambda client: None),
        "TelemetryClient.record_event": telemetry(lambda client: client.record_event("a", {})),
        "TelemetryClient.record_error": telemetry(lambda client: client.record_error({}, "E")),
        "TelemetryClient.update_common_details": telemetry(lambda client: client.update_common_details({})),
        "TelemetryClient.close": telemetry(lambda client: client.close()),
        "group_paths": lambda: _native.group_paths([folder / "files" / "0.bin"]),
        "hash_bytes": lambda: _native.hash_bytes(bytes(10_000_000)),
        "snapshot": lambda: _native.snapshot(folder / "files", cache_dir=folder / "cache"),
        "upload_snapshot": upload,
        "upload_manifest": with_snapshot(
            lambda manifest: _native.upload_manifest(
                manifest, new("manifest").name, bucket=BUCKET, root_prefix=PREFIX, target=target
            )
        ),
        "copy_snapshot": with_snapshot(
            lambda manifest: _native.copy_snapshot(folder / "files", manifest, new("copies"))
        ),
        "merge_manifests": with_snapshot(lambda manifest: _native.merge_manifests([manifest] * 50)),
        "list_output_manifests": lambda: _native.list_output_manifests({**place, "target": target}),
        "read_manifests": lambda: _native.read_manifests({**place, "target": target}),
        "download_manifests": fetch,
        "download_job_outputs": lambda: _native.download_job_outputs({**place, "target": target}),
        "sync_inputs": lambda: sync(_native.sync_inputs),
        "sync_outputs": lambda: sync(
            _native.sync_outputs, step_id=STEP, task_id=TASK, session_action_id="a", started_at=time.time()
        ),
        "check_template": lambda: _native.check_template(text),
        "decode_job_template": lambda: _native.decode_job_template(text),
        "decode_environment_template": lambda: _native.decode_environment_template(ENVIRONMENT),
        "parse_template": lambda: _native.parse_template(text),
        "create_job": lambda: _native.create_job(TEMPLATE),
        "step_from_template": lambda: _native.step_from_template(STEPS[0]),
        "environment_from_template": environment,
        "Session": new_session,
        "Session.enter_environment": in_session(lambda made: made.enter_environment(environment())),
        "Session.exit_environment": exit_environment,
        "Session.run_task": in_session(lambda made: made.run_task(script())),
        "Session.run_tasks": in_session(lambda made: made.run_tasks(script(), [{}, {}])),
        "Session.cancel": cancel,
        "Session.flush": in_session(lambda made: made.flush()),
        "Session.close": in_session(lambda made: made.close()),
        "find_orphans": lambda: _native.find_orphans("nobody's"),
        "kill_orphans": lambda: _native.kill_orphans("nobody's"),
        "ObjectStore": store(lambda made: None),
        "ObjectStore.start": start,
        "ObjectStore.add_credentials": store(lambda made: made.add_credentials("c", "d", bucket="other")),
        "ObjectStore.remove_credentials": store(lambda made: made.remove_credentials("a")),
        "ObjectStore.close": store(lambda made: watched(made.close)),
        "image_size": lambda: _native.image_size(image),
        "thumbnail": lambda: _native.thumbnail(image, new("thumbnail"), 64),
        "contact_sheet": lambda: _native.contact_sheet([image] * 4, new("sheet"), columns=2, thumbnail_size=64),
        "mean_difference": lambda: _native.mean_difference(image, image),
    }


def _yaml() -> str:
    steps = "".join(
        f"- {{name: Step {number}, script: {{actions: {{onRun: {{command: 'true'}}}}}}}}\n" for number in range(50)
    )
    return f"specificationVersion: jobtemplate-2023-09\nname: job\nsteps:\n{steps}"
