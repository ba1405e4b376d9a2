"""What a host says about its scene, in the field's words.

A host adapter fills these frozen values once; the bundle writer, the view models and the command line read them, and
nothing else in the product talks to the DCC. This module holds values and plain questions about them: it opens no
scene, reads no file and knows no host.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import Enum
from typing import Any


class Verdict(str, Enum):
    """What the scan found out about one dependency."""

    FOUND = "found"
    """The file or folder exists and travels with the job."""
    MISSING = "missing"
    """The scene needs it and it does not exist; a submission stops unless somebody decides otherwise."""
    GENERATED = "generated"
    """The scene makes it itself (a packed or procedural image): nothing to send."""
    EXCLUDED = "excluded"
    """It exists or not, but the render does not read it."""


@dataclass(frozen=True, order=True)
class FrameRange:
    """Frames from ``start`` to ``end``, both included, every ``step`` frames (``step`` ≥ 1, ``end`` ≥ ``start``)."""

    start: int
    end: int
    step: int = 1

    def __post_init__(self) -> None:
        if self.step < 1:
            raise ValueError(f"The frame step is {self.step}; it must be 1 or more.")
        if self.end < self.start:
            raise ValueError(f"The frame range ends at {self.end}, before its start at {self.start}; swap the two.")

    @property
    def expression(self) -> str:
        """The range in OpenJD's integer range expression: ``7``, ``1-10`` or ``1-9:2``."""
        if self.end - self.start < self.step:
            return str(self.start)
        last = self.start + (self.end - self.start) // self.step * self.step
        return f"{self.start}-{last}" + (f":{self.step}" if self.step > 1 else "")

    def frames(self) -> range:
        """The frame numbers, in order."""
        return range(self.start, self.end + 1, self.step)


@dataclass(frozen=True)
class RenderUnit:
    """What becomes one step: layers (view layer, render layer, take or ROP) that render together over some frames.

    Most units hold one layer. ``name`` is unique within the scene; ``layers`` are the host's own names. ``cameras`` are
    the cameras that the unit is rendered through; empty means the one the scene uses at each frame.
    """

    name: str
    layers: tuple[str, ...]
    frames: FrameRange
    cameras: tuple[str, ...] = ()


@dataclass(frozen=True)
class Output:
    """Files that one unit writes: ``pattern`` relative to ``directory``, with the path tokens of the host's profile."""

    unit: str
    directory: str
    pattern: str
    format: str


@dataclass(frozen=True, order=True)
class Owner:
    """The data block that refers to a file: ``kind`` (image, object, node …), ``name``, and the ``property`` that
    does."""

    kind: str
    name: str
    property: str = ""

    def __str__(self) -> str:
        return f'{self.kind} "{self.name}"' + (f" ({self.property})" if self.property else "")


@dataclass(frozen=True)
class Dependency:
    """One file or folder that the scene refers to, and everybody who does.

    ``path`` is absolute, on the machine of the scan; for generated ones it is the name that the scene gives it.
    ``size`` is in bytes (a folder's files added up), ``None`` when there is nothing to measure. ``reason`` says in one
    sentence why the verdict is not ``found``.
    """

    path: str
    kind: str
    verdict: Verdict
    owners: tuple[Owner, ...]
    size: int | None = None
    directory: bool = False
    reason: str = ""


@dataclass(frozen=True)
class ScanWarning:
    """Something the scan could not look at. It goes on; ``subject`` names the data block."""

    subject: str
    message: str


@dataclass(frozen=True)
class SceneDescription:
    """A scene, as everything but its host sees it.

    ``scene_file`` is absolute, ``""`` when the scene was never saved. ``modified`` means that the file on disk is not
    what the host shows.
    """

    host: str
    host_version: str
    name: str
    scene_file: str
    modified: bool
    units: tuple[RenderUnit, ...]
    outputs: tuple[Output, ...]
    dependencies: tuple[Dependency, ...] = ()
    warnings: tuple[ScanWarning, ...] = ()
    cameras: tuple[str, ...] = ()

    def with_verdict(self, verdict: Verdict) -> tuple[Dependency, ...]:
        """The dependencies that have this verdict, in order."""
        return tuple(dependency for dependency in self.dependencies if dependency.verdict is verdict)

    @property
    def missing(self) -> tuple[Dependency, ...]:
        """The dependencies that do not exist."""
        return self.with_verdict(Verdict.MISSING)

    @property
    def input_files(self) -> tuple[str, ...]:
        """Absolute paths of the files that travel with the job, without the scene itself, sorted."""
        return tuple(sorted({d.path for d in self.with_verdict(Verdict.FOUND) if not d.directory}))

    @property
    def input_directories(self) -> tuple[str, ...]:
        """Absolute paths of the folders that travel whole, sorted."""
        return tuple(sorted({d.path for d in self.with_verdict(Verdict.FOUND) if d.directory}))

    def to_dict(self) -> dict[str, Any]:
        """The description as plain dicts and lists, ready for JSON."""
        document = dataclasses.asdict(self)
        for dependency in document["dependencies"]:
            dependency["verdict"] = dependency["verdict"].value
        return document


@dataclass
class DependencyCollection:
    """Gathers references into dependencies: one per path, with all its owners. The only mutable thing here.

    When two references to one path differ in verdict, the stronger need wins: found and missing over generated and
    excluded, because one owner that the render reads is enough to need the file.
    """

    _entries: dict[str, Dependency] = field(default_factory=dict)

    def add(self, dependency: Dependency) -> None:
        """Adds one dependency, or its owners to the one that is there."""
        known = self._entries.get(dependency.path)
        if known is None:
            self._entries[dependency.path] = dependency
            return
        owners = tuple(sorted({*known.owners, *dependency.owners}))
        needed = {Verdict.FOUND, Verdict.MISSING}
        kept = dependency if dependency.verdict in needed and known.verdict not in needed else known
        self._entries[dependency.path] = dataclasses.replace(kept, owners=owners)

    def __contains__(self, path: object) -> bool:
        return path in self._entries

    def sorted(self) -> tuple[Dependency, ...]:
        """Everything gathered, sorted by path, so that the same scene gives the same bundle."""
        return tuple(self._entries[path] for path in sorted(self._entries))


def colliding_outputs(outputs: Iterable[Output]) -> tuple[tuple[Output, Output], ...]:
    """Pairs of outputs of different units that would write the same files (same folder, pattern and format)."""
    seen: dict[tuple[str, str, str], Output] = {}
    collisions: list[tuple[Output, Output]] = []
    for output in outputs:
        key = (output.directory, output.pattern, output.format)
        first = seen.setdefault(key, output)
        if first is not output:
            collisions.append((first, output))
    return tuple(collisions)
