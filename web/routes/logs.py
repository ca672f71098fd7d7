"""/internal: what front-ends show of the server itself. None of it has a twin under /api."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from typing import Annotated

import msgspec
from aiohttp import web

from graph.paths import Paths
from web import protocol
from web.declare import HUB, Call, route
from web.errors import ErrorAnswer, Refused
from web.logs import ENTRIES, LogEntry, current_ring

GATHER_S = 0.1  # so long new lines are gathered before clients are told
SIZE = {"cols": 120, "rows": 50}  # of the terminal that clients draw


class LogLine(msgspec.Struct):
    """A line and when it was written."""

    t: str
    m: str


class RawLogs(msgspec.Struct):
    """The last lines, the oldest first, and the size of a terminal to show them in."""

    entries: list[LogLine]
    size: dict[str, int]


class Subscription(msgspec.Struct, rename="camel"):
    """Whether a client wants new lines."""

    client_id: Annotated[str, msgspec.Meta(max_length=200)]
    enabled: bool


@route("GET", "/internal/logs", twin=False, ready=False)
async def show_logs(call: Call) -> str:
    """The last lines that the server and its nodes wrote, as one text."""
    return "".join(f"{each.t} - {each.m}" for each in _lines())


@route("GET", "/internal/logs/raw", twin=False, ready=False)
async def show_raw_logs(call: Call) -> RawLogs:
    """The last lines that the server and its nodes wrote."""
    return RawLogs(_lines(), SIZE)


@route("PATCH", "/internal/logs/subscribe", twin=False, ready=False)
async def subscribe(call: Call, body: Subscription) -> None:
    """Have new lines sent to a client that is connected by WebSocket, or no more."""
    call.request.app[HUB].read_logs(protocol.client_of(call.user, body.client_id), body.enabled)


@route("GET", "/internal/folder_paths", twin=False)
async def show_folders(call: Call) -> dict[str, list[str]]:
    """Where models of each kind are looked for."""
    paths = call.services.paths
    return {kind: [str(root) for root in paths.roots(kind)] for kind in paths.kinds}


@route("GET", "/internal/files/{kind}", twin=False, answers={400: ErrorAnswer})
async def list_files(call: Call, kind: str) -> list[str]:
    """The names of the files directly in the output, input or temp folder, the newest first."""
    if kind not in {"output", "input", "temp"}:
        raise Refused(400, "invalid_value", "Invalid directory type: give output, input or temp.")
    return await asyncio.to_thread(_newest_first, call.services.paths, kind)


def _lines() -> list[LogLine]:
    ring = current_ring()
    return [] if ring is None else [LogLine(each.time, each.text) for each in ring.entries()]


def _newest_first(paths: Paths, where: str) -> list[str]:
    folder = paths.folders[where]

    def changed_ns(name: str) -> int:
        try:
            return (folder / name).stat().st_mtime_ns
        except OSError:
            return 0

    return sorted((name for name in paths.files(where) if not name.startswith(".")), key=changed_ns, reverse=True)


async def tell_clients(app: web.Application) -> AsyncIterator[None]:
    """As long as the server runs, new lines go to the clients that want them; of very many at once the last ones."""
    ring, loop = current_ring(), asyncio.get_running_loop()
    waiting: deque[LogEntry] = deque(maxlen=ENTRIES)
    is_called = False

    def take(entry: LogEntry) -> None:
        nonlocal is_called
        waiting.append(entry)
        if not is_called:
            is_called = True
            loop.call_soon_threadsafe(loop.call_later, GATHER_S, tell)

    def tell() -> None:
        nonlocal is_called
        is_called = False
        entries = [waiting.popleft() for _ in range(len(waiting))]
        app[HUB].tell_logs([{"t": each.time, "m": each.text} for each in entries], SIZE)

    if ring is not None:
        ring.subscribe(take)
    yield
    if ring is not None:
        ring.unsubscribe(take)
