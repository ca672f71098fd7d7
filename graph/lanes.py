"""Lanes: threads that take slices of work, the most urgent first, from whatever run it comes."""

from __future__ import annotations

import itertools
import os
import threading
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from heapq import heappop, heappush
from types import TracebackType
from typing import Any, NamedTuple, Self

Urgency = tuple[int, int, int]  # lower goes first: minus the priority, the age of the run, the place in its plan


class Company(NamedTuple):
    """With whom a slice can be worked on together: with other slices of an equal `key`, at most `most` of them."""

    key: Hashable
    most: int
    member: Any
    work: Callable[[Sequence[Any]], Iterable[Slice]]  # given the members, the most urgent first, does for all


class Slice(NamedTuple):
    """A piece of work for a lane. `work` returns the slices that it made ready; it must not raise."""

    lane: str
    urgency: Urgency  # of equal ones the first to come goes first
    work: Callable[[], Iterable[Slice]]
    company: Company | None = None


class Lanes:
    """Named groups of threads. A thread starts when it is first needed and lives until close()."""

    def __init__(
        self,
        sizes: Mapping[str, int] | None = None,
        *,
        around: Callable[[str], AbstractContextManager[object]] = nullcontext,
    ) -> None:
        """`sizes` is the number of threads of each lane, `around(lane)` what each of its threads works within."""
        processors = os.cpu_count() or 1
        sizes = sizes or {"device": 1, "cpu": processors, "io": max(4, processors)}
        self.names = tuple(sizes)
        self.closed = False
        self.ages = itertools.count()  # of the runs on these lanes, for their urgency
        self._lanes = {name: _Lane(name, size, self, around) for name, size in sizes.items()}

    def put(self, new: Slice) -> None:
        """Hand over a slice for one of `names`; after close() it is dropped."""
        self._lanes[new.lane].put(new)

    def close(self) -> None:
        """End all threads after the slices they are at, and drop what still waits: close when no run is under way."""
        self.closed = True
        for lane in self._lanes.values():
            lane.stop()
        for lane in self._lanes.values():
            lane.join()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class _Lane:
    def __init__(
        self, name: str, size: int, lanes: Lanes, around: Callable[[str], AbstractContextManager[object]]
    ) -> None:
        self._name = name
        self._size = size
        self._lanes = lanes
        self._around = around
        self._waiting: list[tuple[Urgency, int, Callable[[], Iterable[Slice]]]] = []  # a heap
        self._arrivals = itertools.count()
        self._changed = threading.Condition(threading.Lock())
        self._idle = 0  # threads that wait and have not been called
        self._threads: list[threading.Thread] = []
        self._closed = False

    def put(self, new: Slice) -> None:
        with self._changed:
            if not self._closed:
                heappush(self._waiting, (new.urgency, next(self._arrivals), new.work))
                self._call_one()

    def stop(self) -> None:
        with self._changed:
            self._closed = True
            self._waiting.clear()
            self._changed.notify_all()

    def join(self) -> None:
        for thread in self._threads:
            if thread is not threading.current_thread():
                thread.join()

    def _call_one(self) -> None:
        if self._idle:
            self._idle -= 1
            self._changed.notify()
        elif len(self._threads) < self._size:
            thread = threading.Thread(target=self._serve, name=f"{self._name}-{len(self._threads)}", daemon=True)
            self._threads.append(thread)
            thread.start()

    def _serve(self) -> None:
        with self._around(self._name):
            ready: Iterable[Slice] = ()
            while True:
                with self._changed:
                    own = 0
                    for new in ready:
                        if new.lane == self._name:
                            heappush(self._waiting, (new.urgency, next(self._arrivals), new.work))
                            own += 1
                    # This thread takes one of them itself: to wake another for it would only cost time.
                    for _ in range(own - 1):
                        self._call_one()
                    while not self._waiting and not self._closed:
                        self._idle += 1
                        self._changed.wait()
                    if self._closed:
                        return
                    _, _, work = heappop(self._waiting)
                ready = work()
                for new in ready:
                    if new.lane != self._name:
                        self._lanes.put(new)
