"""The host port: what every DCC answers, in six methods.

View models and exporters talk to a host through this and nothing else. What only some hosts can do is a protocol of its
own, asked for with ``isinstance``; it never becomes a seventh method here.
"""

from __future__ import annotations

from typing import Callable, Protocol, TypeVar, runtime_checkable

from shotput.scene import SceneDescription

Result = TypeVar("Result")


@runtime_checkable
class Host(Protocol):
    """An open DCC. All methods but ``run_on_main_thread`` are called on the host's main thread."""

    def scene_path(self) -> str:
        """Absolute path of the open scene's file, ``""`` when it was never saved."""

    def is_modified(self) -> bool:
        """Whether the file on disk differs from what the host shows."""

    def save_scene(self, copy_to: str | None = None) -> str:
        """Saves the scene, or a copy of it, and returns the path written. Raises ``shotput.errors.SceneError``."""

    def describe_scene(self) -> SceneDescription:
        """Units, outputs, cameras and frames, without dependencies: quick enough for a redraw."""

    def scan_dependencies(self) -> SceneDescription:
        """The description with every dependency and its verdict. One bad data block gives a warning, never an error."""

    def run_on_main_thread(self, function: Callable[[], Result]) -> Result:
        """Runs a function where the host's API may be used, from any thread, and hands back its result or exception."""


__all__ = ["Host"]
