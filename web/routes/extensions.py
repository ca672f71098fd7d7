"""/extensions: scripts that front-ends load, their own and those of packs of nodes."""

from __future__ import annotations

import asyncio
from pathlib import Path
from urllib.parse import quote

from aiohttp import web

from web.declare import Call, route
from web.errors import not_found
from web.static import files_below, find, send


@route("GET", "/extensions")
async def list_extensions(call: Call) -> list[str]:
    """The path of every script, as a front-end imports it: first the front-end's own, then those of packs."""
    return await asyncio.to_thread(
        lambda: [_url(prefix, name) for prefix, root in _roots(call) for name in files_below(root, ".js")]
    )


@route("GET", "/extensions/{pack}/{path:.+}", twin=False, answers={200: "application/octet-stream"})
async def send_extension(call: Call, pack: str, path: str) -> web.StreamResponse:
    """A file of a pack, or of the front-end, for browsers."""
    name = f"{pack}/{path}"

    def look() -> Path | None:
        for prefix, root in _roots(call):
            if name.startswith(prefix) and (found := find(root, name.removeprefix(prefix))) is not None:
                return found
        return None

    found = await asyncio.to_thread(look)
    if found is None:
        raise not_found(f"There is no file /extensions/{name}.")
    return send(found)


def _roots(call: Call) -> list[tuple[str, Path]]:
    """What the names in each folder begin with, and the folder."""
    own = call.settings.front_end
    packs = [(f"{each.name}/", each.web) for each in call.services.packs if each.web is not None]
    return [("", own / "extensions"), *packs] if own is not None else packs


def _url(prefix: str, name: str) -> str:
    return f"/extensions/{quote(prefix + name)}"
