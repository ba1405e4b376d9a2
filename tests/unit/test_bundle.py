from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from shotput import _native, bundle, yamltext
from shotput.errors import BundleError
from shotput.scene import Dependency, Owner, SceneDescription, Verdict
from shotput.submitter import SubmitterSettings

FRAMES = bundle.JobParameter("Frames", "STRING", "1-9:2", "Frames", "Which frames.", "What", "LINE_EDIT", min_length=1)
CHUNK = bundle.JobParameter("ChunkSize", "INT", 2, "Chunk", "How many.", "What", "SPIN_BOX", min_value=1)
FILE = bundle.JobParameter(
    "File", "PATH", "/s/a.x", "File", "The scene.", control="CHOOSE_INPUT_FILE", object_type="FILE", data_flow="IN"
)
PART = bundle.HostPart(
    (FILE, FRAMES, CHUNK),
    (bundle.RenderStep("Beauty", "{{Param.File}}", ("{{Task.File.Run}}", "{{Task.Param.Frame}}")),),
    (bundle.EmbeddedFile("Run", "run.py", "print('é')\n\nif True:\n    pass\n"),),
)

TEXT = st.text(st.characters(exclude_categories=("Cs",))) | st.text(
    alphabet="a:#- \n'\"{}[]|>%@`!&*?,\t0.", max_size=20
)
VALUES: Any = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | TEXT,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXT, inner, max_size=4),
    max_leaves=20,
)


@given(st.dictionaries(TEXT.filter(lambda key: key != "<<"), VALUES))
def test_what_is_written_is_what_is_read(document: dict[str, Any]) -> None:
    assert _native.parse_template(yamltext.dump(document)) == document


@pytest.mark.parametrize(
    "text", ["no", "1-10", "0x1f", "1e3", "~", "null", "=", "2026-11-21", " x", "x ", "a: b", "x #y", ""]
)
def test_texts_stay_texts(text: str) -> None:
    assert _native.parse_template(yamltext.dump({"a": text, "b": [text]})) == {"a": text, "b": [text]}


def test_scripts_are_blocks_that_people_can_read() -> None:
    assert yamltext.dump({"a": [{"data": "x = 1\n\nif x:\n    y()\n"}]}) == (
        "a:\n- data: |2\n    x = 1\n\n    if x:\n        y()\n"
    )


def test_other_values_are_refused() -> None:
    with pytest.raises(
        TypeError,
        match=r"^A (Posix|Windows)Path cannot be written to YAML; pass strings, numbers, lists and mappings\.$",
    ):
        yamltext.dump({"a": Path("/x")})
    with pytest.raises(TypeError, match=r"^The key 1 is not a string; job bundles have string keys only\.$"):
        yamltext.dump({1: "x"})  # type: ignore[dict-item]


def test_the_template_is_a_job() -> None:
    template = bundle.job_template("Shot {{x}}\n", PART, description="d", host_requirements={"amounts": []})
    assert template["name"] == "Shot { {x} }"
    assert template["extensions"] == ["TASK_CHUNKING"]
    assert template["steps"][0]["hostRequirements"] == {"amounts": []}
    assert template["steps"][0]["parameterSpace"]["taskParameterDefinitions"] == [
        {
            "name": "Frame",
            "type": "CHUNK[INT]",
            "range": "{{Param.Frames}}",
            "chunks": {"defaultTaskCount": "{{Param.ChunkSize}}", "rangeConstraint": "NONCONTIGUOUS"},
        }
    ]
    assert template["parameterDefinitions"][0] == {
        "name": "File",
        "type": "PATH",
        "description": "The scene.",
        "objectType": "FILE",
        "dataFlow": "IN",
        "userInterface": {"control": "CHOOSE_INPUT_FILE", "label": "File"},
    }
    assert _native.check_template(yamltext.dump(bundle.job_template("Shot", PART))) == []


def test_a_job_without_steps_is_refused() -> None:
    with pytest.raises(BundleError) as caught:
        bundle.job_template("x", bundle.HostPart((), (), ()))
    assert str(caught.value) == (
        "The job has no step: nothing in the scene is set to render. Enable a layer and export again."
    )


@pytest.mark.parametrize("braces", ["{{", "}}"])
def test_a_script_with_two_braces_is_refused(braces: str) -> None:
    files = (bundle.EmbeddedFile("Run", "run.py", f"'{braces}'"),)
    with pytest.raises(BundleError) as caught:
        bundle.job_template("x", bundle.HostPart(PART.parameters, PART.steps, files))
    assert str(caught.value) == f"The embedded file run.py has '{braces}' in it, which OpenJD would read."


def test_values_of_job_service_and_queue() -> None:
    settings = SubmitterSettings(priority=60, max_worker_count=3)
    values = bundle.parameter_values(
        PART, settings.job_values(), [{"name": "CondaPackages", "value": "x"}, {"name": "Q"}]
    )
    assert {item["name"]: item["value"] for item in values} == {
        "deadline:priority": 60,
        "deadline:targetTaskRunStatus": "READY",
        "deadline:maxFailedTasksCount": 20,
        "deadline:maxRetriesPerTask": 5,
        "deadline:maxWorkerCount": 3,
        "File": "/s/a.x",
        "Frames": "1-9:2",
        "ChunkSize": 2,
        "CondaPackages": "x",
        "Q": "",
    }


def test_a_queue_parameter_may_not_have_a_name_of_the_job() -> None:
    with pytest.raises(BundleError) as caught:
        bundle.parameter_values(PART, {}, [{"name": "Frames", "value": "1"}])
    assert str(caught.value) == (
        "The queue has a parameter 'Frames' and so has the job. Rename the queue's parameter, "
        "or submit to another queue."
    )


def test_names_of_steps_are_allowed_and_different() -> None:
    assert bundle.step_names(["A", "A", "", "B{{x}}\n", "C" * 80, "C" * 80]) == (
        "A",
        "A 2",
        "Step",
        "B{ {x} }",
        "C" * 64,
        "C" * 62 + " 2",
    )


def _write(folder: Path) -> Path:
    references = bundle.AssetReferences({"/b", "/a"}, set(), {"/out"})
    return bundle.write_bundle(folder, bundle.job_template("x", PART), bundle.parameter_values(PART, {}), references)


def test_three_documents_are_written_the_same_each_time(tmp_path: Path) -> None:
    first, second = _write(tmp_path / "a" / "b"), _write(tmp_path / "c")
    names = ["asset_references.yaml", "parameter_values.yaml", "template.yaml"]
    assert sorted(path.name for path in first.iterdir()) == names
    assert all((first / name).read_bytes() == (second / name).read_bytes() for name in names)
    assert _native.parse_template((first / "asset_references.yaml").read_text("utf-8")) == {
        "assetReferences": {
            "inputs": {"filenames": ["/a", "/b"], "directories": []},
            "outputs": {"directories": ["/out"]},
            "referencedPaths": [],
        }
    }


def test_nothing_half_written_stays(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(BundleError) as caught:
        _write(tmp_path / "file")
    assert str(caught.value) == (
        f"The job bundle cannot be written to {tmp_path}/file: File exists. Choose another folder."
    )
    # A folder where a document should be: the draft cannot take its place, and does not stay.
    (tmp_path / "b" / "template.yaml").mkdir(parents=True)
    with pytest.raises(BundleError):
        _write(tmp_path / "b")
    assert [path.name for path in (tmp_path / "b").iterdir()] == ["template.yaml"]


def test_a_template_that_no_farm_takes(tmp_path: Path) -> None:
    steps = tuple(bundle.RenderStep(f"S{number}", "x", ()) for number in range(30))
    files = (bundle.EmbeddedFile("Run", "run.py", "x" * 40_000),)
    template = bundle.job_template("x", bundle.HostPart(PART.parameters, steps, files))
    told = r"^The job template has 1,\d{3},\d{3} characters in 30 steps; farms take 1,000,000\. "
    told += r"Export fewer layers at once\.$"
    with pytest.raises(BundleError, match=told):
        bundle.write_bundle(tmp_path, template, [], bundle.AssetReferences())
    assert list(tmp_path.iterdir()) == []


def test_missing_files_are_told_with_their_owners() -> None:
    owners = (Owner("image", "Wood", "filepath"), Owner("object", "Wall"))
    scene = SceneDescription(
        "x", "1", "s", "/s", False, (), (), (Dependency("/a.png", "image", Verdict.MISSING, owners),)
    )
    assert bundle.missing_inputs_message(scene) == (
        "1 file(s) that the scene needs do not exist. Relink them, or allow missing files.\n"
        '/a.png: needed by image "Wood" (filepath), object "Wall".'
    )
