# SPDX-License-Identifier: GPL-3.0-or-later
"""Renders one chunk of frames on a worker, under a Blender that has nothing of ours installed.

Opens the scene, brings the paths in it to this machine, applies every job parameter, renders frame by frame, and says
how far it is in OpenJD's words. It fails with exit code 1 and one sentence rather than write a frame that is not the
one the artist would get: on a file that is missing, a layer, camera or engine that is not there, a frame that left no
image.

The template embeds this file: no two equal braces in a row.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import re
import sys
import time
from collections.abc import Sequence
from typing import Any

import bpy

_SAMPLE = re.compile(r"Sample (\d+)/(\d+)")
_EEVEE = ("BLENDER_EEVEE_NEXT", "BLENDER_EEVEE")  # one engine under two names: NEXT from Blender 4.2 to 4.5


class RenderError(Exception):
    """The chunk cannot be rendered as it was asked for. The text goes to the artist."""


def say(kind: str, text: str) -> None:
    """One OpenJD message line; line breaks would end it."""
    print(f"openjd_{kind}: {' '.join(text.split())}", flush=True)


def has_path_templates(scene: Any) -> bool:
    """Whether this Blender reads braces in the output path as templates; doubled, they mean themselves then.

    Asked rather than told from the version, because builds of 4.5 differ.
    """
    pair = "{" * 2 + "}" * 2
    before = scene.render.filepath
    try:
        scene.render.filepath = "//" + pair
        return pair not in scene.render.frame_path(frame=1)
    finally:
        scene.render.filepath = before


def parse_arguments(arguments: Sequence[str]) -> argparse.Namespace:
    """The arguments that the template's step passes, each as ``--name=value``."""
    parser = argparse.ArgumentParser(prog="render.py", allow_abbrev=False)
    texts = (
        "file original-file scene layers camera engine output-dir output-pattern output-format frames has-rules rules"
    )
    for name in (*texts.split(), "datapaths", "frame-files", "table", "missing-files", "run-scripts"):
        parser.add_argument(f"--{name}", required=True)
    for name in ("resolution-x", "resolution-y", "resolution-percentage", "samples"):
        parser.add_argument(f"--{name}", type=int, required=True)
    return parser.parse_args(arguments)


def load_module(path: str) -> Any:
    """A module that travels with the job, from where the session has put it."""
    spec = importlib.util.spec_from_file_location(f"shotput_{os.path.splitext(os.path.basename(path))[0]}", path)
    if spec is None or spec.loader is None:
        raise RenderError(f"The job's own file {path} cannot be loaded. Submit the job again.")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module


def open_scene(path: str, run_scripts: bool) -> None:
    """Opens the .blend without its window layout."""
    if not os.path.isfile(path):
        raise RenderError(f"The scene {path} does not exist on this worker. Check that it was submitted with the job.")
    try:
        bpy.ops.wm.open_mainfile(filepath=path, load_ui=False, use_scripts=run_scripts)
    except RuntimeError as error:
        raise RenderError(
            f"The scene {path} cannot be opened: {error} Open it in Blender {bpy.app.version_string}."
        ) from error


class PathMapper:
    """Brings the paths of the open scene to this machine, by the session's rules.

    A relative path means the folder of the file that holds it, on the artist's machine: its folder may have been mapped
    elsewhere than its neighbours, so it is resolved there first and mapped as a whole.
    """

    def __init__(
        self, paths: Any, rules: Sequence[dict[str, str]], table: list[Any], original: str, opened: str
    ) -> None:
        self.paths, self.rules, self.table = paths, rules, table
        # Where each library lay on the artist's machine; the key "" is the scene itself.
        self.originals = {"": original}
        self.opened = opened

    def place(self, value: str, library: Any) -> tuple[str, str]:
        """(path on the artist's machine, path on this one) of a path held by the scene or by a library."""
        original = self.paths.absolute(value, self.originals[library.name if library else ""])
        here = self.paths.mapped(original, self.rules)
        return original, here or bpy.path.abspath(value, library=library)

    def map_libraries(self) -> None:
        """Relinks libraries, and those that come in with them, until no new one appears."""
        done: set[str] = set()
        while True:
            waiting = [library for library in bpy.data.libraries if library.name not in done]
            ready = [library for library in waiting if library.parent is None or library.parent.name in self.originals]
            if not ready:
                return
            for name in [library.name for library in ready]:
                library = bpy.data.libraries.get(name)
                done.add(name)
                if library is not None and not library.packed_file:
                    self._map_library(library)
                elif library is not None:
                    self.originals[name] = self.originals[""]

    def _map_library(self, library: Any) -> None:
        name, parent, value = library.name, library.parent, library.filepath
        current = os.path.normpath(bpy.path.abspath(value))
        if value.startswith("//") and parent is not None:
            # Blender rewrites the relative path of an indirect library to start at the opened scene; what its own
            # parent says is had back from where the two lie now.
            start = os.path.dirname(os.path.normpath(bpy.path.abspath(parent.filepath)))
            value = "//" + os.path.relpath(current, start)
        original = self.paths.absolute(value, self.originals[parent.name if parent else ""])
        self.originals[name] = original
        here = self.paths.mapped(original, self.rules) or current
        if os.path.normpath(here) != current:
            library.filepath = here
            if os.path.isfile(here):
                library.reload()

    def map_files(self) -> None:
        """Points every other path of the table at this machine's file."""
        for reference in list(self.paths.references(self.table, self._trouble)):
            if reference.kind == "library" or reference.packed:
                continue
            _, here = self.place(reference.value, reference.library)
            now = bpy.path.abspath(reference.value, library=reference.library)
            if os.path.normpath(here) != os.path.normpath(now):
                trailing = os.sep if reference.value.endswith(("/", "\\")) else ""
                setattr(reference.holder, reference.attribute, here + trailing)

    def map_outputs(self, scene: Any) -> None:
        """Lets the compositor's File Output nodes write where their folders are brought home from."""
        for node, name in self.paths.output_nodes(scene):
            value = getattr(node, name)
            if not value:
                continue
            _, here = self.place(value, node.id_data.library)
            setattr(node, name, here + (os.sep if value.endswith(("/", "\\")) else ""))

    def missing(self, frames: Sequence[int]) -> list[str]:
        """A sentence for each file that these frames need and that is not there."""
        absent: dict[str, list[str]] = {}
        for reference in self.paths.references(self.table, self._trouble):
            if reference.packed or reference.optional or not reference.used:
                continue
            path = os.path.normpath(bpy.path.abspath(reference.value, library=reference.library))
            try:
                for file in self.paths.files(reference, path, frames):
                    if not os.path.exists(file):
                        absent.setdefault(file, []).append(reference.owner)
            except Exception as error:
                self._trouble(reference.owner, error)
        return [f"{file} (needed by {', '.join(owners)})" for file, owners in sorted(absent.items())]

    def _trouble(self, owner: str, error: Exception) -> None:
        print(f"Cannot look at {owner}: {error}", flush=True)


def choose_engine(scene: Any, engine: str) -> None:
    """Sets the engine, whichever of its names this Blender knows it by."""
    for name in _EEVEE if engine in _EEVEE else (engine,):
        try:
            scene.render.engine = name
        except TypeError:
            continue
        return
    raise RenderError(
        f"This worker's Blender {bpy.app.version_string} has no render engine '{engine}'. "
        "Choose another engine, or a worker that has it."
    )


def set_samples(scene: Any, samples: int) -> None:
    """Sets the engine's render samples. View layers keep their own number as long as the scene's is not changed."""
    engine = scene.render.engine
    if engine == "CYCLES":
        if scene.cycles.samples != samples:
            scene.cycles.samples = samples
            for layer in scene.view_layers:
                layer.samples = 0
    elif engine in _EEVEE:
        if scene.eevee.taa_render_samples != samples:
            scene.eevee.taa_render_samples = samples
            for layer in scene.view_layers:
                layer.samples = 0
    elif engine == "BLENDER_WORKBENCH":
        steps = {0: "OFF", 1: "FXAA", 5: "5", 8: "8", 11: "11", 16: "16", 32: "32"}
        scene.display.render_aa = steps[max(step for step in steps if step <= max(samples, 0))]


def set_format(scene: Any, file_format: str) -> None:
    """Sets the image format; colour depth and compression stay where the scene has the same format."""
    settings = scene.render.image_settings
    if settings.file_format != file_format:
        if hasattr(settings, "media_type"):  # Blender 5.0 asks for the kind of media first
            settings.media_type = "MULTI_LAYER_IMAGE" if file_format == "OPEN_EXR_MULTILAYER" else "IMAGE"
        try:
            settings.file_format = file_format
        except TypeError as error:
            raise RenderError(
                f"This worker's Blender {bpy.app.version_string} writes no '{file_format}'. "
                "Choose another output format."
            ) from error
    scene.render.use_file_extension = True


def set_layers(scene: Any, layers: Sequence[str]) -> None:
    """Lets exactly these view layers render."""
    absent = [name for name in layers if name not in scene.view_layers]
    if absent:
        raise RenderError(
            f"The scene '{scene.name}' has no view layer '{absent[0]}'. It has: {', '.join(scene.view_layers.keys())}."
        )
    for layer in scene.view_layers:
        layer.use = layer.name in layers
    scene.render.use_single_layer = False


def needs_camera(scene: Any) -> bool:
    """Whether the scene's own objects are rendered. Where the sequencer has strips, they are the picture."""
    editor: Any = scene.sequence_editor if scene.render.use_sequencer else None
    # Blender 4.4 renamed sequences to strips.
    strips = getattr(editor, "strips", None) or getattr(editor, "sequences", None) or ()
    return all(strip.type == "SOUND" for strip in strips)


def set_camera(scene: Any, camera: str) -> None:
    """Renders through ``camera``, whatever markers say; ``""`` keeps the scene's camera and its markers."""
    if camera:
        found = scene.objects.get(camera)
        # Blender renders through any object that is the scene's camera: a light, an empty.
        if found is None or (found.type != "CAMERA" and found != scene.camera):
            names = ", ".join(item.name for item in scene.objects if item.type == "CAMERA")
            raise RenderError(f"The scene '{scene.name}' has no camera '{camera}'. It has: {names or 'none'}.")
        for marker in scene.timeline_markers:
            marker.camera = None
        scene.camera = found
    elif needs_camera(scene) and scene.camera is None and not any(marker.camera for marker in scene.timeline_markers):
        raise RenderError(f"The scene '{scene.name}' has no camera. Add one, or choose one for the job.")


def apply_parameters(options: argparse.Namespace, layers: Sequence[str]) -> Any:
    """Applies the job's parameters to the open scene and returns it."""
    scene = bpy.data.scenes.get(options.scene)
    if scene is None:
        raise RenderError(
            f"There is no scene '{options.scene}' in {options.file}. It has: {', '.join(bpy.data.scenes.keys())}."
        )
    manager: Any = bpy.context.window_manager
    # A scene that no window shows renders at the frame of the one that is shown, whatever frame it was set to
    # (Blender 4.5).
    for window in manager.windows:
        window.scene = scene
    set_layers(scene, layers)
    set_camera(scene, options.camera)
    scene.render.resolution_x = options.resolution_x
    scene.render.resolution_y = options.resolution_y
    scene.render.resolution_percentage = options.resolution_percentage
    choose_engine(scene, options.engine)
    set_samples(scene, options.samples)
    set_format(scene, options.output_format)
    # Files that exist are written again, and no empty ones are put down for other machines to see.
    scene.render.use_overwrite, scene.render.use_placeholder = True, False
    return scene


def tokens(scene: Any, layers: Sequence[str]) -> dict[str, str]:
    """What the tokens of an output pattern stand for."""
    return {
        "layer": layers[0] if len(layers) == 1 else scene.name,
        "scene": scene.name,
        "camera": scene.camera.name if scene.camera else "camera",
    }


def output_path(files: Any, options: argparse.Namespace, scene: Any, layers: Sequence[str], frame: int) -> str:
    """The file of one frame, without extension: the pattern with its tokens filled in, below the output folder."""
    parts: Sequence[str] = files.fill(options.output_pattern, frame, tokens(scene, layers))
    return os.path.join(str(options.output_dir), *parts)


class Progress:
    """Says how much of the chunk is done, within frames too where the engine counts its samples."""

    def __init__(self, count: int) -> None:
        self.count, self.done, self.last = count, 0, 0.0

    def samples(self, text: Any, *_: Any) -> None:
        """Handler of ``render_stats``: Blender passes its status line."""
        match = _SAMPLE.search(str(text))
        now = time.monotonic()
        if match and now - self.last >= 1.0:
            self.last = now
            say("progress", f"{100.0 * (self.done + int(match[1]) / int(match[2])) / self.count:.1f}")

    def frame(self) -> None:
        """One more frame is written."""
        self.done += 1
        say("progress", f"{100.0 * self.done / self.count:.1f}")


def render(files: Any, options: argparse.Namespace, scene: Any, layers: Sequence[str], frames: Sequence[int]) -> None:
    """Renders the frames one by one and checks that each left an image."""
    progress = Progress(len(frames))
    bpy.app.handlers.render_stats.append(progress.samples)
    templates = has_path_templates(scene)
    for position, frame in enumerate(frames, 1):
        say("status", f"{', '.join(layers)}: frame {frame}, {position} of {len(frames)}")
        scene.frame_set(frame)
        if scene.camera is None and needs_camera(scene):
            raise RenderError(f"The scene '{scene.name}' has no camera at frame {frame}. Choose one for the job.")
        path = output_path(files, options, scene, layers, frame)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        scene.render.filepath = path.replace("{", "{" * 2).replace("}", "}" * 2) if templates else path
        before = time.time()
        try:
            bpy.ops.render.render(write_still=True, scene=scene.name)
        except RuntimeError as error:
            raise RenderError(f"Frame {frame} was not rendered: {error}") from error
        if scene.frame_current != frame:
            raise RenderError(f"Frame {frame} was asked for and frame {scene.frame_current} was rendered.")
        written = path + scene.render.file_extension
        # Stereo scenes put a suffix per view between name and extension, and may write no joint file.
        if not scene.render.use_multiview and not _is_written(written, before):
            raise RenderError(f"Frame {frame} left no image at {written}. See the lines above for Blender's reason.")
        progress.frame()


def _is_written(path: str, since: float) -> bool:
    # File systems keep times at up to two seconds' precision.
    return os.path.isfile(path) and os.path.getsize(path) > 0 and os.path.getmtime(path) >= since - 2.0


def main(arguments: Sequence[str]) -> None:
    """Renders one chunk. Raises ``RenderError`` with what to tell the artist."""
    options = parse_arguments(arguments)
    paths, files = load_module(options.datapaths), load_module(options.frame_files)
    layers = json.loads(options.layers)
    try:
        files.check_pattern(options.output_pattern)
        frames = files.parse_frames(options.frames)
    except ValueError as error:
        raise RenderError(str(error)) from error
    rules: list[dict[str, str]] = []
    if options.has_rules.lower() == "true":
        with open(options.rules, encoding="utf-8") as stream:
            rules = json.load(stream).get("path_mapping_rules", [])
    with open(options.table, encoding="utf-8") as stream:
        table = json.load(stream)
    say("status", f"Opening {os.path.basename(options.file)}")
    open_scene(options.file, options.run_scripts == "TRUE")
    mapper = PathMapper(paths, rules, table, options.original_file, options.file)
    mapper.map_libraries()
    mapper.map_files()
    scene = apply_parameters(options, layers)
    mapper.map_outputs(scene)
    missing = mapper.missing(frames)
    for sentence in missing:
        print(f"Missing: {sentence}", flush=True)
    if missing and options.missing_files == "FAIL":
        more = f", and {len(missing) - 1} more" if len(missing) > 1 else ""
        raise RenderError(f"Missing: {missing[0]}{more}. Submit the job with the file, or allow missing files.")
    render(files, options, scene, layers, frames)


if __name__ == "__main__":
    try:
        main(sys.argv[sys.argv.index("--") + 1 :])
    except RenderError as failure:
        say("fail", str(failure))
        sys.exit(1)
    except Exception as failure:
        say("fail", f"{type(failure).__name__}: {failure}")
        raise
