"""The farm: its store, scheduler and templates in one object that handlers and the process work with."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import os
import platform
import socket
import sys
import time
import uuid
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from shotput_farm.handlers import Request
from shotput_farm.protocol.errors import Conflict, Validation
from shotput_farm.rollup import settle
from shotput_farm.scheduler import LEASE_SECONDS, Scheduler
from shotput_farm.store import Store, Transaction, jobs, records, workers
from shotput_farm.store.database import StoreError
from shotput_farm.store.logs import LogStore
from shotput_farm.template import Templates

if TYPE_CHECKING:
    from shotput_farm.credentials import CredentialStore

BUCKET: Final = "shotput-local"
ROOT_PREFIX: Final = "DeadlineCloud"

_SWEEP_SECONDS: Final = LEASE_SECONDS / 12

_log = logging.getLogger(__name__)


class Farm:
    """One farm on one machine. Open it with ``Farm.open``; ``credentials`` are set by the process."""

    credentials: CredentialStore

    def __init__(
        self, store: Store, logs: LogStore, scheduler: Scheduler, templates: Templates, clock: Callable[[], float]
    ) -> None:
        self.store = store
        self.logs = logs
        self.scheduler = scheduler
        self.templates = templates
        self.clock = clock
        self._sweeper: asyncio.Task[None] | None = None

    @classmethod
    def open(cls, data_dir: Path, *, clock: Callable[[], float] = time.time) -> Farm:
        """Open the farm whose databases are in ``data_dir``, creating them when it is new.

        ``clock`` gives epoch seconds. Raises StoreError when a database cannot be used.
        """
        templates = Templates()
        logs = LogStore(data_dir / "logs.sqlite3", clock=clock)
        scheduler = Scheduler(templates, logs)
        try:
            store = Store(data_dir / "farm.sqlite3", clock=clock, settle=settle, on_commit=scheduler.wake)
        except StoreError:
            scheduler.close()
            logs.close()
            raise
        scheduler.store = store
        return cls(store, logs, scheduler, templates, clock)

    def on_start(self) -> None:
        """Make what a new farm needs, give every worker a fresh lease, and begin to watch leases."""
        self.bootstrap()
        self.store.write(lambda tx: workers.renew_all(tx.db, tx.now))
        loop = asyncio.get_running_loop()
        self.scheduler.attach(loop)
        self._sweeper = loop.create_task(self._sweep())

    async def on_stop(self) -> None:
        """Answer the requests that are held, and stop watching."""
        self.scheduler.stop()
        if self._sweeper is not None:
            self._sweeper.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._sweeper

    def close(self) -> None:
        """Close the databases."""
        self.scheduler.close()
        self.store.close()
        self.logs.close()

    def bootstrap(self) -> None:
        """Create the farm, its queue, fleet and storage profile when there are none."""
        self.store.write(_bootstrap)

    def defaults(self) -> dict[str, str]:
        """Return the ids that a client needs to submit here."""
        with self.store.read() as db:
            farm, queue, fleet, profile = (
                records.page(db, table, {}, after=0, limit=1)[0]
                for table in ("farm", "queue", "fleet", "storage_profile")
            )
        settings = json.loads(queue["detail"])["jobAttachmentSettings"]
        return {
            "farm_id": farm["farm_id"],
            "queue_id": queue["queue_id"],
            "fleet_id": fleet["fleet_id"],
            "storage_profile_id": profile["storage_profile_id"],
            "bucket": settings["s3BucketName"],
            "root_prefix": settings["rootPrefix"],
        }

    def is_idle(self) -> bool:
        """Tell whether no job has tasks that wait or run and no session is open."""
        with self.store.read() as db:
            return not jobs.has_work(db)

    def once(self, request: Request, function: Callable[[Transaction], Mapping[str, Any]]) -> dict[str, Any]:
        """Run a creating operation in a transaction, once per client token: a repeated call gets the first answer.

        Raises Conflict when the token came with another request before.
        """

        def work(tx: Transaction) -> dict[str, Any]:
            token = request.client_token
            if token is None:
                return dict(function(tx))
            principal, fingerprint = request.identity.principal, request.fingerprint()
            first = records.replay(tx.db, principal, request.operation, token)
            if first is not None:
                if first["fingerprint"] != fingerprint:
                    raise Conflict(
                        f"The client token {token} was used for another {request.operation} before. Use a new token "
                        "for a new request.",
                        "CONFLICT_EXCEPTION",
                        "clientToken",
                        token,
                    )
                return dict(json.loads(first["reply"]))
            reply = dict(function(tx))
            records.remember(tx.db, tx.now, principal, request.operation, token, fingerprint, json.dumps(reply))
            return reply

        return self.store.write(work)

    async def _sweep(self) -> None:
        while True:
            await asyncio.sleep(_SWEEP_SECONDS)
            try:
                gone = await asyncio.to_thread(self.scheduler.sweep)
            except Exception:
                # The next round may go well; a farm that stops watching would hold dead workers' tasks for ever.
                _log.exception("Leases could not be checked; trying again in %s s.", _SWEEP_SECONDS)
                continue
            for worker_id in gone:
                _log.warning("Worker %s was not heard of for %s s; its tasks wait again.", worker_id, LEASE_SECONDS)


def new_id(kind: str) -> str:
    """Return a fresh id: ``farm-<32 hex digits>`` and so on."""
    return f"{kind}-{uuid.uuid4().hex}"


def page_token(token: str | None) -> tuple[int, ...]:
    """Return the position that a ``nextToken`` stands for, () for none. Raises Validation for any other text."""
    # Clients that page by hand begin with an empty one.
    if not token:
        return ()
    try:
        position = tuple(int(part, 36) for part in token.removeprefix("p1.").split("."))
    except ValueError:
        position = (-1,)
    if not token.startswith("p1.") or min(position) < 0:
        raise Validation(
            f"The nextToken {token!r} is none of this farm's. Begin again without a nextToken.",
            [("nextToken", "not a token of this farm")],
        )
    return position


def token_for(*position: int) -> str:
    """Return the ``nextToken`` that stands for a position."""
    return "p1." + ".".join(_base36(number) for number in position)


def _base36(number: int) -> str:
    digits = ""
    while True:
        number, rest = divmod(number, 36)
        digits = "0123456789abcdefghijklmnopqrstuvwxyz"[rest] + digits
        if not number:
            return digits


def _bootstrap(tx: Transaction) -> None:
    if records.page(tx.db, "farm", {}, after=0, limit=1):
        return
    host = socket.gethostname() or "this machine"
    stamp: dict[str, Any] = {"created_at": tx.now, "created_by": "shotput"}
    farm_id, queue_id, fleet_id = new_id("farm"), new_id("queue"), new_id("fleet")
    records.insert(tx.db, "farm", {"farm_id": farm_id, "display_name": f"Local farm on {host}"[:100], **stamp})
    queue = {
        "description": "",
        "defaultBudgetAction": "NONE",
        "jobAttachmentSettings": {"s3BucketName": BUCKET, "rootPrefix": ROOT_PREFIX},
        "jobRunAsUser": {"runAs": "WORKER_AGENT_USER"},
    }
    records.insert(
        tx.db,
        "queue",
        {"queue_id": queue_id, "farm_id": farm_id, "display_name": "Local queue", "detail": json.dumps(queue), **stamp},
    )
    fleet = {
        "description": "",
        "roleArn": "arn:aws:iam::000000000000:role/shotput-fleet",
        "minWorkerCount": 0,
        "maxWorkerCount": 100,
        "configuration": {
            "customerManaged": {
                "mode": "NO_SCALING",
                "workerCapabilities": {
                    "vCpuCount": {"min": 1},
                    "memoryMiB": {"min": 512},
                    "osFamily": _os_family(),
                    "cpuArchitectureType": "arm64" if platform.machine().lower() in ("arm64", "aarch64") else "x86_64",
                },
            }
        },
    }
    records.insert(
        tx.db,
        "fleet",
        {"fleet_id": fleet_id, "farm_id": farm_id, "display_name": "Local fleet", "detail": json.dumps(fleet), **stamp},
    )
    records.insert(
        tx.db,
        "queue_fleet_association",
        {"farm_id": farm_id, "queue_id": queue_id, "fleet_id": fleet_id, "status": "ACTIVE", **stamp},
    )
    profile = {"osFamily": _os_family(), "fileSystemLocations": []}
    records.insert(
        tx.db,
        "storage_profile",
        {
            "storage_profile_id": new_id("sp"),
            "farm_id": farm_id,
            "display_name": f"{host}"[:100],
            "detail": json.dumps(profile),
            **stamp,
        },
    )


def _os_family() -> str:
    if os.name == "nt":
        return "WINDOWS"
    return "MACOS" if sys.platform == "darwin" else "LINUX"
