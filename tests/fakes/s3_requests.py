"""Clients of S3 for tests: boto3 as users set it up, and signed requests byte by byte for what no client would send."""

from __future__ import annotations

import hashlib
import hmac
import re
import socket
import zlib
from base64 import b64encode
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, BinaryIO
from urllib.parse import quote, urlsplit

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError

TRAILER = "STREAMING-UNSIGNED-PAYLOAD-TRAILER"

BUCKET = "shotput-local"
KEY, SECRET = "AKIDTEST", "secret of the tests"
MEBIBYTE = 1024 * 1024


def client(endpoint: str, key: str = KEY, secret: str = SECRET, token: str | None = None, **config: Any) -> Any:
    """boto3 as a user sets it up for an endpoint of their own; fails at once instead of trying again."""
    return boto3.client(
        "s3",
        endpoint_url=endpoint,
        aws_access_key_id=key,
        aws_secret_access_key=secret,
        aws_session_token=token,
        region_name="us-west-2",
        config=Config(s3={"addressing_style": "path"}, retries={"total_max_attempts": 1}, **config),
    )


def refused(call: Any, **arguments: Any) -> tuple[str, int, str]:
    """Code, status and message of the error that a call ends with."""
    with pytest.raises(ClientError) as caught:
        call(**arguments)
    response = caught.value.response
    error = response["Error"]
    return error["Code"], response["ResponseMetadata"]["HTTPStatusCode"], error.get("Message", "")


def files_below(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file())


def keys(s3: Any, **arguments: Any) -> list[str]:
    """All keys, through all pages."""
    pages = s3.get_paginator("list_objects_v2").paginate(Bucket=BUCKET, **arguments)
    return [entry["Key"] for page in pages for entry in page.get("Contents", [])]


def begin(s3: Any, **arguments: Any) -> str:
    """Begins a multipart upload of the key ``big``; its id."""
    return str(s3.create_multipart_upload(Bucket=BUCKET, Key="big", **arguments)["UploadId"])


def part(s3: Any, upload: str, number: int, body: bytes, **arguments: Any) -> dict[str, Any]:
    """Uploads a part; how completing it names it."""
    put = s3.upload_part(Bucket=BUCKET, Key="big", UploadId=upload, PartNumber=number, Body=body, **arguments)
    named = {"PartNumber": number, "ETag": put["ETag"]}
    return {**named, **{name: value for name, value in put.items() if name.startswith("Checksum")}}


def complete(s3: Any, upload: str, parts: list[dict[str, Any]], **arguments: Any) -> Any:
    return s3.complete_multipart_upload(
        Bucket=BUCKET, Key="big", UploadId=upload, MultipartUpload={"Parts": parts}, **arguments
    )


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

    def request(
        self,
        method: str,
        path: str,
        query: dict[str, str] | None = None,
        headers: dict[str, str] | None = None,
        body: bytes = b"",
        payload: str | None = None,
    ) -> bytes:
        """A whole request; `path` is taken as it is, already encoded."""
        url = urlsplit(self.endpoint)
        now = datetime.now(UTC) + self.skew
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
        return head.encode() + b"\r\n" + body

    def send(
        self,
        method: str,
        path: str,
        query: dict[str, str] | None = None,
        headers: dict[str, str] | None = None,
        body: bytes = b"",
        payload: str | None = None,
    ) -> Answer:
        """Sends a request and reads the answer."""
        request = self.request(method, path, query, headers, body, payload)
        return exchange(self.endpoint, request, head_only=method == "HEAD")

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


def read_body(stream: BinaryIO, headers: dict[str, str]) -> bytes:
    if headers.get("transfer-encoding") == "chunked":
        body = b""
        while size := int(stream.readline(), 16):
            body += stream.read(size)
            stream.readline()
        return body
    return stream.read(int(headers.get("content-length", 0)))
