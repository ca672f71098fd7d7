"""Opening: the queue in front of an engine put together, and closed again."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

from graph.library import Session, Surroundings
from graph.queue.journal import Journal
from graph.queue.reader import JobReader
from graph.queue.scheduler import Scheduler
from graph.store import Store, StoreLimits
from web.services import Pack, Services


@asynccontextmanager
async def services(
    session: Session,
    surroundings: Surroundings,
    file: Path,
    *,
    packs: Sequence[Pack] = (),
    limits: StoreLimits | None = None,
    at_once: int = 4,
) -> AsyncIterator[Services]:
    """The queue in `file` at work on a session; at the end what runs goes back into the queue.

    Raises StoreError if another process has the file.
    """
    reader = JobReader(session.registry, session.paths)
    store = await asyncio.to_thread(lambda: Store(file, limits=limits or StoreLimits()))
    journal = Journal(store)
    scheduler = Scheduler(store, session.engine.run, reader.plan, journal, models=reader.models, at_once=at_once)
    try:
        await scheduler.open()
        yield Services(
            session.registry, session.paths, session, surroundings, reader, store, journal, scheduler, packs
        )  # fmt: skip
    finally:
        await scheduler.close()
