"""Socket: one WebSocket connection of a client, and what waits to be sent to it."""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from collections.abc import Mapping
from typing import Any

from aiohttp import WSCloseCode, web

WAITING_MOST_BYTES = 32 * 2**20  # a client that reads so much slower than things happen is let go, and may come back
STALLED_S = 60.0  # and so is one that takes nothing at all for so long


class Socket:
    """Sends what it is given in order, without anybody waiting for it. Belongs to the event loop."""

    def __init__(self, connection: web.WebSocketResponse, client: str) -> None:
        self.client = client
        self.features: Mapping[str, Any] = {}  # what the client says that it can do
        self._connection = connection
        self._waiting: deque[str | bytes] = deque()
        self._waiting_bytes = 0
        self._last_is_status = False
        self._previews: dict[str, bytes] = {}  # by node id, the last of each: older ones are of no use
        self._something = asyncio.Event()
        self._closing = False

    def put(self, message: str | bytes, *, is_status: bool = False) -> None:
        """Send this after what was put before. Of several states of the queue in a row the last is enough."""
        if self._closing:
            return
        if is_status and self._last_is_status and self._waiting:
            self._waiting_bytes -= len(self._waiting.pop())
        self._last_is_status = is_status
        self._waiting.append(message)
        self._waiting_bytes += len(message)
        if self._waiting_bytes > WAITING_MOST_BYTES:
            self.close()
        self._something.set()

    def put_preview(self, node_id: str, frame: bytes) -> None:
        """Send this when nothing else waits, unless a newer one of the same node comes first."""
        self._previews[node_id] = frame
        self._something.set()

    def close(self) -> None:
        """Send no more, and end the connection."""
        self._closing = True
        self._something.set()

    async def send(self) -> None:
        """Send what is put, until the socket is closed by either side."""
        connection = self._connection
        try:
            while True:
                await self._something.wait()
                self._something.clear()
                while (self._waiting or self._previews) and not self._closing:
                    async with asyncio.timeout(STALLED_S):
                        await self._send_next()
                if self._closing:
                    break
        except (ConnectionError, TimeoutError, RuntimeError):  # it is gone, or as good as gone
            self._closing = True
        with contextlib.suppress(TimeoutError, ConnectionError, RuntimeError):
            async with asyncio.timeout(1):
                await connection.close(code=WSCloseCode.GOING_AWAY)

    async def _send_next(self) -> None:
        if self._waiting:
            message = self._waiting.popleft()
            self._waiting_bytes -= len(message)
        else:
            message = self._previews.pop(next(iter(self._previews)))
        if isinstance(message, str):
            await self._connection.send_str(message)
        else:
            await self._connection.send_bytes(message)
