from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from shotput import _native, hosts
from shotput.errors import SceneError


def test_the_template_keeps_the_rules(build: Callable[..., Any], export: Callable[..., Any]) -> None:
    bundle, said = export(build("plain"))
    assert _native.check_template((bundle.folder / "template.yaml").read_text("utf-8")) == []
    assert said["steps"] == ["Beauty", "Odd { {name} } / é"]


def test_two_exports_are_the_same_bytes(build: Callable[..., Any], export: Callable[..., Any]) -> None:
    scene = build("linked")
    first, second = (export(scene)[0].folder for _ in range(2))
    for name in ("template.yaml", "parameter_values.yaml", "asset_references.yaml"):
        assert (first / name).read_bytes() == (second / name).read_bytes()


def test_options_change_the_export(build: Callable[..., Any], export: Callable[..., Any], tmp_path: Path) -> None:
    bundle, _ = export(
        build("plain"), frames="1-4", layers="Beauty", samples="8", output_directory=str(tmp_path), priority="70"
    )
    assert [step["name"] for step in bundle.template["steps"]] == ["Beauty"]
    assert (bundle.values["Frames"], bundle.values["Samples"]) == ("1-4", 8)
    assert (bundle.values["OutputDir"], bundle.values["deadline:priority"]) == (str(tmp_path), 70)
    assert bundle.references["outputs"]["directories"] == [str(tmp_path)]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"frames": "1 to 4"}, "The frames '1 to 4' are no range expression. Write them like 1-10, 1-9:2 or 1,5,9."),
        ({"frames": "1-1000000000"}, "The frames '1-1000000000' are more than 1000000. Split the job."),
        ({"frames": "1-5:0"}, "The frames '1-5:0' have a step of 0. Give a step of 1 or more."),
        ({"samples": "many"}, "The export setting samples=many does not fit: it must be a whole number."),
        (
            {"layers": "Off"},
            "The view layer 'Off' does not render in scene 'Main'. These do: Beauty, Odd {{name}} / é.",
        ),
    ],
)
def test_wrong_options_are_one_sentence(
    build: Callable[..., Any], blender: Path, tmp_path: Path, options: dict[str, str], message: str
) -> None:
    with pytest.raises(SceneError) as caught:
        hosts.export_scene(build("plain"), tmp_path / "bundle", executable=blender, options=options)
    text, _, log = str(caught.value).partition(" Log: ")
    assert text == message
    assert Path(log).is_file()
    assert not (tmp_path / "bundle").exists()


def test_a_file_that_is_no_scene(blender: Path, tmp_path: Path) -> None:
    scene = tmp_path / "broken.blend"
    scene.write_bytes(b"not a scene")
    with pytest.raises(SceneError) as caught:
        hosts.export_scene(scene, tmp_path / "bundle", executable=blender)
    text, _, log = str(caught.value).partition(" Log: ")
    assert text == (
        f"Blender ended with exit code 1 while exporting {scene} and gave no answer. Try to open the scene by hand; "
        "what Blender printed is in the log."
    )
    assert "broken.blend" in Path(log).read_text("utf-8")


def test_a_scene_that_does_not_exist(tmp_path: Path) -> None:
    with pytest.raises(SceneError) as caught:
        hosts.export_scene(tmp_path / "none.blend", tmp_path / "bundle")
    assert str(caught.value) == f"The scene {tmp_path}/none.blend does not exist. Check the path."


def test_a_copy_is_submitted_with_its_changes(
    blender: Path, build: Callable[..., Any], read_bundle: Callable[..., Any], tmp_path: Path
) -> None:
    scene = build("linked")
    before = scene.read_bytes()
    root = Path(__file__).parents[3]
    code = f"""
import sys, json, bpy
sys.path += [{str(root / "integrations/blender")!r}, {str(root / "native/python")!r}, {str(root / "shared_ui")!r}]
from shotput_ui.host import Host
from shotput_blender.host import HOST
from shotput_blender import exporter
assert isinstance(HOST, Host)
assert HOST.scene_path() == {str(scene)!r}
bpy.context.scene.cycles.samples = 5
copy = HOST.save_scene({str(tmp_path / "bundle/scene/shot.blend")!r})
options = dict(scene_file=copy, blender_executable={str(blender)!r})
print("said:" + json.dumps(exporter.export({str(tmp_path / "bundle")!r}, options)))
"""
    done = subprocess.run(
        [str(blender), "--background", str(scene), "--python-exit-code", "1", "--python-expr", code],
        capture_output=True, text=True, timeout=200,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert scene.read_bytes() == before
    bundle = read_bundle(tmp_path / "bundle")

    assert bundle.values["BlenderFile"] == str(tmp_path / "bundle/scene/shot.blend")
    run = bundle.run(tmp_path / "w", frames="1", OutputDir=str(tmp_path / "out"), probe="scene.cycles.samples")
    assert (run.code, run.probe) == (0, 5), run.output


def test_the_extension_registers_and_leaves_nothing(blender: Path) -> None:
    root = Path(__file__).parents[3]
    code = f"""
import sys, bpy
sys.path += [{str(root / "integrations/blender")!r}, {str(root / "native/python")!r}, {str(root / "shared_ui")!r}]
import shotput_blender
for _ in range(2):
    shotput_blender.register()
    assert hasattr(bpy.types, "SHOTPUT_OT_submit") and hasattr(bpy.types, "SHOTPUT_PT_panel")
    shotput_blender.unregister()
    assert not hasattr(bpy.types, "SHOTPUT_OT_submit") and not hasattr(bpy.types, "SHOTPUT_PT_panel")
shotput_blender.register()
try:
    bpy.ops.shotput.submit()
except RuntimeError as error:
    print("said:", error)
"""
    done = subprocess.run(
        [str(blender), "--background", "--python-exit-code", "1", "--python-expr", code],
        capture_output=True, text=True, timeout=200,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert (
        "said: Error: The scene was never saved, so its files have no place. Save it once, then submit." in done.stdout
    )


def test_official_openjd_accepts_the_template(
    build: Callable[..., Any], export: Callable[..., Any], tmp_path: Path
) -> None:
    bundle, _ = export(build("plain"))
    command = ["uvx", "--from", "openjd-cli", "openjd", "check", "--extensions", "TASK_CHUNKING"]
    try:
        done = subprocess.run([*command, str(bundle.folder / "template.yaml")], capture_output=True, text=True)
    except FileNotFoundError:
        pytest.skip("uv is not installed")
    assert done.returncode == 0, done.stdout + done.stderr


def test_modules_of_the_package_load_under_any_name() -> None:
    # An extension is loaded as bl_ext.<repository>.shotput: no module may name its own package.
    package = Path(__file__).parents[3] / "integrations" / "blender" / "shotput_blender"
    named = [
        path.name
        for path in package.rglob("*.py")
        if "from shotput_blender" in path.read_text("utf-8") and path.name != "export_main.py"
    ]
    assert named == []
