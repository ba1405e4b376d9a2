"""Job bundles on this machine."""

from __future__ import annotations

from datetime import datetime
from itertools import count
from pathlib import Path

from ..config import get_setting
from ._yaml import deadline_yaml_dump
from .parameters import apply_job_parameters, read_job_bundle_parameters

__all__ = [
    "apply_job_parameters",
    "create_job_history_bundle_dir",
    "deadline_yaml_dump",
    "read_job_bundle_parameters",
]


def create_job_history_bundle_dir(submitter_name: str, job_name: str) -> str:
    """Make a new folder for a bundle: ``<settings.job_history_dir>/YYYY-MM/YYYY-MM-DD-NN-<submitter>-<job>``.

    NN counts the bundles of the day. Letters, digits, spaces, ``-`` and ``_`` of the names are kept, of the job's name
    at most 128.
    """
    submitter, job = (
        "".join(letter for letter in name if letter.isalnum() or letter in " -_") for name in (submitter_name, job_name)
    )
    today = datetime.now().astimezone().strftime("%Y-%m-%d")
    month = Path(get_setting("settings.job_history_dir")).expanduser() / today[:7]
    month.mkdir(parents=True, exist_ok=True)
    taken = [path.name[len(today) + 1 :].split("-", 1)[0] for path in month.glob(f"{today}-*")]
    for number in count(max((int(text) for text in taken if text.isdigit()), default=0) + 1):
        folder = month / f"{today}-{number:02}-{submitter}-{job[:128]}"
        try:
            folder.mkdir()
        except FileExistsError:
            # Another program made its bundle at the same moment.
            continue
        return str(folder)
    raise AssertionError("numbers do not end")
