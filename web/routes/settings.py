"""/settings: what a user has set in a front-end, one value per id."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

from web.declare import Call, route
from web.errors import ErrorAnswer
from web.user_folders import USER_FOLDERS, read_settings, write_settings

# Without this a front-end's first start shows its collection of templates, of which there are none, and no graph.
FIRST: Mapping[str, Any] = {"Comfy.TutorialCompleted": True}


@route("GET", "/settings", ready=False)
async def show_settings(call: Call) -> dict[str, Any]:
    """All settings of the user, by id."""
    folders = call.request.app[USER_FOLDERS]
    async with folders.lock(call.user):
        return await asyncio.to_thread(_read, call)


@route("GET", "/settings/{id}", ready=False)
async def show_setting(call: Call, id: str) -> Any:
    """One setting of the user; null if it is not set."""
    return await call.json((await show_settings(call)).get(id))


@route("POST", "/settings", ready=False, answers={413: ErrorAnswer})
async def change_settings(call: Call, body: dict[str, Any]) -> None:
    """Set these; others stay as they are."""
    folders = call.request.app[USER_FOLDERS]

    def change() -> None:
        write_settings(folders.folder(call.user), _read(call) | body)

    async with folders.lock(call.user):
        await asyncio.to_thread(change)


@route("POST", "/settings/{id}", ready=False, answers={413: ErrorAnswer})
async def change_setting(call: Call, id: str, body: Any) -> None:
    """Set one; the body is its value, in JSON."""
    await change_settings(call, {id: body})


def _read(call: Call) -> dict[str, Any]:
    found = read_settings(call.request.app[USER_FOLDERS].folder(call.user))
    if found is None:
        return dict(FIRST) if call.settings.front_end is not None else {}
    return found
