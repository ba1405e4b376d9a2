# SPDX-License-Identifier: GPL-3.0-or-later
"""Finds every file that the open scene refers to, with a verdict, its size and all its owners.

The work is done by collectors: functions that are given the scan and yield dependencies. Ours stand in ``COLLECTORS``,
and a studio adds its own there. The scan never stops: what a collector cannot look at becomes a warning with the name
of the data block. Which properties hold paths is the profile's table, walked by ``render.datapaths``, which the worker
uses too to map what was found here. Nothing is changed in the scene.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Callable

import bpy
from shotput.scene import Dependency, DependencyCollection, Owner, ScanWarning, Verdict

from .render import datapaths

# Types of data blocks that only painting, not rendering, reads.
_TOOLS = ("Brush", "Palette", "PaintCurve", "WindowManager", "Screen", "WorkSpace")


@dataclass
class Scan:
    """What collectors are given: the table of the profile, the frames that will be rendered, and who uses what."""

    table: Sequence[Mapping[str, Any]]
    frames: Sequence[int]
    scene_file: str
    users: Mapping[Any, set[Any]] = field(default_factory=dict)
    warnings: list[ScanWarning] = field(default_factory=list)

    def trouble(self, subject: str, error: Exception) -> None:
        """Notes that something could not be looked at."""
        self.warnings.append(ScanWarning(subject, f"{type(error).__name__}: {error}"))

    def owners(self, block: Any, prop: str) -> tuple[Owner, ...]:
        """The data block, and the objects and the other roots that lead to it."""
        found = {Owner(datapaths.kind_of(block), block.name, prop)}
        seen, waiting = {block}, [block]
        if isinstance(block, bpy.types.Library):
            waiting = [item for item in block.users_id if isinstance(item, (bpy.types.Object, bpy.types.Collection))]
            found |= {Owner(datapaths.kind_of(item), item.name) for item in waiting}
            return tuple(sorted(found))
        while waiting:
            for user in self.users.get(waiting.pop(), ()):
                if user in seen:
                    continue
                seen.add(user)
                if isinstance(user, bpy.types.Object):
                    found.add(Owner("object", user.name))
                elif not isinstance(user, (bpy.types.Scene, bpy.types.Collection)):
                    if isinstance(user, (bpy.types.Material, bpy.types.World)):
                        found.add(Owner(datapaths.kind_of(user), user.name))
                    waiting.append(user)
        return tuple(sorted(found))

    def only_tools(self, block: Any) -> bool:
        """Whether nothing but brushes and the like uses the data block."""
        if isinstance(block, bpy.types.Scene):  # a window shows it, and that is no use of it
            return False
        users = self.users.get(block, set())
        return bool(users) and all(type(user).__name__ in _TOOLS for user in users)


Collector = Callable[[Scan], Iterator[Dependency]]


def collect_table(scan: Scan) -> Iterator[Dependency]:
    """What the profile's table names: images, libraries, caches, fonts, sounds, volumes, movies …"""
    for reference in datapaths.references(scan.table, scan.trouble):
        try:
            yield from _from_reference(scan, reference)
        except Exception as error:
            # One data block in a state that nobody thought of must not cost the scan of the others.
            scan.trouble(reference.owner, error)


def _from_reference(scan: Scan, reference: datapaths.Reference) -> Iterator[Dependency]:
    block = reference.block
    detail = "" if reference.holder == block else f"{getattr(reference.holder, 'name', '')}."
    owners = scan.owners(block, f"{detail.lstrip('.')}{reference.attribute}")
    path = os.path.normpath(bpy.path.abspath(reference.value, library=reference.library))
    if reference.packed:
        yield Dependency(path, reference.kind, Verdict.GENERATED, owners, reason="It is packed into the scene.")
        return
    if getattr(block, "source", "") in ("GENERATED", "VIEWER"):
        yield Dependency(path, reference.kind, Verdict.GENERATED, owners, reason="Blender makes it itself.")
        return
    unused = "Nothing in the scene uses it." if not reference.used else ""
    if not unused and scan.only_tools(block):
        unused = "Only a brush or a tool uses it, no render does."
    for file in datapaths.files(reference, path, scan.frames):
        yield judge(
            file, reference.kind, owners, directory=reference.directory, unused=unused, optional=reference.optional
        )


def collect_blend_caches(scan: Scan) -> Iterator[Dependency]:
    """Disk caches of physics: their folder is named after the .blend and written in no property."""
    folder = os.path.join(os.path.dirname(scan.scene_file), f"blendcache_{Path(scan.scene_file).stem}")
    for block, cache in _point_caches():
        try:
            if cache.use_disk_cache and not cache.use_external:
                yield judge(
                    folder, "cache", scan.owners(block, "point_cache"), directory=True, optional=not cache.is_baked
                )
        except Exception as error:
            scan.trouble(f'{datapaths.kind_of(block)} "{block.name}"', error)


def _point_caches() -> Iterator[tuple[Any, Any]]:
    for block in bpy.data.objects:
        for holder in (*block.particle_systems, *block.modifiers):
            cache = getattr(holder, "point_cache", None)
            if cache is not None:
                yield block, cache
    for scene in bpy.data.scenes:
        world = scene.rigidbody_world
        if world is not None and world.point_cache is not None:
            yield scene, world.point_cache


COLLECTORS: list[Collector] = [collect_table, collect_blend_caches]


def judge(
    path: str,
    kind: str,
    owners: tuple[Owner, ...],
    *,
    directory: bool = False,
    unused: str = "",
    optional: bool = False,
) -> Dependency:
    """A dependency with the verdict that the disk gives."""
    exists = os.path.isdir(path) if directory else os.path.isfile(path)
    size = _size(path) if exists else None
    if unused:
        return Dependency(path, kind, Verdict.EXCLUDED, owners, size, directory, unused)
    if exists:
        return Dependency(path, kind, Verdict.FOUND, owners, size, directory)
    if optional:
        return Dependency(path, kind, Verdict.EXCLUDED, owners, None, directory, "Nothing was baked there.")
    reason = f"The {'folder' if directory else 'file'} does not exist."
    return Dependency(path, kind, Verdict.MISSING, owners, None, directory, reason)


def _size(path: str) -> int:
    if os.path.isdir(path):
        return sum(os.path.getsize(os.path.join(root, name)) for root, _, names in os.walk(path) for name in names)
    return os.path.getsize(path)


def scan_dependencies(
    table: Iterable[Mapping[str, Any]], frames: Sequence[int], scene_file: str
) -> tuple[tuple[Dependency, ...], tuple[ScanWarning, ...]]:
    """Runs every collector over the open scene: its dependencies, one per path and sorted, and what went wrong."""
    scan = Scan(tuple(table), frames, scene_file)
    try:
        data: Any = bpy.data  # Blender 4.2's stubs take the arguments of user_map for required
        scan.users = data.user_map()
    except Exception as error:
        scan.trouble("users of data blocks", error)
    collection = DependencyCollection()
    for collector in COLLECTORS:
        try:
            for dependency in collector(scan):
                collection.add(dependency)
        except Exception as error:
            scan.trouble(f"collector {collector.__name__}", error)
    return collection.sorted(), tuple(scan.warnings)
