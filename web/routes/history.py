"""/history: the jobs that are over, in the order in which they ended."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import Annotated

import msgspec
from aiohttp import web

from graph.jobs import OVER, Job
from graph.queue.journal import Journal, Numbered
from web import protocol
from web.declare import Call, Truthy, route

ENTRIES_MOST = 10_000  # in one answer
ENTRIES_USUAL = 1000  # where nobody says how many

History = dict[str, protocol.HistoryEntry]


class HistoryQuery(msgspec.Struct):
    """Which part of the history."""

    max_items: Annotated[int | None, msgspec.Meta(description="without offset, the last so many")] = None
    offset: Annotated[int | None, msgspec.Meta(description="leave out so many of the oldest")] = None


class HistoryChange(msgspec.Struct):
    """What is to be forgotten."""

    clear: Annotated[Truthy, msgspec.Meta(description="whether all of the caller's jobs that are over are to go")] = (
        False
    )
    delete: list[str] = []


@route("GET", "/history", answers={200: History})
async def show_history(call: Call, query: HistoryQuery) -> web.Response:
    """Jobs that are over by id, the oldest first; without `max_items` the last thousand."""
    store, journal = call.services.store, call.services.journal
    limit = ENTRIES_USUAL if query.max_items is None or query.max_items < 0 else query.max_items
    limit = min(limit, ENTRIES_MOST)

    def look_up() -> History:
        if not limit:
            return {}
        if query.offset is None or query.offset < 0:
            page = store.list(states=OVER, by="ended", limit=limit)
            return _entries(journal, reversed(page.jobs))
        page = store.list(states=OVER, by="ended", newest_first=False, limit=limit, offset=min(query.offset, 2**53))
        return _entries(journal, page.jobs)

    return await call.json(await asyncio.to_thread(look_up))


@route("GET", "/history/{job_id}", answers={200: History})
async def show_entry(call: Call, job_id: str) -> web.Response:
    """One job that is over; an empty object for any other, as clients of this route expect. See also /jobs/{id}."""
    store, journal = call.services.store, call.services.journal

    def look_up() -> History:
        job = store.get(job_id)
        return _entries(journal, [job] if job is not None and job.state in OVER else [])

    return await call.json(await asyncio.to_thread(look_up))


@route("POST", "/history")
async def change_history(call: Call, body: HistoryChange) -> None:
    """Forget jobs of the caller that are over, all or those named, and what was recorded of them.

    Their files stay, and so do other users' jobs.
    """
    scheduler, store = call.services.scheduler, call.services.store
    if body.clear:
        await asyncio.wrap_future(store.clear_history(call.may_change))
    elif body.delete:
        await scheduler.delete(await asyncio.to_thread(_forgettable, call, body.delete))


def _forgettable(call: Call, job_ids: Iterable[str]) -> list[str]:
    jobs = filter(None, map(call.services.store.get, job_ids))
    return [job.request.id for job in jobs if job.state in OVER and call.may_change(job.request.client)]


def _entries(journal: Journal, jobs: Iterable[Job]) -> History:
    """As the wire has them. Jobs that were cancelled before they began are not part of this history."""
    shown = [job for job in jobs if job.started_s is not None or job.state != "cancelled"]
    events: dict[str, list[Numbered]] = {}
    for kinds, wanted in (
        (protocol.HISTORY_EVENTS, [job.request.id for job in shown if job.state != "cancelled"]),
        (protocol.INTERRUPTED_EVENTS, [job.request.id for job in shown if job.state == "cancelled"]),
    ):
        events |= journal.milestones(wanted, kinds)
    return {job.request.id: protocol.history_entry(job, events.get(job.request.id, ())) for job in shown}
