"""Verifies Signature Version 4 in the Authorization header, with botocore's own pieces.

Only header authentication over a whole body is accepted: a presigned URL or an unsigned payload has no use on this API.
The farm serves every region name, because a client signs for whichever it is configured with.
"""

from __future__ import annotations

import hmac
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from functools import lru_cache
from hashlib import sha256
from typing import Generic, Protocol, TypeVar
from urllib.parse import quote, unquote

from botocore.auth import EMPTY_SHA256_HASH, SIGV4_TIMESTAMP, SigV4Auth
from botocore.utils import normalize_url_path

ALGORITHM = "AWS4-HMAC-SHA256"

MISSING = "MissingAuthenticationTokenException"
INCOMPLETE = "IncompleteSignatureException"
UNKNOWN_KEY = "UnrecognizedClientException"
MISMATCH = "InvalidSignatureException"
EXPIRED = "ExpiredTokenException"

_SIGNER = SigV4Auth(None, "", "")
_ASK_FOR_KEYS = "Take the keys that `shotput farm env` prints."


class Key(Protocol):
    """What the verifier needs of a key."""

    @property
    def secret_access_key(self) -> str:
        """The secret."""

    @property
    def session_token(self) -> str | None:
        """The token that every request with this key must carry, None for a long-lived key."""

    def expired(self, now: float) -> bool:
        """Tell whether the key has ended at ``now``."""


K = TypeVar("K", bound=Key)


class SignatureError(Exception):
    """A request is not signed, or not by a key of this farm, or not as it was sent. ``code`` is AWS's name for it."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message


class Verifier(Generic[K]):
    """Finds out who signed a request.

    ``lookup`` gives the key for an access key id (also an expired one) or None; ``clock`` is in epoch seconds;
    a request's date may differ from it by ``skew`` seconds.
    """

    def __init__(self, lookup: Callable[[str], K | None], *, clock: Callable[[], float], skew: float = 300.0) -> None:
        self._lookup = lookup
        self._clock = clock
        self._skew = skew

    def verify(
        self,
        service: str,
        method: str,
        raw_path: str,
        query: str,
        headers: Iterable[tuple[str, str]],
        body: bytes,
    ) -> K:
        """Return the key that signed the request for ``service`` (its signing name).

        ``raw_path`` and ``query`` are as they came over the wire; ``headers`` are all pairs with lower-case names.
        Raises ``SignatureError``.
        """
        fields: dict[str, list[str]] = {}
        for name, value in headers:
            fields.setdefault(name, []).append(value)
        access_key_id, date, region, scope_service, signed, signature = _authorization(
            fields.get("authorization", [""])
        )
        key = self._lookup(access_key_id)
        if key is None:
            raise SignatureError(
                UNKNOWN_KEY, f"This farm does not know the access key {access_key_id}. {_ASK_FOR_KEYS}"
            )
        now = self._clock()
        timestamp = fields.get("x-amz-date", [""])[0]
        self._check_date(timestamp, date, now)
        if scope_service != service:
            raise SignatureError(
                MISMATCH,
                f"The request is signed for the service {scope_service!r}, and goes to {service!r}. Sign it anew.",
            )
        self._check_token(key, fields.get("x-amz-security-token", [""])[0], access_key_id, now)
        if "host" not in signed:
            raise SignatureError(
                INCOMPLETE, "The signature does not cover the header host. Sign it, and send the request again."
            )
        missing = [name for name in signed if name not in fields]
        if missing:
            raise SignatureError(
                MISMATCH,
                f"The signature covers the header {missing[0]}, which the request does not carry. Sign it anew.",
            )
        payload = sha256(body).hexdigest() if body else EMPTY_SHA256_HASH
        declared = fields.get("x-amz-content-sha256", [payload])[0]
        canonical = "\n".join(
            (
                method,
                quote(normalize_url_path(raw_path), safe="/~"),
                _canonical_query(query),
                *(f"{name}:{','.join(_SIGNER._header_value(value) for value in fields[name])}" for name in signed),
                "",
                ";".join(signed),
                declared,
            )
        )
        to_sign = "\n".join(
            (ALGORITHM, timestamp, f"{date}/{region}/{service}/aws4_request", sha256(canonical.encode()).hexdigest())
        )
        signing_key = _signing_key(key.secret_access_key, date, region, service)
        expected = hmac.new(signing_key, to_sign.encode(), sha256).hexdigest()
        if declared != payload or not hmac.compare_digest(expected.encode(), signature.encode()):
            raise SignatureError(
                MISMATCH,
                f"The signature by {access_key_id} does not fit this request: the secret key is another, or the "
                f"request was changed on its way. {_ASK_FOR_KEYS}",
            )
        return key

    def _check_date(self, timestamp: str, date: str, now: float) -> None:
        try:
            signed_at = _seconds(timestamp)
        except ValueError:
            raise SignatureError(
                INCOMPLETE, f"The header X-Amz-Date holds {timestamp!r}, and must be like 20240102T030405Z."
            ) from None
        if not timestamp.startswith(date):
            raise SignatureError(
                INCOMPLETE, f"The signature's date {date} is not that of X-Amz-Date, {timestamp}. Sign it anew."
            )
        if abs(now - signed_at) > self._skew:
            here = datetime.fromtimestamp(now, UTC).strftime(SIGV4_TIMESTAMP)
            raise SignatureError(
                MISMATCH,
                f"The request was signed at {timestamp}, and the farm's clock says {here}: more than "
                f"{self._skew:.0f} s apart. Set the clock, and sign it anew.",
            )

    def _check_token(self, key: Key, token: str, access_key_id: str, now: float) -> None:
        if key.expired(now):
            raise SignatureError(EXPIRED, f"The temporary key {access_key_id} has expired. Ask the farm for a new one.")
        if not hmac.compare_digest((key.session_token or "").encode(), token.encode()):
            raise SignatureError(
                UNKNOWN_KEY, f"The session token does not belong to the access key {access_key_id}. {_ASK_FOR_KEYS}"
            )


def service_of(authorization: str) -> str:
    """Return the service name in the credential scope of an Authorization header, ``""`` when there is none."""
    start = authorization.find("Credential=")
    scope = authorization[start:].split(",", 1)[0].split("/")
    return scope[3] if start >= 0 and len(scope) == 5 else ""


def _authorization(values: list[str]) -> tuple[str, str, str, str, list[str], str]:
    text = values[0]
    if not text:
        raise SignatureError(MISSING, f"The request is not signed. {_ASK_FOR_KEYS}")
    algorithm, _, rest = text.partition(" ")
    parts = dict(part.strip().partition("=")[::2] for part in rest.split(","))
    scope = parts.get("Credential", "").split("/")
    signed = parts.get("SignedHeaders", "").split(";")
    signature = parts.get("Signature", "")
    if algorithm != ALGORITHM or len(scope) != 5 or scope[4] != "aws4_request" or not signed[0] or not signature:
        raise SignatureError(
            INCOMPLETE,
            f"The Authorization header must be `{ALGORITHM} Credential=KEY/DATE/REGION/SERVICE/aws4_request, "
            "SignedHeaders=…, Signature=…`. Let an AWS SDK sign the request.",
        )
    return scope[0], scope[1], scope[2], scope[3], signed, signature


def _canonical_query(query: str) -> str:
    # Decoded and encoded again: the SDKs differ in what they escape on the wire, and agree on what they sign.
    if not query:
        return ""
    pairs = sorted(
        (quote(unquote(name), safe="-_.~"), quote(unquote(value), safe="-_.~"))
        for name, _, value in (pair.partition("=") for pair in query.split("&"))
    )
    return "&".join(f"{name}={value}" for name, value in pairs)


@lru_cache(maxsize=64)
def _seconds(timestamp: str) -> float:
    # Cached: many requests come in one second, and strptime costs as much as the rest of the check.
    return datetime.strptime(timestamp, SIGV4_TIMESTAMP).replace(tzinfo=UTC).timestamp()


@lru_cache(maxsize=256)
def _signing_key(secret: str, date: str, region: str, service: str) -> bytes:
    key = f"AWS4{secret}".encode()
    for part in (date, region, service, "aws4_request"):
        key = _SIGNER._sign(key, part)
    return key
