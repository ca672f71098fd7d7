"""The lane "async": an event loop in a thread, on which any number of slices wait at once."""

from __future__ import annotations

import asyncio
import threading
import time
from collections import deque
from collections.abc import Awaitable, Callable, Iterable
from contextlib import AbstractContextManager
from typing import cast

from graph.lanes.slices import Slice

Task = asyncio.Task[None]


class Loop:
    """A lane whose slices' work() returns an awaitable. All begin at once, in the order in which they come."""

    def __init__(
        self, name: str, put: Callable[[Slice], None], around: Callable[[str], AbstractContextManager[object]]
    ) -> None:
        """`put` takes the slices that those of this lane make ready."""
        self._name = name
        self._put = put
        self._around = around
        self._lock = threading.Lock()
        self._coming: deque[Slice] = deque()  # handed over, not begun
        self._tasks: dict[Task, tuple[Slice, float]] = {}  # begun, by the monotonic clock; without those given up
        self._thread: _LoopThread | None = None
        self._closed = False

    def put(self, new: Slice) -> None:
        """Take a slice; after close() it is dropped."""
        with self._lock:
            if not self._closed:
                self._coming.append(new)
                self._call()

    def close(self) -> None:
        """Drop what has not begun, and cancel what has."""
        with self._lock:
            self._closed = True
            self._coming.clear()
            if self._thread is not None:
                self._thread.finish()

    def join(self, end: float) -> None:
        """Wait until the thread has ended, no longer than until `end` by the monotonic clock."""
        if self._thread is not None and self._thread is not threading.current_thread():
            self._thread.join(max(0.0, end - time.monotonic()))

    def give_up(self, limit_s: float) -> list[Slice]:
        """Cancel what takes longer; what was lost with it. A slice that holds up the loop keeps it, for itself."""
        now = time.monotonic()
        lost: list[Slice] = []
        with self._lock:
            for task, (late, since) in list(self._tasks.items()):
                if late.overdue is None or now - since <= limit_s:
                    continue
                lost.append(late)
                del self._tasks[task]
                loop = task.get_loop()
                loop.call_soon_threadsafe(task.cancel)
                if self._thread is not None and loop is self._thread.loop and asyncio.current_task(loop) is task:
                    self._thread = None
                    if self._coming:
                        self._call()
        return lost

    def _call(self) -> None:
        if self._thread is None:
            self._thread = _LoopThread(self._name, self._around)
            self._thread.start()
        self._thread.loop.call_soon_threadsafe(self._begin)

    def _begin(self) -> None:
        """In the thread of the loop: begin all that has come."""
        with self._lock:
            while self._coming:
                new = self._coming.popleft()
                task = asyncio.get_running_loop().create_task(self._work(new))
                self._tasks[task] = (new, time.monotonic())

    async def _work(self, new: Slice) -> None:
        task, thread = cast(Task, asyncio.current_task()), cast(_LoopThread, threading.current_thread())
        ready: Iterable[Slice] = ()
        try:
            ready = await cast(Awaitable[Iterable[Slice]], new.work())
        except asyncio.CancelledError:
            pass
        except BaseException as error:  # would end the loop, and with it what others wait for
            thread.loop.call_exception_handler({"message": "a slice of the async lane raised", "exception": error})
        with self._lock:
            self._tasks.pop(task, None)
            if thread is not self._thread and all(each.get_loop() is not thread.loop for each in self._tasks):
                thread.finish()
        for each in ready:
            self._put(each)


class _LoopThread(threading.Thread):
    def __init__(self, name: str, around: Callable[[str], AbstractContextManager[object]]) -> None:
        super().__init__(name=f"{name}-0", daemon=True)
        self.loop = asyncio.new_event_loop()
        self._name_of_lane = name
        self._around = around
        self._end = asyncio.Event()

    def run(self) -> None:
        """Serve until finish(), then cancel what is left."""
        with self._around(self._name_of_lane), asyncio.Runner(loop_factory=lambda: self.loop) as runner:
            runner.run(self._stay())

    def finish(self) -> None:
        """Have the thread end, from whatever thread."""
        self.loop.call_soon_threadsafe(self._end.set)

    async def _stay(self) -> None:
        await self._end.wait()
