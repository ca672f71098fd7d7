"""A server with plain nodes in this process, on a port of its own, for the tests of routes."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, TypeVar

from aiohttp.test_utils import TestClient, TestServer

from graph.effects import Effects
from graph.library import Session, Surroundings
from graph.paths import Paths
from graph.registry import Registry
from tests.graph import scheduler_toys, toys
from tests.graph.scheduler_toys import World
from tests.graph.toys import Gate, Log
from tests.web import toys as web_toys
from web.app import make_app
from web.declare import READY
from web.opening import services
from web.services import Pack, Services
from web.settings import Settings

Client = TestClient[Any, Any]
T = TypeVar("T")


@asynccontextmanager
async def serving(
    base: Path,
    *,
    registry: Registry | None = None,
    surroundings: Surroundings | None = None,
    packs: tuple[Pack, ...] = (),
    waiting_most: int | None = None,
    **settings: Any,
) -> AsyncIterator[tuple[Client, Services]]:
    """A client of a server whose folders lie below `base`; `settings` are those of web.settings.Settings."""
    registry = registry or toy_classes()
    surroundings = surroundings or Surroundings(resources=[Log(), Gate(), World()])
    with Session(registry, Paths(base), surroundings, effects=Effects()) as session:
        async with services(
            session, surroundings, base / "queue.sqlite", packs=packs, waiting_most=waiting_most
        ) as found:
            ready: asyncio.Future[Services] = asyncio.get_running_loop().create_future()
            ready.set_result(found)
            app = make_app(Settings(base, **settings), ready)
            assert app[READY] is ready
            async with TestClient(TestServer(app)) as client:
                yield client, found


def toy_classes() -> Registry:
    """The node classes of all toys."""
    modules = (toys, scheduler_toys, web_toys)
    return Registry(*(cls for module in modules for cls in Registry.scan_module(module).values()))


def resource(services: Services, kind: type[T]) -> T:
    """What the toys of that server share, such as its World."""
    return next(each for each in services.surroundings.resources if isinstance(each, kind))
