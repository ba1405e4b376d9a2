"""Holds the names ``deadline`` and ``deadline-job-attachments`` for installers, and finds out who broke in.

``shotput-deadline`` has the files of those two distributions and another name, so pip would bring them along with
everything that asks for them, and whoever comes last would overwrite the other. Two wheels without code, made where
they are needed, have their names: what asks for ``deadline`` is content, and ``pip check`` too.
"""

from __future__ import annotations

import argparse
import base64
import hashlib
import sys
import zipfile
from importlib import metadata
from pathlib import Path

from .client import version as client_version
from .job_attachments import version as attachments_version

__all__ = ["findings", "main", "write_wheel"]

_OURS = "shotput-deadline"
_FOLDERS = ("deadline/client/", "deadline/job_attachments/")
# What the official extras bring that submitters take for granted.
_EXTRAS = {
    "console": ["botocore[crt]>=1.42.89"],
    "gui": ["qtpy==2.4.*", "pyside6-essentials<6.11,>=6.6"],
    "mcp": ["mcp<2,>=1.13.0"],
}
_REPAIR = (
    "Take both away and install it again:\n"
    "  pip uninstall deadline deadline-job-attachments shotput-deadline\n"
    "  pip install shotput-deadline\n"
    "and let `shotput-deadline wheels FOLDER` make the wheels that stand in for the two names."
)


def write_wheel(folder: Path, name: str, version: str, extras: dict[str, list[str]]) -> Path:
    """A wheel without code that has a name and a version, marked as ``+shotput``, and depends on ours."""
    version = f"{version}+shotput"
    stem = f"{name.replace('-', '_')}-{version}"
    described = [
        "Metadata-Version: 2.1",
        f"Name: {name}",
        f"Version: {version}",
        f"Summary: Holds the name for {_OURS}, which has the code",
        "Requires-Python: >=3.9",
        f"Requires-Dist: {_OURS}",
    ]
    for extra, wanted in extras.items():
        described += [f"Provides-Extra: {extra}", *(f"Requires-Dist: {one}; extra == '{extra}'" for one in wanted)]
    files = {
        f"{stem}.dist-info/METADATA": "\n".join(described) + "\n",
        f"{stem}.dist-info/WHEEL": "Wheel-Version: 1.0\nGenerator: shotput\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    record = "".join(f"{path},{_digest(text.encode())},{len(text.encode())}\n" for path, text in files.items())
    files[f"{stem}.dist-info/RECORD"] = f"{record}{stem}.dist-info/RECORD,,\n"
    folder.mkdir(parents=True, exist_ok=True)
    wheel = folder / f"{stem}-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w", zipfile.ZIP_DEFLATED) as archive:
        for path, text in files.items():
            archive.writestr(path, text)
    return wheel


def _digest(content: bytes) -> str:
    return "sha256=" + base64.urlsafe_b64encode(hashlib.sha256(content).digest()).decode().rstrip("=")


def findings() -> list[str]:
    """Which other distributions have files where ours are, and which of ours are no longer as they were installed."""
    found = []
    for other in metadata.distributions():
        name = other.metadata["Name"]
        if name == _OURS:
            changed = [str(file) for file in other.files or [] if _is_changed(file)]
            if changed:
                found.append(f"Files of {name} were overwritten or are gone: {', '.join(sorted(changed)[:3])}, …")
        elif any(str(file).replace("\\", "/").startswith(_FOLDERS) for file in other.files or []):
            found.append(f"{name} {other.version} has its files where those of {_OURS} belong.")
    return sorted(found)


def _is_changed(file: metadata.PackagePath) -> bool:
    if file.hash is None or file.suffix != ".py":
        return False
    path = Path(str(file.locate()))
    return not path.is_file() or _digest(path.read_bytes()) != f"{file.hash.mode}={file.hash.value}"


def main(arguments: list[str] | None = None) -> int:
    """The command ``shotput-deadline``."""
    parser = argparse.ArgumentParser(prog=_OURS, description="The package deadline, by Shotput, and its installers.")
    commands = parser.add_subparsers(dest="command", required=True)
    wheels = commands.add_parser("wheels", help="write two wheels that hold the names of the official package")
    wheels.add_argument("folder", type=Path)
    wheels.add_argument("--deadline", default=client_version, metavar="VERSION", help="default: %(default)s")
    wheels.add_argument(
        "--job-attachments", default=attachments_version, metavar="VERSION", help="default: %(default)s"
    )
    commands.add_parser("check", help="find out whether the official package lies over this one")
    given = parser.parse_args(arguments)
    if given.command == "wheels":
        client = write_wheel(given.folder, "deadline", given.deadline, _EXTRAS)
        attachments = write_wheel(given.folder, "deadline-job-attachments", given.job_attachments, {})
        sys.stdout.write(f"{client}\n{attachments}\n")
        return 0
    found = findings()
    sys.stdout.write("\n".join([*found, _REPAIR] if found else [f"{_OURS} is whole, and alone."]) + "\n")
    return 1 if found else 0
