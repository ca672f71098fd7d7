"""Opening: the queue in front of an engine put together, and closed again."""

from __future__ import annotations

import asyncio
import logging
import shutil
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Literal

from graph.library import Session, Surroundings
from graph.queue.journal import Journal
from graph.queue.reader import JobReader
from graph.queue.scheduler import Scheduler
from graph.store import Store, StoreLimits
from web.services import Pack, Services

log = logging.getLogger(__name__)


@asynccontextmanager
async def services(
    session: Session,
    surroundings: Surroundings,
    file: Path,
    *,
    packs: Sequence[Pack] = (),
    limits: StoreLimits | None = None,
    durable: Literal["process", "power"] = "process",
    at_once: int = 4,
    waiting_most: int | None = None,
    within_s: float | None = None,
) -> AsyncIterator[Services]:
    """The queue in `file` at work on a session; at the end what runs goes back into the queue.

    within_s: how long what runs may take to come back then. Raises StoreError if another process has the file.
    """
    reader = JobReader(session.registry, session.paths)
    store = await asyncio.to_thread(lambda: Store(file, limits=limits or StoreLimits(), durable=durable))
    journal = Journal(store)
    scheduler = Scheduler(
        store, session.engine.run, reader.plan, journal, models=reader.models, at_once=at_once,
        waiting_most=waiting_most,
    )  # fmt: skip
    for notice in store.notices:
        log.warning("%s", notice)
    temp = session.paths.folders["temp"]
    await asyncio.to_thread(empty, temp)
    try:
        await scheduler.open()
        yield Services(
            session.registry, session.paths, session, surroundings, reader, store, journal, scheduler, packs
        )  # fmt: skip
    finally:
        await scheduler.close(within_s=within_s)
        await asyncio.to_thread(empty, temp)


def empty(folder: Path) -> None:
    """Remove what lies in the folder for passing things, as far as that is possible."""
    for path in folder.iterdir() if folder.is_dir() else ():
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path, ignore_errors=True)
        else:
            with suppress(OSError):
                path.unlink()
