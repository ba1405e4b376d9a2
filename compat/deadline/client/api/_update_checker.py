"""Whether a newer version of an integration can be downloaded. Never raises: it is asked while a host starts.

The manifest lies at ``SHOTPUT_UPDATE_MANIFEST_URL``, else where the official submitters are published.
"""

from __future__ import annotations

import json
import os
import socket
import ssl
import sys
import urllib.error
import urllib.request
from dataclasses import dataclass
from enum import Enum
from typing import Any

from packaging.version import InvalidVersion, Version

from ..config import config_file

__all__ = ["UpdateCheckResult", "UpdateCheckStatus", "safe_check_for_updates"]

_MANIFEST_URL = "https://downloads.deadlinecloud.amazonaws.com/submitters/manifest.json"
_SECONDS = 5
# Two classes in Python 3.9, one in newer ones.
_TOO_LATE = (TimeoutError, socket.timeout)


class UpdateCheckStatus(Enum):
    """How a check went."""

    SUCCESS = "success"
    NETWORK_ERROR = "network_error"
    TIMEOUT_ERROR = "timeout_error"
    PARSE_ERROR = "parse_error"
    INVALID_VERSION = "invalid_version"
    INTEGRATION_NOT_FOUND = "integration_not_found"
    UNEXPECTED_ERROR = "unexpected_error"


@dataclass
class UpdateCheckResult:
    """What a check found. ``error_message`` says why there is nothing to say."""

    status: UpdateCheckStatus
    current_version: str
    update_available: bool = False
    latest_version: str | None = None
    download_url: str | None = None
    error_message: str | None = None


def safe_check_for_updates(integration_name: str, current_version: str) -> UpdateCheckResult:
    """Look for a version newer than this. With ``settings.submitter_update_notification`` off, nothing is asked."""

    def failed(status: UpdateCheckStatus, message: str, latest: str | None = None) -> UpdateCheckResult:
        return UpdateCheckResult(status, current_version, latest_version=latest, error_message=message)

    latest: Any = None
    try:
        if not config_file.str2bool(config_file.get_setting("settings.submitter_update_notification")):
            return UpdateCheckResult(UpdateCheckStatus.SUCCESS, current_version)
        url = os.environ.get("SHOTPUT_UPDATE_MANIFEST_URL") or _MANIFEST_URL
        published = json.loads(_read(url))["DeadlineCloudSubmitter"]["versions"]["latest"][_platform()]
        latest = published.get("componentVersions", {}).get(integration_name)
        if latest is None:
            return failed(UpdateCheckStatus.INTEGRATION_NOT_FOUND, f"{url} does not list {integration_name!r}.")
        is_newer = Version(latest) > Version(current_version)
        installer = published.get("installer")
        download = f"{url.rsplit('/', 1)[0]}/{installer.lstrip('/')}" if installer else None
        # An update that nobody can fetch is none.
        return UpdateCheckResult(
            UpdateCheckStatus.SUCCESS, current_version, is_newer and download is not None, latest, download
        )
    except InvalidVersion as error:
        return failed(UpdateCheckStatus.INVALID_VERSION, str(error), latest)
    except _TOO_LATE:
        return failed(UpdateCheckStatus.TIMEOUT_ERROR, f"There was no answer within {_SECONDS} seconds.")
    except urllib.error.URLError as error:
        if isinstance(error.reason, _TOO_LATE):
            return failed(UpdateCheckStatus.TIMEOUT_ERROR, f"There was no answer within {_SECONDS} seconds.")
        return failed(UpdateCheckStatus.NETWORK_ERROR, str(error))
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        return failed(UpdateCheckStatus.PARSE_ERROR, f"The manifest cannot be understood: {error!r}.")
    except Exception as error:
        return failed(UpdateCheckStatus.UNEXPECTED_ERROR, repr(error))


def _platform() -> str:
    return {"darwin": "macos", "win32": "windows", "cygwin": "windows"}.get(sys.platform, "linux")


def _read(url: str) -> bytes:
    if not url.startswith(("https://", "http://")):
        raise ValueError(f"{url} is no web address")
    # Hosts bring Pythons that find no certificates of the system; botocore has some.
    from botocore.httpsession import get_cert_path

    context = ssl.create_default_context(cafile=get_cert_path(True))
    with urllib.request.urlopen(url, timeout=_SECONDS, context=context) as reply:
        content: bytes = reply.read()
    return content
