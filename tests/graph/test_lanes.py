"""Lanes: the most urgent slice first, no more threads than asked for, none left behind."""

import asyncio
import itertools
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from graph import Lanes
from graph.lanes import Company, Slice, Urgency
from tests.graph.toys import PATIENCE_S

FIRST: Urgency = (-9, 0, 0, 0)
PLAIN: Urgency = (0, 0, 0, 0)


def slices_of(
    done: list[object], finished: threading.Event, count: int
) -> Callable[[object], Callable[[], list[Slice]]]:
    """work(what) notes `what`; `finished` is set when there are `count` notes."""

    def work(what: object) -> Callable[[], list[Slice]]:
        def note() -> list[Slice]:
            done.append(what)
            if len(done) == count:
                finished.set()
            return []

        return note

    return work


def hold(began: threading.Event, begin: threading.Event) -> list[Slice]:
    """Keep the lane busy until `begin`."""
    began.set()
    begin.wait(PATIENCE_S)
    return []


def test_the_most_urgent_goes_first() -> None:
    done: list[object] = []
    finished, begin = threading.Event(), threading.Event()
    work = slices_of(done, finished, 5)
    with Lanes({"one": 1}) as lanes:
        lanes.put(Slice("one", FIRST, partial(hold, threading.Event(), begin)))
        for urgency in ((0, 2, 0, 1), (0, 1, 0, 7), (-1, 5, 0, 0), (0, 1, 1, 0), (0, 1, 0, 3)):
            lanes.put(Slice("one", urgency, work(urgency)))
        begin.set()
        finished.wait(PATIENCE_S)
    assert done == [(-1, 5, 0, 0), (0, 1, 0, 3), (0, 1, 0, 7), (0, 1, 1, 0), (0, 2, 0, 1)]


def test_of_equally_urgent_slices_the_first_to_come_goes_first() -> None:
    done: list[object] = []
    finished, begin = threading.Event(), threading.Event()
    work = slices_of(done, finished, 20)
    with Lanes({"one": 1}) as lanes:
        lanes.put(Slice("one", FIRST, partial(hold, threading.Event(), begin)))
        for number in range(20):
            lanes.put(Slice("one", PLAIN, work(number)))
        begin.set()
        finished.wait(PATIENCE_S)
    assert done == list(range(20))


def test_slices_that_a_slice_makes_ready_wait_their_turn() -> None:
    done: list[object] = []
    finished, began, begin = threading.Event(), threading.Event(), threading.Event()
    work = slices_of(done, finished, 3)

    def first() -> list[Slice]:
        hold(began, begin)
        done.append("first")
        return [Slice("one", (0, 5, 0, 1), work("its own, younger"))]

    with Lanes({"one": 1}) as lanes:
        lanes.put(Slice("one", (0, 5, 0, 0), first))
        began.wait(PATIENCE_S)
        lanes.put(Slice("one", (0, 1, 0, 9), work("an older run's")))
        begin.set()
        finished.wait(PATIENCE_S)
    assert done == ["first", "an older run's", "its own, younger"]


def test_threads_start_only_as_needed_and_a_lane_works_in_parallel() -> None:
    both = threading.Barrier(3)
    names: set[str] = set()

    def meet() -> list[Slice]:
        names.add(threading.current_thread().name)
        both.wait(PATIENCE_S)
        return []

    with Lanes({"pair": 2, "idle": 5}) as lanes:
        before = threading.active_count()
        lanes.put(Slice("pair", PLAIN, lambda: [Slice("pair", (0, 0, 0, number), meet) for number in (1, 2)]))
        both.wait(PATIENCE_S)  # fails to return unless both run at once
        assert threading.active_count() - before == 2
    assert names == {"pair-0", "pair-1"}


def test_each_thread_works_within_what_surrounds_its_lane() -> None:
    entered: list[str] = []
    finished = threading.Event()

    @contextmanager
    def around(lane: str) -> Iterator[None]:
        entered.append(f"{lane} begins")
        yield
        entered.append(f"{lane} ends")

    with Lanes({"a": 3, "b": 1}, around=around) as lanes:
        lanes.put(Slice("a", PLAIN, slices_of([], finished, 1)("x")))
        finished.wait(PATIENCE_S)
    assert entered == ["a begins", "a ends"]


def test_close_ends_all_threads_and_drops_what_waits() -> None:
    before = threading.active_count()
    done: list[object] = []
    late: Urgency = (0, 1, 0, 0)
    lanes = Lanes({"one": 1, "two": 1})

    def last() -> list[Slice]:
        lanes.close()
        done.append("last")
        return [Slice("one", late, later), Slice("two", late, later)]

    def later() -> list[Slice]:
        done.append("later")
        return []

    lanes.put(Slice("two", PLAIN, list))  # so that both lanes have a thread
    lanes.put(Slice("one", PLAIN, last))
    for thread in [each for each in threading.enumerate() if each.name in ("one-0", "two-0")]:
        thread.join()
    assert done == ["last"]
    lanes.put(Slice("two", late, later))
    assert done == ["last"]
    assert threading.active_count() == before


def test_close_leaves_a_thread_behind_that_hangs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("graph.lanes.CLOSE_S", 0.05)
    began, begin = threading.Event(), threading.Event()
    lanes = Lanes({"io": 1})
    lanes.put(Slice("io", FIRST, partial(hold, began, begin)))
    assert began.wait(PATIENCE_S)
    closing = threading.Thread(target=lanes.close, daemon=True)
    closing.start()
    closing.join(PATIENCE_S)
    begin.set()
    assert not closing.is_alive()


def test_slices_that_wait_run_at_the_same_time() -> None:
    all_there = threading.Barrier(9)

    def meet() -> list[Slice]:
        all_there.wait(PATIENCE_S)
        return []

    with Lanes() as lanes:
        for number in range(8):
            lanes.put(Slice("io", (0, 0, 0, number), meet))
        all_there.wait(PATIENCE_S)  # fails to return unless all eight run at once


@settings(max_examples=60, deadline=None)
@given(
    sizes=st.fixed_dictionaries({"cpu": st.integers(1, 3), "io": st.integers(1, 2), "device": st.integers(1, 2)}),
    children=st.lists(st.tuples(st.integers(0, 60), st.sampled_from(["cpu", "io", "device", "async"])), max_size=60),
)
def test_every_slice_is_worked_on_once(sizes: dict[str, int], children: list[tuple[int, str]]) -> None:
    """Slice n is made ready by slice `children[n - 1][0] % n`, whatever the lanes: none is lost, none comes twice."""
    parents = {number: parent % number for number, (parent, _) in enumerate(children, 1)}
    lane_of = {0: "cpu"} | {number: lane for number, (_, lane) in enumerate(children, 1)}
    done: list[int] = []
    finished = threading.Event()
    tickets = itertools.count(1)

    def slice_of(number: int) -> Slice:
        return Slice(
            lane_of[number], (0, 0, 0, number % 7), partial(work if lane_of[number] != "async" else wait, number)
        )

    def work(number: int) -> list[Slice]:
        done.append(number)
        if next(tickets) == len(children) + 1:
            finished.set()
        return [slice_of(child) for child, parent in parents.items() if parent == number]

    async def wait(number: int) -> list[Slice]:
        await asyncio.sleep(0)
        return work(number)

    with Lanes(sizes) as lanes:
        lanes.put(slice_of(0))
        assert finished.wait(PATIENCE_S)
    assert sorted(done) == list(range(len(children) + 1))


# -- devices


def test_each_device_is_a_lane_of_one_thread() -> None:
    began, begin = [threading.Event(), threading.Event()], threading.Event()
    with Lanes({"device": 2, "cpu": 1}) as lanes:
        assert lanes.devices == ("device 0", "device 1")
        assert set(lanes.names) == {"device", "device 0", "device 1", "cpu", "async"}
        for name, event in zip(("device", "device 1"), began, strict=True):
            lanes.put(Slice(name, PLAIN, partial(hold, event, begin)))
        assert all(event.wait(PATIENCE_S) for event in began)  # at the same time
        begin.set()


# -- the async lane


def test_any_number_of_slices_wait_in_the_async_lane_at_once() -> None:
    there: list[int] = []
    all_there = asyncio.Event()
    finished = threading.Event()

    async def wait(number: int) -> list[Slice]:
        there.append(number)
        if len(there) == 500:
            all_there.set()
        await all_there.wait()
        return [Slice("cpu", PLAIN, note(number))]

    done: list[object] = []
    note = slices_of(done, finished, 500)
    with Lanes() as lanes:
        for number in range(500):
            lanes.put(Slice("async", PLAIN, partial(wait, number)))
        assert finished.wait(PATIENCE_S)
    assert sorted(there) == list(range(500))
    assert len(done) == 500


@pytest.mark.parametrize("error", [RuntimeError, SystemExit, asyncio.CancelledError])
def test_the_async_lane_survives_what_a_slice_raises(error: type[BaseException]) -> None:
    finished = threading.Event()

    async def fail() -> list[Slice]:
        raise error

    async def cancel_itself() -> list[Slice]:
        task = asyncio.current_task()
        assert task is not None
        task.cancel()
        await asyncio.sleep(PATIENCE_S)
        return []

    async def last() -> list[Slice]:
        finished.set()
        return []

    def refuse() -> Any:
        raise error

    with Lanes() as lanes:
        for work in (fail, refuse, cancel_itself, last):
            lanes.put(Slice("async", PLAIN, work))
        assert finished.wait(PATIENCE_S)


def test_close_cancels_what_waits_in_the_async_lane() -> None:
    began, cancelled = threading.Event(), threading.Event()

    async def wait() -> list[Slice]:
        began.set()
        try:
            await asyncio.Event().wait()
        finally:
            cancelled.set()
        return []

    before = threading.active_count()
    with Lanes() as lanes:
        lanes.put(Slice("async", PLAIN, wait))
        assert began.wait(PATIENCE_S)
    assert cancelled.is_set()
    assert threading.active_count() == before


# -- company


def together(lanes: Lanes, slices: Sequence[tuple[Urgency, str, int]]) -> list[tuple[int, ...]]:
    """In what companies slices (urgency, key, most) of one lane are worked on, if they all wait when it begins."""
    groups: list[tuple[int, ...]] = []
    began, begin, finished = threading.Event(), threading.Event(), threading.Event()

    def work(members: Sequence[int]) -> list[Slice]:
        groups.append(tuple(members))
        if sum(map(len, groups)) == len(slices):
            finished.set()
        return []

    lanes.put(Slice("device", FIRST, partial(hold, began, begin)))
    assert began.wait(PATIENCE_S)
    for number, (urgency, key, most) in enumerate(slices):
        lanes.put(Slice("device", urgency, list, Company(key, most, number, work)))
    begin.set()
    assert finished.wait(PATIENCE_S)
    return groups


def test_slices_of_equal_company_are_worked_on_together() -> None:
    waiting = [((0, 3, 1, 0), "a", 8), ((0, 2, 1, 0), "b", 8), ((0, 1, 1, 0), "a", 8), ((0, 0, 1, 0), "a", 8)]
    with Lanes({"device": 1}) as lanes:
        assert together(lanes, waiting) == [(3, 2, 0), (1,)]


def test_no_more_keep_company_than_each_of_them_allows() -> None:
    waiting = [((0, age, 1, 0), "a", most) for age, most in enumerate([3, 2, 3, 3, 3, 1])]
    with Lanes({"device": 1}) as lanes:
        assert together(lanes, waiting) == [(0, 1), (2, 3, 4), (5,)]


@settings(max_examples=50, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 5), st.sampled_from("ab"), st.integers(1, 4)), min_size=1, max_size=30))
def test_companies_keep_order_keys_and_limits(drawn: list[tuple[int, str, int]]) -> None:
    waiting = [((0, age, 1, number), key, most) for number, (age, key, most) in enumerate(drawn)]
    with Lanes({"device": 1}) as lanes:
        groups = together(lanes, waiting)
    assert sorted(member for group in groups for member in group) == list(range(len(waiting)))
    for group in groups:
        assert len({waiting[member][1] for member in group}) == 1
        assert len(group) <= min(waiting[member][2] for member in group)
        assert list(group) == sorted(group, key=waiting.__getitem__)
    assert [group[0] for group in groups] == sorted((group[0] for group in groups), key=waiting.__getitem__)


# -- the time limit


@pytest.fixture
def impatient() -> Iterator[Lanes]:
    with Lanes({"cpu": 1, "io": 1, "device": 1}, limit_s=0.02) as lanes:
        yield lanes


def test_a_slice_that_takes_too_long_is_given_up_and_its_lane_goes_on(impatient: Lanes) -> None:
    let_go, told, finished, all_finished = (threading.Event() for _ in range(4))
    hung: list[threading.Thread] = []
    done: list[object] = []
    note, late = slices_of(done, finished, 2), slices_of(done, all_finished, 4)

    def hang() -> list[Slice]:
        hung.append(threading.current_thread())
        let_go.wait(PATIENCE_S)
        return [Slice("cpu", PLAIN, late("what the hung one made")), Slice("io", PLAIN, late("there too"))]

    def overdue() -> list[Slice]:
        told.set()
        return [Slice("cpu", PLAIN, note("instead"))]

    impatient.put(Slice("cpu", PLAIN, hang, overdue=overdue))
    impatient.put(Slice("cpu", (0, 1, 0, 0), note("the next")))
    assert told.wait(PATIENCE_S)
    assert finished.wait(PATIENCE_S)
    assert sorted(map(str, done)) == ["instead", "the next"]
    let_go.set()
    assert all_finished.wait(PATIENCE_S)  # it may have ended at that very moment: its run knows whether that counts
    hung[0].join()


def test_a_slice_without_an_answer_to_that_is_not_given_up(impatient: Lanes) -> None:
    told, begin, finished = threading.Event(), threading.Event(), threading.Event()
    done: list[object] = []
    note = slices_of(done, finished, 1)

    def other_is_overdue() -> list[Slice]:
        told.set()
        return []

    def wait() -> list[Slice]:
        begin.wait(PATIENCE_S)
        return [Slice("cpu", PLAIN, note("done"))]

    impatient.put(Slice("cpu", PLAIN, wait))
    impatient.put(Slice("io", PLAIN, wait, overdue=other_is_overdue))
    assert told.wait(PATIENCE_S)
    begin.set()
    assert finished.wait(PATIENCE_S)


def test_all_members_of_a_company_that_takes_too_long_are_told(impatient: Lanes) -> None:
    let_go, began, begin = threading.Event(), threading.Event(), threading.Event()
    told: list[int] = []
    all_told = threading.Event()

    def hang(members: Sequence[int]) -> list[Slice]:
        let_go.wait(PATIENCE_S)
        return []

    def overdue(member: int) -> list[Slice]:
        told.append(member)
        if len(told) == 2:
            all_told.set()
        return []

    impatient.put(Slice("device", FIRST, partial(hold, began, begin)))
    assert began.wait(PATIENCE_S)
    for member in range(2):
        company = Company("a", 2, member, hang)
        impatient.put(Slice("device", (0, member, 1, 0), list, company, partial(overdue, member)))
    begin.set()
    assert all_told.wait(PATIENCE_S)
    assert told == [0, 1]
    let_go.set()


@pytest.mark.parametrize("holds_up_the_loop", [False, True])
def test_an_async_slice_that_takes_too_long_is_given_up(impatient: Lanes, holds_up_the_loop: bool) -> None:
    let_go, ended, told, finished = (threading.Event() for _ in range(4))

    async def hang() -> list[Slice]:
        try:
            if holds_up_the_loop:
                let_go.wait(PATIENCE_S)
            else:
                await asyncio.Event().wait()
        finally:
            ended.set()
        return []

    async def next_one() -> list[Slice]:
        finished.set()
        return []

    def overdue() -> list[Slice]:
        told.set()
        return [Slice("async", PLAIN, next_one)]

    impatient.put(Slice("async", PLAIN, hang, overdue=overdue))
    assert told.wait(PATIENCE_S)
    assert finished.wait(PATIENCE_S)
    let_go.set()
    assert ended.wait(PATIENCE_S)
