"""The awaitable twins: the same results, a loop that goes on, and a cancel that ends the work."""

from __future__ import annotations

import asyncio
import contextvars
import functools
import inspect
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import shotput
from fakes.deadline_monitor import Monitor
from fakes.deadline_service import FARM, FLEET, JOB, QUEUE, SESSION, STEP, STORAGE_PROFILE, DeadlineService
from job_bundles import Bundle
from shotput import _native, aio
from shotput.errors import DeadlineOperationCanceled, MissingInputsError, ServiceError

# What is done in memory, or is a thing of its own.
WITHOUT_TWIN = {
    "__version__",
    "check_template",
    "contact_sheet",
    "create_job",
    "decode_environment_template",
    "decode_job_template",
    "get_setting",
    "image_size",
    "mean_difference",
    "merge_manifests",
    "read_config",
    "set_setting",
    "thumbnail",
}


def test_every_function_that_waits_has_a_twin() -> None:
    functions = {name for name in shotput.__all__ if not inspect.isclass(getattr(shotput, name))}
    assert set(aio.__all__) == functions - WITHOUT_TWIN


@pytest.mark.parametrize("name", aio.__all__)
def test_a_twin_looks_like_its_function(name: str) -> None:
    twin = getattr(aio, name)
    assert inspect.iscoroutinefunction(twin)
    assert twin.__name__ == name
    assert inspect.signature(twin) == inspect.signature(getattr(_native, name))


@pytest.fixture
def target(service: DeadlineService, config_path: Path) -> dict[str, Any]:
    return service.target()


QUERIES: dict[str, tuple[Any, ...]] = {
    "check_api_available": (),
    "check_auth_status": (),
    "list_farms": (),
    "get_farm": (FARM,),
    "list_queues": (FARM,),
    "get_queue": (FARM, QUEUE),
    "list_storage_profiles_for_queue": (FARM, QUEUE),
    "get_queue_parameter_definitions": (FARM, QUEUE),
    "get_storage_profile_for_queue": (FARM, QUEUE, STORAGE_PROFILE),
    "list_queue_environments": (FARM, QUEUE),
    "list_queue_fleet_associations": (FARM, QUEUE),
    "get_fleet": (FARM, FLEET),
    "get_job": (FARM, QUEUE, JOB),
    "search_jobs": (FARM, [QUEUE]),
    "list_steps": (FARM, QUEUE, JOB),
    "list_tasks": (FARM, QUEUE, JOB, STEP),
    "list_sessions": (FARM, QUEUE, JOB),
    "list_session_actions": (FARM, QUEUE, JOB),
    "get_session_log": (FARM, QUEUE, SESSION),
}


@pytest.mark.parametrize("name", QUERIES)
def test_results_are_the_same(name: str, target: dict[str, Any]) -> None:
    expected = getattr(_native, name)(*QUERIES[name], target=target)
    assert asyncio.run(getattr(aio, name)(*QUERIES[name], target=target)) == expected


def test_the_loop_goes_on_meanwhile(service: DeadlineService, target: dict[str, Any]) -> None:
    from_the_loop = threading.Event()
    answer = service._answer

    def held(request: Any) -> Any:
        # The answer only comes when the loop has got on.
        from_the_loop.wait()
        return answer(request)

    service._answer = held  # type: ignore[method-assign]

    async def main() -> Any:
        call = asyncio.create_task(aio.get_farm(FARM, target=target))
        while not service.requests:
            await asyncio.sleep(0.01)
        from_the_loop.set()
        return await call

    assert asyncio.run(main())["farmId"] == FARM


def test_many_at_once(target: dict[str, Any]) -> None:
    async def main() -> list[Any]:
        return await asyncio.gather(*(aio.get_farm(FARM, target=target) for _ in range(50)))

    assert [farm["farmId"] for farm in asyncio.run(main())] == [FARM] * 50


def test_exceptions_are_the_same(service: DeadlineService, target: dict[str, Any]) -> None:
    service.fail("GET", f"/farms/{FARM}", "AccessDeniedException", "No", status=403)
    with pytest.raises(ServiceError) as caught:
        asyncio.run(aio.get_farm(FARM, target=target))
    assert str(caught.value) == "AccessDeniedException: No"
    with pytest.raises(TypeError):
        asyncio.run(aio.get_farm(None))  # type: ignore[arg-type]


def test_outside_of_a_loop(target: dict[str, Any]) -> None:
    with pytest.raises(RuntimeError) as caught:
        _native.call_async(_native.list_farms, (), {"target": target})
    assert str(caught.value) == "no running event loop"


def calls_that_run() -> int:
    """Threads of the native module that make a call."""
    found = 0
    for task in Path("/proc/self/task").iterdir():
        try:
            found += (task / "comm").read_text() == "shotput-call\n"
        except OSError:
            continue
    return found


@pytest.fixture
def nothing_goes_on() -> Iterator[None]:
    """After the test, all work that it began comes to its end."""
    if not Path("/proc/self/task").is_dir():
        pytest.skip("looks for threads by /proc, which this system does not have")
    yield
    while calls_that_run():
        time.sleep(0.01)


@pytest.mark.usefixtures("nothing_goes_on")
def test_a_cancel_ends_a_request(service: DeadlineService, target: dict[str, Any]) -> None:
    # Longer than the test may take.
    service.answer("GET", f"/farms/{FARM}", body=service.farms[0], delay=1000)

    async def main() -> None:
        call = asyncio.create_task(aio.get_farm(FARM, target=target))
        while not service.requests:
            await asyncio.sleep(0.01)
        assert calls_that_run() == 1
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call
        while calls_that_run():
            await asyncio.sleep(0.01)

    asyncio.run(main())


@pytest.mark.usefixtures("nothing_goes_on")
def test_a_limit_of_time(service: DeadlineService, target: dict[str, Any]) -> None:
    service.answer("GET", f"/farms/{FARM}", body=service.farms[0], delay=1000)

    async def main() -> None:
        with pytest.raises(asyncio.TimeoutError):
            await asyncio.wait_for(aio.get_farm(FARM, target=target), 0.2)

    asyncio.run(main())


@pytest.fixture
def params(service: DeadlineService, config_path: Path, tmp_path: Path) -> Iterator[dict[str, Any]]:
    """A bundle with many files, and a queue with a bucket for them."""
    bundle = Bundle(tmp_path / "bundle")
    for number in range(200):
        bundle.write(f"textures/{number}.png", os.urandom(2000))
    bundle.write("asset_references.yaml", {"assetReferences": {"inputs": {"directories": ["textures"]}}})
    service.queue["jobAttachmentSettings"] = {"s3BucketName": "studio", "rootPrefix": "Root"}
    with _native.ObjectStore(str(tmp_path / "objects")) as store:
        store.add_credentials("ASIAQUEUEROLE", "queue-secret", "queue-token", bucket="studio", prefix="Root")
        yield {"job_bundle_dir": str(bundle.folder), "target": service.target(s3_endpoint_url=store.endpoint)}


def test_a_submission(service: DeadlineService, params: dict[str, Any]) -> None:
    printed: list[str] = []
    assert asyncio.run(aio.create_job_from_job_bundle(params, printed.append)) == {"job_id": JOB}
    assert printed[-1] == JOB


@pytest.mark.usefixtures("nothing_goes_on")
@pytest.mark.parametrize("phase", ["on_print", "on_hashing_progress", "on_upload_progress", "on_continue"])
def test_a_cancel_ends_a_submission(phase: str, service: DeadlineService, params: dict[str, Any]) -> None:
    called: list[Any] = []

    async def main() -> None:
        loop = asyncio.get_running_loop()
        canceled = threading.Event()

        def callback(*arguments: Any) -> bool:
            called.append(arguments)
            loop.call_soon_threadsafe(submission.cancel)
            # The task has ended before its work has.
            canceled.wait()
            # The token of the work is cancelled by another thread, a moment after the task. Reports that come
            # meanwhile take longer than that thread needs.
            time.sleep(0.5)
            return True

        submission = asyncio.create_task(aio.create_job_from_job_bundle(params, **{phase: callback}))
        with pytest.raises(asyncio.CancelledError):
            await submission
        canceled.set()
        while calls_that_run():
            await asyncio.sleep(0.01)

    asyncio.run(main())
    # A line may still be printed, and each thread that hashes may have a report on its lips.
    assert len(called) <= 1 + (os.cpu_count() or 1)
    assert len(service.sent("POST", "/jobs")) == (1 if phase == "on_continue" else 0)


def test_what_a_callback_raises_comes_out(params: dict[str, Any]) -> None:
    class QuarrelError(Exception):
        pass

    raised = QuarrelError()

    def quarrel(_: str) -> None:
        raise raised

    with pytest.raises(QuarrelError) as caught:
        asyncio.run(aio.create_job_from_job_bundle(params, on_print=quarrel))
    assert caught.value is raised


def test_a_callback_sees_the_context_of_its_task(params: dict[str, Any]) -> None:
    shot = contextvars.ContextVar("shot", default="none")
    seen: list[str] = []

    async def submit(name: str) -> None:
        shot.set(name)

        def progress(_: dict[str, Any]) -> bool:
            seen.append(shot.get())
            return True

        await aio.create_job_from_job_bundle(params, on_hashing_progress=progress, on_upload_progress=progress)

    async def main() -> None:
        await asyncio.gather(submit("shot010"), submit("shot020"))

    asyncio.run(main())
    assert set(seen) == {"shot010", "shot020"}


class Coroutine:
    async def __call__(self, _: str) -> None: ...


async def coroutine(_: str) -> None: ...


@pytest.mark.parametrize("callback", [coroutine, Coroutine(), functools.partial(coroutine)])
def test_a_callback_that_somebody_would_have_to_await_is_refused(
    callback: Any, service: DeadlineService, params: dict[str, Any]
) -> None:
    with pytest.raises(TypeError, match="was given the coroutine function"):
        asyncio.run(aio.create_job_from_job_bundle(params, callback))
    assert service.sent("POST", "/jobs") == []


def test_a_callback_cancels(params: dict[str, Any]) -> None:
    with pytest.raises(DeadlineOperationCanceled):
        asyncio.run(aio.create_job_from_job_bundle(params, on_hashing_progress=lambda _: False))


@pytest.mark.usefixtures("nothing_goes_on")
def test_a_cancel_ends_a_login(
    service: DeadlineService, config_path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL_DEADLINE", service.endpoint)
    monitor = Monitor.install(tmp_path / "monitor", config_path)
    service.fail("GET", "/farms", "AccessDeniedException", "no", status=403)

    async def main() -> None:
        login = asyncio.create_task(aio.login(str(config_path)))
        while not monitor.calls():
            await asyncio.sleep(0.01)
        login.cancel()
        with pytest.raises(asyncio.CancelledError):
            await login
        while monitor.is_running():
            await asyncio.sleep(0.01)

    asyncio.run(main())


def test_files(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("a")

    async def main() -> Any:
        with pytest.raises(MissingInputsError):
            await aio.snapshot(tmp_path, ["gone"])
        return await aio.snapshot(tmp_path)

    assert asyncio.run(main())["manifest"] == _native.snapshot(tmp_path)["manifest"]


@pytest.fixture
def alone(target: dict[str, Any]) -> Callable[[str], str]:
    """Runs code in an interpreter of its own; what it printed."""

    def run(code: str) -> str:
        start = f"import asyncio, os\nfrom shotput import aio\nFARM, TARGET = {FARM!r}, {target!r}\n"
        done = subprocess.run(
            [sys.executable, "-c", start + code], capture_output=True, text=True, timeout=120, check=False
        )
        assert (done.returncode, done.stderr) == (0, "")
        return done.stdout

    return run


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
def test_after_a_fork(alone: Callable[[str], str]) -> None:
    code = (
        "import warnings; warnings.simplefilter('ignore')\n"
        "assert asyncio.run(aio.get_farm(FARM, target=TARGET))['farmId'] == FARM\n"
        "child = os.fork()\n"
        "farm = asyncio.run(aio.get_farm(FARM, target=TARGET))['farmId']\n"
        "if child == 0:\n"
        "    os._exit(0 if farm == FARM else 1)\n"
        "print(os.waitpid(child, 0)[1])\n"
    )
    assert alone(code) == "0\n"


def test_at_the_exit_of_the_interpreter(service: DeadlineService, alone: Callable[[str], str]) -> None:
    service.answer("GET", f"/farms/{FARM}", body=service.farms[0], delay=1000)
    code = (
        "async def main():\n"
        "    left = asyncio.create_task(aio.get_farm(FARM, target=TARGET))\n"
        "    await asyncio.sleep(0.5)\n"
        "    print('leaving', flush=True)\n"
        "asyncio.run(main())\n"
    )
    assert alone(code) == "leaving\n"
