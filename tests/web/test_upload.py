"""Uploads lie where they belong under a name of their own, or leave nothing behind."""

import asyncio
import shutil
import unicodedata
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.web.files import bomb, files, form, png, sentence, taken, with_client
from tests.web.server import Client
from web import uploads

SECRET = b"nobody shall read or overwrite this"


def test_a_file_comes_to_lie_in_the_folder_that_is_asked_for(tmp_path: Path) -> None:
    async def use(client: Client) -> None:
        assert await taken(client, png()) == {"name": "a.png", "subfolder": "", "type": "input"}
        asked = {"type": "temp", "subfolder": "deep/er"}
        assert await taken(client, b"sound", "b.mp3", **asked) == {"name": "b.mp3", **asked}
        asked = {"type": "output", "subfolder": "3d"}
        assert await taken(client, b"glTF", "c.glb", **asked) == {"name": "c.glb", **asked}
        assert (await taken(client, png(), "d.png", subfolder="win\\dows"))["subfolder"] == "win/dows"
        answer = await client.post("/api/upload/image", data=form(b"{}", "e.json"))
        assert answer.status == 200
        assert files(tmp_path) == {
            "input/a.png": png(), "temp/deep/er/b.mp3": b"sound", "output/3d/c.glb": b"glTF",
            "input/win/dows/d.png": png(), "input/e.json": b"{}",
        }  # fmt: skip
        viewed = await client.get("/view", params={"filename": "a.png", "type": "input"})
        assert await viewed.read() == png()

    with_client(tmp_path, use)


def test_files_are_readable_as_any_other_that_is_made(tmp_path: Path) -> None:
    async def use(client: Client) -> None:
        await taken(client, png())
        (tmp_path / "other").touch()
        assert (tmp_path / "input" / "a.png").stat().st_mode == (tmp_path / "other").stat().st_mode

    with_client(tmp_path, use)


def test_the_same_file_is_kept_once_and_another_one_gets_a_number(tmp_path: Path) -> None:
    async def use(client: Client) -> None:
        names = [(await taken(client, png(colour)))["name"] for colour in ("red", "blue", "red", "blue", "green")]
        assert names == ["a.png", "a (1).png", "a.png", "a (1).png", "a (2).png"]
        for yes in ("true", "1"):
            assert (await taken(client, png("black"), overwrite=yes))["name"] == "a.png"
        assert (await taken(client, png("white"), overwrite="false"))["name"] == "a (3).png"
        assert files(tmp_path) == {
            "input/a.png": png("black"), "input/a (1).png": png("blue"), "input/a (2).png": png("green"),
            "input/a (3).png": png("white"),
        }  # fmt: skip

    with_client(tmp_path, use)


def test_files_of_one_name_sent_at_once_all_stay(tmp_path: Path) -> None:
    contents = [str(number // 2).encode() * 1000 for number in range(40)]  # each twice

    async def use(client: Client) -> None:
        answers = await asyncio.gather(*(taken(client, content, "same.txt") for content in contents))
        lying = files(tmp_path)
        assert len(lying) == 20
        for content, answer in zip(contents, answers, strict=True):
            assert lying[f"input/{answer['name']}"] == content

    with_client(tmp_path, use)


def test_what_lies_in_the_way_is_not_harmed(tmp_path: Path) -> None:
    (tmp_path / "input" / "a.png").mkdir(parents=True)
    (tmp_path / "secret.txt").write_bytes(SECRET)
    (tmp_path / "input" / "link.txt").symlink_to(tmp_path / "secret.txt")
    (tmp_path / "input" / "file").touch()

    async def use(client: Client) -> None:
        assert (await taken(client, png()))["name"] == "a (1).png"
        refused = await client.post("/upload/image", data=form(png(), overwrite="true"))
        await sentence(refused, 400)
        assert (await taken(client, b"x", "link.txt"))["name"] == "link (1).txt"
        assert (await taken(client, b"y", "link.txt", overwrite="1"))["name"] == "link.txt"
        assert (tmp_path / "secret.txt").read_bytes() == SECRET
        assert "cannot be written" in await sentence(
            await client.post("/upload/image", data=form(png(), subfolder="file")), 400
        )
        assert set(files(tmp_path)) == {"input/a (1).png", "input/file", "input/link (1).txt", "input/link.txt"}

    with_client(tmp_path, use)


def test_names_of_all_languages_are_kept_in_one_form(tmp_path: Path) -> None:
    names = ["Grün & Blau.png", "写真 (1).png", "🖼.png", "a%20b.png", "it's.png", unicodedata.normalize("NFD", "é.png")]

    async def use(client: Client) -> None:
        for name in names:
            expected = unicodedata.normalize("NFC", name)
            assert (await taken(client, png(), name, subfolder="ü"))["name"] == expected
            viewed = await client.get("/view", params={"filename": expected, "type": "input", "subfolder": "ü"})
            assert await viewed.read() == png()

    with_client(tmp_path, use)


# -- what is refused


@pytest.mark.parametrize(
    "name",
    [
        *("page.html", "page.htm", "drawing.svg", "page.xhtml", "page.xml", "script.js", "script.mjs", "style.css"),
        *(
            "node.py",
            "model.ckpt",
            "model.pt",
            "model.pth",
            "model.bin",
            "model.pkl",
            "shard_0.pickle",
            "a.npy",
            "a.npz",
        ),
        *("run.exe", "run.sh", "run.bat", "run.ps1", "lib.dll", "lib.so", "book.pdf", "conf.ini", "conf.yaml", "a.zip"),
        *("a.jar", "a.png.html", "none", "a.png\u202egnp.html"),
    ],
)
def test_code_and_pickles_are_not_taken(tmp_path: Path, name: str) -> None:
    async def use(client: Client) -> None:
        for where in ("input", "output", "temp"):
            answer = await client.post("/upload/image", data=form(b"<script>", name, type=where))
            await sentence(answer, 400 if "\u202e" in name else 415)
        assert files(tmp_path) == {}

    with_client(tmp_path, use)


@pytest.mark.parametrize(
    ("content", "name", "fields", "status"),
    [
        (b"x", None, {}, 400),
        (b"x", "", {}, 400),
        (b"x", " ", {}, 400),
        (b"x", "../a.txt", {}, 400),
        (b"x", "sub/a.txt", {}, 400),
        (b"x", "..\\a.txt", {}, 400),
        (b"x", ".hidden.txt", {}, 400),
        (b"x", "con.txt", {}, 400),
        (b"x", "COM1.a.txt", {}, 400),
        (b"x", "a.txt.", {}, 400),
        (b"x", "a.txt ", {}, 400),
        (b"x", "a\u2028.txt", {}, 400),
        (b"x", "x" * 252 + ".txt", {}, 400),
        (b"x", "ü" * 126 + ".txt", {}, 400),
        (b"x", "a.txt [output]", {}, 415),
        (b"x", "a.txt", {"type": "models"}, 400),
        (b"x", "a.txt", {"type": "../user"}, 400),
        (b"x", "a.txt", {"subfolder": ".."}, 400),
        (b"x", "a.txt", {"subfolder": "a/../../user"}, 400),
        (b"x", "a.txt", {"subfolder": "/tmp"}, 400),
        (b"x", "a.txt", {"subfolder": "..\\user"}, 400),
        (b"x", "a.txt", {"subfolder": ".git"}, 400),
        (b"x", "a.txt", {"subfolder": "a\0"}, 400),
        (b"x", "a.txt", {"subfolder": "a/" * 9}, 400),
        (b"x", "a.txt", {"subfolder": "x" * 300}, 400),
        (b"x", "a.txt", {"subfolder": "x" * 70_000}, 413),
        (b"x", "a.txt", {f"field {number}": "" for number in range(17)}, 400),
        (b"<svg/>", "a.png", {}, 400),
        (b"", "a.png", {}, 400),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n", "a.png", {}, 400),
        (b"x" * 200_001, "a.txt", {}, 413),
    ],
)
def test_what_cannot_be_taken_leaves_nothing_behind(
    tmp_path: Path, content: bytes, name: str | None, fields: dict[str, str], status: int
) -> None:
    async def use(client: Client) -> None:
        await sentence(await client.post("/upload/image", data=form(content, name, **fields)), status)
        assert files(tmp_path) == {}
        assert not list((tmp_path / "input").glob("*"))

    with_client(tmp_path, use, upload_most_bytes=200_000)


def test_just_as_much_as_the_limit_is_taken(tmp_path: Path) -> None:
    async def use(client: Client) -> None:
        await taken(client, b"x" * 200_000, "a.txt")
        assert "200" not in await sentence(
            await client.post("/upload/image", data=form(b"x" * 2_000_000, "b.txt")), 413
        )

    with_client(tmp_path, use, upload_most_bytes=200_000)


def test_a_body_that_says_it_is_too_large_is_refused_before_it_comes(tmp_path: Path) -> None:
    async def use(client: Client) -> None:
        reader, writer = await asyncio.open_connection(client.host, client.port)
        writer.write(
            b"POST /upload/image HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 3000000\r\n"
            b"Content-Type: multipart/form-data; boundary=b\r\n\r\n"
        )
        async with asyncio.timeout(10):
            assert b" 413 " in await reader.readline()
        writer.close()

    with_client(tmp_path, use, upload_most_bytes=200_000)


def test_bombs_are_refused(tmp_path: Path) -> None:
    async def use(client: Client) -> None:
        answer = await client.post("/upload/image", data=form(bomb(20_000, 20_000), "a.png"))
        assert "too large" in await sentence(answer, 413)
        assert files(tmp_path) == {}

    with_client(tmp_path, use)


def test_two_files_in_one_request_are_refused(tmp_path: Path) -> None:
    async def use(client: Client) -> None:
        made = form(b"x", "a.txt")
        made.add_field("image", b"y", filename="b.txt")
        assert "one file" in await sentence(await client.post("/upload/image", data=made), 400)
        assert files(tmp_path) == {}

    with_client(tmp_path, use)


@pytest.mark.parametrize(
    ("kind", "body"),
    [
        ("application/json", b"{}"),
        ("multipart/mixed; boundary=b", b"--b--"),
        ("multipart/form-data", b"--b--"),
        ("multipart/form-data; boundary=b", b""),
        ("multipart/form-data; boundary=b", b"--b--"),
        ("multipart/form-data; boundary=b", b"no form at all\r\n" * 10),
        ("multipart/form-data; boundary=b", b"--b\r\n\r\nno name\r\n--b--"),
        ("multipart/form-data; boundary=b", b"--b\r\nContent-Type: multipart/mixed; boundary=c\r\n\r\n--c--\r\n--b--"),
        (
            "multipart/form-data; boundary=b",
            b'--b\r\nContent-Disposition: form-data; name="\xff"\r\n\r\nx\r\n'
            b'--b\r\nContent-Disposition: form-data; name="image"; filename="a.txt"\r\n\r\nx\r\n--b--',
        ),
        ("multipart/form-data; boundary=b", b"--b\r\nNo header\r\n\r\nx\r\n--b--"),
        ("multipart/form-data; boundary=b", b"--b\r\n" + b"X-Y: z\r\n" * 500 + b"\r\nx\r\n--b--"),
        (
            "multipart/form-data; boundary=b",
            b'--b\r\nContent-Disposition: form-data; name="type"\r\n\r\n\xff\xfe\r\n--b--',
        ),
        (
            "multipart/form-data; boundary=b",
            b'--b\r\nContent-Disposition: form-data; name="image"; filename="a.txt"\r\n\r\nbroken off',
        ),
        ("multipart/form-data; boundary=" + "b" * 100, b"--" + b"b" * 100 + b"--"),
    ],
)
def test_a_body_that_is_no_form_is_refused(tmp_path: Path, kind: str, body: bytes) -> None:
    async def use(client: Client) -> None:
        answer = await client.post("/upload/image", data=body, headers={"Content-Type": kind})
        await sentence(answer, 400)
        assert files(tmp_path) == {}

    with_client(tmp_path, use)


def test_no_form_however_broken_is_the_servers_fault(tmp_path: Path) -> None:
    whole = (
        b'--b\r\nContent-Disposition: form-data; name="image"; filename="a.txt"\r\n\r\ncontent\r\n'
        b'--b\r\nContent-Disposition: form-data; name="subfolder"\r\n'
        b"Content-Transfer-Encoding: base64\r\n\r\nYQ==\r\n--b--\r\n"
    )
    bodies: list[bytes] = []

    @settings(max_examples=200, deadline=None, suppress_health_check=list(HealthCheck))
    @given(st.data())
    def break_one(data: st.DataObject) -> None:
        body = bytearray(whole)
        for _ in range(data.draw(st.integers(1, 3))):
            place, length = data.draw(st.integers(0, len(body))), data.draw(st.integers(0, 9))
            body[place : place + length] = data.draw(
                st.binary(max_size=4)
                | st.sampled_from([b"\r\n", b"--b", b"--b--", b'"', b";", b"*=x''%ff", b"_charset_"])
            )
        bodies.append(bytes(body))

    break_one()

    async def use(client: Client) -> None:
        for body in bodies:
            headers = {"Content-Type": "multipart/form-data; boundary=b"}
            answer = await client.post("/upload/image", data=body, headers=headers)
            assert answer.status in {200, 400, 413, 415}, body
            await answer.read()
        assert not [name for name in files(tmp_path) if name.endswith(".part")]

    with_client(tmp_path, use)


def test_a_client_that_breaks_off_leaves_nothing_behind(tmp_path: Path) -> None:
    async def use(client: Client) -> None:
        _, writer = await asyncio.open_connection(client.host, client.port)
        writer.write(
            b"POST /upload/image HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 10000000\r\n"
            b"Content-Type: multipart/form-data; boundary=b\r\n\r\n"
            b'--b\r\nContent-Disposition: form-data; name="image"; filename="a.txt"\r\n\r\n' + b"x" * 600_000
        )
        await writer.drain()
        await until(lambda: any(len(content) > 200_000 for content in files(tmp_path).values()))
        writer.transport.abort()
        await until(lambda: files(tmp_path) == {})

    with_client(tmp_path, use)


async def until(is_so: Callable[[], bool]) -> None:
    """Wait for a condition, at most for ten seconds."""
    async with asyncio.timeout(10):
        while not is_so():
            await asyncio.sleep(0)


def test_a_client_that_stops_sending_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(uploads, "BODY_S", 0.05)

    async def use(client: Client) -> None:
        reader, writer = await asyncio.open_connection(client.host, client.port)
        writer.write(
            b"POST /upload/image HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 1000\r\n"
            b"Content-Type: multipart/form-data; boundary=b\r\n\r\n"
            b'--b\r\nContent-Disposition: form-data; name="image"; filename="a.txt"\r\n\r\nx'
        )
        async with asyncio.timeout(10):
            assert b" 408 " in await reader.readline()
        assert files(tmp_path) == {}
        writer.close()

    with_client(tmp_path, use)


def test_uploads_leave_disk_space_to_others(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda path: SimpleNamespace(free=uploads.FREE_LEAST_BYTES - 1))

    async def use(client: Client) -> None:
        assert "disk is too full" in await sentence(await client.post("/upload/image", data=form(b"x", "a.txt")), 507)
        assert files(tmp_path) == {}

    with_client(tmp_path, use)


def test_a_folder_holds_only_so_many_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(uploads, "FILES_MOST", 3)

    async def use(client: Client) -> None:
        for number in range(3):
            await taken(client, b"x", f"{number}.txt")
        assert "3 files already" in await sentence(await client.post("/upload/image", data=form(b"x", "4.txt")), 507)
        assert len(files(tmp_path)) == 3

    with_client(tmp_path, use)
