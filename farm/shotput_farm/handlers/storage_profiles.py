"""Storage profiles."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Mapping
from typing import Any

from shotput_farm import wire
from shotput_farm.farm import Farm, new_id, page_token, token_for
from shotput_farm.handlers import Request, operation
from shotput_farm.lookup import farm_row, pages, profile_row, queue_row
from shotput_farm.protocol.errors import ResourceNotFound
from shotput_farm.store import Transaction, records


@operation("ListStorageProfiles")
def list_storage_profiles(farm: Farm, request: Request) -> dict[str, Any]:
    """List a farm's storage profiles."""
    return pages(
        farm,
        request.params,
        "storageProfiles",
        "storage_profile",
        lambda db: {"farm_id": farm_row(db, request.params)["farm_id"]},
        wire.storage_profile,
        wire.STORAGE_PROFILE_LISTED,
    )


@operation("ListStorageProfilesForQueue")
def list_storage_profiles_for_queue(farm: Farm, request: Request) -> dict[str, Any]:
    """List the storage profiles that a queue allows; a queue that names none allows all."""
    params = request.params
    limit = params.get("maxResults") or 100
    (after,) = page_token(params.get("nextToken")) or (0,)
    with farm.store.read() as db:
        queue = queue_row(db, params)
        allowed = _allowed(queue)
        rows = [
            row
            for row in records.page(db, "storage_profile", {"farm_id": queue["farm_id"]}, after=after, limit=100_000)
            if allowed is None or row["storage_profile_id"] in allowed
        ]
        found = [wire.only(wire.storage_profile(db, row), wire.STORAGE_PROFILE_LISTED) for row in rows[:limit]]
    return {"storageProfiles": found, "nextToken": token_for(rows[limit - 1]["seq"]) if len(rows) > limit else None}


@operation("GetStorageProfile")
def get_storage_profile(farm: Farm, request: Request) -> dict[str, Any]:
    """Get a storage profile."""
    with farm.store.read() as db:
        return wire.storage_profile(db, profile_row(db, request.params))


@operation("GetStorageProfileForQueue")
def get_storage_profile_for_queue(farm: Farm, request: Request) -> dict[str, Any]:
    """Get a storage profile that a queue allows."""
    params = request.params
    with farm.store.read() as db:
        allowed = _allowed(queue_row(db, params))
        row = profile_row(db, params)
        if allowed is not None and row["storage_profile_id"] not in allowed:
            raise ResourceNotFound("storageProfile", params["storageProfileId"])
        return wire.only(wire.storage_profile(db, row), wire.STORAGE_PROFILE_OF_QUEUE)


@operation("CreateStorageProfile")
def create_storage_profile(farm: Farm, request: Request) -> dict[str, Any]:
    """Create a storage profile."""
    params = request.params

    def work(tx: Transaction) -> dict[str, Any]:
        farm_row(tx.db, params)
        profile_id = new_id("sp")
        detail = {"osFamily": params["osFamily"], "fileSystemLocations": params.get("fileSystemLocations") or []}
        records.insert(
            tx.db,
            "storage_profile",
            {
                "storage_profile_id": profile_id,
                "farm_id": params["farmId"],
                "display_name": params["displayName"],
                "detail": json.dumps(detail),
                "created_at": tx.now,
                "created_by": request.identity.principal,
            },
        )
        return {"storageProfileId": profile_id}

    return farm.once(request, work)


@operation("UpdateStorageProfile")
def update_storage_profile(farm: Farm, request: Request) -> None:
    """Change a storage profile; locations are added after others are removed."""
    params = request.params

    def work(tx: Transaction) -> None:
        row = profile_row(tx.db, params)
        detail = json.loads(row["detail"])
        detail["osFamily"] = params.get("osFamily", detail["osFamily"])
        gone = {location["name"] for location in params.get("fileSystemLocationsToRemove") or ()}
        kept = [location for location in detail["fileSystemLocations"] if location["name"] not in gone]
        detail["fileSystemLocations"] = kept + list(params.get("fileSystemLocationsToAdd") or ())
        values = {
            "display_name": params.get("displayName", row["display_name"]),
            "detail": json.dumps(detail),
            "updated_at": tx.now,
            "updated_by": request.identity.principal,
        }
        records.update(tx.db, "storage_profile", row["seq"], values)

    farm.store.write(work)


@operation("DeleteStorageProfile")
def delete_storage_profile(farm: Farm, request: Request) -> None:
    """Delete a storage profile."""

    def work(tx: Transaction) -> None:
        records.delete(tx.db, "storage_profile", profile_row(tx.db, request.params)["seq"])

    farm.store.write(work)


def _allowed(queue: sqlite3.Row | Mapping[str, Any]) -> set[str] | None:
    allowed = json.loads(queue["detail"]).get("allowedStorageProfileIds")
    return set(allowed) if allowed else None
