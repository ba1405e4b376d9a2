"""Starts a host without a window to export a scene or to build its demo scene, as its profile says.

Everything about a host comes from its profile and its package; none is named here. What the host prints goes to a log
file, which every failure has as its ``log``.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from shotput import kept_files, local_farm
from shotput import profile as profiles
from shotput.errors import SceneError, SettingsError
from shotput.profile import Profile

_RESULT = "shotput-result:"
_MOST_LOGS = 20


def find_executable(host: str, executable: str | os.PathLike[str] | None = None) -> Path:
    """The host's program: the given one, the one that the profile's variable names, the repository's, or one on PATH.

    Raises ``SceneError`` when there is none.
    """
    profile = profiles.find(host)
    if executable is not None:
        found = shutil.which(os.fspath(executable))
        if found is None:
            raise SceneError(f"{profile.label} cannot be started: {executable} is no program. Check the path.")
        return Path(found).absolute()
    named = os.environ.get(profile.executable_variable, "") if profile.executable_variable else ""
    if named:
        return find_executable(host, named)
    # A development copy of the repository keeps a renderer of its own in .bpy (see the Makefile).
    repository = Path(__file__).resolve().parents[3] / ".bpy" / "bin"
    for name in profile.executables:
        found = shutil.which(name) or shutil.which(str(repository / name))
        if found:
            return Path(found).absolute()
    raise SceneError(
        f"{profile.label} was not found: there is no {' or '.join(profile.executables)} on PATH. Install it, or say "
        f"where it is with --executable or the environment variable {profile.executable_variable}."
    )


def package_folder(profile: Profile) -> Path:
    """The folder that holds the host's package: in $SHOTPUT_INTEGRATIONS, beside this package, or in the repository."""
    here = Path(__file__).resolve()
    named = os.environ.get("SHOTPUT_INTEGRATIONS")
    places = [Path(named)] if named else []
    places += [here.parents[1] / "shotput_integrations", here.parents[3] / "integrations"]
    for place in places:
        if (place / profile.name / profile.package / profile.export_script).is_file():
            return place / profile.name
    raise SceneError(
        f"{profile.label} cannot export yet: {profile.package} is not installed. Looked in "
        f"{', '.join(str(place) for place in places)}."
    )


def export_scene(
    scene: str | os.PathLike[str],
    bundle: str | os.PathLike[str],
    *,
    executable: str | os.PathLike[str] | None = None,
    options: Mapping[str, Any] | None = None,
    timeout: float | None = None,
) -> dict[str, Any]:
    """Exports a scene to a bundle in its own host and returns what the host's exporter says of it.

    The result has ``bundle``, ``scene``, ``steps``, ``missing`` (``[{"path", "owners": [str]}]``), ``warnings``
    (texts), ``description`` and ``log``. ``options`` are the exporter's settings by name, texts as they come from a
    command line. Missing files are reported, not raised. Raises ``SceneError`` when the host does not start, open the
    scene or export it, ``SettingsError`` when it refuses an option, and ``ProfileError`` when no host opens such files.
    """
    path = Path(scene).absolute()
    profile = profiles.for_scene(path)
    if not profile.ready:
        raise SceneError(
            f"{path.name} cannot be exported: Shotput for {profile.label} is not ready yet. `shotput submit` takes a "
            "bundle that you write by hand."
        )
    _refuse_unreadable(path)
    given = dict(options or {})
    program = find_executable(profile.name, executable)
    if profile.render_setting and not _is_on_path(profile.render_executable, program):
        # The worker of this machine's farm would not find it by its plain name.
        given.setdefault(profile.render_setting, str(program))
    values = {"scene": str(path), "bundle": str(Path(bundle).absolute()), "options": json.dumps(given)}
    return _ask(profile, values, executable, timeout, f"export {path}")


def build_demo_scene(
    host: str, folder: str | os.PathLike[str], *, executable: str | os.PathLike[str] | None = None
) -> Path:
    """Builds the host's demo scene below ``folder`` and returns the scene file. Raises ``SceneError``."""
    profile = profiles.find(host)
    result = _ask(profile, {"demo": str(Path(folder).absolute())}, executable, None, "build the demo scene")
    return Path(result["scene"])


def _refuse_unreadable(scene: Path) -> None:
    try:
        if not scene.exists():
            raise SceneError(f"The scene {scene} does not exist. Check the path.")
        if not scene.is_file():
            raise SceneError(f"The scene {scene} is no file. Name the scene file itself.")
        with scene.open("rb") as stream:
            beginning = stream.read(1)
    except OSError as error:
        raise SceneError(f"The scene {scene} cannot be read: {error.strerror}. Check path and permissions.") from error
    if not beginning:
        raise SceneError(f"The scene {scene} is empty (0 bytes). Save it again, or take a backup of it.")


def _is_on_path(name: str, program: Path) -> bool:
    found = shutil.which(name)
    return found is not None and Path(found).resolve() == program.resolve()


def _command(profile: Profile, values: Mapping[str, str]) -> list[str]:
    """The profile's command with its places filled in. Without a scene, the arguments that need one fall away."""
    command: list[str] = []
    for argument in profile.export_command:
        try:
            command.append(argument.format(**values))
        except KeyError as missing:
            if missing.args[0] in ("bundle", "options"):
                command.pop()  # the option before it
    return command + (["--demo", values["demo"]] if "demo" in values else [])


def _ask(
    profile: Profile,
    values: dict[str, str],
    executable: str | os.PathLike[str] | None,
    timeout: float | None,
    doing: str,
) -> dict[str, Any]:
    program = find_executable(profile.name, executable)
    folder = package_folder(profile)
    python_path = [str(folder), str(Path(__file__).resolve().parents[1])]
    values = {
        **values,
        "executable": str(program),
        "script": str(folder / profile.package / profile.export_script),
        "python_path": json.dumps(python_path),
    }
    log = _log_file(profile)
    with log.open("w+", encoding="utf-8", errors="replace") as stream:
        try:
            done = subprocess.run(
                _command(profile, values),
                stdin=subprocess.DEVNULL,
                stdout=stream,
                stderr=subprocess.STDOUT,
                timeout=timeout,
                check=False,
                # Hosts print in the locale's encoding otherwise, and lose letters of names on the way.
                env={**os.environ, "PYTHONIOENCODING": "utf-8", "PYTHONUTF8": "1"},
            )
        except OSError as error:
            raise SceneError(f"{profile.label} ({program}) cannot be started: {error.strerror}.", str(log)) from error
        except subprocess.TimeoutExpired as error:
            raise SceneError(
                f"{profile.label} did not {doing} within {timeout:.0f} s and was ended.", str(log)
            ) from error
        stream.seek(0)
        lines = stream.read().splitlines()
    answers = [line for line in lines if line.startswith(_RESULT)]
    if not answers:
        raise SceneError(_reason(profile, lines, doing, done.returncode), str(log))
    document: dict[str, Any] = json.loads(answers[-1][len(_RESULT) :])
    if not document["ok"]:
        kind = SettingsError if document["kind"] == SettingsError.__name__ else SceneError
        raise kind(document["error"], str(log))
    result: dict[str, Any] = document["result"]
    result["log"] = str(log)
    return result


def _reason(profile: Profile, lines: list[str], doing: str, code: int) -> str:
    """Why there is no answer: what the host itself said of it, by its profile, where it said anything."""
    advice = f"Open the scene in {profile.label} to see what is wrong with it, or name another {profile.label}"
    for line in lines:
        found = re.search(profile.failure, line) if profile.failure else None
        if found:
            return f"{profile.label} cannot {doing}: {found[1].strip().rstrip('.')}. {advice} with --executable."
    return (
        f"{profile.label} cannot {doing}: it ended with exit code {code} and did not say why. {advice} with "
        "--executable."
    )


def log_folder() -> Path:
    """Where what hosts print is kept, one file a run, the newest of them. It need not exist."""
    return local_farm.data_dir() / "logs" / "hosts"


def _log_file(profile: Profile) -> Path:
    """A new log file; the host may run several times at once."""
    folder = log_folder()
    try:
        # What a host prints has paths and names in it, which are nobody else's.
        folder.parent.mkdir(parents=True, exist_ok=True)
        folder.mkdir(mode=0o700, exist_ok=True)
        kept_files.keep_newest(folder, _MOST_LOGS - 1)
        handle, name = tempfile.mkstemp(prefix=f"{profile.name}-", suffix=".log", dir=folder)
    except OSError as error:
        raise SceneError(
            f"No log can be written to {folder}: {error.strerror}. Make it writable, or name another folder in "
            "SHOTPUT_DATA_DIR."
        ) from error
    os.close(handle)
    return Path(name)
