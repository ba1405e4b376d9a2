"""The farm's keys: one long-lived key for its user, and temporary keys for the roles that the farm hands out.

Keys are kept in ``keys.json`` (0600) and outlive a restart, so that a worker or a submission that holds a temporary key
goes on when the farm comes back. Every key that may touch objects is registered with the object store as well. This
module checks no signature (``protocol.signature``) and grants no operation (``authorisation``).
"""

from __future__ import annotations

import base64
import getpass
import json
import os
import secrets
import threading
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, Literal, Protocol

ACCOUNT = "000000000000"
"""The account number that STS reports; also the expected owner of the bucket."""

Kind = Literal["farm", "queue-user", "queue-read", "queue-worker", "fleet-read", "fleet-worker"]

_LIFETIME = 3600.0
# A scope's key is handed out again while it has this share of its life left: a client that asks at each step of a
# submission then costs one key, and the official worker agent (fatal below 10 minutes) never sees a short one.
_REUSE_SHARE = 5 / 6
# Expired keys are remembered this long, so that the answer to a late caller is "expired" and not "unknown".
_REMEMBER_EXPIRED = 24 * 3600.0


@dataclass(frozen=True)
class Credential:
    """One key, what it stands for and how far it reaches.

    ``kind`` is ``"farm"`` for the long-lived key of the farm's user (no limits), else the role the key was minted for.
    ``principal`` is what ``createdBy`` shows. ``expires_at`` is in epoch seconds, None for the long-lived key.
    ``farm_id``, ``queue_id``, ``fleet_id`` and ``worker_id`` are the scope; ``bucket``, ``prefix`` and ``read_only``
    what the object store lets it do (no bucket: nothing).
    """

    access_key_id: str
    secret_access_key: str
    session_token: str | None
    expires_at: float | None
    kind: Kind
    principal: str
    farm_id: str | None = None
    queue_id: str | None = None
    fleet_id: str | None = None
    worker_id: str | None = None
    bucket: str | None = None
    prefix: str = ""
    read_only: bool = False

    def __repr__(self) -> str:
        # Never the secret or the token: this text ends up in logs and tracebacks.
        return f"Credential({self.access_key_id}, kind={self.kind!r}, principal={self.principal!r})"

    @property
    def arn(self) -> str:
        """The ARN that STS reports: a user for the farm's key, an assumed role for the others."""
        if self.kind == "farm":
            return f"arn:aws:iam::{ACCOUNT}:user/{self.principal}"
        return f"arn:aws:sts::{ACCOUNT}:assumed-role/shotput-{self.kind}/{self.principal}"

    def expired(self, now: float) -> bool:
        """Tell whether the key has ended at ``now`` (epoch seconds)."""
        return self.expires_at is not None and now >= self.expires_at

    def wire(self) -> dict[str, Any]:
        """Return the ``AwsCredentials`` structure of the service model. The long-lived key has none: ValueError."""
        if self.session_token is None or self.expires_at is None:
            raise ValueError(f"{self.access_key_id} is the farm's long-lived key; only temporary keys are handed out.")
        return {
            "accessKeyId": self.access_key_id,
            "secretAccessKey": self.secret_access_key,
            "sessionToken": self.session_token,
            "expiration": self.expires_at,
        }


class ObjectKeys(Protocol):
    """What the credential store needs of the object store."""

    def add_credentials(
        self,
        access_key_id: str,
        secret_access_key: str,
        session_token: str | None = None,
        *,
        bucket: str,
        prefix: str = "",
        expires_at: float | None,
        read_only: bool = False,
    ) -> None:
        """Let a key into ``bucket`` below ``prefix`` until ``expires_at``."""

    def remove_credentials(self, access_key_id: str) -> object:
        """Forget a key."""


class CredentialStore:
    """The keys of one farm. Safe to use from any thread.

    ``path`` is the ``keys.json`` of the data directory; it is created with a fresh long-lived key when missing. Raises
    ValueError when the file is there and not understood, OSError when it cannot be read or written.
    """

    def __init__(self, path: Path, *, bucket: str, clock: Callable[[], float] = time.time) -> None:
        self._path = path
        self._clock = clock
        self._lock = threading.Lock()
        self._objects: ObjectKeys | None = None
        self._keys: dict[str, Credential] = self._read()
        root = next((key for key in self._keys.values() if key.kind == "farm"), None)
        if root is None:
            root = Credential(
                access_key_id=_access_key_id("AKIA"),
                secret_access_key=_secret(),
                session_token=None,
                expires_at=None,
                kind="farm",
                principal=_user_name(),
                bucket=bucket,
            )
            self._keys[root.access_key_id] = root
            self._write()
        self.root: Credential = root

    def lookup(self, access_key_id: str) -> Credential | None:
        """Return the key, also when it has expired, or None when this farm never gave it out."""
        return self._keys.get(access_key_id)

    def mint(
        self,
        kind: Kind,
        *,
        principal: str,
        farm_id: str | None = None,
        queue_id: str | None = None,
        fleet_id: str | None = None,
        worker_id: str | None = None,
        bucket: str | None = None,
        prefix: str = "",
        read_only: bool = False,
        lifetime: float = _LIFETIME,
    ) -> Credential:
        """Return a temporary key for a role, valid for ``lifetime`` seconds or a little less.

        The same scope gets the same key while most of its life is left. With ``bucket`` the key opens the objects of
        that bucket below ``prefix`` (``read_only``: no writes), from now until it expires.
        """
        now = self._clock()
        scope = (kind, principal, farm_id, queue_id, fleet_id, worker_id, bucket, prefix, read_only)
        with self._lock:
            for key in self._keys.values():
                if _scope(key) == scope and key.expires_at and key.expires_at - now >= lifetime * _REUSE_SHARE:
                    return key
            key = Credential(
                _access_key_id("ASIA"), _secret(), secrets.token_urlsafe(96), round(now + lifetime, 3), *scope
            )
            self._keys[key.access_key_id] = key
            self._forget_expired(now)
            self._write()
            self._register(key)
        return key

    def revoke(self, *, worker_id: str) -> None:
        """End every key of a worker, at once."""
        with self._lock:
            ended = [key for key in self._keys.values() if key.worker_id == worker_id]
            for key in ended:
                del self._keys[key.access_key_id]
                if self._objects is not None and key.bucket is not None:
                    self._objects.remove_credentials(key.access_key_id)
            if ended:
                self._write()

    def attach(self, objects: ObjectKeys) -> None:
        """Register every live key with the object store, now and whenever one is minted."""
        now = self._clock()
        with self._lock:
            self._objects = objects
            for key in self._keys.values():
                if not key.expired(now):
                    self._register(key)

    def _register(self, key: Credential) -> None:
        if self._objects is None or key.bucket is None:
            return
        self._objects.add_credentials(
            key.access_key_id,
            key.secret_access_key,
            key.session_token,
            bucket=key.bucket,
            prefix=key.prefix,
            expires_at=key.expires_at,
            read_only=key.read_only,
        )

    def _forget_expired(self, now: float) -> None:
        for key in [key for key in self._keys.values() if key.expired(now - _REMEMBER_EXPIRED)]:
            del self._keys[key.access_key_id]

    def _read(self) -> dict[str, Credential]:
        try:
            text = self._path.read_text(encoding="utf-8")
        except FileNotFoundError:
            return {}
        names = {field.name for field in fields(Credential)}
        try:
            document = json.loads(text)
            keys = [Credential(**{k: v for k, v in key.items() if k in names}) for key in document["keys"]]
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise ValueError(
                f"The farm's keys in {self._path} cannot be understood ({error}). Move that file away; the farm "
                "makes new keys when it starts again."
            ) from error
        return {key.access_key_id: key for key in keys}

    def _write(self) -> None:
        document = {"version": 1, "keys": [asdict(key) for key in self._keys.values()]}
        write_private(self._path, json.dumps(document, indent=1))


def write_private(path: Path, text: str) -> None:
    """Replace ``path`` by ``text`` in one step, readable by its owner alone. OSError: nothing has changed."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.{secrets.token_hex(4)}")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as stream:
            stream.write(text)
            stream.flush()
            os.fsync(stream.fileno())
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def _scope(key: Credential) -> tuple[Any, ...]:
    return (
        key.kind,
        key.principal,
        key.farm_id,
        key.queue_id,
        key.fleet_id,
        key.worker_id,
        key.bucket,
        key.prefix,
        key.read_only,
    )


def _access_key_id(prefix: str) -> str:
    return prefix + base64.b32encode(secrets.token_bytes(10)).decode()


def _secret() -> str:
    return secrets.token_urlsafe(30)


def _user_name() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # no entry in the user database, as in a container with an arbitrary uid
        return "user"
