"""The farm's keys: made, kept, handed out, ended."""

from __future__ import annotations

import json
import os
import stat
from pathlib import Path
from typing import Any

import pytest
from shotput_farm.credentials import Credential, CredentialStore, write_private

SCOPE: dict[str, Any] = {"principal": "artist", "farm_id": "farm-1", "queue_id": "queue-1"}


class Objects:
    """Notes what is registered with the object store."""

    def __init__(self) -> None:
        self.keys: dict[str, dict[str, Any]] = {}

    def add_credentials(
        self, access_key_id: str, secret_access_key: str, session_token: str | None = None, **limits: Any
    ) -> None:
        self.keys[access_key_id] = {"secret": secret_access_key, "token": session_token, **limits}

    def remove_credentials(self, access_key_id: str) -> None:
        del self.keys[access_key_id]


class Clock:
    def __init__(self) -> None:
        self.now = 1_700_000_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


def store(folder: Path, clock: Clock) -> CredentialStore:
    return CredentialStore(folder / "keys.json", bucket="shotput-local", clock=clock)


def test_the_farms_key_is_made_once_and_kept_private(tmp_path: Path, clock: Clock) -> None:
    first = store(tmp_path, clock)
    assert first.root.access_key_id.startswith("AKIA")
    assert len(first.root.access_key_id) == 20
    assert (first.root.kind, first.root.session_token, first.root.expires_at) == ("farm", None, None)
    assert stat.S_IMODE((tmp_path / "keys.json").stat().st_mode) == 0o600
    assert store(tmp_path, clock).root == first.root
    assert first.lookup(first.root.access_key_id) is first.root
    assert first.lookup("AKIANOBODY") is None


def test_a_secret_shows_in_no_text(tmp_path: Path, clock: Clock) -> None:
    keys = store(tmp_path, clock)
    minted = keys.mint("queue-user", **SCOPE)
    for key in (keys.root, minted):
        assert key.secret_access_key not in repr(key)
        assert key.session_token is None or key.session_token not in repr(key)


def test_a_role_key_has_the_wires_structure_and_ends_after_an_hour(tmp_path: Path, clock: Clock) -> None:
    keys = store(tmp_path, clock)
    key = keys.mint("queue-user", **SCOPE)
    assert key.access_key_id.startswith("ASIA")
    assert key.wire() == {
        "accessKeyId": key.access_key_id,
        "secretAccessKey": key.secret_access_key,
        "sessionToken": key.session_token,
        "expiration": clock.now + 3600,
    }
    assert not key.expired(clock.now + 3599.9)
    assert key.expired(clock.now + 3600)
    with pytest.raises(ValueError, match="only temporary keys are handed out"):
        keys.root.wire()


def test_the_same_scope_gets_the_same_key_for_ten_minutes(tmp_path: Path, clock: Clock) -> None:
    keys = store(tmp_path, clock)
    key = keys.mint("queue-user", **SCOPE)
    clock.now += 599
    assert keys.mint("queue-user", **SCOPE) is key
    assert keys.mint("queue-read", **SCOPE) is not key
    assert keys.mint("queue-user", **{**SCOPE, "queue_id": "queue-2"}) is not key
    clock.now += 2
    fresh = keys.mint("queue-user", **SCOPE)
    assert fresh.access_key_id != key.access_key_id
    assert keys.lookup(key.access_key_id) is key


def test_keys_outlive_a_restart_and_are_forgotten_a_day_after_their_end(tmp_path: Path, clock: Clock) -> None:
    key = store(tmp_path, clock).mint("fleet-worker", principal="worker-1", worker_id="worker-1")
    again = store(tmp_path, clock)
    assert again.lookup(key.access_key_id) == key
    clock.now += 3600 + 24 * 3600 - 1
    again.mint("queue-user", **SCOPE)
    assert again.lookup(key.access_key_id) == key
    clock.now += 3600
    again.mint("queue-user", **SCOPE)
    assert again.lookup(key.access_key_id) is None


def test_keys_reach_the_object_store_with_their_limits(tmp_path: Path, clock: Clock) -> None:
    keys = store(tmp_path, clock)
    early = keys.mint("queue-user", **SCOPE, bucket="shotput-local", prefix="DeadlineCloud")
    keys.mint("fleet-worker", principal="w", worker_id="worker-1")
    objects = Objects()
    keys.attach(objects)
    late = keys.mint(
        "queue-worker", principal="w", worker_id="worker-1", bucket="shotput-local", prefix="X", read_only=True
    )
    assert objects.keys == {
        keys.root.access_key_id: {
            "secret": keys.root.secret_access_key, "token": None, "bucket": "shotput-local", "prefix": "",
            "expires_at": None, "read_only": False,
        },
        early.access_key_id: {
            "secret": early.secret_access_key, "token": early.session_token, "bucket": "shotput-local",
            "prefix": "DeadlineCloud", "expires_at": clock.now + 3600, "read_only": False,
        },
        late.access_key_id: {
            "secret": late.secret_access_key, "token": late.session_token, "bucket": "shotput-local",
            "prefix": "X", "expires_at": clock.now + 3600, "read_only": True,
        },
    }  # fmt: skip
    clock.now += 7200
    again = Objects()
    store(tmp_path, clock).attach(again)
    assert list(again.keys) == [keys.root.access_key_id]


def test_a_deleted_workers_keys_end_at_once(tmp_path: Path, clock: Clock) -> None:
    keys = store(tmp_path, clock)
    objects = Objects()
    keys.attach(objects)
    mine = [
        keys.mint("fleet-worker", principal="w", worker_id="worker-1"),
        keys.mint("queue-worker", principal="w", worker_id="worker-1", bucket="b"),
    ]
    other = keys.mint("fleet-worker", principal="w", worker_id="worker-2")
    keys.revoke(worker_id="worker-1")
    assert [keys.lookup(key.access_key_id) for key in mine] == [None, None]
    assert keys.lookup(other.access_key_id) is other
    assert list(objects.keys) == [keys.root.access_key_id]
    assert store(tmp_path, clock).lookup(mine[0].access_key_id) is None


@pytest.mark.parametrize("text", ["{", "[]", '{"keys": [{}]}', '{"keys": 5}'])
def test_a_file_that_is_none_is_not_overwritten(tmp_path: Path, clock: Clock, text: str) -> None:
    (tmp_path / "keys.json").write_text(text)
    with pytest.raises(ValueError, match=r"cannot be understood \(.*\)\. Move that file away; the farm makes new keys"):
        store(tmp_path, clock)
    assert (tmp_path / "keys.json").read_text() == text


def test_members_of_a_later_version_are_ignored(tmp_path: Path, clock: Clock) -> None:
    root = store(tmp_path, clock).root
    document = json.loads((tmp_path / "keys.json").read_text())
    document["keys"][0]["color"] = "blue"
    (tmp_path / "keys.json").write_text(json.dumps(document))
    assert store(tmp_path, clock).root == root


def test_a_failed_write_leaves_the_old_file_and_no_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "file"
    write_private(path, "old")

    def fsync(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", fsync)
    with pytest.raises(OSError, match="No space left"):
        write_private(path, "new")
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_arns() -> None:
    user = Credential("A", "s", None, None, "farm", "artist")
    role = Credential("A", "s", "t", 1.0, "queue-user", "artist")
    assert user.arn == "arn:aws:iam::000000000000:user/artist"
    assert role.arn == "arn:aws:sts::000000000000:assumed-role/shotput-queue-user/artist"
