# SPDX-License-Identifier: GPL-3.0-or-later
"""Builds the demo scene: textured tiles and spheres under a camera that moves, in two view layers, six frames.

The textures are painted by this script into a folder outside the scene's, because that is where real scenes keep them
and where exporters lose them. Seeds are fixed: the same Blender makes the same scene and the same pixels.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import bpy

FRAMES = 6
_WIDTH, _HEIGHT, _SAMPLES = 320, 180, 24


def build(folder: Path) -> Path:
    """Builds ``folder/scene/demo.blend`` and its textures in ``folder/textures``; returns the .blend."""
    textures = folder / "textures"
    (folder / "scene").mkdir(parents=True, exist_ok=True)
    textures.mkdir(exist_ok=True)
    bpy.ops.wm.read_factory_settings(use_empty=True)
    scene: Any = bpy.context.scene
    tiles = _image(textures / "tiles.png", _tile)
    marble = _image(textures / "marble.png", _marble)
    ground = _material("Tiles", tiles, roughness=0.25, scale=5.0)
    stone = _material("Marble", marble, roughness=0.15, scale=1.0)
    brass = _material("Brass", None, roughness=0.2, color=(0.9, 0.55, 0.2), metallic=1.0)
    props = bpy.data.collections.new("Props")
    stage = bpy.data.collections.new("Stage")
    for collection in (props, stage):
        scene.collection.children.link(collection)
    _plane(stage, ground)
    _sphere(props, "Globe", (0.0, 0.0, 1.0), 1.0, stone)
    for number in range(7):
        angle = number / 7 * 2 * math.pi
        where = (2.3 * math.cos(angle), 2.3 * math.sin(angle), 0.35)
        _sphere(props, f"Bead {number + 1}", where, 0.35, brass if number % 2 else stone)
    _light(scene, "Key", (4.0, -3.0, 6.0), 900.0, 2.5, (1.0, 0.93, 0.82))
    _light(scene, "Fill", (-5.0, -2.0, 3.0), 250.0, 4.0, (0.65, 0.8, 1.0))
    _world(scene)
    _camera(scene)
    _settings(scene)
    _layers(scene, props, stage)
    path = folder / "scene" / "demo.blend"
    bpy.ops.wm.save_as_mainfile(filepath=str(path), relative_remap=True)
    # Saved again, so that the image paths that became relative to the new place are what the file holds.
    bpy.ops.file.make_paths_relative()
    bpy.ops.wm.save_mainfile()
    return path


def _image(path: Path, pixel: Any, size: int = 256) -> Any:
    image: Any = bpy.data.images.new(path.stem, size, size)
    values: list[float] = []
    for row in range(size):
        for column in range(size):
            values += (*pixel(column / size, row / size), 1.0)
    image.pixels.foreach_set(values)
    image.filepath_raw = str(path)
    image.file_format = "PNG"
    image.save()
    image.source = "FILE"
    return image


def _tile(x: float, y: float) -> tuple[float, float, float]:
    column, row = int(x * 4), int(y * 4)
    joint = min(x * 4 % 1, y * 4 % 1) < 0.06
    if joint:
        return 0.06, 0.06, 0.07
    return (0.08, 0.2, 0.26) if (column + row) % 2 else (0.75, 0.7, 0.6)


def _marble(x: float, y: float) -> tuple[float, float, float]:
    vein = abs(math.sin(9 * x * math.pi + 2.5 * math.sin(4 * y * math.pi) + math.sin(14 * (x + y) * math.pi)))
    shade = 0.25 + 0.65 * vein**0.5
    return 0.55 * shade, 0.2 + 0.55 * shade, 0.3 + 0.5 * shade


def _material(
    name: str, image: Any, *, roughness: float, scale: float = 1.0, metallic: float = 0.0, color: Any = (1.0, 1.0, 1.0)
) -> Any:
    material: Any = bpy.data.materials.new(name)
    material.use_nodes = True
    nodes, links = material.node_tree.nodes, material.node_tree.links
    shader = nodes["Principled BSDF"]
    shader.inputs["Roughness"].default_value = roughness
    shader.inputs["Metallic"].default_value = metallic
    shader.inputs["Base Color"].default_value = (*color, 1.0)
    if image is not None:
        texture, mapping, place = (
            nodes.new(kind) for kind in ("ShaderNodeTexImage", "ShaderNodeMapping", "ShaderNodeTexCoord")
        )
        texture.image = image
        mapping.inputs["Scale"].default_value = (scale, scale, scale)
        links.new(place.outputs["UV"], mapping.inputs["Vector"])
        links.new(mapping.outputs["Vector"], texture.inputs["Vector"])
        links.new(texture.outputs["Color"], shader.inputs["Base Color"])
    return material


def _plane(collection: Any, material: Any) -> None:
    mesh: Any = bpy.data.meshes.new("Floor")
    mesh.from_pydata([(-9, -9, 0), (9, -9, 0), (9, 9, 0), (-9, 9, 0)], [], [(0, 1, 2, 3)])
    layer = mesh.uv_layers.new(name="UVMap")
    for corner, place in enumerate(((0.0, 0.0), (1.0, 0.0), (1.0, 1.0), (0.0, 1.0))):
        layer.data[corner].uv = place
    mesh.materials.append(material)
    collection.objects.link(bpy.data.objects.new("Floor", mesh))


def _sphere(collection: Any, name: str, place: tuple[float, float, float], radius: float, material: Any) -> None:
    rings, segments = 24, 48
    vertices: list[tuple[float, float, float]] = []
    for ring in range(rings + 1):
        polar = math.pi * ring / rings
        for segment in range(segments + 1):  # the seam is there twice, for the texture's two edges
            angle = 2 * math.pi * segment / segments
            vertices.append((math.sin(polar) * math.cos(angle), math.sin(polar) * math.sin(angle), math.cos(polar)))
    row = segments + 1
    faces = [
        (ring * row + segment, (ring + 1) * row + segment, (ring + 1) * row + segment + 1, ring * row + segment + 1)
        for ring in range(rings)
        for segment in range(segments)
    ]
    mesh: Any = bpy.data.meshes.new(name)
    mesh.from_pydata([tuple(radius * axis for axis in vertex) for vertex in vertices], [], faces)
    layer = mesh.uv_layers.new(name="UVMap")
    for loop in mesh.loops:
        ring, segment = divmod(loop.vertex_index, row)
        layer.data[loop.index].uv = (2 * segment / segments, 1 - ring / rings)
    for polygon in mesh.polygons:
        polygon.use_smooth = True
    mesh.materials.append(material)
    item: Any = bpy.data.objects.new(name, mesh)
    item.location = place
    collection.objects.link(item)


def _light(scene: Any, name: str, place: tuple[float, float, float], power: float, size: float, color: Any) -> None:
    light: Any = bpy.data.lights.new(name, "AREA")
    light.energy, light.size, light.color = power, size, color
    item: Any = bpy.data.objects.new(name, light)
    item.location = place
    _aim(item, (0.0, 0.0, 0.5))
    scene.collection.objects.link(item)


def _aim(item: Any, target: tuple[float, float, float]) -> None:
    from mathutils import Vector

    item.rotation_euler = (Vector(target) - item.location).to_track_quat("-Z", "Y").to_euler()


def _world(scene: Any) -> None:
    world: Any = bpy.data.worlds.new("Dusk")
    world.use_nodes = True
    world.node_tree.nodes["Background"].inputs["Color"].default_value = (0.05, 0.07, 0.12, 1.0)
    scene.world = world


def _camera(scene: Any) -> None:
    camera: Any = bpy.data.objects.new("Camera", bpy.data.cameras.new("Camera"))
    camera.data.lens = 40.0
    scene.collection.objects.link(camera)
    scene.camera = camera
    for frame in range(1, FRAMES + 1):
        angle = math.radians(-75 + 12 * (frame - 1))
        camera.location = (7.5 * math.cos(angle), 7.5 * math.sin(angle), 3.2 - 0.15 * frame)
        _aim(camera, (0.0, 0.0, 0.7))
        camera.keyframe_insert("location", frame=frame)
        camera.keyframe_insert("rotation_euler", frame=frame)


def _settings(scene: Any) -> None:
    scene.frame_start, scene.frame_end, scene.frame_step = 1, FRAMES, 1
    render = scene.render
    render.engine = "CYCLES"
    render.resolution_x, render.resolution_y, render.resolution_percentage = _WIDTH, _HEIGHT, 100
    render.image_settings.file_format = "PNG"
    render.film_transparent = False
    scene.cycles.device = "CPU"
    scene.cycles.samples = _SAMPLES
    scene.cycles.seed = 7
    scene.cycles.use_adaptive_sampling = False
    scene.cycles.use_denoising = False
    scene.cycles.max_bounces = 4
    scene.view_settings.view_transform = "AgX"


def _layers(scene: Any, props: Any, stage: Any) -> None:
    """``Beauty`` sees everything; ``Props`` sees the floor only by what it throws back."""
    beauty: Any = scene.view_layers[0]
    beauty.name = "Beauty"
    only: Any = scene.view_layers.new("Props")
    for child in only.layer_collection.children:
        if child.collection == stage:
            child.indirect_only = True
