"""/models and /experiment/models: the model files that are there, and pictures of them."""

from __future__ import annotations

import asyncio
import re
from base64 import b64decode
from contextlib import suppress
from functools import partial
from io import BytesIO
from pathlib import Path
from typing import BinaryIO

import msgspec
from aiohttp import web

from graph.paths import PathError, Paths, confined
from web import pictures
from web.declare import Call, parse, route
from web.errors import Refused, not_found
from web.sending import Opened, Version, is_known, not_modified, open_regular, send_made
from web.weights import metadata_of

PACKS = "custom_nodes"  # listed among the kinds of models, but packs hold code: no file of theirs is
UNSEEN = frozenset({"configs", PACKS})  # kinds that libraries of models do not show
ENDINGS = (".png", ".jpg", ".jpeg", ".webp", ".gif", ".bmp", ".tif", ".tiff", ".avif")
HEADER_MOST_BYTES = 8 * 2**20  # of a file with cover pictures
QUALITY = 90


class ModelFolder(msgspec.Struct):
    """A kind of model, and where its files lie."""

    name: str
    folders: list[str]


class ModelFile(msgspec.Struct, rename="camel"):
    """A model file: its name below the folder of that index; times in seconds since 1970, size in bytes."""

    name: str
    path_index: int
    modified: float
    created: float
    size: int


@route("GET", "/models")
async def list_kinds(call: Call) -> list[str]:
    """The kinds of models, each with folders of its own."""
    kinds = list(call.services.paths.kinds)
    kinds.insert(kinds.index("upscale_models") + 1, PACKS)
    return kinds


@route("GET", "/models/{folder}")
async def list_models(call: Call, folder: str) -> list[str]:
    """The names of all models of a kind, sorted."""
    if folder == PACKS:
        return []
    return await asyncio.to_thread(call.services.paths.list, known_kind(call.services.paths, folder))


@route("GET", "/embeddings")
async def list_embeddings(call: Call) -> list[str]:
    """The names by which prompts call embeddings: those of their files, without the ending."""
    names = await asyncio.to_thread(call.services.paths.list, "embeddings")
    return [str(Path(name).with_suffix("")) for name in names]


@route("GET", "/experiment/models")
async def list_folders(call: Call) -> list[ModelFolder]:
    """The kinds of models and their folders."""
    paths = call.services.paths
    return [ModelFolder(kind, [str(root) for root in paths.roots(kind)]) for kind in paths.kinds if kind not in UNSEEN]


@route("GET", "/experiment/models/{folder}", answers={200: list[ModelFile]})
async def list_files(call: Call, folder: str) -> web.Response:
    """The model files of a kind with their sizes and times."""
    paths = call.services.paths
    return await call.json(await asyncio.to_thread(_files, paths, known_kind(paths, folder)))


@route("GET", "/experiment/models/preview/{folder}/{path_index}/{filename:.*}", answers={200: "image/webp", 304: None})
async def show_preview(call: Call, folder: str, path_index: str, filename: str) -> web.Response:
    """A picture of a model: one that lies beside it under its name, or the first in its metadata."""
    paths, request = call.services.paths, call.request
    path = await asyncio.to_thread(_model, paths, known_kind(paths, folder), path_index, filename)
    file, version = await asyncio.to_thread(_cover, path)
    with file:
        if is_known(request, version):
            return not_modified(version)
        work = partial(pictures.preview, file, path.name, "webp", QUALITY)
        try:
            body = await pictures.in_turn(request, work)
        except Refused as refused:
            raise not_found(f"The picture of {path.name!r} cannot be shown: {refused}") from None
        return send_made(body, "image/webp", f"{path.stem}.webp", version)


def known_kind(paths: Paths, folder: str) -> str:
    """A kind of model by its own name. Raises Refused (404); old names for kinds do not count."""
    if folder not in paths.kinds:
        raise not_found(f"There is no kind of model called {folder!r}; there are: {', '.join(paths.kinds)}.")
    return folder


def _files(paths: Paths, kind: str) -> list[ModelFile]:
    found = []
    for index, root in enumerate(paths.roots(kind)):
        for name in paths.list_below(kind, root):
            try:
                file = (root / name).stat()
            except OSError:  # it has gone since, or is a link that leads nowhere
                continue
            found.append(ModelFile(name, index, file.st_mtime, file.st_ctime, file.st_size))
    return sorted(found, key=lambda file: (file.path_index, file.name))


def _model(paths: Paths, kind: str, path_index: str, filename: str) -> Path:
    roots = paths.roots(kind)
    if not re.fullmatch("[0-9]{1,4}", path_index) or int(path_index) >= len(roots):
        raise not_found(f"{kind} has no folder {path_index!r}; they are counted from 0 to {len(roots) - 1}.")
    try:
        path = confined(roots[int(path_index)], filename, f"models/{kind}")
    except PathError as error:
        raise not_found(f"That is no model: {error}.") from None
    open_regular(path).file.close()
    return path


def _cover(path: Path) -> tuple[BinaryIO, Version]:
    """A model's picture, open to be read."""
    for name in (f"{path.stem}{mark}{ending}" for mark in ("", ".preview") for ending in ENDINGS):
        with suppress(Refused):
            opened = open_regular(path.with_name(name))
            return opened.file, _version(opened)
    if path.suffix == ".safetensors":
        opened = open_regular(path)
        with opened.file:
            metadata = metadata_of(opened.file, HEADER_MOST_BYTES) or {}
        if cover := _first_cover(metadata.get("ssmd_cover_images")):
            return BytesIO(cover), _version(opened)
    raise not_found(f"There is no picture of {path.name!r}: none lies beside it, and it holds none.")


def _first_cover(text: object) -> bytes | None:
    """The first of the pictures in a JSON list of base64 texts."""
    if not isinstance(text, str):
        return None
    try:
        covers = parse(text.encode())
        return b64decode(covers[0].rpartition(",")[2])  # what stands before a comma says that it is base64
    except (Refused, ValueError, AttributeError, LookupError, TypeError):
        return None


def _version(opened: Opened) -> Version:
    return Version(f"{opened.version.tag}-preview", opened.version.changed_s)
