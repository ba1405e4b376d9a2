"""STS as far as clients of the farm use it: ``GetCallerIdentity`` over the query protocol."""

from __future__ import annotations

from urllib.parse import parse_qs
from xml.sax.saxutils import escape

from shotput_farm.credentials import ACCOUNT, Credential
from shotput_farm.protocol.signature import EXPIRED, MISMATCH, MISSING, UNKNOWN_KEY, SignatureError

_NAMESPACE = "https://sts.amazonaws.com/doc/2011-06-15/"
CONTENT_TYPE = "text/xml"

# STS names two of its refusals otherwise than the JSON services do.
_CODES = {
    EXPIRED: "ExpiredToken",
    MISMATCH: "SignatureDoesNotMatch",
    MISSING: "MissingAuthenticationToken",
    UNKNOWN_KEY: "InvalidClientTokenId",
}


def answer(identity: Credential, body: bytes, request_id: str) -> tuple[int, bytes]:
    """Return status and XML for a form body. An action other than GetCallerIdentity gets an error that names it."""
    form = parse_qs(body.decode("utf-8", "replace"))
    action = form.get("Action", [""])[0]
    if action != "GetCallerIdentity":
        return error(
            400,
            "InvalidAction",
            f"The local farm serves GetCallerIdentity of STS and not {action or 'no action'}.",
            request_id,
        )
    text = (
        f'<GetCallerIdentityResponse xmlns="{_NAMESPACE}"><GetCallerIdentityResult>'
        f"<Arn>{escape(identity.arn)}</Arn><UserId>{identity.access_key_id}</UserId><Account>{ACCOUNT}</Account>"
        f"</GetCallerIdentityResult><ResponseMetadata><RequestId>{request_id}</RequestId></ResponseMetadata>"
        "</GetCallerIdentityResponse>"
    )
    return 200, text.encode()


def rejected(error_: SignatureError, request_id: str) -> tuple[int, bytes]:
    """Return status and XML for a request whose signature does not hold."""
    return error(403, _CODES.get(error_.code, error_.code), error_.message, request_id)


def error(status: int, code: str, message: str, request_id: str) -> tuple[int, bytes]:
    """Return status and XML of an error."""
    text = (
        f'<ErrorResponse xmlns="{_NAMESPACE}"><Error><Type>Sender</Type><Code>{code}</Code>'
        f"<Message>{escape(message)}</Message></Error><RequestId>{request_id}</RequestId></ErrorResponse>"
    )
    return status, text.encode()
