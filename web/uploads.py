"""Uploads: a file that a client sends, written to a part file piece by piece, then given a name that nobody has.

Only kinds of files that nodes work with are taken, nothing that is code for anybody. However a request ends, no part
file stays behind.
"""

from __future__ import annotations

import asyncio
import errno
import filecmp
import os
import re
import secrets
import shutil
import unicodedata
from collections.abc import AsyncIterator, Awaitable, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import BinaryIO, TypeVar

from aiohttp import BodyPartReader, web
from aiohttp.http import HttpProcessingError

from graph.files import PART
from web.declare import BODY_S, too_large
from web.errors import Refused
from web.pictures import opened_picture

Result = TypeVar("Result")

FILE = "image"  # the field with the file, of whatever kind
FIELDS_MOST = 16
FIELD_MOST_BYTES = 2**16
PIECE_BYTES = 2**18
NAME_MOST_BYTES = 255  # what common file systems bear
DEPTH_MOST = 8  # of sub-folders
FILES_MOST = 100_000  # in one folder
NUMBERS_MOST = 10_000  # files that differ by a number only
FREE_LEAST_BYTES = 2**30  # of disk space that uploads leave to others

PICTURES = re.compile(r"\.(a?png|jpe?g|jfif|webp|gif|bmp|tiff?|avif)")
OTHERS = re.compile(
    r"\.(mp4|m4v|webm|mkv|mov|avi|mpe?g|og[gav]|opus|mp3|wav|flac|m4a|aac|aiff?"  # video and sound
    r"|glb|gltf|obj|mtl|stl|ply|fbx|usdz|splat|ksplat|spz"  # 3D
    r"|safetensors|sft|latent|json|txt|csv|srt|cube|exr|hdr)"  # data
)
KINDS = "pictures, video, sound, 3D models, safetensors, JSON and text"
RESERVED = re.compile(r"(con|prn|aux|nul|com[0-9¹²³]|lpt[0-9¹²³])\s*(\..*)?", re.IGNORECASE | re.DOTALL)
TURNING = frozenset("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")  # what follows is read backwards


@dataclass(frozen=True, slots=True)
class Upload:
    """What came: a file under the name that it is to have, and the other fields."""

    part: Path
    name: str
    fields: dict[str, str]


@asynccontextmanager
async def received(request: web.Request, folder: Path, most_bytes: int) -> AsyncIterator[Upload]:
    """What the client sends, its file in a part file in `folder` that is removed at the end unless it was placed.

    Raises Refused: 400, 408 for a client that stops, 413, 415 for a kind of file that is not taken, 507.
    """
    if request.content_type != "multipart/form-data":
        raise _no_file()
    if (request.content_length or 0) > most_bytes + FIELDS_MOST * FIELD_MOST_BYTES:
        raise too_large(most_bytes)
    part = folder / f"upload-{secrets.token_hex(8)}{PART}"
    file = await asyncio.to_thread(_open_part, part)
    try:
        try:
            upload = await _receive(request, part, file, most_bytes)
        finally:
            await asyncio.to_thread(file.close)
        await asyncio.to_thread(_check_picture, upload)
        yield upload
    finally:
        await asyncio.to_thread(part.unlink, missing_ok=True)


@asynccontextmanager
async def received_alone(request: web.Request, folder: Path, most_bytes: int) -> AsyncIterator[Path]:
    """A file of any kind that is the whole body, or the first file of a form: its part file, removed at the end.

    Raises Refused: 400, 408 for a client that stops, 413, 507.
    """
    if (request.content_length or 0) > most_bytes + FIELDS_MOST * FIELD_MOST_BYTES:
        raise too_large(most_bytes)
    part = folder / f"upload-{secrets.token_hex(8)}{PART}"
    file = await asyncio.to_thread(_open_part, part)
    try:
        try:
            with _told():
                await _receive_alone(request, file, most_bytes)
        finally:
            await asyncio.to_thread(file.close)
        yield part
    finally:
        await asyncio.to_thread(part.unlink, missing_ok=True)


async def _receive_alone(request: web.Request, file: BinaryIO, most_bytes: int) -> None:
    if request.content_type != "multipart/form-data":
        size = 0
        while piece := await _soon(request.content.readany()):
            size += len(piece)
            if size > most_bytes:
                raise too_large(most_bytes)
            await asyncio.to_thread(write, file, piece)
        return
    reader = await request.multipart()
    for _ in range(FIELDS_MOST):
        field = await _soon(reader.next())
        if field is None:
            break
        if not isinstance(field, BodyPartReader):
            continue
        if field.filename is not None or field.name == "file":
            await _stream(field, file, most_bytes)
            return
        await _text(field)
    raise Refused(400, "no_file", "There is no file in the form; send one in the field 'file'.")


async def _receive(request: web.Request, part: Path, file: BinaryIO, most_bytes: int) -> Upload:
    name = ""
    fields: dict[str, str] = {}
    with _told():
        reader = await request.multipart()
        for _ in range(FIELDS_MOST + 1):
            field = await _soon(reader.next())
            if field is None:
                break
            if not isinstance(field, BodyPartReader) or field.name is None or not field.name.isascii():
                raise Refused(400, "invalid_body", "Each part of the body must be a field with a plain name.")
            if field.name != FILE:
                fields[field.name] = await _text(field)
                continue
            if name:
                raise Refused(400, "too_many_files", "Send one file for each request.")
            name = file_name(field.filename or "")
            await _stream(field, file, most_bytes)
        else:
            raise Refused(400, "too_many_fields", f"There are more than {FIELDS_MOST} fields; send less.")
    if not name:
        raise _no_file()
    return Upload(part, name, fields)


@contextmanager
def _told() -> Iterator[None]:
    """Raises Refused for all that a body can do to the reader that is no form, or breaks off."""
    try:
        yield
    except TimeoutError:
        raise Refused(408, "timeout", f"No more of the file came for {BODY_S:.0f} s; send it again.") from None
    except (
        web.RequestPayloadError,
        HttpProcessingError,
        ValueError,
        RuntimeError,
        AssertionError,
        LookupError,
    ) as error:
        message = "The body is no whole file, or no whole form with one; send the file again."
        raise Refused(400, "invalid_body", message, details=str(error)) from error


async def _soon(coming: Awaitable[Result]) -> Result:
    async with asyncio.timeout(BODY_S):
        return await coming


async def _text(field: BodyPartReader) -> str:
    data = bytearray()
    while piece := await _soon(field.read_chunk(FIELD_MOST_BYTES)):
        data += piece
        if len(data) > FIELD_MOST_BYTES:
            message = f"The field {field.name!r} is larger than {FIELD_MOST_BYTES} bytes; files go into {FILE!r}."
            raise Refused(413, "too_large", message)
    return data.decode()


async def _stream(field: BodyPartReader, file: BinaryIO, most_bytes: int) -> None:
    size = 0
    while piece := await _soon(field.read_chunk(PIECE_BYTES)):
        size += len(piece)
        if size > most_bytes:
            raise too_large(most_bytes)
        await asyncio.to_thread(write, file, piece)


def _open_part(part: Path) -> BinaryIO:
    part.parent.mkdir(parents=True, exist_ok=True)
    return part.open("xb", buffering=0)


def write(file: BinaryIO, content: bytes) -> None:
    """Write to a part file. Raises Refused (507) if too little of the disk is left."""
    try:
        if shutil.disk_usage(file.name).free < FREE_LEAST_BYTES:
            raise OSError("less is left than uploads may take")
        while content:
            content = content[file.write(content) :]
    except OSError as error:
        raise _disk_full(error) from error


def _check_picture(upload: Upload) -> None:
    if PICTURES.fullmatch(PurePath(upload.name).suffix.lower()):
        with upload.part.open("rb") as file, opened_picture(file, upload.name):
            pass


def _disk_full(error: OSError) -> Refused:
    message = "The disk is too full for more files; remove some from the output, input or temp folder."
    return Refused(507, "disk_full", message, details=str(error))


def _no_file() -> Refused:
    message = f"There is no file: send multipart/form-data with a file and its name in the field {FILE!r}."
    return Refused(400, "no_file", message)


# -- names


def file_name(name: str) -> str:
    """The name that a file is to have. Raises Refused: 400 for one that some system cannot bear, 415 for a kind."""
    if not name.strip():
        raise _no_file()
    name = _checked(name, "file")
    ending = PurePath(name).suffix.lower()
    if not PICTURES.fullmatch(ending) and not OTHERS.fullmatch(ending):
        message = f"{name!r} is of a kind that is not taken; there may be {KINDS}, told by the ending of the name."
        raise Refused(415, "kind_not_taken", message)
    return name


def folder_name(name: str) -> str:
    """The name of a folder below input, output or temp; "" is that folder itself. Raises Refused (400)."""
    name = name.replace("\\", "/")
    parts = [_checked(part, "folder") for part in name.split("/") if part not in {"", "."}]
    if name.startswith("/") or len(parts) > DEPTH_MOST:
        message = f"{name!r} is no sub-folder: give a name such as 'a/b', of at most {DEPTH_MOST} folders."
        raise Refused(400, "invalid_name", message)
    return "/".join(parts)


def _checked(name: str, what: str) -> str:
    name = unicodedata.normalize("NFC", name)
    if why := _fault(name):
        raise Refused(400, "invalid_name", f"A {what} cannot be called {name!r}: {why}; choose another name.")
    return name


def _fault(name: str) -> str:
    """Why some system could not bear the name, or people would misread it."""
    if any(unicodedata.category(char) in {"Cc", "Cs", "Zl", "Zp"} or char in TURNING for char in name):
        return "it holds a control character"
    if "/" in name or "\\" in name:
        return "it holds a slash, which parts folders"
    if os.name == "nt" and set(name) & set('<>:"|?*'):
        return 'Windows knows no names with < > : " | ? *'
    if name.startswith(".") or name.endswith((".", " ")):
        return "it begins with a dot or ends in a dot or space"
    if RESERVED.fullmatch(name):
        return "Windows keeps that name for a device"
    if len(name.encode()) > NAME_MOST_BYTES:
        return f"it is longer than {NAME_MOST_BYTES} bytes"
    return ""


# -- places


def place(part: Path, folder: Path, name: str, *, overwrite: bool) -> str:
    """Give a part file its name in the folder, which is made. Returns the name: one of the same content is shared.

    A name that another content has is followed by a number, unless it is to be overwritten. Raises Refused (400, 507).
    """
    beside = folder / f".{secrets.token_hex(8)}{PART}"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if sum(1 for _ in os.scandir(folder)) >= FILES_MOST:
            message = f"The folder {folder.name!r} has {FILES_MOST} files already; remove some, or take another folder."
            raise Refused(507, "folder_full", message)
        shutil.move(part, beside)  # copied, if the folder lies on another disk
        if overwrite:
            beside.replace(folder / name)
            return name
        for candidate in _names(name):
            if _claim(beside, folder / candidate) or _is_same(beside, folder / candidate):
                return candidate
    except OSError as error:
        if error.errno in {errno.ENOSPC, errno.EDQUOT}:
            raise _disk_full(error) from error
        message = f"{name!r} cannot be written to the folder {folder.name!r}; choose another name or folder."
        raise Refused(400, "not_written", message, details=error.strerror or "") from error
    finally:
        with suppress(OSError):
            beside.unlink(missing_ok=True)
    message = f"There are {NUMBERS_MOST} files called like {name!r} already; choose another name."
    raise Refused(400, "invalid_name", message)


def _names(name: str) -> Iterator[str]:
    """The name, then with numbers behind it; what is cut off keeps it short enough."""
    yield name
    path = PurePath(name)
    for number in range(1, NUMBERS_MOST):
        tail = f" ({number}){path.suffix}"
        stem = path.stem.encode()[: NAME_MOST_BYTES - len(tail.encode())].decode(errors="ignore")
        yield f"{stem}{tail}"


def _claim(beside: Path, target: Path) -> bool:
    """Whether the name was free and the file now has it."""
    try:
        try:
            target.hardlink_to(beside)
        except FileExistsError:
            return False
        except OSError:  # a file system without links
            target.touch(exist_ok=False)
            beside.replace(target)
    except FileExistsError:
        return False
    return True


def _is_same(beside: Path, target: Path) -> bool:
    with suppress(OSError):
        return filecmp.cmp(beside, target, shallow=False)
    return False
