"""A sign-in to the AWS console: the file that its tools keep the keys in, and a stand-in for the AWS command.

The real command opens a browser and waits for a person there, so it cannot be had. The file is as it writes it.
"""

from __future__ import annotations

import base64
import hashlib
import json
import os
import sys
import textwrap
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

SESSION = "arn:aws:iam::123456789012:user/somebody"
PROFILE = f"login_session = {SESSION}\nregion = us-west-2\n"

# The key that a refresh is signed with: the secret is the number one, so the public half is the curve's base point.
_POINT = (
    "6b17d1f2e12c4247f8bce6e563a440f277037d812deb33a0f4a13945d898c296"
    "4fe342e2fe1a7f9b8ee7eb4a7c0f9e162bce33576b315ececbb6406837bf51f5"
)
_KEY = bytes.fromhex(f"30770201010420{1:064x}a00a06082a8648ce3d030107a14403420004{_POINT}")


def token(*, lasts: float = 900, **keys: str) -> dict[str, Any]:
    """What is kept of a sign-in; its keys last so many seconds, and are others where ``keys`` says so."""
    pem = "\n".join(textwrap.wrap(base64.b64encode(_KEY).decode(), 64))
    return {
        "accessToken": {
            "accessKeyId": "ASIACONSOLE",
            "secretAccessKey": "secret",
            "sessionToken": "token",
            "accountId": "123456789012",
            "expiresAt": (datetime.now(UTC) + timedelta(seconds=lasts)).strftime("%Y-%m-%dT%H:%M:%SZ"),
            **keys,
        },
        "tokenType": "urn:aws:params:oauth:token-type:access_token_sigv4",
        "refreshToken": "refresh-me",
        "idToken": "id",
        "clientId": "arn:aws:signin:::devtools/same-device",
        "dpopKey": f"-----BEGIN EC PRIVATE KEY-----\n{pem}\n-----END EC PRIVATE KEY-----\n",
    }


def cache_file() -> Path:
    """Where all AWS tools of this environment keep the keys of ``SESSION``."""
    folder = os.environ.get("AWS_LOGIN_CACHE_DIRECTORY") or Path(os.environ["HOME"], ".aws", "login", "cache")
    return Path(folder, hashlib.sha256(SESSION.encode()).hexdigest()).with_suffix(".json")


def sign_in(*, lasts: float = 900, **keys: str) -> Path:
    """Keeps the keys of a sign-in, and gives the file."""
    file = cache_file()
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(token(lasts=lasts, **keys)))
    return file


@dataclass
class AwsCommand:
    """The program ``aws`` of one test, in a folder for ``PATH``."""

    folder: Path

    @classmethod
    def install(cls, folder: Path, *, says: str = "", ends_with: int | None = 0, **keys: str) -> AwsCommand:
        """Writes the program. With ``ends_with`` 0 it signs in, with these keys; with ``None`` it waits for ever."""
        folder.mkdir(parents=True, exist_ok=True)
        program = folder / "aws"
        values = {"file": str(cache_file()), "token": json.dumps(token(**keys)), "says": says, "ends_with": ends_with}
        program.write_text(f"#!{sys.executable}\nVALUES = {values!r}\n" + _BODY)
        program.chmod(0o755)
        return cls(folder)

    def calls(self) -> list[dict[str, Any]]:
        """Arguments and process id of each start."""
        return [json.loads(path.read_text()) for path in sorted(self.folder.glob("call-*.json"))]


_BODY = """\
import json, os, pathlib, sys, time
note = pathlib.Path(__file__).parent / f"call-{time.monotonic_ns():020}.json"
note.with_suffix(".part").write_text(json.dumps({"arguments": sys.argv[1:], "pid": os.getpid()}))
note.with_suffix(".part").rename(note)
print(VALUES["says"], file=sys.stderr, flush=True)
while VALUES["ends_with"] is None:
    time.sleep(0.02)
if VALUES["ends_with"] == 0:
    file = pathlib.Path(VALUES["file"])
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(VALUES["token"])
sys.exit(VALUES["ends_with"])
"""
