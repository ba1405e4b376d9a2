"""Check the import rules of ARCHITECTURE.md with import-linter.

The contracts are made here rather than written down, because the list of hosts comes from ``profiles/``: a new DCC
needs no change in this file.
"""

from __future__ import annotations

import ast
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent

# The parts of the namespace `deadline`, which itself is no package.
COMPAT = ("deadline.client", "deadline.job_attachments")

QT = ("PySide2", "PySide6", "PyQt5", "PyQt6", "qtpy", "shiboken2", "shiboken6")


def dcc_modules() -> list[str]:
    """The modules that the hosts bring themselves, by the profiles."""
    documents = [tomllib.loads(path.read_text(encoding="utf-8")) for path in sorted((ROOT / "profiles").glob("*.toml"))]
    return [module for document in documents for module in document["host"]["modules"]]


def hosts() -> list[str]:
    """The host packages that exist, by the profiles: ``shotput_blender``, …"""
    names = [f"shotput_{profile.stem}" for profile in sorted((ROOT / "profiles").glob("*.toml"))]
    return [name for name in names if (ROOT / "integrations" / name.removeprefix("shotput_") / name).is_dir()]


def contract(name: str, kind: str, **fields: Sequence[str]) -> str:
    """One section of import-linter's INI file."""
    lines = [f"[importlinter:contract:{name.replace(' ', '-')}]", f"name = {name}", f"type = {kind}"]
    for key, value in fields.items():
        if isinstance(value, str):
            lines.append(f"{key} = {value}")
        elif value:
            lines.append(f"{key} =\n" + "\n".join(f"    {item}" for item in value))
    return "\n".join(lines) + "\n"


def contracts() -> str:
    """The whole configuration."""
    host_packages = hosts()
    dcc = dcc_modules()
    packages = ["shotput", "shotput_ui", "shotput_farm", *COMPAT, *host_packages]
    sections = [
        "[importlinter]\ninclude_external_packages = True\nroot_packages =\n"
        + "\n".join(f"    {p}" for p in packages)
        + "\n",
        contract(
            "the facade knows no toolkit, no host and nothing above it",
            "forbidden",
            source_modules=["shotput"],
            forbidden_modules=[*QT, *dcc, "shotput_ui", "shotput_farm", *host_packages],
            ignore_imports=["shotput.cli.bare_render -> bpy"],
        ),
        contract(
            "the facade outside its command line is free of third-party packages",
            "forbidden",
            source_modules=sorted(
                f"shotput.{path.stem}"
                for path in (ROOT / "native/python/shotput").glob("*.py")
                if path.stem != "__init__"
            ),
            forbidden_modules=[
                "typer",
                "rich",
                "click",
                "botocore",
                "boto3",
                "starlette",
                "uvicorn",
                "yaml",
                "shotput.cli",
            ],
        ),
        contract(
            "view models know no toolkit and no host",
            "forbidden",
            source_modules=["shotput_ui.host"],
            forbidden_modules=[*QT, *dcc, *host_packages],
            allow_indirect_imports="True",
        ),
        contract(
            "the farm knows no user interface and no integration",
            "forbidden",
            source_modules=["shotput_farm"],
            forbidden_modules=[*QT, *dcc, "shotput_ui", *host_packages],
            allow_indirect_imports="True",
        ),
        contract(
            "the user interface does not know the farm",
            "forbidden",
            source_modules=["shotput_ui"],
            forbidden_modules=["shotput_farm", *host_packages],
        ),
        contract(
            "the stand-in for the package deadline knows the facade alone",
            "forbidden",
            source_modules=COMPAT,
            forbidden_modules=[*QT, *dcc, "shotput.cli", "shotput_ui", "shotput_farm", *host_packages],
        ),
        contract(
            "nothing of ours needs the stand-in for the package deadline",
            "forbidden",
            source_modules=["shotput", "shotput_ui", "shotput_farm", *host_packages],
            forbidden_modules=COMPAT,
        ),
    ]
    if len(host_packages) > 1:
        sections.append(contract("hosts do not know each other", "independence", modules=host_packages))
    for host in host_packages:
        sections.append(
            contract(
                f"{host} goes through the facade",
                "forbidden",
                source_modules=[host],
                forbidden_modules=["shotput_farm"],
                allow_indirect_imports="True",
            )
        )
    return "\n".join(sections)


def native_imports() -> list[str]:
    """Where a package that must go through the facade names the native module, which import-linter cannot see."""
    found = []
    folders = [ROOT / "shared_ui/shotput_ui"]
    folders += [ROOT / "integrations" / host.removeprefix("shotput_") for host in hosts()]
    for path in sorted(file for folder in folders for file in folder.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            names = [alias.name for alias in node.names] if isinstance(node, (ast.Import, ast.ImportFrom)) else []
            module = node.module or "" if isinstance(node, ast.ImportFrom) else ""
            if any(name.split(".")[-1] == "_native" for name in [module, *names]):
                found.append(f"{path.relative_to(ROOT)}:{node.lineno} imports shotput._native; import it from shotput")
    return found


def main() -> int:
    """Write the configuration to a temporary file and run import-linter on it."""
    native = native_imports()
    for line in native:
        print(line)
    if native:
        return 1
    paths = [ROOT / "native/python", ROOT / "shared_ui", ROOT / "farm", ROOT / "compat"]
    paths += [ROOT / "integrations" / host.removeprefix("shotput_") for host in hosts()]
    with tempfile.TemporaryDirectory() as folder:
        config = Path(folder) / "importlinter.ini"
        config.write_text(contracts(), encoding="utf-8")
        code = (
            f"import sys; sys.path[:0] = {[str(path) for path in paths]!r}; "
            "from importlinter.cli import lint_imports; "
            f"sys.exit(lint_imports(config_filename={str(config)!r}, no_cache=True))"
        )
        return subprocess.run([sys.executable, "-c", code], check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
