"""/healthz and /readyz: whether the server lives, and whether it can work; for who watches over it."""

from __future__ import annotations

import asyncio

import msgspec

from web.declare import READY, Call, route
from web.errors import ErrorAnswer, Refused
from web.services import Services

REASON_MOST = 500  # characters


class Health(msgspec.Struct):
    """How the server is."""

    status: str


@route("GET", "/healthz", ready=False, is_open=True)
async def show_health(call: Call) -> Health:
    """The server lives and answers. It may still be loading."""
    return Health("ok")


@route("GET", "/readyz", ready=False, is_open=True, answers={503: ErrorAnswer})
async def show_readiness(call: Call) -> Health:
    """The server can take prompts. 503 until node classes are loaded, or if they cannot be, and while it stops."""
    ready = call.request.app[READY]
    if stops(ready):
        raise Refused(503, "stopping", "The server stops.")
    if not ready.done():
        message = "The server is starting: node classes, what they need, and the queue are being loaded."
        raise Refused(503, "not_ready", message)
    if (error := ready.exception()) is not None:
        raise Refused(503, "cannot_start", f"The server cannot work: {error}"[:REASON_MOST])
    return Health("ready")


def stops(ready: asyncio.Future[Services]) -> bool:
    """Whether the server has been told to stop; what runs may still be coming to its end."""
    if not ready.done() or ready.cancelled():
        return ready.cancelled()
    return ready.exception() is None and ready.result().scheduler.closing
