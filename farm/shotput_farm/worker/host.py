"""What this machine offers to sessions: cores, memory, disk, GPUs, operating system and processor."""

from __future__ import annotations

import os
import platform
import shutil
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

_GPU_QUERY_SECONDS = 10
_MEBIBYTE = 1024 * 1024


def capabilities(scratch: Path, *, vcpu: int | None = None) -> dict[str, Any]:
    """Return the ``capabilities`` of UpdateWorker: amounts and attributes under the names of OpenJD.

    ``scratch`` is the folder of the sessions (its free space is the scratch disk), ``vcpu`` offers another number of
    cores than the machine has. Memory is in MiB, scratch disk in GiB.
    """
    gpus = _gpu_memory_mib()
    amounts = {
        "amount.worker.vcpu": vcpu or _usable_cores(),
        "amount.worker.memory": _memory_mib(),
        "amount.worker.disk.scratch": shutil.disk_usage(scratch).free // (1024 * _MEBIBYTE),
        "amount.worker.gpu": len(gpus),
        # The smallest, because a step asks for what each of its GPUs must have.
        "amount.worker.gpu.memory": min(gpus, default=0),
    }
    attributes = {"attr.worker.os.family": _os_family(), "attr.worker.cpu.arch": _architecture()}
    return {
        "amounts": [{"name": name, "value": float(value)} for name, value in amounts.items()],
        "attributes": [{"name": name, "values": [value]} for name, value in attributes.items()],
    }


def properties() -> dict[str, Any]:
    """Return the ``hostProperties`` of CreateWorker and UpdateWorker. Addresses are loopback: nobody else may call."""
    name = "".join(
        char if char.isascii() and (char.isalnum() or char in "_.-") else "-" for char in socket.gethostname()
    )
    return {"hostName": name[:255], "ipAddresses": {"ipV4Addresses": ["127.0.0.1"]}}


def _usable_cores() -> int:
    # A container or taskset can leave fewer cores to this process than the machine has.
    if sys.platform == "linux":
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _memory_mib() -> int:
    if sys.platform == "win32":
        return _windows_memory_mib()
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // _MEBIBYTE


def _windows_memory_mib() -> int:
    if sys.platform != "win32":
        raise OSError("Only Windows answers GlobalMemoryStatusEx.")
    import ctypes

    class MemoryStatus(ctypes.Structure):
        _fields_ = (
            ("dwLength", ctypes.c_ulong),
            ("dwMemoryLoad", ctypes.c_ulong),
            ("ullTotalPhys", ctypes.c_ulonglong),
            ("ullAvailPhys", ctypes.c_ulonglong),
            ("ullTotalPageFile", ctypes.c_ulonglong),
            ("ullAvailPageFile", ctypes.c_ulonglong),
            ("ullTotalVirtual", ctypes.c_ulonglong),
            ("ullAvailVirtual", ctypes.c_ulonglong),
            ("ullAvailExtendedVirtual", ctypes.c_ulonglong),
        )

    status = MemoryStatus(dwLength=ctypes.sizeof(MemoryStatus))
    if not ctypes.windll.kernel32.GlobalMemoryStatusEx(ctypes.byref(status)):
        raise ctypes.WinError()
    return int(status.ullTotalPhys) // _MEBIBYTE


def _gpu_memory_mib() -> list[int]:
    """Return the memory of each NVIDIA GPU; no other maker has a query that is there wherever its driver is."""
    program = shutil.which("nvidia-smi")
    if program is None:
        return []
    command = [program, "--query-gpu=memory.total", "--format=csv,noheader,nounits"]
    try:
        answer = subprocess.run(command, capture_output=True, text=True, timeout=_GPU_QUERY_SECONDS, check=True)
        return [int(line) for line in answer.stdout.split()]
    except (OSError, ValueError, subprocess.SubprocessError):
        # The tool stays behind when a driver is broken or removed; then there is no GPU to offer.
        return []


def _os_family() -> str:
    return {"win32": "windows", "darwin": "macos"}.get(sys.platform, "linux")


def _architecture() -> str:
    machine = platform.machine().lower()
    return {"amd64": "x86_64", "aarch64": "arm64"}.get(machine, machine)
