"""A submission that is held, goes on, or is canceled while it is held."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from fakes.deadline_service import JOB, DeadlineService
from job_bundles import Bundle
from shotput import PauseSwitch
from shotput.errors import DeadlineOperationCanceled


class Submission:
    """A submission on a thread of its own, held at its first report of ``phase``."""

    def __init__(self, submit: Callable[..., Any], phase: str, *, answer: bool = True) -> None:
        self.switch = PauseSwitch()
        self.reports: list[dict[str, Any]] = []
        self.outcome: list[Any] = []
        self._submit = submit
        self._phase = phase
        self._answer = answer
        self.thread = threading.Thread(target=self._run)
        self.thread.start()

    def _run(self) -> None:
        try:
            self.outcome.append(self._submit(on={self._phase: self._report, "pause": self.switch}))
        except DeadlineOperationCanceled as err:
            self.outcome.append(err)

    def _report(self, info: dict[str, Any]) -> bool:
        if not self.reports:
            self.switch.pause()
        self.reports.append(info)
        return self._answer


@pytest.fixture
def files(bundle: Bundle) -> None:
    for number in range(10):
        bundle.write(f"textures/{number}.png", f"{number}".encode() * 1000)
    bundle.write("asset_references.yaml", {"assetReferences": {"inputs": {"directories": ["textures"]}}})


@pytest.mark.usefixtures("files")
@pytest.mark.parametrize("phase", ["on_hashing_progress", "on_upload_progress"])
def test_a_submission_is_held_and_goes_on(
    phase: str, service: DeadlineService, submit: Callable[..., Any], bucket: Path
) -> None:
    submission = Submission(submit, phase)
    while not submission.switch.is_paused:
        time.sleep(0.01)
    # Held for good: what was on its way comes to an end, and then nothing happens any more.
    time.sleep(0.5)
    assert len(submission.reports) == 1
    assert submission.outcome == []
    assert service.sent("POST", "/jobs") == []
    submission.switch.resume()
    submission.thread.join()
    assert submission.outcome == [{"job_id": JOB}]
    assert submission.reports[-1]["processedFiles"] == 10
    assert submission.switch.is_paused is False


@pytest.mark.usefixtures("files")
def test_a_held_submission_sends_no_job(service: DeadlineService, submit: Callable[..., Any], bucket: Path) -> None:
    switch = PauseSwitch()

    def at_the_end(info: dict[str, Any]) -> bool:
        if info["progress"] == 100.0:
            switch.pause()
        return True

    answers: list[Any] = []
    call = threading.Thread(
        target=lambda: answers.append(submit(on={"on_upload_progress": at_the_end, "pause": switch}))
    )
    call.start()
    while not switch.is_paused:
        time.sleep(0.01)
    time.sleep(0.3)
    assert service.sent("POST", "/jobs") == []
    switch.resume()
    call.join()
    assert answers == [{"job_id": JOB}]


@pytest.mark.usefixtures("files")
def test_a_held_submission_is_canceled(service: DeadlineService, submit: Callable[..., Any], bucket: Path) -> None:
    submission = Submission(submit, "on_upload_progress", answer=False)
    submission.thread.join()
    (error,) = submission.outcome
    assert type(error) is DeadlineOperationCanceled
    assert submission.switch.is_paused is True
    assert service.sent("POST", "/jobs") == []


def test_a_switch_holds_several_submissions(service: DeadlineService, submit: Callable[..., Any]) -> None:
    switch = PauseSwitch()
    switch.pause()
    answers: list[Any] = []
    calls = [threading.Thread(target=lambda: answers.append(submit(on={"pause": switch}))) for _ in range(3)]
    for call in calls:
        call.start()
    while len(service.sent("GET", "/environments")) < 3:
        time.sleep(0.01)
    time.sleep(0.2)
    assert service.sent("POST", "/jobs") == []
    switch.resume()
    for call in calls:
        call.join()
    assert len(answers) == len(service.sent("POST", "/jobs")) == 3


def test_a_switch_that_is_none() -> None:
    from shotput import create_job_from_job_bundle

    with pytest.raises(TypeError):
        create_job_from_job_bundle({"job_bundle_dir": "x"}, pause=True)  # type: ignore[arg-type]
