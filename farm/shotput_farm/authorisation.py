"""What each kind of key may do: the farm's own key everything, a role's key what its role needs and nothing else.

A job's script can read the key of its queue role; that key must not cancel the artist's other work.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from shotput_farm.credentials import Credential
from shotput_farm.protocol.errors import AccessDenied

_READS = ("Get", "List", "Search", "BatchGet")
_WORKER = {
    "UpdateWorker",
    "UpdateWorkerSchedule",
    "BatchGetJobEntity",
    "AssumeFleetRoleForWorker",
    "AssumeQueueRoleForWorker",
    "GetWorker",
    "DeleteWorker",
}
_SCOPE = (("farmId", "farm_id"), ("queueId", "queue_id"), ("fleetId", "fleet_id"), ("workerId", "worker_id"))


def authorise(identity: Credential, operation: str, params: Mapping[str, Any]) -> None:
    """Raise ``AccessDenied`` when ``identity`` may not call ``operation`` with ``params``."""
    if identity.kind == "farm":
        return
    if identity.kind == "fleet-worker":
        allowed = operation in _WORKER
    elif operation == "BatchGetJobEntity":
        allowed = False
    else:
        allowed = operation.startswith(_READS)
    if not allowed:
        raise AccessDenied(
            f"The {identity.kind} key {identity.access_key_id} may not call {operation}. Use the farm's own key.",
            {"operation": operation},
        )
    for member, attribute in _SCOPE:
        scope = getattr(identity, attribute)
        # A worker's key reads queues that its scope does not name: only what the scope names is held against the call.
        if scope is None:
            continue
        asked = _asked(params, member)
        if any(value != scope for value in asked):
            raise AccessDenied(
                f"The {identity.kind} key {identity.access_key_id} reaches {scope} and not {asked[0]}. "
                "Use the farm's own key.",
                {"operation": operation},
            )


def authorise_logs(identity: Credential, operation: str, group: str) -> None:
    """Raise ``AccessDenied`` when ``identity`` may not call a logs operation on the log group ``group``."""
    if identity.kind == "farm":
        return
    writes = operation.startswith(("Put", "Create"))
    scope = [part for part in (identity.farm_id, identity.queue_id or identity.fleet_id) if part]
    below = "/aws/deadline/" + "/".join(scope)
    # The worker of a fleet writes the logs of sessions of any queue of its farm.
    if identity.kind == "fleet-worker":
        below = f"/aws/deadline/{identity.farm_id}"
    inside = group == below or group.startswith(below + "/")
    if not inside or (writes and not identity.kind.endswith("-worker")):
        raise AccessDenied(
            f"The {identity.kind} key {identity.access_key_id} may not call {operation} on the log group {group}. "
            "Use the farm's own key.",
            {"operation": operation},
        )


def _asked(params: Mapping[str, Any], member: str) -> list[str]:
    found = [params[member]] if member in params else []
    found += params.get(f"{member}s", [])
    for item in params.get("identifiers", ()):
        if isinstance(item, Mapping) and member in item:
            found.append(item[member])
    return found
