"""/openapi: what the server can be asked, for programs and for people."""

from __future__ import annotations

import asyncio
from typing import Any

from aiohttp import web

from web.app import declared_routes
from web.declare import Call, route
from web.openapi import document
from web.openapi_page import page


@route("GET", "/openapi.json", twin=False, ready=False, answers={200: dict[str, Any]})
async def show_document(call: Call) -> web.Response:
    """All routes as an OpenAPI 3.1 document."""
    return await call.json(await asyncio.to_thread(_document, call))


@route("GET", "/openapi", twin=False, ready=False, answers={200: "text/html"})
async def show_page(call: Call) -> web.Response:
    """All routes as a page to read."""
    origin = str(call.request.url.origin())

    text = await asyncio.to_thread(lambda: page(_document(call), origin))
    return web.Response(text=text, content_type="text/html", charset="utf-8")


def _document(call: Call) -> dict[str, Any]:
    return document(declared_routes(), call.settings)
