"""Temporary keys for the roles of queues and fleets."""

from __future__ import annotations

import json
import sqlite3
from typing import Any

from shotput_farm.credentials import Kind
from shotput_farm.farm import Farm
from shotput_farm.handlers import Request, operation
from shotput_farm.lookup import fleet_row, queue_row, worker_row


@operation("AssumeQueueRoleForUser")
def assume_queue_role_for_user(farm: Farm, request: Request) -> dict[str, Any]:
    """Mint a key that reads and writes a queue's attachments and reads its logs."""
    return _queue_role(farm, request, "queue-user")


@operation("AssumeQueueRoleForRead")
def assume_queue_role_for_read(farm: Farm, request: Request) -> dict[str, Any]:
    """Mint a key that reads a queue's attachments and logs."""
    return _queue_role(farm, request, "queue-read")


@operation("AssumeQueueRoleForWorker")
def assume_queue_role_for_worker(farm: Farm, request: Request) -> dict[str, Any]:
    """Mint a key with which a worker moves the attachments of a queue's jobs."""
    params = request.params
    with farm.store.read() as db:
        worker_row(db, params)
        queue = queue_row(db, params)
    return _mint(farm, "queue-worker", queue, params["workerId"], params["fleetId"], params["workerId"])


@operation("AssumeFleetRoleForRead")
def assume_fleet_role_for_read(farm: Farm, request: Request) -> dict[str, Any]:
    """Mint a key that reads a fleet's logs."""
    params = request.params
    with farm.store.read() as db:
        fleet_row(db, params)
    key = farm.credentials.mint(
        "fleet-read", principal=request.identity.principal, farm_id=params["farmId"], fleet_id=params["fleetId"]
    )
    return {"credentials": key.wire()}


@operation("AssumeFleetRoleForWorker")
def assume_fleet_role_for_worker(farm: Farm, request: Request) -> dict[str, Any]:
    """Mint the key that a worker talks to the farm with."""
    params = request.params
    with farm.store.read() as db:
        worker_row(db, params)
    key = farm.credentials.mint(
        "fleet-worker",
        principal=params["workerId"],
        farm_id=params["farmId"],
        fleet_id=params["fleetId"],
        worker_id=params["workerId"],
    )
    return {"credentials": key.wire()}


def _queue_role(farm: Farm, request: Request, kind: Kind) -> dict[str, Any]:
    with farm.store.read() as db:
        queue = queue_row(db, request.params)
    return _mint(farm, kind, queue, request.identity.principal)


def _mint(
    farm: Farm,
    kind: Kind,
    queue: sqlite3.Row,
    principal: str,
    fleet_id: str | None = None,
    worker_id: str | None = None,
) -> dict[str, Any]:
    settings = json.loads(queue["detail"]).get("jobAttachmentSettings") or {}
    key = farm.credentials.mint(
        kind,
        principal=principal,
        farm_id=queue["farm_id"],
        queue_id=queue["queue_id"],
        fleet_id=fleet_id,
        worker_id=worker_id,
        bucket=settings.get("s3BucketName"),
        prefix=settings.get("rootPrefix", ""),
        read_only=kind == "queue-read",
    )
    return {"credentials": key.wire()}
