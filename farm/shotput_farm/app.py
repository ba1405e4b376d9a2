"""The farm over HTTP: an ASGI application that gives each request to the service it is for.

It accepts any Host, with or without the prefixes ``management.`` and ``scheduling.`` of the protocol, and request lines
in origin and in absolute form (a client may use the farm as its HTTP proxy instead of resolving prefixed names). It
knows operations only by their registry, and says of one without a handler that this farm does not serve it.
"""

from __future__ import annotations

import asyncio
import inspect
import logging
import time
import uuid
from collections.abc import Awaitable, Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar, cast

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.requests import Request as PageRequest
from starlette.responses import PlainTextResponse
from starlette.routing import BaseRoute, Route
from starlette.types import ASGIApp, Receive, Scope, Send

from shotput_farm import handlers
from shotput_farm.authorisation import authorise
from shotput_farm.credentials import Credential, CredentialStore
from shotput_farm.handlers import Registered, Request
from shotput_farm.protocol import model, parse, serialise
from shotput_farm.protocol.errors import (
    AccessDenied,
    InternalError,
    ServiceError,
    Throttling,
    Validation,
    unknown_operation,
)
from shotput_farm.protocol.model import Operation
from shotput_farm.protocol.signature import SignatureError, Verifier
from shotput_farm.services import logs, sts
from shotput_farm.store import faults
from shotput_farm.store.logs import LogStore

_API_PREFIX = "/2023-10-12/"
_TELEMETRY = "/2023-10-12/telemetry"
_JSON = "application/json"
_HOLD_HEADER = "x-shotput-hold-seconds"
_LONGEST_HOLD = 60.0
# A template of a million characters, all escaped, with two hundred parameters stays below this.
_LARGEST_BODY = 32 * 1024 * 1024
_LOGGER = logging.getLogger("shotput_farm.app")
_T = TypeVar("_T")


@dataclass(slots=True)
class _Call:
    """One HTTP request, read whole."""

    request_id: str
    method: str
    path: str
    query: str
    header_pairs: list[tuple[str, str]]
    headers: dict[str, str]
    body: bytes


@dataclass(slots=True)
class _Answer:
    status: int
    content_type: str
    body: bytes
    headers: Mapping[str, str]


class Application:
    """The ASGI application of one farm.

    ``farm`` has ``credentials`` and ``logs`` and is what handlers get. ``pages`` are further routes (the monitor),
    served to loopback names only. ``registry`` replaces the registered handlers. With ``strict_replies`` a reply that
    breaks the model is an error instead of being sent: for tests. ``last_activity`` is the ``time.monotonic`` of the
    last request that did not come from the farm's own worker.
    """

    def __init__(
        self,
        farm: Any,
        *,
        clock: Callable[[], float] = time.time,
        log_file: Path | None = None,
        pages: list[BaseRoute] | None = None,
        registry: Mapping[str, Registered] | None = None,
        strict_replies: bool = False,
        threads: int = 4,
    ) -> None:
        self._farm = farm
        self._logs: LogStore = farm.logs
        credentials: CredentialStore = farm.credentials
        self._verifier: Verifier[Credential] = Verifier(credentials.lookup, clock=clock)
        self._registry = handlers.load() if registry is None else registry
        self._service = model.service("deadline")
        self._strict = strict_replies
        self._see_log = f" The log {log_file} says more." if log_file is not None else ""
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="handler")
        self._held: set[asyncio.Task[Any]] = set()
        self._stopping = False
        self.last_activity = time.monotonic()
        self._pages: ASGIApp = Starlette(
            routes=[Route("/health", _health), *(pages or [])],
            # A page of the web that resolves its own name to 127.0.0.1 must not read the farm's pages.
            middleware=[Middleware(TrustedHostMiddleware, allowed_hosts=["127.0.0.1", "localhost", "*.localhost"])],
        )

    def stop(self) -> None:
        """Answer every held request now and every later one with a request to come back; call it on the event loop."""
        self._stopping = True
        for task in self._held:
            task.cancel()

    def close(self) -> None:
        """Wait for running handlers and end their threads."""
        self._pool.shutdown(wait=True)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection event (ASGI 3)."""
        if scope["type"] != "http":
            await self._pages(scope, receive, send)
            return
        path = _origin_form(scope["raw_path"].decode("latin-1"))
        method: str = scope["method"]
        if not path.startswith(_API_PREFIX) and not (method == "POST" and path == "/"):
            self.last_activity = time.monotonic()
            await self._pages({**scope, "path": _origin_form(scope["path"])}, receive, send)
            return
        pairs = [(name.decode("latin-1"), value.decode("latin-1")) for name, value in scope["headers"]]
        call = _Call(str(uuid.uuid4()), method, path, scope["query_string"].decode("latin-1"), pairs, dict(pairs), b"")
        body = await _read_body(receive)
        if body is None:
            answer = _error_answer(
                Validation(
                    f"The request's body is larger than {_LARGEST_BODY >> 20} MiB, the most that the local farm takes. "
                    "Split the request.",
                    reason="CANNOT_PARSE",
                )
            )
        else:
            call.body = body
            answer = await self._answer(call, receive)
        headers = [
            (b"content-type", answer.content_type.encode()),
            (b"content-length", str(len(answer.body)).encode()),
            (b"x-amzn-requestid", call.request_id.encode()),
            *((name.encode(), value.encode("latin-1", "replace")) for name, value in answer.headers.items()),
        ]
        if body is None:
            headers.append((b"connection", b"close"))
        await send({"type": "http.response.start", "status": answer.status, "headers": headers})
        await send({"type": "http.response.body", "body": answer.body})

    async def _answer(self, call: _Call, receive: Receive) -> _Answer:
        if self._stopping:
            return _error_answer(Throttling("The farm is stopping. Start it again, and send the request then.", 1))
        if call.path == _TELEMETRY and call.method == "POST":
            # Clients report usage here, unsigned, and stop doing so when refused. Nothing of it is kept.
            return _Answer(200, _JSON, b"{}", {})
        if call.path == "/":
            return await self._in_thread(self._companion, call)
        try:
            operation, uri = parse.route(self._service, call.method, call.path)
        except ServiceError as error:
            return await self._in_thread(self._refuse, call, error)
        registered = self._registry.get(operation.name)
        if registered is None:
            return await self._in_thread(self._refuse, call, unknown_operation(operation.name))
        try:
            if inspect.iscoroutinefunction(registered.handler):
                return await self._serve_async(call, operation, uri, registered, receive)
            if registered.inline:
                return self._serve(call, operation, uri, registered)
            return await self._in_thread(self._serve, call, operation, uri, registered)
        except Exception as error:
            return self._failure(error, operation)

    async def _in_thread(self, function: Callable[..., _T], *arguments: Any) -> _T:
        return await asyncio.get_running_loop().run_in_executor(self._pool, function, *arguments)

    def _serve(self, call: _Call, operation: Operation, uri: dict[str, str], registered: Registered) -> _Answer:
        request = self._request(call, operation, uri)
        members = registered.handler(self._farm, request)
        return self._reply(operation, cast("Mapping[str, Any] | None", members))

    async def _serve_async(
        self, call: _Call, operation: Operation, uri: dict[str, str], registered: Registered, receive: Receive
    ) -> _Answer:
        request = self._request(call, operation, uri)
        waiting = cast("Awaitable[Mapping[str, Any] | None]", registered.handler(self._farm, request))
        if not request.hold_seconds:
            return self._reply(operation, await waiting)
        task = asyncio.ensure_future(waiting)
        gone = asyncio.ensure_future(_disconnected(receive))
        self._held.add(task)
        try:
            await asyncio.wait((task, gone), return_when=asyncio.FIRST_COMPLETED)
            if not task.done():
                task.cancel()
            return self._reply(operation, await task)
        except asyncio.CancelledError:
            if not task.cancelled():
                raise
            # The farm stops, or nobody reads this answer any more.
            return _error_answer(Throttling("The farm is stopping. Start it again, and send the request then.", 1))
        finally:
            self._held.discard(task)
            gone.cancel()
            if not task.done():
                task.cancel()

    def _request(self, call: _Call, operation: Operation, uri: dict[str, str]) -> Request:
        identity = self._authenticate(call, self._service.signing_name)
        params = parse.read(operation, uri, call.query, call.headers, call.body)
        authorise(identity, operation.name, params)
        hold_seconds = _hold(call.headers.get(_HOLD_HEADER))
        # The farm's own worker stays on the line by itself. One that asks again and again was started by somebody.
        if identity.kind != "fleet-worker" or (operation.name == "UpdateWorkerSchedule" and not hold_seconds):
            self.last_activity = time.monotonic()
        return Request(
            operation=operation.name,
            params=params,
            identity=identity,
            client_token=params.get(operation.token_member) if operation.token_member else None,
            hold_seconds=hold_seconds,
            request_id=call.request_id,
            headers=call.headers,
        )

    def _authenticate(self, call: _Call, service: str) -> Credential:
        try:
            return self._verifier.verify(service, call.method, call.path, call.query, call.header_pairs, call.body)
        except SignatureError as error:
            raise AccessDenied(error.message, {"code": error.code}) from error

    def _refuse(self, call: _Call, error: ServiceError) -> _Answer:
        try:
            self._authenticate(call, self._service.signing_name)
        except AccessDenied as denied:
            return _error_answer(denied)
        return _error_answer(error)

    def _reply(self, operation: Operation, members: Mapping[str, Any] | None) -> _Answer:
        if self._strict:
            problems = serialise.problems_of(operation, members)
            if problems:
                listed = "; ".join(f"{name} {message}" for name, message in problems)
                raise RuntimeError(f"the reply of {operation.name} breaks the model: {listed}")
        status, body = serialise.reply(operation, members)
        return _Answer(status, _JSON, body, {})

    def _failure(self, error: Exception, operation: Operation | None) -> _Answer:
        if isinstance(error, ServiceError) and not isinstance(error, InternalError):
            return _error_answer(error)
        name = operation.name if operation is not None else "the request"
        if not isinstance(error, InternalError):
            _LOGGER.error("%s failed", name, exc_info=error)
            reason = faults.describe(error)
            error = InternalError(
                reason or f"The farm failed at {name} ({type(error).__name__}: {error}).{self._see_log}"
            )
        if operation is not None and operation.is_scheduling:
            # The official worker agent ends itself at the modelled code and tries again at this one.
            error.code = "InternalServerException"
        return _error_answer(error)

    def _companion(self, call: _Call) -> _Answer:
        """Serve STS and CloudWatch Logs, which share the path ``/``."""
        target = call.headers.get("x-amz-target", "")
        if target.startswith(logs.TARGET_PREFIX):
            return self._serve_logs(call, target[len(logs.TARGET_PREFIX) :])
        try:
            identity = self._verifier.verify("sts", call.method, call.path, call.query, call.header_pairs, call.body)
        except SignatureError as error:
            status, body = sts.rejected(error, call.request_id)
        else:
            status, body = sts.answer(identity, call.body, call.request_id)
        self.last_activity = time.monotonic()
        return _Answer(status, sts.CONTENT_TYPE, body, {})

    def _serve_logs(self, call: _Call, target: str) -> _Answer:
        try:
            try:
                identity = self._verifier.verify(
                    "logs", call.method, call.path, call.query, call.header_pairs, call.body
                )
            except SignatureError as error:
                raise logs.LogsError(error.code, error.message, 403) from error
            if not identity.kind.endswith("-worker"):
                self.last_activity = time.monotonic()
            return _Answer(200, logs.CONTENT_TYPE, logs.answer(self._logs, identity, target, call.body), {})
        except Exception as error:
            answer = self._failure(error, None)
            return _Answer(answer.status, logs.CONTENT_TYPE, answer.body, answer.headers)


async def _health(_request: PageRequest) -> PlainTextResponse:
    return PlainTextResponse("ok")


async def _read_body(receive: Receive) -> bytes | None:
    """Return the whole body, or None when it is larger than the farm takes."""
    chunks: list[bytes] = []
    size = 0
    while True:
        message = await receive()
        if message["type"] != "http.request":
            return b"".join(chunks)
        chunk: bytes = message.get("body", b"")
        size += len(chunk)
        if size > _LARGEST_BODY:
            return None
        chunks.append(chunk)
        if not message.get("more_body", False):
            return chunks[0] if len(chunks) == 1 else b"".join(chunks)


async def _disconnected(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


def _origin_form(target: str) -> str:
    """Return the path of a request target, also when it is an absolute URI as a proxy gets it."""
    if target.startswith("/"):
        return target
    _, scheme, rest = target.partition("://")
    if not scheme:
        return target or "/"
    slash = rest.find("/")
    return rest[slash:] if slash >= 0 else "/"


def _hold(value: str | None) -> float:
    try:
        seconds = float(value or 0)
    except ValueError:
        return 0.0
    return min(seconds, _LONGEST_HOLD) if seconds > 0 else 0.0


def _error_answer(error: ServiceError) -> _Answer:
    headers = {"x-amzn-errortype": error.code, **error.headers}
    return _Answer(error.status, _JSON, serialise.encode(error.body()), headers)
