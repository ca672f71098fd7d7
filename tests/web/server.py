"""A server with plain nodes in this process, on a port of its own, for the tests of routes."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from aiohttp.test_utils import TestClient, TestServer

from graph.effects import Effects
from graph.library import Session, Surroundings
from graph.paths import Paths
from graph.registry import Registry
from tests.graph import toys
from web.app import make_app
from web.declare import READY
from web.opening import services
from web.services import Pack, Services
from web.settings import Settings

Client = TestClient[Any, Any]


@asynccontextmanager
async def serving(
    base: Path, *, registry: Registry | None = None, packs: tuple[Pack, ...] = (), **settings: Any
) -> AsyncIterator[tuple[Client, Services]]:
    """A client of a server whose folders lie below `base`; `settings` are those of web.settings.Settings."""
    registry = registry or Registry.scan_module(toys)
    surroundings = Surroundings()
    with Session(registry, Paths(base), surroundings, effects=Effects()) as session:
        async with services(session, surroundings, base / "queue.sqlite", packs=packs) as found:
            ready: asyncio.Future[Services] = asyncio.get_running_loop().create_future()
            ready.set_result(found)
            app = make_app(Settings(base, **settings), ready)
            assert app[READY] is ready
            async with TestClient(TestServer(app)) as client:
                yield client, found
