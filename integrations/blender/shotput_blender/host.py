# SPDX-License-Identifier: GPL-3.0-or-later
"""Blender behind the host port (``shotput_ui.host.Host``)."""

from __future__ import annotations

import dataclasses
import os
import queue
import threading
from typing import Any, Callable, TypeVar

import bpy
from shotput.errors import SceneError
from shotput.scene import SceneDescription

from . import description
from .dependencies import scan_dependencies
from .exporter import own_profile

Result = TypeVar("Result")


class BlenderHost:
    """The running Blender. One instance a process: it owns the queue of calls that wait for the main thread."""

    def __init__(self) -> None:
        self._calls: queue.Queue[Callable[[], None]] = queue.Queue()

    def scene_path(self) -> str:
        """Absolute path of the .blend, ``""`` when it was never saved."""
        return os.path.abspath(bpy.data.filepath) if bpy.data.filepath else ""

    def is_modified(self) -> bool:
        """Whether the .blend on disk differs from what Blender shows. Without a window Blender always says so."""
        return bool(bpy.data.is_dirty)

    def save_scene(self, copy_to: str | None = None) -> str:
        """Saves the .blend, or a copy whose relative paths still lead to the same files. Raises ``SceneError``."""
        path = self.scene_path()
        if not path:
            raise SceneError("The scene was never saved, so its files have no place. Save it once, then submit.")
        try:
            if copy_to is None:
                bpy.ops.wm.save_mainfile()
                return path
            os.makedirs(os.path.dirname(copy_to), exist_ok=True)
            bpy.ops.wm.save_as_mainfile(filepath=copy_to, copy=True, relative_remap=True)
            return copy_to
        except (OSError, RuntimeError) as error:
            raise SceneError(f"The scene cannot be saved to {copy_to or path}: {error} Check the folder.") from error

    def describe_scene(self) -> SceneDescription:
        """What the active scene renders, without its dependencies."""
        return description.describe()

    def scan_dependencies(self) -> SceneDescription:
        """What the active scene renders, with every file that it refers to."""
        described = description.describe()
        frames = description.scene_frames(bpy.context.scene).frames()
        table = [row.to_dict() for row in own_profile().dependencies]
        found, warnings = scan_dependencies(table, frames, described.scene_file)
        return dataclasses.replace(described, dependencies=found, warnings=warnings)

    def run_on_main_thread(self, function: Callable[[], Result]) -> Result:
        """Runs ``function`` where ``bpy`` may be used and hands back what it returns or raises.

        Other threads wait for Blender's event loop; without a window there is none, and whoever waits on the main
        thread calls ``drain``.
        """
        if threading.current_thread() is threading.main_thread():
            return function()
        done = threading.Event()
        outcome: dict[str, Any] = {}

        def call() -> None:
            try:
                outcome["result"] = function()
            except BaseException as error:
                outcome["error"] = error
            finally:
                done.set()

        self._calls.put(call)
        if not bpy.app.background:
            bpy.app.timers.register(self.drain)
        done.wait()
        if "error" in outcome:
            raise outcome["error"]
        return outcome["result"]  # type: ignore[no-any-return]

    def drain(self) -> None:
        """Runs the calls that wait for the main thread."""
        while True:
            try:
                self._calls.get_nowait()()
            except queue.Empty:
                return


HOST = BlenderHost()
