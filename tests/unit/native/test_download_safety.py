"""Nothing that a manifest or a store holds leads out of a folder, or leaves half a file in it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from attachment_files import BUCKET, KEY, PREFIX, SECRET, target
from fakes.relay import relaying
from fakes.s3_requests import client
from shotput import _native
from shotput.errors import AttachmentsError, DeadlineOperationCanceled

RUN = "farm-1/queue-1/job-1/step-1/task-1/2026-01-01T00:00:00.000000Z_sessionaction-1-0"
MTIME = 1_700_000_000_123_456
GOOD = b"a good file"
MEBIBYTE = 2**20


@dataclass
class Download:
    """One of the two calls that write what manifests name, for the manifest of one task below one root."""

    kind: str
    store: Any
    root: Path

    @property
    def s3(self) -> Any:
        return client(self.store.endpoint, KEY, SECRET)

    def put(self, *files: tuple[str, bytes]) -> None:
        """Store a manifest as it is, and its objects."""
        for _, content in files:
            self.s3.put_object(Bucket=BUCKET, Key=self.key(content), Body=content)
        items = [
            {"hash": _native.hash_bytes(content), "mtime": MTIME, "path": path, "size": len(content)}
            for path, content in files
        ]
        document = {"hashAlg": "xxh128", "manifestVersion": "2023-03-03", "paths": items}
        text = json.dumps({**document, "totalSize": sum(len(content) for _, content in files)})
        metadata = {"asset-root": str(self.root)}
        self.s3.put_object(Bucket=BUCKET, Key=f"{PREFIX}/Manifests/{RUN}/a_output", Body=text, Metadata=metadata)

    def key(self, content: bytes) -> str:
        return f"{PREFIX}/Data/{_native.hash_bytes(content)}.xxh128"

    def params(self, endpoint: str | None = None, **more: Any) -> dict[str, Any]:
        place = {"bucket": BUCKET, "root_prefix": PREFIX, "target": target(endpoint or self.store.endpoint)}
        place |= {"farm_id": "farm-1", "queue_id": "queue-1", "job_id": "job-1"}
        if self.kind == "download_manifests":
            place["manifests"] = [{"path": f"{RUN}/a_output", "root_path": str(self.root), **more}]
            return place
        return {**place, **more}

    def __call__(self, **more: Any) -> dict[str, Any]:
        """Download; a failure of the one group is raised."""
        done: dict[str, Any] = getattr(_native, self.kind)(self.params(**more))
        for group in done.get("groups", {}).values():
            if group["error"]:
                raise AttachmentsError(group["error"])
        return done

    def refusal(self, **more: Any) -> str:
        with pytest.raises(AttachmentsError) as caught:
            self(**more)
        return str(caught.value)


@pytest.fixture(params=["download_job_outputs", "download_manifests"])
def download(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Download]:
    with _native.ObjectStore(tmp_path / "objects") as store:
        store.add_credentials(KEY, SECRET, bucket=BUCKET)
        (tmp_path / "outside").mkdir()
        yield Download(request.param, store, tmp_path / "root")


def below(folder: Path) -> list[str]:
    """All that lies in a folder, folders with a slash."""
    return sorted(f"{path.relative_to(folder)}{'/' * path.is_dir()}" for path in folder.rglob("*"))


@pytest.mark.parametrize(
    ("path", "reason"),
    [
        ("/etc/shotput", "is absolute"),
        ("..", "leads out of its root"),
        ("../outside/x", "leads out of its root"),
        ("a/../../outside/x", "leads out of its root"),
        ("C:/outside", "is absolute"),
        ("c:\\outside", "is absolute"),
        ("\\\\host\\share\\x", "is absolute"),
        ("\\\\?\\C:\\x", "is absolute"),
        ("nul\0byte", "holds a null character"),
        ("a//b", "has an empty part"),
        ("a/./b", "has an empty part"),
        ("", "a path is empty"),
    ],
)
def test_a_path_that_is_no_file_below_the_root(download: Download, path: str, reason: str) -> None:
    download.put(("good", GOOD), (path, b"bad"))
    text = f"the path {_quoted(path)} {reason}" if path else reason
    manifest = f"s3://{BUCKET}/{PREFIX}/Manifests/{RUN}/a_output"
    assert download.refusal() == f"The manifest {manifest} is not usable: {text}."
    # The good file neither: a manifest like this one is not to be trusted.
    assert not download.root.exists()
    assert below(download.root.parent / "outside") == []


def _quoted(path: str) -> str:
    return '"' + path.replace("\\", "\\\\").replace("\0", "\\0") + '"'


@pytest.mark.skipif(sys.platform == "win32", reason="these are names of files elsewhere")
def test_names_that_only_windows_knows_are_names_of_files(download: Download) -> None:
    names = ["a\\..\\..\\x", "aux", "COM1.exr", "a:stream", "ends with a dot."]
    download.put(*((name, GOOD) for name in names))
    download()
    assert below(download.root) == sorted(names)


def test_names_of_windows_by_the_rules_of_windows(download: Download) -> None:
    """What a machine with Windows wrote and rules bring here: a name that leads elsewhere there has no place here."""
    names = ["a\\..\\..\\x", "con", "sub/LPT1.txt", "a:stream", "dot.", "sub\\fine.exr"]
    download.put(*((name, GOOD) for name in names))
    rules = [{"source_path_format": "WINDOWS", "source_path": "P:\\show", "destination_path": str(download.root)}]
    metadata = {"asset-root": "P:\\show"}
    key = f"{PREFIX}/Manifests/{RUN}/a_output"
    body = download.s3.get_object(Bucket=BUCKET, Key=key)["Body"].read()
    download.s3.put_object(Bucket=BUCKET, Key=key, Body=body, Metadata=metadata)
    more: dict[str, Any] = {"path_mapping_rules": rules}
    if download.kind == "download_manifests":
        more |= {"root_path": "P:\\show", "root_path_format": "windows"}
    done = download(**more)
    assert below(download.root) == ["sub/", "sub/fine.exr"]
    unmapped = done["unmapped"] if "unmapped" in done else done["groups"][""]["unmapped"]
    assert sorted(unmapped) == sorted(
        ["P:\\show\\a\\..\\..\\x", "P:\\show\\con", "P:\\show\\sub\\LPT1.txt", "P:\\show\\a:stream", "P:\\show\\dot."]
    )


def test_a_link_that_leads_out(download: Download) -> None:
    outside = download.root.parent / "outside"
    (download.root / "deep").mkdir(parents=True)
    (download.root / "deep" / "link").symlink_to(outside)
    download.put(("good", GOOD), ("deep/link/sub/x", b"x"))
    assert download.refusal() == (
        f"Nothing was written to {download.root}: {download.root}/deep/link is a link that leads out of it. Remove it "
        "and try again."
    )
    assert (below(download.root), below(outside)) == (["deep/", "deep/link/"], [])


def test_a_link_that_stays_inside_is_followed(download: Download) -> None:
    (download.root / "v2").mkdir(parents=True)
    (download.root / "latest").symlink_to("v2")
    download.put(("latest/a.exr", GOOD))
    download()
    assert (download.root / "v2" / "a.exr").read_bytes() == GOOD


def test_a_link_in_the_place_of_a_file_is_replaced(download: Download) -> None:
    secret = download.root.parent / "outside" / "secret"
    secret.write_text("secret")
    download.root.mkdir()
    (download.root / "a").symlink_to(secret)
    download.put(("a", GOOD))
    params = {**download.params(), "conflict_resolution": "OVERWRITE"}
    getattr(_native, download.kind)(params)
    assert secret.read_text() == "secret"
    assert not (download.root / "a").is_symlink()
    assert (download.root / "a").read_bytes() == GOOD


def test_long_paths(download: Download) -> None:
    deep = "/".join(["d" * 150] * 20) + "/" + "f" * 255
    download.put((deep, GOOD))
    download()
    assert (download.root / deep).read_bytes() == GOOD
    # A name that no file may have here.
    download.put(("g" * 256, GOOD))
    assert download.refusal() == f"Cannot write {download.root}/{'g' * 256}: File name too long (os error 36)."
    assert [name for name in below(download.root) if not name.startswith("d")] == []
    beyond = "/".join(["e" * 200] * 30)
    download.put((beyond, GOOD))
    text = download.refusal()
    assert text.startswith(f"Cannot create the folder {download.root}/eee")
    assert text.endswith(": File name too long (os error 36).")


@pytest.mark.parametrize("size", [100, 9 * MEBIBYTE])
def test_content_that_is_not_that_of_its_hash(download: Download, size: int) -> None:
    content = os.urandom(size)
    download.put(("a", content))
    damaged = bytes([content[0] ^ 1]) + content[1:]
    download.s3.put_object(Bucket=BUCKET, Key=download.key(content), Body=damaged)
    assert download.refusal() == (
        f"The object s3://{BUCKET}/{download.key(content)} is damaged: its content is not that of its hash, so "
        f"{download.root}/a was not written. Remove the object and submit or render again."
    )
    assert below(download.root) == []
    download.s3.put_object(Bucket=BUCKET, Key=download.key(content), Body=content)
    download()
    assert (download.root / "a").read_bytes() == content


DOWNLOAD = """
import json, sys
from shotput import _native
getattr(_native, sys.argv[1])(json.loads(sys.argv[2]))
"""


@pytest.mark.parametrize("after", [MEBIBYTE // 2, 20 * MEBIBYTE], ids=["among small files", "in a large file"])
def test_killed_in_the_middle(download: Download, after: int, started: Callable[..., Any]) -> None:
    files = {f"small/{index:03}": os.urandom(20_000) for index in range(60)}
    files["large"] = os.urandom(40 * MEBIBYTE)
    download.put(*files.items())
    with relaying(download.store.endpoint) as relay:
        relay.hold_after = after
        process = started(DOWNLOAD, download.kind, json.dumps(download.params(relay.endpoint)))
        assert relay.holds.wait(60)
        process.send_signal(signal.SIGKILL)
        process.wait()
        visible = [path for path in below(download.root) if not path.endswith((".part", "/"))]
        assert all((download.root / path).read_bytes() == files[path] for path in visible)
        assert "large" not in visible
        if after > MEBIBYTE:
            assert len(visible) == 60
        # The next call brings the rest, goes on in the large file, and leaves no part behind.
        relay.hold_after, relay.answered = None, 0
        process = started(DOWNLOAD, download.kind, json.dumps(download.params(relay.endpoint)))
        assert process.wait() == 0
        assert relay.answered < 42 * MEBIBYTE - after // 2
    assert below(download.root) == sorted([*files, "small/"])
    assert all((download.root / path).read_bytes() == content for path, content in files.items())


def test_a_cancel_leaves_no_part_of_a_small_file(download: Download) -> None:
    """No later download could go on with one, and nobody sees it."""
    download.put(*((f"{index:03}", os.urandom(200_000)) for index in range(200)))
    with pytest.raises(DeadlineOperationCanceled):
        getattr(_native, download.kind)(download.params(), on_progress=lambda info: False)
    visible = below(download.root)
    assert 50 <= len(visible) < 200
    assert [path for path in visible if path.endswith(".part")] == []


@pytest.mark.parametrize("paths", [("out", "out/a/b.exr"), ("out/a/b.exr", "out")])
def test_a_file_whose_name_others_need_for_their_folder(download: Download, paths: tuple[str, str]) -> None:
    download.put(("good", GOOD), *((path, path.encode()) for path in paths))
    assert download.refusal() == (
        f'Nothing was written to {download.root}: there, "out" is a file, and "out/a/b.exr" needs a folder of this '
        "name."
    )
    assert below(download.root) == []


@pytest.mark.skipif(sys.platform == "win32", reason="how many names a file has is not asked there")
def test_killed_between_the_two_names_of_a_file(download: Download) -> None:
    """A part gets its place as a second name, and then loses the first; both are there for a moment."""
    download.put(("frame", b"frame"), ("other", b"other"))
    download()
    own = [path.with_name(f"{path.name}.own") for path in (download.root / "frame", download.root / "other")]
    for path in own:  # other names that its user gave it are the user's
        path.hardlink_to(path.with_suffix(""))
    digest = _native.hash_bytes(b"frame" + _native.hash_bytes(b"frame").encode())
    (download.root / f".shotput-{digest[:16]}.part").hardlink_to(download.root / "frame")
    download()
    assert below(download.root) == ["frame", "frame.own", "other", "other.own"]


@pytest.fixture
def started() -> Iterator[Callable[..., Any]]:
    """Starts Python code in a process of its own, which does not outlive the test."""
    processes = []

    def start(code: str, *words: str) -> subprocess.Popen[bytes]:
        process = subprocess.Popen([sys.executable, "-I", "-c", code, *words])
        processes.append(process)
        return process

    yield start
    for process in processes:
        process.kill()
        process.wait()
