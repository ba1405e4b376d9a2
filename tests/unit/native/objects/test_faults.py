"""Killed processes, damaged files, full disks, races."""

from __future__ import annotations

import os
import resource
import signal
import socket
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from fakes.s3_requests import BUCKET, KEY, MEBIBYTE, SECRET, Raw, client, files_below, keys, refused
from shotput import _native


def test_concurrent_writers_of_one_key_leave_one_whole_object(s3: Any, root: Path) -> None:
    bodies = [bytes([number]) * (400_000 * (number % 4 + 1)) for number in range(24)]
    seen = []
    stop = threading.Event()

    def read() -> None:
        while not stop.is_set():
            seen.append(s3.get_object(Bucket=BUCKET, Key="x")["Body"].read())

    s3.put_object(Bucket=BUCKET, Key="x", Body=bodies[0])
    reader = threading.Thread(target=read)
    reader.start()
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda body: s3.put_object(Bucket=BUCKET, Key="x", Body=body), bodies))
    stop.set()
    reader.join()
    assert s3.get_object(Bucket=BUCKET, Key="x")["Body"].read() in bodies
    assert all(body in bodies for body in seen)
    assert len(files_below(root)) == 2
    assert list((root / "temporary").iterdir()) == []


SERVER = """
import sys, time
from shotput import _native
store = _native.ObjectStore(sys.argv[1])
store.start()
store.add_credentials("AKIDTEST", "secret of the tests", bucket="shotput-local")
print(store.endpoint, flush=True)
time.sleep(600)
"""


def test_a_killed_store_leaves_whole_objects_and_nothing_else(root: Path) -> None:
    temporary = root / "temporary"
    with subprocess.Popen([sys.executable, "-c", SERVER, str(root)], stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            endpoint = process.stdout.readline().strip()
            raw = Raw(endpoint, KEY, SECRET)
            assert raw.send("PUT", f"/{BUCKET}/whole", body=b"whole").status == 200
            assert raw.send("PUT", f"/{BUCKET}/replaced", body=b"before").status == 200
            host, port = endpoint.removeprefix("http://").split(":")
            with socket.create_connection((host, int(port))) as one, socket.create_connection((host, int(port))) as two:
                for connection, key in ((one, "torn"), (two, "replaced")):
                    request = raw.request("PUT", f"/{BUCKET}/{key}", body=os.urandom(8 * MEBIBYTE))
                    # Half of a large body is with the store when it is killed.
                    connection.sendall(request[: -4 * MEBIBYTE])
                deadline = time.monotonic() + 20
                while sum(path.stat().st_size for path in temporary.iterdir()) < 6 * MEBIBYTE:
                    assert time.monotonic() < deadline, "the halves did not arrive"
                    time.sleep(0.02)
                process.kill()
                process.wait()
        finally:
            process.kill()
    assert len(list(temporary.iterdir())) == 2
    with _native.ObjectStore(root) as store:
        store.add_credentials(KEY, SECRET, bucket=BUCKET)
        s3 = client(store.endpoint)
        assert list(temporary.iterdir()) == []
        assert keys(s3) == ["replaced", "whole"]
        assert s3.get_object(Bucket=BUCKET, Key="replaced")["Body"].read() == b"before"
        s3.close()


def test_torn_files_are_no_objects(s3: Any, root: Path) -> None:
    for name in ("cut", "footer", "zeros"):
        s3.put_object(Bucket=BUCKET, Key=name, Body=b"x" * 5000)
    s3.put_object(Bucket=BUCKET, Key="whole", Body=b"x" * 5000)
    folder = root / "buckets" / BUCKET
    content = (folder / "cut=").read_bytes()
    (folder / "cut=").write_bytes(content[:-1])
    (folder / "footer=").write_bytes(content[:-100] + b"?" + content[-99:])
    (folder / "zeros=").write_bytes(bytes(len(content)))
    (folder / "empty=").write_bytes(b"")
    (folder / "no name of ours!").write_bytes(content)
    assert keys(s3) == ["whole"]
    for name in ("cut", "footer", "zeros", "empty"):
        assert refused(s3.head_object, Bucket=BUCKET, Key=name)[1] == 404
        s3.put_object(Bucket=BUCKET, Key=name, Body=b"again", IfNoneMatch="*")
    assert keys(s3) == ["cut", "empty", "footer", "whole", "zeros"]


def test_a_damaged_body_is_not_given_out_and_makes_room(s3: Any, root: Path) -> None:
    s3.put_object(Bucket=BUCKET, Key="x", Body=os.urandom(3 * MEBIBYTE))
    file = root / "buckets" / BUCKET / "x="
    with file.open("r+b") as stream:
        stream.seek(2 * MEBIBYTE)
        stream.write(b"damage")
    with pytest.raises(Exception, match=r"(?i)incomplete|broken|closed|read"):
        s3.get_object(Bucket=BUCKET, Key="x")["Body"].read()
    assert refused(s3.head_object, Bucket=BUCKET, Key="x")[1] == 404
    assert len(list((root / "damaged").iterdir())) == 1


@pytest.mark.skipif(os.name != "posix", reason="needs limits of POSIX")
def test_a_full_disk_is_one_clear_answer(s3: Any, root: Path) -> None:
    # The limit of file sizes of this process stands for the disk: the store writes from threads of this process.
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    old = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (MEBIBYTE, before[1]))
    try:
        for body in (b"x" * (MEBIBYTE - 10), b"x" * 4 * MEBIBYTE):
            code, status, message = refused(s3.put_object, Bucket=BUCKET, Key="x", Body=body)
            assert (code, status) == ("InsufficientStorage", 507)
            assert message == (
                f"The object store in {root} cannot store this: no space is left on its disk. "
                "Free some space there and send the request again. (File too large (os error 27))"
            )
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, old)
    assert list((root / "temporary").iterdir()) == []
    assert keys(s3) == []
    s3.put_object(Bucket=BUCKET, Key="x", Body=b"now there is room")


@pytest.mark.skipif(os.name != "posix", reason="needs permissions of POSIX")
def test_a_folder_that_cannot_be_written_is_one_clear_answer(s3: Any, root: Path) -> None:
    folder = root / "temporary"
    folder.chmod(0o500)
    made_immutable = os.geteuid() == 0
    if made_immutable and subprocess.run(["chattr", "+i", str(folder)], capture_output=True, check=False).returncode:
        pytest.skip("root writes everywhere here")
    try:
        code, status, message = refused(s3.put_object, Bucket=BUCKET, Key="x", Body=b"x")
    finally:
        if made_immutable:
            subprocess.run(["chattr", "-i", str(folder)], check=True)
        folder.chmod(0o700)
    assert (code, status) == ("InsufficientStorage", 507)
    assert message.startswith(
        f"The object store in {root} cannot store this: its folder cannot be written. "
        "Make it writable for this user and send the request again."
    )
