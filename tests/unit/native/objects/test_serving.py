"""Starting and stopping."""

from __future__ import annotations

import http.client
import socket
import time
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from fakes.s3_requests import BUCKET, KEY, SECRET, client
from shotput import _native
from shotput.errors import ObjectStoreError


def test_a_port_in_use_is_named(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(ObjectStoreError) as caught:
            _native.ObjectStore(str(tmp_path / "objects"), port=port).start()
    assert str(caught.value) == (
        f"The object store cannot listen on 127.0.0.1:{port}: the port is in use. "
        "Stop the program that uses it, or choose another port (0 takes any free one)."
    )
    assert not (tmp_path / "objects").exists()


def test_only_loopback_is_served(tmp_path: Path) -> None:
    with pytest.raises(ObjectStoreError) as caught:
        _native.ObjectStore(str(tmp_path), host="0.0.0.0").start()
    assert str(caught.value) == 'The object store listens on loopback only, and "0.0.0.0" is not: use 127.0.0.1.'


def test_a_folder_is_served_once(store: Any, root: Path) -> None:
    with pytest.raises(ObjectStoreError) as caught:
        _native.ObjectStore(root).start()
    assert str(caught.value) == (
        f"The object store in {root} is in use by another process. Stop that farm first, or choose another folder."
    )


def test_a_root_that_is_a_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(ObjectStoreError, match=r"^Cannot create .*file/buckets for the object store: "):
        _native.ObjectStore(str(tmp_path / "file")).start()


def test_a_bad_bucket_name_is_refused(store: Any) -> None:
    with pytest.raises(ObjectStoreError) as caught:
        store.add_credentials("K", "s", bucket="../x")
    assert str(caught.value) == (
        '"../x" is not a bucket name: use 3 to 63 lower-case letters, digits, dots and hyphens.'
    )


def test_closing_ends_all_threads_and_frees_the_port(root: Path) -> None:
    def threads() -> int:
        return len(list(Path("/proc/self/task").iterdir()))

    before = threads()
    for _ in range(3):
        store = _native.ObjectStore(root)
        store.start()
        store.start()
        store.add_credentials(KEY, SECRET, bucket=BUCKET)
        s3 = client(store.endpoint)
        s3.put_object(Bucket=BUCKET, Key="x", Body=b"x")
        endpoint = store.endpoint
        assert threads() > before
        store.close()
        store.close()
        s3.close()
        deadline = time.monotonic() + 5
        while threads() > before and time.monotonic() < deadline:
            time.sleep(0.01)
        assert threads() <= before
        with pytest.raises(ObjectStoreError) as caught:
            _ = store.endpoint
        assert str(caught.value) == "The object store is not running: call start() first."
    port = int(endpoint.rsplit(":", 1)[1])
    again = _native.ObjectStore(str(root), port=port)
    again.start()
    assert again.endpoint == endpoint
    again.close()


@pytest.mark.parametrize("size", [200_000, 2_000_000])
def test_a_refusal_reaches_a_client_that_is_still_writing(store: Any, size: int) -> None:
    address = urlsplit(store.endpoint)
    with socket.create_connection((address.hostname, address.port), timeout=30) as connection:
        for _ in range(2):
            connection.sendall(f"PUT /{BUCKET}/x HTTP/1.1\r\nHost: x\r\nContent-Length: {size}\r\n\r\n".encode())
            # Its headers alone are enough to refuse it.
            time.sleep(0.3)
            connection.sendall(b"x" * size)
            answer = http.client.HTTPResponse(connection)
            answer.begin()
            assert answer.status == 403
            assert b"<Code>AccessDenied</Code>" in answer.read()
            assert not answer.will_close


def test_a_client_that_asks_before_it_writes_is_not_sent_for_a_body_that_nobody_wants(store: Any) -> None:
    address = urlsplit(store.endpoint)
    with socket.create_connection((address.hostname, address.port), timeout=30) as connection:
        head = f"PUT /{BUCKET}/x HTTP/1.1\r\nHost: x\r\nContent-Length: 9000\r\nExpect: 100-continue\r\n\r\n"
        connection.sendall(head.encode())
        assert connection.recv(100).startswith(b"HTTP/1.1 403 Forbidden\r\n")
