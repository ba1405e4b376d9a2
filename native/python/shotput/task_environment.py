"""What a farm, its worker and so every task inherit from the environment of whoever started the farm.

The farm outlives the shell or host that happened to start it, and runs jobs of others. Tokens and passwords of that
shell, what bends other programs (``LD_PRELOAD``, ``PYTHON*``), and a host's own search paths must not reach a task; so
a farm starts with this list and nothing else. ``SHOTPUT_PASS_ENVIRONMENT`` names more, as patterns between commas or
spaces (``STUDIO_*, http_proxy``).
"""

from __future__ import annotations

from collections.abc import Mapping
from fnmatch import fnmatchcase

PASS_VARIABLE = "SHOTPUT_PASS_ENVIRONMENT"

INHERITED = (
    # Who works here, in which language, and where files go.
    *("HOME", "PATH", "USER", "LOGNAME", "SHELL", "LANG", "LANGUAGE", "LC_*", "TZ", "TMPDIR", "TEMP", "TMP"),
    *("XDG_CONFIG_HOME", "XDG_DATA_HOME", "XDG_CACHE_HOME"),
    # The display: renderers open a context on it. No proxies: their addresses hold passwords.
    *("DISPLAY", "XAUTHORITY", "WAYLAND_DISPLAY", "XDG_RUNTIME_DIR", "XDG_SESSION_TYPE"),
    # Without these hardly a program starts on Windows.
    *("SYSTEMROOT", "SYSTEMDRIVE", "WINDIR", "COMSPEC", "PATHEXT", "OS", "USERNAME", "USERDOMAIN", "COMPUTERNAME"),
    *("USERPROFILE", "HOMEDRIVE", "HOMEPATH", "PUBLIC", "APPDATA", "LOCALAPPDATA", "PROGRAMDATA", "ALLUSERSPROFILE"),
    *("PROGRAMFILES*", "PROGRAMW6432", "COMMONPROGRAM*", "NUMBER_OF_PROCESSORS", "PROCESSOR_*"),
    # Licence servers: FlexLM, RLM, Autodesk, SideFX, and the many <vendor>_LICENSE of renderers.
    *("*_LICENSE", "*_LICENSE_FILE", "*_LICENSE_SERVER", "*_LICENSE_PATH", "RLM_*", "SESI_LMHOST"),
    # Where renderers and their plug-ins are, colour management, and which devices to use.
    *("BLENDER_*", "CYCLES_*", "MAYA_*", "MTOA_*", "ARNOLD_*", "REDSHIFT_*", "VRAY_*", "RMAN*", "HOUDINI_*", "HFS"),
    *("OCIO", "OCIO_*", "OFX_PLUGIN_PATH", "PXR_PLUGINPATH_NAME"),
    *("CUDA_*", "NVIDIA_*", "OPTIX_*", "HIP_VISIBLE_DEVICES", "ROCR_VISIBLE_DEVICES", "OMP_NUM_THREADS"),
    "SHOTPUT_*",
)
"""Names and patterns, in capitals; the names of variables are compared without regard to case, as Windows does."""

# Marks of the session whose task starts a farm: with them the farm would be ended as what that task left behind.
_NEVER = ("SHOTPUT_SESSION_*", "SHOTPUT_ACTION_*")


def inherited(environment: Mapping[str, str]) -> dict[str, str]:
    """Return the part of ``environment`` that a farm starts with. What it returns comes through again unchanged."""
    more = environment.get(PASS_VARIABLE, "").upper().replace(",", " ").split()
    return {
        name: value
        for name, value in environment.items()
        if _matches(name, (*INHERITED, *more)) and not _matches(name, _NEVER)
    }


def _matches(name: str, patterns: tuple[str, ...]) -> bool:
    return any(fnmatchcase(name.upper(), pattern) for pattern in patterns)
