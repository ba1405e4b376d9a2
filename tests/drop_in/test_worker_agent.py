"""The newest worker agent of PyPI over the drop-in: it imports as over the official package, takes nothing else, and
its scripts bring files to a session and back.
"""

from __future__ import annotations

import json
import os
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest
from deadline.job_attachments import download
from drop_in.conftest import Workstation, imported, missing_names
from drop_in.transfer_calls import queue_session, rendered, settings

pytestmark = pytest.mark.slow
PACKAGES = ["deadline_worker_agent"]


def test_the_agent_imports_as_with_the_official_package(drop_in: Path, agent: Path, official: Path) -> None:
    ours, theirs = imported(drop_in, PACKAGES, agent), imported(official, PACKAGES)
    assert ours["endings"] == theirs["endings"]
    assert ours["endings"]["deadline_worker_agent.worker"] == "imported"
    assert ours["endings"]["deadline_worker_agent.sessions.actions.scripts.attachment_upload"] == "imported"


def test_every_name_that_the_agent_takes_is_there(drop_in: Path, agent: Path) -> None:
    names = imported(drop_in, PACKAGES, agent)["names"]
    assert "deadline.job_attachments.asset_sync:AssetSync" in names
    assert missing_names(names) == []


def test_its_scripts_bring_files_to_a_session_and_back(workstation: Workstation, drop_in: Path, agent: Path) -> None:
    job = rendered(workstation)
    (root,) = job.attachments.manifests
    place = settings(workstation)
    session, local = workstation.folder / "session", workstation.folder / "session" / "assetroot-1"
    local.mkdir(parents=True)
    key = place.add_root_and_manifest_folder_prefix(root.inputManifestPath)
    manifest = workstation.file("session/input", download.get_manifest_from_s3(key, place.s3BucketName).encode())
    properties = {
        "manifestProperties": root.to_dict(),
        "localRootPath": str(local),
        "localManifestPaths": [str(manifest)],
        "localInputManifestPath": str(manifest),
    }
    workstation.file("session/properties.json", json.dumps([properties]))
    keys = queue_session().get_credentials().get_frozen_credentials()
    action = "sessionaction-" + "0" * 32 + "-7"
    environment = {
        **os.environ,
        "PYTHONPATH": str(agent),
        "AWS_ACCESS_KEY_ID": keys.access_key,
        "AWS_SECRET_ACCESS_KEY": keys.secret_key,
        "AWS_SESSION_TOKEN": keys.token,
        "DEADLINE_FARM_ID": workstation.farm_id,
        "DEADLINE_QUEUE_ID": workstation.queue_id,
        "DEADLINE_JOB_ID": job.job_id,
        "DEADLINE_STEP_ID": job.step_id,
        "DEADLINE_TASK_ID": "task-" + "0" * 32 + "-0",
        "DEADLINE_SESSIONACTION_ID": action,
        "DEADLINE_SESSIONACTION_START_TIME": str(time.time()),
    }

    def run(script: str) -> str:
        program = agent / "deadline_worker_agent" / "sessions" / "actions" / "scripts" / f"attachment_{script}.py"
        command = [drop_in, program, "-s3", place.to_s3_root_uri(), "-wp", session / "properties.json"]
        done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=session, env=environment)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    said = run("download")
    assert (local / "in.txt").read_text() == f"input of {workstation.folder}"
    assert "openjd_progress: 100.0\n" in said
    assert "Summary Statistics for file downloads:\nProcessed 1 file totaling " in said

    workstation.file("session/assetroot-1/out/frame.txt", "of the agent")
    workstation.file("session/assetroot-1/elsewhere.txt", "no output")
    said = run("upload")
    lines: dict[str, Any] = dict(line.split(": ", 1) for line in said.splitlines() if line.startswith("ja_"))
    (sent,) = json.loads(lines["ja_upload"])
    assert sent["source_path"] == str(job.root)
    assert f"/{action}/" in sent["output_manifest_path"] or f"_{action}/" in sent["output_manifest_path"]
    assert json.loads(lines["ja_snapshot"])["root"] == str(local)
    stored = download.get_asset_root_and_manifest_from_s3(
        place.add_root_and_manifest_folder_prefix(sent["output_manifest_path"]), place.s3BucketName
    )
    assert stored[0] == str(job.root)
    assert [entry.path for entry in stored[1].paths] == ["out/frame.txt"]
    # As everybody else gets it.
    ids = (workstation.farm_id, workstation.queue_id, job.job_id, job.step_id, environment["DEADLINE_TASK_ID"])
    outputs = download.OutputDownloader(place, *ids, session_action_id=action, session=queue_session())
    outputs.set_root_path(str(job.root), str(workstation.folder / "home came"))
    outputs.download()
    assert (workstation.folder / "home came" / "out" / "frame.txt").read_text() == "of the agent"
