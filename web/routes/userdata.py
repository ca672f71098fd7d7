"""/userdata: files that a user keeps on the server, such as workflows. A name is one segment: `workflows%2Fa.json`."""

from __future__ import annotations

import asyncio
from pathlib import Path, PurePosixPath
from typing import Annotated, Any

import msgspec
from aiohttp import web

from web.declare import Call, read_body, route
from web.errors import ErrorAnswer, Refused, not_found
from web.sending import DOWNLOAD, send_file
from web.user_folders import (
    FILE_MOST_BYTES,
    USER_FOLDERS,
    Found,
    delete,
    file_at,
    folder_at,
    info,
    look,
    move,
    write,
)

# Front-ends write "undefined" for what they leave out, so that these are texts, of which one counts.
Yes = Annotated[str, msgspec.Meta(description='"true", or anything else for no')]
UnlessNo = Annotated[str, msgspec.Meta(description='"false", or anything else for yes')]


class FileInfo(msgspec.Struct):
    """A file. Times are milliseconds since 1970."""

    path: str
    size: int
    modified: int
    created: int


class Entry(msgspec.Struct, omit_defaults=True):
    """A folder, or a file with its size in bytes and its time of change in seconds since 1970."""

    name: str
    path: str
    type: str
    size: int | None = None
    modified: float | None = None


class ListQuery(msgspec.Struct):
    """Which files."""

    dir: Annotated[str, msgspec.Meta(description="a folder of the user's; . is all there is")] = ""
    recurse: Yes = ""
    split: Yes = ""
    full_info: Yes = ""


class TreeQuery(msgspec.Struct):
    """Which folder."""

    path: Annotated[str, msgspec.Meta(description="a folder of the user's; by default all there is")] = ""


class WriteQuery(msgspec.Struct):
    """How to write."""

    overwrite: UnlessNo = ""
    full_info: Yes = ""


Paths = list[str] | list[list[str]] | list[FileInfo]


@route("GET", "/userdata", ready=False, answers={200: Paths, 400: ErrorAnswer, 403: ErrorAnswer, 404: ErrorAnswer})
async def list_files(call: Call, query: ListQuery) -> web.Response:
    """The user's files in a folder, their paths counted from there; split: [path, its parts…]; full_info: objects."""
    if not query.dir:
        raise Refused(400, "invalid_value", "Directory not provided: say which in 'dir'.")
    folder = folder_at(_folder(call), query.dir)
    is_there, found = await asyncio.to_thread(_look, folder, _is(query.recurse, "true"))
    if not is_there:
        raise not_found(f"Directory not found: there is no folder {query.dir!r}.")
    files = [each for each in found if not each.is_folder]
    if _is(query.full_info, "true"):
        return await call.json([_info(each) for each in files])
    if _is(query.split, "true"):
        return await call.json([[str(each.name), *each.name.parts] for each in files])
    return await call.json([str(each.name) for each in files])


@route("GET", "/v2/userdata", ready=False, answers={200: list[Entry], 403: ErrorAnswer, 404: ErrorAnswer})
async def list_tree(call: Call, query: TreeQuery) -> web.Response:
    """All files and folders below a folder, folders first. Paths are counted from the user's folder."""
    root = _folder(call)
    folder = folder_at(root, query.path)
    is_there, found = await asyncio.to_thread(_look, folder, True)
    if not is_there and folder != root:
        raise not_found(f"There is no folder {query.path!r}.")
    prefix = PurePosixPath(folder.relative_to(root))
    found.sort(key=lambda each: (not each.is_folder, each.name.name.lower(), str(each.name)))
    return await call.json(
        [
            Entry(each.name.name, str(prefix / each.name), "directory")
            if each.is_folder
            else Entry(each.name.name, str(prefix / each.name), "file", each.size, each.modified_s)
            for each in found
        ]
    )


@route("GET", "/userdata/{file}", ready=False, answers={200: DOWNLOAD, 403: ErrorAnswer, 404: ErrorAnswer})
async def get_file(call: Call, file: str) -> web.Response:
    """A file's content."""
    return await send_file(call.request, file_at(_folder(call), file))


@route(
    "POST",
    "/userdata/{file}",
    ready=False,
    takes="application/octet-stream",
    answers={200: str | FileInfo, 409: ErrorAnswer, 413: ErrorAnswer},
)
async def put_file(call: Call, file: str, query: WriteQuery) -> Any:
    """Keep the body as a file. The answer is its path, or with full_info an object."""
    folder = _folder(call)
    path = file_at(folder, file)
    content = await read_body(call.request, FILE_MOST_BYTES)
    overwrite = not _is(query.overwrite, "false")
    async with call.request.app[USER_FOLDERS].lock(call.user):
        await asyncio.to_thread(write, folder, path, content, overwrite=overwrite)
    return await _written(folder, path, query)


@route("DELETE", "/userdata/{file}", ready=False, answers={204: None, 404: ErrorAnswer})
async def delete_file(call: Call, file: str) -> web.Response:
    """Delete a file."""
    folder = _folder(call)
    path = file_at(folder, file)
    async with call.request.app[USER_FOLDERS].lock(call.user):
        await asyncio.to_thread(delete, folder, path)
    return web.Response(status=204)


@route(
    "POST",
    "/userdata/{file}/move/{dest}",
    ready=False,
    answers={200: str | FileInfo, 404: ErrorAnswer, 409: ErrorAnswer},
)
async def move_file(call: Call, file: str, dest: str, query: WriteQuery) -> Any:
    """Give a file another name. The answer is that, or with full_info an object."""
    folder = _folder(call)
    source, target = file_at(folder, file), file_at(folder, dest)
    overwrite = not _is(query.overwrite, "false")
    async with call.request.app[USER_FOLDERS].lock(call.user):
        await asyncio.to_thread(move, folder, source, target, overwrite=overwrite)
    return await _written(folder, target, query)


async def _written(folder: Path, path: Path, query: WriteQuery) -> Any:
    name = PurePosixPath(path.relative_to(folder))
    if not _is(query.full_info, "true"):
        return str(name)
    try:
        return _info(await asyncio.to_thread(info, path, name))
    except OSError:  # deleted at the same moment
        raise not_found(f"{path.name!r} was written, and somebody has deleted it since.") from None


def _is(given: str, word: str) -> bool:
    return given.lower() == word


def _folder(call: Call) -> Path:
    return call.request.app[USER_FOLDERS].folder(call.user)


def _look(folder: Path, recurse: bool) -> tuple[bool, list[Found]]:
    return (True, look(folder, recurse=recurse)) if folder.is_dir() else (False, [])


def _info(found: Found) -> FileInfo:
    return FileInfo(str(found.name), found.size, round(found.modified_s * 1000), round(found.created_s * 1000))
