from __future__ import annotations

import json
import tomllib
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from shotput import profile
from shotput.errors import ProfileError

ROOT = Path(__file__).parents[2]
PROFILES = ROOT / "profiles"
SCHEMA = json.loads((PROFILES / "profile.schema.json").read_text("utf-8"))
NAMES = sorted(path.stem for path in PROFILES.glob("*.toml"))


@pytest.fixture
def document() -> dict[str, Any]:
    return tomllib.loads((PROFILES / "blender.toml").read_text("utf-8"))


@pytest.mark.parametrize("name", NAMES)
def test_profiles_keep_the_schema_by_the_full_check_too(name: str) -> None:
    jsonschema.Draft202012Validator.check_schema(SCHEMA)
    jsonschema.validate(tomllib.loads((PROFILES / f"{name}.toml").read_text("utf-8")), SCHEMA)
    loaded = profile.find(name)
    assert loaded.name == name
    assert loaded.package == f"shotput_{name}"


@pytest.mark.parametrize("name", NAMES)
def test_a_frozen_profile_is_the_same_profile(name: str, tmp_path: Path) -> None:
    loaded = profile.find(name)
    frozen = tmp_path / "profile.json"
    frozen.write_text(loaded.frozen(), encoding="utf-8")
    assert profile.load(frozen) == loaded
    assert profile.load(frozen).frozen() == loaded.frozen()


def test_ready_hosts_have_what_their_profile_names() -> None:
    for name in NAMES:
        loaded = profile.find(name)
        folder = ROOT / "integrations" / name / loaded.package
        assert (folder / "__init__.py").is_file()
        if loaded.ready:
            module, _, _ = loaded.submitter.partition(":")
            assert (folder.parent / f"{module.replace('.', '/')}.py").is_file()
            assert (folder / loaded.export_script).is_file()


BREAKS: list[tuple[Any, str, str]] = [
    (lambda d: d["host"].pop("label"), "host", "'label' is missing"),
    (lambda d: d["host"].update(color="red"), "host.color", "is not a known key"),
    (lambda d: d["host"].update(ready="yes"), "host.ready", '"yes" is not of type boolean'),
    (lambda d: d["generations"].clear(), "generations", "is empty"),
    (
        lambda d: d["generations"][1].update(qt="PyQt5"),
        "generations[1].qt",
        "'PyQt5' is not one of none, PySide2, PySide6",
    ),
    (lambda d: d["host"].update(name="Blender"), "host.name", "'Blender' does not match ^[a-z][a-z0-9]*$"),
    (lambda d: d["tokens"].update(frame=""), "tokens.frame", "is empty"),
    (lambda d: d["tokens"].update(frame=4), "tokens.frame", "4 is not of type string"),
    (lambda d: d.pop("render"), "", "'render' is missing"),
]


@pytest.mark.parametrize(("change", "path", "message"), BREAKS)
def test_every_break_is_found_where_it_is(document: dict[str, Any], change: Any, path: str, message: str) -> None:
    change(document)
    assert profile.findings(document, SCHEMA) == [{"path": path, "message": message}]
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(document, SCHEMA)


def test_a_broken_profile_names_file_and_findings(document: dict[str, Any], tmp_path: Path) -> None:
    document["host"]["color"] = "red"
    path = tmp_path / "blender.json"
    path.write_text(json.dumps(document), encoding="utf-8")
    with pytest.raises(ProfileError) as caught:
        profile.load(path)
    assert str(caught.value) == f"The profile {path} breaks its schema: host.color: is not a known key."
    assert caught.value.findings == [{"path": "host.color", "message": "is not a known key"}]


def test_unreadable_profiles(tmp_path: Path) -> None:
    with pytest.raises(ProfileError, match=r"cannot be read: No such file or directory\. Check the path\.$"):
        profile.load(tmp_path / "none.toml")
    (tmp_path / "bad.toml").write_text("a = ")
    with pytest.raises(ProfileError, match=f"^The profile {tmp_path}/bad.toml cannot be understood: "):
        profile.load(tmp_path / "bad.toml")


def test_the_schema_cannot_outgrow_the_check() -> None:
    with pytest.raises(ProfileError) as caught:
        profile.findings({}, {"oneOf": []})
    assert str(caught.value) == "The schema uses ['oneOf'] at '', which this check does not cover. Extend it."


def test_a_host_is_found_by_name_and_by_scene() -> None:
    assert set(NAMES) <= set(profile.names())
    assert profile.for_scene("/x/shot.BLEND").name == "blender"
    assert profile.for_scene("/x/shot.ma").name == "maya"
    with pytest.raises(ProfileError, match=r"^No host opens '\.psd' files \(/x/a\.psd\)\. Scenes end in: \.blend, "):
        profile.for_scene("/x/a.psd")
    with pytest.raises(ProfileError, match=r"^There is no profile for 'paint'\. Known hosts: .*blender.*\.$"):
        profile.find("paint")


def test_a_folder_of_ones_own_comes_first(
    document: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    document["host"]["label"] = "Ours"
    (tmp_path / "blender.json").write_text(json.dumps(document), encoding="utf-8")
    monkeypatch.setenv("SHOTPUT_PROFILES", str(tmp_path))
    assert profile.find("blender").label == "Ours"
    assert "houdini" in profile.names()
