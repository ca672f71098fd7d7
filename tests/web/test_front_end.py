"""A front-end's folder at /, which hides no route and gives away nothing else; and the page without one."""

import asyncio
import json
import os
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from tests.web.server import Client, serving
from web.static import KINDS, find

FILES = {
    "index.html": "text/html; charset=utf-8",
    "assets/a-1.js": "text/javascript; charset=utf-8",
    "assets/b.mjs": "text/javascript; charset=utf-8",
    "assets/c.css": "text/css; charset=utf-8",
    "assets/d.wasm": "application/wasm",
    "assets/e.json": "application/json; charset=utf-8",
    "assets/f.woff2": "font/woff2",
    "assets/g.svg": "image/svg+xml",
    "assets/h i.png": "image/png",
    "scripts/index.de.json": "application/json; charset=utf-8",
    "queue.js": "text/javascript; charset=utf-8",
    "api/settings/x.json": "",  # a route is there
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "front"
    for name in FILES:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(f"content of {name}")
    (tmp_path / "secret.js").write_text("secret")
    return folder


def with_client(base: Path, use: Callable[[Client], Awaitable[None]], front_end: Path | None) -> None:
    async def run() -> None:
        async with serving(base, front_end=front_end) as (client, _):
            await use(client)

    asyncio.run(run())


def test_files_come_with_their_types(tmp_path: Path, folder: Path) -> None:
    async def check(client: Client) -> None:
        for name, kind in FILES.items():
            if kind:
                answer = await client.get(f"/{name}")
                assert (answer.status, await answer.text()) == (200, f"content of {name}")
                assert answer.headers["Content-Type"] == kind
                assert answer.headers["X-Content-Type-Options"] == "nosniff"
                assert "Content-Disposition" not in answer.headers
                head = await client.head(f"/{name}")
                assert (head.status, head.headers["Content-Length"]) == (200, answer.headers["Content-Length"])

    with_client(tmp_path, check, folder)


def test_the_page_is_never_kept_scripts_are_asked_for_anew_and_pictures_stay(tmp_path: Path, folder: Path) -> None:
    async def check(client: Client) -> None:
        for path in ("/", "/index.html"):
            page = await client.get(path)
            assert await page.text() == "content of index.html"
            assert [page.headers[name] for name in ("Cache-Control", "Pragma", "Expires")] == [
                "no-cache",
                "no-cache",
                "0",
            ]
        for name in ("assets/a-1.js", "assets/c.css", "scripts/index.de.json"):
            assert (await client.get(f"/{name}")).headers["Cache-Control"] == "no-cache"
        assert (await client.get("/assets/h i.png")).headers["Cache-Control"] == "public, max-age=86400"
        for name in ("assets/e.json", "assets/f.woff2", "assets/g.svg"):
            assert "Cache-Control" not in (await client.get(f"/{name}")).headers

    with_client(tmp_path, check, folder)


def test_a_browser_that_has_a_file_does_not_get_it_again(tmp_path: Path, folder: Path) -> None:
    async def check(client: Client) -> None:
        first = await client.get("/assets/a-1.js")
        again = await client.get("/assets/a-1.js", headers={"If-None-Match": first.headers["ETag"]})
        assert (again.status, await again.read()) == (304, b"")
        (folder / "assets/a-1.js").write_text("something new")
        new = await client.get("/assets/a-1.js", headers={"If-None-Match": first.headers["ETag"]})
        assert (new.status, await new.text()) == (200, "something new")
        part = await client.get("/assets/a-1.js", headers={"Range": "bytes=0-8"})
        assert (part.status, await part.text()) == (206, "something")

    with_client(tmp_path, check, folder)


def test_a_front_end_hides_no_route(tmp_path: Path, folder: Path) -> None:
    async def check(client: Client) -> None:
        assert (await (await client.get("/queue")).json()).keys() == {"queue_running", "queue_pending"}
        assert await (await client.get("/api/settings/x.json")).json() is None
        assert (await client.delete("/queue")).status == 405
        for method in ("POST", "DELETE", "PUT"):
            assert (await client.request(method, "/assets/a-1.js")).status == 404
            assert (await client.request(method, "/")).status == 404

    with_client(tmp_path, check, folder)


@pytest.mark.parametrize(
    "path", ["/nothing.js", "/assets", "/assets/", "/../secret.js", "/assets/../../secret.js", "/..%2fsecret.js",
             "/%2e%2e/secret.js", "/..%5csecret.js", "//secret.js", "/.hidden.js", "/.git/a.js", "/settings.ini",
             "/pipe.js", "/assets/a-1.js/", "/assets/a-1.js%00", "/%00", "/%ff.js", f"/{'x' * 300}.js"],
)  # fmt: skip
def test_what_is_no_file_of_it_is_not_there(tmp_path: Path, folder: Path, path: str) -> None:
    for name in (".hidden.js", ".git/a.js", "settings.ini"):
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text("secret")
    os.mkfifo(folder / "pipe.js")

    async def check(client: Client) -> None:
        reader, writer = await asyncio.open_connection(client.host, client.port)
        # As it is: a library would put the path in order first.
        writer.write(f"GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".encode())
        answer = await asyncio.wait_for(reader.read(), 30)
        writer.close()
        assert answer.startswith(b"HTTP/1.1 404 ")
        assert json.loads(answer.partition(b"\r\n\r\n")[2])["error"]["type"] == "not_found"

    with_client(tmp_path, check, folder)


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(st.sampled_from(["..", ".", "", "/", "\\", "a.js", "secret.js", "assets", "\0", "~", "C:"])).map("/".join)
)
@example("../secret.js")
@example("assets/../../secret.js")
def test_no_name_finds_a_file_outside(folder: Path, name: str) -> None:
    found = find(folder, name)
    assert found is None or found.resolve().is_relative_to(folder)


def test_the_editor_lets_no_script_in_and_gives_way_to_a_front_end(tmp_path: Path, folder: Path) -> None:
    editor = tmp_path / "editor"
    editor.mkdir()
    (editor / "index.html").write_text("the editor")

    async def run() -> None:
        async with serving(tmp_path, editor=editor) as (client, _):
            page = await client.get("/")
            assert await page.text() == "the editor"
            rules = dict(each.split(" ", 1) for each in page.headers["Content-Security-Policy"].split("; "))
            assert rules["default-src"] == "'self'"
            assert "script-src" not in rules  # so that the rule above holds for scripts
            assert rules["object-src"] == "'none'"
        async with serving(tmp_path / "other", editor=editor, front_end=folder) as (client, _):
            page = await client.get("/")
            assert await page.text() == "content of index.html"
            assert "default-src" not in page.headers["Content-Security-Policy"]  # others need more

    asyncio.run(run())


def test_without_a_front_end_a_page_says_what_this_is(tmp_path: Path) -> None:
    async def check(client: Client) -> None:
        page = await client.get("/")
        text = await page.text()
        assert page.content_type == "text/html"
        assert "Darkroom" in text
        assert 'href="openapi"' in text
        assert "<script" not in text
        assert "://" not in text  # nothing from elsewhere
        for link in ("openapi", "openapi.json", "readyz", "system_stats", "jobs"):
            assert f'href="{link}"' in text
            assert (await client.get(f"/{link}")).status == 200, link
        assert (await client.head("/")).status == 200
        assert (await client.get("/index.html")).status == 404

    with_client(tmp_path, check, None)


def test_nothing_that_a_server_would_run_is_of_a_kind_that_is_sent() -> None:
    assert KINDS.keys().isdisjoint(
        {".py", ".pyc", ".ini", ".yaml", ".yml", ".toml", ".env", ".db", ".sqlite", ".pem", ""}
    )
