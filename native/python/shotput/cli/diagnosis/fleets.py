"""The fleets of a queue: whether workers can come, and which steps of a bundle they can run."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from shotput import _native
from shotput.cli.diagnosis.questions import Finding, Questions, failed, ok, unknown, warning
from shotput.cli.diagnosis.queue import Queue

_VCPU = "amount.worker.vcpu"
_AMOUNTS = {
    "amount.worker.vcpu": ("vCPU", ""),
    "amount.worker.memory": ("memory", " MiB"),
    "amount.worker.gpu": ("GPUs", ""),
    "amount.worker.gpu.memory": ("GPU memory", " MiB"),
    "amount.worker.disk.scratch": ("scratch disk", " GiB"),
}


@dataclass(frozen=True)
class Fleet:
    """A fleet as the service has it, and what its workers offer."""

    details: dict[str, Any]
    amounts: dict[str, tuple[float, float | None]] = field(default_factory=dict)
    """The least and the most of each amount; ``None`` where there is no limit."""
    attributes: dict[str, set[str]] = field(default_factory=dict)

    @classmethod
    def of(cls, details: dict[str, Any]) -> Fleet:
        """Read an answer of GetFleet."""
        capabilities = details.get("capabilities") or {}
        amounts = {
            item["name"].lower(): (float(item.get("min", 0)), float(item["max"]) if "max" in item else None)
            for item in capabilities.get("amounts", ())
        }
        attributes = {
            item["name"].lower(): {value.lower() for value in item["values"]}
            for item in capabilities.get("attributes", ())
        }
        return cls(details, amounts, attributes)

    @property
    def name(self) -> str:
        """Its name for people."""
        return str(self.details["displayName"])

    @property
    def is_managed(self) -> bool:
        """Whether AWS starts its workers, which then are what it says."""
        return "serviceManagedEc2" in self.details.get("configuration", {})

    @property
    def can_have_workers(self) -> bool:
        """Whether a worker can come now."""
        return self.details["status"] in ("ACTIVE", "UPDATE_IN_PROGRESS") and self.details["maxWorkerCount"] > 0

    def lacks(self, requirements: Mapping[str, Any]) -> tuple[list[str], list[str]]:
        """What a step asks that no worker of the fleet has, and what the fleet does not tell."""
        missing: list[str] = []
        untold: list[str] = []
        for need in requirements.get("amounts") or ():
            name = need["name"].lower()
            least = float(need["min"] if need.get("min") is not None else name == _VCPU)
            label, unit = _AMOUNTS.get(name, (name, ""))
            offered = self.amounts.get(name)
            if offered is None and least > 0:
                told = f"{label} {least:g}{unit}"
                (missing if self.is_managed else untold).append(f"{told}, of which it names none")
            elif offered is not None and offered[1] is not None and offered[1] < least:
                missing.append(f"{label} {least:g}{unit}, of which it has at most {offered[1]:g}{unit}")
        for need in requirements.get("attributes") or ():
            name = need["name"].lower()
            has = self.attributes.get(name)
            any_of = {value.lower() for value in need.get("anyOf") or ()}
            all_of = {value.lower() for value in need.get("allOf") or ()}
            wanted = f"{name} {' or '.join(sorted(any_of)) or ' and '.join(sorted(all_of))}"
            if has is None:
                (missing if self.is_managed else untold).append(f"{wanted}, which it does not name")
            elif (any_of and not any_of & has) or not all_of <= has:
                missing.append(f"{wanted}, and it has {', '.join(sorted(has))}")
        return missing, untold


async def look_at(questions: Questions, queue: Queue) -> tuple[list[Fleet], list[Finding]]:
    """The fleets that work for a queue."""
    check = "fleets.queue"
    if queue.fleet_ids is None:
        return [], [unknown(check, "not known: ListQueueFleetAssociations was not answered", "See the rights, above.")]
    if not queue.fleet_ids:
        then = "Its jobs never start. Ask the farm's administrator to associate a fleet with the queue."
        return [], [failed(check, "no fleet works for the queue", then)]
    answers = await asyncio.gather(
        *(questions.ask(_native.get_fleet, queue.farm_id, fleet_id, tries="GetFleet") for fleet_id in queue.fleet_ids)
    )
    fleets, findings = [], []
    for fleet_id, answer in zip(queue.fleet_ids, answers, strict=True):
        if answer.error is not None:
            found, then = answer.explained()
            if answer.is_refused:
                found, then = "GetFleet is refused", "See the rights, above."
            findings.append(unknown(f"fleets.{fleet_id}", f"{fleet_id}: {found}", then))
            continue
        fleets.append(Fleet.of(answer.value))
        findings.append(_state(fleets[-1], questions.target is not None))
    if fleets and len(fleets) == len(answers) and not any(fleet.can_have_workers for fleet in fleets):
        then = "Jobs wait until one has. Ask the farm's administrator for a fleet with workers."
        findings.append(failed(check, "no fleet of the queue can have a worker", then))
    return fleets, findings


def _state(fleet: Fleet, is_local: bool) -> Finding:
    details = fleet.details
    check, status, most = f"fleets.{fleet.name}", details["status"], details["maxWorkerCount"]
    value = {name: details.get(name) for name in ("fleetId", "status", "workerCount", "minWorkerCount")}
    value |= {"maxWorkerCount": most, "capabilities": details.get("capabilities")}
    workers = f"{details['workerCount']} of at most {most} workers"
    if status not in ("ACTIVE", "UPDATE_IN_PROGRESS"):
        reason = f": {details['statusMessage']}" if details.get("statusMessage") else ""
        then = "Ask the farm's administrator to look at the fleet."
        return warning(check, f"{status}{reason}", then, value)
    if most <= 0:
        then = "Ask the farm's administrator to let it have workers."
        return warning(check, "may have no workers (maxWorkerCount 0)", then, value)
    if not fleet.is_managed and not details["workerCount"]:
        then = (
            "It comes in a moment: shotput farm status"
            if is_local
            else "Start one, unless the fleet scales: a customer-managed fleet starts none by itself."
        )
        return warning(check, f"{status}, {workers}", then, value)
    return ok(check, f"{status}, {workers}{_offer(fleet)}", value)


def _offer(fleet: Fleet) -> str:
    parts = []
    for name, (least, most) in fleet.amounts.items():
        label, unit = _AMOUNTS.get(name, (name, ""))
        if most == least:
            parts.append(f"{label} {least:g}{unit}")
        elif most is None:
            parts.append(f"{label} {least:g}{unit} or more")
        else:
            parts.append(f"{label} {least:g} to {most:g}{unit}")
    return f"; {', '.join(parts)}" if parts else ""


def runnable(fleets: Sequence[Fleet], steps: Sequence[Any]) -> list[Finding]:
    """Which step can run where. ``steps`` are those of the native job."""
    if not fleets:
        return []
    return [_step(fleets, step.name, step.host_requirements or {}) for step in steps]


def _step(fleets: Sequence[Fleet], name: str, requirements: Mapping[str, Any]) -> Finding:
    check = f"steps.{name}"
    can, perhaps, reasons = [], [], []
    for fleet in fleets:
        missing, untold = fleet.lacks(requirements)
        if not fleet.can_have_workers:
            reasons.append(f"{fleet.name} can have no worker")
        elif missing:
            reasons.append(f"{fleet.name} lacks {'; '.join(missing)}")
        elif untold:
            perhaps.append(f"{fleet.name} (asked for: {'; '.join(untold)})")
        else:
            can.append(fleet.name)
    if can:
        return ok(check, f"runs on {', '.join(can)}", can)
    if perhaps:
        then = "It runs if a worker has it; otherwise the job is NOT_COMPATIBLE."
        return unknown(check, f"perhaps on {', '.join(perhaps)}", then)
    then = "Ask for less (hostRequirements of the step), or for a fleet that has it."
    return failed(check, f"no fleet can run it: {'. '.join(reasons)}", then, reasons)
