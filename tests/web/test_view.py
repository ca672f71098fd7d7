"""/view sends what lies in the folders and nothing else, and no browser runs what it gets."""

import asyncio
import os
from email.utils import formatdate
from pathlib import Path
from urllib.parse import unquote

import pytest
from aiohttp import ClientResponse
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from tests.web.files import CHANGED_S, is_safe, picture, put, sentence, with_client
from tests.web.server import Client
from web.sending import disposition, kind_of

SECRET = b"nobody shall read this"


def test_a_file_comes_as_it_is_under_both_paths_and_from_all_folders(tmp_path: Path) -> None:
    async def use(client: Client) -> None:
        made = {
            where: picture(tmp_path / where / "a" / f"{where}.png", size=(2 + i, 2))
            for i, where in enumerate(("output", "input", "temp"))  # temp is emptied when a server starts
        }
        for path in ("/view", "/api/view"):
            for where in made:
                query = {"filename": f"{where}.png", "type": where, "subfolder": "a"}
                answer = await client.get(path, params=query)
                assert (answer.status, await answer.read()) == (200, made[where])
                assert answer.headers["Content-Type"] == "image/png"
                assert answer.headers["Content-Disposition"] == f'filename="{where}.png"'
                assert is_safe(answer)
        by_default = await client.get("/view", params={"filename": "output.png", "subfolder": "a"})
        assert await by_default.read() == made["output"]
        annotated = await client.get(
            "/view", params={"filename": "input.png [input]", "subfolder": "a", "type": "temp"}
        )
        assert await annotated.read() == made["input"]
        assert annotated.headers["Content-Disposition"] == 'filename="input.png"'
        base_name_only = await client.get("/view", params={"filename": "b/output.png", "subfolder": "a"})
        assert await base_name_only.read() == made["output"]

    with_client(tmp_path, use)


@pytest.mark.parametrize(
    ("query", "status"),
    [
        ({}, 404),
        ({"filename": ""}, 400),
        ({"filename": "/etc/passwd"}, 400),
        ({"filename": "../secret.txt"}, 400),
        ({"filename": "..\\secret.txt"}, 400),
        ({"filename": "../secret.txt [input]"}, 400),
        ({"filename": " [input]"}, 400),
        ({"filename": "a.png\0.txt"}, 400),
        ({"filename": "a.png", "type": "models"}, 400),
        ({"filename": "secret.txt", "subfolder": ".."}, 403),
        ({"filename": "secret.txt", "subfolder": "a/../.."}, 403),
        ({"filename": "passwd", "subfolder": "/etc"}, 403),
        ({"filename": "a.png", "subfolder": "a\0"}, 403),
        ({"filename": "none.png"}, 404),
        ({"filename": "a.png", "subfolder": "a.png"}, 404),
        ({"filename": "folder"}, 404),
        ({"filename": "."}, 404),
        ({"filename": "x" * 5000}, 404),
        ({"filename": "broken.png", "preview": "webp"}, 400),
        ({"filename": "none.png", "preview": "webp"}, 404),
        ({"filename": "text.txt", "channel": "a"}, 400),
    ],
)
def test_what_cannot_be_seen_is_refused_with_a_sentence(tmp_path: Path, query: dict[str, str], status: int) -> None:
    picture(tmp_path / "output" / "a.png")
    put(tmp_path / "output" / "broken.png", (tmp_path / "output" / "a.png").read_bytes()[:50])
    put(tmp_path / "output" / "text.txt", b"text")
    (tmp_path / "output" / "folder").mkdir()
    put(tmp_path / "secret.txt", SECRET)

    async def use(client: Client) -> None:
        answer = await client.get("/view", params=query)
        assert SECRET not in await answer.read()
        assert (await sentence(answer, status)).endswith(".")

    with_client(tmp_path, use)


def test_a_pipe_is_refused_without_waiting_for_it(tmp_path: Path) -> None:
    (tmp_path / "output").mkdir()
    os.mkfifo(tmp_path / "output" / "pipe.png")

    async def use(client: Client) -> None:
        async with asyncio.timeout(10):
            for more in ({}, {"preview": "webp"}):
                await sentence(await client.get("/view", params={"filename": "pipe.png", **more}), 404)

    with_client(tmp_path, use)


pieces = st.sampled_from(
    [
        "..",
        ".",
        "/",
        "\\",
        "secret.txt",
        "outside",
        "a",
        "a.png",
        "\0",
        "%2e%2e",
        "~",
        "C:",
        " [input]",
        "[temp]",
        "é",
        "",
    ]
)
hostile = st.lists(pieces, max_size=6).map("".join) | st.text(max_size=12)


def test_no_name_however_hostile_shows_a_file_outside(tmp_path: Path) -> None:
    for folder in (tmp_path, tmp_path / "outside", tmp_path / "user", tmp_path / "models"):
        put(folder / "secret.txt", SECRET)
    for where in ("input", "output"):
        picture(tmp_path / where / "a" / "a.png")

    async def use(client: Client) -> None:
        @settings(max_examples=200, deadline=None, suppress_health_check=list(HealthCheck))
        @given(filename=hostile, subfolder=hostile, where=hostile | st.sampled_from(["input", "output", "temp"]))
        def try_it(filename: str, subfolder: str, where: str) -> None:
            found.append((filename, subfolder, where))

        found: list[tuple[str, str, str]] = []
        try_it()
        for filename, subfolder, where in found:
            query = {"filename": filename, "subfolder": subfolder, "type": where}
            answer = await client.get("/view", params=query)
            assert SECRET not in await answer.read(), query
            assert answer.status in {200, 400, 403, 404}, query

    with_client(tmp_path, use)


# -- what browsers do with it


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("page.html", b"<script>alert(1)</script>"),
        ("page.xhtml", b'<html xmlns="http://www.w3.org/1999/xhtml"><script>alert(1)</script></html>'),
        ("drawing.svg", b'<svg xmlns="http://www.w3.org/2000/svg" onload="alert(1)"/>'),
        ("script.js", b"alert(1)"),
        ("style.css", b"* {}"),
        ("data.xml", b"<?xml version='1.0'?>"),
        ("false.png", b"<script>alert(1)</script>"),
        ("false.bmp", b"BM<script>alert(1)</script>"),
        ("false.webp", b"RIFF<html>"),
        ("page.html", b"\x89PNG\r\n\x1a\n<script>alert(1)</script>"),  # saved, it would be opened as a page
        ("none", b"\x89PNG\r\n\x1a\n"),
        ("empty.png", b""),
        ("book.pdf", b"%PDF-1.7"),
    ],
)
def test_what_is_no_picture_by_name_and_content_is_a_download(tmp_path: Path, name: str, content: bytes) -> None:
    put(tmp_path / "output" / name, content)

    async def use(client: Client) -> None:
        answer = await client.get("/view", params={"filename": name})
        assert (answer.status, await answer.read()) == (200, content)
        assert answer.headers["Content-Type"] == "application/octet-stream"
        assert answer.headers["Content-Disposition"] == f'attachment; filename="{name}"'
        assert is_safe(answer)

    with_client(tmp_path, use)


@pytest.mark.parametrize(
    ("ending", "kind"),
    [("png", "image/png"), ("jpeg", "image/jpeg"), ("webp", "image/webp"), ("gif", "image/gif"), ("bmp", "image/bmp"),
     ("tiff", "image/tiff"), ("avif", "image/avif")],
)  # fmt: skip
def test_pictures_are_known_by_their_content(tmp_path: Path, ending: str, kind: str) -> None:
    assert kind_of(picture(tmp_path / f"a.{ending}", "RGB")) == kind


@pytest.mark.parametrize(
    ("head", "kind"),
    [
        (b"\0\0\0\x20ftypisom\0\0\2\0isomiso2avc1mp41", "video/mp4"),
        (b"\0\0\0\x1cftypM4A \0\0\2\0", "audio/mp4"),
        (b"\x1aE\xdf\xa3\x01\0\0\0\0\0\0\x1fB\x86\x81\x01B\xf7\x81\x01B\x82\x84webm", "video/webm"),
        (b"OggS\0\2" + bytes(20) + b"\1\x13OpusHead", "audio/ogg"),
        (b"OggS\0\2" + bytes(20) + b"\1\x1e\x01vorbis", "audio/ogg"),
        (b"OggS\0\2" + bytes(20) + b"\1\x2a\x80theora", "video/ogg"),
        (b"RIFF\x24\0\0\0WAVEfmt ", "audio/wav"),
        (b"fLaC\0\0\0\x22", "audio/flac"),
        (b"ID3\x04\0", "audio/mpeg"),
        (b"\xff\xfb\x90\x64", "audio/mpeg"),
        (b"RIFF\x24\0\0\0AVI LIST", None),
        (b"<!doctype html>", None),
        (b"", None),
    ],
)
def test_video_and_sound_are_known_by_their_first_bytes(head: bytes, kind: str | None) -> None:
    assert kind_of(head) == kind


@given(
    name=st.text(max_size=40) | st.lists(st.sampled_from(['"', "\\", "\r", "\n", ";", "%22", "ü", "漢"])).map("".join)
)
@example(name="\udcff\ud800.png")
def test_no_file_name_breaks_out_of_the_header(name: str) -> None:
    header = disposition(name, is_download=True)
    header.encode("ascii")
    assert header.isprintable()
    assert header.startswith('attachment; filename="')
    plain, _, exact = header.removeprefix('attachment; filename="').partition('"')
    assert "\\" not in plain
    if exact:
        assert exact.startswith("; filename*=UTF-8''")
        assert not {'"', ";"} & set(exact[1:])
        assert len(unquote(exact.removeprefix("; filename*=UTF-8''"))) == len(name)


def test_names_of_all_languages_come_back(tmp_path: Path) -> None:
    names = ["Grün & Blau.png", "写真 (1).png", "🖼.png", "a%20b.png", "semi;colon.png", 'quote".png']
    made = {name: picture(tmp_path / "output" / name) for name in names}

    async def use(client: Client) -> None:
        for name in names:
            answer = await client.get("/view", params={"filename": name})
            assert (answer.status, await answer.read()) == (200, made[name])
            exact = answer.headers["Content-Disposition"].partition("filename*=UTF-8''")[2]
            assert unquote(exact) == name or answer.headers["Content-Disposition"] == f'filename="{name}"'

    with_client(tmp_path, use)


# -- ranges and conditions


def test_ranges_are_answered_byte_by_byte(tmp_path: Path) -> None:
    content = put(tmp_path / "output" / "film.bin", os.urandom(700_000))
    size = len(content)
    asked = {
        "bytes=0-0": (206, 0, 1),
        "bytes=5-9": (206, 5, 10),
        "bytes=600000-": (206, 600_000, size),
        "bytes=-7": (206, size - 7, size),
        "bytes=-9999999": (206, 0, size),
        "bytes=10-9999999": (206, 10, size),
        "bytes=9-5": (200, 0, size),
        "bytes=-": (200, 0, size),
        "bytes=0-1,5-6": (200, 0, size),
        "lines=0-1": (200, 0, size),
        "bytes=one-two": (200, 0, size),
        f"bytes={'9' * 40}-": (200, 0, size),
    }

    async def use(client: Client) -> None:
        for header, (status, first, end) in asked.items():
            answer = await client.get("/view", params={"filename": "film.bin"}, headers={"Range": header})
            assert (answer.status, await answer.read()) == (status, content[first:end]), header
            assert answer.headers["Accept-Ranges"] == "bytes"
            expected = f"bytes {first}-{end - 1}/{size}" if status == 206 else None
            assert answer.headers.get("Content-Range") == expected, header
        for header in (f"bytes={size}-", "bytes=-0"):
            answer = await client.get("/view", params={"filename": "film.bin"}, headers={"Range": header})
            assert answer.headers["Content-Range"] == f"bytes */{size}"
            await sentence(answer, 416)
        head = await client.head("/view", params={"filename": "film.bin"}, headers={"Range": "bytes=0-0"})
        assert (head.status, head.headers["Content-Length"], await head.read()) == (200, str(size), b"")

    with_client(tmp_path, use)


def test_a_client_that_has_the_file_does_not_get_it_again(tmp_path: Path) -> None:
    content = picture(tmp_path / "output" / "a.png")
    before, after = formatdate(CHANGED_S - 5, usegmt=True), formatdate(CHANGED_S + 5, usegmt=True)

    async def use(client: Client) -> None:
        async def ask(**headers: str) -> ClientResponse:
            named = {name.replace("_", "-"): value for name, value in headers.items()}
            return await client.get("/view", params={"filename": "a.png"}, headers=named)

        first = await ask()
        tag, date = first.headers["ETag"], first.headers["Last-Modified"]
        for known in ({"If_None_Match": tag}, {"If_None_Match": f'"other", W/{tag}'}, {"If_None_Match": "*"},
                      {"If_Modified_Since": date}, {"If_Modified_Since": after}):  # fmt: skip
            answer = await ask(**known)
            assert (answer.status, await answer.read(), answer.headers["ETag"]) == (304, b"", tag), known
        for unknown in ({"If_None_Match": '"other"'}, {"If_Modified_Since": before}, {"If_Match": tag},
                        {"If_None_Match": '"other"', "If_Modified_Since": date}, {"If_Unmodified_Since": date},
                        {"If_Modified_Since": "yesterday"}):  # fmt: skip
            answer = await ask(**unknown)
            assert (answer.status, await answer.read()) == (200, content), unknown
        for other in ({"If_Match": '"other"'}, {"If_Match": f"W/{tag}"}, {"If_Unmodified_Since": before}):
            assert "changed" in await sentence(await ask(**other), 412)
        for same in (tag, date):
            answer = await ask(Range="bytes=2-3", If_Range=same)
            assert (answer.status, await answer.read()) == (206, content[2:4])
        for other_version in ('"other"', f"W/{tag}", before, after):
            answer = await ask(Range="bytes=2-3", If_Range=other_version)
            assert (answer.status, await answer.read()) == (200, content)

    with_client(tmp_path, use)


def test_a_file_that_changes_has_another_tag(tmp_path: Path) -> None:
    picture(tmp_path / "output" / "a.png")

    async def use(client: Client) -> None:
        for query in ({"filename": "a.png"}, {"filename": "a.png", "preview": "webp"}):
            tag = (await client.get("/view", params=query)).headers["ETag"]
            os.utime(tmp_path / "output" / "a.png", ns=(0, 1_700_000_000_000_000_001 + len(query)))
            answer = await client.get("/view", params=query, headers={"If-None-Match": tag})
            assert (answer.status, answer.headers["ETag"] != tag) == (200, True)
            again = await client.get("/view", params=query, headers={"If-None-Match": answer.headers["ETag"]})
            assert again.status == 304

    with_client(tmp_path, use)
