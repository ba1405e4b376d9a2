"""Functions of ``shotput`` as coroutines: all that go over the network, and those that read bundles or move files.

They are for pipeline services that live in asyncio.

Names, arguments, results and exceptions are those of the functions in ``shotput``; what can be awaited runs on a thread
of the native module, so a loop goes on meanwhile. Cancelling the task cancels the work: requests are dropped, uploads
and hashing stop, no job is created any more. The work ends a moment after the task.

Callbacks are plain callables, called on threads of the native module and never on the loop's, with the context
variables of the task. To reach the loop from one of them, use ``loop.call_soon_threadsafe``. A coroutine function is
refused (TypeError): nobody would await what it returns.
"""

from __future__ import annotations

import contextvars
import functools
import inspect
from collections.abc import Coroutine
from typing import TYPE_CHECKING, Any, Callable, TypeVar

from shotput import _native

if TYPE_CHECKING:
    from typing_extensions import ParamSpec

    Arguments = ParamSpec("Arguments")

Result = TypeVar("Result")


def _callback(function: Callable[..., object], value: Any) -> Any:
    """An argument as a thread can call it, if it can be called at all."""
    if not callable(value):
        return value
    if inspect.iscoroutinefunction(value) or inspect.iscoroutinefunction(type(value).__call__):
        raise TypeError(
            f"{function.__name__}() was given the coroutine function {value!r}, and callbacks are not awaited. Give it "
            "a plain function; loop.call_soon_threadsafe() reaches the loop from there."
        )
    context = contextvars.copy_context()
    # A copy for each call: two threads cannot be in one context at once.
    return lambda *given, **named: context.copy().run(value, *given, **named)


def _awaitable(function: Callable[Arguments, Result]) -> Callable[Arguments, Coroutine[Any, Any, Result]]:
    @functools.wraps(function)
    async def call(*args: Arguments.args, **kwargs: Arguments.kwargs) -> Result:
        given = [_callback(function, value) for value in args]
        named = {name: _callback(function, value) for name, value in kwargs.items()}
        result: Result = await _native.call_async(function, tuple(given), named)
        return result

    call.__module__ = __name__
    return call


check_api_available = _awaitable(_native.check_api_available)
check_auth_status = _awaitable(_native.check_auth_status)
check_auth_status_with_progress = _awaitable(_native.check_auth_status_with_progress)
copy_snapshot = _awaitable(_native.copy_snapshot)
create_job_from_job_bundle = _awaitable(_native.create_job_from_job_bundle)
download_job_outputs = _awaitable(_native.download_job_outputs)
download_manifests = _awaitable(_native.download_manifests)
get_credentials_source = _awaitable(_native.get_credentials_source)
get_farm = _awaitable(_native.get_farm)
get_fleet = _awaitable(_native.get_fleet)
get_job = _awaitable(_native.get_job)
get_queue = _awaitable(_native.get_queue)
get_queue_parameter_definitions = _awaitable(_native.get_queue_parameter_definitions)
get_session_log = _awaitable(_native.get_session_log)
get_storage_profile_for_queue = _awaitable(_native.get_storage_profile_for_queue)
list_farms = _awaitable(_native.list_farms)
list_output_manifests = _awaitable(_native.list_output_manifests)
list_queue_environments = _awaitable(_native.list_queue_environments)
list_queue_fleet_associations = _awaitable(_native.list_queue_fleet_associations)
list_queues = _awaitable(_native.list_queues)
list_session_actions = _awaitable(_native.list_session_actions)
list_sessions = _awaitable(_native.list_sessions)
list_step_dependencies = _awaitable(_native.list_step_dependencies)
list_steps = _awaitable(_native.list_steps)
list_storage_profiles_for_queue = _awaitable(_native.list_storage_profiles_for_queue)
list_tasks = _awaitable(_native.list_tasks)
login = _awaitable(_native.login)
logout = _awaitable(_native.logout)
read_bundle = _awaitable(_native.read_bundle)
read_manifests = _awaitable(_native.read_manifests)
search_jobs = _awaitable(_native.search_jobs)
snapshot = _awaitable(_native.snapshot)
sync_inputs = _awaitable(_native.sync_inputs)
sync_outputs = _awaitable(_native.sync_outputs)
update_job = _awaitable(_native.update_job)
update_task = _awaitable(_native.update_task)
upload_manifest = _awaitable(_native.upload_manifest)
upload_snapshot = _awaitable(_native.upload_snapshot)

__all__ = [
    "check_api_available",
    "check_auth_status",
    "check_auth_status_with_progress",
    "copy_snapshot",
    "create_job_from_job_bundle",
    "download_job_outputs",
    "download_manifests",
    "get_credentials_source",
    "get_farm",
    "get_fleet",
    "get_job",
    "get_queue",
    "get_queue_parameter_definitions",
    "get_session_log",
    "get_storage_profile_for_queue",
    "list_farms",
    "list_output_manifests",
    "list_queue_environments",
    "list_queue_fleet_associations",
    "list_queues",
    "list_session_actions",
    "list_sessions",
    "list_step_dependencies",
    "list_steps",
    "list_storage_profiles_for_queue",
    "list_tasks",
    "login",
    "logout",
    "read_bundle",
    "read_manifests",
    "search_jobs",
    "snapshot",
    "sync_inputs",
    "sync_outputs",
    "update_job",
    "update_task",
    "upload_manifest",
    "upload_snapshot",
]
