"""The operations that a worker calls, by name, and the keys that it calls them with."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections.abc import Mapping, Sequence
from typing import Any

from shotput_farm.protocol import timestamps
from shotput_farm.worker.connection import Connection, Interrupted, Keys
from shotput_farm.worker.reports import Update

_API = "/2023-10-12"
# Temporary keys are asked for again when less than this is left of their life.
_RENEW_SECONDS = 15 * 60
_TIMES = ("startedAt", "endedAt", "updatedAt")


class WorkerService:
    """The farm as a worker sees it. ``state`` is what ``farm.json`` holds.

    Calls before ``assume_fleet_role`` are made with the farm's own keys, all later ones with the worker's. Every method
    raises OSError when the farm does not answer and ``ServiceException`` for an error that it answers.
    """

    def __init__(self, state: Mapping[str, Any]) -> None:
        self.state = dict(state)
        self.worker_id = ""
        self._keys = Keys(state["access_key_id"], state["secret_access_key"])
        self._renew_at = float("inf")
        # Schedule and sessions call at the same time; a held call must not make the others wait.
        self._local = threading.local()
        self._schedule = self._connect("deadline")

    def register(self, worker_id: str, properties: Mapping[str, Any]) -> str:
        """Take ``worker_id``, or, when it is empty, call CreateWorker for a new one. Returns the id."""
        if not worker_id:
            reply = self._call("POST", self._workers(), body={"hostProperties": properties})
            worker_id = reply["workerId"]
        self.worker_id = worker_id
        return worker_id

    def assume_fleet_role(self) -> None:
        """Change to the worker's own keys (AssumeFleetRoleForWorker)."""
        credentials = self._call("GET", f"{self._worker()}/fleet-roles")["credentials"]
        self._keys = Keys(credentials["accessKeyId"], credentials["secretAccessKey"], credentials["sessionToken"])
        self._renew_at = timestamps.parse(credentials["expiration"]) - _RENEW_SECONDS

    def update_worker(self, status: str, **members: Any) -> dict[str, Any]:
        """Call UpdateWorker with ``status`` STARTED, STOPPING or STOPPED, and ``capabilities``, ``hostProperties``."""
        return self._call("PATCH", self._worker(), body={"status": status, **members})

    def update_schedule(
        self, updates: Mapping[str, Update], hold: float, wakeup: socket.socket | None
    ) -> dict[str, Any] | None:
        """Call UpdateWorkerSchedule. The farm may hold its answer back for ``hold`` seconds when there is no news.

        None when ``wakeup`` became readable before an answer came.
        """
        if time.time() >= self._renew_at:
            self.assume_fleet_role()
        self._schedule.keys = self._keys
        body = {"updatedSessionActions": {action_id: _wire(update) for action_id, update in updates.items()}}
        headers = {"x-shotput-hold-seconds": f"{hold:g}"} if hold else {}
        try:
            return self._schedule.call(
                "PATCH", f"{self._worker()}/schedule", headers=headers, body=body, hold=hold, wakeup=wakeup
            )
        except Interrupted:
            return None

    def batch_get_job_entity(self, identifiers: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
        """Call BatchGetJobEntity with at most ten identifiers."""
        return self._call("POST", f"{self._worker()}/batchGetJobEntity", body={"identifiers": list(identifiers)})

    def assume_queue_role(self, queue_id: str) -> dict[str, Any] | None:
        """Return the queue's temporary keys (AssumeQueueRoleForWorker; expiration in epoch seconds), None for no role."""
        reply = self._call("GET", f"{self._worker()}/queue-roles", query={"queueId": queue_id})
        credentials: dict[str, Any] | None = reply.get("credentials")
        if credentials is not None:
            credentials["expiration"] = timestamps.parse(credentials["expiration"])
        return credentials

    def put_log_events(self, group: str, stream: str, events: list[dict[str, Any]]) -> None:
        """Store log events (PutLogEvents), oldest first."""
        connection = self._connection("logs")
        connection.keys = self._keys
        connection.call(
            "POST",
            "/",
            headers={"X-Amz-Target": "Logs_20140328.PutLogEvents"},
            body={"logGroupName": group, "logStreamName": stream, "logEvents": events},
            content_type="application/x-amz-json-1.1",
        )

    def close(self) -> None:
        """Close the connections of the schedule and of the calling thread."""
        self._schedule.close()
        for connection in vars(self._local).values():
            with contextlib.suppress(OSError):
                connection.close()

    def _call(self, method: str, path: str, *, query: Mapping[str, str] | None = None, body: Any = None) -> dict[str, Any]:
        connection = self._connection("deadline")
        connection.keys = self._keys
        return connection.call(method, path, query=query, body=body)

    def _connection(self, service: str) -> Connection:
        connection: Connection | None = getattr(self._local, service, None)
        if connection is None:
            connection = self._connect(service)
            setattr(self._local, service, connection)
        return connection

    def _connect(self, service: str) -> Connection:
        endpoint = self.state["logs_endpoint_url" if service == "logs" else "endpoint_url"]
        return Connection(endpoint, self.state["region"], service, self._keys)

    def _workers(self) -> str:
        return f"{_API}/farms/{self.state['farm_id']}/fleets/{self.state['fleet_id']}/workers"

    def _worker(self) -> str:
        return f"{self._workers()}/{self.worker_id}"


def _wire(update: Update) -> dict[str, Any]:
    return {name: timestamps.format(value) if name in _TIMES else value for name, value in update.items()}
