"""Bodies that are more than they seem: huge, deep, compressed, pictures of a billion pixels, frames without end."""

import asyncio
import gzip
import json
import zlib
from collections.abc import Callable, Coroutine
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from aiohttp import ClientSession, WSMsgType, web
from PIL import Image

from tests.web.server import Client, serving
from tests.web.test_published_holes import upload
from tests.web.test_security import sentence
from web.app import make_app
from web.connections import runner
from web.services import Services
from web.settings import Settings

POSTS = ("/prompt", "/queue", "/history", "/free", "/interrupt", "/settings", "/settings/a", "/api/prompt", "/login")


def ask(tmp_path: Path, work: Callable[[Client], Coroutine[Any, Any, None]], **settings: Any) -> None:
    async def run() -> None:
        async with serving(tmp_path, **settings) as (client, _):
            await work(client)
            async with client.get("/queue") as answer:
                assert answer.status == 200  # the server goes on

    asyncio.run(run())


@pytest.mark.parametrize(
    "body",
    [b"[" * 100_000, b'{"a":' * 100_000, b"[" * 5000 + b"]" * 5000, b'{"prompt":' + b"[" * 200 + b"]" * 200 + b"}",
     b'{"a":' * 150 + b"1" + b"}" * 150, b"1" * 100_000, b'"\\ud800"', b"\xff\xfe", b'{"a": NaN', b"{" * 1_000_000],
)  # fmt: skip
def test_deeply_nested_and_endless_json_is_refused_in_a_sentence(tmp_path: Path, body: bytes) -> None:
    async def work(client: Client) -> None:
        for path in ("/prompt", "/queue", "/settings"):
            async with client.post(path, data=body, headers={"Content-Type": "application/json"}) as answer:
                assert answer.status == 400
                await sentence(answer)

    ask(tmp_path, work)


@pytest.mark.parametrize("piece", [b"[],", b"1,", b'{"a":1},', b'"",'])
def test_a_body_of_very_many_values_is_refused_before_they_are_made(tmp_path: Path, piece: bytes) -> None:
    async def work(client: Client) -> None:
        body = b"[" + piece * 2_500_000 + b"1]"
        async with client.post("/prompt", data=body, headers={"Content-Type": "application/json"}) as answer:
            assert answer.status == 413
            await sentence(answer)

    ask(tmp_path, work)


@pytest.mark.parametrize("is_chunked", [False, True])
def test_oversized_json_is_refused_before_it_is_all_there(tmp_path: Path, is_chunked: bool) -> None:
    async def work(client: Client) -> None:
        async def pieces() -> Any:
            for _ in range(40):
                yield b" " * 100_000

        for path in POSTS:
            body = pieces() if is_chunked else b" " * 4_000_000
            async with client.post(path, data=body, headers={"Content-Type": "application/json"}) as answer:
                assert answer.status == 413, path
                await sentence(answer)

    ask(tmp_path, work, json_most_bytes=1_000_000)


@pytest.mark.parametrize("coding", ["gzip", "deflate", "br", "zstd", "GZIP", "gzip, gzip", "x-gzip", "compress"])
def test_compression_bombs_are_refused_without_being_opened(tmp_path: Path, coding: str) -> None:
    """With the server's own connections, which open nothing, and with those that would."""
    bomb = gzip.compress(b" " * 50_000_000, 9) if "gzip" in coding.lower() else zlib.compress(b" " * 50_000_000, 9)
    headers = {"Content-Encoding": coding, "Content-Type": "application/json"}

    async def run() -> None:
        ready: asyncio.Future[Services] = asyncio.get_running_loop().create_future()
        running = runner(make_app(Settings(tmp_path), ready))
        await running.setup()
        await web.TCPSite(running, "127.0.0.1", 0).start()
        url = f"http://127.0.0.1:{running.addresses[0][1]}"
        async with ClientSession() as session:
            for path in (*POSTS, "/upload/image", "/userdata/a.json"):
                async with session.post(url + path, data=bomb, headers=headers) as answer:
                    assert answer.status == 415, path
                    await sentence(answer)
        ready.cancel()
        await running.cleanup()

    asyncio.run(run())


def test_compressed_json_is_refused_where_connections_would_open_it(tmp_path: Path) -> None:
    async def work(client: Client) -> None:
        for path in POSTS:
            body, headers = gzip.compress(b'{"a": 1}'), {"Content-Encoding": "gzip", "Content-Type": "application/json"}
            async with client.post(path, data=body, headers=headers) as answer:
                assert answer.status == 415

    ask(tmp_path, work)


def bomb(form: str = "png") -> bytes:
    """A picture of 900 million pixels in a few bytes."""
    file = BytesIO()
    Image.new("1", (30_000, 30_000)).save(file, form)
    return file.getvalue()


def test_compression_bombs_that_are_pictures_are_refused(tmp_path: Path) -> None:
    picture = bomb()

    async def work(client: Client) -> None:
        status, answer = await upload(client, "a.png", picture)
        assert status == 413, answer
        folder = tmp_path / "input"
        folder.mkdir(exist_ok=True)
        (folder / "bomb.png").write_bytes(picture)
        for options in ("preview=webp", "preview=jpeg;90", "channel=rgb", "channel=a"):
            async with client.get(f"/view?filename=bomb.png&type=input&{options}") as found:
                assert found.status == 413
                await sentence(found)
        small = BytesIO()
        Image.new("RGBA", (8, 8)).save(small, "png")
        form = {"original_ref": json.dumps({"filename": "bomb.png", "type": "input"})}
        body = b"".join(
            b'--limit\r\nContent-Disposition: form-data; name="%b"%b\r\n\r\n%b\r\n' % part
            for part in (
                (b"image", b'; filename="a.png"', small.getvalue()),
                (b"original_ref", b"", form["original_ref"].encode()),
            )
        )
        headers = {"Content-Type": "multipart/form-data; boundary=limit"}
        async with client.post("/upload/mask", data=body + b"--limit--\r\n", headers=headers) as found:
            assert found.status == 413, await found.text()

    ask(tmp_path, work)


def test_compression_bombs_that_are_pictures_are_not_loaded_by_workflows(tmp_path: Path) -> None:
    pytest.importorskip("torch")
    from graph.registry import Registry
    from nodes import image

    async def work(client: Client) -> None:
        (tmp_path / "input").mkdir(exist_ok=True)
        (tmp_path / "input" / "bomb.png").write_bytes(bomb())
        prompt = {
            "1": {"class_type": "LoadImage", "inputs": {"image": "bomb.png"}},
            "2": {"class_type": "SaveImage", "inputs": {"images": ["1", 0], "filename_prefix": "a"}},
        }
        async with client.post("/prompt", json={"prompt": prompt}) as answer:
            assert answer.status == 400
            assert (await answer.json())["node_errors"]["1"]["errors"]

    ask(tmp_path, work, registry=Registry.scan_module(image))


@pytest.mark.parametrize("name", ["a.eps", "a.ps", "a.png", "a.jpg", "a.bmp"])
def test_pictures_that_start_programs_are_not_loaded(tmp_path: Path, name: str) -> None:
    """Pillow has Ghostscript draw PostScript, whatever the file is called."""
    pytest.importorskip("torch")
    from nodes.pictures import PictureError, check_picture, read_picture

    (tmp_path / name).write_bytes(
        b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 8 8\n%%EndComments\n(mark) (w) file closefile\nshowpage\n%%EOF\n"
    )
    for look in (check_picture, read_picture):
        with pytest.raises(PictureError, match="cannot be read as a picture"):
            look(tmp_path / name)


def test_a_websocket_agrees_to_no_compression_and_to_no_long_messages(tmp_path: Path) -> None:
    async def work(client: Client) -> None:
        async with client.ws_connect("/ws", compress=15) as connection:
            assert connection.compress == 0
            await connection.send_str("x" * 1_000_000)
            async with asyncio.timeout(60):
                while (message := await connection.receive()).type not in {WSMsgType.CLOSED, WSMsgType.CLOSE}:
                    pass
            assert message.type in {WSMsgType.CLOSED, WSMsgType.CLOSE}
            assert connection.close_code == 1009

    ask(tmp_path, work)


@pytest.mark.parametrize(
    "sent", ["", "{", "[" * 50_000, '{"type": 1}', "null", '{"type":"feature_flags","data":[]}', b"\x00" * 100, b""]
)
def test_what_a_websocket_is_sent_does_no_harm(tmp_path: Path, sent: str | bytes) -> None:
    async def work(client: Client) -> None:
        async with client.ws_connect("/ws") as connection:
            assert (await connection.receive_json())["type"] == "status"
            for _ in range(3):
                await (connection.send_str(sent) if isinstance(sent, str) else connection.send_bytes(sent))
            async with client.get("/queue") as answer:
                assert answer.status == 200

    ask(tmp_path, work)


@pytest.mark.parametrize(
    "start", [b"\x83\x00", b"\x8f\x80aaaa", b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff", b"GET / HT"]
)
def test_frames_that_are_none_end_the_connection_and_nothing_else(tmp_path: Path, start: bytes) -> None:
    async def work(client: Client) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", client.port)
        writer.write(
            b"GET /ws HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n" + start
        )
        assert b" 101 " in await asyncio.wait_for(reader.readline(), 60)
        writer.write_eof()
        await asyncio.wait_for(reader.read(), 60)
        writer.close()

    ask(tmp_path, work)
