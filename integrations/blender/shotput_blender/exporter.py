# SPDX-License-Identifier: GPL-3.0-or-later
"""The open scene as a job bundle: one step per rendered view layer, every setting a job parameter.

``BlenderSubmitter`` answers the four verbs that pipeline tools know; ``export`` writes a bundle with them. Each
parameter made here is applied by ``render/render.py`` on the worker, where a changed value changes the render: the two
files belong together. Saving is decided by the caller and done by the host.
"""

from __future__ import annotations

import dataclasses
import json
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import bpy
from shotput import bundle, profile
from shotput.errors import SceneError, SettingsError
from shotput.frame_files import check_pattern, fill, parse_frames
from shotput.scene import Dependency, RenderUnit, ScanWarning, SceneDescription
from shotput.submitter import Submitter, SubmitterSettings, settings_with

from . import description
from .dependencies import scan_dependencies
from .render.render import needs_camera, tokens

_RENDER = Path(__file__).parent / "render"
# A start of Blender costs seconds, a task that is lost costs its frames: ten frames are a fair unit for both.
_CHUNK = 10
# OpenJD allows no more values in a list, and a list this long helps nobody: people type the name instead.
_MOST_CHOICES = 100


@dataclass
class BlenderSettings(SubmitterSettings):
    """What a submission from Blender can choose. ``get_settings`` fills all of it from the scene.

    ``layers`` names the view layers to render, empty for all that are on; ``camera`` is empty for the scene's own, with
    the cameras of its markers; ``scene_file`` is the .blend to submit when it is not the open one (a copy).
    ``resolution_percentage`` is in percent, resolutions in pixels.
    """

    scene: str = ""
    layers: list[str] = field(default_factory=list)
    camera: str = ""
    resolution_x: int = 1920
    resolution_y: int = 1080
    resolution_percentage: int = 100
    engine: str = "CYCLES"
    samples: int = 128
    output_pattern: str = "####"
    output_format: str = "PNG"
    chunk_size: int = 1
    run_scripts: bool = False
    blender_executable: str = "blender"
    scene_file: str = ""


class BlenderSubmitter(Submitter[BlenderSettings]):
    """The four verbs, for the open scene. A scan is kept for as long as the settings that it depends on stay the
    same."""

    def __init__(self, blender_profile: profile.Profile | None = None) -> None:
        self.profile = blender_profile or own_profile()
        self._scanned: tuple[Any, tuple[Dependency, ...], tuple[ScanWarning, ...]] | None = None

    def get_settings(self, scene_name: str = "") -> BlenderSettings:
        """Settings filled from the named scene, the active one without a name.

        Raises ``SceneError`` for a file that was never saved, and ``SettingsError`` for a scene that is not in it.
        """
        scene: Any = _scene_of(scene_name) if scene_name else bpy.context.scene
        preferences: Any = bpy.context.preferences
        if not bpy.data.filepath:
            raise SceneError("The scene was never saved, so its files have no place. Save it once, then submit.")
        units = description.render_units(scene)
        folder, pattern = description.output_location(scene, len(units))
        return BlenderSettings(
            job_name=Path(bpy.data.filepath).stem,
            frame_list=description.scene_frames(scene).expression,
            project_path=os.path.dirname(os.path.abspath(bpy.data.filepath)),
            output_path=os.path.abspath(folder),
            scene=scene.name,
            # Cameras bound to markers change during the range; naming one would end that.
            camera="" if any(m.camera for m in scene.timeline_markers) or not scene.camera else scene.camera.name,
            resolution_x=scene.render.resolution_x,
            resolution_y=scene.render.resolution_y,
            resolution_percentage=scene.render.resolution_percentage,
            engine=scene.render.engine,
            samples=render_samples(scene),
            output_pattern=pattern,
            output_format=description.output_format(scene),
            chunk_size=min(len(description.scene_frames(scene).frames()), _CHUNK),
            run_scripts=bool(preferences.filepaths.use_scripts_auto_execute),
            blender_executable=self.profile.render_executable,
        )

    def describe(self, settings: BlenderSettings) -> SceneDescription:
        """The chosen scene with the chosen layers, scanned for what the chosen frames need."""
        scene = _scene_of(settings.scene)
        described = description.describe(scene)
        units = self._units(settings, described.units)
        scene_file = settings.scene_file or described.scene_file
        key = (settings.scene, settings.frame_list, scene_file, bpy.data.filepath)
        if self._scanned is None or self._scanned[0] != key:
            try:
                frames = parse_frames(settings.frame_list)
            except ValueError as error:
                raise SettingsError(str(error)) from error
            table = [row.to_dict() for row in self.profile.dependencies]
            self._scanned = (key, *scan_dependencies(table, frames, scene_file))
        return dataclasses.replace(
            described, units=units, dependencies=self._scanned[1], warnings=self._scanned[2] + self._warnings(settings)
        )

    def get_job_template(
        self, settings: BlenderSettings, host_requirements: dict[str, Any] | None = None
    ) -> dict[str, Any]:
        """One step per unit to render; the render script and its table travel in each."""
        return bundle.job_template(
            settings.job_name,
            self._part(settings),
            description=settings.description,
            host_requirements=host_requirements,
        )

    def get_parameter_values(
        self, settings: BlenderSettings, queue_parameters: Sequence[dict[str, Any]] = ()
    ) -> list[dict[str, Any]]:
        """The values of all parameters."""
        return bundle.parameter_values(self._part(settings), settings.job_values(), queue_parameters)

    def get_asset_references(self, settings: BlenderSettings) -> bundle.AssetReferences:
        """The .blend, what the scan found, what the settings add, and the output folder.

        Missing files are listed too, so that whoever submits is stopped by them, unless the settings ignore them.
        """
        scene = self.describe(settings)
        references = bundle.asset_references(scene, settings.scene_file or scene.scene_file, [settings.output_path])
        references.input_filenames |= set(settings.input_filenames)
        references.input_directories |= set(settings.input_directories)
        references.output_directories |= set(settings.output_directories)
        references.output_directories |= description.compositor_folders(_scene_of(settings.scene))
        if settings.missing_files == "FAIL":
            references.input_filenames |= {item.path for item in scene.missing if not item.directory}
            references.input_directories |= {item.path for item in scene.missing if item.directory}
        return references

    def _units(self, settings: BlenderSettings, units: tuple[RenderUnit, ...]) -> tuple[RenderUnit, ...]:
        if not settings.layers:
            return units
        known = [name for unit in units for name in unit.layers]
        unknown = [name for name in settings.layers if name not in known]
        if unknown:
            raise SettingsError(
                f"The view layer '{unknown[0]}' does not render in scene '{settings.scene}'. "
                f"These do: {', '.join(known) or 'none'}."
            )
        for unit in units:
            left_out = [name for name in unit.layers if name not in settings.layers]
            if left_out and len(left_out) < len(unit.layers):
                raise SettingsError(
                    f"The layers {', '.join(unit.layers)} make one picture in scene '{settings.scene}', so they render "
                    f"together. Choose '{left_out[0]}' too, or none of them."
                )
        return tuple(unit for unit in units if any(name in settings.layers for name in unit.layers))

    def _warnings(self, settings: BlenderSettings) -> tuple[ScanWarning, ...]:
        warnings = []
        chosen = _scene_of(settings.scene).render.image_settings.file_format
        if chosen not in description.IMAGE_FORMATS:
            text = f"Films ({chosen}) do not render in chunks; PNG is written."
            warnings.append(ScanWarning(f'scene "{settings.scene}"', text))
        saved, own = bpy.data.version[:2], bpy.app.version[:2]
        if saved > own:
            text = "Saved by Blender {}.{}, opened by {}.{}, which may not know all that is in it."
            warnings.append(ScanWarning(os.path.basename(bpy.data.filepath), text.format(*saved, *own)))
        return tuple(warnings)

    def _part(self, settings: BlenderSettings) -> bundle.HostPart:
        scene = _scene_of(settings.scene)
        _refuse_without_camera(scene, settings.camera)
        units = self._units(settings, description.render_units(scene))
        _refuse_one_file_for_two(settings, scene, units)
        names = bundle.step_names([unit.name for unit in units])
        return bundle.HostPart(
            parameters=self._parameters(settings, scene),
            steps=tuple(
                bundle.RenderStep(name, "{{Param.BlenderExecutable}}", self._arguments(unit.layers))
                for name, unit in zip(names, units)
            ),
            files=(
                bundle.EmbeddedFile("Render", "render.py", (_RENDER / "render.py").read_text(encoding="utf-8")),
                bundle.EmbeddedFile(
                    "DataPaths", "datapaths.py", (_RENDER / "datapaths.py").read_text(encoding="utf-8")
                ),
                bundle.frame_files_module(),
                bundle.EmbeddedFile("Table", "table.json", self._table()),
            ),
        )

    def _table(self) -> str:
        rows = [json.dumps(row.to_dict()) for row in self.profile.dependencies]
        return "[\n" + ",\n".join(rows) + "\n]\n"

    def _arguments(self, layers: Sequence[str]) -> tuple[str, ...]:
        # A layer's name may look like a format string; written as JSON, its braces can be escaped.
        literal = json.dumps(list(layers)).replace("{", "\\u007b").replace("}", "\\u007d")
        given = {
            "file": "{{Param.BlenderFile}}",
            # The path as submitted, before the worker's mapping: relative paths in the scene start there.
            "original-file": "{{RawParam.BlenderFile}}",
            "scene": "{{Param.Scene}}",
            "layers": literal,
            "camera": "{{Param.Camera}}",
            "frames": "{{Task.Param.Frame}}",
            "resolution-x": "{{Param.ResolutionX}}",
            "resolution-y": "{{Param.ResolutionY}}",
            "resolution-percentage": "{{Param.ResolutionPercentage}}",
            "engine": "{{Param.Engine}}",
            "samples": "{{Param.Samples}}",
            "output-dir": "{{Param.OutputDir}}",
            "output-pattern": "{{Param.OutputPattern}}",
            "output-format": "{{Param.OutputFormat}}",
            "missing-files": "{{Param.MissingFiles}}",
            "run-scripts": "{{Param.RunScripts}}",
            "has-rules": "{{Session.HasPathMappingRules}}",
            "rules": "{{Session.PathMappingRulesFile}}",
            "datapaths": "{{Task.File.DataPaths}}",
            "frame-files": "{{Task.File.FrameFiles}}",
            "table": "{{Task.File.Table}}",
        }
        own = tuple(f"--{name}={value}" for name, value in given.items())
        return (*self.profile.render_arguments, "{{Task.File.Render}}", "--", *own)

    def _parameters(self, settings: BlenderSettings, scene: Any) -> tuple[bundle.JobParameter, ...]:
        parameter = bundle.JobParameter
        scene_file = settings.scene_file or os.path.abspath(bpy.data.filepath)
        what, look, output, render = "What is rendered", "Look", "Output", "Worker"
        # An add-on's engine, and an object that is no camera, are known by being the scene's own.
        engines = _with(description.ENGINES, scene.render.engine)
        cameras = _with(("", *description.cameras(scene)), scene.camera.name if scene.camera else "")
        return (
            parameter(
                "BlenderFile", "PATH", scene_file, "Scene file", "The .blend that is rendered.", what,
                "CHOOSE_INPUT_FILE", object_type="FILE", data_flow="IN", setting="scene_file",
            ),
            _choice("Scene", settings.scene, tuple(bpy.data.scenes.keys()), "Scene", "The scene in the file.", what),
            parameter(
                "Frames", "STRING", settings.frame_list, "Frames", "Frames as ranges: 1-10, 1-9:2, 1,5,9.", what,
                "LINE_EDIT", min_length=1, setting="frame_list",
            ),
            parameter(
                "ChunkSize", "INT", settings.chunk_size, "Frames per task",
                "How many frames one start of Blender renders.", what, "SPIN_BOX", min_value=1,
                setting="chunk_size",
            ),
            _choice(
                "Camera", settings.camera, cameras, "Camera",
                "The camera; empty for the scene's own, with the cameras of its markers.", what,
            ),
            parameter(
                "ResolutionX", "INT", settings.resolution_x, "Width", "Pixels across, before the percentage.", look,
                "SPIN_BOX", min_value=4, max_value=65536, setting="resolution_x",
            ),
            parameter(
                "ResolutionY", "INT", settings.resolution_y, "Height", "Pixels down, before the percentage.", look,
                "SPIN_BOX", min_value=4, max_value=65536, setting="resolution_y",
            ),
            parameter(
                "ResolutionPercentage", "INT", settings.resolution_percentage, "Percentage",
                "How much of the resolution is rendered, in percent.", look, "SPIN_BOX", min_value=1, max_value=32767,
                setting="resolution_percentage",
            ),
            _choice("Engine", settings.engine, engines, "Engine", "The render engine.", look),
            parameter(
                "Samples", "INT", settings.samples, "Samples",
                "Samples per pixel. View layers with a number of their own keep it until this is changed.", look,
                "SPIN_BOX", min_value=0, max_value=16777216, setting="samples",
            ),
            parameter(
                "OutputDir", "PATH", settings.output_path, "Output folder", "Where the frames go.", output,
                "CHOOSE_DIRECTORY", object_type="DIRECTORY", data_flow="OUT", setting="output_path",
            ),
            parameter(
                "OutputPattern", "STRING", settings.output_pattern, "File names",
                "Below the output folder, without extension. #### is the frame; <layer>, <scene>, <camera> are names.",
                output, "LINE_EDIT", min_length=1, setting="output_pattern", rule=check_pattern,
            ),
            _choice(
                "OutputFormat", settings.output_format, description.IMAGE_FORMATS, "Format", "The image format.", output
            ),
            _choice(
                "MissingFiles", settings.missing_files, ("FAIL", "IGNORE"), "Missing files",
                "FAIL ends the task when a file of the scene is missing; IGNORE renders without it.", render,
            ),
            _choice(
                "RunScripts", "TRUE" if settings.run_scripts else "FALSE", ("TRUE", "FALSE"), "Run scripts",
                "Whether Python in the scene (drivers, registered texts) may run.", render, "CHECK_BOX",
            ),
            parameter(
                "BlenderExecutable", "STRING", settings.blender_executable, "Blender",
                "The program that the worker starts.", render, "LINE_EDIT", min_length=1, setting="blender_executable",
            ),
        )  # fmt: skip


def _scene_of(name: str) -> Any:
    scene = bpy.data.scenes.get(name)
    if scene is None:
        raise SettingsError(f"There is no scene '{name}'. There are: {', '.join(bpy.data.scenes.keys())}.")
    return scene


def _refuse_without_camera(scene: Any, camera: str) -> None:
    if camera or scene.camera or not needs_camera(scene) or any(marker.camera for marker in scene.timeline_markers):
        return
    found = description.cameras(scene)
    advice = f"Make one active, or choose it: camera={found[0]}." if found else "Add one."
    raise SceneError(f"The scene '{scene.name}' has no active camera, so nothing can be rendered. {advice}")


def _refuse_one_file_for_two(settings: BlenderSettings, scene: Any, units: Sequence[RenderUnit]) -> None:
    """Of two layers that write one file, the second would take the first one's picture away, and nobody would say."""
    writers: dict[str, str] = {}
    for unit in units:
        try:
            name = "/".join(fill(settings.output_pattern, 1, tokens(scene, unit.layers)))
        except ValueError:
            return  # said by the pattern's own rule
        other = writers.setdefault(os.path.normcase(name), unit.name)
        if other != unit.name:
            advice = "Rename one of them" if "<layer>" in settings.output_pattern else "Put <layer> into the pattern"
            raise SettingsError(
                f"The view layers '{other}' and '{unit.name}' would write the same files with the output pattern "
                f"'{settings.output_pattern}'. {advice}."
            )


def _with(choices: tuple[str, ...], value: str) -> tuple[str, ...]:
    return choices if value in choices else (*choices, value)


def _choice(
    name: str, value: str, choices: tuple[str, ...], label: str, text: str, group: str, control: str = "DROPDOWN_LIST"
) -> bundle.JobParameter:
    setting = re.sub("(?<!^)(?=[A-Z])", "_", name).lower()
    if len(choices) > _MOST_CHOICES:
        if value not in choices:
            raise SettingsError(f"The export setting {setting}={value} does not fit: the scene has none of that name.")
        return bundle.JobParameter(name, "STRING", value, label, text, group, "LINE_EDIT", setting=setting)
    return bundle.JobParameter(name, "STRING", value, label, text, group, control, choices, setting=setting)


def render_samples(scene: Any) -> int:
    """The samples that the scene's engine renders with; 0 for an engine that has none."""
    engine = scene.render.engine
    if engine == "CYCLES":
        return int(scene.cycles.samples)
    if engine.startswith("BLENDER_EEVEE"):
        return int(scene.eevee.taa_render_samples)
    if engine == "BLENDER_WORKBENCH":
        return {"OFF": 0, "FXAA": 1}.get(scene.display.render_aa) or int(scene.display.render_aa.replace("OFF", "0"))
    return 0


def own_profile() -> profile.Profile:
    """The profile that the add-on was built with; in the repository, the one that it will be built with."""
    frozen = Path(__file__).parent / "profile.json"
    return profile.load(frozen) if frozen.is_file() else profile.find("blender")


def export(directory: str | os.PathLike[str], options: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """Writes the open scene's bundle and says what is in it, as plain data.

    Keys: ``bundle``, ``scene``, ``steps`` (names), ``missing`` (path and owners of each), ``warnings`` (texts) and
    ``description`` (the whole scene description). Raises ``SettingsError``, ``SceneError``, ``TemplateError`` and
    ``BundleError``.
    """
    submitter = BlenderSubmitter()
    # What is not set is as in the scene that is rendered, whichever was open.
    settings = settings_with(submitter.get_settings(str((options or {}).get("scene", ""))), options or {})
    # A wrong setting is told before the scan takes its time.
    template = submitter.get_job_template(settings)
    values = submitter.get_parameter_values(settings)
    scene = submitter.describe(settings)
    folder = bundle.write_bundle(directory, template, values, submitter.get_asset_references(settings))
    return {
        "bundle": str(folder),
        "scene": settings.scene_file or scene.scene_file,
        "steps": [step["name"] for step in template["steps"]],
        "missing": [{"path": item.path, "owners": [str(owner) for owner in item.owners]} for item in scene.missing],
        "warnings": [f"{warning.subject}: {warning.message}" for warning in scene.warnings],
        "description": scene.to_dict(),
    }
