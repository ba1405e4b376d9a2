"""Who finds and runs hooks."""

from __future__ import annotations

import json
import logging
import os
import shutil
import subprocess
import threading
import time
from pathlib import Path
from typing import IO, Any, Callable

from ...exceptions import DeadlineOperationError
from ..loader import read_yaml_or_json_object
from ._models import (
    HookConfiguration,
    HookDefinition,
    HookMetadata,
    HookResult,
    checked_answer,
    validate_pre_gui_output,
)

__all__ = [
    "HookManager",
    "_generate_hooks_confirmation_message",
    "collect_pre_gui_hook_sources",
    "collect_submission_hook_sources",
]

_LOG = logging.getLogger("deadline.client.job_bundle.hooks")
_Say = Callable[[str], None]
# What a hook started may hold its pipes open; nobody waits longer for their ends.
_GRACE = 5.0


class HookManager:
    """The hooks of a folder: a job bundle, or the one that ``DEADLINE_HOOKS_DIR`` names.

    ``print_callback`` gets what hooks write to their standard error, line by line. Relative commands and arguments
    that exist lie in the folder, or in the one that ``.hooks_origin`` in it names.
    """

    def __init__(self, job_bundle_dir: str, print_callback: _Say, source_label: str = "job bundle") -> None:
        self.job_bundle_dir, self.print_callback, self.source_label = job_bundle_dir, print_callback, source_label
        self.hooks: HookConfiguration | None = None
        origin = Path(job_bundle_dir, ".hooks_origin")
        named = origin.read_text("utf-8").strip() if origin.is_file() else ""
        self._folder = Path(named if named and Path(named).is_dir() else job_bundle_dir)

    def load_hooks(self) -> HookConfiguration | None:
        """Read ``hooks.yaml`` or ``hooks.json``; None without one. Raises ``DeadlineOperationError`` for its shape."""
        document = read_yaml_or_json_object(self.job_bundle_dir, "hooks", required=False)
        self.hooks = HookConfiguration.from_dict(document) if document is not None else None
        return self.hooks

    def execute_pre_gui_hooks(self, metadata: HookMetadata) -> dict[str, Any]:
        """Run the hooks before a dialog: ``{"parameters", "name", "description"}`` as far as they answer.

        Later answers come before earlier ones. Raises ``DeadlineOperationError`` for a hook that fails.
        """
        merged: dict[str, Any] = {}
        for number, hook in enumerate(self.hooks.pre_gui if self.hooks else [], 1):
            answer = self._answer(hook, metadata, "pre-GUI", number)
            if answer is not None:
                validate_pre_gui_output(answer, _name(hook))
                parameters = {**merged.get("parameters", {}), **answer.get("parameters", {})}
                merged = {**merged, **answer, **({"parameters": parameters} if parameters else {})}
        return merged

    def execute_pre_submission_hooks(self, metadata: HookMetadata, payload: dict[str, Any]) -> dict[str, Any]:
        """Run the hooks before a submission, each on what the one before made of it; what is to be submitted.

        Raises ``DeadlineOperationError`` for a hook that fails.
        """
        for number, hook in enumerate(self.hooks.pre_submission if self.hooks else [], 1):
            metadata.submission_payload = payload
            answer = self._answer(hook, metadata, "pre-submission", number)
            if answer is not None:
                payload = checked_answer(payload, answer, _name(hook))
        return payload

    def execute_post_submission_hooks(self, metadata: HookMetadata) -> None:
        """Run the hooks after a submission. The job is there: what fails is a warning in the log."""
        for number, hook in enumerate(self.hooks.post_submission if self.hooks else [], 1):
            try:
                self._run(hook, metadata, "post-submission", number)
            except DeadlineOperationError as error:
                _LOG.warning("%s", error)

    def _answer(self, hook: HookDefinition, metadata: HookMetadata, phase: str, number: int) -> Any:
        """The JSON that a hook writes to its standard output; None when it writes nothing."""
        text = self._run(hook, metadata, phase, number).stdout
        try:
            return json.loads(text) if text.strip() else None
        except ValueError as error:
            raise DeadlineOperationError(f"The {phase} hook {_name(hook)!r} answers no JSON: {error}") from error

    def _run(self, hook: HookDefinition, metadata: HookMetadata, phase: str, number: int) -> HookResult:
        self.print_callback(f"Running {phase} hook [{number}]: {_name(hook)}")
        result = self._execute(hook, metadata, f"  [{phase} hook {number}] ")
        if not result.is_success():
            why = f"took longer than {hook.timeout} s" if result.timed_out else f"ended with {result.exit_code}"
            if result.stdout:
                self.print_callback(f"What the hook wrote:\n{result.stdout}")
            raise DeadlineOperationError(f"The {phase} hook {_name(hook)!r} {why}.")
        return result

    def _execute(self, hook: HookDefinition, metadata: HookMetadata, prefix: str) -> HookResult:
        variables = {**os.environ, **metadata.to_environment_variables()}
        variables.update({name: str(value) for name, value in hook.env.items()})
        began = time.monotonic()
        try:
            process = subprocess.Popen(
                [self._command(hook.command), *map(self._argument, hook.args)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                env=variables,
                text=True,
            )
        except OSError as error:
            raise DeadlineOperationError(f"The hook {_name(hook)!r} cannot be started: {error}") from error
        written, told = (
            _Lines(process.stdout, None),
            _Lines(process.stderr, lambda line: self.print_callback(prefix + line)),
        )
        threading.Thread(target=_feed, args=(process.stdin, metadata.to_json()), daemon=True).start()
        try:
            process.wait(hook.timeout)
            timed_out = False
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            timed_out = True
        ends = time.monotonic() + _GRACE
        stdout, stderr = written.until(ends), told.until(ends)
        timed_out = timed_out or not (written.is_done and told.is_done)
        return HookResult(process.returncode, stdout, stderr, time.monotonic() - began, timed_out)

    def _command(self, command: str) -> str:
        here = self._folder / command
        found = str(here.absolute()) if here.is_file() else shutil.which(command)
        if found is None:
            raise DeadlineOperationError(f"There is no {command!r} in {self._folder} and none on PATH, so no hook ran.")
        return found

    def _argument(self, argument: str) -> str:
        here = self._folder / argument
        return str(here.absolute()) if argument and here.exists() else argument


class _Lines:
    """Reads a pipe to its end on a thread, and tells each line when it comes."""

    def __init__(self, pipe: IO[str] | None, say: _Say | None) -> None:
        assert pipe is not None
        self._pipe, self._say = pipe, say
        self._lines: list[str] = []
        self._lock = threading.Lock()
        self._is_over = False
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def _read(self) -> None:
        with self._pipe as lines:
            for line in lines:
                with self._lock:
                    if self._is_over:
                        return
                    self._lines.append(line)
                    if self._say is not None:
                        self._say(line.rstrip("\n"))

    @property
    def is_done(self) -> bool:
        """Whether the end came."""
        return not self._thread.is_alive()

    def until(self, moment: float) -> str:
        """What came until a moment of the monotonic clock; nothing more is told after that."""
        self._thread.join(max(0.0, moment - time.monotonic()))
        with self._lock:
            self._is_over = True
            return "".join(self._lines)


def _feed(pipe: IO[str], text: str) -> None:
    try:
        with pipe:
            pipe.write(text)
    except OSError:
        # A hook need not read what it is told.
        pass


def _name(hook: HookDefinition) -> str:
    return " ".join([hook.command, *hook.args])


def _generate_hooks_confirmation_message(
    hooks: HookConfiguration, source_dir: str, source_label: str = "job bundle"
) -> str:
    """The question before hooks run: which, and where they come from."""
    lines = [f"The {source_label} has hooks that would run on this machine, from {source_dir}:"]
    for phase, listed in (
        ("before the dialog", hooks.pre_gui),
        ("before the submission", hooks.pre_submission),
        ("after the submission", hooks.post_submission),
    ):
        lines += [f"  {phase}: {_name(hook)}" for hook in listed]
    return "\n".join(lines) + "\n"


def collect_pre_gui_hook_sources(
    bundle_dir: str,
    env_hooks_dir: str | None,
    allow_bundle_hooks: bool,
    allow_environment_hooks: bool,
    print_callback: _Say,
    warning_callback: _Say | None = None,
    hook_manager_cls: type | None = None,
) -> list[HookManager]:
    """Who runs hooks before a dialog: the environment's folder, then the bundle, as far as they have any and may."""
    return _sources(
        "pre-GUI",
        lambda hooks: bool(hooks.pre_gui),
        bundle_dir,
        env_hooks_dir,
        allow_bundle_hooks,
        allow_environment_hooks,
        print_callback,
        warning_callback,
        hook_manager_cls,
    )


def collect_submission_hook_sources(
    bundle_dir: str,
    env_hooks_dir: str | None,
    allow_bundle_hooks: bool,
    allow_environment_hooks: bool,
    print_callback: _Say,
    warning_callback: _Say | None = None,
    hook_manager_cls: type | None = None,
) -> list[HookManager]:
    """Who runs hooks around a submission, as :func:`collect_pre_gui_hook_sources` has it."""
    return _sources(
        "submission",
        lambda hooks: bool(hooks.pre_submission or hooks.post_submission),
        bundle_dir,
        env_hooks_dir,
        allow_bundle_hooks,
        allow_environment_hooks,
        print_callback,
        warning_callback,
        hook_manager_cls,
    )


def _sources(
    kind: str,
    has_any: Callable[[HookConfiguration], bool],
    bundle_dir: str,
    env_hooks_dir: str | None,
    allow_bundle_hooks: bool,
    allow_environment_hooks: bool,
    say: _Say,
    warn: _Say | None,
    manager: type | None,
) -> list[HookManager]:
    warn = warn or say
    bundle = Path(bundle_dir).resolve() if bundle_dir else None
    is_one = bool(env_hooks_dir) and bundle is not None and Path(env_hooks_dir or "").resolve() == bundle
    wanted = []
    if env_hooks_dir and not is_one:
        if Path(env_hooks_dir).is_dir():
            label = "environment (DEADLINE_HOOKS_DIR)"
            wanted.append((env_hooks_dir, label, allow_environment_hooks, "settings.allow_environment_hooks"))
        else:
            warn(f"DEADLINE_HOOKS_DIR is {env_hooks_dir}, which is no folder.")
    # Without a bundle its name is empty, and must not be taken for the current folder.
    if bundle_dir:
        may_run = allow_bundle_hooks or (is_one and allow_environment_hooks)
        wanted.append((bundle_dir, "job bundle", may_run, "settings.allow_bundle_hooks"))
    found: list[HookManager] = []
    for folder, label, may_run, setting in wanted:
        source: HookManager = (manager or HookManager)(folder, say)
        source.source_label = label
        hooks = source.load_hooks()
        if hooks is None or not has_any(hooks):
            continue
        if may_run:
            found.append(source)
        else:
            warn(f"The {kind} hooks in {folder} are left out. Set {setting} to true to let them run.")
    return found
