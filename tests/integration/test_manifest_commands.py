"""`shotput manifest` and `shotput attachment` on a real farm, beside the official commands of the same names."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from integration.command import Command, bundle, writer
from integration.conftest import FarmUnderTest
from shotput import _native, local_farm

pytestmark = pytest.mark.slow


@pytest.fixture
def shotput(tmp_path: Path) -> Iterator[Command]:
    command = Command(tmp_path / "alone")
    yield command
    local_farm.stop(data_dir=command.data)


@pytest.fixture
def project(tmp_path: Path) -> Path:
    root = tmp_path / "project"
    for name in ("scene.ma", "textures/wood.tx", "textures/ä.tx", ".hidden", "cache/big.vdb"):
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"content of {name}", "utf-8")
        os.utime(path, ns=(1_700_000_000_123_456_789, 1_700_000_000_123_456_789))
    return root


# The command itself fails in 0.60.10: it does not know its own option --conflict-resolution.
ATTACHMENT_DOWNLOAD = """
import sys, boto3
from deadline.job_attachments.api.attachment import _attachment_download
_attachment_download([sys.argv[1]], sys.argv[2], boto3.Session(), sys.argv[3])
"""


class Official:
    """The official command with a home of its own; with a farm, as its user."""

    def __init__(self, program: Path, home: Path, data_dir: Path | None = None) -> None:
        home.mkdir()
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "DEADLINE_"))}
        self._program = program
        self._environment = {**kept, "HOME": str(home), "DEADLINE_CONFIG_FILE_PATH": str(home / "config")}
        if data_dir is not None:
            state = local_farm.state(data_dir)
            assert state is not None
            self._environment |= local_farm.environment(state)
            self("config", "set", "defaults.farm_id", state.farm_id)
            self("config", "set", "defaults.queue_id", state.queue_id)
        self("config", "set", "telemetry.opt_out", "true")

    def __call__(self, *words: str | Path) -> str:
        return self._run(self._program, *words)

    def python(self, code: str, *words: str | Path) -> str:
        return self._run(self._program.with_name("python"), "-c", code, *words)

    def _run(self, *command: str | Path) -> str:
        done = subprocess.run(
            command, env=self._environment, capture_output=True, text=True, check=False, timeout=120, cwd="/"
        )
        assert done.returncode == 0, f"{command}: {done.stdout}\n{done.stderr}"
        return done.stdout

    def document(self, *words: str | Path) -> Any:
        said = self(*words, "--json")
        # Before it, the bar of its progress.
        return json.loads(said[said.index("{") :])


def names(manifest: str | Path) -> list[str]:
    return [item["path"] for item in json.loads(Path(manifest).read_text())["paths"]]


def test_snapshots_are_those_of_the_official_command(
    shotput: Command, peers: Path, project: Path, tmp_path: Path
) -> None:
    official = Official(peers / "deadline", tmp_path / "official")
    ours, theirs = tmp_path / "ours", tmp_path / "theirs"
    patterns = ("--include", "textures/*", "--include", ".*", "--exclude", "**/wood*")
    # The official snapshot fails on its own option for both kinds in one document (0.60.10).
    config = ("--include-exclude-config", json.dumps({"include": ["textures/*", ".*"], "exclude": ["**/wood*"]}))
    exclude = ("--exclude", "**/*.vdb", "--name", "shot_010")
    cases: list[tuple[tuple[str, ...], tuple[str, ...]]] = [
        ((), ()),
        (("--include", "**/*.tx"), ("--include", "**/*.tx")),
        (("--include", "*", "-i", "cache/**"), ("--include", "*", "-i", "cache/**")),
        # With --exclude alone the official snapshot takes no file at all.
        (exclude, ("--include", "**/*", *exclude)),
        (config, patterns),
    ]
    for case, (words, their_words) in enumerate(cases):
        folders = [folder / str(case) for folder in (ours, theirs)]
        for folder in folders:
            folder.mkdir(parents=True)
        common = ("manifest", "snapshot", "--root", project)
        made = shotput.document(*common, "--destination", folders[0], *words)
        peer = official.document(*common, "--destination", folders[1], *their_words)
        assert made["root"] == peer["root"] == str(project)
        mine, other = Path(made["manifest"]), Path(peer["manifest"])
        assert mine.read_bytes() == other.read_bytes(), words
        # The names differ in nothing but the second of the day.
        assert mine.name.rsplit("-", 5)[0] == other.name.rsplit("-", 5)[0]
    assert names(mine) == [".hidden", "textures/ä.tx"]
    assert mine.name.startswith(f"{project}".strip("/").replace("/", "_"))
    assert _native.hash_bytes(str(project).encode()) in mine.name


def test_what_differs(shotput: Command, peers: Path, project: Path, tmp_path: Path) -> None:
    official = Official(peers / "deadline", tmp_path / "official")
    snapshot = ("manifest", "snapshot", "--root", project, "--destination", tmp_path)
    before = shotput.document(*snapshot)["manifest"]
    diff = ("manifest", "diff", "--root", project, "--manifest", before)
    assert shotput.document(*diff) == {"new": [], "modified": [], "deleted": []}
    assert shotput(*diff) == "No file differs.\n"
    nothing = shotput.document(*snapshot, "--diff", before)
    assert nothing["manifest"] is None
    (project / "scene.ma").write_text("another scene")
    (project / "textures/new.tx").write_text("new")
    (project / "cache/big.vdb").unlink()
    wood = project / "textures/wood.tx"
    was = wood.stat()
    wood.write_text(wood.read_text().upper())
    os.utime(wood, ns=(was.st_atime_ns, was.st_mtime_ns))
    expected = {"new": ["textures/new.tx"], "modified": ["scene.ma"], "deleted": ["cache/big.vdb"]}
    assert shotput.document(*diff) == expected
    theirs = json.loads(official(*diff, "--json"))
    assert {kind: sorted(paths) for kind, paths in theirs.items()} == expected
    # Size and time are as they were: only its content tells.
    assert shotput.document(*diff, "--force-rehash")["modified"] == ["scene.ma", "textures/wood.tx"]
    assert shotput(*diff) == "+ textures/new.tx\nM scene.ma\n- cache/big.vdb\n"
    changed = shotput.document(*snapshot, "--diff", before, "--name", "changed")["manifest"]
    assert names(changed) == ["scene.ma", "textures/new.tx"]
    rehashed = shotput.document(*snapshot, "--diff", before, "--name", "rehashed", "--force-rehash")["manifest"]
    assert names(rehashed) == ["scene.ma", "textures/new.tx", "textures/wood.tx"]


def test_refusals(shotput: Command, project: Path, tmp_path: Path) -> None:
    snapshot = ("manifest", "snapshot", "--root")
    said = shotput.refused(*snapshot, tmp_path / "gone", code=2)
    assert said == f"The root folder {tmp_path}/gone does not exist."
    said = shotput.refused(*snapshot, project / "scene.ma", code=2)
    assert said == f"The root folder {project}/scene.ma is not a folder."
    for patterns, why in (
        ("{", "Expecting property name enclosed in double quotes: line 1 column 2 (char 1)"),
        ("[1]", "it is no object"),
        ('{"include": "**/*.ma"}', "'include' is no list of patterns"),
        ('{"exclude": [1]}', "'exclude' is no list of patterns"),
    ):
        said = shotput.refused(*snapshot, project, "--include-exclude-config", patterns, code=7)
        assert said == (
            f'The patterns {patterns!r} cannot be read: {why}. Give {{"include": ["**/*"], "exclude": []}} as text or '
            "in a file."
        )
    said = shotput.refused("manifest", "diff", "--root", project, "--manifest", tmp_path / "gone", code=7)
    assert said == f"The manifest {tmp_path}/gone cannot be read: No such file or directory. Check its path."
    said = shotput.refused("manifest", "diff", "--root", project, "--manifest", project / "scene.ma", code=7)
    assert said.startswith(f"The manifest {project}/scene.ma cannot be read: Expecting value")
    assert said.endswith("Make it anew with `shotput manifest snapshot`.")
    secret = tmp_path / "secret"
    secret.write_text("not yours")
    (project / "link").symlink_to(secret)
    assert shotput.refused(*snapshot, project, code=4) == (
        f"Links lead out of {project}. Leave them out with --exclude, or replace them by copies:\n"
        f"  {project}/link -> {secret}"
    )
    made = shotput.document(*snapshot, project, "--exclude", "link", "--destination", tmp_path)["manifest"]
    assert "link" not in names(made)
    upload = ("attachment", "upload", "-m", made)
    said = shotput.refused(*upload, code=2)
    assert said == "Name either --root-dirs or --path-mapping-rules: where the files lie."
    said = shotput.refused(*upload, "-r", tmp_path, code=2)
    assert said == f"No root is known for the manifest {made}: its name must hold the hash of one of {tmp_path}."
    rules = tmp_path / "rules.json"
    rules.write_text("[{}]")
    said = shotput.refused(*upload, "--path-mapping-rules", rules, code=2)
    assert said.startswith(f"The path mapping rules {rules} cannot be read: 'source_path'.")
    said = shotput.refused("manifest", "upload", made, "--s3-cas-uri", "bucket/prefix", code=2)
    assert said == "'bucket/prefix' is no place in an object store; write s3://BUCKET/PREFIX."


def test_files_go_up_and_come_down(shotput: Command, peers: Path, project: Path, tmp_path: Path) -> None:
    shotput("farm", "up")
    farm = FarmUnderTest(shotput.data).attach()
    official = Official(peers / "deadline", tmp_path / "official", shotput.data)
    made = Path(shotput.document("manifest", "snapshot", "--root", project, "--destination", tmp_path)["manifest"])
    upload = ("attachment", "upload", "-m", made, "-r", project, "--upload-manifest-path", "from/tests")
    (sent,) = shotput.document(*upload)["uploaded"]
    assert (sent["statistics"]["processed_files"], sent["sourcePath"]) == (4, str(project))
    assert sent["outputManifestPath"] == f"from/tests/{made.name}"
    assert sent["outputManifestHash"] == _native.hash_bytes(made.read_bytes())
    s3 = farm.client("s3")
    queue = farm.client().get_queue(**farm.queue)["jobAttachmentSettings"]
    bucket, prefix = queue["s3BucketName"], queue["rootPrefix"]
    stored = s3.get_object(Bucket=bucket, Key=f"{prefix}/Manifests/{sent['outputManifestPath']}")
    assert (stored["Body"].read(), stored["Metadata"]) == (made.read_bytes(), {"asset-root": str(project)})
    (again,) = shotput.document(*upload, "--force-s3-check")["uploaded"]
    assert (again["statistics"]["processed_files"], again["statistics"]["skipped_files"]) == (0, 4)
    assert shotput(*upload) == f"✓ {project}: 0 files sent, 4 there already\n"
    # A manifest alone, to the queue's place and to one that is named.
    alone = shotput.document("manifest", "upload", made, "--s3-manifest-prefix", "plates/")
    assert alone == {"path": f"plates/{made.name}", "hash": sent["outputManifestHash"]}
    shotput("manifest", "upload", made, "--s3-cas-uri", f"s3://{bucket}/{prefix}")
    keys = [item["Key"] for item in s3.list_objects_v2(Bucket=bucket, Prefix=f"{prefix}/Manifests/")["Contents"]]
    assert sorted(keys) == sorted(
        f"{prefix}/Manifests/{folder}{made.name}" for folder in ("", "from/tests/", "plates/")
    )
    # Down again, by a rule and without; and by the official command.
    home = tmp_path / "home"
    rules = tmp_path / "rules.json"
    rule = {"source_path_format": "posix", "source_path": str(project), "destination_path": str(home)}
    rules.write_text(json.dumps({"path_mapping_rules": [rule]}))
    download = ("attachment", "download", "-m", made)
    done = shotput.document(*download, "--path-mapping-rules", rules)
    assert done["file_counts_by_root_directory"] == {str(home): 4}
    for name in names(made):
        assert (home / name).read_bytes() == (project / name).read_bytes()
        assert (home / name).stat().st_mtime_ns // 1000 == (project / name).stat().st_mtime_ns // 1000
    shotput(*download, "--s3-root-uri", f"s3://{bucket}/{prefix}")
    assert (shotput.work / made.name / "scene.ma").read_text() == "content of scene.ma"
    shutil.rmtree(home)
    official.python(ATTACHMENT_DOWNLOAD, made, f"s3://{bucket}/{prefix}", rules)
    assert (home / "textures/ä.tx").read_text("utf-8") == "content of textures/ä.tx"
    # What is in the way.
    (home / "scene.ma").write_text("mine")
    for conflict, expected in (("SKIP", ["scene.ma"]), ("create_copy", ["scene (1).ma", "scene.ma"])):
        shotput(*download, "--path-mapping-rules", rules, "--conflict-resolution", conflict)
        assert sorted(path.name for path in home.glob("scene*")) == expected
        assert (home / "scene.ma").read_text() == "mine"
    shotput(*download, "--path-mapping-rules", rules, "--conflict-resolution", "OVERWRITE")
    assert (home / "scene.ma").read_text() == "content of scene.ma"
    # Files that lie elsewhere than their root was.
    moved = tmp_path / "moved"
    project.rename(moved)
    rules.write_text(json.dumps([{**rule, "destination_path": str(moved)}]))
    words = ("attachment", "upload", "-m", made, "--path-mapping-rules", rules)
    (sent,) = shotput.document(*words, "--force-s3-check")["uploaded"]
    assert sent["statistics"]["skipped_files"] == 4


def test_what_the_official_command_sent_comes_down(
    shotput: Command, peers: Path, project: Path, tmp_path: Path
) -> None:
    shotput("farm", "up")
    official = Official(peers / "deadline", tmp_path / "official", shotput.data)
    made = official.document("manifest", "snapshot", "--root", project, "--destination", tmp_path)["manifest"]
    official("attachment", "upload", "-m", made, "-r", project)
    official("manifest", "upload", made, "--s3-manifest-prefix", "theirs")
    rules = tmp_path / "rules.json"
    home = tmp_path / "home"
    rules.write_text(
        json.dumps([{"source_path_format": "posix", "source_path": str(project), "destination_path": str(home)}])
    )
    done = shotput.document("attachment", "download", "-m", made, "--path-mapping-rules", rules)
    assert len(done["files"]) == 4


def test_manifests_of_a_job(shotput: Command, peers: Path, project: Path, tmp_path: Path) -> None:
    document = writer("two", "1-2")
    (step,) = document["steps"]
    later = {**step, "name": "Later", "dependencies": [{"dependsOn": "Write"}]}
    document["steps"] = [
        step,
        json.loads(json.dumps(later).replace("{{Task.Param.Frame}}", "later {{Task.Param.Frame}}")),
    ]
    out = str(project / "out")
    source = bundle(
        tmp_path / "bundle", document, {"OutputDir": out}, inputs=[str(project / "scene.ma")], outputs=[out]
    )
    shotput("submit", source, "--wait")
    official = Official(peers / "deadline", tmp_path / "official", shotput.data)
    farm = FarmUnderTest(shotput.data).attach()
    (job,) = shotput.document("job", "list")["jobs"]
    steps = farm.steps(job["jobId"])
    outputs = {"Write": ["out/1.txt", "out/2.txt"], "Later": ["out/later 1.txt", "out/later 2.txt"]}
    both = sorted(outputs["Write"] + outputs["Later"])
    cases: list[tuple[tuple[str, ...], list[str]]] = [
        ((), [*both, "scene.ma"]),
        (("--asset-type", "INPUT"), ["scene.ma"]),
        (("--asset-type", "output"), both),
        (("--step-id", steps["Write"]["stepId"], "--asset-type", "output"), outputs["Write"]),
        (("--step-id", steps["Later"]["stepId"]), [*both, "scene.ma"]),
        (("--step-id", steps["Later"]["stepId"], "--asset-type", "input"), [*outputs["Write"], "scene.ma"]),
    ]
    for number, (words, expected) in enumerate(cases):
        ours, theirs = tmp_path / f"ours-{number}", tmp_path / f"theirs-{number}"
        ours.mkdir()
        theirs.mkdir()
        (mine,) = shotput.document("manifest", "download", ours, *words)["downloaded"]
        (other,) = official.document("manifest", "download", theirs, "--job-id", job["jobId"], *words)["downloaded"]
        assert mine["manifest_root"] == other["manifest_root"] == str(project)
        assert names(mine["local_manifest_path"]) == expected
        assert Path(mine["local_manifest_path"]).read_bytes() == Path(other["local_manifest_path"]).read_bytes()
