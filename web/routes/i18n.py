"""/i18n: what packs of nodes are called in other languages."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from aiohttp import web

from web.declare import Call, route
from web.services import Pack

MAIN = "main.json"
PARTS = ("nodeDefs", "commands", "settings")  # files that are below their own key
FILE_MOST_BYTES = 8 * 2**20

log = logging.getLogger(__name__)


@route("GET", "/i18n", answers={200: dict[str, dict[str, Any]]})
async def show_translations(call: Call) -> web.Response:
    """By language, the texts of all packs as front-ends merge them into their own."""
    return await call.json(await asyncio.to_thread(translations, call.services.packs))


def translations(packs: Sequence[Pack]) -> dict[str, Any]:
    """What packs have in `locales/<language>/`; of two that say the same, the last counts. Reads the disk."""
    found: dict[str, Any] = {}
    for pack in packs:
        for folder in sorted((pack.folder / "locales").glob("[!.]*/")):
            texts = found.setdefault(folder.name, {})
            merge(texts, _read(folder / MAIN))
            for part in PARTS:
                merge(texts, {part: _read(folder / f"{part}.json")})
    return {language: texts for language, texts in found.items() if texts}


def merge(into: dict[str, Any], new: dict[str, Any]) -> None:
    """Add texts, objects key by key. Empty objects are left out."""
    for key, value in new.items():
        if isinstance(value, dict):
            inner = into.get(key)
            inner = inner if isinstance(inner, dict) else {}
            merge(inner, value)
            if inner:
                into[key] = inner
        else:
            into[key] = value


def _read(file: Path) -> dict[str, Any]:
    try:
        if not file.is_file() or file.stat().st_size > FILE_MOST_BYTES:
            return {}
        texts = json.loads(file.read_bytes())
    except (OSError, ValueError, RecursionError) as error:
        log.warning("%s is left out of the translations: %s", file, error)
        return {}
    return texts if isinstance(texts, dict) else {}
