"""A lane of threads: slices in, the most urgent first, each worked on by one thread."""

from __future__ import annotations

import itertools
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager
from heapq import heapify, heappop, heappush
from typing import cast

from graph.lanes.slices import Slice, Urgency

WATCH_S = 0.001  # a lane whose threads end no slice for so long gets one more thread
CROWD = 4  # a thread during whose slice each other one ended more than so many is in their way

Waiting = tuple[Urgency, int, Slice]  # the number keeps equally urgent ones in the order in which they came


class Pool:
    """A lane of up to `size` threads, which start as they are needed.

    Threads that do nothing but Python take turns anyway, and lose time over it: two take twice as long as one for
    nodes of some microseconds. So one more joins only when those at work have ended nothing for a while. To see that,
    one of the idle ones stands watch, as long as slices wait and others are at work.
    """

    def __init__(
        self,
        names: Sequence[str],
        size: int,
        put: Callable[[Slice], None],
        around: Callable[[str], AbstractContextManager[object]],
    ) -> None:
        """`names` are those that a slice may give for this lane, `put` takes slices for other lanes."""
        self._names = names
        self._size = size
        self._put = put
        self._around = around
        self._waiting: list[Waiting] = []  # a heap
        self._arrivals = itertools.count()
        self._changed = threading.Condition(threading.Lock())
        self._threads: list[_Thread] = []  # without those that were given up
        self._started = itertools.count()
        self._closed = False
        self._working = 0  # threads that are at a slice
        self._resting = 0  # threads that wait for a call, the one on watch included
        self._called = False  # one of those is about to look what there is to do
        self._watched = False
        self._ended = 0  # slices so far
        self._ended_then = -1  # as many when the one on watch last looked

    def put(self, new: Slice) -> None:
        """Take a slice; after close() it is dropped."""
        with self._changed:
            if not self._closed:
                self._push((new,))
                self._call()

    def close(self) -> None:
        """Drop what waits; threads end after the slice they are at."""
        with self._changed:
            self._closed = True
            self._waiting.clear()
            self._changed.notify_all()

    def join(self, end: float) -> None:
        """Wait until the threads have ended, no longer than until `end` by the monotonic clock."""
        for thread in self._threads:
            if thread is not threading.current_thread():
                thread.join(max(0.0, end - time.monotonic()))

    def give_up(self, limit_s: float) -> list[Slice]:
        """Count out threads that are at one slice for longer; what was lost with them."""
        now = time.monotonic()
        lost: list[Slice] = []
        with self._changed:
            for thread in [each for each in self._threads if each.slices and now - each.since > limit_s]:
                if any(each.overdue is not None for each in thread.slices):
                    lost += thread.slices
                    thread.is_given_up = True
                    self._threads.remove(thread)
                    self._working -= 1
            if lost and self._waiting:
                self._call()
        return lost

    # -- under the lock

    def _push(self, slices: Iterable[Slice]) -> None:
        for new in slices:
            heappush(self._waiting, (new.urgency, next(self._arrivals), new))

    def _call(self) -> None:
        """See to it that somebody looks after what waits."""
        if self._called or (self._working and self._watched):
            return
        if self._resting:
            self._called = True
            self._changed.notify()
        elif len(self._threads) < self._size:
            self._called = True
            thread = _Thread(self._serve, f"{self._names[0]}-{next(self._started)}")
            self._threads.append(thread)
            thread.start()

    def _await_turn(self) -> bool:
        """Rest until a slice waits for this thread; False when the lane closes."""
        watching = False
        while not self._closed:
            self._called = False
            if self._waiting:
                if not self._working:
                    self._ended_then = -1
                    break
                if watching or not self._watched:
                    watching = self._watched = True
                    if self._ended == self._ended_then:
                        break
                    self._ended_then = self._ended
            elif watching:
                watching = self._watched = False
            self._resting += 1
            self._changed.wait(WATCH_S if watching else None)
            self._resting -= 1
        if watching:
            self._watched = False
        return not self._closed

    def _taken(self) -> list[Slice]:
        first = heappop(self._waiting)[-1]
        taken = [first]
        if first.company is not None and self._waiting:
            key, most = first.company.key, first.company.most
            others = sorted(each for each in self._waiting if (with_ := each[-1].company) and with_.key == key)
            left: set[int] = set()
            for _, arrival, other in others:
                assert other.company is not None
                if len(taken) < min(most, other.company.most):
                    most = min(most, other.company.most)
                    taken.append(other)
                    left.add(arrival)
            if left:
                self._waiting = [each for each in self._waiting if each[1] not in left]
                heapify(self._waiting)
        return taken

    def _begin(self, me: _Thread) -> Sequence[Slice]:
        """What the thread works on now: the most urgent slice, and with it those that keep it company."""
        me.slices = slices = self._taken()
        me.since, me.ended_before = time.monotonic(), self._ended
        self._working += 1
        if self._waiting:
            self._call()
        return slices

    def _next(self, me: _Thread, own: list[Slice]) -> Sequence[Slice]:
        """End what the thread worked on, which made some of this lane's own ready, and begin anew; none at the end.

        Takes the slices out of `own`.
        """
        me.slices = ()
        self._working -= 1
        self._ended += 1
        if not self._closed:
            self._push(own)
        own.clear()
        is_in_the_way = self._working and self._ended - me.ended_before > CROWD * (self._working + 1)
        if (is_in_the_way or not self._waiting) and not self._await_turn():
            return ()
        return self._begin(me)

    # -- a thread

    def _serve(self) -> None:
        me = threading.current_thread()
        assert isinstance(me, _Thread)
        with self._around(self._names[0]):
            with self._changed:
                slices = self._begin(me) if self._await_turn() else ()
            while slices:
                ready = _work(slices)
                slices = ()  # a thread at rest holds on to nothing: a slice leads to a run, and that to its values
                others = [new for new in ready if new.lane not in self._names]
                if others:
                    ready = [new for new in ready if new.lane in self._names]
                    others.reverse()
                    while others:
                        self._put(others.pop())
                with self._changed:
                    if me.is_given_up:
                        if not self._closed:
                            self._push(ready)
                            self._call()
                        return
                    slices = self._next(me, ready)


def _work(slices: Sequence[Slice]) -> list[Slice]:
    company = slices[0].company
    if company is None:
        return list(cast(Iterable[Slice], slices[0].work()))
    return list(company.work([each.company.member for each in slices if each.company is not None]))


class _Thread(threading.Thread):
    """One of a lane's, with what it is at. All of it under the lane's lock."""

    def __init__(self, serve: Callable[[], None], name: str) -> None:
        super().__init__(target=serve, name=name, daemon=True)
        self.slices: Sequence[Slice] = ()
        self.since = 0.0  # when it began them, by the monotonic clock
        self.ended_before = 0  # slices of the lane at that time
        self.is_given_up = False
