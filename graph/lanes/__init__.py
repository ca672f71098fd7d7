"""Lanes: threads that take slices of work, the most urgent first, from whatever run it comes."""

from __future__ import annotations

import itertools
import os
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from typing import Self

from graph.lanes.loop import Loop
from graph.lanes.pool import Pool
from graph.lanes.slices import Company, Slice, Urgency, overdue

__all__ = ["Company", "Lanes", "Slice", "Urgency"]

CLOSE_S = 5.0  # how long threads may take to end
LOOKS = 8  # how often the watchdog looks within the time that a slice may take


class Lanes:
    """The lanes of a process: one for each device, of one thread; "cpu" and "io", of several; "async", an event loop.

    A thread starts when it is first needed and lives until close().
    """

    def __init__(
        self,
        sizes: Mapping[str, int] | None = None,
        *,
        around: Callable[[str], AbstractContextManager[object]] = nullcontext,
        limit_s: float | None = None,
    ) -> None:
        """`sizes` is the number of threads of each lane, `around(lane)` what each of its threads works within.

        "device": 2 makes two lanes, "device 0" and "device 1"; a slice for "device" goes to the first.
        `limit_s` is how long a slice that knows what to do when it is overdue may take.
        """
        processors = os.cpu_count() or 1
        sizes = {"device": 1, "cpu": processors, "io": max(8, processors)} if sizes is None else sizes
        self.devices = tuple(f"device {number}" for number in range(sizes.get("device", 0)))
        self.limit_s = limit_s
        self.closed = False
        self.ages = itertools.count()  # of the runs on these lanes, for their urgency
        self._lanes: dict[str, Pool | Loop] = {}
        for number, name in enumerate(self.devices):
            names = (name,) if number else (name, "device")
            self._lanes |= dict.fromkeys(names, Pool(names, 1, self.put, around))
        for name, size in sizes.items():
            if name != "device":
                self._lanes[name] = Pool((name,), size, self.put, around)
        self._lanes["async"] = Loop("async", self.put, around)
        self.names = tuple(self._lanes)
        self._watchdog_ends = threading.Event()
        if limit_s is not None:
            threading.Thread(target=self._watch, args=(limit_s,), name="watchdog", daemon=True).start()

    def put(self, new: Slice) -> None:
        """Hand over a slice for one of `names`; after close() it is dropped."""
        self._lanes[new.lane].put(new)

    def close(self) -> None:
        """End all threads after the slices they are at, and drop what still waits: close when no run is under way.

        Threads that hang in a slice are left behind, at once where it was given up, else after `CLOSE_S` seconds; only
        os._exit ends them.
        """
        self.closed = True
        self._watchdog_ends.set()
        for lane in self._lanes.values():
            lane.close()
        end = time.monotonic() + CLOSE_S
        for lane in self._lanes.values():
            lane.join(end)

    def _watch(self, limit_s: float) -> None:
        while not self._watchdog_ends.wait(limit_s / LOOKS):
            for lane in dict.fromkeys(self._lanes.values()):
                for new in overdue(lane.give_up(limit_s)):
                    self.put(new)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()
