"""Connections: how many there may be, how long they may stand still, and how large their headers are."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
from dataclasses import dataclass
from typing import Any, cast

from aiohttp import web
from aiohttp.http import HttpProcessingError

from web.errors import Refused
from web.logs import AccessLog
from web.security import HEADERS

log = logging.getLogger(__name__)

HEADER_MOST_BYTES = 8190  # of the first line, and of each header
HEADERS_MOST = 64
LINGER_S = 5.0  # how long the rest of a refused body is read, so that the client gets to see the answer


@dataclass(frozen=True, slots=True)
class Limits:
    """What one server bears of its clients."""

    most: int = 1000  # at once; above it those that wait for a request make room, the one that waits longest first
    idle_s: float = 75.0  # between requests, and for all of a header
    stalled_s: float = 60.0  # for bytes on their way, in either direction
    least_bytes_s: float = 100.0  # of a body: whoever sends less is no slow network


def runner(
    app: web.Application,
    *,
    limits: Limits = Limits(),
    access_log: logging.Logger | None = None,
    shutdown_s: float = 5.0,
) -> web.AppRunner:
    """What serves an application within these limits."""
    return _Runner(app, limits, access_log=access_log, shutdown_timeout=shutdown_s)


class _Runner(web.AppRunner):
    def __init__(self, app: web.Application, limits: Limits, **kwargs: Any) -> None:
        super().__init__(
            app,
            handle_signals=False,
            access_log_class=AccessLog,
            keepalive_timeout=limits.idle_s,
            lingering_time=LINGER_S,
            auto_decompress=False,  # compressed bodies are refused before anybody looks into them
            max_line_size=HEADER_MOST_BYTES,
            max_field_size=HEADER_MOST_BYTES,
            max_headers=HEADERS_MOST,
            **kwargs,
        )
        self._limits = limits

    async def _make_server(self) -> web.Server:
        return _Server(await super()._make_server(), self._limits)


class _Server(web.Server):
    """Knows its connections, and looks after them now and then."""

    def __init__(self, server: web.Server, limits: Limits) -> None:
        super().__init__(
            server.request_handler,
            request_factory=server.request_factory,
            handler_cancellation=server.handler_cancellation,
            **server._kwargs,
        )
        self.limits = limits
        self._look_later()

    def __call__(self) -> _Connection:
        return _Connection(self, loop=self._loop, **self._kwargs)

    def has_room(self) -> bool:
        """Whether one more connection may come, if need be in place of one that waits for a request."""
        if len(self._connections) < self.limits.most:
            return True
        waiting = [each for each in map(_known, self._connections) if each.waits]
        if waiting:
            min(waiting, key=lambda each: each.waits_since).abort()
        return bool(waiting)

    async def shutdown(self, timeout: float | None = None) -> None:
        """End all connections."""
        self._timer.cancel()
        await super().shutdown(timeout)

    def _look_later(self) -> None:
        self._timer = self._loop.call_later(self.limits.stalled_s, self._look)

    def _look(self) -> None:
        for each in list(map(_known, self._connections)):
            each.look()
        self._look_later()


def _known(connection: web.RequestHandler) -> _Connection:
    return cast(_Connection, connection)  # made by __call__, as all of them are


class _Connection(web.RequestHandler):
    """One connection; what has come and gone over it since somebody last looked."""

    __slots__ = ("_is_moving", "_received", "_seen_requests", "_server", "_unsent", "_wire", "waits_since")

    def __init__(self, server: _Server, **kwargs: Any) -> None:
        super().__init__(server, **kwargs)
        self._server = server
        self._wire: asyncio.Transport | None = None  # until it is lost; the base class forgets it sooner
        self._received = 0
        self._unsent = 0
        self._seen_requests = 0
        self._is_moving = True
        self.waits_since = self._loop.time()

    @property
    def waits(self) -> bool:
        """Whether it is between requests, or amid a header."""
        return self._wire is not None and not self._request_in_progress and not self._messages

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        wire = cast(asyncio.Transport, transport)
        if not self._server.has_room():
            log.warning("All %d connections are in use; another one was refused.", self._server.limits.most)
            refused = Refused(503, "too_many_connections", "The server has too many connections; come back later.")
            body = cast(bytes, refused.response().body)
            wire.write(
                b"HTTP/1.1 503 Service Unavailable\r\nContent-Type: application/json\r\nConnection: close\r\n"
                b"Retry-After: 5\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body)
            )
            wire.close()
            self._force_close = True  # what it sends is not read
            self._manager = None
            return
        self._wire = wire
        end = transport.get_extra_info("socket")
        if hasattr(socket, "TCP_USER_TIMEOUT") and end is not None and end.family in {socket.AF_INET, socket.AF_INET6}:
            # Linux itself then gives up a client that takes nothing, also of a file that it sends by itself.
            with contextlib.suppress(OSError):
                end.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, int(self._server.limits.stalled_s * 1000))
        super().connection_made(transport)

    def connection_lost(self, exc: BaseException | None) -> None:
        self._wire = None
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        self._received += len(data)
        super().data_received(data)

    def resume_writing(self) -> None:
        self._is_moving = True
        super().resume_writing()

    def log_access(self, request: web.BaseRequest, response: web.StreamResponse, time: float | None) -> None:
        self.waits_since = self._loop.time()  # an answer has gone out
        super().log_access(request, response, time)

    def log_exception(self, *args: Any, **kw: Any) -> None:
        if not isinstance(kw.get("exc_info"), OSError):  # such as a client that is gone, or takes nothing
            super().log_exception(*args, **kw)

    def look(self) -> None:
        """End it if it stood still since the last look."""
        limits = self._server.limits
        if self._wire is None:
            return
        unsent = self._wire.get_write_buffer_size()
        takes_nothing = unsent > 0 and unsent == self._unsent and not self._is_moving
        owes = self._owes_body and self._seen_requests == self._request_count  # then as well as now
        if takes_nothing or (owes and self._received < limits.least_bytes_s * limits.stalled_s):
            log.info("A client stood still for %.0f s and was let go.", limits.stalled_s)
            self.abort()
        self._unsent, self._is_moving = unsent, False
        self._received, self._seen_requests = 0, self._request_count

    @property
    def _owes_body(self) -> bool:
        request = self._current_request
        return request is not None and not (self._upgraded or self._reading_paused or request.content.is_eof())

    def abort(self) -> None:
        """End it at once, with whatever waits to be sent."""
        wire, self._wire = self._wire, None
        if wire is not None:
            wire.abort()

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        """The answer to what never became a request, or could not be answered: of the shape of all errors."""
        if isinstance(exc, HttpProcessingError):
            log.debug("What %s sent is no HTTP: %s", request.remote, type(exc).__name__)
            why = "The request is no HTTP that this server knows, or its first line or headers are too long."
            refused = Refused(400, "invalid_request", why)
        elif isinstance(exc, ConnectionError):
            raise exc  # nobody is there to be answered
        else:
            super().handle_error(request, status, exc, message)  # logs it, and raises if an answer is under way
            refused = Refused(status, "internal", "The server failed at this, which is its fault; its log has more.")
        response = refused.response()
        response.headers.update(HEADERS)
        response.force_close()
        return response
