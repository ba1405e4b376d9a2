"""Which step gets which part of a worker: a pure function of amounts, sessions and waiting steps.

Order: priority, then the job with the fewest open sessions, then the one that waited longest for a turn. A step takes
what it names of the worker's amounts; one that names no vCPUs takes them all, because nobody knows how many threads its
program uses. A job that is next and does not fit is waited for: nothing of lower rank may take the amounts that it
lacks.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from math import ceil
from typing import Any, Final

VCPU: Final = "amount.worker.vcpu"

# A worker has these, however many tasks look at them: the memory of one GPU is not divided between the tasks on others.
_NOT_CONSUMED: Final = frozenset({"amount.worker.gpu.memory"})

_LEAST_VCPU: Final = 0.25

SLICE_SECONDS: Final = 5.0
"""A session keeps its place at least so long when an equal job waits: starting a DCC for every task would cost more."""

QUEUE_SECONDS: Final = 2.0
"""How much work, by the step's mean run time, is queued in a session: enough to hide the way to the farm, and little
enough that jobs share fairly and the last tasks of a step do not pile up in one session."""

QUEUE_LIMIT: Final = 90
"""Tasks queued in one session at most. A cancel names up to 100 actions, among them those that set the session up."""


@dataclass(frozen=True)
class Need:
    """What a step asks of a worker: ``amounts`` it takes away while it runs, and ``whole`` when that is all vCPUs."""

    amounts: Mapping[str, float]
    minimums: Mapping[str, float]
    attributes: Sequence[Mapping[str, Any]]
    whole: bool

    @classmethod
    def of(cls, requirements: Mapping[str, Any]) -> Need:
        """Read a step's host requirements ({"amounts": [{name, min}], "attributes": [{name, anyOf, allOf}]})."""
        minimums = {}
        for amount in requirements.get("amounts", ()):
            name = amount["name"].lower()
            default = 1 if name == VCPU else 0
            minimums[name] = float(amount["min"] if amount.get("min") is not None else default)
        consumed = {name: value for name, value in minimums.items() if name not in _NOT_CONSUMED}
        return cls(consumed, minimums, tuple(requirements.get("attributes", ())), VCPU not in minimums)

    def fits_worker(self, offer: Offer) -> bool:
        """Tell whether the worker, with nothing else on it, can run the step."""
        if any(offer.amounts.get(name, 0.0) < value for name, value in self.minimums.items()):
            return False
        for attribute in self.attributes:
            values = {value.lower() for value in offer.attributes.get(attribute["name"].lower(), ())}
            any_of = {value.lower() for value in attribute.get("anyOf") or ()}
            all_of = {value.lower() for value in attribute.get("allOf") or ()}
            if (any_of and not any_of & values) or not all_of <= values:
                return False
        return True

    def of_worker(self, offer: Offer) -> dict[str, float]:
        """Return the amounts that one session of the step takes of this worker."""
        taken = {name: value for name, value in self.amounts.items() if value > 0}
        # A step that asks for no vCPU at all still starts processes: not thousands of them at once.
        taken[VCPU] = offer.amounts.get(VCPU, 1.0) if self.whole else max(taken.get(VCPU, 0.0), _LEAST_VCPU)
        return taken


@dataclass(frozen=True)
class Offer:
    """What a worker has: amounts by name, and attributes with their values."""

    amounts: Mapping[str, float]
    attributes: Mapping[str, Sequence[str]]

    @classmethod
    def of(cls, capabilities: Mapping[str, Any] | None) -> Offer:
        """Read a worker's ``capabilities`` ({"amounts": [{name, value}], "attributes": [{name, values}]})."""
        capabilities = capabilities or {}
        amounts = {item["name"].lower(): float(item["value"]) for item in capabilities.get("amounts", ())}
        amounts.setdefault(VCPU, 1.0)
        attributes = {item["name"].lower(): tuple(item["values"]) for item in capabilities.get("attributes", ())}
        return cls(amounts, attributes)


@dataclass
class Seat:
    """An open session on the worker. ``queued`` are its open tasks, ``busy`` whether it has any open action,
    ``seconds`` how long it has been open; ``give`` is what placement decides: so many more tasks."""

    key: int
    job: int
    step: int
    priority: int
    reserved: Mapping[str, float]
    queued: int
    busy: bool
    seconds: float
    closing: bool = False
    give: int = 0
    move_to: Bid | None = None


@dataclass
class Bid:
    """A step with READY tasks. ``ready`` how many, ``job_sessions`` and ``step_sessions`` how many sessions are open
    anywhere, ``new_worker_allowed`` whether its job may have a first session on this worker."""

    step: int
    job: int
    priority: int
    turn: int
    ready: int
    job_sessions: int
    step_sessions: int
    taken: Mapping[str, float]
    mean_seconds: float | None
    new_worker_allowed: bool = True

    @property
    def depth(self) -> int:
        """How many tasks to have in one session's queue."""
        if self.mean_seconds is None:
            return 1
        return max(1, min(QUEUE_LIMIT, int(QUEUE_SECONDS / max(self.mean_seconds, 0.001))))


@dataclass
class Placement:
    """What to do: seats whose ``give`` and ``move_to`` are set, new sessions as (bid, tasks), seats to close."""

    seats: list[Seat]
    new: list[tuple[Bid, int]] = field(default_factory=list)
    close: list[Seat] = field(default_factory=list)


def place(offer: Offer, seats: Sequence[Seat], bids: Sequence[Bid]) -> Placement:
    """Decide what a worker's sessions get and which sessions begin and end. ``bids`` all fit the worker when empty."""
    placement = Placement(list(seats))
    free = dict(offer.amounts)
    for seat in seats:
        _take(free, seat.reserved)
    open_seats = [seat for seat in seats if not seat.closing]
    yielding = _yielding(free, seats, open_seats, bids)
    left = {bid.step: bid.ready for bid in bids}

    staying: list[tuple[Seat, Bid]] = []
    for seat in open_seats:
        if seat.key in yielding:
            if not seat.busy:
                placement.close.append(seat)
            continue
        bid = _bid_for(seat, bids, left, free)
        if bid is None:
            if not seat.busy:
                placement.close.append(seat)
            continue
        if bid.step != seat.step:
            seat.move_to = bid
            _give_back(free, seat.reserved)
            _take(free, bid.taken)
        if seat.queued == 0:
            seat.give = 1
            left[bid.step] -= 1
        staying.append((seat, bid))

    opened = _open(free, seats, bids, left)
    _fill(staying, opened, left)
    placement.new = [(bid, number) for bid, number in opened if number]
    return placement


def _yielding(
    free: Mapping[str, float], seats: Sequence[Seat], open_seats: Sequence[Seat], bids: Sequence[Bid]
) -> set[int]:
    """Return the sessions that must make room for bids of higher rank, as many as those can use."""
    leaving: set[int] = set()
    coming = dict(free)
    wanted = {bid.step: bid.ready for bid in bids if bid.new_worker_allowed}
    for seat in seats:
        if seat.closing:
            _give_back(coming, seat.reserved)
        elif seat.queued == 0 and wanted.get(seat.step, 0) > 0:
            wanted[seat.step] -= 1  # it has a session for that task already
    sessions_of = {bid.job: bid.job_sessions for bid in bids}
    while True:
        ranked = sorted(bids, key=lambda bid: (-bid.priority, sessions_of[bid.job], bid.turn))
        bid = next((bid for bid in ranked if wanted.get(bid.step, 0) > 0), None)
        if bid is None:
            return leaving
        victims, room = _victims(bid, coming, [seat for seat in open_seats if seat.key not in leaving], sessions_of)
        if not _lacking(room, bid.taken):
            coming = room
            for seat in victims:
                leaving.add(seat.key)
                if seat.job in sessions_of:
                    sessions_of[seat.job] -= 1
            _take(coming, bid.taken)
            wanted[bid.step] -= 1
            sessions_of[bid.job] += 1
        elif _held_by_others(bid, coming, [(seat.job, seat.reserved) for seat in open_seats]):
            # Others may keep what it lacks for now; what follows in rank must not be served before it.
            return leaving
        else:
            wanted[bid.step] = 0  # only its own job is in its way


def _victims(
    bid: Bid, coming: Mapping[str, float], seats: Sequence[Seat], sessions_of: Mapping[int, int]
) -> tuple[list[Seat], dict[str, float]]:
    """Return the sessions that one more session of ``bid`` displaces, and what is free then; it may still not fit."""
    room = dict(coming)
    victims: list[Seat] = []
    lost: dict[int, int] = {}
    for seat in sorted(seats, key=lambda seat: (seat.priority, -sessions_of.get(seat.job, 1), -seat.seconds)):
        short = _lacking(room, bid.taken)
        if not short:
            break
        held = sessions_of.get(seat.job, 1) - lost.get(seat.job, 0)
        if any(seat.reserved.get(name) for name in short) and _must_yield(seat, bid, held - sessions_of[bid.job]):
            victims.append(seat)
            lost[seat.job] = lost.get(seat.job, 0) + 1
            _give_back(room, seat.reserved)
    return victims, room


def _must_yield(seat: Seat, bid: Bid, lead: int) -> bool:
    """Tell whether a session makes room for a bid of another job that has ``lead`` sessions fewer than its own."""
    if seat.job == bid.job or seat.priority > bid.priority:
        return False
    if seat.priority < bid.priority:
        return True
    return lead >= 2 or (lead == 1 and seat.seconds >= SLICE_SECONDS)


def _bid_for(seat: Seat, bids: Sequence[Bid], left: Mapping[int, int], free: Mapping[str, float]) -> Bid | None:
    """Return the bid a session goes on with: its own step's, else another step of its job once it has nothing to do."""
    own = next((bid for bid in bids if bid.step == seat.step), None)
    if own is not None and left[own.step] > 0:
        return own
    if seat.busy:
        return None
    room = dict(free)
    _give_back(room, seat.reserved)
    for bid in bids:
        if bid.job == seat.job and left[bid.step] > 0 and not _lacking(room, bid.taken):
            return bid
    return None


def _open(
    free: dict[str, float], seats: Sequence[Seat], bids: Sequence[Bid], left: dict[int, int]
) -> list[tuple[Bid, int]]:
    """Open sessions with one task each, job by job in turn, until nothing that is next fits any more."""
    opened: list[tuple[Bid, int]] = []
    sessions_of = {bid.job: bid.job_sessions for bid in bids}
    turn_of = {bid.job: bid.turn for bid in bids}
    last = max(turn_of.values(), default=0)
    while True:
        chosen = None
        for bid in sorted(bids, key=lambda bid: (-bid.priority, sessions_of[bid.job], turn_of[bid.job])):
            if left[bid.step] <= 0 or not bid.new_worker_allowed:
                continue
            if not _lacking(free, bid.taken):
                chosen = bid
                break
            held = [(seat.job, seat.reserved) for seat in seats] + [(other.job, other.taken) for other, _ in opened]
            if _held_by_others(bid, free, held):
                break
        if chosen is None:
            return opened
        _take(free, chosen.taken)
        left[chosen.step] -= 1
        sessions_of[chosen.job] += 1
        last += 1
        turn_of[chosen.job] = last
        opened.append((chosen, 1))


def _fill(staying: Sequence[tuple[Seat, Bid]], opened: list[tuple[Bid, int]], left: dict[int, int]) -> None:
    """Top up the queues, with no more than a fair share of what is left of a step for each of its sessions."""
    new_of: dict[int, int] = {}
    for bid, _ in opened:
        new_of[bid.step] = new_of.get(bid.step, 0) + 1
    share: dict[int, int] = {}
    for bid in [bid for _, bid in staying] + [bid for bid, _ in opened]:
        sessions = max(1, bid.step_sessions + new_of.get(bid.step, 0))
        share.setdefault(bid.step, ceil(left[bid.step] / sessions))
    for seat, bid in staying:
        more = max(0, min(bid.depth - seat.queued - seat.give, share[bid.step], left[bid.step]))
        seat.give += more
        left[bid.step] -= more
    for i, (bid, number) in enumerate(opened):
        more = max(0, min(bid.depth - number, share[bid.step], left[bid.step]))
        opened[i] = (bid, number + more)
        left[bid.step] -= more


def _held_by_others(bid: Bid, free: Mapping[str, float], holdings: Iterable[tuple[int, Mapping[str, float]]]) -> bool:
    """Tell whether a bid would fit if other jobs let go of what they hold; its own job's are not in its way."""
    room = dict(free)
    for job, amounts in holdings:
        if job != bid.job:
            _give_back(room, amounts)
    return not _lacking(room, bid.taken)


def _take(free: dict[str, float], amounts: Mapping[str, float]) -> None:
    for name, value in amounts.items():
        free[name] = free.get(name, 0.0) - value


def _give_back(free: dict[str, float], amounts: Mapping[str, float]) -> None:
    for name, value in amounts.items():
        free[name] = free.get(name, 0.0) + value


def _lacking(free: Mapping[str, float], amounts: Mapping[str, float]) -> list[str]:
    # Amounts are floats on the wire; three thirds are one.
    return [name for name, value in amounts.items() if free.get(name, 0.0) + 1e-9 < value]
