"""The application: routes found by scanning, behind what guards them."""

from __future__ import annotations

import asyncio
import importlib
import pkgutil

from aiohttp import web

from graph.queue.journal import Numbered
from web import routes, security
from web.declare import HUB, READY, SETTINGS, Route, handler_of, routes_of
from web.errors import answer_errors
from web.hub import Hub
from web.listening import close_listeners, open_listeners
from web.logs import JobLog
from web.pictures import AT_ONCE, TURN
from web.routes.front_end import add_front_end
from web.routes.logs import tell_clients
from web.services import Services
from web.settings import Settings
from web.user_folders import USER_FOLDERS, UserFolders


def declared_routes() -> list[Route]:
    """Every route of every file in `routes/`."""
    names = sorted(found.name for found in pkgutil.iter_modules(routes.__path__))
    return [each for name in names for each in routes_of(importlib.import_module(f"{routes.__name__}.{name}"))]


def make_app(settings: Settings, ready: asyncio.Future[Services]) -> web.Application:
    """The application; `ready` is done once node classes can be used, or has the error that prevents it."""
    declared = declared_routes()
    guard = security.guard(settings, {each.path for each in declared if each.is_open})
    app = web.Application(middlewares=[answer_errors, guard], client_max_size=settings.upload_most_bytes)
    app.on_response_prepare.append(security.add_headers)
    app[SETTINGS] = settings
    app[READY] = ready
    app[TURN] = asyncio.Semaphore(AT_ONCE)
    app[USER_FOLDERS] = UserFolders(settings.users)
    for each in declared:
        handler = handler_of(each, settings)
        for path in (each.path, f"/api{each.path}") if each.twin else (each.path,):
            app.router.add_route(each.method, path, handler)
            if each.method == "GET":
                app.router.add_route("HEAD", path, handler)
    add_front_end(app)
    app.on_startup.append(connect_clients)
    app.on_startup.append(open_listeners)
    app.cleanup_ctx.append(tell_clients)
    app.on_shutdown.append(disconnect_clients)
    app.on_shutdown.append(close_listeners)
    return app


async def connect_clients(app: web.Application) -> None:
    """The hub, from the first request on; it hears of jobs once there is a queue, and so does the log."""
    hub = app[HUB] = Hub(app[SETTINGS])
    job_log = JobLog()

    def tell(entry: Numbered) -> None:
        hub.take(entry)
        job_log.take(entry)

    def open_hub(ready: asyncio.Future[Services]) -> None:
        if not ready.cancelled() and ready.exception() is None:
            services = ready.result()
            hub.open(services.scheduler)
            services.journal.subscribe(tell)

    app[READY].add_done_callback(open_hub)


async def disconnect_clients(app: web.Application) -> None:
    """Say good-bye; those who are connected come back when the server does."""
    app[HUB].close()
