"""Login and logout: through Deadline Cloud monitor, and of sign-ins to the AWS console."""

from __future__ import annotations

from configparser import ConfigParser
from typing import Any, Callable

from shotput import _native
from shotput.errors import DeadlineOperationCanceled, UnsupportedProfileTypeForLoginLogout

from ..config import config_file
from ._session import AwsCredentialsSource, invalidate_boto3_session_cache

__all__ = ["LoginCanceled", "UnsupportedProfileTypeForLoginLogout", "login", "logout"]

# What `login` raises when a person gives up.
LoginCanceled = DeadlineOperationCanceled


def login(
    on_pending_authorization: Callable[..., Any] | None,
    on_cancellation_check: Callable[[], bool] | None,
    config: ConfigParser | None = None,
    from_gui: bool = False,
) -> str:
    """Wait until a person logged in with the monitor, or to the AWS console; a sentence that names the profile.

    ``on_pending_authorization(credentials_source=...)`` is called once a program waits. ``on_cancellation_check()``
    is asked again and again, and ends the login when it says so. Raises ``DeadlineOperationError`` for a profile of
    another kind, and when the login fails or is ended (``LoginCanceled``).
    """

    def pending(credentials_source: Any) -> None:
        if on_pending_authorization is not None:
            on_pending_authorization(credentials_source=AwsCredentialsSource[credentials_source.name])

    with config_file.as_file(config) as path:
        message: str = _native.login(path, pending, on_cancellation_check)
    invalidate_boto3_session_cache()
    return message


def logout(config: ConfigParser | None = None, from_gui: bool = False) -> str:
    """Log out; what the monitor said, or that a console sign-in ended. Raises as :func:`login` does."""
    with config_file.as_file(config) as path:
        message: str = _native.logout(path)
    invalidate_boto3_session_cache()
    return message
