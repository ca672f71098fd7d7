"""/ws: what happens, told while it happens."""

from __future__ import annotations

import asyncio
import contextlib
import uuid
from typing import Annotated

import msgspec
from aiohttp import WSMsgType, web

from web import protocol
from web.declare import HUB, Call, route
from web.errors import Refused

MESSAGE_MOST_BYTES = 2**16  # from clients, who have little to say
PING_S = 30.0  # a client that does not answer is gone


class SocketQuery(msgspec.Struct, rename="camel"):
    """Who connects."""

    client_id: Annotated[str, msgspec.Meta(max_length=200, description="as given to /prompt; none: a new one")] = ""


@route("GET", "/ws", ready=False, answers={101: None})
async def listen(call: Call, query: SocketQuery) -> web.WebSocketResponse:
    """A WebSocket with messages about the queue and about the client's own jobs.

    The first message from the server has the client's id. Ask `/jobs/{id}/events` for what was missed while away.
    """
    connection = web.WebSocketResponse(heartbeat=PING_S, compress=False, max_msg_size=MESSAGE_MOST_BYTES)
    if not connection.can_prepare(call.request):
        raise Refused(
            426, "upgrade_required", "This is for WebSockets; connect with one.", headers={"Upgrade": "websocket"}
        )
    await connection.prepare(call.request)
    transport = call.request.transport
    if transport is None:  # gone already
        return connection
    hub = call.request.app[HUB]
    socket = hub.join(connection, transport, protocol.client_of(call.user, query.client_id or uuid.uuid4().hex))
    sender = asyncio.create_task(socket.send())
    try:
        is_first = True
        async for message in connection:
            if message.type is WSMsgType.TEXT and is_first:
                features = protocol.features_of_client(message.data)
                if features is not None:
                    socket.features = features
                    socket.put(protocol.encode(protocol.feature_flags(call.settings.upload_most_bytes)))
                is_first = False
    finally:
        hub.leave(socket)
        with contextlib.suppress(asyncio.CancelledError):
            await sender
    return connection
