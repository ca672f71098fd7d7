"""Files and forms for the tests of what comes in and goes out as files."""

import asyncio
import os
import struct
import zlib
from collections.abc import Awaitable, Callable
from io import BytesIO
from pathlib import Path
from typing import Any

from aiohttp import ClientResponse, FormData
from PIL import Image

from tests.web.server import Client, serving

CHANGED_S = 1_700_000_000.75


def picture(path: Path, mode: str = "RGBA", size: tuple[int, int] = (8, 6), **options: Any) -> bytes:
    """A picture whose pixels differ; in "RGBA" its alpha does, too."""
    path.parent.mkdir(parents=True, exist_ok=True)
    made = Image.frombytes(mode, size, bytes(range(size[0] * size[1] * len(Image.new(mode, (1, 1)).getbands()))))
    made.save(path, **options)
    os.utime(path, (CHANGED_S, CHANGED_S))
    return path.read_bytes()


def put(path: Path, content: bytes) -> bytes:
    """A file, and its content."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    os.utime(path, (CHANGED_S, CHANGED_S))
    return content


def png(colour: Any = "red", mode: str = "RGB", size: tuple[int, int] = (4, 4), **options: Any) -> bytes:
    file = BytesIO()
    Image.new(mode, size, colour).save(file, "png", **options)
    return file.getvalue()


def bomb(width: int, height: int) -> bytes:
    """A PNG file of few bytes that says it has many pixels."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    header = struct.pack(">IIBBBBB", width, height, 8, 6, 0, 0, 0)
    lines = zlib.compress(bytes(1000))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", lines) + chunk(b"IEND", b"")


def files(base: Path) -> dict[str, bytes]:
    """All files in the folders that uploads may reach, hidden ones and parts, too."""
    found = (path for where in ("input", "output", "temp") for path in (base / where).rglob("*"))
    return {path.relative_to(base).as_posix(): path.read_bytes() for path in found if path.is_file()}


def form(content: bytes = b"", name: str | None = "a.png", **fields: str) -> FormData:
    """What a client sends to /upload/image; without a name there is no file in it."""
    made = FormData(quote_fields=False)
    if name is not None:
        made.add_field("image", content, filename=name)
    for field, value in fields.items():
        made.add_field(field, value)
    return made


def with_client(base: Path, use: Callable[[Client], Awaitable[None]], **options: Any) -> None:
    """Let a function use a server's client; `options` are settings of the server."""

    async def run() -> None:
        async with serving(base, **options) as (client, _):
            await use(client)

    asyncio.run(run())


async def taken(client: Client, content: bytes, name: str = "a.png", **fields: str) -> dict[str, str]:
    """The answer to an upload that must be taken."""
    answer = await client.post("/upload/image", data=form(content, name, **fields))
    assert answer.status == 200, await answer.text()
    return dict(await answer.json())


async def sentence(answer: ClientResponse, status: int) -> str:
    """The message of an answer of that status in the one shape of failures."""
    assert answer.status == status, await answer.text()
    body = await answer.json()
    assert set(body) == {"error", "node_errors"}
    assert body["error"]["message"].endswith(".")
    return str(body["error"]["message"])


def is_safe(answer: ClientResponse) -> bool:
    """Whether the answer keeps browsers from running what is in it."""
    policy = answer.headers["Content-Security-Policy"]
    return answer.headers["X-Content-Type-Options"] == "nosniff" and policy == "sandbox; default-src 'none'"
