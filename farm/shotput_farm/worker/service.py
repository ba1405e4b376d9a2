"""The operations that a worker calls, and the keys that it calls them with."""

from __future__ import annotations

import socket
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from shotput.local_farm import FarmState

from shotput_farm.protocol.client import CallInterruptedError, FarmClient
from shotput_farm.worker.reports import Update

# Temporary keys are asked for again when less than this is left of their life.
_RENEW_SECONDS = 15 * 60


@dataclass(frozen=True)
class _Keys:
    access_key_id: str
    secret_access_key: str
    session_token: str | None = None


class WorkerService:
    """The farm as a worker sees it. Safe to use from any thread.

    Calls before ``assume_fleet_role`` are made with the farm's own keys, all later ones with the worker's. Every method
    raises OSError when the farm does not answer and ``ServiceError`` for an error that it answers.
    """

    def __init__(self, state: FarmState) -> None:
        self.state = state
        self.worker_id = ""
        self._keys = self._farm_keys = _Keys(state.access_key_id, state.secret_access_key)
        self._renew_at = float("inf")
        self._client = FarmClient(state.endpoint_url, lambda: self._keys, region=state.region)
        # The schedule decides itself what to do when the farm does not answer.
        self._schedule = FarmClient(state.endpoint_url, lambda: self._keys, region=state.region, attempts=1)

    def use_farm_keys(self) -> None:
        """Sign with the farm's own keys again, as a worker that is not registered does."""
        self._keys, self._renew_at = self._farm_keys, float("inf")

    def register(self, worker_id: str, properties: Mapping[str, Any]) -> str:
        """Take ``worker_id``, or, when it is empty, call CreateWorker for a new one. Returns the id."""
        if not worker_id:
            fleet: dict[str, Any] = {"farmId": self.state.farm_id, "fleetId": self.state.fleet_id}
            worker_id = self._client.call("CreateWorker", **fleet, hostProperties=properties)["workerId"]
        self.worker_id = worker_id
        return worker_id

    def assume_fleet_role(self) -> None:
        """Change to the worker's own keys (AssumeFleetRoleForWorker).

        The farm's keys ask for them: a machine that slept for hours comes back with a worker's keys that have expired.
        """
        self.use_farm_keys()
        credentials = self._client.call("AssumeFleetRoleForWorker", **self._worker())["credentials"]
        self._keys = _Keys(credentials["accessKeyId"], credentials["secretAccessKey"], credentials["sessionToken"])
        self._renew_at = credentials["expiration"] - _RENEW_SECONDS

    def update_worker(self, status: str, **members: Any) -> dict[str, Any]:
        """Call UpdateWorker with ``status`` STARTED, STOPPING or STOPPED, and ``capabilities``, ``hostProperties``."""
        return self._client.call("UpdateWorker", **self._worker(), status=status, **members)

    def update_schedule(
        self, updates: Mapping[str, Update], hold: float, wakeup: socket.socket | None
    ) -> dict[str, Any] | None:
        """Call UpdateWorkerSchedule. The farm may hold its answer back for ``hold`` seconds when there is no news.

        None when ``wakeup`` became readable before an answer came.
        """
        if time.time() >= self._renew_at:
            self.assume_fleet_role()
        try:
            return self._schedule.call(
                "UpdateWorkerSchedule", **self._worker(), hold=hold, wakeup=wakeup, updatedSessionActions=updates
            )
        except CallInterruptedError:
            return None

    def batch_get_job_entity(self, identifiers: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
        """Call BatchGetJobEntity with at most ten identifiers."""
        return self._client.call("BatchGetJobEntity", **self._worker(), identifiers=list(identifiers))

    def assume_queue_role(self, queue_id: str) -> dict[str, Any] | None:
        """Return the queue's temporary keys (AssumeQueueRoleForWorker, expiration in epoch seconds); None: no role."""
        reply = self._client.call("AssumeQueueRoleForWorker", **self._worker(), queueId=queue_id)
        credentials: dict[str, Any] | None = reply.get("credentials")
        return credentials

    def put_log_events(self, group: str, stream: str, events: list[dict[str, Any]]) -> None:
        """Store log events (PutLogEvents), oldest first."""
        self._client.put_log_events(group, stream, events)

    def close(self) -> None:
        """Close all connections."""
        self._schedule.close()
        self._client.close()

    def _worker(self) -> dict[str, Any]:
        return {"farmId": self.state.farm_id, "fleetId": self.state.fleet_id, "workerId": self.worker_id}
