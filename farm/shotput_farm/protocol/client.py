"""The client side of the protocol, for the farm's own worker: signed, kept-alive, driven by the service model.

Calls take and return wire member names; timestamps are epoch seconds both ways. Every retry repeats the same client
token, so that a call is never done twice.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import random
import select
import socket
import threading
import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol
from urllib.parse import quote, urlsplit

from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import ReadOnlyCredentials

from shotput_farm.protocol import model, serialise
from shotput_farm.protocol.errors import ServiceError, Throttling, Validation, from_wire, unknown_operation
from shotput_farm.protocol.model import Operation

_LOGS_TARGET = "Logs_20140328."
_LONGEST_WAIT = 5.0


class Keys(Protocol):
    """What signs a request; ``shotput_farm.credentials.Credential`` is one."""

    @property
    def access_key_id(self) -> str:
        """The access key id."""

    @property
    def secret_access_key(self) -> str:
        """The secret."""

    @property
    def session_token(self) -> str | None:
        """The token of a temporary key."""


class UnreachableError(ConnectionError):
    """The farm did not answer, also not when asked again."""


class CallInterruptedError(Exception):
    """The caller's socket became readable before an answer came. Whether the farm took the request is not known."""


class FarmClient:
    """Calls operations of the farm at ``endpoint_url``. Safe to use from any thread: each call has its own connection.

    ``keys`` is a key, or a function that returns the key to sign the next request with (a role's key changes).
    ``timeout`` is in seconds and comes on top of the time that a held request may take. A lost connection, a refusal to
    connect and throttling are tried again, ``attempts`` times in all with growing pauses; then ``UnreachableError`` or
    the ``Throttling`` is raised. Every other error of the service is raised at once, as its class of
    ``protocol.errors``.
    """

    def __init__(
        self,
        endpoint_url: str,
        keys: Keys | Callable[[], Keys],
        *,
        region: str = "us-west-2",
        timeout: float = 30.0,
        attempts: int = 6,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        parts = urlsplit(endpoint_url)
        if parts.scheme != "http" or not parts.hostname:
            raise ValueError(f"The farm's address must be like http://localhost:8080, and is {endpoint_url!r}.")
        self._endpoint = f"http://{parts.netloc}"
        self._host = parts.netloc
        # Many resolvers know no `*.localhost`, and those that know `localhost` may try ::1 first, where no farm
        # listens.
        local = parts.hostname == "localhost" or parts.hostname.endswith(".localhost")
        self._address = ("127.0.0.1" if local else parts.hostname, parts.port or 80)
        self._keys: Callable[[], Keys] = keys if callable(keys) else lambda: keys
        self._region = region
        self._timeout = timeout
        self._attempts = attempts
        self._sleep = sleep
        self._lock = threading.Lock()
        self._idle: list[http.client.HTTPConnection] = []
        self._busy: set[http.client.HTTPConnection] = set()
        self._closed = False
        self._service = model.service("deadline")

    def call(
        self, operation: str, *, hold: float = 0.0, wakeup: socket.socket | None = None, **params: Any
    ) -> dict[str, Any]:
        """Call an operation by its name with its members as keywords; return the reply's members.

        ``hold`` lets the farm keep the request open for that many seconds when it has nothing to say yet; with
        ``wakeup``, the wait for the answer ends with ``CallInterruptedError`` as soon as that socket can be read.
        Raises ``ServiceError`` (its classes in ``protocol.errors``) and ``UnreachableError``.
        """
        known = self._service.operations.get(operation)
        if known is None:
            raise unknown_operation(operation)
        method, target, headers, body = build(known, params)
        if hold > 0:
            headers["X-Shotput-Hold-Seconds"] = f"{hold:g}"
        document = self._send("deadline", method, target, headers, body, hold, wakeup)
        convert = serialise.READER.convert(known.output) if known.output is not None else None
        reply: dict[str, Any] = convert(document) if convert is not None else document
        return reply

    def put_log_events(self, group: str, stream: str, events: Sequence[Mapping[str, Any]]) -> None:
        """Append ``{"timestamp": ms, "message"}`` events, at most 10,000 and in order of time, to a log stream."""
        self._logs("PutLogEvents", {"logGroupName": group, "logStreamName": stream, "logEvents": list(events)})

    def get_log_events(self, group: str, stream: str, **params: Any) -> dict[str, Any]:
        """Return a page of a log stream; ``params`` are those of CloudWatch Logs (``startFromHead``, ``nextToken``)."""
        return self._logs("GetLogEvents", {"logGroupName": group, "logStreamName": stream, **params})

    def interrupt(self) -> None:
        """Break off the calls that other threads are waiting in: they raise ``UnreachableError`` without a retry."""
        with self._lock:
            for connection in self._busy:
                connection.interrupted = True  # type: ignore[attr-defined]
                if connection.sock is not None:
                    with contextlib.suppress(OSError):  # the other side was quicker
                        connection.sock.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """Close every connection; calls that are under way break off."""
        self._closed = True
        self.interrupt()
        with self._lock:
            for connection in self._idle:
                connection.close()
            self._idle.clear()

    def _logs(self, operation: str, document: dict[str, Any]) -> dict[str, Any]:
        headers = {"Content-Type": "application/x-amz-json-1.1", "X-Amz-Target": _LOGS_TARGET + operation}
        return self._send("logs", "POST", "/", headers, serialise.encode(document), 0.0)

    def _send(
        self,
        service: str,
        method: str,
        target: str,
        headers: dict[str, str],
        body: bytes,
        hold: float,
        wakeup: socket.socket | None = None,
    ) -> dict[str, Any]:
        pause = 0.05
        for attempt in range(1, self._attempts + 1):
            try:
                return self._exchange(service, method, target, headers, body, hold, wakeup)
            except Throttling as error:
                if attempt == self._attempts:
                    raise
                wait = error.retry_after if error.retry_after is not None else pause
            except (http.client.HTTPException, OSError) as error:
                if attempt == self._attempts or self._closed or isinstance(error, UnreachableError):
                    raise UnreachableError(
                        f"The farm at {self._endpoint} does not answer {method} {target.partition('?')[0]} "
                        f"({error or type(error).__name__}). Look whether it runs: `shotput farm status`."
                    ) from error
                wait = pause
            self._sleep(wait + random.uniform(0, pause))
            pause = min(pause * 2, _LONGEST_WAIT)
        raise AssertionError("unreachable")

    def _exchange(
        self,
        service: str,
        method: str,
        target: str,
        headers: dict[str, str],
        body: bytes,
        hold: float,
        wakeup: socket.socket | None,
    ) -> dict[str, Any]:
        signed = self._sign(service, method, target, headers, body)
        while True:
            connection, reused = self._connection(self._timeout + hold)
            try:
                connection.request(method, target, body, signed)
                if wakeup is not None and _wait(connection.sock, wakeup, self._timeout + hold):
                    self._release(connection, keep=False)
                    raise CallInterruptedError
                response = connection.getresponse()
                content = response.read()
            except (http.client.HTTPException, OSError) as error:
                connection.close()
                interrupted = getattr(connection, "interrupted", False)
                self._release(connection, keep=False)
                if interrupted:
                    raise UnreachableError("interrupted") from error
                # The farm closes connections that were idle for long: that one says nothing about the farm.
                if reused and not isinstance(error, TimeoutError):
                    continue
                raise
            self._release(connection, keep=not response.will_close)
            if 200 <= response.status < 300:
                document: dict[str, Any] = json.loads(content) if content else {}
                return document
            raise _error(response, content)

    def _sign(self, service: str, method: str, target: str, headers: dict[str, str], body: bytes) -> dict[str, str]:
        keys = self._keys()
        request = AWSRequest(method, self._endpoint + target, dict(headers), body)
        credentials = ReadOnlyCredentials(keys.access_key_id, keys.secret_access_key, keys.session_token)
        SigV4Auth(credentials, service, self._region).add_auth(request)
        return {"Host": self._host, **dict(request.headers.items())}

    def _connection(self, timeout: float) -> tuple[http.client.HTTPConnection, bool]:
        with self._lock:
            if self._closed:
                raise UnreachableError("the client is closed")
            if self._idle:
                connection = self._idle.pop()
                self._busy.add(connection)
                if connection.sock is not None:
                    connection.timeout = timeout
                    connection.sock.settimeout(timeout)
                    return connection, True
            else:
                connection = http.client.HTTPConnection(*self._address, timeout=timeout)
                self._busy.add(connection)
        return connection, False

    def _release(self, connection: http.client.HTTPConnection, *, keep: bool) -> None:
        with self._lock:
            self._busy.discard(connection)
            if keep and not self._closed:
                self._idle.append(connection)
                return
        connection.close()


def _wait(answer: socket.socket, wakeup: socket.socket, timeout: float) -> bool:
    """Wait for either socket; True when it is ``wakeup`` alone that can be read."""
    readable, _, _ = select.select([answer, wakeup], [], [], timeout)
    if not readable:
        raise TimeoutError(f"no answer within {timeout:.0f} s")
    return answer not in readable


def build(operation: Operation, params: Mapping[str, Any]) -> tuple[str, str, dict[str, str], bytes]:
    """Return method, target, headers and body for the members of an operation's input."""
    values = {name: value for name, value in params.items() if value is not None}
    if operation.token_member is not None:
        values.setdefault(operation.token_member, str(uuid.uuid4()))
    segments = []
    names = {member.wire_name: member.name for member in operation.path}
    for segment in operation.segments:
        if segment.startswith("{"):
            name = names[segment[1:-1]]
            if not values.get(name):
                raise Validation(f"{operation.name} needs {name}. Give it.", [(name, "is required")])
            segment = quote(str(values[name]), safe="-_.~")
        segments.append(segment)
    pairs = []
    for member in operation.query:
        value = values.get(member.name)
        if value is not None:
            items = value if isinstance(value, (list, tuple)) else (value,)
            pairs += [f"{member.wire_name}={quote(str(item), safe='-_.~')}" for item in items]
    headers = {m.wire_name: str(values[m.name]) for m in operation.headers if m.name in values}
    body = b""
    if operation.body:
        headers["Content-Type"] = "application/json"
        body = serialise.encode(serialise.WRITER.members(operation.body)(values))
    target = "/" + "/".join(segments)
    return operation.method, f"{target}?{'&'.join(pairs)}" if pairs else target, headers, body


def _error(response: http.client.HTTPResponse, content: bytes) -> ServiceError:
    headers = {name.lower(): value for name, value in response.getheaders()}
    try:
        document = json.loads(content)
    except ValueError:
        document = {}
    if not isinstance(document, dict):
        document = {}
    code = headers.get("x-amzn-errortype") or document.get("__type") or f"HTTP{response.status}"
    return from_wire(str(code).split(":")[0].rpartition("#")[2], response.status, document, headers)
