"""/object_info: which node classes there are, and what they take and give."""

from __future__ import annotations

import asyncio
from typing import Any

from aiohttp import web

from web.declare import Call, json_response, route
from web.errors import encode


@route("GET", "/object_info", answers={200: dict[str, Any]})
async def describe_all(call: Call) -> web.Response:
    """Every node class by name. Folders are looked at anew, so that this is also how clients refresh their lists."""
    services = call.services
    return json_response(await asyncio.to_thread(lambda: encode(services.registry.object_info(services.paths))))


@route("GET", "/object_info/{class_type}", answers={200: dict[str, Any]})
async def describe_one(call: Call, class_type: str) -> web.Response:
    """One node class by name; an empty object if there is none of this name, or it fails to describe itself."""
    services = call.services

    def describe() -> dict[str, Any]:
        found = services.registry.describe(class_type, services.paths)
        return {} if found is None else {class_type: found}

    return await call.json(await asyncio.to_thread(describe))
