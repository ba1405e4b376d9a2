"""What a benchmark is made of: medians of five with their spread, and environments for the peers.

``SHOTPUT_BENCH_QUICK=1`` runs everything once with a fiftieth of the work: for trying a suite, not for figures.
"""

from __future__ import annotations

import os
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

QUICK = os.environ.get("SHOTPUT_BENCH_QUICK") == "1"
REPEATS = 1 if QUICK else 5
_ROOT = Path(__file__).resolve().parent.parent


@dataclass(frozen=True)
class Figure:
    """A measured value: the median of its samples, in ``unit``."""

    samples: tuple[float, ...]
    unit: str

    @property
    def median(self) -> float:
        return statistics.median(self.samples)

    def text(self) -> str:
        low, high = min(self.samples), max(self.samples)
        digits = 3 if self.unit == "s" and self.median < 10 else 1
        spread = f" ({low:.{digits}f}–{high:.{digits}f})" if len(self.samples) > 1 else ""
        return f"{self.median:.{digits}f} {self.unit}{spread}"


@dataclass(frozen=True)
class Row:
    """One line of the table. ``ratio`` is how many times better we are, above 1 is good for us."""

    name: str
    ours: Figure
    peer: Figure | None
    ratio: float | None
    target: str
    met: bool
    details: dict[str, Any] = field(default_factory=dict)

    def ratio_text(self) -> str:
        return "–" if self.ratio is None else f"{self.ratio:.2f}×"

    def document(self) -> dict[str, Any]:
        """The row in ``results.json``: medians as numbers, the rest beside them."""
        return {
            "name": self.name,
            "ours": self.ours.median,
            "peer": self.peer.median if self.peer else None,
            "ratio": self.ratio,
            "target": self.target,
            "met": self.met,
            "unit": self.ours.unit,
            "samples": {"ours": self.ours.samples, "peer": self.peer.samples if self.peer else None},
            **({"details": self.details} if self.details else {}),
        }


def scaled(amount: int) -> int:
    """How much of something: ``amount``, or a fiftieth of it in a quick run."""
    return max(amount // 50, 2) if QUICK else amount


def faster(name: str, ours: Figure, peer: Figure, at_least: float, **details: Any) -> Row:
    """A row of seconds: met when the peer takes at least ``at_least`` times as long as we do."""
    ratio = peer.median / ours.median
    return Row(name, ours, peer, ratio, f"≥ {at_least:g}×", ratio >= at_least, details)


def within(name: str, ours: Figure, limit: Figure, at_most: float, **details: Any) -> Row:
    """A row of seconds: met when we take at most ``at_most`` times as long as the limit."""
    share = ours.median / limit.median
    return Row(name, ours, limit, 1 / share, f"≤ {at_most:g}× the limit's time", share <= at_most, details)


def rate(name: str, ours: Figure, peer: Figure, at_least: float, **details: Any) -> Row:
    """A row of work per second: met when ours is at least ``at_least`` times the peer's."""
    ratio = ours.median / peer.median
    return Row(name, ours, peer, ratio, f"≥ {at_least:g}×", ratio >= at_least, details)


def at_least(name: str, ours: Figure, floor: float, **details: Any) -> Row:
    """A row without a peer: met from ``floor`` on."""
    return Row(name, ours, None, None, f"≥ {floor:g} {ours.unit}", ours.median >= floor, details)


def below(name: str, ours: Figure, ceiling: float, peer: Figure | None = None, **details: Any) -> Row:
    """A row with a ceiling of its own: met below it; a peer is shown beside it."""
    ratio = peer.median / ours.median if peer else None
    return Row(name, ours, peer, ratio, f"< {ceiling:g} {ours.unit}", ours.median < ceiling, details)


def seconds(work: Callable[[], object], repeats: int = REPEATS, before: Callable[[], object] | None = None) -> Figure:
    """The wall time of ``work``, ``before`` apart."""
    samples = []
    for _ in range(repeats):
        if before:
            before()
        started = time.perf_counter()
        work()
        samples.append(time.perf_counter() - started)
    return Figure(tuple(samples), "s")


def run_process(command: Sequence[str | Path], env: dict[str, str] | None = None) -> str:
    """A whole process; its standard output. A failure shows both of its streams."""
    done = subprocess.run(
        [str(word) for word in command], capture_output=True, text=True, check=False, env={**os.environ, **(env or {})}
    )
    if done.returncode:
        raise RuntimeError(f"{command} ended with {done.returncode}:\n{done.stdout[-4000:]}\n{done.stderr[-4000:]}")
    return done.stdout


def children_cpu_seconds() -> float:
    """CPU seconds of all ended child processes, user and system."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def peer_programs() -> Path:
    """The folder of the official programs, as uv.lock has them."""
    run_process([_ROOT / "tools" / "peers", sys.executable])
    return _ROOT / ".bench" / "peers" / "bin"
