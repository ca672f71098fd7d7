"""Services: what the routes work with, once node classes and models can be used."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # importing them takes a while, and the first answers need none of it
    from graph.library import Session, Surroundings
    from graph.paths import Paths
    from graph.queue.journal import Journal
    from graph.queue.reader import JobReader
    from graph.queue.scheduler import Scheduler
    from graph.registry import Registry
    from graph.store import Store


@dataclass(frozen=True, slots=True)
class Pack:
    """A pack of nodes, as far as clients see it."""

    name: str
    folder: Path
    web: Path | None = None  # scripts for front-ends


@dataclass(frozen=True, slots=True)
class Services:
    """Node classes, folders, and the queue in front of the engine."""

    registry: Registry
    paths: Paths
    session: Session
    surroundings: Surroundings
    reader: JobReader
    store: Store
    journal: Journal
    scheduler: Scheduler
    packs: Sequence[Pack] = ()
