"""Build installable add-ons: profile in, archive out. Interprets ``profiles/*.toml``; knows no host by name.

An add-on holds the host package, the native wheel and our Python, the frozen profile, what its profile's ``[install]``
section lists as files, licences and notices, and, where the profile says so, the local farm with its web stack in a
folder that only the farm's process sees. Built twice from the same sources, it is the same bytes.
"""

from __future__ import annotations

import argparse
import base64
import hashlib
import io
import os
import shutil
import string
import subprocess
import sys
import sysconfig
import tempfile
import tomllib
import zipfile
from collections.abc import Iterator
from importlib.metadata import Distribution, PackageNotFoundError, distribution
from pathlib import Path
from typing import Any

from packaging.requirements import Requirement
from shotput import _native
from shotput import profile as profiles
from shotput.errors import ProfileError

from tools import licences

ROOT = Path(__file__).resolve().parent
# A wheel's or zip's time of day is no part of what it holds.
EPOCH = "315532800"
_ZIP_TIME = (1980, 1, 1, 0, 0, 0)
# Of botocore's models (240 services, 25 MB) the farm reads three, and what the loader itself asks for.
_BOTOCORE_KEPT = (
    "deadline/",
    "sts/",
    "logs/",
    "_retry.json",
    "endpoints.json",
    "partitions.json",
    "sdk-default-configuration.json",
)


class Wheels:
    """The wheels of one build: ours, made from the sources here."""

    def __init__(self, folder: Path, *, release: bool) -> None:
        environment = {**os.environ, "SOURCE_DATE_EPOCH": EPOCH}
        if release:
            # The released wheel: it loads on older systems than this one.
            _run(["sh", ROOT / "tools" / "wheel"], ROOT, environment)
            (wheel,) = (ROOT / "dist" / "wheels").glob("shotput-[0-9]*.whl")
            shutil.copy2(wheel, folder)
        else:
            _development_wheel(folder)
        for project in ("shared_ui", "farm"):
            _run([sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", folder], ROOT / project, environment)
        self._by_name = {path.name.split("-")[0]: path for path in sorted(folder.glob("*.whl"))}

    def __getitem__(self, name: str) -> Path:
        """The wheel of a distribution, e.g. ``shotput_ui``."""
        return self._by_name[name]

    @property
    def version(self) -> str:
        """The version that all of them have."""
        return self._by_name["shotput"].name.split("-")[1]


def _development_wheel(folder: Path) -> None:
    """The wheel of ``shotput`` around the native module of this environment, without its symbols.

    Cargo would build half of the crates again, because it is started with another environment than by ``make setup``.
    """
    package = ROOT / "native" / "python" / "shotput"
    files = {
        path.relative_to(package.parent).as_posix(): path.read_bytes()
        for path in package.rglob("*")
        if path.suffix in (".py", ".pyi", ".typed")
    }
    module = Path(_native.__file__)
    with tempfile.TemporaryDirectory() as scratch:
        stripped = Path(scratch, module.name)
        shutil.copyfile(module, stripped)
        if sys.platform != "win32":
            _run(["strip", *(["-x"] if sys.platform == "darwin" else []), stripped], Path(scratch), dict(os.environ))
        files[f"shotput/{module.name}"] = stripped.read_bytes()
    installed = _installed("shotput")
    name = f"shotput-{installed.version}"
    platform = sysconfig.get_platform().replace("-", "_").replace(".", "_")
    tag = f"cp39-abi3-{platform}"
    files[f"{name}.dist-info/METADATA"] = (installed.read_text("METADATA") or "").encode()
    files[f"{name}.dist-info/WHEEL"] = f"Wheel-Version: 1.0\nRoot-Is-Purelib: false\nTag: {tag}\n".encode()
    files[f"{name}.dist-info/licenses/LICENSE"] = (ROOT / "native" / "LICENSE").read_bytes()
    record = f"{name}.dist-info/RECORD"
    lines = [f"{path},sha256={_record_hash(content)},{len(content)}" for path, content in sorted(files.items())]
    files[record] = "\n".join([*lines, f"{record},,", ""]).encode()
    (folder / f"{name}-{tag}.whl").write_bytes(_zip(files))


def _record_hash(content: bytes) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(content).digest()).decode().rstrip("=")


def check(host: str) -> None:
    """End with a sentence when the host's add-on may not be built, or not here: before anything is built."""
    install = profiles.find(host).document["install"]
    if sysconfig.get_platform() not in install["platforms"]:
        sys.exit(
            f"The profile of {host} names no platform for {sysconfig.get_platform()}: add it to install.platforms."
        )
    for name in install.get("vendored", []):
        _installed(name)
    _refuse_licences(host, install)


def build(host: str, wheels: Wheels, destination: Path) -> Path:
    """Build one host's add-on, which ``check`` lets pass, into ``destination``; the archive's path."""
    profile = profiles.find(host)
    install: dict[str, Any] = dict(profile.document["install"])
    system = install["platforms"][sysconfig.get_platform()]
    with tempfile.TemporaryDirectory() as folder:
        tree = Path(folder)
        package = tree / install["package"]
        _copy_sources(ROOT / "integrations" / host / profile.package, package)
        (package / "profile.json").write_text(profile.frozen(), encoding="utf-8")
        python = tree / install["python"]
        python.mkdir(parents=True, exist_ok=True)
        carried = []
        for name in ("shotput", "shotput_ui"):
            if install["wheels"]:
                shutil.copy2(wheels[name], python)
                carried.append((python / wheels[name].name).relative_to(tree).as_posix())
            else:
                _unpack(wheels[name], python)
        for name in install.get("vendored", []):
            _copy_distribution(name, python)
        if install.get("farm"):
            _add_farm(package / "farm", wheels)
        values = {
            "version": wheels.version,
            "label": profile.label,
            "license": profile.license,
            "oldest": profile.generations[0].version,
            "platform": system,
            "wheels": ", ".join(f'"./{name}"' for name in carried),
        }
        for file in install["files"]:
            path = tree / file["path"]
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(string.Template(file["text"]).substitute(values), encoding="utf-8")
        _add_licences(tree, profile.license, install)
        destination.mkdir(parents=True, exist_ok=True)
        archive = destination / f"{profile.package}-{wheels.version}-{system}.zip"
        archive.write_bytes(_zip({name: path.read_bytes() for name, path in _files(tree)}))
    return archive


def farm_packages() -> list[str]:
    """The farm's web stack: what ``shotput-farm`` needs at run time, ours apart."""
    found: list[str] = []
    pending = ["shotput-farm"]
    while pending:
        for text in _installed(pending.pop()).requires or []:
            requirement = Requirement(text)
            ours = requirement.name.startswith("shotput")
            if not ours and requirement.name not in found and _applies(requirement):
                found.append(requirement.name)
                pending.append(requirement.name)
    return sorted(found)


def _applies(requirement: Requirement) -> bool:
    return requirement.marker is None or requirement.marker.evaluate({"extra": ""})


def _add_farm(folder: Path, wheels: Wheels) -> None:
    """The farm and its web stack, in a folder that no host puts on its path."""
    _unpack(wheels["shotput_farm"], folder)
    for name in farm_packages():
        _copy_distribution(name, folder)
    data = folder / "botocore" / "data"
    for path in sorted(data.rglob("*"), reverse=True):
        name = path.relative_to(data).as_posix()
        if path.is_file() and not name.startswith(_BOTOCORE_KEPT):
            path.unlink()
        elif path.is_dir() and not any(path.iterdir()):
            path.rmdir()
    # Requests to loopback need no certificates, and ours of the cloud come from the system.
    (folder / "botocore" / "cacert.pem").unlink(missing_ok=True)
    shutil.copy2(ROOT / "farm" / "run_farm.py", folder)


def _copy_sources(source: Path, destination: Path) -> None:
    shutil.copytree(source, destination, dirs_exist_ok=True, ignore=shutil.ignore_patterns("__pycache__", "*.pyc"))


def _unpack(wheel: Path, destination: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(destination)


def _copy_distribution(name: str, destination: Path) -> None:
    """A pure-Python package as it is installed here, at the version of the lock file."""
    package = _installed(name)
    for file in package.files or []:
        if ".." in file.parts or "__pycache__" in file.parts or file.suffix == ".pyc":
            continue
        if file.suffix in (".so", ".pyd", ".dylib"):
            # Optional accelerators; an add-on serves hosts of several Python versions.
            continue
        if file.name in ("RECORD", "INSTALLER", "REQUESTED", "direct_url.json"):
            continue
        target = destination / file
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(str(package.locate_file(file)), target)


def _installed(name: str) -> Distribution:
    try:
        return distribution(name)
    except PackageNotFoundError:
        sys.exit(f"The package {name} is not installed here, so no add-on can bring it. Run `make setup` first.")


def _components(install: dict[str, Any]) -> list[licences.Component]:
    roots = [*install.get("vendored", []), *(["shotput-farm"] if install.get("farm") else [])]
    return licences.crates() + licences.python_packages(tuple(roots))


def _refuse_licences(host: str, install: dict[str, Any]) -> None:
    rules = tomllib.loads((ROOT / "deny.toml").read_text(encoding="utf-8"))
    wrong = licences.refused(_components(install), rules)
    if wrong:
        lines = "\n".join(f"  {item.name} {item.version}: {item.licence}" for item in wrong)
        sys.exit(f"The add-on for {host} is not built: deny.toml does not allow the licences of\n{lines}")


def _add_licences(tree: Path, licence: str, install: dict[str, Any]) -> None:
    shutil.copy2(ROOT / "LICENSE", tree / "LICENSE-Apache-2.0")
    if licence != "Apache-2.0":
        shutil.copy2(ROOT / "integrations" / f"LICENSE-{licence}", tree / f"LICENSE-{licence}")
    (tree / "THIRD-PARTY-NOTICES").write_text(licences.notices(_components(install)), encoding="utf-8")


def _files(tree: Path) -> Iterator[tuple[str, Path]]:
    for path in tree.rglob("*"):
        if path.is_file():
            yield path.relative_to(tree).as_posix(), path


def _zip(files: dict[str, bytes]) -> bytes:
    """The files as a zip: sorted names, one time, one mode, so that equal files are equal bytes."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in sorted(files.items()):
            entry = zipfile.ZipInfo(name, _ZIP_TIME)
            entry.compress_type = zipfile.ZIP_DEFLATED
            entry.external_attr = 0o644 << 16
            archive.writestr(entry, content)
    return buffer.getvalue()


def _run(command: list[Any], folder: Path, environment: dict[str, str]) -> None:
    done = subprocess.run(
        [str(word) for word in command], cwd=folder, env=environment, check=False, capture_output=True, text=True
    )
    if done.returncode:
        sys.exit(f"{' '.join(str(word) for word in command)} ended with {done.returncode}:\n{done.stdout}{done.stderr}")


def main() -> None:
    """See the module's text."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument(
        "hosts", nargs="*", metavar="HOST", help=f"any of {', '.join(profiles.names())}; all by default"
    )
    parser.add_argument("--release", action="store_true", help="optimise the native module as for a release")
    parser.add_argument("--output", type=Path, default=ROOT / "dist", help="where the archives go (default: dist/)")
    options = parser.parse_args()
    hosts = options.hosts or profiles.names()
    try:
        for host in hosts:
            check(host)
    except ProfileError as error:
        sys.exit(str(error))
    with tempfile.TemporaryDirectory() as folder:
        wheels = Wheels(Path(folder), release=options.release)
        for host in hosts:
            archive = build(host, wheels, options.output)
            content = archive.read_bytes()
            print(f"{archive}  {len(content) / 1e6:.1f} MB  sha256 {hashlib.sha256(content).hexdigest()}")


if __name__ == "__main__":
    main()
