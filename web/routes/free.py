"""/free: give memory back."""

from __future__ import annotations

import asyncio
from typing import Annotated

import msgspec

from web.declare import Call, Truthy, route


class Release(msgspec.Struct):
    """What to let go of."""

    unload_models: Annotated[Truthy, msgspec.Meta(description="whether all networks are to go")] = False
    free_memory: Annotated[Truthy, msgspec.Meta(description="whether networks and remembered results are to go")] = (
        False
    )


@route("POST", "/free")
async def free(call: Call, body: Release) -> None:
    """Let go of all networks (`unload_models`), or of networks and remembered results (`free_memory`).

    What running jobs use stays until they are done with it. The memory is everybody's: any user may ask for this.
    """
    models, results = bool(body.unload_models or body.free_memory), bool(body.free_memory)
    await asyncio.to_thread(lambda: call.services.session.release(models=models, results=results))
