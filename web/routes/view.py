"""/view: the files that users put in and that nodes made."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Annotated, BinaryIO

import msgspec
from aiohttp import web

from graph.paths import ANNOTATION, PathError, Paths, confined
from web import pictures
from web.declare import Call, route
from web.errors import Refused, not_found
from web.sending import Version, is_known, not_modified, open_regular, send_file, send_made

QUALITY = 90


class ViewQuery(msgspec.Struct):
    """Which file, and what of it."""

    filename: Annotated[
        str | None, msgspec.Meta(description="The file's name; ' [input]', ' [output]' or ' [temp]' after it counts.")
    ] = None
    type: Annotated[str, msgspec.Meta(description="The folder it lies in: input, output or temp.")] = "output"
    subfolder: Annotated[str, msgspec.Meta(description="The folder below that.")] = ""
    preview: Annotated[
        str | None, msgspec.Meta(description="webp or jpeg, and perhaps a quality, such as 'webp;80'.")
    ] = None
    channel: Annotated[
        str | None, msgspec.Meta(description="rgb: the colours; a: the alpha channel; otherwise the file as it is.")
    ] = None


@route("GET", "/view", answers={200: "application/octet-stream", 206: "application/octet-stream", 304: None})
async def view_file(call: Call, query: ViewQuery) -> web.Response:
    """A file of the input, output or temp folder: as it is, as a small preview, or one channel of a picture."""
    path = viewed_path(call.services.paths, query.filename, query.type, query.subfolder)
    if query.preview is not None:
        kind, quality = asked_format(query.preview, query.channel or "")
        has_alpha = query.channel != "rgb"
        work = partial(pictures.preview, kind=kind, quality=quality, has_alpha=has_alpha)
        return await send_converted(call.request, path, f"image/{kind}", f"{kind}{quality}{has_alpha:d}", work)
    if query.channel == "rgb":
        return await send_converted(call.request, path, "image/png", "rgb", pictures.without_alpha)
    if query.channel == "a":
        return await send_converted(call.request, path, "image/png", "a", pictures.alpha_alone)
    return await send_file(call.request, path)


def viewed_path(paths: Paths, filename: str | None, where: str, subfolder: str) -> Path:
    """The path that clients mean by a file's name, type and sub-folder. Raises Refused: 404, 400, 403."""
    if filename is None:
        raise not_found("Say which file, as in /view?filename=picture.png.")
    if mark := ANNOTATION.search(filename):
        filename, where = filename[: mark.start()], mark[1]
    parts = re.split(r"[/\\]", filename)
    if not parts[-1] or not parts[0] or ".." in parts or "\0" in filename:
        message = f"{filename!r} is no name of a file in a folder; give a name such as picture.png."
        raise Refused(400, "invalid_name", message)
    if where not in paths.folders:
        message = f"There is no folder {where!r}; type is one of: {', '.join(paths.folders)}."
        raise Refused(400, "invalid_type", message)
    try:
        return confined(confined(paths.folders[where], subfolder, where), parts[-1], where)
    except PathError as error:
        raise Refused(403, "outside", f"This is not to be seen: {error}.") from None


def asked_format(preview: str, channel: str) -> tuple[str, int]:
    """Format and quality (1 to 100) of a preview such as "jpeg;80"; what is not understood is as by default."""
    kind, *others = preview.split(";")
    quality = int(others[-1]) if others and re.fullmatch("[0-9]{1,4}", others[-1]) else QUALITY
    is_jpeg = kind == "jpeg" and "a" not in channel  # which has no alpha
    return "jpeg" if is_jpeg else "webp", min(max(quality, 1), 100)


async def send_converted(
    request: web.Request, path: Path, kind: str, made: str, work: Callable[[BinaryIO, str], bytes]
) -> web.Response:
    """What `work` makes of a picture file: of MIME type `kind`; `made` tells it from what else is made of the file."""
    opened = await asyncio.to_thread(open_regular, path)
    with opened.file:
        version = Version(f"{opened.version.tag}-{made}", opened.version.changed_s)
        if is_known(request, version):
            return not_modified(version)
        body = await pictures.in_turn(request, lambda: work(opened.file, path.name))
        return send_made(body, kind, path.name, version)
