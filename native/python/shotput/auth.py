"""The values of authentication, by the names that the official client gives them.

The native functions speak of both as text; a member equals its name, so either way of comparing holds.
"""

from __future__ import annotations

from enum import Enum


class AwsCredentialsSource(str, Enum):
    """Where the credentials of a configuration come from."""

    NOT_VALID = "NOT_VALID"
    """The configured AWS profile does not exist."""
    HOST_PROVIDED = "HOST_PROVIDED"
    """Environment, files, processes, instance roles: what the AWS tools find."""
    DEADLINE_CLOUD_MONITOR_LOGIN = "DEADLINE_CLOUD_MONITOR_LOGIN"
    """A profile that the Deadline Cloud monitor made."""
    AWS_CONSOLE_LOGIN = "AWS_CONSOLE_LOGIN"
    """A profile of a sign-in to the AWS console, by ``aws login`` or the Deadline Cloud monitor."""


class AwsAuthenticationStatus(str, Enum):
    """What the service thinks of the caller."""

    CONFIGURATION_ERROR = "CONFIGURATION_ERROR"
    """It refuses or is silent, and no login would change that."""
    AUTHENTICATED = "AUTHENTICATED"
    """It answers."""
    NEEDS_LOGIN = "NEEDS_LOGIN"
    """The login ended, through the Deadline Cloud monitor or to the AWS console."""


__all__ = ["AwsAuthenticationStatus", "AwsCredentialsSource"]
