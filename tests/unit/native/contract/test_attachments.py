"""Job attachments, rule by rule: each is held by a test that the table names; those that had none have theirs here."""

from __future__ import annotations

import ast
import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from attachment_files import BUCKET, KEY, PREFIX, SECRET, target
from fakes.deadline_service import DeadlineService
from fakes.relay import relaying
from fakes.s3_requests import client
from generated_rows import PAGE
from job_bundles import Bundle, create_job
from shotput import _native
from shotput.errors import AttachmentsError
from unit.native.contract.attachments_table import VERDICTS, Row, page, rows

ROOT = Path(__file__).parents[4]
ROWS = rows()
MTIME = 1_700_000_000_000_000
JOB = "farm-1/queue-1/job-1"


@cache
def holders(name: str) -> set[str]:
    """The functions of a file that are tests, or are called for a row of the drop-in's table."""
    text = (ROOT / name).read_text("utf-8")
    if name.endswith(".rs"):
        return set(re.findall(r"#\[test\]\s+fn (\w+)\(", text))
    functions = [node for node in ast.parse(text).body if isinstance(node, ast.FunctionDef)]
    called = {
        node.name
        for node in functions
        for item in node.decorator_list
        if isinstance(item, ast.Call) and isinstance(item.func, ast.Name) and item.func.id == "calls"
    }
    return called | {node.name for node in functions if node.name.startswith("test_")}


@pytest.mark.parametrize("row", ROWS, ids=lambda row: f"{row.section}: {row.rule[:60]}")
def test_the_rule_is_held(row: Row) -> None:
    assert row.verdict in VERDICTS
    # What is another way than theirs has its reason; what is not ours has nothing else.
    assert row.note or row.verdict == "same"
    assert bool(row.held) == (row.verdict != "not ours")
    for held in row.held:
        file, _, function = held.partition("::")
        assert function in holders(file), held


def test_every_rule_is_in_the_table_once() -> None:
    rules = [row.rule for row in ROWS]
    assert len(rules) == len(set(rules)) > 80


def test_the_documentation_has_a_line_for_every_row() -> None:
    text = PAGE.read_text("utf-8")
    assert text == page(text), "run: PYTHONPATH=tests python -m unit.native.contract.attachments_table"


# --- rules that no other test holds -----------------------------------------------------------------------------------


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Any]:
    with _native.ObjectStore(tmp_path / "objects") as store:
        store.add_credentials(KEY, SECRET, bucket=BUCKET)
        yield store


def manifest(**contents: str) -> bytes:
    """A manifest of files with these contents."""
    items = [
        {"hash": _native.hash_bytes(text.encode()), "mtime": MTIME, "path": name, "size": len(text.encode())}
        for name, text in contents.items()
    ]
    document = {"hashAlg": "xxh128", "manifestVersion": "2023-03-03", "paths": items}
    return json.dumps({**document, "totalSize": sum(item["size"] for item in items)}).encode()


def put(store: Any, path: str, *, metadata: dict[str, str] | None = None, **contents: str) -> None:
    """Store a manifest of outputs and its objects."""
    s3 = client(store.endpoint, KEY, SECRET)
    for text in contents.values():
        s3.put_object(Bucket=BUCKET, Key=f"{PREFIX}/Data/{_native.hash_bytes(text.encode())}.xxh128", Body=text)
    s3.put_object(Bucket=BUCKET, Key=f"{PREFIX}/Manifests/{path}", Body=manifest(**contents), Metadata=metadata or {})


def place(store: Any, **more: Any) -> dict[str, Any]:
    ids = {"farm_id": "farm-1", "queue_id": "queue-1", "job_id": "job-1"}
    return {**ids, "bucket": BUCKET, "root_prefix": PREFIX, "target": target(store.endpoint), **more}


def run_folder(task: int, action: int = 0) -> str:
    return f"{JOB}/step-1/task-{task}/2026-01-01T00:00:0{action}.000000Z_sessionaction-1-{action}"


READ = """
import json, sys
from shotput import _native
_native.read_manifests(json.loads(sys.argv[1]))
"""


def test_ten_manifests_at_once(store: Any) -> None:
    paths = [f"{run_folder(index)}/a_output" for index in range(30)]
    for path in paths:
        put(store, path, a="a")
    with relaying(store.endpoint) as relay:
        relay.hold_after = 0
        params = place(store, paths=paths, target=target(relay.endpoint))
        process = subprocess.Popen([sys.executable, "-I", "-c", READ, json.dumps(params)])
        try:
            assert relay.holds.wait(60)
            # All that come without an answer; then no more do.
            deadline = time.monotonic() + 30
            while relay.counts["GET Manifests"] < 10 and time.monotonic() < deadline:
                time.sleep(0.05)
            time.sleep(0.5)
            assert relay.taken() == {"GET Manifests": 10}
        finally:
            process.kill()
            process.wait()


@pytest.mark.parametrize(
    ("root", "location", "told"),
    [
        ("/show", "", {"asset-root": "/show"}),
        ("C:\\show", "Show", {"asset-root": "C:\\show", "file-system-location-name": "Show"}),
        ("/schön", "Größe", {"asset-root": '"/sch\\u00f6n"', "asset-root-json": '"/sch\\u00f6n"'}),
        ("/🎬", "", {"asset-root": '"/\\ud83c\\udfac"', "asset-root-json": '"/\\ud83c\\udfac"'}),
    ],
)
def test_what_is_told_beside_a_manifest(store: Any, root: str, location: str, told: dict[str, str]) -> None:
    where = {"bucket": BUCKET, "root_prefix": PREFIX, "target": target(store.endpoint)}
    path = f"{run_folder(1)}/a_output"
    stored = _native.upload_manifest(manifest(a="a"), path, asset_root=root, location_name=location, **where)
    s3 = client(store.endpoint, KEY, SECRET)
    reply = s3.get_object(Bucket=BUCKET, Key=f"{PREFIX}/Manifests/{path}")
    assert reply["Metadata"] == told
    assert stored == {"path": path, "hash": _native.hash_bytes(reply["Body"].read())}
    (read,) = _native.read_manifests(place(store))
    assert (read["asset_root"], read["location_name"]) == (root, told.get("file-system-location-name"))


@pytest.mark.skipif(sys.platform == "win32", reason="names are Unicode there")
def test_a_name_that_is_no_text_is_refused(tmp_path: Path) -> None:
    name = os.fsdecode(b"caf\xe9")
    try:
        (tmp_path / name).write_text("x")
    except OSError:
        pytest.skip("this file system has no such names")
    with pytest.raises(AttachmentsError) as caught:
        _native.snapshot(tmp_path)
    shown = tmp_path / "caf\N{REPLACEMENT CHARACTER}"
    assert str(caught.value) == (f"The name of {shown} is not valid Unicode, so no manifest can hold it. Rename it.")


def submit(bundle: Bundle) -> None:
    _native.create_job_from_job_bundle({"job_bundle_dir": str(bundle.folder), "auto_accept": True})


def references(bundle: Bundle, **given: Any) -> None:
    bundle.write("asset_references.yaml", {"assetReferences": given})


def test_a_submission_keeps_the_caches_of_the_official_client(
    bucket: Path, bundle: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    scene = bundle.write("scene.blend", b"scene")
    references(bundle, inputs={"filenames": [str(scene)]})
    submit(bundle)
    folder = Path.home() / ".deadline" / "cache"
    assert {path.name for path in folder.iterdir() if path.suffix == ".db"} == {"hash_cache.db", "s3_check_cache.db"}


def test_outputs_alone_have_no_manifest(service: DeadlineService, bucket: Path, bundle: Bundle, tmp_path: Path) -> None:
    references(bundle, outputs={"directories": [str(tmp_path / "renders")]})
    submit(bundle)
    (only,) = create_job(service)["attachments"]["manifests"]
    assert only == {
        "rootPath": str(tmp_path / "renders"),
        "rootPathFormat": "posix",
        "outputRelativeDirectories": ["."],
    }


def test_a_manifest_without_a_root(store: Any) -> None:
    put(store, f"{run_folder(1)}/a_output", a="a")
    with pytest.raises(AttachmentsError) as caught:
        _native.download_job_outputs(place(store))
    assert str(caught.value) == (
        f"The manifest s3://{BUCKET}/{PREFIX}/Manifests/{run_folder(1)}/a_output does not say which root it is for "
        "(asset-root)."
    )


def test_two_roots_in_one_folder(store: Any, tmp_path: Path) -> None:
    put(store, f"{run_folder(1)}/a_output", metadata={"asset-root": "/a/show"}, frame="of a", own="own")
    put(store, f"{run_folder(2)}/a_output", metadata={"asset-root": "C:\\b"}, frame="of b")
    home = str(tmp_path / "home")
    done = _native.download_job_outputs(place(store, root_map={"/a/show": home, "C:\\b": home}))
    found = {Path(path).name: Path(path).read_text() for path in done["files"]}
    assert found == {"frame": "of a", "own": "own", "C__b_frame": "of b"}


def test_what_was_stored_last_wins(store: Any, tmp_path: Path) -> None:
    """Whatever the order in which they are named; the store counts in seconds, within one the start of the run does."""
    paths = [f"{run_folder(1, 2)}/a_output", f"{run_folder(2, 1)}/a_output"]
    s3 = client(store.endpoint, KEY, SECRET)
    stored: set[Any] = set()
    while len(stored) != 1:  # a second may end between the two
        put(store, paths[0], frame="the later run")
        put(store, paths[1], frame="the earlier run")
        keys = [f"{PREFIX}/Manifests/{path}" for path in paths]
        stored = {s3.head_object(Bucket=BUCKET, Key=key)["LastModified"] for key in keys}
    order: Callable[[list[str]], Any]
    for order in (list, reversed):
        wanted = [{"group": path, "path": path, "root_path": str(tmp_path / "home")} for path in order(paths)]
        done = _native.download_manifests(place(store, manifests=wanted, conflict_resolution="OVERWRITE"))
        assert (tmp_path / "home" / "frame").read_text() == "the later run"
        assert [done["groups"][path]["total_files"] for path in paths] == [1, 0]
