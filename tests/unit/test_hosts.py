from __future__ import annotations

import json
import os
import stat
import tomllib
from pathlib import Path
from typing import Any

import pytest
from shotput import hosts, local_farm
from shotput.errors import SceneError

ROOT = Path(__file__).parents[2]


@pytest.fixture
def made_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """A made-up host, whose program is a shell script: (the scene, a function that writes the program)."""
    document = tomllib.loads((ROOT / "profiles" / "blender.toml").read_text("utf-8"))
    document["host"].update(name="sketch", label="Sketch")
    document["exporter"].update(package="shotput_sketch", submitter="shotput_sketch.exporter:Sketch")
    document["export"].update(
        suffixes=[".sketch"],
        executables=["sketch-for-tests"],
        variable="SHOTPUT_SKETCH",
        command=["{executable}", "{scene}", "--output", "{bundle}", "--options", "{options}"],
    )
    (tmp_path / "profiles").mkdir()
    (tmp_path / "profiles" / "sketch.json").write_text(json.dumps(document), encoding="utf-8")
    package = tmp_path / "integrations" / "sketch" / "shotput_sketch"
    package.mkdir(parents=True)
    (package / "export_main.py").write_text("")
    monkeypatch.setenv("SHOTPUT_PROFILES", str(tmp_path / "profiles"))
    monkeypatch.setenv("SHOTPUT_INTEGRATIONS", str(tmp_path / "integrations"))
    monkeypatch.setenv("SHOTPUT_DATA_DIR", str(tmp_path / "data"))
    monkeypatch.delenv("SHOTPUT_SKETCH", raising=False)
    scene = tmp_path / "a.sketch"
    scene.write_text("a scene")

    def program(body: str) -> Path:
        path = tmp_path / "sketch"
        path.write_text(f"#!/bin/sh\n{body}\n")
        path.chmod(path.stat().st_mode | stat.S_IEXEC)
        return path

    return scene, program


def test_the_command_is_the_profiles(made_up: Any, tmp_path: Path) -> None:
    scene, program = made_up
    body = """printf 'noise\\nshotput-result:{"ok": true, "result": {"said": "%s", "options": %s}}\\n' "$1|$3" "$5" """
    path = program(body)
    result = hosts.export_scene(scene, tmp_path / "bundle", executable=path, options={"frames": "1-2"})
    assert result["said"] == f"{scene}|{tmp_path}/bundle"
    # The worker would not find this program by its plain name, so the bundle names it.
    assert result["options"] == {"frames": "1-2", "blender_executable": str(path)}
    assert "noise" in Path(result["log"]).read_text("utf-8")


def test_what_the_exporter_refuses_is_its_sentence(made_up: Any, tmp_path: Path) -> None:
    scene, program = made_up
    path = program("""echo 'shotput-result:{"ok": false, "kind": "SceneError", "error": "No layer."}'; exit 1""")
    with pytest.raises(SceneError) as caught:
        hosts.export_scene(scene, tmp_path / "bundle", executable=path)
    assert str(caught.value) == "No layer."
    assert Path(caught.value.log).is_file()


def test_a_host_that_crashes(made_up: Any, tmp_path: Path) -> None:
    scene, program = made_up
    with pytest.raises(SceneError) as caught:
        hosts.export_scene(scene, tmp_path / "bundle", executable=program("echo broken >&2; exit 11"))
    assert str(caught.value) == (
        f"Sketch cannot export {scene}: it ended with exit code 11 and did not say why. Open the scene in Sketch to "
        "see what is wrong with it, or name another Sketch with --executable."
    )
    assert Path(caught.value.log).read_text("utf-8") == "broken\n"


def test_a_host_that_says_why(made_up: Any, tmp_path: Path) -> None:
    scene, program = made_up
    path = program("echo 'Error: no such layer.'; echo 'Error: giving up'; exit 1")
    with pytest.raises(SceneError) as caught:
        hosts.export_scene(scene, tmp_path / "bundle", executable=path)
    assert str(caught.value) == (
        f"Sketch cannot export {scene}: no such layer. Open the scene in Sketch to see what is wrong with it, or name "
        "another Sketch with --executable."
    )


def test_what_hosts_say_is_kept_for_its_user_and_not_for_ever(made_up: Any, tmp_path: Path) -> None:
    scene, program = made_up
    path = program("""echo 'shotput-result:{"ok": true, "result": {}}'""")
    folder = hosts.log_folder()
    assert folder == local_farm.data_dir() / "logs" / "hosts"
    first = Path(hosts.export_scene(scene, tmp_path / "bundle", executable=path)["log"])
    assert (stat.S_IMODE(folder.stat().st_mode), stat.S_IMODE(first.stat().st_mode)) == (0o700, 0o600)
    os.utime(first, (0, 0))
    for number in range(30):
        (folder / f"sketch-{number}.log").write_text("older")
        os.utime(folder / f"sketch-{number}.log", (number, number))
    last = Path(hosts.export_scene(scene, tmp_path / "bundle", executable=path)["log"])
    assert set(folder.iterdir()) == {last, *(folder / f"sketch-{number}.log" for number in range(11, 30))}


def test_a_log_folder_that_cannot_be_written_is_named(made_up: Any, tmp_path: Path) -> None:
    scene, program = made_up
    local_farm.data_dir().mkdir(parents=True)
    (local_farm.data_dir() / "logs").write_text("in the way")
    with pytest.raises(SceneError) as caught:
        hosts.export_scene(scene, tmp_path / "bundle", executable=program("true"))
    assert str(caught.value) == (
        f"No log can be written to {hosts.log_folder()}: File exists. Make it writable, or name another folder in "
        "SHOTPUT_DATA_DIR."
    )


def test_a_host_that_hangs(made_up: Any, tmp_path: Path) -> None:
    scene, program = made_up
    path = program("exec sleep 60")
    with pytest.raises(SceneError) as caught:
        hosts.export_scene(scene, tmp_path / "bundle", executable=path, timeout=1.0)
    assert str(caught.value) == f"Sketch did not export {scene} within 1 s and was ended."
    assert Path(caught.value.log).is_file()


def test_a_host_that_is_not_there(made_up: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    scene, program = made_up
    with pytest.raises(SceneError) as caught:
        hosts.export_scene(scene, tmp_path / "bundle")
    assert str(caught.value) == (
        "Sketch was not found: there is no sketch-for-tests on PATH. Install it, or say where it is with "
        "--executable or the environment variable SHOTPUT_SKETCH."
    )
    with pytest.raises(SceneError) as caught:
        hosts.find_executable("sketch", "/nowhere/sketch")
    assert str(caught.value) == "Sketch cannot be started: /nowhere/sketch is no program. Check the path."
    path = program("true")
    monkeypatch.setenv("SHOTPUT_SKETCH", str(path))
    assert hosts.find_executable("sketch") == path


def test_a_host_without_exporter(made_up: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    scene, program = made_up
    monkeypatch.setenv("SHOTPUT_INTEGRATIONS", str(tmp_path / "empty"))
    with pytest.raises(SceneError, match=r"^Sketch cannot export yet: shotput_sketch is not installed\. Looked in "):
        hosts.export_scene(scene, tmp_path / "bundle", executable=program("true"))


def test_a_host_that_is_not_ready_says_so_and_not_that_a_program_is_missing(tmp_path: Path) -> None:
    scene = tmp_path / "shot.ma"
    scene.write_text("//Maya ASCII scene")
    with pytest.raises(SceneError) as raised:
        hosts.export_scene(scene, tmp_path / "bundle")
    assert str(raised.value) == (
        "shot.ma cannot be exported: Shotput for Maya is not ready yet. `shotput submit` takes a bundle that you write "
        "by hand."
    )
