"""Every parameter of the job changes what the worker renders: read back in its Blender, from pixels or from file
names."""

from __future__ import annotations

import re
import shutil
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from shotput import _native

PROBE = """{
    "file": bpy.data.filepath, "x": scene.render.resolution_x, "y": scene.render.resolution_y,
    "percentage": scene.render.resolution_percentage, "engine": scene.render.engine, "samples": scene.cycles.samples,
    "camera": scene.camera.name, "format": scene.render.image_settings.file_format,
    "ran": bpy.data.scenes["Main"].get("ran"),
    "layers": [layer.name for layer in scene.view_layers if layer.use], "frame": scene.frame_current,
}""".replace("\n", " ")


@pytest.fixture(scope="module")
def plain(build: Callable[..., Any], export: Callable[..., Any]) -> tuple[Path, Any, dict[str, Any]]:
    scene = build("plain")
    bundle, said = export(scene)
    return scene, bundle, said


@pytest.fixture(scope="module")
def as_exported(plain: Any, tmp_path_factory: pytest.TempPathFactory) -> Any:
    work = tmp_path_factory.mktemp("as-exported")
    return work, plain[1].run(work / "w", frames="3,7", OutputDir=str(work / "out"), probe=PROBE)


@pytest.fixture(scope="module")
def changed(plain: Any, tmp_path_factory: pytest.TempPathFactory) -> Any:
    work = tmp_path_factory.mktemp("changed")
    copy = work / "elsewhere" / "scene" / "copy.blend"
    copy.parent.mkdir(parents=True)
    shutil.copy(plain[0], copy)
    shutil.copytree(plain[0].parents[1] / "maps", work / "elsewhere" / "maps")
    values = {
        "BlenderFile": str(copy), "Scene": "Second", "Camera": "Other", "ResolutionX": 40, "ResolutionY": 20,
        "ResolutionPercentage": 50, "Engine": "CYCLES", "Samples": 3, "OutputDir": str(work / "out"),
        "OutputPattern": "<scene>/<camera>/<layer>_##_end", "OutputFormat": "JPEG", "RunScripts": "TRUE",
    }  # fmt: skip
    return work, copy, plain[1].run(work / "w", frames="5", probe=PROBE, **values)


def test_values_are_those_of_the_scene(plain: Any, blender: Path) -> None:
    scene, bundle, said = plain
    own = {name: value for name, value in bundle.values.items() if not name.startswith("deadline:")}
    executable = own.pop("BlenderExecutable")
    assert executable in ("blender", str(blender))
    assert own == {
        "BlenderFile": str(scene), "Scene": "Main", "Frames": "3-11:4", "ChunkSize": 3, "Camera": "Camera",
        "ResolutionX": 32, "ResolutionY": 18, "ResolutionPercentage": 100, "Engine": "CYCLES", "Samples": 1,
        "OutputDir": str(scene.parents[1] / "out"), "OutputPattern": "<layer>/pic_##", "OutputFormat": "PNG",
        "MissingFiles": "FAIL", "RunScripts": "FALSE",
    }  # fmt: skip
    assert said["warnings"] == []


def test_one_step_per_layer_that_is_on(plain: Any) -> None:
    assert [step["name"] for step in plain[1].template["steps"]] == ["Beauty", "Odd { {name} } / é"]


def test_the_scene_renders_as_it_is(plain: Any, as_exported: Any) -> None:
    work, run = as_exported
    assert run.code == 0, run.output
    assert run.probe == {
        "file": str(plain[0]), "x": 32, "y": 18, "percentage": 100, "engine": "CYCLES", "samples": 1,
        "camera": "Camera", "format": "PNG", "ran": None, "layers": ["Beauty"], "frame": 7,
    }  # fmt: skip
    assert sorted(path.relative_to(work / "out").as_posix() for path in (work / "out").rglob("*.*")) == [
        "Beauty/pic_03.png",
        "Beauty/pic_07.png",
    ]


def test_progress_and_status_are_told(as_exported: Any) -> None:
    run = as_exported[1]
    assert run.says("status") == ["Opening plain.blend", "Beauty: frame 3, 1 of 2", "Beauty: frame 7, 2 of 2"]
    assert [float(text) for text in run.says("progress")][-1] == 100.0
    assert "50.0" in run.says("progress")


def test_every_changed_value_takes_effect(changed: Any) -> None:
    work, copy, run = changed
    assert run.code == 0, run.output
    assert run.probe == {
        "file": str(copy), "x": 40, "y": 20, "percentage": 50, "engine": "CYCLES", "samples": 3, "camera": "Other",
        "format": "JPEG", "ran": 1, "layers": ["Beauty"], "frame": 5,
    }  # fmt: skip
    files = [path.relative_to(work / "out").as_posix() for path in (work / "out").rglob("*.*")]
    assert files == ["Second/Other/Beauty_05_end.jpg"]
    assert _jpeg_size((work / "out" / files[0]).read_bytes()) == (20, 10)


def _jpeg_size(content: bytes) -> tuple[int, int]:
    place = content.index(b"\xff\xc0") + 5
    return int.from_bytes(content[place + 2 : place + 4], "big"), int.from_bytes(content[place : place + 2], "big")


def test_the_camera_is_the_one_that_is_seen(changed: Any, as_exported: Any, plain: Any, tmp_path: Path) -> None:
    middle = "[round(v) for v in bpy.data.images.load({!r}).pixels[:3]]"
    seen = {}
    for camera in ("Camera", "Other"):
        path = tmp_path / camera / "a1.png"
        run = plain[1].run(
            tmp_path / f"w{camera}", frames="1", Camera=camera, OutputDir=str(path.parent), OutputPattern="a#",
            probe=middle.format(str(path)),
        )  # fmt: skip
        seen[camera] = run.probe
    assert seen == {"Camera": [1, 0, 0], "Other": [0, 1, 0]}


def test_frames_and_chunk_size_make_the_tasks(plain: Any) -> None:
    template = plain[1].template

    def chunks(frames: str, size: int) -> list[str]:
        own = {name: value for name, value in plain[1].values.items() if not name.startswith("deadline:")}
        job = _native.create_job(
            template, {**own, "Frames": frames, "ChunkSize": size}, job_template_dir="/", current_dir="/"
        )
        space = job.steps[0].parameter_space
        return [str(space.get(number)["Frame"]["value"]) for number in range(len(space))]

    assert chunks("3-11:4", 3) == ["3-11:4"]
    assert chunks("3-11:4", 2) == ["3,7", "11"]
    assert chunks("1-4", 1) == ["1", "2", "3", "4"]


def test_the_program_is_the_one_that_is_named(plain: Any, blender: Path, tmp_path: Path) -> None:
    other = tmp_path / "my blender"
    other.write_text(f'#!/bin/sh\necho "started by name"\nexec "{blender}" "$@"\n')
    other.chmod(other.stat().st_mode | stat.S_IEXEC)
    run = plain[1].run(tmp_path / "w", frames="1", OutputDir=str(tmp_path / "out"), BlenderExecutable=str(other))
    assert run.code == 0, run.output
    assert "started by name" in run.output


def test_the_step_of_a_layer_renders_that_layer(plain: Any, tmp_path: Path) -> None:
    run = plain[1].run(tmp_path / "w", frames="3", step=1, OutputDir=str(tmp_path / "out"), probe=PROBE)
    assert run.code == 0, run.output
    assert run.probe["layers"] == ["Odd {{name}} / é"]
    assert (tmp_path / "out" / "Odd __name__ _ é" / "pic_03.png").is_file()


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"Scene": "Third"}, r"There is no scene 'Third' in .*plain\.blend\. It has: Main, Second\."),
        ({"Camera": "Red"}, r"The scene 'Main' has no camera 'Red'\. It has: Camera, Other\."),
        ({"Engine": "LUXCORE"}, r"This worker's Blender .* has no render engine 'LUXCORE'\. .*"),
        ({"OutputFormat": "GIF"}, r"This worker's Blender .* writes no 'GIF'\. Choose another output format\."),
        ({"OutputPattern": "../a"}, r"The output pattern '\.\./a' leads out of the output folder\. Make it relative\."),
        ({"BlenderFile": "/nowhere/a.blend"}, r"The scene /nowhere/a\.blend does not exist on this worker\. .*"),
    ],
)
def test_what_cannot_be_done_fails_with_one_sentence(plain: Any, tmp_path: Path, values: Any, message: str) -> None:
    run = plain[1].run(tmp_path / "w", frames="3", **{"OutputDir": str(tmp_path / "out"), **values})
    assert run.code == 1
    assert len(run.says("fail")) == 1
    assert re.fullmatch(message, run.says("fail")[0]), run.says("fail")
    assert not list(tmp_path.glob("out/**/*.png"))
