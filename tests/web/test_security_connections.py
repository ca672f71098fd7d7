"""Slow and silent clients, too many of them, and what is no HTTP: connections have limits, and others go on."""

import asyncio
import json
import logging
import socket
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from web.connections import HEADER_MOST_BYTES, HEADERS_MOST, Limits, runner

PATIENCE_S = 60.0
GET = b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
QUICK = Limits(idle_s=0.5, stalled_s=0.5)
LONG = Limits(idle_s=3600, stalled_s=3600)


class Place:
    """A server with these limits, and what happened to its handlers."""

    def __init__(self, port: int, running: web.AppRunner) -> None:
        self.port = port
        self.running = running

    async def connect(self, sent: bytes = b"", *, small: bool = False) -> socket.socket:
        """A client that has sent this; `small`: it takes next to nothing."""
        end = socket.socket()
        if small:
            end.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        end.setblocking(False)
        loop = asyncio.get_running_loop()
        await loop.sock_connect(end, ("127.0.0.1", self.port))
        await loop.sock_sendall(end, sent)
        return end

    async def ask(self, sent: bytes) -> bytes:
        """What the server answers until it closes the connection."""
        with await self.connect(sent) as end:
            return await rest(end)

    @property
    def connections(self) -> int:
        assert self.running.server is not None
        return len(self.running.server.connections)

    async def until(self, holds: Callable[[], bool]) -> None:
        """Wait for something that is going to hold."""
        async with asyncio.timeout(PATIENCE_S):
            while not holds():
                await asyncio.sleep(0.01)


async def rest(end: socket.socket) -> bytes:
    """All that comes until the other side closes."""
    found = b""
    async with asyncio.timeout(PATIENCE_S):
        try:
            while more := await asyncio.get_running_loop().sock_recv(end, 65536):
                found += more
        except ConnectionError:
            pass
    return found


@asynccontextmanager
async def place(limits: Limits, folder: Path, access_log: logging.Logger | None = None) -> AsyncIterator[Place]:
    big = folder / "big.bin"
    big.write_bytes(bytes(32 * 2**20))

    async def root(request: web.Request) -> web.Response:
        return web.Response(text="here")

    async def made(request: web.Request) -> web.Response:
        return web.Response(body=bytes(32 * 2**20))

    async def file(request: web.Request) -> web.FileResponse:
        return web.FileResponse(big)

    async def body(request: web.Request) -> web.Response:
        try:
            return web.Response(text=str(len(await request.read())))
        except ConnectionError:
            request.app[LOST].set()
            raise

    async def listen(request: web.Request) -> web.WebSocketResponse:
        connection = web.WebSocketResponse()
        await connection.prepare(request)
        async for message in connection:
            await connection.send_str(message.data)
        return connection

    app = web.Application()
    app[LOST] = asyncio.Event()
    app.add_routes([web.get("/", root), web.get("/made", made), web.get("/file", file), web.get("/ws", listen)])
    app.add_routes([web.post("/body", body)])
    running = runner(app, limits=limits, access_log=access_log)
    await running.setup()
    try:
        await web.TCPSite(running, "127.0.0.1", 0).start()
        yield Place(running.addresses[0][1], running)
    finally:
        await running.cleanup()


LOST: web.AppKey[asyncio.Event] = web.AppKey("lost", asyncio.Event)


def run(
    folder: Path, limits: Limits, work: Callable[[Place], Coroutine[Any, Any, None]], log: logging.Logger | None = None
) -> None:
    async def inside() -> None:
        async with place(limits, folder, log) as found:
            await work(found)

    asyncio.run(inside())


@pytest.mark.parametrize("begun", [b"", b"G", b"GET / HTTP/1.1\r\nHost: localhost\r\nX-Slow: ", GET[:-2]])
def test_slow_clients_a_header_that_does_not_end_is_not_waited_for(tmp_path: Path, begun: bytes) -> None:
    async def work(server: Place) -> None:
        assert await server.ask(begun) == b""
        await server.until(lambda: server.connections == 0)

    run(tmp_path, QUICK, work)


def test_slow_clients_a_dripping_header_gains_no_time(tmp_path: Path) -> None:
    async def work(server: Place) -> None:
        with await server.connect(b"GET / HTTP/1.1\r\nHost: localhost\r\n") as end:

            async def drip() -> None:
                while True:
                    await asyncio.get_running_loop().sock_sendall(end, b"X: y\r\n")
                    await asyncio.sleep(0.1)

            dripping = asyncio.create_task(drip())
            await rest(end)
            dripping.cancel()
            await asyncio.gather(dripping, return_exceptions=True)

    run(tmp_path, QUICK, work)


@pytest.mark.parametrize("length", [b"Content-Length: 1000000", b"Transfer-Encoding: chunked"])
def test_slow_clients_a_dripping_body_is_given_up_and_its_route_is_told(tmp_path: Path, length: bytes) -> None:
    async def work(server: Place) -> None:
        head = b"POST /body HTTP/1.1\r\nHost: localhost\r\n" + length + b"\r\n\r\n"
        with await server.connect(head) as end:

            async def drip() -> None:
                while True:
                    await asyncio.get_running_loop().sock_sendall(end, b"1\r\nx\r\n")
                    await asyncio.sleep(0.2)

            dripping = asyncio.create_task(drip())
            assert b" 200 " not in await rest(end)
            await asyncio.wait_for(server.running.app[LOST].wait(), PATIENCE_S)
            dripping.cancel()
            await asyncio.gather(dripping, return_exceptions=True)

    run(tmp_path, QUICK, work)


def test_a_body_that_keeps_coming_may_take_its_time(tmp_path: Path) -> None:
    async def work(server: Place) -> None:
        with await server.connect(b"POST /body HTTP/1.1\r\nHost: localhost\r\nContent-Length: 20000\r\n") as end:
            loop = asyncio.get_running_loop()
            await loop.sock_sendall(end, b"Connection: close\r\n\r\n")
            for _ in range(20):  # several looks long
                await loop.sock_sendall(end, bytes(1000))
                await asyncio.sleep(0.1)
            assert (await rest(end)).endswith(b"20000")

    run(tmp_path, QUICK, work)


@pytest.mark.parametrize("path", [b"/made", b"/file"])
def test_slow_clients_one_that_takes_nothing_is_given_up(tmp_path: Path, path: bytes) -> None:
    if path == b"/file" and not hasattr(socket, "TCP_USER_TIMEOUT"):
        pytest.skip("only Linux gives up such a client of files that it sends by itself")

    async def work(server: Place) -> None:
        with await server.connect(GET.replace(b"/ ", path + b" ", 1), small=True):
            await server.until(lambda: server.connections == 1)
            await server.until(lambda: server.connections == 0)

    run(tmp_path, QUICK, work)


def test_a_quiet_websocket_stays(tmp_path: Path) -> None:
    async def work(server: Place) -> None:
        from aiohttp import ClientSession

        async with ClientSession() as session, session.ws_connect(f"http://127.0.0.1:{server.port}/ws") as connection:
            await server.ask(b"")  # as long as the server bears with one who says nothing
            await server.ask(b"")
            await server.ask(b"")
            await connection.send_str("still here")
            assert await connection.receive_str() == "still here"

    run(tmp_path, QUICK, work)


def test_many_silent_connections_keep_nobody_out(tmp_path: Path) -> None:
    async def work(server: Place) -> None:
        ends = [await server.connect(GET[:10]) for _ in range(3 * 20)]
        assert b"here" in await server.ask(GET)
        await server.until(lambda: server.connections <= 20)
        for end in ends:
            end.close()

    run(tmp_path, Limits(most=20, idle_s=3600, stalled_s=3600), work)


def test_the_connection_that_waits_longest_makes_room(tmp_path: Path) -> None:
    async def work(server: Place) -> None:
        old = await server.connect()
        await server.until(lambda: server.connections == 1)
        young = await server.connect()
        await server.until(lambda: server.connections == 2)
        assert b"here" in await server.ask(GET)
        assert await rest(old) == b""
        await asyncio.get_running_loop().sock_sendall(young, GET)
        assert b"here" in await rest(young)
        old.close()
        young.close()

    run(tmp_path, Limits(most=2, idle_s=3600, stalled_s=3600), work)


def test_when_all_connections_are_at_work_one_more_is_told_so(tmp_path: Path) -> None:
    async def work(server: Place) -> None:
        begun = b"POST /body HTTP/1.1\r\nHost: localhost\r\nContent-Length: 2\r\nConnection: close\r\n\r\n1"
        ends = [await server.connect(begun) for _ in range(5)]
        await server.until(lambda: server.connections == 5 and not any(each.waits for each in connections(server)))
        answer = await server.ask(b"")
        assert answer.startswith(b"HTTP/1.1 503 ")
        assert json.loads(answer.split(b"\r\n\r\n")[1])["error"]["message"].endswith(".")
        for end in ends:
            await asyncio.get_running_loop().sock_sendall(end, b"2")
            assert b" 200 " in await rest(end)
            end.close()
        assert b"here" in await server.ask(GET)

    run(tmp_path, Limits(most=5, idle_s=3600, stalled_s=3600), work)


def connections(server: Place) -> list[Any]:
    assert server.running.server is not None
    return list(server.running.server.connections)


@pytest.mark.parametrize(
    "sent",
    [b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n", b"GARBAGE\r\n\r\n", b"GET / HTTP/9.9.9\r\n\r\n",
     b"GET /" + b"a" * HEADER_MOST_BYTES + b" HTTP/1.1\r\nHost: a\r\n\r\n",
     b"GET / HTTP/1.1\r\nHost: a\r\nX: " + b"a" * 2 * HEADER_MOST_BYTES + b"\r\n\r\n",
     b"GET / HTTP/1.1\r\nHost: a\r\n" + b"X: y\r\n" * 2 * HEADERS_MOST + b"\r\n",
     b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", b"GET / HTTP/1.1\r\nHost: a\r\nX y: z\r\n\r\n",
     b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
     b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\nabcd",
     b"GET / HTTP/1.1\r\nHost: a\r\nX: a\x00b\r\n\r\n"],
)  # fmt: skip
def test_what_is_no_http_gets_an_error_of_the_usual_shape(
    tmp_path: Path, sent: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    async def work(server: Place) -> None:
        answer = await server.ask(sent)
        head, body = answer.split(b"\r\n\r\n", 1)
        assert head.split()[1] == b"400"
        assert b"nosniff" in head
        assert json.loads(body)["error"]["message"].endswith(".")
        assert b"here" in await server.ask(GET)

    run(tmp_path, LONG, work)
    assert not [each for each in caplog.records if each.levelno > logging.INFO]


def test_the_access_log_shows_no_query(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    async def work(server: Place) -> None:
        for query in (b"token=the-secret", b"a=1&%74oken=the-secret", b"x#token=the-secret"):
            await server.ask(GET.replace(b"/ ", b"/?" + query + b" ", 1))
        await server.ask(GET.replace(b"/ ", b"/%0aforged ", 1))

    caplog.set_level(logging.DEBUG)
    run(tmp_path, LONG, work, logging.getLogger("access"))
    said = [each.getMessage() for each in caplog.records if each.name == "access"]
    assert len(said) == 4
    assert all(" GET /" in each and "\n" not in each for each in said)
    assert "the-secret" not in "".join(said)
