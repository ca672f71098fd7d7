"""/free: give memory back."""

from __future__ import annotations

import asyncio

import msgspec

from web.declare import Call, route


class Release(msgspec.Struct):
    """What to let go of."""

    unload_models: bool = False
    free_memory: bool = False


@route("POST", "/free")
async def free(call: Call, body: Release) -> None:
    """Let go of all networks (`unload_models`), or of networks and remembered results (`free_memory`).

    What running jobs use stays until they are done with it.
    """
    models, results = body.unload_models or body.free_memory, body.free_memory
    await asyncio.to_thread(lambda: call.services.session.release(models=models, results=results))
