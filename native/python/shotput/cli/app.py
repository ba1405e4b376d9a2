"""The command line as a whole: which commands there are, and what happens when one fails."""

from __future__ import annotations

import json
import re
import sys
from importlib.metadata import entry_points
from typing import Annotated, Any

import typer
from rich.markup import escape

import shotput
from shotput.cli import (
    attachment,
    check,
    config,
    demo,
    doctor,
    export,
    interruption,
    job,
    login,
    manifest,
    output,
    outputs,
    report,
    submit,
)
from shotput.cli.failure import ExitCode, details_of, exit_code
from shotput.errors import DeadlineOperationError

app = typer.Typer(
    name="shotput",
    help="Put shots on the farm: the local one that comes with Shotput, or AWS Deadline Cloud.",
    epilog="Example: shotput submit shot010.blend --wait",
    no_args_is_help=True,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"shotput {shotput.__version__}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    pass


app.command(name="demo", epilog=demo.EXAMPLE)(demo.demo)
app.command(name="check", epilog=check.EXAMPLE)(check.check)
app.command(name="export", epilog=export.EXAMPLE)(export.export)
app.command(name="submit", epilog=submit.EXAMPLE)(submit.submit)
app.command(name="doctor", epilog=doctor.EXAMPLE)(doctor.doctor)
app.command(name="login", epilog=login.LOGIN_EXAMPLE)(login.login)
app.command(name="logout", epilog=login.LOGOUT_EXAMPLE)(login.logout)
app.command(name="status", epilog=login.STATUS_EXAMPLE)(login.status)
app.command(name="report", epilog=report.EXAMPLE)(report.report)
job.app.command(name="outputs", epilog=outputs.EXAMPLE)(outputs.outputs)
app.add_typer(job.app, name="job")
app.add_typer(manifest.app, name="manifest")
app.add_typer(attachment.app, name="attachment")
app.add_typer(config.app, name="config")

# Other distributions add groups of commands: the local farm brings `farm`.
for _entry in sorted(entry_points(group="shotput.commands"), key=lambda entry: entry.name):
    app.add_typer(_entry.load(), name=_entry.name)


# Typer's own classes are those of click or of its copy of click, as the version has it.
_Refused: type[Exception] = next(kind for kind in typer.BadParameter.__mro__ if kind.__name__ == "ClickException")


def run(arguments: list[str]) -> int:
    """Run one command line; the exit code is an :class:`ExitCode`."""
    output.start_log()
    output.log.info("shotput %s: %s", shotput.__version__, _loggable(arguments))
    try:
        result = app(args=arguments, prog_name="shotput", standalone_mode=False)
    except (typer.Abort, KeyboardInterrupt):
        return _failed(KeyboardInterrupt(), arguments)
    except _Refused as error:
        return _refused(error, arguments)
    except Exception as error:
        return _failed(error, arguments)
    if result == ExitCode.CANCELED:
        # Typer makes a code of an interrupt and says nothing.
        return _failed(KeyboardInterrupt(), arguments)
    return result if isinstance(result, int) else ExitCode.OK


def _refused(error: Any, arguments: list[str]) -> int:
    """A command line that is wrong: the sentence, and where the help is."""
    if type(error).__name__ == "NoArgsIsHelpError":
        # The help itself is the answer, and is printed by asking for the message.
        error.show()
        return ExitCode.USAGE
    path = error.ctx.command_path if error.ctx else "shotput"
    sentence = error.format_message().rstrip()
    if not sentence.endswith((".", "?", "!")):
        sentence += "."
    output.log.info("refused: %s", sentence)
    return _show(f"{sentence} See `{path} --help`.", ExitCode.USAGE, {}, arguments)


def _loggable(arguments: list[str]) -> str:
    """The command line without the values of NAME=VALUE: they may be secret, and logs are sent with bug reports."""
    return " ".join(re.sub(r"=.*", "=…", argument, flags=re.DOTALL) for argument in arguments)


def _failed(error: BaseException, arguments: list[str]) -> int:
    code = exit_code(error)
    if code is ExitCode.INTERNAL:
        output.log.error("unexpected failure", exc_info=error)
        message = (
            f"Unexpected {type(error).__name__}: {error}. "
            "This is a fault of Shotput: pack a bug report with `shotput report`."
        )
    elif isinstance(error, KeyboardInterrupt):
        message = "Canceled."
        output.log.info("canceled")
    else:
        output.log.error("failed: %s", error, exc_info=error)
        message = str(error)
    if code is ExitCode.CANCELED:
        code = interruption.code()
    log = error.log if isinstance(error, DeadlineOperationError) else ""
    return _show(message, code, details_of(error), arguments, log)


def _show(message: str, code: ExitCode, details: dict[str, object], arguments: list[str], log: str = "") -> int:
    named = log or (str(output.log_file()) if output.is_logged() else None)
    if "--json" in arguments:
        failure = {"message": message, "kind": code.name, "exitCode": int(code), "log": named, **details}
        job_id = failure.pop("jobId", None)
        document = {"error": failure, **({"jobId": job_id} if job_id else {})}
        json.dump(document, sys.stdout, indent=2, ensure_ascii=False, default=str)
        sys.stdout.write("\n")
    else:
        canceled = code in (ExitCode.CANCELED, ExitCode.TERMINATED)
        said = output.in_words(message if canceled else f"Error: {message}")
        output.err.print(escape(said) if canceled else f"[red bold]Error:[/]{escape(said.removeprefix('Error:'))}")
        if named:
            output.err.print(f"Log: {named}", style="dim", markup=False)
    return int(code)
