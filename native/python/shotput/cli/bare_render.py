"""Runs inside Blender: every view layer of the scene, frame by frame, into ``FOLDER/<layer>/<frame>.png``.

Nothing of Shotput is used here: this is what the farm's frames are held against.
"""

import sys
from pathlib import Path

import bpy

folder = Path(sys.argv[sys.argv.index("--") + 1])
scene = bpy.context.scene
for layer in scene.view_layers:
    for other in scene.view_layers:
        other.use = other == layer
    for frame in range(scene.frame_start, scene.frame_end + 1, scene.frame_step):
        scene.frame_set(frame)
        scene.render.filepath = str(folder / layer.name / f"{frame:04d}.png")
        bpy.ops.render.render(write_still=True)
