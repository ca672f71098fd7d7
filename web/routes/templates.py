"""Templates: workflows that packs of nodes bring along as examples."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

from aiohttp import web

from web.declare import Call, route
from web.errors import not_found
from web.services import Pack
from web.static import find, send

FOLDERS = ("example_workflows", "example", "examples", "workflow", "workflows")
ENDINGS = (".json", ".jpg", ".jpeg", ".png", ".webp")


@route("GET", "/workflow_templates")
async def list_templates(call: Call) -> dict[str, list[str]]:
    """The names of each pack's example workflows."""
    return await asyncio.to_thread(
        lambda: {pack.name: names for pack in call.services.packs if (names := _names(pack))}
    )


@route("GET", "/workflow_templates/{pack}/{file}", answers={200: "application/json"})
async def send_template(call: Call, pack: str, file: str) -> web.StreamResponse:
    """An example workflow of a pack, or the picture beside it."""
    folders = [each.folder / name for each in call.services.packs if each.name == pack for name in FOLDERS]

    def look() -> Path | None:
        found = (find(folder, file) for folder in folders if file.endswith(ENDINGS) and "/" not in file)
        return next(filter(None, found), None)

    path = await asyncio.to_thread(look)
    if path is None:
        raise not_found(f"There is no example {file!r} in the pack {pack!r}.")
    return send(path)


@route("GET", "/templates/{file}", twin=False, ready=False)
async def show_own_template(call: Call, file: str) -> list[Any] | dict[str, Any]:
    """The server's own collection, which is empty: an index (index.json, index.fr.json) has no entries."""
    if file == "index_logo.json":
        return {}
    if file.startswith("index") and file.endswith(".json"):
        return []
    raise not_found(f"There is no template {file!r}.")


@route("GET", "/global_subgraphs", ready=False)
async def list_subgraphs(call: Call) -> dict[str, Any]:
    """Subgraphs that come with the server: none."""
    return {}


def _names(pack: Pack) -> list[str]:
    files = (path for name in FOLDERS for path in (pack.folder / name).glob("*.json") if not path.name.startswith("."))
    return sorted({path.stem for path in files})
