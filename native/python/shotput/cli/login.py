"""``shotput login``, ``logout`` and ``status``: who the configured target takes a person for."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.markup import escape

from shotput import _native
from shotput.auth import AwsAuthenticationStatus, AwsCredentialsSource
from shotput.cli.failure import CommandFailure, ExitCode, exit_code
from shotput.cli.output import JsonOption, emit, err, out, table
from shotput.errors import DeadlineOperationError

LOGIN_EXAMPLE = "Example: shotput login --profile studio"
LOGOUT_EXAMPLE = "Example: shotput logout"
STATUS_EXAMPLE = "Example: shotput status --json"

ProfileOption = Annotated[
    str | None,
    typer.Option("--profile", metavar="NAME", help="Use this AWS profile, this once, instead of the configured one."),
]

_SOURCES = {
    AwsCredentialsSource.NOT_VALID: "there is no such profile on this machine",
    AwsCredentialsSource.HOST_PROVIDED: "the AWS tools' own: environment, files, single sign-on, roles",
    AwsCredentialsSource.DEADLINE_CLOUD_MONITOR_LOGIN: "a login of the Deadline Cloud monitor",
    AwsCredentialsSource.AWS_CONSOLE_LOGIN: "a sign-in to the AWS console",
}

_WAITING = {
    AwsCredentialsSource.DEADLINE_CLOUD_MONITOR_LOGIN: (
        "Log in, in the window of the Deadline Cloud monitor. Ctrl-C ends the wait."
    ),
    AwsCredentialsSource.AWS_CONSOLE_LOGIN: "Sign in to the AWS console, in the browser. Ctrl-C ends the wait.",
}


@contextmanager
def _configured(profile: str | None) -> Iterator[str | None]:
    """The configuration, or a copy of it with another AWS profile; nothing of a person's is changed."""
    if profile is None:
        yield None
        return
    path = Path(_native.list_settings()["path"])
    # mkstemp makes it readable by its owner only.
    handle, name = tempfile.mkstemp(prefix="shotput-config-")
    os.close(handle)
    try:
        if path.exists():
            shutil.copyfile(path, name)
        _native.set_setting("defaults.aws_profile_name", profile, name)
        yield name
    except DeadlineOperationError as error:
        # Nobody is to look for the copy.
        raise CommandFailure(str(error).replace(name, str(path)), exit_code(error)) from error
    finally:
        Path(name).unlink()


def login(profile: ProfileOption = None, as_json: JsonOption = False) -> None:
    """Log in, and wait until AWS Deadline Cloud answers. Ctrl-C ends the wait.

    This is for AWS profiles of the Deadline Cloud monitor, a program of AWS's, and for sign-ins to the AWS console.
    The monitor opens the browser; where there is no monitor, the command `aws` opens it for a console sign-in.

    Other profiles need no login, or have their own: aws sso login --profile NAME.
    """
    with _configured(profile) as path:
        if as_json:
            said = _native.login(path)
        else:
            with err.status("Starting the login…") as shown:
                said = _native.login(path, lambda credentials_source: shown.update(_WAITING[credentials_source]))
        found = _status(path)
    emit(as_json, {**found, "message": said}, lambda: out.print(f"[green]✓[/] Logged in. {escape(said)}"))


def logout(profile: ProfileOption = None, as_json: JsonOption = False) -> None:
    """Log out through the Deadline Cloud monitor. A sign-in to the AWS console ends for all AWS tools."""
    with _configured(profile) as path:
        said = _native.logout(path).strip()
    emit(as_json, {"message": said}, lambda: out.print(f"[green]✓[/] Logged out. {escape(said)}".rstrip()))


def status(profile: ProfileOption = None, as_json: JsonOption = False) -> int:
    """Show whether AWS Deadline Cloud answers you, and what to do when it does not.

    Exit code: 0 when it answers, 5 when a login is needed, 6 when the configuration or the network is at fault.
    For more: shotput doctor --target cloud.
    """
    with _configured(profile) as path:
        found = _status(path)
    emit(as_json, found, lambda: _show(found))
    if found["apiAvailable"]:
        return ExitCode.OK
    return ExitCode.SERVICE if found["status"] == AwsAuthenticationStatus.NEEDS_LOGIN else ExitCode.CONFIG


def _status(path: str | None) -> dict[str, Any]:
    answer = _native.check_auth_status(path)
    return {
        "profile": _native.get_setting("defaults.aws_profile_name", path),
        "credentialsSource": answer["credentials_source"],
        "status": answer["auth_status"],
        "apiAvailable": answer["api_available"],
        "farmId": _native.get_setting("defaults.farm_id", path) or None,
        "queueId": _native.get_setting("defaults.queue_id", path) or None,
    }


def _show(found: dict[str, Any]) -> None:
    sign = "[green]●[/]" if found["apiAvailable"] else "[red]●[/]"
    out.print(f"{sign} {found['status']}")
    grid = table("", "")
    grid.show_header = False
    rows = {
        "profile": found["profile"],
        "credentials": _SOURCES[AwsCredentialsSource(found["credentialsSource"])],
        "farm": found["farmId"] or "none is chosen",
        "queue": found["queueId"] or "none is chosen",
    }
    for name, value in rows.items():
        grid.add_row(f"[dim]{name}[/]", escape(value))
    out.print(grid)
    then = _next(found)
    if then:
        out.print(f"→ {then}")


def _next(found: dict[str, Any]) -> str:
    if found["apiAvailable"]:
        return "" if found["farmId"] else "Choose a farm: [bold]shotput config set defaults.farm_id farm-…[/]"
    if found["status"] == AwsAuthenticationStatus.NEEDS_LOGIN:
        return "Log in: [bold]shotput login[/]"
    if found["credentialsSource"] == AwsCredentialsSource.NOT_VALID:
        return "Choose a profile that is there: [bold]shotput config set defaults.aws_profile_name NAME[/]"
    return "See what is in the way: [bold]shotput doctor --target cloud[/]"
