"""Parameters that the environments of a queue define. Submitters import this module by its name."""

from __future__ import annotations

from configparser import ConfigParser

from shotput import _native

from ..config import config_file
from ..job_bundle.parameters import JobParameter
from ._session import refusals
from ._telemetry import record_function_latency_telemetry_event

__all__ = ["get_queue_parameter_definitions"]


@record_function_latency_telemetry_event()
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
        config = config_file.copy_with(config, {"defaults.farm_region": region})
    with config_file.as_file(config) as path, refusals():
        definitions: list[JobParameter] = _native.get_queue_parameter_definitions(farmId, queueId, path)  # type: ignore[assignment]
        return definitions
