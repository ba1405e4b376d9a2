"""Section 7 of the contract: each member of ``params``, each callback, each member of the progress."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from fakes.deadline_service import FARM, JOB, QUEUE, STORAGE_PROFILE, DeadlineService
from job_bundles import TEMPLATE, Bundle
from shotput import _native
from shotput.errors import (
    ConfigError,
    CreateJobWaiterCanceled,
    DeadlineOperationCanceled,
    DeadlineOperationError,
    MissingInputsError,
    UserInitiatedCancel,
)


class Caller:
    """Submits and looks at what was sent."""

    def __init__(self, service: DeadlineService, bundle: Bundle, folder: Path) -> None:
        self.service = service
        self.bundle = bundle
        self.folder = folder

    def submit(self, *, on: dict[str, Any] | None = None, **params: Any) -> Any:
        """The body of ``CreateJob``, or what else came back."""
        given = {"job_bundle_dir": str(self.bundle.folder), **params}
        answer = _native.create_job_from_job_bundle(given, **(on or {}))
        sent = self.service.sent("POST", "/jobs")
        return sent[-1].body if answer["job_id"] else answer

    def with_files(self, *paths: str) -> None:
        references = {"assetReferences": {"inputs": {"filenames": list(paths or ["template.yaml"])}}}
        self.bundle.write("asset_references.yaml", references)

    def outside(self) -> str:
        path = self.folder.resolve() / "elsewhere" / "texture.png"
        path.parent.mkdir(exist_ok=True)
        path.write_text("pixels")
        return str(path)


@pytest.fixture
def caller(service: DeadlineService, bundle: Bundle, bucket: Path, tmp_path: Path) -> Caller:
    return Caller(service, bundle, tmp_path)


def job_bundle_dir(caller: Caller) -> None:
    with pytest.raises(DeadlineOperationError) as caught:
        _native.create_job_from_job_bundle({})
    assert str(caught.value) == "job_bundle_dir is missing. Give the folder of the job bundle to submit."
    assert caller.submit(job_bundle_dir=caller.bundle.folder)["template"] == TEMPLATE


def job_parameters(caller: Caller) -> None:
    assert "parameters" not in caller.submit()
    values = [{"name": "Frames", "value": "3"}, {"name": "Samples", "value": 4}, {"name": "Gain", "value": 2}]
    assert caller.submit(job_parameters=values)["parameters"] == {
        "Frames": {"string": "3"},
        "Samples": {"int": "4"},
        "Gain": {"float": "2"},
    }
    with pytest.raises(DeadlineOperationError):
        caller.submit(job_parameters={"Frames": "3"})


def name(caller: Caller) -> None:
    assert "name: A Job\n" in caller.submit()["template"]
    sent = caller.submit(name="Shot: 10")
    caller.bundle.write("template.yaml", sent["template"])
    assert _native.read_bundle(caller.bundle.folder)["template"]["name"] == "Shot: 10"


def priority(caller: Caller) -> None:
    assert caller.submit()["priority"] == 50
    assert caller.submit(priority=0)["priority"] == 0


def _limit(param: str, member: str, setting: str | None) -> Callable[[Caller], None]:
    def check(caller: Caller) -> None:
        if setting is None:
            assert member not in caller.submit()
        else:
            assert caller.submit()[member] == int(_native.get_setting(setting))
            _native.set_setting(setting, "9")
            assert caller.submit()[member] == 9
        caller.bundle.values(**{f"deadline__{member}": 8})
        assert caller.submit()[member] == 8
        assert caller.submit(**{param: 7})[member] == 7

    return check


def target_task_run_status(caller: Caller) -> None:
    assert "targetTaskRunStatus" not in caller.submit()
    for status in ("READY", "SUSPENDED"):
        assert caller.submit(target_task_run_status=status)["targetTaskRunStatus"] == status


def job_attachments_file_system(caller: Caller) -> None:
    caller.with_files()

    def sent(**params: Any) -> str:
        return str(caller.submit(**params)["attachments"]["fileSystem"])

    assert sent() == "COPIED"
    assert sent(job_attachments_file_system="VIRTUAL") == "VIRTUAL"
    assert sent(job_attachments_file_system="ANYTHING") == "COPIED"
    _native.set_setting("defaults.job_attachments_file_system", "VIRTUAL")
    assert sent() == "VIRTUAL"
    assert sent(job_attachments_file_system="COPIED") == "COPIED"


def require_paths_exist(caller: Caller) -> None:
    caller.with_files("gone.png")
    caller.submit()
    with pytest.raises(MissingInputsError):
        caller.submit(require_paths_exist=True)


def submitter_name(caller: Caller) -> None:
    caller.submit()
    caller.submit(submitter_name="houdini")
    caller.submit(submitter_name="houdini", submitter_version="1.2")
    caller.submit(submitter_name="", submitter_version="")
    agents = [request.headers["user-agent"] for request in caller.service.sent("POST", "/jobs")]
    assert [agent.rsplit(" ", 1)[1] for agent in agents] == [
        "submitter/Custom",
        "submitter/houdini",
        "submitter/houdini#1.2",
        "submitter/Custom",
    ]


def known_asset_paths(caller: Caller) -> None:
    path = caller.outside()
    caller.with_files(path)
    with pytest.raises(DeadlineOperationCanceled):
        caller.submit()
    folder = str(Path(path).parent)
    caller.submit(known_asset_paths=[folder])
    # By whole components.
    with pytest.raises(DeadlineOperationCanceled):
        caller.submit(known_asset_paths=[folder[:-1]])
    # A text would be a list of letters, with "/" for every file of the machine among them.
    with pytest.raises(TypeError) as caught:
        caller.submit(known_asset_paths="/nowhere")
    assert str(caught.value) == "known_asset_paths must be a list of paths, and is '/nowhere'. Write ['/nowhere']."
    caller.submit(known_asset_paths={Path(folder)})
    _native.set_setting("settings.known_asset_paths", os.pathsep.join(["/nowhere", folder]))
    caller.submit()


def auto_accept(caller: Caller) -> None:
    caller.with_files(caller.outside())
    asked: list[Any] = []
    on = {"on_confirm": lambda *question: asked.append(question) or True}
    caller.submit(on=on)
    assert len(asked) == 1
    with pytest.raises(DeadlineOperationCanceled) as caught:
        caller.submit(on=on, auto_accept=True)
    assert type(caught.value) is DeadlineOperationCanceled
    _native.set_setting("settings.auto_accept", "true")
    with pytest.raises(DeadlineOperationCanceled):
        caller.submit(on=on)
    assert len(asked) == 1
    caller.submit(on=on, auto_accept=False)
    caller.submit(on=on, from_gui=True)
    assert len(asked) == 3


def force_s3_check(caller: Caller) -> None:
    _native.set_setting("settings.force_s3_check", "perhaps")
    with pytest.raises(ConfigError):
        caller.submit()
    caller.submit(force_s3_check=True)
    _native.set_setting("settings.force_s3_check", "true")
    caller.submit()


def debug_snapshot_dir(caller: Caller) -> None:
    assert caller.submit(debug_snapshot_dir=str(caller.folder / "snapshot")) == {"job_id": None}
    assert (caller.folder / "snapshot" / "create_job_args.json").is_file()
    assert caller.service.sent("POST", "/jobs") == []
    # An empty path is none, and not the current folder.
    assert caller.submit(debug_snapshot_dir="")["priority"] == 50


def config_path(caller: Caller) -> None:
    other = str(caller.folder / "other")
    _native.set_setting("defaults.farm_id", FARM, other)
    _native.set_setting("defaults.queue_id", QUEUE, other)
    _native.set_setting("settings.storage_profile_id", STORAGE_PROFILE, other)
    assert "storageProfileId" not in caller.submit()
    assert caller.submit(config_path=other)["storageProfileId"] == STORAGE_PROFILE
    # The command line alone notes the job.
    assert _native.get_setting("defaults.job_id", other) == ""


def unknown_members(caller: Caller) -> None:
    assert caller.submit(unheard_of=object(), priority=None)["priority"] == 50


PARAMS = {
    "job_bundle_dir": job_bundle_dir,
    "job_parameters": job_parameters,
    "name": name,
    "priority": priority,
    "max_failed_tasks_count": _limit(
        "max_failed_tasks_count", "maxFailedTasksCount", "settings.max_failed_tasks_count"
    ),
    "max_retries_per_task": _limit("max_retries_per_task", "maxRetriesPerTask", "settings.max_retries_per_task"),
    "max_worker_count": _limit("max_worker_count", "maxWorkerCount", None),
    "target_task_run_status": target_task_run_status,
    "job_attachments_file_system": job_attachments_file_system,
    "require_paths_exist": require_paths_exist,
    "submitter_name": submitter_name,
    "known_asset_paths": known_asset_paths,
    "auto_accept": auto_accept,
    "force_s3_check": force_s3_check,
    "debug_snapshot_dir": debug_snapshot_dir,
    "config_path": config_path,
    "all others ignored, None is absent": unknown_members,
}


@pytest.mark.parametrize("row", PARAMS)
def test_params(row: str, caller: Caller) -> None:
    PARAMS[row](caller)


CALLBACKS = ["on_print", "on_hashing_progress", "on_upload_progress", "on_confirm", "on_continue"]
CANCELS: dict[str, type[DeadlineOperationError]] = {
    "on_hashing_progress": DeadlineOperationCanceled,
    "on_upload_progress": DeadlineOperationCanceled,
    "on_confirm": UserInitiatedCancel,
    "on_continue": CreateJobWaiterCanceled,
}
ARGUMENTS: dict[str, list[type]] = {
    "on_print": [str],
    "on_hashing_progress": [dict],
    "on_upload_progress": [dict],
    "on_confirm": [str, bool],
    "on_continue": [],
}


@pytest.mark.parametrize("callback", CALLBACKS)
@pytest.mark.parametrize("answer", [True, 1, "yes"])
def test_callbacks(callback: str, answer: object, caller: Caller) -> None:
    caller.with_files(caller.outside())
    calls: list[tuple[Any, ...]] = []
    on: dict[str, Any] = {"on_confirm": lambda *_: True}
    caller.submit(on={**on, callback: lambda *arguments: calls.append(arguments) or answer})
    assert calls
    for arguments in calls:
        assert [type(argument) for argument in arguments] == ARGUMENTS[callback]
    if callback == "on_confirm":
        assert [default for _, default in calls] == [False]


@pytest.mark.parametrize("callback", CALLBACKS)
@pytest.mark.parametrize("answer", [False, None, 0])
def test_answers_that_are_no(callback: str, answer: object, caller: Caller) -> None:
    caller.with_files(caller.outside())
    on: dict[str, Any] = {"on_confirm": lambda *_: True, callback: lambda *_: answer}
    if callback not in CANCELS:
        caller.submit(on=on)
        return
    with pytest.raises(DeadlineOperationError) as caught:
        caller.submit(on=on)
    assert type(caught.value) is CANCELS[callback]


def test_nothing_is_called_that_is_absent(caller: Caller) -> None:
    caller.with_files()
    assert caller.submit(on=dict.fromkeys(CALLBACKS))["priority"] == 50


class QuarrelError(Exception):
    pass


@pytest.mark.parametrize("callback", CALLBACKS)
def test_what_callbacks_raise_comes_out(callback: str, caller: Caller) -> None:
    caller.with_files(caller.outside())
    raised = QuarrelError()

    def quarrel(*_: object) -> None:
        raise raised

    on: dict[str, Any] = {"on_confirm": lambda *_: True, callback: quarrel}
    with pytest.raises(QuarrelError) as caught:
        caller.submit(on=on)
    assert caught.value is raised


PROGRESS: dict[str, Callable[[Any], bool]] = {
    "progress": lambda value: type(value) is float and 0 <= value <= 100,
    "transferRate": lambda value: type(value) is float and value > 0,
    "progressMessage": lambda value: type(value) is str,
    "processedFiles": lambda value: type(value) is int,
    "processedBytes": lambda value: type(value) is int,
    "totalBytes": lambda value: type(value) is int,
    "status": lambda value: type(value) is str,
}


@pytest.mark.parametrize(
    ("callback", "status", "verb"),
    [
        ("on_hashing_progress", "PREPARING_IN_PROGRESS", "Processed"),
        ("on_upload_progress", "UPLOAD_IN_PROGRESS", "Uploaded"),
    ],
)
def test_progress(callback: str, status: str, verb: str, caller: Caller) -> None:
    for number in range(20):
        caller.bundle.write(f"textures/{number}.png", f"{number:05}".encode() * 2000)
    caller.bundle.write("asset_references.yaml", {"assetReferences": {"inputs": {"directories": ["textures"]}}})
    reports: list[dict[str, Any]] = []
    caller.submit(on={callback: lambda info: reports.append(info) or True})
    for report in reports:
        for member, check in PROGRESS.items():
            assert check(report[member]), (member, report[member])
        assert report["status"] == status
        assert report["progressMessage"].startswith(f"{verb} ")
    last = reports[-1]
    assert (last["progress"], last["processedFiles"], last["processedBytes"], last["totalBytes"]) == (
        100.0,
        20,
        200_000,
        200_000,
    )
    assert [report["processedFiles"] for report in reports] == sorted(report["processedFiles"] for report in reports)


@pytest.mark.parametrize("callback", ["on_hashing_progress", "on_upload_progress"])
def test_with_nothing_to_do_there_is_one_report_of_all(callback: str, caller: Caller) -> None:
    caller.with_files()
    caller.submit()
    reports: list[dict[str, Any]] = []
    caller.submit(on={callback: lambda info: reports.append(info) or True})
    assert [(report["progress"], report["processedFiles"]) for report in reports] == [(100.0, 0)]


@pytest.mark.parametrize("has_bucket", [True, False])
@pytest.mark.parametrize("has_outputs", [True, False])
def test_without_files_there_is_one_report_a_phase(
    has_outputs: bool, has_bucket: bool, caller: Caller, service: DeadlineService
) -> None:
    if has_outputs:
        caller.bundle.write("asset_references.yaml", {"assetReferences": {"outputs": {"directories": ["renders"]}}})
    if not has_bucket:
        del service.queue["jobAttachmentSettings"]
    reports: list[dict[str, Any]] = []
    # What they answer (None) is not asked for: there is nothing to cancel.
    assert caller.submit(on={"on_hashing_progress": reports.append, "on_upload_progress": reports.append})
    assert [(report["status"], report["progress"], report["totalFiles"]) for report in reports] == [
        ("PREPARING_IN_PROGRESS", 100.0, 0),
        ("UPLOAD_IN_PROGRESS", 100.0, 0),
    ]
    with pytest.raises(QuarrelError):
        caller.submit(on={"on_upload_progress": quarrel_with})


def quarrel_with(report: dict[str, Any]) -> None:
    raise QuarrelError(report)


@pytest.mark.parametrize(
    ("size", "text"),
    [
        (0, "0 B"),
        (999, "999 B"),
        (1000, "1 KB"),
        (1500, "1.5 KB"),
        (12_345, "12.35 KB"),
        (1_000_000, "1 MB"),
        (2_340_000_000, "2.34 GB"),
        (5_000_000_000_000, "5 TB"),
    ],
)
def test_sizes(size: int, text: str, caller: Caller) -> None:
    big = caller.bundle.write("big", b"")
    try:
        os.truncate(big, size)
    except OSError as err:
        pytest.skip(f"this file system holds no file of {size} bytes: {err}")
    caller.with_files("big")

    class EnoughError(Exception):
        pass

    said: list[str] = []

    def before_it_is_read(line: str) -> None:
        said.append(line)
        if line.startswith("The job reads"):
            raise EnoughError

    with pytest.raises(EnoughError):
        caller.submit(on={"on_print": before_it_is_read})
    assert said[-1] == f"The job reads 1 input file, {text} in total."


def test_what_is_printed(caller: Caller, service: DeadlineService) -> None:
    printed: list[str] = []
    caller.submit(on={"on_print": printed.append})
    assert printed == [
        "Submitting to the queue Test Queue.",
        "Waiting for the job to be created...",
        f"Submitted the job bundle {caller.bundle.folder}.",
        "Job creation completed successfully",
        JOB,
    ]


@pytest.mark.parametrize("member", ["lifecycleStatus", "state"])
@pytest.mark.parametrize("status", ["CREATE_COMPLETE", "UPDATE_IN_PROGRESS", "ARCHIVED"])
def test_what_ends_the_wait(status: str, member: str, caller: Caller, service: DeadlineService) -> None:
    del service.job["lifecycleStatus"]
    waiting = {**service.job, member: "CREATE_IN_PROGRESS"}
    service.job[member] = status
    service.answer("GET", f"/jobs/{JOB}", body=waiting, times=1)
    caller.submit()
    assert len(service.sent("GET", f"/jobs/{JOB}")) == 2
    service.job[member] = "CREATE_FAILED"
    with pytest.raises(DeadlineOperationError, match="could not create the job"):
        caller.submit()
