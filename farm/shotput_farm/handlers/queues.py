"""Queues, their environments and their association with fleets."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Mapping
from typing import Any

from shotput_farm import targets, wire
from shotput_farm.farm import Farm, new_id
from shotput_farm.handlers import Request, operation
from shotput_farm.lookup import environment_row, farm_row, fleet_row, pages, queue_row
from shotput_farm.protocol.errors import Conflict, ResourceNotFound, Validation
from shotput_farm.store import EVERY_WORKER, Transaction, records
from shotput_farm.store import sessions as session_rows
from shotput_farm.template import environment_name

_DETAIL = (
    "description",
    "defaultBudgetAction",
    "jobAttachmentSettings",
    "roleArn",
    "jobRunAsUser",
    "requiredFileSystemLocationNames",
    "allowedStorageProfileIds",
    "schedulingConfiguration",
    "tags",
)


@operation("ListQueues")
def list_queues(farm: Farm, request: Request) -> dict[str, Any]:
    """List a farm's queues, by status if asked."""
    status = request.params.get("status")
    return pages(
        farm,
        request.params,
        "queues",
        "queue",
        lambda db: {"farm_id": farm_row(db, request.params)["farm_id"]},
        wire.queue,
        wire.QUEUE_LISTED,
        lambda item: status is None or item["status"] == status,
    )


@operation("GetQueue")
def get_queue(farm: Farm, request: Request) -> dict[str, Any]:
    """Get a queue."""
    with farm.store.read() as db:
        return wire.queue(db, queue_row(db, request.params))


@operation("CreateQueue")
def create_queue(farm: Farm, request: Request) -> dict[str, Any]:
    """Create a queue. It is served once a fleet is associated with it."""
    params = request.params

    def work(tx: Transaction) -> dict[str, Any]:
        farm_row(tx.db, params)
        queue_id = new_id("queue")
        records.insert(
            tx.db,
            "queue",
            {
                "queue_id": queue_id,
                "farm_id": params["farmId"],
                "display_name": params["displayName"],
                "detail": json.dumps({name: params[name] for name in _DETAIL if name in params}),
                "created_at": tx.now,
                "created_by": request.identity.principal,
            },
        )
        return {"queueId": queue_id}

    return farm.once(request, work)


@operation("UpdateQueue")
def update_queue(farm: Farm, request: Request) -> None:
    """Change a queue; lists are changed by what is to be added and removed."""
    params = request.params

    def work(tx: Transaction) -> None:
        row = queue_row(tx.db, params)
        detail = json.loads(row["detail"])
        detail.update({name: params[name] for name in _DETAIL if name in params})
        for name in ("requiredFileSystemLocationNames", "allowedStorageProfileIds"):
            gone = set(params.get(f"{name}ToRemove") or ())
            items = [item for item in detail.get(name) or () if item not in gone]
            items += [item for item in params.get(f"{name}ToAdd") or () if item not in items]
            if items or name in detail:
                detail[name] = items
        values = {
            "display_name": params.get("displayName", row["display_name"]),
            "detail": json.dumps(detail),
            "updated_at": tx.now,
            "updated_by": request.identity.principal,
        }
        records.update(tx.db, "queue", row["seq"], values)

    farm.store.write(work)


@operation("DeleteQueue")
def delete_queue(farm: Farm, request: Request) -> None:
    """Delete a queue that has no job, environment or fleet."""

    def work(tx: Transaction) -> None:
        row = queue_row(tx.db, request.params)
        for table in ("job", "queue_environment", "queue_fleet_association"):
            number = records.count(tx.db, table, {"queue_id": row["queue_id"]})
            if number:
                raise Conflict(
                    f"Queue {row['queue_id']} still has {number} {table.replace('_', ' ')}(s). Delete them first.",
                    "RESOURCE_IN_USE",
                    "queue",
                    row["queue_id"],
                )
        records.delete(tx.db, "queue", row["seq"])

    farm.store.write(work)


@operation("ListQueueEnvironments")
def list_queue_environments(farm: Farm, request: Request) -> dict[str, Any]:
    """List a queue's environments."""
    return pages(
        farm,
        request.params,
        "environments",
        "queue_environment",
        lambda db: {"queue_id": queue_row(db, request.params)["queue_id"]},
        wire.environment,
        wire.ENVIRONMENT_LISTED,
    )


@operation("GetQueueEnvironment")
def get_queue_environment(farm: Farm, request: Request) -> dict[str, Any]:
    """Get a queue environment."""
    with farm.store.read() as db:
        return wire.environment(db, environment_row(db, request.params))


@operation("CreateQueueEnvironment")
def create_queue_environment(farm: Farm, request: Request) -> dict[str, Any]:
    """Create an environment that every job of the queue submitted from now on runs in."""
    params = request.params
    name = environment_name(params["template"])

    def work(tx: Transaction) -> dict[str, Any]:
        queue_row(tx.db, params)
        if records.find(tx.db, "queue_environment", {"queue_id": params["queueId"], "name": name}) is not None:
            raise Conflict(
                f"Queue {params['queueId']} has an environment named {name!r} already. Update that one, or use another "
                "name.",
                "RESOURCE_ALREADY_EXISTS",
                "queueEnvironment",
                name,
            )
        environment_id = new_id("queueenv")
        records.insert(
            tx.db,
            "queue_environment",
            {
                "queue_environment_id": environment_id,
                "queue_id": params["queueId"],
                "name": name,
                "priority": params["priority"],
                "template_type": params["templateType"],
                "template": params["template"],
                "created_at": tx.now,
                "created_by": request.identity.principal,
            },
        )
        return {"queueEnvironmentId": environment_id}

    return farm.once(request, work)


@operation("UpdateQueueEnvironment")
def update_queue_environment(farm: Farm, request: Request) -> None:
    """Change an environment for jobs submitted from now on."""
    params = request.params
    name = environment_name(params["template"]) if "template" in params else None

    def work(tx: Transaction) -> None:
        row = environment_row(tx.db, params)
        values = {
            "name": name or row["name"],
            "priority": params.get("priority", row["priority"]),
            "template_type": params.get("templateType", row["template_type"]),
            "template": params.get("template", row["template"]),
            "updated_at": tx.now,
            "updated_by": request.identity.principal,
        }
        records.update(tx.db, "queue_environment", row["seq"], values)

    farm.store.write(work)


@operation("DeleteQueueEnvironment")
def delete_queue_environment(farm: Farm, request: Request) -> None:
    """Delete an environment; jobs that were submitted with it keep it."""

    def work(tx: Transaction) -> None:
        records.delete(tx.db, "queue_environment", environment_row(tx.db, request.params)["seq"])

    farm.store.write(work)


@operation("ListQueueFleetAssociations")
def list_queue_fleet_associations(farm: Farm, request: Request) -> dict[str, Any]:
    """List associations of a farm, a queue or a fleet."""
    params = request.params

    def where(db: sqlite3.Connection) -> Mapping[str, Any]:
        columns = {"farm_id": farm_row(db, params)["farm_id"]}
        if "queueId" in params:
            columns["queue_id"] = params["queueId"]
        if "fleetId" in params:
            columns["fleet_id"] = params["fleetId"]
        return columns

    return pages(farm, params, "queueFleetAssociations", "queue_fleet_association", where, wire.association)


@operation("GetQueueFleetAssociation")
def get_queue_fleet_association(farm: Farm, request: Request) -> dict[str, Any]:
    """Get one association."""
    with farm.store.read() as db:
        return wire.association(db, _association_row(db, request.params))


@operation("CreateQueueFleetAssociation")
def create_queue_fleet_association(farm: Farm, request: Request) -> None:
    """Let a fleet serve a queue."""
    params = request.params

    def work(tx: Transaction) -> None:
        queue_row(tx.db, params)
        fleet_row(tx.db, params)
        pair = {"queue_id": params["queueId"], "fleet_id": params["fleetId"]}
        if records.find(tx.db, "queue_fleet_association", pair) is not None:
            return  # a PUT: done is done
        stamp = {"created_at": tx.now, "created_by": request.identity.principal}
        row = {"farm_id": params["farmId"], **pair, "status": "ACTIVE", **stamp}
        records.insert(tx.db, "queue_fleet_association", row)
        tx.wake.add(EVERY_WORKER)

    farm.store.write(work)


@operation("UpdateQueueFleetAssociation")
def update_queue_fleet_association(farm: Farm, request: Request) -> None:
    """Let a fleet serve a queue again, or stop: completing its tasks or interrupting them."""
    params = request.params

    def work(tx: Transaction) -> None:
        row = _association_row(tx.db, params)
        if params["status"] == "STOP_SCHEDULING_AND_CANCEL_TASKS":
            for session in session_rows.of_association(tx.db, params["queueId"], params["fleetId"]):
                targets.release_session(tx, session)
        values = {"status": params["status"], "updated_at": tx.now, "updated_by": request.identity.principal}
        records.update(tx.db, "queue_fleet_association", row["seq"], values)
        tx.wake.add(EVERY_WORKER)

    farm.store.write(work)


@operation("DeleteQueueFleetAssociation")
def delete_queue_fleet_association(farm: Farm, request: Request) -> None:
    """End an association that serves no session any more."""
    params = request.params

    def work(tx: Transaction) -> None:
        row = _association_row(tx.db, params)
        busy = session_rows.of_association(tx.db, params["queueId"], params["fleetId"])
        if busy:
            raise Conflict(
                f"Fleet {params['fleetId']} still runs {len(busy)} session(s) of queue {params['queueId']}. Stop the "
                "association first (UpdateQueueFleetAssociation), then delete it.",
                "RESOURCE_IN_USE",
                "queueFleetAssociation",
                params["fleetId"],
                {"status": row["status"]},
            )
        records.delete(tx.db, "queue_fleet_association", row["seq"])

    farm.store.write(work)


def environments_of(db: sqlite3.Connection, queue_id: str) -> list[str]:
    """Return the templates of a queue's environments in the order in which they are entered."""
    rows = records.page(db, "queue_environment", {"queue_id": queue_id}, after=0, limit=1000)
    return [row["template"] for row in sorted(rows, key=lambda row: (row["priority"], row["seq"]))]


def check_storage_profile(db: sqlite3.Connection, queue: sqlite3.Row, profile_id: str | None) -> None:
    """Make sure that jobs of a queue may use a storage profile. Raises ResourceNotFound or Validation."""
    if profile_id is None:
        return
    profile = records.get(db, "storage_profile", profile_id)
    if profile is None or profile["farm_id"] != queue["farm_id"]:
        raise ResourceNotFound("storageProfile", profile_id)
    allowed = json.loads(queue["detail"]).get("allowedStorageProfileIds")
    if allowed and profile_id not in allowed:
        raise Validation(
            f"Queue {queue['queue_id']} does not allow storage profile {profile_id}. Use one of {', '.join(allowed)}.",
            [("storageProfileId", "not allowed by the queue")],
        )


def _association_row(db: sqlite3.Connection, params: Mapping[str, Any]) -> sqlite3.Row:
    pair = {"queue_id": params["queueId"], "fleet_id": params["fleetId"], "farm_id": params["farmId"]}
    row = records.find(db, "queue_fleet_association", pair)
    if row is None:
        raise ResourceNotFound("queueFleetAssociation", f"{params['queueId']}/{params['fleetId']}")
    return row
