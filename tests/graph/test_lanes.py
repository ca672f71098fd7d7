"""Lanes: the most urgent slice first, no more threads than asked for, none left behind."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial

from graph import Lanes
from graph.lanes import Slice, Urgency
from tests.graph.toys import PATIENCE_S


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
    work = slices_of(done, finished, 4)
    with Lanes({"one": 1}) as lanes:
        lanes.put(Slice("one", (-9, 0, 0), partial(hold, threading.Event(), begin)))
        for urgency in ((0, 2, 1), (0, 1, 7), (-1, 5, 0), (0, 1, 3)):
            lanes.put(Slice("one", urgency, work(urgency)))
        begin.set()
        finished.wait(PATIENCE_S)
    assert done == [(-1, 5, 0), (0, 1, 3), (0, 1, 7), (0, 2, 1)]


def test_of_equally_urgent_slices_the_first_to_come_goes_first() -> None:
    done: list[object] = []
    finished, begin = threading.Event(), threading.Event()
    work = slices_of(done, finished, 20)
    with Lanes({"one": 1}) as lanes:
        lanes.put(Slice("one", (-9, 0, 0), partial(hold, threading.Event(), begin)))
        for number in range(20):
            lanes.put(Slice("one", (0, 0, 0), work(number)))
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
        return [Slice("one", (0, 5, 1), work("its own, younger"))]

    with Lanes({"one": 1}) as lanes:
        lanes.put(Slice("one", (0, 5, 0), first))
        began.wait(PATIENCE_S)
        lanes.put(Slice("one", (0, 1, 9), work("an older run's")))
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
        lanes.put(Slice("pair", (0, 0, 0), lambda: [Slice("pair", (0, 0, number), meet) for number in (1, 2)]))
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
        lanes.put(Slice("a", (0, 0, 0), slices_of([], finished, 1)("x")))
        finished.wait(PATIENCE_S)
    assert entered == ["a begins", "a ends"]


def test_close_ends_all_threads_and_drops_what_waits() -> None:
    before = threading.active_count()
    done: list[object] = []
    late: Urgency = (0, 1, 0)
    lanes = Lanes({"one": 1, "two": 1})

    def last() -> list[Slice]:
        lanes.close()
        done.append("last")
        return [Slice("one", late, later), Slice("two", late, later)]

    def later() -> list[Slice]:
        done.append("later")
        return []

    lanes.put(Slice("two", (0, 0, 0), list))  # so that both lanes have a thread
    lanes.put(Slice("one", (0, 0, 0), last))
    for thread in [each for each in threading.enumerate() if each.name in ("one-0", "two-0")]:
        thread.join()
    assert done == ["last"]
    lanes.put(Slice("two", late, later))
    assert done == ["last"]
    assert threading.active_count() == before
