"""Socket: one WebSocket connection of a client, and what waits to be sent to it."""

from __future__ import annotations

import asyncio
import contextlib
import struct
from collections import deque
from collections.abc import Mapping
from typing import Any

from aiohttp import WSCloseCode, web

WAITING_MOST_BYTES = 32 * 2**20  # a client that reads so much slower than things happen is let go, and may come back
STALLED_S = 60.0  # and so is one that takes nothing at all for so long
WRITE_BYTES = 2**16  # handed to the connection at once, unless one message is larger
UNSENT_MOST_BYTES = 2**18  # what the connection may hold; then it is left to drain,
LOOK_S = 0.02  # and looked at so often

TEXT, BINARY = 0x81, 0x82  # the first byte of a frame that is a whole message (RFC 6455, 5.2)


class Socket:
    """Sends what it is given in order, without anybody waiting for it. Belongs to the event loop.

    It writes frames to the transport itself: all that wait in one call. Every call to the system gives up Python's
    lock, and beside a node that computes in plain Python it takes half a millisecond to get that back.
    """

    def __init__(self, connection: web.WebSocketResponse, transport: asyncio.Transport, client: str) -> None:
        self.client = client
        self.features: Mapping[str, Any] = {}  # what the client says that it can do
        self._connection = connection
        self._transport = transport
        self._waiting: deque[bytes] = deque()  # frames
        self._waiting_bytes = 0
        self._last_is_status = False
        self._status = ""  # the last that was put
        self._previews: dict[str, bytes] = {}  # by node id, the last of each: older ones are of no use
        self._something = asyncio.Event()
        self._closing = False

    def put(self, message: str | bytes) -> None:
        """Send this after what was put before."""
        if self._closing:
            return
        whole = frame(message)
        self._waiting.append(whole)
        self._waiting_bytes += len(whole)
        self._last_is_status = False
        if self._waiting_bytes > WAITING_MOST_BYTES:
            self.close()
        self._something.set()

    def put_status(self, status: str, *, is_news: bool = False) -> None:
        """Send the state of the queue; of several in a row the last is enough. `is_news`: unless it is known."""
        if is_news and status == self._status:
            return
        if self._last_is_status and self._waiting:
            self._waiting_bytes -= len(self._waiting.pop())
        self._status = status
        self.put(status)
        self._last_is_status = True

    def put_preview(self, node_id: str, picture: bytes) -> None:
        """Send this when nothing else waits, unless a newer one of the same node comes first."""
        self._previews[node_id] = picture
        self._something.set()

    def close(self) -> None:
        """Send no more, and end the connection."""
        self._closing = True
        self._something.set()

    async def send(self) -> None:
        """Send what is put, until the socket is closed by either side."""
        try:
            while True:
                await self._something.wait()
                self._something.clear()
                while (self._waiting or self._previews) and not self._closing:
                    self._transport.write(self._next())
                    await self._drained()
                if self._closing or self._transport.is_closing():
                    break
        except TimeoutError:  # it is as good as gone
            self._transport.abort()
        self._closing = True
        with contextlib.suppress(TimeoutError, ConnectionError, RuntimeError):
            async with asyncio.timeout(1):
                await self._connection.close(code=WSCloseCode.GOING_AWAY)

    def _next(self) -> bytes:
        """Frames that wait, as many as go into one write; a preview when there are none."""
        if not self._waiting:
            return frame(self._previews.pop(next(iter(self._previews))))
        frames = [self._waiting.popleft()]
        size = len(frames[0])
        while self._waiting and size + len(self._waiting[0]) <= WRITE_BYTES:
            frames.append(self._waiting.popleft())
            size += len(frames[-1])
        self._waiting_bytes -= size
        return b"".join(frames)

    async def _drained(self) -> None:
        """Wait until the client has taken most of what was written. Raises TimeoutError if it takes nothing."""
        await asyncio.sleep(0)  # others have their turn
        loop = asyncio.get_running_loop()
        least, since = self._transport.get_write_buffer_size(), loop.time()
        while (unsent := self._transport.get_write_buffer_size()) > UNSENT_MOST_BYTES:
            if unsent < least:
                least, since = unsent, loop.time()
            elif loop.time() - since > STALLED_S:
                raise TimeoutError
            await asyncio.sleep(LOOK_S)


def frame(message: str | bytes) -> bytes:
    """A message as one frame, as servers send it: whole, plain and without a mask."""
    kind, body = (TEXT, message.encode()) if isinstance(message, str) else (BINARY, message)
    size = len(body)
    if size < 126:
        return struct.pack("!BB", kind, size) + body
    if size < 2**16:
        return struct.pack("!BBH", kind, 126, size) + body
    return struct.pack("!BBQ", kind, 127, size) + body
