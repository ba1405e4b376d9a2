"""The steps of a submission before anything is hashed: parameters, controls, asset roots, hashes."""

import re

import pytest
from shotput import _native
from shotput.errors import BundleError, MissingInputsError

SCENE = {"name": "Scene", "type": "PATH", "objectType": "FILE", "dataFlow": "IN"}
FRAMES = {"name": "Frames", "type": "STRING", "default": "1-10"}


def test_values_are_put_in_and_paths_become_references(tmp_path):
    answer = _native.apply_job_parameters([SCENE, FRAMES], {"Scene": "shot.ma", "Frames": "5"}, tmp_path)
    assert answer == {
        "parameters": [{**SCENE, "value": str(tmp_path / "shot.ma")}, {**FRAMES, "value": "5"}],
        "assetReferences": {
            "inputs": {"filenames": [str(tmp_path / "shot.ma")], "directories": []},
            "outputs": {"directories": []},
            "referencedPaths": [],
        },
    }


def test_relative_values_lie_in_the_current_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    answer = _native.apply_job_parameters([SCENE], {"Scene": "shot.ma"})
    assert answer["parameters"][0]["value"] == str(tmp_path / "shot.ma")


def test_a_value_for_nothing_is_refused():
    message = 'There is no parameter "Frame" in the template or in an environment of the queue. Correct the name.'
    with pytest.raises(BundleError, match=f"^{re.escape(message)}$"):
        _native.apply_job_parameters([FRAMES], {"Frame": "5"})


def test_paths_in_a_list_become_references_and_an_address_none(tmp_path):
    scenes = {**SCENE, "name": "Scenes", "type": "LIST[PATH]"}
    values = {"Scenes": ["shot.ma", "s3://studio/shot.ma"]}
    answer = _native.apply_job_parameters([scenes], values, tmp_path, allow_uris=True)
    assert answer["parameters"][0]["value"] == [str(tmp_path / "shot.ma"), "s3://studio/shot.ma"]
    assert answer["assetReferences"]["inputs"]["filenames"] == [str(tmp_path / "shot.ma")]


@pytest.mark.parametrize(
    ("kind", "given", "value"),
    [
        ("INT", "5", 5),
        ("BOOL", "On", True),
        ("LIST[FLOAT]", "[1, 2.5]", [1.0, 2.5]),
        ("LIST[LIST[INT]]", [[1], []], [[1], []]),
    ],
)
def test_a_value_in_its_type(kind, given, value):
    assert _native.coerce_parameter({"name": "P", "type": kind}, given) == value


def test_a_value_that_does_not_fit_is_refused():
    message = 'The parameter "P" cannot be [[1],[1,"x"]]: item 2 is [1,"x"]; item 2 is "x"; it must be a whole number.'
    with pytest.raises(BundleError, match=f"^{re.escape(message)}$"):
        _native.coerce_parameter({"name": "P", "type": "LIST[LIST[INT]]"}, [[1], [1, "x"]])


@pytest.mark.parametrize(
    ("definition", "control"),
    [
        ({"type": "INT"}, "SPIN_BOX"),
        ({"type": "STRING", "allowedValues": ["a"]}, "DROPDOWN_LIST"),
        ({"type": "PATH", "objectType": "FILE", "dataFlow": "OUT"}, "CHOOSE_OUTPUT_FILE"),
        ({"type": "STRING", "userInterface": {"control": "MULTILINE_EDIT"}}, "MULTILINE_EDIT"),
    ],
)
def test_the_control_of_a_definition(definition, control):
    assert _native.get_parameter_control({"name": "P", **definition}) == control


def test_a_control_that_does_not_fit_is_refused():
    message = (
        'The parameter "P" in the call has the control "SPIN_BOX", which does not fit its type STRING; use one of '
        "LINE_EDIT, MULTILINE_EDIT, DROPDOWN_LIST, CHECK_BOX, HIDDEN."
    )
    with pytest.raises(BundleError, match=f"^{re.escape(message)}$"):
        _native.get_parameter_control({"name": "P", "type": "STRING", "userInterface": {"control": "SPIN_BOX"}})


def test_definitions_are_compared_without_their_looks():
    other = {**FRAMES, "minLength": 1, "userInterface": {"label": "F"}}
    assert _native.compare_parameters(FRAMES, {**FRAMES, "userInterface": {"label": "F"}}) == []
    assert _native.compare_parameters(FRAMES, other) == ["minLength"]


def test_paths_are_sorted_under_roots(tmp_path):
    for name in ("project/scene.ma", "library/wood.png", "server/shared.png"):
        (tmp_path / name).parent.mkdir()
        (tmp_path / name).write_text("xyz")
    locations = [
        {"name": "Library", "path": str(tmp_path / "library"), "type": "LOCAL"},
        {"name": "Server", "path": str(tmp_path / "server"), "type": "SHARED"},
    ]
    answer = _native.group_paths(
        [tmp_path / "project/scene.ma", tmp_path / "library/wood.png", tmp_path / "server/shared.png"],
        [tmp_path / "project/out"],
        [tmp_path / "project/gone.png"],
        locations=locations,
    )
    assert answer == {
        "groups": [
            {
                "root": str(tmp_path / "library"),
                "location_name": "Library",
                "inputs": [str(tmp_path / "library/wood.png")],
                "outputs": [],
                "references": [],
            },
            {
                "root": str(tmp_path / "project"),
                "location_name": None,
                "inputs": [str(tmp_path / "project/scene.ma")],
                "outputs": [str(tmp_path / "project/out")],
                "references": [str(tmp_path / "project/gone.png")],
            },
        ],
        "total_files": 2,
        "total_bytes": 6,
        "warnings": [],
    }


def test_a_missing_path_is_a_reference_or_an_error(tmp_path):
    answer = _native.group_paths([tmp_path / "gone.png"])
    assert answer["groups"][0]["references"] == [str(tmp_path / "gone.png")]
    assert answer["warnings"] == [f"The input {tmp_path / 'gone.png'} does not exist and is not uploaded."]
    with pytest.raises(MissingInputsError) as refused:
        _native.group_paths([tmp_path / "gone.png"], require_paths_exist=True)
    assert refused.value.paths == [str(tmp_path / "gone.png")]


def test_a_name_that_is_not_utf8_survives(tmp_path):
    name = b"sc\xe8ne.ma".decode("utf-8", "surrogateescape")
    (tmp_path / name).write_text("x")
    assert _native.group_paths([str(tmp_path / name)])["groups"][0]["inputs"] == [str(tmp_path / name)]


def test_data_is_hashed_as_job_attachments_do():
    assert _native.hash_bytes(b"") == "99aa06d3014798d86001c324468d497f"
