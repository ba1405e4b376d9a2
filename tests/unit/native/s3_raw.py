"""Signed requests written byte by byte, for what no S3 client would send."""

from __future__ import annotations

import hashlib
import hmac
import re
import socket
import zlib
from base64 import b64encode
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from urllib.parse import quote, urlsplit

TRAILER = "STREAMING-UNSIGNED-PAYLOAD-TRAILER"


@dataclass(frozen=True)
class Answer:
    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def code(self) -> str:
        return self._member("Code")

    @property
    def message(self) -> str:
        return self._member("Message").replace("&apos;", "'").replace("&quot;", '"').replace("&amp;", "&")

    def _member(self, name: str) -> str:
        found = re.search(f"<{name}>(.*?)</{name}>", self.body.decode(), re.DOTALL)
        return found.group(1) if found else ""


@dataclass
class Raw:
    """A client that signs with signature version 4 and sends exactly what it is told."""

    endpoint: str
    access_key_id: str
    secret_access_key: str
    session_token: str | None = None
    skew: timedelta = field(default_factory=timedelta)

    def send(
        self,
        method: str,
        path: str,
        query: dict[str, str] | None = None,
        headers: dict[str, str] | None = None,
        body: bytes = b"",
        payload: str | None = None,
        *,
        expect_close: bool = False,
    ) -> Answer:
        """Sends a request; `path` is taken as it is, already encoded."""
        url = urlsplit(self.endpoint)
        now = datetime.now(timezone.utc) + self.skew
        stamp = now.strftime("%Y%m%dT%H%M%SZ")
        fields = {
            "host": url.netloc,
            "x-amz-date": stamp,
            "x-amz-content-sha256": payload or hashlib.sha256(body).hexdigest(),
            "content-length": str(len(body)),
            **(headers or {}),
        }
        if self.session_token is not None:
            fields["x-amz-security-token"] = self.session_token
        names = sorted(name for name in fields if name == "host" or name.startswith("x-amz-"))
        pairs = sorted((quote(name, safe="-_.~"), quote(value, safe="-_.~")) for name, value in (query or {}).items())
        query_text = "&".join(f"{name}={value}" for name, value in pairs)
        canonical = "\n".join(
            [
                method,
                path,
                query_text,
                *(f"{name}:{fields[name].strip()}" for name in names),
                "",
                ";".join(names),
                fields["x-amz-content-sha256"],
            ]
        )
        scope = f"{stamp[:8]}/us-west-2/s3/aws4_request"
        to_sign = "\n".join(["AWS4-HMAC-SHA256", stamp, scope, hashlib.sha256(canonical.encode()).hexdigest()])
        key = b"AWS4" + self.secret_access_key.encode()
        for part in scope.split("/"):
            key = hmac.new(key, part.encode(), hashlib.sha256).digest()
        signature = hmac.new(key, to_sign.encode(), hashlib.sha256).hexdigest()
        fields["authorization"] = (
            f"AWS4-HMAC-SHA256 Credential={self.access_key_id}/{scope}, "
            f"SignedHeaders={';'.join(names)}, Signature={signature}"
        )
        target = f"{path}?{query_text}" if query_text else path
        head = f"{method} {target} HTTP/1.1\r\n" + "".join(f"{name}: {value}\r\n" for name, value in fields.items())
        return exchange(self.endpoint, head.encode() + b"\r\n" + body, head_only=method == "HEAD")

    def put_chunked(self, path: str, body: bytes, trailer: dict[str, str], announced: str, **headers: str) -> Answer:
        """Puts a body as aws-chunked with a trailer behind it."""
        chunks = b"".join(b"%x\r\n%s\r\n" % (len(part), part) for part in parts(body))
        text = "".join(f"{name}:{value}\r\n" for name, value in trailer.items())
        sent = chunks + b"0\r\n" + text.encode() + b"\r\n"
        extra = {
            "content-encoding": "aws-chunked",
            "x-amz-trailer": announced,
            "x-amz-decoded-content-length": str(len(body)),
            **headers,
        }
        return self.send("PUT", path, headers=extra, body=sent, payload=TRAILER)


def parts(body: bytes, size: int = 65536) -> list[bytes]:
    return [body[start : start + size] for start in range(0, len(body), size)]


def crc32(body: bytes) -> str:
    return b64encode(zlib.crc32(body).to_bytes(4, "big")).decode()


def exchange(endpoint: str, request: bytes, *, head_only: bool = False) -> Answer:
    """Sends bytes, reads one answer."""
    url = urlsplit(endpoint)
    with socket.create_connection((url.hostname, url.port), timeout=20) as connection:
        connection.sendall(request)
        with connection.makefile("rb") as stream:
            status = int(stream.readline().split()[1])
            headers = {}
            while line := stream.readline().strip():
                name, _, value = line.decode("latin-1").partition(":")
                headers[name.lower()] = value.strip()
            if head_only:
                return Answer(status, headers, b"")
            return Answer(status, headers, read_body(stream, headers))


def read_body(stream, headers: dict[str, str]) -> bytes:  # type: ignore[no-untyped-def]
    if headers.get("transfer-encoding") == "chunked":
        body = b""
        while size := int(stream.readline(), 16):
            body += stream.read(size)
            stream.readline()
        return body
    return bytes(stream.read(int(headers.get("content-length", 0))))
