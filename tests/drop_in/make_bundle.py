"""Runs inside Blender: the official Blender submitter makes bundles of the open scene, and may submit them.

Arguments after ``--``: JSON with ``sites`` (folders to import from), ``bundles`` (a folder), ``submit`` and
``variants`` (name to ``{"settings", "host_requirements"}``: a bundle of that name, with those settings other than the
scene's). The scene gets a second view layer and a second camera.
"""

import json
import site
import sys
import types
from pathlib import Path

values = json.loads(sys.argv[-1])
for folder in values["sites"]:
    site.addsitedir(folder)

import bpy  # noqa: E402
import deadline  # noqa: E402

if not any("OpenColorIO" in str(path) for path in sys.path):
    # Blender's own Python has it; the bpy wheel has it in a place that nobody looks at.
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    sys.path.append(str(Path(bpy.utils.resource_path("LOCAL"), "python", "lib", version, "site-packages")))

# The add-on's own __init__ opens dialogs; what makes bundles needs none of it.
name = "deadline_cloud_blender_submitter"
add_on = types.ModuleType(name)
add_on.__path__ = [f"{path}/blender_submitter/addons/{name}" for path in deadline.__path__]
sys.modules[name] = add_on

from deadline.client import api  # noqa: E402
from deadline.client.job_bundle import deadline_yaml_dump  # noqa: E402
from deadline_cloud_blender_submitter.submitter import BlenderSubmitter  # noqa: E402

bpy.context.scene.view_layers.new("Second")
second = bpy.data.objects.new("Second", bpy.data.cameras.new("Second"))
bpy.context.scene.collection.objects.link(second)

jobs = {}
for variant, asked in values["variants"].items():
    submitter = BlenderSubmitter()
    settings = submitter.get_settings()
    for setting, value in asked.get("settings", {}).items():
        assert hasattr(settings, setting), setting
        setattr(settings, setting, value)
    context = submitter.get_submission_context(settings, host_requirements=asked.get("host_requirements"))
    documents = {
        "template": context.job_template,
        "parameter_values": {"parameterValues": context.parameter_values},
        "asset_references": context.asset_references.to_dict(),
    }
    bundle = Path(values["bundles"], variant)
    bundle.mkdir()
    for document, content in documents.items():
        with Path(bundle, f"{document}.yaml").open("w", encoding="utf-8") as stream:
            deadline_yaml_dump(content, stream, indent=1)
    if values["submit"]:
        jobs[variant] = api.create_job_from_job_bundle(
            str(bundle),
            submitter_name="Blender",
            known_asset_paths=[*context.asset_references.input_filenames, *context.asset_references.output_directories],
            from_gui=False,
        )
Path(values["bundles"], "answer.json").write_text(json.dumps({"jobs": jobs, "api": api.__file__}))
