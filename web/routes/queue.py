"""/queue: what runs and what waits."""

from __future__ import annotations

import asyncio
from typing import Annotated

import msgspec
from aiohttp import web

from web import protocol
from web.declare import Call, Truthy, route


class QueueChange(msgspec.Struct):
    """What is to leave the queue."""

    clear: Annotated[Truthy, msgspec.Meta(description="whether all of the caller's jobs that wait are to go")] = False
    delete: list[str] = []


@route("GET", "/queue", answers={200: protocol.QueueAnswer})
async def show_queue(call: Call) -> web.Response:
    """The jobs that run and those that wait, in the order in which they go as things stand."""
    scheduler, store = call.services.scheduler, call.services.store
    running, waiting = scheduler.running, await scheduler.in_order()

    def look_up() -> protocol.QueueAnswer:
        under_way = [job for each in running if (job := store.get(each)) is not None]
        pending = {job.request.id: job for job in store.pending()}
        return protocol.queue(under_way, [pending[each] for each in waiting if each in pending])

    return await call.json(await asyncio.to_thread(look_up))


@route("POST", "/queue")
async def change_queue(call: Call, body: QueueChange) -> None:
    """Take jobs of the caller that wait out of the queue, all or those named; they count as cancelled.

    Those that run go on, and so do other users' jobs.
    """
    scheduler = call.services.scheduler
    named = scheduler.waiting if body.clear else dict.fromkeys(body.delete)
    leaving = [each for each in named if call.may_change(scheduler.client_of(each) or "")]
    await scheduler.cancel_waiting(leaving, "It was taken out of the queue.")
