"""The newest submitters of PyPI over the drop-in: Blender's makes and submits a bundle, all import as they did."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest
from drop_in.conftest import ROOT, Workstation, imported, missing_names
from shotput import hosts

pytestmark = pytest.mark.slow

HERE = Path(__file__).parent
PACKAGES = [f"deadline.{host}_{part}" for host in ("blender", "maya", "houdini") for part in ("submitter", "adaptor")]

HOST_MODULES = "maya,pymel,mtoa,hou,pxr,bpy,mathutils,PyOpenColorIO,qtpy,PySide2,PySide6"


def _site_packages(python: Path) -> Path:
    code = "import sysconfig; print(sysconfig.get_path('purelib'))"
    return Path(subprocess.run([python, "-c", code], capture_output=True, text=True, check=True).stdout.strip())


@pytest.fixture(scope="session")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return hosts.build_demo_scene("blender", tmp_path_factory.mktemp("project"))


# What a person may ask for in the submitter's dialog.
VARIANTS: dict[str, dict[str, Any]] = {
    "as the scene has it": {},
    "some frames of one layer": {
        "settings": {"view_layer_selection": "Second", "frame_list": "1-10:3", "override_frame_range": True}
    },
    "all cameras": {"settings": {"camera_selection": "All Renderable Cameras", "job_name": "Ä job"}},
    "a size, a GPU and a machine": {
        "settings": {"image_width": 64, "image_height": 32, "enable_gpu": True, "description": "Two\nlines"},
        "host_requirements": {"amounts": [{"name": "amount.worker.vcpu", "min": 1}]},
    },
}


def _make_bundles(scene: Path, bundles: Path, sites: list[Path], *, submit: bool) -> dict[str, Any]:
    bundles.mkdir()
    values = {"sites": [str(place) for place in sites], "bundles": str(bundles), "submit": submit, "variants": VARIANTS}
    command = [hosts.find_executable("blender"), "--background", scene, "--python-exit-code", "3"]
    command += ["--python", HERE / "make_bundle.py", "--", json.dumps(values)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=240)
    assert done.returncode == 0, done.stdout + done.stderr
    answer: dict[str, Any] = json.loads((bundles / "answer.json").read_text())
    return answer


def _written(bundle: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in bundle.iterdir()}


def test_the_blender_submitter_makes_the_official_bundles_and_the_farm_accepts_them(
    scene: Path, drop_in: Path, submitters: Path, official: Path, workstation: Workstation, tmp_path: Path
) -> None:
    ours = _make_bundles(scene, tmp_path / "ours", [_site_packages(drop_in), submitters], submit=True)
    theirs = _make_bundles(scene, tmp_path / "theirs", [_site_packages(official)], submit=False)
    assert Path(ours["api"]).is_relative_to(ROOT / "compat")
    assert Path(theirs["api"]).is_relative_to(official.parents[1])
    different = set()
    for variant in VARIANTS:
        written = _written(tmp_path / "ours" / variant)
        assert sorted(written) == ["asset_references.yaml", "parameter_values.yaml", "template.yaml"]
        assert written == _written(tmp_path / "theirs" / variant)
        different.add((written["template.yaml"], written["parameter_values.yaml"]))
    assert len(different) == len(VARIANTS)

    jobs = {variant: workstation.farm.job(job_id) for variant, job_id in ours["jobs"].items()}
    assert {job["lifecycleStatus"] for job in jobs.values()} == {"CREATE_COMPLETE"}
    assert jobs["all cameras"]["name"] == "Ä job"
    assert jobs["some frames of one layer"]["parameters"]["Frames"] == {"string": "1-10:3"}
    client = workstation.farm.client()
    steps = {
        variant: [step["name"] for step in client.list_steps(**workstation.queue, jobId=job_id)["steps"]]
        for variant, job_id in ours["jobs"].items()
    }
    assert [len(steps[variant]) for variant in VARIANTS] == [3, 1, 3, 3]
    for job in jobs.values():
        assert job["parameters"]["BlenderFile"] == {"path": str(scene)}
        (manifest,) = job["attachments"]["manifests"]
        state = workstation.farm.state
        key = f"{state['root_prefix']}/Manifests/{manifest['inputManifestPath']}"
        body = workstation.farm.client("s3").get_object(Bucket=state["bucket"], Key=key)["Body"].read()
        assert [str(Path(manifest["rootPath"], entry["path"])) for entry in json.loads(body)["paths"]] == [str(scene)]


def test_submitters_and_adaptors_import_as_far_as_with_the_official_package(
    drop_in: Path, submitters: Path, official: Path
) -> None:
    ours, theirs = imported(drop_in, PACKAGES, submitters), imported(official, PACKAGES)
    assert ours["endings"] == theirs["endings"]
    assert len(ours["endings"]) > 60
    assert any(module.endswith("hip_settings") for module, end in ours["endings"].items() if end == "imported")


def test_behind_their_hosts_all_but_the_dialogs_imports(drop_in: Path, submitters: Path, official: Path) -> None:
    """Without hosts most imports end at the host's own module; with pretended ones, what they want of us comes next."""
    ours = imported(drop_in, PACKAGES, submitters, pretend=HOST_MODULES)["endings"]
    theirs = imported(official, PACKAGES, pretend=HOST_MODULES)["endings"]
    to_come = {
        module for module, end in ours.items() if end == "ModuleNotFoundError: No module named 'deadline.client.ui'"
    }
    assert {module: end for module, end in ours.items() if module not in to_come} == {
        module: end for module, end in theirs.items() if module not in to_come
    }
    for host, least in (("blender", 5), ("maya", 24), ("houdini", 14)):
        done = [module for module, end in ours.items() if end == "imported" and f".{host}_" in module]
        assert len(done) >= least, host


def test_every_name_that_submitters_take_is_there(drop_in: Path, submitters: Path) -> None:
    """Their modules stop at the host that is missing; what they would ask for behind it counts too."""
    assert missing_names(imported(drop_in, PACKAGES, submitters)["names"]) == []
