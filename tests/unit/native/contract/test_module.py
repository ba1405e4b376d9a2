"""Sections 1 and 2 of the contract: the names, their arguments in order, the exceptions, which file is read how."""

from __future__ import annotations

import inspect
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from fakes.deadline_service import FARM, QUEUE, DeadlineService
from job_bundles import Bundle
from shotput import _native, errors

# Name and arguments by position; arguments after them are ours, by keyword only.
FUNCTIONS = {
    "get_setting": "name, config_path=None",
    "set_setting": "name, value, config_path=None",
    "read_config": "config_path=None",
    "get_credentials_source": "config_path=None",
    "check_auth_status": "config_path=None",
    "check_auth_status_with_progress": "config_path=None, on_progress=None",
    "check_api_available": "config_path=None",
    "login": "config_path=None, on_pending_authorization=None, on_cancellation_check=None",
    "logout": "config_path=None",
    "list_farms": "config_path=None",
    "get_farm": "farm_id, config_path=None",
    "list_queues": "farm_id, config_path=None",
    "get_queue": "farm_id, queue_id, config_path=None",
    "list_storage_profiles_for_queue": "farm_id, queue_id, config_path=None",
    "get_queue_parameter_definitions": "farm_id, queue_id, config_path=None",
    "create_job_from_job_bundle": (
        "params, on_print=None, on_hashing_progress=None, on_upload_progress=None, on_confirm=None, on_continue=None"
    ),
}


def by_position(function: Any) -> str:
    parameters = inspect.signature(function).parameters.values()
    return ", ".join(str(p) for p in parameters if p.kind is p.POSITIONAL_OR_KEYWORD)


def test_there_are_sixteen_functions() -> None:
    assert len(FUNCTIONS) == 16


@pytest.mark.parametrize(("name", "arguments"), FUNCTIONS.items())
def test_functions(name: str, arguments: str) -> None:
    function = getattr(_native, name)
    assert by_position(function) == arguments
    own = [p for p in inspect.signature(function).parameters.values() if p.kind is p.KEYWORD_ONLY]
    assert all(parameter.default is None for parameter in own)


def test_the_class() -> None:
    assert by_position(_native.TelemetryClient) == "config_path=None"


def test_the_exception_is_the_base_of_all() -> None:
    assert _native.DeadlineOperationError is errors.DeadlineOperationError
    assert _native.DeadlineOperationError.__mro__[1] is Exception
    assert str(_native.DeadlineOperationError("one text")) == "one text"


@pytest.mark.parametrize(
    ("name", "base"),
    [
        ("DeadlineOperationCanceled", "DeadlineOperationError"),
        ("DeadlineOperationTimedOut", "DeadlineOperationError"),
        ("CreateJobWaiterCanceled", "DeadlineOperationCanceled"),
        ("UserInitiatedCancel", "DeadlineOperationCanceled"),
        ("LoginCanceled", "DeadlineOperationCanceled"),
        ("UnsupportedProfileTypeForLoginLogout", "DeadlineOperationError"),
    ],
)
def test_exceptions(name: str, base: str) -> None:
    kind = getattr(errors, name)
    assert kind.__mro__[1] is getattr(errors, base)
    assert pickle.loads(pickle.dumps(kind("text"))).args == ("text",)


def test_the_form_of_a_refusal(service: DeadlineService, configured: Path) -> None:
    service.fail("GET", f"/farms/{FARM}", "AccessDeniedException", "No rights", status=403)
    with pytest.raises(_native.DeadlineOperationError) as caught:
        _native.get_farm(FARM)
    assert str(caught.value) == "AccessDeniedException: No rights"


@pytest.mark.parametrize(
    "call",
    [
        lambda: _native.get_farm(None),  # type: ignore[arg-type]
        lambda: _native.get_setting(5),  # type: ignore[arg-type]
        lambda: _native.create_job_from_job_bundle(None),  # type: ignore[arg-type]
        lambda: _native.create_job_from_job_bundle("x"),  # type: ignore[arg-type]
    ],
)
def test_wrong_types(call: Callable[[], object]) -> None:
    with pytest.raises(TypeError):
        call()


STRICT: dict[str, Callable[[str], object]] = {
    "get_setting": lambda path: _native.get_setting("settings.locale", path),
    "set_setting": lambda path: _native.set_setting("settings.locale", "de", path),
    "read_config": lambda path: _native.read_config(path),
    "list_farms": lambda path: _native.list_farms(path),
    "get_farm": lambda path: _native.get_farm(FARM, path),
    "list_queues": lambda path: _native.list_queues(FARM, path),
    "get_queue": lambda path: _native.get_queue(FARM, QUEUE, path),
    "list_storage_profiles_for_queue": lambda path: _native.list_storage_profiles_for_queue(FARM, QUEUE, path),
    "get_queue_parameter_definitions": lambda path: _native.get_queue_parameter_definitions(FARM, QUEUE, path),
}


@pytest.mark.parametrize("name", STRICT)
def test_functions_that_want_a_file_they_can_read(name: str, service: DeadlineService, configured: Path) -> None:
    broken = configured.with_name("broken")
    broken.write_text("no section = here\n")
    with pytest.raises(errors.ConfigError) as caught:
        STRICT[name](str(broken))
    assert str(caught.value) == (
        f'Cannot read the configuration {broken}: line 1 stands before any [section]: "no section = here". Correct the '
        "line, or remove it."
    )
    STRICT[name](str(configured.with_name("missing")))


LENIENT: dict[str, tuple[Callable[[str], object], object]] = {
    "get_credentials_source": (_native.get_credentials_source, "HOST_PROVIDED"),
    "check_auth_status": (lambda path: _native.check_auth_status(path)["auth_status"], "AUTHENTICATED"),
    "check_auth_status_with_progress": (
        lambda path: _native.check_auth_status_with_progress(path)["auth_status"],
        "AUTHENTICATED",
    ),
    "check_api_available": (_native.check_api_available, True),
    "TelemetryClient": (lambda path: _native.TelemetryClient(path).telemetry_opted_out, False),
}


@pytest.mark.parametrize("name", LENIENT)
@pytest.mark.parametrize("text", ["no section = here\n", None])
def test_functions_for_which_a_broken_file_is_empty(
    text: str | None, name: str, service: DeadlineService, configured: Path
) -> None:
    path = configured.with_name("other")
    if text is not None:
        path.write_text(text)
    call, expected = LENIENT[name]
    assert call(str(path)) == expected


@pytest.mark.parametrize("name", ["login", "logout"])
def test_logins_with_a_broken_file(name: str, configured: Path) -> None:
    broken = configured.with_name("broken")
    broken.write_text("no section = here\n")
    with pytest.raises(errors.UnsupportedProfileTypeForLoginLogout):
        getattr(_native, name)(str(broken))


def test_a_submission_with_a_broken_file(configured: Path, tmp_path: Path) -> None:
    broken = configured.with_name("broken")
    broken.write_text("no section = here\n")
    with pytest.raises(errors.DeadlineOperationError) as caught:
        _native.create_job_from_job_bundle({"job_bundle_dir": str(tmp_path), "config_path": str(broken)})
    assert str(caught.value) == f"No farm is chosen. Set defaults.farm_id in {broken}, or give farm_id."


def test_reading_never_writes(service: DeadlineService, configured: Path, tmp_path: Path) -> None:
    missing = tmp_path / "nowhere" / "config"
    _native.get_setting("telemetry.identifier", str(missing))
    _native.read_config(str(missing))
    _native.check_auth_status(str(missing))
    _native.list_farms(str(missing))
    assert not missing.parent.exists()


def test_what_the_rewrite_itself_is_tested_for(service: DeadlineService, configured: Path, bundle: Bundle) -> None:
    """Section 10: the tests that are known of the original."""
    assert _native.get_credentials_source() == "HOST_PROVIDED"
    assert _native.check_auth_status()["api_available"] is True
    assert _native.check_api_available() is True
    for call in (_native.login, _native.logout):
        with pytest.raises(_native.DeadlineOperationError):
            call()
    assert _native.get_farm(_native.list_farms()["farms"][0]["farmId"])["displayName"] == "Test Farm"
    assert _native.get_queue(FARM, _native.list_queues(FARM)["queues"][0]["queueId"])["displayName"] == "Test Queue"
    assert len(_native.list_storage_profiles_for_queue(FARM, QUEUE)["storageProfiles"]) == 1
    assert _native.get_queue_parameter_definitions(FARM, QUEUE) == []
    with pytest.raises(_native.DeadlineOperationError, match="job_bundle_dir"):
        _native.create_job_from_job_bundle({"job_parameters": []})
    bundle.write("template.yaml", "name: A Job\nsteps: []\n")
    with pytest.raises(_native.DeadlineOperationError, match="specificationVersion"):
        _native.create_job_from_job_bundle({"job_bundle_dir": str(bundle.folder)})
