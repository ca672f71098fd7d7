"""/view_metadata: what a model file says of itself."""

from __future__ import annotations

import asyncio
from typing import Annotated, Any

import msgspec

from graph.paths import PathError, Paths
from web.declare import Call, route
from web.errors import not_found
from web.sending import open_regular
from web.weights import metadata_of

HEADER_MOST_BYTES = 2**20


class MetadataQuery(msgspec.Struct):
    """Which file."""

    filename: Annotated[str, msgspec.Meta(description="Its name below the folder; it ends in .safetensors.")] = ""


@route("GET", "/view_metadata/{folder}")
async def view_metadata(call: Call, folder: str, query: MetadataQuery) -> dict[str, Any]:
    """The metadata in the header of a safetensors file, such as how a LoRA was trained."""
    return await asyncio.to_thread(_read, call.services.paths, folder, query.filename)


def _read(paths: Paths, folder: str, filename: str) -> dict[str, Any]:
    if not filename.endswith(".safetensors"):
        raise not_found(f"Only safetensors files have metadata, and {filename!r} does not end so.")
    try:
        path = paths.find(folder, filename)
    except PathError as error:
        raise not_found(f"There is no such file: {error}.") from None
    opened = open_regular(path)
    with opened.file:
        found = metadata_of(opened.file, HEADER_MOST_BYTES)
    if found is None:
        raise not_found(f"{filename!r} has no metadata, or a header of more than 1 MB.")
    return found
