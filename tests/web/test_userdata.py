"""/userdata: users' files are kept, found and moved, and no name leads anywhere else or to anything but plain data."""

import asyncio
import json
import os
import shutil
import tempfile
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from aiohttp import ClientResponse
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from yarl import URL

from tests.web.server import Client, serving
from web.user_folders import BYTES_MOST, DEPTH_MOST, FILE_MOST_BYTES, FILES_MOST, UserFolders

SECRET = b"the secret of somebody else"
PICTURE = b"\x89PNG\r\n\x1a\n and so on"


def with_client(base: Path, use: Callable[[Client], Awaitable[None]], **options: Any) -> None:
    async def run() -> None:
        async with serving(base, **options) as (client, _):
            await use(client)

    asyncio.run(run())


def at(name: str, *, dest: str | None = None, query: str = "") -> URL:
    """The address of a file: its name is one segment."""
    move = "" if dest is None else f"/move/{quote(dest, safe='')}"
    return URL(f"/userdata/{quote(name, safe='')}{move}{query}", encoded=True)


async def put(client: Client, name: str, content: bytes = b"{}", query: str = "", status: int = 200) -> Any:
    answer = await client.post(at(name, query=query), data=content)
    assert answer.status == status, await answer.text()
    return await answer.json()


async def names(client: Client, folder: str = ".", **query: str) -> Any:
    answer = await client.get("/userdata", params={"dir": folder, **query})
    assert answer.status == 200, await answer.text()
    return await answer.json()


async def sentence(answer: ClientResponse, status: int) -> str:
    assert answer.status == status, await answer.text()
    error = (await answer.json())["error"]
    assert set(error) == {"type", "message", "details", "extra_info"}
    return str(error["message"])


# ── what works ────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_file_is_kept_listed_moved_and_deleted(tmp_path: Path) -> None:
    async def check(client: Client) -> None:
        assert await put(client, "workflows/a.json", b'{"nodes": []}') == "workflows/a.json"
        assert (tmp_path / "user/default/workflows/a.json").read_bytes() == b'{"nodes": []}'
        answer = await client.get(at("workflows/a.json"))
        assert await answer.read() == b'{"nodes": []}'
        moved = await client.post(at("workflows/a.json", dest="workflows/old/b.json"))
        assert await moved.json() == "workflows/old/b.json"
        assert await names(client, "workflows", recurse="true") == ["old/b.json"]
        assert (await client.delete(at("workflows/old/b.json"))).status == 204
        assert "b.json" in await sentence(await client.get(at("workflows/old/b.json")), 404)

    with_client(tmp_path, check)


def test_a_list_has_paths_parts_or_objects(tmp_path: Path) -> None:
    async def check(client: Client) -> None:
        for name in ("workflows/a.json", "workflows/deep/b.json", "comfy.templates.json"):
            await put(client, name, b"12345")
        assert await names(client) == ["comfy.templates.json"]
        assert await names(client, "workflows") == ["a.json"]
        assert await names(client, "workflows", recurse="true") == ["a.json", "deep/b.json"]
        split = await names(client, "workflows", recurse="true", split="true")
        assert split == [["a.json", "a.json"], ["deep/b.json", "deep", "b.json"]]
        found = await names(client, "workflows", recurse="true", split="false", full_info="true")
        changed = (tmp_path / "user/default/workflows/a.json").stat().st_mtime
        assert [(each["path"], each["size"]) for each in found] == [("a.json", 5), ("deep/b.json", 5)]
        assert found[0]["modified"] == round(changed * 1000)
        assert "Directory not found" in await sentence(await client.get("/userdata?dir=nowhere"), 404)
        assert "Directory not provided" in await sentence(await client.get("/userdata"), 400)

    with_client(tmp_path, check)


def test_the_tree_has_folders_first_then_files_in_order_of_their_names(tmp_path: Path) -> None:
    async def check(client: Client) -> None:
        assert await (await client.get("/v2/userdata")).json() == []
        for name in ("b.json", "A.json", "workflows/c.json"):
            await put(client, name, b"123")
        tree = await (await client.get("/api/v2/userdata")).json()
        assert [(each["type"], each["path"]) for each in tree] == [
            ("directory", "workflows"), ("file", "A.json"), ("file", "b.json"), ("file", "workflows/c.json"),
        ]  # fmt: skip
        below = await (await client.get("/v2/userdata?path=workflows")).json()
        assert [(each["name"], each["path"], each["size"]) for each in below] == [("c.json", "workflows/c.json", 3)]
        await sentence(await client.get("/v2/userdata?path=nowhere"), 404)

    with_client(tmp_path, check)


def test_a_file_is_overwritten_unless_that_is_ruled_out(tmp_path: Path) -> None:
    async def check(client: Client) -> None:
        found = await put(client, "a.json", b"1", "?overwrite=false&full_info=true")
        assert (found["path"], found["size"]) == ("a.json", 1)
        for word in ("false", "False"):
            refused = await client.post(at("a.json", query=f"?overwrite={word}"), data=b"2")
            assert "exists already" in await sentence(refused, 409)
        assert await (await client.get(at("a.json"))).read() == b"1"
        # Front-ends write this for what they leave out.
        assert await put(client, "a.json", b"3", "?overwrite=undefined&full_info=undefined") == "a.json"
        await put(client, "b.json", b"4")
        await sentence(await client.post(at("a.json", dest="b.json", query="?overwrite=false")), 409)
        assert (await client.post(at("a.json", dest="b.json"))).status == 200
        assert await (await client.get(at("b.json"))).read() == b"3"
        await sentence(await client.post(at("a.json", dest="c.json")), 404)

    with_client(tmp_path, check)


@pytest.mark.parametrize(
    "name", ["workflows/Müller 日本 🎨.json", "100%2F.json", "a b+c&d=e?#.json", "a'\"<>.json", ".a.json"]
)
def test_a_name_may_have_any_letters(tmp_path: Path, name: str) -> None:
    async def check(client: Client) -> None:
        assert await put(client, name, b"{}") == name
        assert (tmp_path / "user/default" / name).is_file()
        assert await (await client.get(URL(f"/api{at(name).raw_path}", encoded=True))).read() == b"{}"
        assert name in await names(client, recurse="true")

    with_client(tmp_path, check)


def test_empty_folders_do_not_stay(tmp_path: Path) -> None:
    async def check(client: Client) -> None:
        await put(client, "a/b/c/d.json")
        await put(client, "a/e.json")
        await client.delete(at("a/b/c/d.json"))
        tree = await (await client.get("/v2/userdata")).json()
        assert [each["path"] for each in tree] == ["a", "a/e.json"]
        assert (await client.delete(at("a/e.json"))).status == 204
        assert list((tmp_path / "user/default").iterdir()) == []

    with_client(tmp_path, check)


def test_a_link_to_a_folder_above_does_not_make_a_list_endless(tmp_path: Path) -> None:
    async def check(client: Client) -> None:
        await put(client, "a/b.json")
        (tmp_path / "user/default/a/loop").symlink_to(tmp_path / "user/default", target_is_directory=True)
        assert await names(client, recurse="true") == ["a/b.json"]

    with_client(tmp_path, check)


def test_every_user_has_files_of_their_own_whatever_a_header_says(tmp_path: Path) -> None:
    async def check(client: Client) -> None:
        anna = {"Authorization": "Bearer anna-secret"}
        bert = {"Authorization": "Bearer bert-secret", "Comfy-User": "anna"}
        answer = await client.post(at("a.json"), data=SECRET, headers=anna)
        assert answer.status == 200
        await sentence(await client.get(at("a.json"), headers=bert), 404)
        await sentence(await client.get(at("../anna/a.json"), headers=bert), 403)
        assert (await client.get(at("a.json"), headers={"Comfy-User": "anna"})).status == 401
        assert (tmp_path / "user/anna/a.json").read_bytes() == SECRET

    with_client(tmp_path, check, tokens={"anna": "anna-secret", "bert": "bert-secret"})


# ── what is refused ───────────────────────────────────────────────────────────────────────────────────────────────────


def test_files_are_downloads_that_no_browser_runs(tmp_path: Path) -> None:
    async def check(client: Client) -> None:
        page = b"<html><script>alert(1)</script></html>"
        for name in ("page.txt", "user.css", "page.json", "page.png"):
            await put(client, name, page)
            answer = await client.get(at(name))
            assert await answer.read() == page
            assert answer.headers["Content-Type"] == "application/octet-stream"
            assert answer.headers["Content-Disposition"].startswith("attachment")
            assert answer.headers["X-Content-Type-Options"] == "nosniff"
            assert "sandbox" in answer.headers["Content-Security-Policy"]
        await put(client, "picture.png", PICTURE)
        assert (await client.get(at("picture.png"))).headers["Content-Type"] == "image/png"

    with_client(tmp_path, check)


REFUSED = [
    "evil.py", "evil.html", "evil.svg", "evil.js", "config.ini", "ComfyUI-Manager/config.ini", "a.yaml", "a.toml",
    "a.json.exe", "noending", ".json", "a.json.part", "a.json ", "a.json.", "a.json:stream", "./.", "workflows/",
]  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_what_could_be_code_or_configuration_is_neither_written_nor_read(tmp_path: Path, name: str) -> None:
    async def check(client: Client) -> None:
        await put(client, "good.json", b"good")
        for answer in (
            await client.post(at(name), data=SECRET),
            await client.get(at(name)),
            await client.delete(at(name)),
            await client.post(at("good.json", dest=name)),
            await client.post(at(name, dest="good.json")),
        ):
            assert "not kept here" in await sentence(answer, 403)
        assert await names(client, recurse="true") == ["good.json"]
        assert await (await client.get(at("good.json"))).read() == b"good"

    with_client(tmp_path, check)


def test_files_of_other_kinds_in_the_folder_are_not_listed(tmp_path: Path) -> None:
    async def check(client: Client) -> None:
        for name in ("config.ini", "a.py", "comfy.settings.json", "a.json.part", "a.json"):
            (tmp_path / "user/default").mkdir(parents=True, exist_ok=True)
            (tmp_path / "user/default" / name).write_text("{}")
        os.mkfifo(tmp_path / "user/default/pipe.json")
        assert await names(client, recurse="true") == ["a.json"]
        assert [each["path"] for each in await (await client.get("/v2/userdata")).json()] == ["a.json"]
        await sentence(await client.get(at("pipe.json")), 404)

    with_client(tmp_path, check)


@pytest.mark.parametrize(
    "name", ["comfy.settings.json", "Comfy.Settings.JSON", "./comfy.settings.json", "x/../comfy.settings.json",
             "comfy.settings.json/", "/comfy.settings.json", "comfy.ſettings.json"],
)  # fmt: skip
def test_the_settings_are_no_file_of_userdata(tmp_path: Path, name: str) -> None:
    async def check(client: Client) -> None:
        await client.post("/settings", json={"a": 1})
        await put(client, "b.json", b'{"a": 2}')
        for answer in (
            await client.get(at(name)),
            await client.post(at(name), data=b'{"a": 2}'),
            await client.delete(at(name)),
            await client.post(at("b.json", dest=name)),
            await client.post(at(name, dest="c.json")),
        ):
            await sentence(answer, 403)
        assert await (await client.get("/settings")).json() == {"a": 1}

    with_client(tmp_path, check)


@pytest.mark.parametrize(
    "name", ["a\0b.json", "a\nb.json", "a\x7f.json", "a\\b.json", "..\\..\\b.json", f"{'x' * 251}.json",
             f"{'é' * 126}.json", "/".join("a" * (DEPTH_MOST + 1)) + ".json", "a/" * 600 + "b.json", "con.json",
             "workflows/NUL.json", "com1/a.json"],
)  # fmt: skip
def test_names_that_no_file_should_have_are_refused(tmp_path: Path, name: str) -> None:
    async def check(client: Client) -> None:
        assert "cannot be the name" in await sentence(await client.post(at(name), data=b"{}"), 400)
        assert "cannot be the name" in await sentence(await client.get(at(name)), 400)
        answer = await client.get("/userdata", params={"dir": name})
        assert "cannot be the name" in await sentence(answer, 400)
        assert not (tmp_path / "user").exists()

    with_client(tmp_path, check)


def test_a_file_where_a_folder_is_is_refused_and_the_other_way_round(tmp_path: Path) -> None:
    async def check(client: Client) -> None:
        await put(client, "a.json", b"1")
        await put(client, "folder.json/b.json", b"2")
        for answer in (
            await client.post(at("a.json/b.json"), data=b"3"),
            await client.post(at("folder.json"), data=b"3"),
            await client.post(at("a.json", dest="folder.json")),
            await client.post(at("folder.json/b.json", dest="a.json/c.json")),
        ):
            await sentence(answer, 409)
        await sentence(await client.delete(at("folder.json")), 404)
        await sentence(await client.get(at("folder.json")), 404)
        await sentence(await client.get("/userdata?dir=a.json"), 404)
        assert await names(client, recurse="true") == ["a.json", "folder.json/b.json"]

    with_client(tmp_path, check)


def test_a_user_keeps_a_bounded_number_of_files(tmp_path: Path) -> None:
    async def check(client: Client) -> None:
        await put(client, "first.json", b"1")
        folder = tmp_path / "user/default/many"
        folder.mkdir()
        for number in range(FILES_MOST - 1):
            (folder / f"{number}.json").touch()
        assert "at most" in await sentence(await client.post(at("one more.json"), data=b"{}"), 413)
        assert await put(client, "first.json", b"22") == "first.json"  # which is none more
        assert (await client.delete(at("many/0.json"))).status == 204
        await put(client, "one more.json")

    with_client(tmp_path, check)


def test_a_user_keeps_a_bounded_number_of_bytes(tmp_path: Path) -> None:
    async def check(client: Client) -> None:
        await put(client, "a.json", b"12345")
        with (tmp_path / "user/default/large.json").open("wb") as file:
            file.truncate(BYTES_MOST - 5)
        assert "at most" in await sentence(await client.post(at("a.json"), data=b"123456"), 413)
        await put(client, "a.json", b"123")
        await put(client, "b.json", b"12")

    with_client(tmp_path, check)


def test_a_file_is_bounded(tmp_path: Path) -> None:
    async def check(client: Client) -> None:
        too_large = await client.post(at("a.json"), data=bytes(FILE_MOST_BYTES + 1))
        assert "limit" in await sentence(too_large, 413)
        assert not (tmp_path / "user").exists()

    with_client(tmp_path, check)


def test_a_file_that_breaks_off_is_not_kept(tmp_path: Path) -> None:
    async def check(client: Client) -> None:
        await put(client, "a.json", b"whole")
        reader, writer = await asyncio.open_connection(client.host, client.port)
        head = f"POST /userdata/a.json HTTP/1.1\r\nHost: {client.host}:{client.port}\r\nContent-Length: 100\r\n\r\n"
        writer.write(head.encode() + b"half")
        await writer.drain()
        writer.write_eof()
        await asyncio.wait_for(reader.read(), 30)
        writer.close()
        assert await (await client.get(at("a.json"))).read() == b"whole"

    with_client(tmp_path, check)


def test_many_who_write_the_same_file_leave_one_of_them_whole(tmp_path: Path) -> None:
    async def check(client: Client) -> None:
        contents = [bytes([number]) * 100_000 for number in range(20)]
        await asyncio.gather(*(put(client, "a.json", content) for content in contents))
        assert (tmp_path / "user/default/a.json").read_bytes() in contents
        assert [each.name for each in (tmp_path / "user/default").iterdir()] == ["a.json"]

    with_client(tmp_path, check)


def test_a_disk_that_refuses_is_told_in_a_sentence(tmp_path: Path) -> None:
    async def check(client: Client) -> None:
        (tmp_path / "user").write_text("a file where the folder of users should be")
        await sentence(await client.post(at("a.json"), data=b"{}"), 409)
        await sentence(await client.get(at("a.json")), 404)

    with_client(tmp_path, check)


# ── hostile names ─────────────────────────────────────────────────────────────────────────────────────────────────────


PIECES = st.sampled_from(
    ["..", ".", "", "/", "//", "\\", "..\\", "%2e%2e", "%2F", "\0", "\n", "~", "a", "a.json", "secret.json", "user",
     "default", "other", "C:", "file://", "\u2025", "\uff0e\uff0e", "\u2215", ".json", "con", " ",
     "comfy.settings.json"]
)  # fmt: skip
HOSTILE = st.lists(PIECES, min_size=1, max_size=7).map("/".join) | st.lists(PIECES, min_size=1, max_size=7).map("".join)


@contextmanager
def planted() -> Iterator[Path]:
    """A folder with secrets around a user's folder."""
    base = Path(tempfile.mkdtemp())
    try:
        for folder in (".", "user", "user/other", "input", "output", "user/default-not"):
            (base / folder).mkdir(exist_ok=True)
            (base / folder / "secret.json").write_bytes(SECRET)
            (base / folder / "elsewhere.json").touch()
        yield base
    finally:
        shutil.rmtree(base)


def outside(base: Path) -> dict[str, bytes]:
    """Everything that does not belong to the user, without the queue."""
    own = base / "user/default"
    files = (path for path in base.rglob("*") if path.is_file() and not path.is_relative_to(own))
    return {str(path): path.read_bytes() for path in files if not path.name.startswith("queue.sqlite")}


def test_no_name_leads_out_of_the_folder() -> None:
    """Names made of what has led others astray, in every place of a request."""
    with planted() as base:
        before = outside(base)
        (base / "user/default").mkdir()
        (base / "user/default/comfy.settings.json").write_bytes(SECRET)

        @settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
        @given(HOSTILE, st.booleans())
        @example("../../secret.json", True)
        @example("/".join([".."] * 30 + ["etc/hostname.json"]), True)
        def attack(name: str, quoted: bool) -> None:
            segment = quote(name, safe="") if quoted else quote(name, safe="/%")
            loop.run_until_complete(attack_with(segment))

        async def attack_with(segment: str) -> None:
            own = base / "user/default/own.json"
            own.write_bytes(b"own")
            for method, path in (
                ("GET", f"/userdata/{segment}"),
                ("POST", f"/userdata/{segment}"),
                ("POST", f"/userdata/own.json/move/{segment}"),
                ("POST", f"/userdata/{segment}/move/stolen.json"),
                ("GET", f"/userdata?recurse=true&full_info=true&dir={segment}"),
                ("GET", f"/v2/userdata?path={segment}"),
                ("DELETE", f"/userdata/{segment}"),
            ):
                data = b"written" if method == "POST" else None
                answer = await client.request(method, URL(path, encoded=True), data=data, allow_redirects=False)
                body = await answer.read()
                assert answer.status < 500, (method, path, body)
                assert SECRET not in body, (method, path)
                assert b"elsewhere" not in body, (method, path)
                assert outside(base) == before, (method, path)

        loop = asyncio.new_event_loop()
        try:
            context = serving(base)
            client, _ = loop.run_until_complete(context.__aenter__())
            attack()
            assert (base / "user/default/comfy.settings.json").read_bytes() == SECRET
            stolen = base / "user/default/stolen.json"
            assert not stolen.exists() or stolen.read_bytes() != SECRET
            loop.run_until_complete(context.__aexit__(None, None, None))
        finally:
            loop.close()


@pytest.mark.parametrize("user", ["", ".", "..", "a/../..", "/etc"])
def test_no_user_has_a_folder_elsewhere(tmp_path: Path, user: str) -> None:
    with pytest.raises(ValueError, match="folder"):
        UserFolders(tmp_path / "user").folder(user)


def test_the_answer_to_a_list_is_json_even_of_odd_names(tmp_path: Path) -> None:
    async def check(client: Client) -> None:
        folder = tmp_path / "user/default"
        folder.mkdir(parents=True)
        (folder / os.fsdecode(b"\xff\xfe.json")).touch()
        answer = await client.get("/userdata?dir=.")
        assert len(json.loads(await answer.read())) == 1

    with_client(tmp_path, check)
