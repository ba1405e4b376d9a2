from __future__ import annotations

import re
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from shotput import _native, hosts
from shotput.errors import SceneError, SettingsError


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


@pytest.fixture(scope="module")
def plain(build: Callable[..., Any]) -> Path:
    scene: Path = build("plain")
    return scene


FIT = "The export setting {} does not fit: {}."


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"frames": "1 to 4"}, "The frames '1 to 4' are no range expression. Write them like 1-10, 1-9:2 or 1,5,9."),
        ({"frames": "1-1000000000"}, "The frames '1-1000000000' are more than 1000000. Split the job."),
        (
            {"frames": "5-1"},
            "The frames '5-1' lead away from their end. Swap first and last, or give a step below 0, as in 10-1:-1.",
        ),
        ({"samples": "many"}, FIT.format("samples=many", "it must be a whole number")),
        ({"chunk_size": "0"}, FIT.format("chunk_size=0", "it must be at least 1")),
        (
            {"resolution_x": "0", "resolution_percentage": "32768", "priority": "101"},
            FIT.format("resolution_x=0", "it must be at least 4")
            + "\n"
            + FIT.format("resolution_percentage=32768", "it must be at most 32767"),
        ),
        ({"priority": "101"}, FIT.format("priority=101", "it must be at most 100")),
        ({"camera": "Red"}, FIT.format("camera=Red", 'it must be one of "", "Camera", "Other"')),
        ({"output_pattern": ""}, FIT.format("output_pattern=", "it must have at least 1 character")),
        (
            {"output_pattern": "../../x####"},
            "The output pattern '../../x####' leads out of the output folder. Make it relative.",
        ),
        (
            {"output_pattern": "a##_b####"},
            "The output pattern 'a##_b####' has the frame number twice. Keep one run of #.",
        ),
        ({"output_path": ""}, "The export setting output_path is empty. Give a value, or leave the setting out."),
        (
            {"layers": "Off"},
            "The view layer 'Off' does not render in scene 'Main'. These do: Beauty, Odd {{name}} / é.",
        ),
        ({"scene": "Third"}, "There is no scene 'Third'. There are: Main, Second."),
    ],
    ids=lambda value: " ".join(f"{name}={text}" for name, text in value.items()) if isinstance(value, dict) else "",
)
def test_wrong_options_are_told_before_anything_is_written(
    plain: Path, blender: Path, tmp_path: Path, options: dict[str, str], message: str
) -> None:
    with pytest.raises(SettingsError) as caught:
        hosts.export_scene(plain, tmp_path / "bundle", executable=blender, options=options)
    assert str(caught.value) == message
    assert Path(caught.value.log).is_file()
    assert not (tmp_path / "bundle").exists()


def test_an_option_that_there_is_not(plain: Path, blender: Path, tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"^There is no export setting 'resolution'\. There are: .*resolution_x, "):
        hosts.export_scene(plain, tmp_path / "bundle", executable=blender, options={"resolution": "3"})


ADVICE = "Open the scene in Blender to see what is wrong with it, or name another Blender with --executable."


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (
            lambda path, good: path.write_bytes(b"not a scene"),
            'Blender cannot export {path}: File format is not supported in file "{path}". ' + ADVICE,
        ),
        (
            lambda path, good: path.write_bytes(good[: len(good) // 2]),
            'Blender cannot export {path}: Loading "{path}" failed: ',
        ),
        (
            lambda path, good: path.write_bytes(b""),
            "The scene {path} is empty (0 bytes). Save it again, or take a backup of it.",
        ),
        (lambda path, good: path.mkdir(), "The scene {path} is no file. Name the scene file itself."),
        # A file that opens and cannot be read, by the superuser neither.
        (
            lambda path, good: path.symlink_to("/proc/self/mem"),
            "The scene {path} cannot be read: Input/output error. Check path and permissions.",
        ),
    ],
    ids=["another kind of file", "half of it", "empty", "folder", "unreadable"],
)
def test_a_scene_that_does_not_open(
    blender: Path, plain: Path, tmp_path: Path, spoil: Callable[[Path, bytes], Any], said: str
) -> None:
    scene = tmp_path / "broken.blend"
    spoil(scene, plain.read_bytes())
    with pytest.raises(SceneError) as caught:
        hosts.export_scene(scene, tmp_path / "bundle", executable=blender)
    told, wanted = str(caught.value), said.format(path=scene)
    if wanted.endswith(" "):
        # Where the half ends is Blender's to say.
        assert told.startswith(wanted)
        assert told.endswith(f". {ADVICE}")
    else:
        assert told == wanted
    if caught.value.log:
        assert "broken.blend" in Path(caught.value.log).read_text("utf-8")
    assert not (tmp_path / "bundle").exists()


def test_a_scene_of_a_newer_blender_is_exported_with_a_warning(
    blender: Path, plain: Path, export: Callable[..., Any], tmp_path: Path
) -> None:
    newer = tmp_path / "newer.blend"
    code = f"import bpy; bpy.ops.wm.save_as_mainfile(filepath={str(newer)!r}, compress=False)"
    subprocess.run([blender, "--background", plain, "--python-expr", code], check=True, capture_output=True)
    content = newer.read_bytes()
    assert content.startswith(b"BLENDER")
    newer.write_bytes(content[:9] + b"999" + content[12:])
    (warning,) = export(newer)[1]["warnings"]
    assert re.fullmatch(
        r"newer\.blend: Saved by Blender 9\.99, opened by \d\.\d, which may not know all that is in it\.", warning
    )


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
