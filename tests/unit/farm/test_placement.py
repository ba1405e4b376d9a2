"""Which step gets which part of a worker."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from shotput_farm.placement import QUEUE_LIMIT, SLICE_SECONDS, VCPU, Bid, Need, Offer, Placement, Seat, place


def offer(vcpu: float = 16, **more: float) -> Offer:
    amounts = [{"name": VCPU, "value": vcpu}]
    amounts += [{"name": f"amount.worker.{name}", "value": value} for name, value in more.items()]
    return Offer.of({"amounts": amounts, "attributes": [{"name": "attr.worker.os.family", "values": ["linux"]}]})


def need(**minimums: float) -> Need:
    return Need.of({"amounts": [{"name": f"amount.worker.{name}", "min": value} for name, value in minimums.items()]})


def bid(step: int, worker: Offer, needed: Need, **values: Any) -> Bid:
    defaults: dict[str, Any] = {"job": step, "priority": 50, "turn": 0, "ready": 100, "job_sessions": 0}
    defaults |= {"step_sessions": 0, "mean_seconds": None} | values
    return Bid(step=step, taken=needed.of_worker(worker), **defaults)


def seat(key: int, of: Bid, **values: Any) -> Seat:
    defaults: dict[str, Any] = {"queued": 1, "busy": True, "seconds": 1.0, "priority": of.priority} | values
    return Seat(key=key, job=of.job, step=of.step, reserved=of.taken, **defaults)


def given_tasks(placement: Placement) -> dict[int, int]:
    tasks: dict[int, int] = {}
    for bid, number in placement.new:
        tasks[bid.step] = tasks.get(bid.step, 0) + number
    return tasks


def test_a_step_that_names_no_vcpu_takes_the_whole_machine() -> None:
    worker = offer(16)
    render = bid(1, worker, need(), ready=12)
    placement = place(worker, [], [render])
    assert [(b.step, number) for b, number in placement.new] == [(1, 1)]
    running = seat(7, bid(1, worker, need(), ready=11, job_sessions=1, step_sessions=1))
    again = place(worker, [running], [bid(1, worker, need(), ready=11, job_sessions=1, step_sessions=1)])
    assert again.new == []


def test_sixteen_tasks_of_one_vcpu_run_side_by_side() -> None:
    worker = offer(16)
    placement = place(worker, [], [bid(1, worker, need(vcpu=1), ready=16)])
    assert len(placement.new) == 16
    assert all(number == 1 for _, number in placement.new)


def test_memory_and_gpus_are_consumed_by_what_is_named() -> None:
    worker = offer(16, memory=32_000, gpu=1)
    assert len(place(worker, [], [bid(1, worker, need(vcpu=1, memory=10_000))]).new) == 3
    assert len(place(worker, [], [bid(1, worker, need(vcpu=1, gpu=1))]).new) == 1


def test_memory_of_one_gpu_is_not_divided() -> None:
    worker = Offer.of(
        {
            "amounts": [
                {"name": VCPU, "value": 16},
                {"name": "amount.worker.gpu", "value": 2},
                {"name": "amount.worker.gpu.memory", "value": 12_000},
            ],
            "attributes": [],
        }
    )
    needed = Need.of(
        {
            "amounts": [
                {"name": VCPU, "min": 1},
                {"name": "amount.worker.gpu", "min": 1},
                {"name": "amount.worker.gpu.memory", "min": 8_000},
            ]
        }
    )
    assert needed.fits_worker(worker)
    assert len(place(worker, [], [bid(1, worker, needed)]).new) == 2


def test_requirements_are_matched_against_amounts_and_attributes() -> None:
    worker = offer(8, licenses=2)
    assert need(vcpu=8).fits_worker(worker)
    assert not need(vcpu=9).fits_worker(worker)
    assert not need(gpu=1).fits_worker(worker)
    assert need(licenses=2).fits_worker(worker)
    linux = {"attributes": [{"name": "attr.worker.os.family", "anyOf": ["Linux", "macos"]}]}
    windows = {"attributes": [{"name": "attr.worker.os.family", "anyOf": ["windows"]}]}
    both = {"attributes": [{"name": "attr.worker.os.family", "allOf": ["linux", "windows"]}]}
    assert Need.of(linux).fits_worker(worker)
    assert not Need.of(windows).fits_worker(worker)
    assert not Need.of(both).fits_worker(worker)


def test_higher_priority_comes_first_and_a_blocked_job_is_waited_for() -> None:
    worker = offer(4)
    small = bid(1, worker, need(vcpu=1), priority=10, job_sessions=3, step_sessions=3)
    big = bid(2, worker, need(vcpu=4), priority=90)
    seats = [seat(key, small) for key in range(3)]
    placement = place(worker, seats, [big, small])
    assert placement.new == []  # the free vCPU is kept for the big job
    assert [s.give for s in placement.seats] == [0, 0, 0]
    several = bid(3, worker, need(vcpu=1), priority=90, ready=2)
    seats = [seat(key, small, queued=0, busy=False) for key in range(4)]
    assert len(place(worker, seats, [several, small]).close) == 2
    idle = [seat(key, small, queued=0, busy=False) for key in range(3)]
    assert [s.key for s in place(worker, idle, [big, small]).close] == [0, 1, 2]


def test_what_does_not_compete_for_the_same_amount_goes_on() -> None:
    worker = offer(16, gpu=1)
    gpu = bid(1, worker, need(vcpu=4, gpu=1), priority=90, job_sessions=1, step_sessions=1)
    small = bid(2, worker, need(vcpu=1), priority=10)
    placement = place(worker, [seat(5, gpu)], [gpu, small])
    assert given_tasks(placement) == {2: 12}


def test_equal_jobs_take_turns_after_a_slice() -> None:
    worker = offer(4)
    first = bid(1, worker, need(), job_sessions=1, step_sessions=1, turn=2)
    second = bid(2, worker, need(), turn=1)
    young = seat(1, first, queued=0, busy=False, seconds=SLICE_SECONDS / 2)
    assert place(worker, [young], [second, first]).seats[0].give == 1
    old = seat(1, first, queued=0, busy=False, seconds=SLICE_SECONDS)
    assert [s.key for s in place(worker, [old], [second, first]).close] == [1]
    busy = seat(1, first, queued=1, busy=True, seconds=SLICE_SECONDS)
    assert place(worker, [busy], [second, first]).seats[0].give == 0


def test_equal_jobs_share_the_slots() -> None:
    worker = offer(16)
    placement = place(worker, [], [bid(1, worker, need(vcpu=1)), bid(2, worker, need(vcpu=1))])
    assert given_tasks(placement) == {1: 8, 2: 8}


def test_slots_are_balanced_without_churn() -> None:
    worker = offer(4)
    hog = bid(1, worker, need(vcpu=1), job_sessions=4, step_sessions=4)
    other = bid(2, worker, need(vcpu=1))
    idle = [seat(key, hog, queued=0, busy=False) for key in range(4)]
    assert len(place(worker, idle, [other, hog]).close) == 2
    even = [bid(1, worker, need(vcpu=1), job_sessions=2), bid(2, worker, need(vcpu=1), job_sessions=2)]
    seats = [seat(k, even[k % 2], queued=0, busy=False, seconds=1000) for k in range(4)]
    placement = place(worker, seats, even)
    assert placement.close == []
    assert [s.give for s in placement.seats] == [1, 1, 1, 1]


def test_short_tasks_are_queued_and_long_ones_are_not() -> None:
    worker = offer(1)
    unknown = place(worker, [], [bid(1, worker, need(), ready=1000)])
    assert given_tasks(unknown) == {1: 1}
    short = place(worker, [], [bid(1, worker, need(), ready=1000, mean_seconds=0.005)])
    assert given_tasks(short) == {1: QUEUE_LIMIT}
    half = place(worker, [], [bid(1, worker, need(), ready=1000, mean_seconds=0.5)])
    assert given_tasks(half) == {1: 4}
    long = place(worker, [], [bid(1, worker, need(), ready=1000, mean_seconds=60.0)])
    assert given_tasks(long) == {1: 1}


def test_the_last_tasks_do_not_pile_up_in_one_session() -> None:
    worker = offer(4)
    placement = place(worker, [], [bid(1, worker, need(vcpu=1), ready=20, mean_seconds=0.01)])
    assert [number for _, number in placement.new] == [5, 5, 5, 5]


def test_a_session_goes_on_with_another_step_of_its_job() -> None:
    worker = offer(4)
    done = bid(1, worker, need(), job=9, ready=0, job_sessions=1)
    following = bid(2, worker, need(), job=9, ready=3, job_sessions=1)
    idle = seat(1, done, queued=0, busy=False)
    placement = place(worker, [idle], [following])
    assert placement.seats[0].move_to is following
    assert placement.seats[0].give == 1
    assert placement.close == []
    assert placement.new == []


def test_a_session_without_work_is_closed_and_a_busy_one_is_not() -> None:
    worker = offer(4)
    done = bid(1, worker, need())
    assert [s.key for s in place(worker, [seat(1, done, queued=0, busy=False)], []).close] == [1]
    assert place(worker, [seat(1, done, queued=1, busy=True)], []).close == []


def test_a_step_that_asks_for_no_vcpu_takes_a_little() -> None:
    worker = offer(4)
    assert len(place(worker, [], [bid(1, worker, need(vcpu=0), ready=1_000_000)]).new) == 16


def test_max_worker_count_keeps_a_job_off_this_worker() -> None:
    worker = offer(4)
    barred = bid(1, worker, need(vcpu=1), new_worker_allowed=False)
    other = bid(2, worker, need(vcpu=1), priority=1)
    assert given_tasks(place(worker, [], [barred, other])) == {2: 4}


amounts = st.fixed_dictionaries({}, optional={"vcpu": st.integers(1, 8), "memory": st.integers(1, 64)})


@given(
    vcpu=st.integers(1, 8),
    memory=st.integers(1, 64),
    needs=st.lists(
        st.tuples(amounts, st.integers(0, 3), st.integers(1, 40), st.none() | st.floats(0.001, 5)), max_size=5
    ),
    seated=st.lists(st.tuples(st.integers(0, 4), st.integers(0, 2), st.floats(0, 20)), max_size=4),
)
def test_never_more_than_there_is(
    vcpu: int, memory: int, needs: list[Any], seated: list[tuple[int, int, float]]
) -> None:
    worker = offer(vcpu, memory=memory)
    bids = []
    for step, (minimums, priority, ready, mean) in enumerate(needs):
        needed = need(**minimums)
        if needed.fits_worker(worker):
            bids.append(bid(step, worker, needed, priority=priority, ready=ready, mean_seconds=mean))
    free = dict(worker.amounts)
    seats = []
    for key, (index, queued, seconds) in enumerate(seated):
        if not bids:
            break
        of = bids[index % len(bids)]
        if all(free.get(name, 0) >= value for name, value in of.taken.items()):
            for name, value in of.taken.items():
                free[name] -= value
            of.job_sessions += 1
            of.step_sessions += 1
            seats.append(seat(key, of, queued=queued, busy=queued > 0, seconds=seconds))
    placement = place(worker, seats, bids)
    closed = {s.key for s in placement.close}
    used: dict[str, float] = {}
    taken: dict[int, int] = {}
    for one in placement.seats:
        # Amounts of a session that closes are free only when it has ended.
        reserved = one.move_to.taken if one.move_to is not None else one.reserved
        for name, value in reserved.items():
            used[name] = used.get(name, 0) + value
        assert not (one.key in closed and (one.busy or one.give))
        step = one.move_to.step if one.move_to is not None else one.step
        taken[step] = taken.get(step, 0) + one.give
    for new, number in placement.new:
        assert number >= 1
        taken[new.step] = taken.get(new.step, 0) + number
        for name, value in new.taken.items():
            used[name] = used.get(name, 0) + value
    assert all(value <= worker.amounts[name] + 1e-6 for name, value in used.items())
    ready = {b.step: b.ready for b in bids}
    assert all(number <= ready.get(step, 0) for step, number in taken.items())


@pytest.mark.parametrize("mean", [0.0, 0.001, 0.1, 1.0, 100.0])
def test_depth_is_bounded(mean: float) -> None:
    assert 1 <= bid(1, offer(), need(), mean_seconds=mean).depth <= QUEUE_LIMIT
