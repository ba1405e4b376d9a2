# SPDX-License-Identifier: GPL-3.0-or-later
"""What the open scene is set to render: units, cameras, frames and outputs. Reads the scene and changes nothing."""

from __future__ import annotations

import os
import re
import tempfile
from pathlib import Path
from typing import Any

import bpy
from shotput.scene import FrameRange, Output, RenderUnit, SceneDescription

from .render.datapaths import output_nodes
from .render.render import has_path_templates

# Formats of single images, by Blender's names. Films are one file for all frames, which no chunk of frames can write.
IMAGE_FORMATS = (
    "PNG", "OPEN_EXR", "OPEN_EXR_MULTILAYER", "JPEG", "JPEG2000", "TIFF", "TARGA", "TARGA_RAW", "BMP", "IRIS", "CINEON",
    "DPX", "HDR", "WEBP",
)  # fmt: skip
# A frame number that no path has by chance.
_MARKER = 987654
ENGINES = ("CYCLES", "BLENDER_EEVEE_NEXT", "BLENDER_EEVEE", "BLENDER_WORKBENCH")


def layers_are_mixed(scene: Any) -> bool:
    """Whether one picture is made of all layers: by the compositor, or by the sequencer."""
    render = scene.render
    editor = scene.sequence_editor
    # Blender 4.4 renamed sequences to strips.
    if render.use_sequencer and editor and (getattr(editor, "strips", None) or getattr(editor, "sequences", ())):
        return True
    tree = getattr(scene, "compositing_node_group", None) or getattr(scene, "node_tree", None)
    return bool(render.use_compositing and scene.use_nodes and tree is not None and len(tree.links))


def scene_frames(scene: Any) -> FrameRange:
    """The scene's frames with its step. A range that ends before it starts renders nothing in Blender: one frame
    here."""
    return FrameRange(scene.frame_start, max(scene.frame_end, scene.frame_start), max(scene.frame_step, 1))


def render_units(scene: Any) -> tuple[RenderUnit, ...]:
    """One unit per view layer that is on, or one for all of them where the compositor or the sequencer joins them."""
    frames = scene_frames(scene)
    names = tuple(layer.name for layer in scene.view_layers if layer.use)
    if scene.render.use_single_layer and len(names) > 1:
        layer: Any = bpy.context.view_layer
        active = layer.name if bpy.context.scene == scene else names[0]
        names = (active,) if active in names else names[:1]
    if len(names) > 1 and layers_are_mixed(scene):
        return (RenderUnit(scene.name, names, frames),)
    return tuple(RenderUnit(name, (name,), frames) for name in names)


def cameras(scene: Any) -> tuple[str, ...]:
    """Names of the scene's cameras, sorted."""
    return tuple(sorted(item.name for item in scene.objects if item.type == "CAMERA"))


def output_format(scene: Any) -> str:
    """The scene's image format; PNG where the scene is set to a film."""
    chosen = scene.render.image_settings.file_format
    return chosen if chosen in IMAGE_FORMATS else "PNG"


def output_location(scene: Any, unit_count: int) -> tuple[str, str]:
    """(folder, pattern) of the frames: the scene's own output path, in a folder per layer when there are several.

    Blender's factory setting, the temporary folder, would scatter frames where nobody keeps them: the folder ``render``
    beside the scene is taken instead.
    """
    folder, name = os.path.split(bpy.path.abspath(_without_templates(scene)))
    folder = os.path.normpath(folder) if folder else ""
    temporary = {
        os.path.normpath(path)
        for path in ("/tmp", tempfile.gettempdir(), os.path.dirname(bpy.app.tempdir.rstrip("\\/")))
    }
    if not folder or folder in temporary:
        folder = os.path.join(os.path.dirname(bpy.data.filepath), "render")
    extension = scene.render.file_extension
    if extension and name.lower().endswith(extension):
        name = name[: -len(extension)]
    if "#" not in name:
        name += "####"
    return folder, f"<layer>/{name}" if unit_count > 1 else name


def _without_templates(scene: Any) -> str:
    """The scene's output path with what its templates ({blend_name}, {scene_name} …) stand for; # stay.

    Blender is asked for the path of a frame, because it alone knows the templates of its version.
    """
    value = str(scene.render.filepath)
    if not re.search("[{}]", value) or not has_path_templates(scene):
        return value
    folder, name = os.path.split(value)
    # The job has tokens for what its own parameters change.
    for template, token in (("{camera_name}", "<camera>"), ("{scene_name}", "<scene>")):
        name = name.replace(template, token)
    runs = [name[found.start() : found.end()] for found in re.finditer("#+", name)]
    before, extension = value, scene.render.use_file_extension
    try:
        scene.render.filepath, scene.render.use_file_extension = os.path.join(folder, name), False
        path = str(scene.render.frame_path(frame=_MARKER))
    finally:
        scene.render.filepath, scene.render.use_file_extension = before, extension
    return path.replace(str(_MARKER), runs[-1] if runs else "####")


def compositor_folders(scene: Any) -> set[str]:
    """The folders that the compositor's File Output nodes write to, absolute."""
    folders = set()
    for node, name in output_nodes(scene):
        path = bpy.path.abspath(getattr(node, name), library=node.id_data.library)
        # A file of many layers is named there whole.
        is_file = name == "base_path" and node.format.file_format == "OPEN_EXR_MULTILAYER"
        folder = os.path.dirname(path) if is_file else path
        if folder:
            folders.add(os.path.normpath(folder))
    return folders


def describe(chosen: Any | None = None) -> SceneDescription:
    """The description of the chosen scene (default: the active one), without its dependencies."""
    scene: Any = chosen or bpy.context.scene
    units = render_units(scene)
    folder, pattern = output_location(scene, len(units))
    outputs = tuple(
        Output(unit.name, folder, pattern.replace("<layer>", unit.name), output_format(scene)) for unit in units
    )
    return SceneDescription(
        host="blender",
        host_version=bpy.app.version_string,
        name=Path(bpy.data.filepath).stem if bpy.data.filepath else scene.name,
        scene_file=os.path.abspath(bpy.data.filepath) if bpy.data.filepath else "",
        # Without a window Blender calls a scene modified from the moment it is opened (bpy 4.5).
        modified=bool(bpy.data.is_dirty) and not bpy.app.background,
        units=units,
        outputs=outputs,
        cameras=cameras(scene),
    )
