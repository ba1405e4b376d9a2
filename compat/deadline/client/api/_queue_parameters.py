"""Parameters that the environments of a queue define. Submitters import this module by its name."""

from __future__ import annotations

from configparser import ConfigParser

from shotput import _native

from ..config import config_file
from ..job_bundle.parameters import JobParameter

__all__ = ["get_queue_parameter_definitions"]


def get_queue_parameter_definitions(
    *,
    region: str | None = None,
    farmId: str,
    queueId: str,
    config: ConfigParser | None = None,
) -> list[JobParameter]:
    """Definitions of the queue's environments by priority, in the words of Open Job Description.

    Raises ``DeadlineOperationError`` when two environments contradict each other.
    """
    if region:
        config = _in_region(region, config)
    with config_file.as_file(config) as path:
        definitions: list[JobParameter] = _native.get_queue_parameter_definitions(farmId, queueId, path)  # type: ignore[assignment]
        return definitions


def _in_region(region: str, config: ConfigParser | None) -> ConfigParser:
    """A copy of the configuration whose farm lies in a region."""
    copy = ConfigParser()
    copy.read_dict(config if config is not None else config_file.read_config())
    config_file.set_setting("defaults.farm_region", region, copy)
    return copy
