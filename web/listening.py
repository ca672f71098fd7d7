"""Listening: wakes those who wait for more events of a job. What happened they read from the journal themselves."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from aiohttp import web

from graph.queue.journal import Journal, Numbered


class Listeners:
    """One subscription to the journal, however many wait; none of them holds more than whether something happened.

    All methods but `take` belong to the event loop.
    """

    def __init__(self) -> None:
        self.is_closed = False
        self._loop = asyncio.get_running_loop()
        self._bells: defaultdict[str, set[asyncio.Event]] = defaultdict(set)  # by job id
        self._rung: set[str] = set()  # jobs whose listeners will be woken
        self._journal: Journal | None = None

    @contextmanager
    def listening(self, journal: Journal, job_id: str) -> Iterator[asyncio.Event]:
        """Sets the event whenever something has happened to the job, and when the server stops."""
        bell = asyncio.Event()
        self._bells[job_id].add(bell)
        if self._journal is None:
            self._journal = journal
            journal.subscribe(self.take)
        try:
            yield bell
        finally:
            self._bells[job_id].discard(bell)
            if not self._bells[job_id]:
                del self._bells[job_id]
            if not self._bells and self._journal is not None:
                self._journal.unsubscribe(self.take)
                self._journal = None

    @property
    def count(self) -> int:
        """How many listen."""
        return sum(map(len, self._bells.values()))

    def take(self, entry: Numbered) -> None:
        """Something happened. Called by the journal, in its thread."""
        job_id = entry.job_id
        if job_id in self._bells and job_id not in self._rung:
            self._rung.add(job_id)
            with suppress(RuntimeError):  # the loop is closed already
                self._loop.call_soon_threadsafe(self._ring, job_id)

    def close(self) -> None:
        """Wake everybody: the server stops."""
        self.is_closed = True
        for bells in self._bells.values():
            for bell in bells:
                bell.set()

    def _ring(self, job_id: str) -> None:
        self._rung.discard(job_id)
        for bell in self._bells.get(job_id, ()):
            bell.set()


LISTENERS = web.AppKey("listeners", Listeners)


async def open_listeners(app: web.Application) -> None:
    """At the start of the app."""
    app[LISTENERS] = Listeners()


async def close_listeners(app: web.Application) -> None:
    """At its end: those who listen go before the server waits for them."""
    app[LISTENERS].close()
