"""Fleets."""

from __future__ import annotations

import json
from typing import Any

from shotput_farm import wire
from shotput_farm.farm import Farm, new_id
from shotput_farm.handlers import Request, operation
from shotput_farm.lookup import farm_row, fleet_row, pages
from shotput_farm.protocol.errors import Conflict
from shotput_farm.store import Transaction, records

_DETAIL = ("description", "roleArn", "minWorkerCount", "maxWorkerCount", "configuration", "hostConfiguration", "tags")


@operation("ListFleets")
def list_fleets(farm: Farm, request: Request) -> dict[str, Any]:
    """List a farm's fleets, by name and status if asked."""
    params = request.params
    return pages(
        farm,
        params,
        "fleets",
        "fleet",
        lambda db: {"farm_id": farm_row(db, params)["farm_id"]},
        wire.fleet,
        wire.FLEET_LISTED,
        lambda item: all(item[name] == params[name] for name in ("displayName", "status") if name in params),
    )


@operation("GetFleet")
def get_fleet(farm: Farm, request: Request) -> dict[str, Any]:
    """Get a fleet."""
    with farm.store.read() as db:
        return wire.fleet(db, fleet_row(db, request.params))


@operation("CreateFleet")
def create_fleet(farm: Farm, request: Request) -> dict[str, Any]:
    """Create a fleet: a name under which workers register. No machine is started for it."""
    params = request.params

    def work(tx: Transaction) -> dict[str, Any]:
        farm_row(tx.db, params)
        fleet_id = new_id("fleet")
        records.insert(
            tx.db,
            "fleet",
            {
                "fleet_id": fleet_id,
                "farm_id": params["farmId"],
                "display_name": params["displayName"],
                "detail": json.dumps({name: params[name] for name in _DETAIL if name in params}),
                "created_at": tx.now,
                "created_by": request.identity.principal,
            },
        )
        return {"fleetId": fleet_id}

    return farm.once(request, work)


@operation("UpdateFleet")
def update_fleet(farm: Farm, request: Request) -> None:
    """Change a fleet."""
    params = request.params

    def work(tx: Transaction) -> None:
        row = fleet_row(tx.db, params)
        detail = json.loads(row["detail"])
        detail.update({name: params[name] for name in _DETAIL if name in params})
        values = {
            "display_name": params.get("displayName", row["display_name"]),
            "detail": json.dumps(detail),
            "updated_at": tx.now,
            "updated_by": request.identity.principal,
        }
        records.update(tx.db, "fleet", row["seq"], values)

    farm.store.write(work)


@operation("DeleteFleet")
def delete_fleet(farm: Farm, request: Request) -> None:
    """Delete a fleet without workers and queues."""

    def work(tx: Transaction) -> None:
        row = fleet_row(tx.db, request.params)
        for table in ("worker", "queue_fleet_association"):
            number = records.count(tx.db, table, {"fleet_id": row["fleet_id"]})
            if number:
                raise Conflict(
                    f"Fleet {row['fleet_id']} still has {number} {table.replace('_', ' ')}(s). Delete them first.",
                    "RESOURCE_IN_USE",
                    "fleet",
                    row["fleet_id"],
                )
        records.delete(tx.db, "fleet", row["seq"])

    farm.store.write(work)
