"""/upload: files from clients, for nodes to load."""

from __future__ import annotations

import asyncio
from functools import partial
from pathlib import Path
from typing import Annotated, Literal

import msgspec

from graph.paths import PathError, Paths, confined
from web import pictures
from web.declare import Call, checked, parse, route
from web.errors import Refused
from web.routes.view import viewed_path
from web.sending import open_regular
from web.uploads import Upload, folder_name, place, received, write

YES = frozenset({"true", "1"})


class Target(msgspec.Struct):
    """Where the file is to lie."""

    type: Annotated[Literal["input", "temp", "output"], msgspec.Meta(description="The folder.")] = "input"
    subfolder: Annotated[str, msgspec.Meta(description="A folder below it, made if there is none.")] = ""
    overwrite: Annotated[str, msgspec.Meta(description="'true' or '1': a file of that name is replaced.")] = ""


class ImageUpload(Target, kw_only=True):
    """A file, and where it is to lie."""

    image: Annotated[bytes, msgspec.Meta(description="The file, of any kind that nodes load, with its name.")]


class MaskUpload(ImageUpload, kw_only=True):
    """A picture whose alpha another one shall have, and where the result is to lie."""

    original_ref: Annotated[
        str, msgspec.Meta(description='The other picture, as JSON: {"filename": ..., "subfolder": ..., "type": ...}.')
    ]


class Original(msgspec.Struct):
    """A picture that is there."""

    filename: str
    subfolder: str = ""
    type: str = "output"


class Uploaded(msgspec.Struct):
    """Where the file lies now, and under which name."""

    name: str
    subfolder: str
    type: str


@route("POST", "/upload/image", upload=ImageUpload)
async def upload_image(call: Call) -> Uploaded:
    """Take a file. Where another of its name lies, it gets a number, unless both are the same."""
    paths = call.services.paths
    async with received(call.request, paths.folders["temp"], call.settings.upload_most_bytes) as upload:
        return await asyncio.to_thread(_place, paths, upload)


@route("POST", "/upload/mask", upload=MaskUpload)
async def upload_mask(call: Call) -> Uploaded:
    """Take a mask: a picture that is there, with the alpha of the one that is sent, is kept under the latter's name."""
    paths = call.services.paths
    async with received(call.request, paths.folders["temp"], call.settings.upload_most_bytes) as upload:
        if not upload.name.lower().endswith(".png"):
            message = f"A picture with a mask is kept as PNG, and {upload.name!r} does not end in .png."
            raise Refused(400, "invalid_name", message)
        original = _original(paths, upload)
        await pictures.in_turn(call.request, partial(_put_mask, original, upload))
        return await asyncio.to_thread(_place, paths, upload)


def _place(paths: Paths, upload: Upload) -> Uploaded:
    target: Target = checked(upload.fields, Target, "form")
    subfolder = folder_name(target.subfolder)
    try:
        folder = confined(paths.folders[target.type], subfolder, target.type)
    except PathError as error:
        raise Refused(400, "outside", f"This is no place for a file: {error}.") from None
    name = place(upload.part, folder, upload.name, overwrite=target.overwrite in YES)
    return Uploaded(name, subfolder, target.type)


def _original(paths: Paths, upload: Upload) -> Path:
    text = upload.fields.get("original_ref")
    if text is None:
        raise Refused(400, "no_original", "Say in 'original_ref' which picture shall have the mask.")
    found: Original = checked(parse(text.encode()), Original, "original_ref")
    return viewed_path(paths, found.filename, found.type, found.subfolder)


def _put_mask(original: Path, upload: Upload) -> None:
    opened = open_regular(original)
    with opened.file, upload.part.open("rb") as mask:
        result = pictures.with_alpha_of(opened.file, original.name, mask, upload.name)
    with upload.part.open("wb", buffering=0) as file:
        write(file, result)
