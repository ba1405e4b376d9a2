"""Takes out of a text what a stranger must not read: keys, tokens, passwords, and whose machine it is.

It rather takes out too much: of a bug report that lacks a word one can ask, one with a password cannot be called back.
"""

from __future__ import annotations

import getpass
import os
import re
import socket
from collections.abc import Collection
from pathlib import Path

HIDDEN = "<redacted>"

_NAME = (
    r"[\w.-]*(?:secret|token|passw|passphrase|pwd|credential|signature|cookie|authorization"
    r"|(?:api|access|private|account|auth|session|ssh|signing|encryption)[_ -]?key)[\w.-]*"
)
_BEHIND = r"(?:[bru]?\\*[\"'])?"  # the quote that ends a name
_QUOTED = r'\\+".*?\\+"|"(?:\\.|[^"\\])*"?|\\+\'.*?\\+\'|\'(?:\\.|[^\'\\])*\'?'

_RULES: tuple[tuple[re.Pattern[str], str], ...] = tuple(
    (re.compile(pattern, re.IGNORECASE | re.DOTALL), replacement)
    for pattern, replacement in (
        (r"-----BEGIN [A-Z ]*PRIVATE KEY-----.*?(?:-----END [A-Z ]*PRIVATE KEY-----|\Z)", HIDDEN),
        # https://user:password@host; a password may have an @ of its own.
        (r"(\b[a-z][a-z0-9+.-]{0,15}://)[^\s/\"'<>]*:[^\s\"'<>]*@", rf"\1{HIDDEN}@"),
        # <SecretAccessKey>…</SecretAccessKey>
        (rf"(<({_NAME})>)[^<]*", rf"\1{HIDDEN}"),
        # What a header holds is of several words, up to the end of its line or of its quotes.
        (
            rf"\b((?:proxy-)?authorization|(?:set-)?cookie)({_BEHIND}\s*[:=]\s*)(?:{_QUOTED}|[^\n]+)",
            rf"\1\2{HIDDEN}",
        ),
        (r"\b(bearer|aws4-hmac-sha256)(\s+)[^\n\"']+", rf"\1\2{HIDDEN}"),
        (r"\b(basic)(\s+)[a-z0-9+/_-]{8,}=*", rf"\1\2{HIDDEN}"),
        # NAME=value, "name": "value", 'name': 'value', name: value, --name value
        (rf"(?<![\w.-])({_NAME}{_BEHIND}\s*(?:=>|[:=])\s*[bru]?)(?:{_QUOTED}|[^\s,;&}}\])<>]+)", rf"\1{HIDDEN}"),
        (rf"(?<!\S)(--?{_NAME}\s+)(?:{_QUOTED}|[^\s-]\S*)", rf"\1{HIDDEN}"),
        # -p NAME=value and -s NAME=value, in logs of versions that wrote them down.
        (
            r"((?:^|\s)(?:-p|-s|--parameter|--set)[ =]?\w+=)(?!…)(?:(?!\s-{1,2}[a-z])[^\n])+",
            rf"\1{HIDDEN}",
        ),
        (r"([?&][\w-]*(?:sig|key|auth|code|tok|pass)[\w-]*=)[^&\s\"'<>]+", rf"\1{HIDDEN}"),
        (r"\b(?:A3T[A-Z0-9]|AKIA|ASIA|ABIA|ACCA|AROA|AIDA)[0-9A-Z]{12,}\b", "<key id>"),
        # Session tokens of AWS, and tokens in JSON (JWT), begin alike wherever they stand.
        (r"\b(?:IQoJ|FwoG|FQoG)[\w/+=%-]{16,}", HIDDEN),
        (r"\beyJ[\w-]{8,}\.[\w-]+(?:\.[\w-]*)?", HIDDEN),
    )
)


def secrets_of_environment() -> set[str]:
    """The values of this process's environment whose names say that they are secret."""
    return {value for name, value in os.environ.items() if len(value) > 5 and re.fullmatch(_NAME, name, re.IGNORECASE)}


def redact(text: str, secrets: Collection[str] = ()) -> str:
    """``text`` without ``secrets``, all that looks like one, the user's home and name, and the machine's name."""
    for secret in sorted(secrets, key=len, reverse=True):
        text = text.replace(secret, HIDDEN)
    for pattern, replacement in _RULES:
        text = pattern.sub(replacement, text)
    for home in _homes():
        text = re.sub(rf"(?<![\w.-]){re.escape(home)}(?![\w-])", "<home>", text)
    for name in _user_names():
        text = _word(name).sub("<user>", text)
    for name in _machine_names():
        text = _word(name).sub("<machine>", text)
    return text


def _word(name: str) -> re.Pattern[str]:
    # An underscore is part of no name: shot_bob.blend.
    return re.compile(rf"(?<![^\W_]){re.escape(name)}(?![^\W_])", re.IGNORECASE)


def _homes() -> list[str]:
    """The user's home folder as it is named and as it is; none where that is the root of all files."""
    try:
        named = Path.home()
    except RuntimeError:
        return []
    found = {str(named), str(named.resolve())} - {named.anchor}
    return sorted(found, key=len, reverse=True)


def _user_names() -> list[str]:
    """What the user is called, the longest first. The superuser has no name of its own, and a letter is none."""
    try:
        found = {getpass.getuser()}
    except (KeyError, OSError):
        found = set()
    found |= {os.environ.get(name, "") for name in ("LOGNAME", "USER", "USERNAME")}
    found |= {Path(home).name for home in _homes()}
    return sorted((name for name in found if len(name) > 1 and name.lower() != "root"), key=len, reverse=True)


def _machine_names() -> list[str]:
    full = socket.gethostname()
    found = {full, full.partition(".")[0]}
    return sorted((name for name in found if name and name.lower() != "localhost"), key=len, reverse=True)
