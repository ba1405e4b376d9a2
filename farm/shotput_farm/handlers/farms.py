"""Farms."""

from __future__ import annotations

import json
from typing import Any

from shotput_farm import wire
from shotput_farm.farm import Farm, new_id
from shotput_farm.handlers import Request, operation
from shotput_farm.lookup import farm_row, pages
from shotput_farm.protocol.errors import Conflict
from shotput_farm.store import Transaction, records

_DETAIL = ("description", "costScaleFactor", "kmsKeyArn", "tags")


@operation("ListFarms")
def list_farms(farm: Farm, request: Request) -> dict[str, Any]:
    """List the farms; on a local farm everybody is a member of everything."""
    return pages(farm, request.params, "farms", "farm", lambda db: {}, wire.farm, wire.FARM_LISTED)


@operation("GetFarm")
def get_farm(farm: Farm, request: Request) -> dict[str, Any]:
    """Get a farm."""
    with farm.store.read() as db:
        return wire.farm(db, farm_row(db, request.params))


@operation("CreateFarm")
def create_farm(farm: Farm, request: Request) -> dict[str, Any]:
    """Create a farm beside the first one."""
    params = request.params

    def work(tx: Transaction) -> dict[str, Any]:
        farm_id = new_id("farm")
        records.insert(
            tx.db,
            "farm",
            {
                "farm_id": farm_id,
                "display_name": params["displayName"],
                "detail": json.dumps({name: params[name] for name in _DETAIL if name in params}),
                "created_at": tx.now,
                "created_by": request.identity.principal,
            },
        )
        return {"farmId": farm_id}

    return farm.once(request, work)


@operation("UpdateFarm")
def update_farm(farm: Farm, request: Request) -> None:
    """Change a farm's name, description or scale factor."""

    def work(tx: Transaction) -> None:
        row = farm_row(tx.db, request.params)
        detail = json.loads(row["detail"])
        detail.update({name: request.params[name] for name in _DETAIL if name in request.params})
        values = {
            "display_name": request.params.get("displayName", row["display_name"]),
            "detail": json.dumps(detail),
            "updated_at": tx.now,
            "updated_by": request.identity.principal,
        }
        records.update(tx.db, "farm", row["seq"], values)

    farm.store.write(work)


@operation("DeleteFarm")
def delete_farm(farm: Farm, request: Request) -> None:
    """Delete a farm that has nothing left in it."""

    def work(tx: Transaction) -> None:
        row = farm_row(tx.db, request.params)
        for table in ("queue", "fleet", "storage_profile"):
            number = records.count(tx.db, table, {"farm_id": row["farm_id"]})
            if number:
                raise Conflict(
                    f"Farm {row['farm_id']} still has {number} {table.replace('_', ' ')}(s). Delete them first.",
                    "RESOURCE_IN_USE",
                    "farm",
                    row["farm_id"],
                )
        records.delete(tx.db, "farm", row["seq"])

    farm.store.write(work)
