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


def _site_packages(python: Path) -> Path:
    code = "import sysconfig; print(sysconfig.get_path('purelib'))"
    return Path(subprocess.run([python, "-c", code], capture_output=True, text=True, check=True).stdout.strip())


@pytest.fixture(scope="session")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return hosts.build_demo_scene("blender", tmp_path_factory.mktemp("project"))


def _make_bundle(scene: Path, bundle: Path, sites: list[Path], *, submit: bool) -> dict[str, Any]:
    bundle.mkdir()
    values = {"sites": [str(place) for place in sites], "bundle": str(bundle), "submit": submit}
    command = [hosts.find_executable("blender"), "--background", scene, "--python-exit-code", "3"]
    command += ["--python", HERE / "make_bundle.py", "--", json.dumps(values)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=240)
    assert done.returncode == 0, done.stdout + done.stderr
    answer: dict[str, Any] = json.loads((bundle / "answer.json").read_text())
    (bundle / "answer.json").unlink()
    return answer


def test_the_blender_submitter_makes_the_official_bundle_and_the_farm_accepts_it(
    scene: Path, drop_in: Path, submitters: Path, official: Path, workstation: Workstation, tmp_path: Path
) -> None:
    ours = _make_bundle(scene, tmp_path / "ours", [_site_packages(drop_in), submitters], submit=True)
    theirs = _make_bundle(scene, tmp_path / "theirs", [_site_packages(official)], submit=False)
    assert Path(ours["api"]).is_relative_to(ROOT / "compat")
    assert Path(theirs["api"]).is_relative_to(official.parents[1])
    written = [{path.name: path.read_bytes() for path in (tmp_path / one).iterdir()} for one in ("ours", "theirs")]
    assert sorted(written[0]) == ["asset_references.yaml", "parameter_values.yaml", "template.yaml"]
    assert written[0] == written[1]

    job = workstation.farm.job(ours["job_id"])
    assert job["lifecycleStatus"] == "CREATE_COMPLETE"
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


def test_every_name_that_submitters_take_is_there(drop_in: Path, submitters: Path) -> None:
    """Their modules stop at the host that is missing; what they would ask for behind it counts too."""
    assert missing_names(imported(drop_in, PACKAGES, submitters)["names"]) == []
