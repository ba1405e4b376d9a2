"""Signed calls to the farm, on one kept-open connection, that can be left while the farm still holds them.

An SDK client cannot be interrupted while it waits for an answer, and costs the worker some 30 MB and a millisecond a call;
this knows just enough of HTTP and Signature Version 4 for requests with a JSON body.
"""

from __future__ import annotations

import hmac
import http.client
import json
import select
import socket
import time
from collections.abc import Mapping
from hashlib import sha256
from typing import Any
from urllib.parse import quote, urlencode, urlsplit

from shotput_farm.protocol.errors import from_wire

_ALGORITHM = "AWS4-HMAC-SHA256"


class Interrupted(Exception):
    """The caller's socket became readable before an answer came. Whether the farm took the request is not known."""


class Keys:
    """The keys that requests are signed with. Replaced as a whole, so that a call never mixes two of them."""

    def __init__(self, access_key_id: str, secret_access_key: str, session_token: str | None = None) -> None:
        self.access_key_id = access_key_id
        self.secret_access_key = secret_access_key
        self.session_token = session_token


class Connection:
    """One connection to one service of the farm. Not for use by several threads at once.

    ``service`` is the signing name. Raises OSError when the farm does not answer, ``ServiceException`` for its errors.
    """

    def __init__(self, endpoint: str, region: str, service: str, keys: Keys, *, timeout: float = 30.0) -> None:
        parts = urlsplit(endpoint)
        self._host = parts.netloc
        # `localhost` can resolve to ::1 first, where a farm that binds 127.0.0.1 does not listen.
        address = "127.0.0.1" if parts.hostname == "localhost" else parts.hostname or "127.0.0.1"
        self._http = http.client.HTTPConnection(address, parts.port, timeout=timeout)
        self._region = region
        self._service = service
        self._timeout = timeout
        self.keys = keys

    def call(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
        body: Any = None,
        content_type: str = "application/json",
        hold: float = 0.0,
        wakeup: socket.socket | None = None,
    ) -> dict[str, Any]:
        """Return the parsed reply. ``hold`` is how long the farm may take beyond the ordinary time-out.

        With ``wakeup``, waiting ends with ``Interrupted`` when that socket becomes readable.
        """
        payload = json.dumps(body, separators=(",", ":")).encode() if body is not None else b""
        text = urlencode(sorted((query or {}).items()), quote_via=quote)
        fresh = self._http.sock is None
        try:
            try:
                self._send(method, path, text, headers or {}, payload, content_type)
                response = self._receive(hold, wakeup)
            except (http.client.RemoteDisconnected, BrokenPipeError, ConnectionResetError):
                # A farm that came up again, or an idle time-out, closed what was kept open; one new try.
                if fresh:
                    raise
                self._http.close()
                self._send(method, path, text, headers or {}, payload, content_type)
                response = self._receive(hold, wakeup)
            content = response.read()
        except Interrupted:
            self._http.close()
            raise
        except (OSError, http.client.HTTPException) as error:
            self._http.close()
            if isinstance(error, OSError):
                raise
            raise ConnectionError(f"The farm's answer cannot be read: {error!r}") from error
        document = json.loads(content) if content else {}
        if response.status >= 400:
            lower = {name.lower(): value for name, value in response.getheaders()}
            code = lower.get("x-amzn-errortype") or document.get("__type") or ""
            raise from_wire(code.split(":")[0].split("#")[-1], response.status, document, lower)
        return dict(document)

    def close(self) -> None:
        """Close the connection; the next call opens it again."""
        self._http.close()

    def _send(
        self, method: str, path: str, query: str, headers: Mapping[str, str], payload: bytes, content_type: str
    ) -> None:
        stamp = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
        signed = {"content-type": content_type, "host": self._host, "x-amz-date": stamp}
        signed.update({name.lower(): value for name, value in headers.items()})
        if self.keys.session_token:
            signed["x-amz-security-token"] = self.keys.session_token
        names = ";".join(sorted(signed))
        canonical = "\n".join(
            (
                method,
                quote(path, safe="/~"),
                query,
                *(f"{name}:{signed[name]}" for name in sorted(signed)),
                "",
                names,
                sha256(payload).hexdigest(),
            )
        )
        scope = f"{stamp[:8]}/{self._region}/{self._service}/aws4_request"
        to_sign = "\n".join((_ALGORITHM, stamp, scope, sha256(canonical.encode()).hexdigest()))
        key = f"AWS4{self.keys.secret_access_key}".encode()
        for part in scope.split("/"):
            key = hmac.digest(key, part.encode(), "sha256")
        signature = hmac.digest(key, to_sign.encode(), "sha256").hex()
        signed["Authorization"] = (
            f"{_ALGORITHM} Credential={self.keys.access_key_id}/{scope}, SignedHeaders={names}, Signature={signature}"
        )
        if self._http.sock is None:
            self._http.connect()
            # Headers and body are two writes; with Nagle the second waits for the answer to the first.
            self._http.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._http.request(method, f"{path}?{query}" if query else path, body=payload, headers=signed)

    def _receive(self, hold: float, wakeup: socket.socket | None) -> http.client.HTTPResponse:
        waits = [self._http.sock] if wakeup is None else [self._http.sock, wakeup]
        readable, _, _ = select.select(waits, [], [], hold + self._timeout)
        if self._http.sock in readable:
            return self._http.getresponse()
        if readable:
            raise Interrupted
        raise TimeoutError(f"The farm did not answer within {hold + self._timeout:.0f} s.")
