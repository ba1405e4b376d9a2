# SPDX-License-Identifier: GPL-3.0-or-later
"""Where a Blender scene keeps the paths of its files, and which files a path means at which frames.

The scan on the artist's machine and the render script on the worker both ask here, so what was sent is what gets
mapped. The file travels in the job's template: it needs Blender and the standard library, nothing else, and must not
contain two equal braces in a row. Which properties hold paths comes from the profile's table; this module knows how to
walk.
"""

from __future__ import annotations

import ntpath
import os
import posixpath
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Callable

import bpy

Row = Mapping[str, Any]
_NUMBER = re.compile(r"(\d+)(?=\D*\Z)")
_UDIM = re.compile(r"<UDIM>|<UVTILE>")
_DRIVE = re.compile(r"[A-Za-z]:[\\/]|\\\\")


@dataclass(frozen=True)
class Reference:
    """A property of the scene that holds a path: ``getattr(holder, attribute)``; ``block`` is the data block around
    it."""

    block: Any
    holder: Any
    attribute: str
    kind: str
    owner: str
    directory: bool

    @property
    def value(self) -> str:
        """The path as the scene has it, relative ones with Blender's ``//``."""
        return str(getattr(self.holder, self.attribute))

    @property
    def library(self) -> Any:
        """The library whose folder ``//`` stands for; ``None`` for the scene's own."""
        if isinstance(self.block, bpy.types.Library):
            return self.block.parent
        return self.block.library

    @property
    def optional(self) -> bool:
        """Whether the render does without when it is not there: folders of bakes that nobody has made."""
        if not self.directory:
            return False
        made = getattr(self.holder, "has_cache_baked_any", getattr(self.holder, "is_cached", None))
        return not made if made is not None else not isinstance(self.holder, bpy.types.PointCache)

    @property
    def packed(self) -> bool:
        """Whether the content lies inside the .blend."""
        packed = getattr(self.holder, "packed_files", None) or getattr(self.holder, "packed_file", None)
        return bool(packed)

    @property
    def used(self) -> bool:
        """Whether anything but a fake user holds the data block. Libraries are there because something is linked,
        scenes because they render."""
        if isinstance(self.block, (bpy.types.Library, bpy.types.Scene)):
            return True
        return int(self.block.users) > int(self.block.use_fake_user)


def references(table: Iterable[Row], trouble: Callable[[str, Exception], None]) -> Iterator[Reference]:
    """All properties that the table names and that hold a path. One that cannot be read goes to ``trouble(name,
    error)``."""
    for row in table:
        for block, holder, owner in _holders(row["owner"], row.get("type"), trouble):
            try:
                *steps, name = row["property"].split(".")
                for target in _follow(holder, steps):
                    found = Reference(block, target, name, row["kind"], owner, bool(row.get("directory")))
                    if getattr(target, "is_linked", False):
                        raise ValueError("Other nodes make its path, so it is known only while they run.")
                    # Blender's built-in font has a path like <builtin>; generated images have none.
                    if found.value and not found.value.startswith("<") and getattr(target, "use_external", True):
                        yield found
            except Exception as error:
                # Whatever one data block does (broken add-on types, freed memory), the others are still looked at.
                trouble(owner, error)


def _follow(holder: Any, steps: Sequence[str]) -> Iterator[Any]:
    """What ``steps`` lead to: ``name`` an attribute, ``name[]`` every element of it, ``name[key]`` the one of that
    name."""
    if not steps:
        yield holder
        return
    name, _, key = steps[0].rstrip("]").partition("[")
    value = getattr(holder, name)
    if key:
        value = value.get(key)
    if value is not None:
        for element in value if steps[0].endswith("[]") else [value]:
            yield from _follow(element, steps[1:])


def _holders(
    owner: str, type_name: str | None, trouble: Callable[[str, Exception], None]
) -> Iterator[tuple[Any, Any, str]]:
    """(data block, struct that holds the property, name for people)."""
    if owner == "nodes":
        for block, tree in _node_trees():
            for node in tree.nodes:
                if node.bl_idname == type_name:
                    yield block, node, f'node "{node.name}" of {kind_of(block)} "{block.name}"'
    elif owner in ("modifiers", "particle_systems"):
        for block in bpy.data.objects:
            for holder in getattr(block, owner):
                if type_name is None or holder.type == type_name:
                    yield block, holder, f'{owner[:-1].replace("_", " ")} "{holder.name}" of object "{block.name}"'
    elif owner == "strips":
        for block in bpy.data.scenes:
            editor: Any = block.sequence_editor
            # Blender 4.4 renamed sequences to strips.
            for strip in getattr(editor, "strips_all", None) or getattr(editor, "sequences_all", None) or ():
                if strip.type == type_name:
                    yield block, strip, f'strip "{strip.name}" of scene "{block.name}"'
    elif owner == "view_layers":
        for block in bpy.data.scenes:
            for layer in block.view_layers:
                yield block, layer, f'view layer "{layer.name}" of scene "{block.name}"'
    else:
        for block in getattr(bpy.data, owner, ()):  # a collection that this Blender does not have holds no files
            try:
                yield block, block, f'{kind_of(block)} "{block.name}"'
            except Exception as error:
                trouble(owner, error)


def _node_trees() -> Iterator[tuple[Any, Any]]:
    for collection in ("materials", "worlds", "lights", "scenes", "textures", "linestyles"):
        for block in getattr(bpy.data, collection, ()):
            # Scenes lost `node_tree` in Blender 5.0; their compositor is a node group there, found below.
            tree = getattr(block, "node_tree", None)
            if tree is not None:
                yield block, tree
    for group in bpy.data.node_groups:
        yield group, group


def kind_of(block: Any) -> str:
    """The kind of a data block in words: ``image``, ``movie clip``."""
    return str(block.bl_rna.name).lower()


def image_users(image: Any) -> Iterator[Any]:
    """Everything that says which frame of an image sequence is seen when (nodes and textures that use the image).

    ``None`` stands for a use of which that is known only while the nodes run: in geometry nodes, where the frame is a
    value like any other.
    """
    for _, tree in _node_trees():
        for node in tree.nodes:
            if getattr(node, "image", None) == image:
                # Compositor nodes have the fields themselves.
                user = getattr(node, "image_user", None) or node
                yield user if hasattr(user, "frame_duration") else None
            elif any(
                getattr(socket, "default_value", None) == image for socket in node.inputs if socket.type == "IMAGE"
            ):
                yield None
    for item in bpy.data.objects:
        modifier: Any
        for modifier in item.modifiers:
            if modifier.type == "NODES" and any(value == image for value in modifier.values()):
                yield None
    textures: Any = bpy.data.textures
    for texture in textures:
        if getattr(texture, "image", None) == image:
            yield texture.image_user


def image_frame(user: Any, frame: int) -> int | None:
    """The number of the file that an image user shows at a scene frame; ``None`` before the start and after the end.

    Blender's rule (BKE_image_user_frame_get): frames count from 1 at ``frame_start``, repeat when cyclic, and are
    then shifted by ``frame_offset``. Outside of the range Blender shows the nearest frame, which is asked for by its
    own scene frame or never.
    """
    length = int(user.frame_duration)
    number = frame - int(user.frame_start) + 1
    if user.use_cyclic and length:
        number = (number - 1) % length + 1
    return min(max(number, 1), length) + int(user.frame_offset) if length else None


def volume_frame(volume: Any, frame: int) -> int | None:
    """The number of the file that a volume sequence shows at a scene frame; ``None`` when it shows nothing."""
    length = int(volume.frame_duration)
    number = frame - int(volume.frame_start) + 1
    if length == 0 or (volume.sequence_mode == "CLIP" and not 1 <= number <= length):
        return None
    if volume.sequence_mode == "REPEAT":
        number = (number - 1) % length + 1
    elif volume.sequence_mode == "PING_PONG" and length > 1:
        number = (number - 1) % (2 * length - 2) + 1
        number = 2 * length - number if number > length else number
    return min(max(number, 1), length) + int(volume.frame_offset)


def numbered(path: str, number: int) -> str:
    """The path with the last number of its file name replaced, as wide as it was."""
    folder, name = os.path.split(path)
    return os.path.join(folder, _NUMBER.sub(lambda found: str(number).zfill(len(found.group())), name, count=1))


def _siblings(path: str, pattern: re.Pattern[str]) -> list[str]:
    folder = os.path.dirname(path)
    try:
        return sorted(os.path.join(folder, name) for name in os.listdir(folder) if pattern.fullmatch(name))
    except OSError:
        return []


def files(reference: Reference, path: str, frames: Sequence[int]) -> list[str]:
    """The files (or the one folder) that a reference with this absolute path needs at these scene frames.

    Tokens and sequences are expanded. Files that should be there and are not are listed too: the caller checks.
    """
    block = reference.holder
    if reference.directory:
        return [path]
    if reference.attribute == "directory":  # an image strip: a folder and the names in it
        return sorted({os.path.join(path, element.filename) for element in block.elements})
    if isinstance(block, bpy.types.Image):
        if block.source == "TILED":
            any_tile = "u\\d+_v\\d+" if "<UVTILE>" in path else "\\d" * 4
            pattern = any_tile.join(re.escape(part) for part in _UDIM.split(os.path.basename(path)))
            return sorted(
                {*_siblings(path, re.compile(pattern)), *(tile_file(path, tile.number) for tile in block.tiles)}
            )
        if block.source == "SEQUENCE":
            users = list(image_users(block))
            numbers = {image_frame(user, frame) for user in users if user is not None for frame in frames}
            named = {numbered(path, number) for number in numbers if number is not None}
            return sorted(named.union(_sequence(path) if None in users else ()) or {path})
    if isinstance(block, bpy.types.Volume) and block.is_sequence:
        numbers = {volume_frame(block, frame) for frame in frames}
        return sorted(numbered(path, number) for number in numbers if number is not None)
    if isinstance(block, bpy.types.CacheFile) and block.is_sequence:
        shown = (
            [round(block.frame)] if block.override_frame else [frame + round(block.frame_offset) for frame in frames]
        )
        return sorted({numbered(path, number) for number in shown})
    if isinstance(block, bpy.types.MovieClip) and block.source == "SEQUENCE":
        return _sequence(path) or [path]
    return [path]


def tile_file(path: str, number: int) -> str:
    """The file of one tile of an image: 1012 is ``1012`` for <UDIM>, and ``u2_v2`` for <UVTILE>."""
    column, row = (number - 1001) % 10 + 1, (number - 1001) // 10 + 1
    return path.replace("<UDIM>", str(number)).replace("<UVTILE>", f"u{column}_v{row}")


def _sequence(path: str) -> list[str]:
    """All files that differ from ``path`` in the number at the end of its name alone."""
    name = os.path.basename(path)
    digits = _NUMBER.search(name)
    if digits is None:
        return []
    any_number = "\\d" * len(digits.group())
    return _siblings(path, re.compile(re.escape(name[: digits.start()]) + any_number + re.escape(name[digits.end() :])))


def output_nodes(scene: Any) -> Iterator[tuple[Any, str]]:
    """(File Output node, name of the property that holds its folder) of all that the scene's compositor runs."""
    # Blender 5.0 has the compositor as a node group of its own, and calls a node's folder so.
    tree = getattr(scene, "compositing_node_group", None) or getattr(scene, "node_tree", None)
    waiting = [tree] if scene.render.use_compositing and tree is not None else []
    seen: list[Any] = []
    while waiting:
        tree = waiting.pop()
        seen.append(tree)
        for node in tree.nodes:
            if node.mute:
                continue
            if node.bl_idname == "CompositorNodeOutputFile":
                yield node, "directory" if hasattr(node, "directory") else "base_path"
            group = getattr(node, "node_tree", None)
            if group is not None and group not in seen:
                waiting.append(group)


def is_windows(path: str) -> bool:
    """Whether a path was written on Windows, told by its drive letter or share."""
    return bool(_DRIVE.match(path))


def absolute(path: str, base_file: str) -> str:
    """``path`` as an absolute path of the machine that ``base_file`` is from; ``//`` means that file's folder."""
    flavour: Any = ntpath if is_windows(base_file) else posixpath
    if not path.startswith("//"):
        return path if is_windows(path) else str(flavour.normpath(path))
    tail = path[2:].replace("/", "\\") if flavour is ntpath else path[2:].replace("\\", "/")
    return str(flavour.normpath(flavour.join(flavour.dirname(base_file), tail)))


def mapped(path: str, rules: Iterable[Mapping[str, str]]) -> str | None:
    """The path on this machine by the first OpenJD rule that covers it, ``None`` when none does.

    Windows sources are compared without case and with both separators, as Windows does.
    """
    for rule in rules:
        windows = rule["source_path_format"].upper() == "WINDOWS"
        if windows != is_windows(path):
            continue
        source, given = rule["source_path"], path
        if windows:
            source, given = source.replace("/", "\\"), given.replace("/", "\\")
        separator = "\\" if windows else "/"
        source = source.rstrip(separator)
        head, tail = given[: len(source)], given[len(source) :]
        same = head.lower() == source.lower() if windows else head == source
        if same and (not tail or tail.startswith(separator)):
            return os.path.join(rule["destination_path"], *[part for part in tail.split(separator) if part])
    return None
