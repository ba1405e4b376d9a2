"""Calls of what workers and pipelines take: sessions of a worker, manifests on disk, mounts, lists for people."""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from deadline.client import api
from deadline.job_attachments import api as people
from deadline.job_attachments import download
from deadline.job_attachments.api import attachment, manifest
from deadline.job_attachments.asset_manifests import HashAlgorithm
from deadline.job_attachments.asset_manifests.decode import decode_manifest
from deadline.job_attachments.asset_sync import AssetSync
from deadline.job_attachments.exceptions import (
    AssetSyncError,
    NonValidInputError,
    VFSExecutableMissingError,
    VFSOSUserNotSetError,
)
from deadline.job_attachments.models import (
    AssetType,
    Attachments,
    FileConflictResolution,
    JobAttachmentsFileSystem,
    ManifestDiff,
    ManifestProperties,
    PathFormat,
    PathMappingRule,
)
from deadline.job_attachments.os_file_permission import PosixFileSystemPermissionSettings
from deadline.job_attachments.vfs import VFSProcessManager
from drop_in.calls import calls
from drop_in.conftest import Workstation
from drop_in.transfer_calls import manifest_of, queue_session, rendered, settings

MANIFEST = "deadline.job_attachments.api.manifest"


def paths_of(path: str) -> list[str]:
    return [entry.path for entry in decode_manifest(Path(path).read_text()).paths]


def a_session(workstation: Workstation) -> AssetSync:
    return AssetSync(workstation.farm_id, queue_session(), session_id="session-1")


@calls("deadline.job_attachments.asset_sync", "AssetSync")
def sync(workstation: Workstation) -> None:
    job, place = rendered(workstation), settings(workstation)
    worker = a_session(workstation)
    attachments = worker.get_attachments(workstation.farm_id, workstation.queue_id, job.job_id)
    assert attachments is not None
    assert [root.rootPath for root in attachments.manifests] == [str(job.root)]
    assert worker.get_s3_settings(workstation.farm_id, workstation.queue_id) == place
    ids = (workstation.queue_id, job.job_id)
    folder = workstation.folder / "session"
    folder.mkdir()
    assert worker.sync_inputs(None, attachments, *ids, folder)[1] == []

    # Inputs, and what a step wrote, into the folder of a session.
    done, rules = worker.attachment_sync_inputs(place, attachments, *ids, folder, step_dependencies=[job.step_id])
    (rule,) = rules
    local = Path(rule["destination_path"])
    assert rule == {"source_path_format": "posix", "source_path": str(job.root), "destination_path": str(local)}
    assert local.parent == folder
    assert sorted(path.name for path in local.rglob("*.txt")) == ["frame.txt", "in.txt"]
    assert done.processed_files == 2

    # Nothing was written since; then something is, beside a link that leads out.
    whose = (*ids, job.step_id, "task-" + "0" * 32 + "-0", "sessionaction-" + "0" * 32 + "-9", time.time(), folder)
    assert worker.sync_outputs(place, attachments, *whose).total_files == 0
    (local / "out/new.txt").write_text(f"new of {folder}")
    (local / "out/link").symlink_to("/etc/hostname")
    stored = worker.sync_outputs(place, attachments, *whose)
    assert (stored.total_files, stored.processed_files) == (1, 1)
    assert worker.sync_outputs(place, attachments, *whose).total_files == 0
    session = queue_session()
    written = download.get_job_output_paths_by_asset_root(
        place, workstation.farm_id, *ids, job.step_id, whose[3], session=session
    )
    assert written[str(job.root)].get_all_paths() == ["out/new.txt"]
    worker.cleanup_session(folder, JobAttachmentsFileSystem.COPIED)
    with pytest.raises(VFSOSUserNotSetError):
        worker.cleanup_session(folder, JobAttachmentsFileSystem.VIRTUAL)
    _rules(workstation, worker, place, job)


def _rules(workstation: Workstation, worker: AssetSync, place: Any, job: Any) -> None:
    """Where roots lie, step by step as the official worker asks."""
    (root,) = job.attachments.manifests
    dynamic = AssetSync.generate_dynamic_path_mapping(workstation.folder, job.attachments)
    assert AssetSync.get_local_destination(root, dynamic) == dynamic[str(job.root)].destination_path
    named = ManifestProperties(str(job.root), PathFormat.POSIX, "Projects", root.inputManifestPath)
    mapped = workstation.folder / "mapped"
    assert AssetSync.get_local_destination(named, {}, {str(job.root): str(mapped)}) == str(mapped)
    # A location's root lies below the location.
    assert AssetSync.get_local_destination(named, {}, {str(job.root.parent): "/mnt"}) == "/mnt/project"
    with pytest.raises(AssetSyncError, match=r"^No path mapping rule says where the root .*/project of the job lies"):
        AssetSync.get_local_destination(named, {}, {"/elsewhere": "/mnt"})
    attachments = Attachments([named])
    ids = (workstation.queue_id, job.job_id)
    merged = worker._aggregate_asset_root_manifests(
        workstation.folder, place, *ids, attachments, [job.step_id], {}, {str(job.root): str(mapped)}
    )
    assert sorted(entry.path for entry in merged[str(mapped)].paths) == ["in.txt", "out/frame.txt", "out/new.txt"]
    written = worker._check_and_write_local_manifests(merged, str(workstation.folder), "job")
    assert decode_manifest(Path(written[str(mapped)]).read_text()) == merged[str(mapped)]
    assert worker.copied_download(place, workstation.folder, None, merged).processed_files == 3
    merged[str(mapped)].totalSize = 1 << 60
    with pytest.raises(AssetSyncError, match=r"^The files need 1152.92 PB and the disk of "):
        worker.copied_download(place, workstation.folder, None, merged)


PROGRAM = """#!{python}
import os, sys
if sys.argv[1:2] == ["-E"]:
    os.execv(sys.argv[4], sys.argv[4:])
os.execv(sys.argv[3], sys.argv[3:])
"""
LAUNCH = """#!/bin/sh
echo "$@" "$LD_LIBRARY_PATH" > "$1/mounted"
exec sleep 60
"""


@calls("deadline.job_attachments.vfs", "VFSProcessManager")
@calls("deadline.job_attachments.download", "mount_vfs_from_manifests", "handle_existing_vfs")
def mounts(workstation: Workstation) -> None:
    """The virtual file system cannot be had; stand-ins for its programs say how they were called."""
    worker, place = a_session(workstation), settings(workstation)
    with pytest.raises(
        VFSExecutableMissingError, match=r"^There is no deadline_vfs on PATH or in /opt/deadline_vfs/bin"
    ):
        VFSProcessManager.find_vfs()
    assert worker._launch_vfs(place, workstation.folder) is False

    import grp
    import pwd

    home = workstation.folder / "vfs"
    programs = {
        "vfs/bin/deadline_vfs": "#!/bin/sh\n",
        "vfs/scripts/production/al2/run_deadline_vfs_al2.sh": LAUNCH,
        "vfs/link/fusermount3": '#!/bin/sh\nrm "$2/mounted"\n',
        "programs/sudo": PROGRAM.format(python=sys.executable),
        "programs/findmnt": '#!/bin/sh\nexec test -e "$1/mounted"\n',
    }
    for name, text in programs.items():
        workstation.file(name, text).chmod(0o755)
    os.environ["DEADLINE_VFS_PATH"] = str(home)
    os.environ["PATH"] = f"{workstation.folder / 'programs'}{os.pathsep}{os.environ['PATH']}"
    session = workstation.folder / "session"
    session.mkdir()
    mount = workstation.folder / "mount"
    user, group = pwd.getpwuid(os.getuid()).pw_name, grp.getgrgid(os.getgid()).gr_name
    permissions = PosixFileSystemPermissionSettings(user, group, 0o20, 0o20)
    first = manifest_of(workstation.file("one/a", "a").parent)
    told: list[bool] = []
    launched = worker._launch_vfs(place, session, permissions, {str(mount): first}, {"AWS_PROFILE": "q"}, told.append)
    assert (launched, told) == (True, [True])
    words = (mount / "mounted").read_text().split()
    (kept,) = (session / ".vfs_manifests").iterdir()
    assert words == [
        *(str(mount), "-f", "--clienttype=deadline", f"--bucket={place.s3BucketName}", f"--manifest={kept}"),
        *("--region=us-west-2", "-oallow_other", f"--casprefix={place.full_cas_prefix()}"),
        *(f"--cachedir={session / '.vfs_object_cache'}", str(home / "lib")),
    ]
    assert VFSProcessManager.get_manifest_path_for_mount(session, str(mount)) == kept
    # What comes later joins what is mounted.
    second = manifest_of(workstation.file("two/b", "b").parent)
    download.mount_vfs_from_manifests(
        place.s3BucketName, {str(mount): second}, worker.session, session, {}, permissions, place.full_cas_prefix()
    )
    both = VFSProcessManager.get_manifest_path_for_mount(session, str(mount))
    assert both is not None
    assert [entry.path for entry in decode_manifest(both.read_text()).paths] == ["a", "b"]
    (pid,) = [line.split(":")[1] for line in (session / "vfs_pids.txt").read_text().splitlines()]
    worker.cleanup_session(session, JobAttachmentsFileSystem.VIRTUAL, user)
    assert VFSProcessManager.is_mount(mount) is False
    assert not (session / "vfs_pids.txt").exists()
    os.kill(int(pid), 15)
    assert download.handle_existing_vfs(first, session, str(mount), user) == first


@calls(MANIFEST, "_manifest_snapshot", "_manifest_diff", "_manifest_merge", "_manifest_upload", "_manifest_download")
@calls(MANIFEST, "_glob_files")
def manifests(workstation: Workstation) -> None:
    root, out = workstation.folder / "tree", str(workstation.folder / "manifests")
    for name in ("a.txt", "b.exr", "sub/c.exr"):
        workstation.file(f"tree/{name}", name)
    (root / "link").symlink_to("/etc/hostname")
    said: list[str] = []
    made = manifest._manifest_snapshot(root=str(root), destination=out, name="all", print_function_callback=said.append)
    assert made is not None
    name = Path(made.manifest).name
    assert name.startswith(f"all-{PathMappingRule('', str(root), '').get_hashed_source_path(HashAlgorithm.XXH128)}-")
    assert [entry.path for entry in decode_manifest(Path(made.manifest).read_text()).paths] == [
        "a.txt",
        "b.exr",
        "sub/c.exr",
    ]
    assert said == [
        f"Left out, because it leads out of {root}: {root / 'link'}",
        f"Manifest generated at {made.manifest}",
    ]
    (root / "link").unlink()
    assert manifest._glob_files(str(root), include=["**/*.exr"], exclude=["b*"]) == [str(root / "sub/c.exr")]
    config = '{"include": ["*.txt"], "exclude": []}'
    assert manifest._glob_files(str(root), include_exclude_config=config) == [str(root / "a.txt")]
    with pytest.raises(NonValidInputError, match=r"^The patterns 'odd' cannot be read: "):
        manifest._glob_files(str(root), include_exclude_config="odd")

    # What changed: by time and size, or by what is in it.
    assert manifest._manifest_diff(made.manifest, str(root)) == ManifestDiff()
    (root / "a.txt").unlink()
    workstation.file("tree/d.txt", "d")
    os.utime(root / "b.exr", (1, 1))
    seen = manifest._manifest_diff(made.manifest, str(root))
    assert seen == ManifestDiff(["d.txt"], ["b.exr"], ["a.txt"])
    assert manifest._manifest_diff(made.manifest, str(root), force_rehash=True).modified == []
    parts: dict[str, Any] = {"root": str(root), "destination": out, "name": "diff", "diff": made.manifest}
    changed = manifest._manifest_snapshot(**parts)
    assert changed is not None
    assert paths_of(changed.manifest) == ["b.exr", "d.txt"]
    assert manifest._manifest_snapshot(**parts, include=["sub/**"]) is None
    merged = manifest._manifest_merge(str(root), [made.manifest, changed.manifest], out, None)
    assert merged is not None
    assert len(decode_manifest(Path(merged.local_manifest_path).read_text()).paths) == 4
    assert manifest._manifest_merge(str(root), [], out, None) is None

    # To the store, and from a job.
    place, session = settings(workstation), queue_session()
    manifest._manifest_upload(made.manifest, place.s3BucketName, place.rootPrefix, session, "tests")
    key = place.add_root_and_manifest_folder_prefix(f"tests/{name}")
    assert len(download.get_manifest_from_s3(key, place.s3BucketName, session).paths) == 3
    job = rendered(workstation)
    for kind, step, paths in (
        (AssetType.ALL, None, ["in.txt", "out/frame.txt"]),
        (AssetType.INPUT, job.step_id, ["in.txt"]),
        (AssetType.OUTPUT, job.step_id, ["out/frame.txt"]),
    ):
        (got,) = manifest._manifest_download(
            deadline_client=api.get_boto3_client("deadline"),
            download_dir=out,
            farm_id=workstation.farm_id,
            job_id=job.job_id,
            queue_id=workstation.queue_id,
            queue_role_session=session,
            queue_s3_settings=place,
            asset_type=kind,
            step_id=step,
        ).downloaded
        assert got.manifest_root == str(job.root)
        assert paths_of(got.local_manifest_path) == paths


@calls("deadline.job_attachments.api.attachment", "_attachment_upload", "_attachment_download", "_process_path_mapping")
def attachments_on_disk(workstation: Workstation) -> None:
    root = workstation.file("sent/ä.txt", f"sent of {workstation.folder}").parent
    out, session = str(workstation.folder / "out"), queue_session()
    made = manifest._manifest_snapshot(root=str(root), destination=out, name="s")
    assert made is not None
    uri = settings(workstation).to_s3_root_uri()
    (sent,) = attachment._attachment_upload(
        [made.manifest], uri, session, [str(root)], upload_manifest_path="tests/attached"
    )
    assert (sent.output_manifest_path, sent.source_path) == (f"tests/attached/{Path(made.manifest).name}", str(root))
    rule = {
        "source_path_format": "posix",
        "source_path": str(root),
        "destination_path": str(workstation.folder / "got"),
    }
    rules = str(workstation.file("rules.json", json.dumps({"path_mapping_rules": [rule]})))
    assert attachment._process_path_mapping(rules) == [PathMappingRule(**rule)]
    done = attachment._attachment_download([made.manifest], uri, session, rules)
    assert done.downloaded_files == [str(workstation.folder / "got/ä.txt")]
    here = attachment._attachment_download(
        [made.manifest], uri, session, conflict_resolution=FileConflictResolution.SKIP
    )
    assert here.downloaded_files == [str(workstation.folder / Path(made.manifest).name / "ä.txt")]
    for error, call in {
        "Give either root folders or path mapping rules.": lambda: attachment._attachment_upload([], uri, session),
        f"No root folder and no rule is that of the manifest {Path(made.manifest).name}.": lambda: (
            attachment._attachment_upload([made.manifest], uri, session, [out])
        ),
        "There is no folder /nothing.": lambda: attachment._process_path_mapping(None, ["/nothing"]),
        "There is no manifest /nothing. Check the path.": lambda: attachment._attachment_download(
            ["/nothing"], uri, session
        ),
    }.items():
        with pytest.raises(NonValidInputError) as refused:
            call()
        assert str(refused.value) == error


@calls("deadline.job_attachments.api", *people.__all__)
def lists(workstation: Workstation) -> None:
    assert people.human_readable_file_size(1500) == "1.5 KB"
    frames = [f"/p/out/f_{number:04}.exr" for number in (1, 2, 3, 7)]
    (sequence, single) = people.summarize_paths_by_sequence([*frames, "/p/out/note"], path_format=PathFormat.POSIX)
    assert sequence == people.PathSummary("/p/out/f_%04d.exr", index_set={1, 2, 3, 7})
    assert str(sequence) == "/p/out/f_%04d.exr (4 files, sequence 1-3,7)"
    assert (single.path, single.file_count, single.is_dir()) == ("/p/out/note", 1, False)
    mixed = people.summarize_paths_by_sequence(["f1", "f01", "f02", "f03", "f10"], path_format=PathFormat.POSIX)
    assert [one.path for one in mixed] == ["f%02d", "f1"]
    sizes = dict.fromkeys([*frames, "/q/a"], 10)
    first, second = sorted(
        people.summarize_paths_by_nested_directory(sizes, path_format=PathFormat.POSIX, total_size_by_path=sizes)[
            0
        ].children.values(),  # type: ignore[union-attr]
        key=lambda one: one.path,
    )
    assert (first.path, first.total_size, second.total_size) == ("/p/", 40, 10)
    text = people.summarize_path_list(sizes, path_format=PathFormat.POSIX, total_size_by_path=sizes)
    assert text == "/p/out/f_%04d.exr (4 files, 40 B, sequence 1-3,7)\n/q/a (1 file, 10 B)\n"
    many = people.summarize_path_list(
        [f"/x/{a}/{b}" for a in "abcdefghijklm" for b in "pqr"], path_format=PathFormat.POSIX
    )
    assert len(many.splitlines()) <= 12
    assert "more" in many
    assert people.summarize_path_list([]) == ""
    assert repr(sequence) == "PathSummary('/p/out/f_%04d.exr', index_set={1, 2, 3, 7})"
