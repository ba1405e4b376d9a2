"""A real HTTP server that stands for the AWS services at the edge: Deadline Cloud, STS and CloudWatch Logs.

It answers from a few plain dicts that a test may change, keeps every request, and can be told to answer a call with a
given error, late, or not as JSON at all.
"""

from __future__ import annotations

import json
import re
import threading
import time
from dataclasses import dataclass, field
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

FARM = "farm-0123456789abcdef0123456789abcdef"
QUEUE = "queue-0123456789abcdef0123456789abcdef"
JOB = "job-0123456789abcdef0123456789abcdef"
STEP = "step-0123456789abcdef0123456789abcdef"
SESSION = "session-0123456789abcdef0123456789abcdef"
FLEET = "fleet-0123456789abcdef0123456789abcdef"
STORAGE_PROFILE = "sp-0123456789abcdef0123456789abcdef"
TELEMETRY = "/2023-10-12/telemetry"
CREATED = {"createdAt": "2024-01-02T03:04:05.678000Z", "createdBy": "somebody"}


@dataclass
class Request:
    """One request as it came over the wire."""

    method: str
    path: str
    query: dict[str, list[str]]
    headers: dict[str, str]
    body: Any


@dataclass
class Answer:
    """What to answer instead of the usual, for ``times`` requests."""

    method: str
    path: re.Pattern[str]
    status: int
    body: Any
    delay: float
    times: int


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: object, client_address: object) -> None:
        """Clients that are interrupted go away in the middle of an answer."""


@dataclass
class DeadlineService:
    """The server and what it knows. Use as a context manager."""

    farms: list[dict[str, Any]] = field(
        default_factory=lambda: [{"farmId": FARM, "displayName": "Test Farm", **CREATED}]
    )
    queue: dict[str, Any] = field(
        default_factory=lambda: {
            "farmId": FARM,
            "queueId": QUEUE,
            "displayName": "Test Queue",
            "status": "IDLE",
            "defaultBudgetAction": "NONE",
            "requiredFileSystemLocationNames": [],
            "allowedStorageProfileIds": [STORAGE_PROFILE],
            **CREATED,
        }
    )
    environments: list[dict[str, Any]] = field(default_factory=list)
    storage_profile: dict[str, Any] = field(
        default_factory=lambda: {
            "storageProfileId": STORAGE_PROFILE,
            "displayName": "Workstations",
            "osFamily": "linux",
            "fileSystemLocations": [],
        }
    )
    fleet: dict[str, Any] = field(
        default_factory=lambda: {
            "farmId": FARM,
            "fleetId": FLEET,
            "displayName": "Test Fleet",
            "status": "ACTIVE",
            "workerCount": 1,
            "minWorkerCount": 0,
            "maxWorkerCount": 10,
            "roleArn": "arn:aws:iam::123456789012:role/fleet",
            "configuration": {"customerManaged": {"mode": "NO_SCALING"}},
            "capabilities": {
                "amounts": [
                    {"name": "amount.worker.vcpu", "min": 4, "max": 16},
                    {"name": "amount.worker.memory", "min": 8192},
                ],
                "attributes": [{"name": "attr.worker.os.family", "values": ["linux"]}],
            },
            **CREATED,
        }
    )
    job: dict[str, Any] = field(
        default_factory=lambda: {
            "jobId": JOB,
            "name": "A Job",
            "lifecycleStatus": "CREATE_COMPLETE",
            "lifecycleStatusMessage": "Job creation completed successfully",
            "priority": 50,
            **CREATED,
        }
    )
    steps: list[dict[str, Any]] = field(default_factory=lambda: [{"stepId": STEP, "name": "Render"}])
    tasks: list[dict[str, Any]] = field(default_factory=list)
    page_size: int = 100
    credentials: dict[str, Any] = field(
        default_factory=lambda: {
            "accessKeyId": "ASIAQUEUEROLE",
            "secretAccessKey": "queue-secret",
            "sessionToken": "queue-token",
            "expiration": "2999-01-01T00:00:00Z",
        }
    )
    clock_ahead: timedelta = field(default_factory=timedelta)
    requests: list[Request] = field(default_factory=list)
    # What telemetry tells comes at any time, and so not among the calls.
    events: list[Request] = field(default_factory=list)
    answers: list[Answer] = field(default_factory=list)
    _closed: threading.Event = field(default_factory=threading.Event)

    def __enter__(self) -> DeadlineService:
        service = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *_: object) -> None:
                pass

            def date_time_string(self, timestamp: float | None = None) -> str:
                return super().date_time_string(time.time() + service.clock_ahead.total_seconds())

            def serve(self) -> None:
                service._serve(self)

            do_GET = do_HEAD = do_POST = do_PATCH = do_PUT = do_DELETE = serve  # noqa: N815

        self._server = _Server(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02})
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        # Answers that are late are not waited for: their threads end with the service.
        self._closed.set()
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    @property
    def port(self) -> int:
        return int(self._server.server_address[1])

    @property
    def endpoint(self) -> str:
        return f"http://localhost:{self.port}"

    def target(self, **changes: Any) -> dict[str, Any]:
        """A target dict that leads here."""
        return {
            "farm_id": FARM,
            "queue_id": QUEUE,
            "storage_profile_id": None,
            "region": "us-west-2",
            "endpoint_url": self.endpoint,
            "s3_endpoint_url": None,
            "sts_endpoint_url": f"http://127.0.0.1:{self.port}/sts",
            "logs_endpoint_url": f"http://127.0.0.1:{self.port}",
            "access_key_id": "AKIATEST",
            "secret_access_key": "secret",
            "session_token": None,
            "profile": None,
            **changes,
        }

    def answer(
        self, method: str, path: str, *, status: int = 200, body: Any = None, delay: float = 0, times: int = 10**6
    ) -> None:
        """Answer requests whose path ends in ``path`` (a regular expression) in this way."""
        self.answers.insert(0, Answer(method, re.compile(path + r"\Z"), status, body, delay, times))

    def fail(self, method: str, path: str, code: str, message: str, *, status: int = 400, times: int = 10**6) -> None:
        """Answer with an error of the service model."""
        self.answer(method, path, status=status, body={"__type": code, "message": message}, times=times)

    def sent(self, method: str, path: str) -> list[Request]:
        """The requests whose path ends in ``path``."""
        return [r for r in [*self.requests, *self.events] if r.method == method and re.search(path + r"\Z", r.path)]

    def _serve(self, handler: BaseHTTPRequestHandler) -> None:
        url = urlsplit(handler.path)
        text = handler.rfile.read(int(handler.headers.get("Content-Length") or 0))
        try:
            body = json.loads(text) if text else None
        except ValueError:
            body = text
        headers = {name.lower(): value for name, value in handler.headers.items()}
        request = Request(handler.command, unquote(url.path), parse_qs(url.query), headers, body)
        (self.events if request.path == TELEMETRY else self.requests).append(request)
        status, answer = self._answer(request)
        payload = answer if isinstance(answer, bytes) else json.dumps(answer).encode()
        handler.send_response(status)
        handler.send_header("Content-Type", "application/json")
        if status >= 400 and isinstance(answer, dict) and "__type" in answer:
            handler.send_header("x-amzn-errortype", answer["__type"])
        handler.send_header("Content-Length", str(len(payload)))
        handler.end_headers()
        if request.method != "HEAD":
            handler.wfile.write(payload)

    def _answer(self, request: Request) -> tuple[int, Any]:
        for answer in self.answers:
            if answer.times > 0 and answer.method == request.method and answer.path.search(request.path):
                answer.times -= 1
                self._closed.wait(answer.delay)
                if answer.body is not None:
                    return answer.status, answer.body
                break
        if request.headers.get("x-amz-target") == "Logs_20140328.GetLogEvents":
            events = [{"timestamp": 1704164645678, "message": "a line", "ingestionTime": 1704164645700}]
            return 200, {"events": events, "nextForwardToken": "f/1", "nextBackwardToken": "b/1"}
        if request.path == TELEMETRY:
            return 200, {}
        if request.path.startswith("/sts"):
            return 200, STS_IDENTITY
        path = request.path.removeprefix("/2023-10-12")
        farm, queue = f"/farms/{FARM}", f"/farms/{FARM}/queues/{QUEUE}"
        job = f"{queue}/jobs/{JOB}"
        pages = {
            "/farms": ("farms", self.farms),
            f"{farm}/queues": ("queues", [self.queue]),
            f"{queue}/environments": (
                "environments",
                [{key: e[key] for key in ("queueEnvironmentId", "name", "priority")} for e in self.environments],
            ),
            f"{farm}/queue-fleet-associations": (
                "queueFleetAssociations",
                [{"queueId": QUEUE, "fleetId": FLEET, "status": "ACTIVE", **CREATED}],
            ),
            f"{queue}/storage-profiles": ("storageProfiles", [self.storage_profile]),
            f"{job}/steps": ("steps", self.steps),
            f"{job}/steps/{STEP}/tasks": ("tasks", self.tasks),
            f"{job}/steps/{STEP}/dependencies": ("dependencies", []),
            f"{job}/sessions": ("sessions", [{"sessionId": SESSION, "lifecycleStatus": "ENDED", "extraMember": 1}]),
            f"{job}/session-actions": ("sessionActions", []),
        }
        items = {
            farm: {**self.farms[0], "costScaleFactor": 1.0} if self.farms else None,
            queue: self.queue,
            f"{farm}/fleets/{FLEET}": self.fleet,
            f"{queue}/storage-profiles/{STORAGE_PROFILE}": self.storage_profile,
            f"{queue}/user-roles": {"credentials": self.credentials},
            f"{queue}/read-roles": {"credentials": self.credentials},
            job: self.job,
            **{f"{queue}/environments/{e['queueEnvironmentId']}": e for e in self.environments},
        }
        if request.method == "GET" and path in pages:
            return 200, self._page(request, *pages[path])
        if request.method == "GET" and items.get(path) is not None:
            return 200, items[path]
        if request.method == "POST" and path == f"{queue}/jobs":
            return 201, {"jobId": JOB}
        if request.method == "POST" and path == f"{farm}/search/jobs":
            return 200, {"jobs": [self.job], "totalResults": 1}
        if request.method == "PATCH" and path.startswith(job):
            return 200, {}
        return 404, {
            "__type": "ResourceNotFoundException",
            "message": f"There is nothing at {path}",
            "resourceId": path,
            "resourceType": "unknown",
        }

    def _page(self, request: Request, member: str, items: list[dict[str, Any]]) -> dict[str, Any]:
        start = int(request.query.get("nextToken", ["0"])[0])
        end = start + min(self.page_size, int(request.query.get("maxResults", ["100"])[0]))
        page: dict[str, Any] = {member: items[start:end]}
        if end < len(items):
            page["nextToken"] = str(end)
        return page


STS_IDENTITY = (
    b'<GetCallerIdentityResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><GetCallerIdentityResult>'
    b"<Arn>arn:aws:sts::123456789012:assumed-role/queue/somebody</Arn><UserId>AROA:somebody</UserId>"
    b"<Account>123456789012</Account></GetCallerIdentityResult><ResponseMetadata><RequestId>1</RequestId>"
    b"</ResponseMetadata></GetCallerIdentityResponse>"
)
