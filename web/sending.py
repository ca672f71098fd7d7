"""Sending: the one way in which a user's file leaves the server, so that no browser ever runs what is in it.

Pictures, video and sound are shown in place if both their ending and their content say that they are such; everything
else is a download. Ranges and conditional requests are answered as RFC 9110 asks.
"""

from __future__ import annotations

import asyncio
import os
import re
import stat
import struct
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from email.utils import formatdate
from io import BytesIO
from pathlib import Path, PurePath
from typing import BinaryIO
from urllib.parse import quote

from aiohttp import web
from aiohttp.abc import AbstractStreamWriter
from aiohttp.payload import Payload

from web.errors import Refused, not_found

DOWNLOAD = "application/octet-stream"
SAFE: Mapping[str, str] = {
    "X-Content-Type-Options": "nosniff",
    "Content-Security-Policy": "sandbox; default-src 'none'",
}
PIECE_BYTES = 2**18
HEAD_BYTES = 64  # enough to tell the kinds below
SHOWN = re.compile(  # endings of what may be shown in place
    r"\.(a?png|jpe?g|jfif|webp|gif|bmp|tiff?|avif|mp4|m4v|mov|webm|mkv|ogv|mp3|wav|flac|og[ga]|opus|m4a)", re.IGNORECASE
)
BMP_HEADERS = frozenset({12, 40, 52, 56, 64, 108, 124})  # sizes in bytes
SIGNATURES = tuple(
    (re.compile(pattern, re.DOTALL), kind)
    for pattern, kind in (
        (rb"\x89PNG\r\n\x1a\n", "image/png"),
        (rb"\xff\xd8\xff", "image/jpeg"),
        (rb"GIF8[79]a", "image/gif"),
        (rb"RIFF....WEBP", "image/webp"),
        (rb"II\*\0|MM\0\*", "image/tiff"),
        (rb"....ftypavi[fs]", "image/avif"),
        (rb"....ftypM4A ", "audio/mp4"),
        (rb"....ftypqt  ", "video/quicktime"),
        (rb"....ftyp(?:iso|mp4|avc|dash|M4V|f4v|mmp|3g)", "video/mp4"),
        (rb"\x1aE\xdf\xa3.*webm", "video/webm"),
        (rb"\x1aE\xdf\xa3.*matroska", "video/x-matroska"),
        (rb"OggS\0.{22,}(?:OpusHead|\x01vorbis|\x7fFLAC)", "audio/ogg"),
        (rb"OggS\0", "video/ogg"),
        (rb"RIFF....WAVE", "audio/wav"),
        (rb"fLaC", "audio/flac"),
        (rb"ID3[\x02-\x04]|\xff[\xf2\xf3\xfa\xfb]", "audio/mpeg"),
    )
)


@dataclass(frozen=True, slots=True)
class Version:
    """What tells one content of a file from the next."""

    tag: str  # without quotes
    changed_s: int  # since 1970

    @property
    def headers(self) -> dict[str, str]:
        """As a client gets them, to ask with the next time."""
        return {"ETag": f'"{self.tag}"', "Last-Modified": formatdate(self.changed_s, usegmt=True)}


@dataclass(frozen=True, slots=True)
class Opened:
    """A regular file, open to be read."""

    file: BinaryIO
    size: int
    version: Version
    head: bytes  # its first bytes


def open_regular(path: Path) -> Opened:
    """The file at a path from graph.paths. Raises Refused (404) if there is no regular file that can be read."""
    try:
        if not stat.S_ISREG(path.stat().st_mode):  # opening a pipe would wait, a device might do anything
            raise not_found(f"{path.name!r} is no file that can be sent.")
        handle = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
    except (OSError, ValueError):
        raise not_found(f"There is no file {path.name!r} there, or it cannot be read.") from None
    file = os.fdopen(handle, "rb")
    try:
        found = os.fstat(handle)
        if not stat.S_ISREG(found.st_mode):
            raise not_found(f"{path.name!r} is no file that can be sent.")
        head = file.read(HEAD_BYTES)
    except OSError:
        file.close()
        raise not_found(f"The file {path.name!r} cannot be read.") from None
    except BaseException:
        file.close()
        raise
    version = Version(f"{found.st_mtime_ns:x}-{found.st_size:x}", max(0, int(found.st_mtime)))
    return Opened(file, found.st_size, version, head)


def kind_of(head: bytes) -> str | None:
    """The MIME type of a picture, video or sound by its first bytes; None for anything else."""
    for pattern, kind in SIGNATURES:
        if pattern.match(head):
            return kind
    if head.startswith(b"BM") and len(head) >= 18 and struct.unpack_from("<I", head, 14)[0] in BMP_HEADERS:
        return "image/bmp"
    return None


async def send_file(request: web.Request, path: Path, *, name: str | None = None) -> web.Response:
    """The file as an answer: whole, in part, or 304 for a client that has it. `name` is what it is saved as.

    `path` must have come from graph.paths. Raises Refused: 404 if there is no regular file, 412 and 416 as asked.
    """
    opened = await asyncio.to_thread(open_regular, path)
    try:
        if is_known(request, opened.version):
            opened.file.close()
            return not_modified(opened.version)
        part = asked_part(request, opened)
    except BaseException:
        opened.file.close()
        raise
    first, count = part or (0, opened.size)
    name = path.name if name is None else name
    kind = kind_of(opened.head) if SHOWN.fullmatch(PurePath(name).suffix) else None
    headers = {
        **SAFE,
        **opened.version.headers,
        "Accept-Ranges": "bytes",
        "Content-Type": kind or DOWNLOAD,
        "Content-Disposition": disposition(name, is_download=kind is None),
    }
    if part:
        headers["Content-Range"] = f"bytes {first}-{first + count - 1}/{opened.size}"
    if request.method == "HEAD":
        opened.file.close()
    return web.Response(status=206 if part else 200, headers=headers, body=Piece(opened.file, first, count))


def send_made(body: bytes, kind: str, name: str, version: Version) -> web.Response:
    """A picture that was made from a file of that name: `kind` is its MIME type."""
    headers = {
        **SAFE,
        **version.headers,
        "Content-Type": kind,
        "Content-Disposition": disposition(name, is_download=False),
    }
    return web.Response(headers=headers, body=Piece(BytesIO(body), 0, len(body)))


def not_modified(version: Version) -> web.Response:
    """304: the client has it already."""
    return web.Response(status=304, headers={**SAFE, **version.headers})


def disposition(name: str, *, is_download: bool) -> str:
    """The header that says under which name a browser saves the file (RFC 6266); no name breaks out of it."""
    name = "".join("_" if unicodedata.category(char) in {"Cc", "Cs", "Zl", "Zp"} else char for char in name)
    plain = re.sub(r'[^\x20-\x7e]|["\\%]', "_", name)
    exact = "" if plain == name else f"; filename*=UTF-8''{quote(name, safe='')}"
    return f'{"attachment; " if is_download else ""}filename="{plain}"{exact}'


# -- conditions and ranges


def is_known(request: web.Request, version: Version) -> bool:
    """Whether the client has this version already. Raises Refused (412) if it asks for another one only."""
    wanted, known = request.if_match, request.if_none_match
    before, since = request.if_unmodified_since, request.if_modified_since
    if wanted is not None:
        is_refused = not any(each.value == "*" or (each.value == version.tag and not each.is_weak) for each in wanted)
    else:
        is_refused = before is not None and version.changed_s > before.timestamp()
    if is_refused:
        message = "The file has changed since; ask for it without If-Match and If-Unmodified-Since."
        raise Refused(412, "precondition_failed", message, headers=version.headers)
    if known is not None:
        return any(each.value in {"*", version.tag} for each in known)
    return since is not None and version.changed_s <= since.timestamp()


def asked_part(request: web.Request, opened: Opened) -> tuple[int, int] | None:
    """First byte and number of bytes of the one range asked for; None: the whole. Raises Refused (416)."""
    asked = re.fullmatch(r"bytes=\s*([0-9]{0,18})-([0-9]{0,18})\s*", request.headers.get("Range", ""))
    if request.method != "GET" or asked is None or not any(asked.groups()) or not _is_same(request, opened.version):
        return None  # several ranges, other units: a server may send the whole
    if asked[1]:
        first = int(asked[1])
        last = min(int(asked[2]), opened.size - 1) if asked[2] else opened.size - 1
        if asked[2] and int(asked[2]) < first:
            return None  # no range at all
    else:
        first, last = max(0, opened.size - int(asked[2])), opened.size - 1
    if first > last:
        message = f"The file has {opened.size} bytes, and none in the range asked for."
        raise Refused(416, "range_not_satisfiable", message, headers={"Content-Range": f"bytes */{opened.size}"})
    return first, last - first + 1


def _is_same(request: web.Request, version: Version) -> bool:
    """Whether the rest of a file still fits to what the client has of it (If-Range)."""
    having = request.headers.get("If-Range", "").strip()
    return not having or having in version.headers.values()


class Piece(Payload):
    """Bytes of an open file, read in threads piece by piece while they are sent; it is closed in the end."""

    _value: BinaryIO

    def __init__(self, file: BinaryIO, first: int, count: int) -> None:
        super().__init__(file, content_type=DOWNLOAD)
        self._first = first
        self._size = count

    def decode(self, encoding: str = "utf-8", errors: str = "strict") -> str:
        """Its text, which nobody asks for."""
        raise TypeError("a piece of a file is sent, never read as text")

    async def write(self, writer: AbstractStreamWriter) -> None:
        """Send it. Raises ConnectionError if the client is gone, or the file has become shorter meanwhile."""
        left = self._size or 0
        await asyncio.to_thread(self._value.seek, self._first)
        while left:
            piece = await asyncio.to_thread(self._value.read, min(left, PIECE_BYTES))
            if not piece:
                raise ConnectionAbortedError("the file became shorter while it was sent")
            left -= len(piece)
            await writer.write(piece)

    async def close(self) -> None:
        """Close the file."""
        self._value.close()
