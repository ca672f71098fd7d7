"""Serving: the address first, then what takes longer to load; and an orderly end."""

from __future__ import annotations

import asyncio
import logging
import signal
from collections.abc import Callable, Coroutine, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from aiohttp import web

from graph.library import Session, Surroundings
from graph.store import StoreLimits
from web import connections
from web.app import make_app
from web.logs import ACCESS
from web.opening import services
from web.services import Pack, Services
from web.settings import Settings

THREADS = 32  # for what waits for disks: as many as there may be slow answers before quick ones wait for them
STOP_S = 30.0  # how long nodes that run may take to notice that the server stops
LEFT_S = 1.0  # and what is still under way when all is closed

log = logging.getLogger(__name__)


class CannotServe(ValueError):
    """The server cannot start; the message is a sentence for people."""


@dataclass(frozen=True, slots=True)
class Loaded:
    """What takes seconds to load: node classes, and what runs them."""

    session: Session
    surroundings: Surroundings
    packs: Sequence[Pack]


@dataclass(frozen=True, slots=True)
class QueueSettings:
    """Where the queue is kept, and how much of it."""

    file: Path
    limits: StoreLimits
    durable: Literal["process", "power"] = "process"
    at_once: int = 4
    waiting_most: int | None = None


async def serve(
    settings: Settings, queue: QueueSettings, load: Callable[[], Loaded], say: Callable[[str], object]
) -> None:
    """Serve until the process is told to stop (Ctrl-C or SIGTERM).

    `load` runs in a thread while the server already answers. What runs at the end goes back into the queue. Raises
    CannotServe, StoreError for a queue that another process has, and what `load` raises.
    """
    loop = asyncio.get_running_loop()
    loop.set_default_executor(ThreadPoolExecutor(THREADS, thread_name_prefix="request"))
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    ready: asyncio.Future[Services] = loop.create_future()
    runner = connections.runner(make_app(settings, ready), access_log=logging.getLogger(ACCESS))
    await runner.setup()
    try:
        await _listen(runner, settings)
        for address in runner.addresses:
            host = f"[{address[0]}]" if ":" in address[0] else address[0]
            say(f"Darkroom is at http://{host}:{address[1]}")
        async with AsyncExitStack() as opened:
            opening = asyncio.create_task(_open(opened, queue, load))
            stopping = asyncio.create_task(stop.wait())
            await asyncio.wait([opening, stopping], return_when=asyncio.FIRST_COMPLETED)
            if opening.done():
                found = opening.result()
                ready.set_result(found)
                log.info(
                    "Node classes are there: %d. The queue has %d jobs.", len(found.registry), found.scheduler.remaining
                )
                await stopping
                log.info("The server stops; what runs goes back into the queue.")
            else:  # told to stop before all was loaded: nothing has begun
                opening.cancel()
    finally:
        if not ready.done():
            ready.cancel()
        await runner.cleanup()


def run_to_end(work: Coroutine[Any, Any, None]) -> None:
    """As asyncio.run, but it does not wait for ever for the tasks of a node that hangs: the caller ends the process."""
    runner = asyncio.Runner()
    try:
        runner.run(work)
    finally:
        loop = runner.get_loop()
        left = asyncio.all_tasks(loop)
        for task in left:
            task.cancel()
        if not left or not loop.run_until_complete(asyncio.wait(left, timeout=LEFT_S))[1]:
            runner.close()


async def _open(opened: AsyncExitStack, queue: QueueSettings, load: Callable[[], Loaded]) -> Services:
    loaded = await asyncio.to_thread(load)
    opened.enter_context(loaded.session)
    return await opened.enter_async_context(
        services(
            loaded.session, loaded.surroundings, queue.file, packs=loaded.packs, limits=queue.limits,
            durable=queue.durable, at_once=queue.at_once, waiting_most=queue.waiting_most, within_s=STOP_S,
        )
    )  # fmt: skip


async def _listen(runner: web.AppRunner, settings: Settings) -> None:
    for address in settings.addresses:
        try:
            await web.TCPSite(runner, address, settings.port).start()
        except OSError as error:
            why = error.strerror or str(error)
            raise CannotServe(
                f"The server cannot listen at {address} port {settings.port}: {why}. Another server may be running "
                "there: stop it, or choose another port with --port."
            ) from error
