"""What a farm takes from the environment of whoever starts it."""

from __future__ import annotations

from shotput.task_environment import inherited

KEPT = {
    "HOME": "/home/a",
    "PATH": "/usr/bin",
    "Path": "C:\\Windows",
    "LC_ALL": "C.UTF-8",
    "XDG_RUNTIME_DIR": "/run/user/1",
    "SystemRoot": "C:\\Windows",
    "ProgramFiles(x86)": "C:\\Program Files (x86)",
    "ADSKFLEX_LICENSE_FILE": "27000@licences",
    "foundry_LICENSE": "4101@licences",
    "solidangle_LICENSE": "5053@licences",
    "OCIO": "/show/config.ocio",
    "HFS": "/opt/hfs",
    "MAYA_LOCATION": "/usr/autodesk/maya",
    "BLENDER_USER_SCRIPTS": "/show/scripts",
    "CUDA_VISIBLE_DEVICES": "0",
    "SHOTPUT_DATA_DIR": "/data",
}
DROPPED = {
    "AWS_SECRET_ACCESS_KEY": "secret",
    "GITHUB_TOKEN": "secret",
    "HTTPS_PROXY": "http://me:secret@proxy",
    "LD_PRELOAD": "/lib/a.so",
    "LD_LIBRARY_PATH": "/lib",
    "PYTHONPATH": "/src",
    "SSH_AUTH_SOCK": "/tmp/agent",
    "VIRTUAL_ENV": "/venv",
    "XDG_SESSION_ID": "3",
    "SHOTPUT_SESSION_ID": "session-1",
    "SHOTPUT_SESSION_MARKER": "/data",
    "SHOTPUT_ACTION_ID": "1",
}


def test_only_what_is_listed_is_inherited() -> None:
    assert inherited({**KEPT, **DROPPED}) == KEPT


def test_more_passes_where_it_is_named_and_passes_again() -> None:
    given = {"SHOTPUT_PASS_ENVIRONMENT": "studio_*, https_proxy SHOTPUT_SESSION_ID", "STUDIO_SHOW": "x", **DROPPED}
    passed = {name: given[name] for name in ("SHOTPUT_PASS_ENVIRONMENT", "STUDIO_SHOW", "HTTPS_PROXY")}
    assert inherited(given) == passed
    assert inherited(passed) == passed
