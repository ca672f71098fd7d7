"""What packs and front-ends bring along: scripts, example workflows, translations."""

import asyncio
import json
import logging
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
from yarl import URL

from tests.web.server import Client, serving
from web.services import Pack


def put(path: Path, content: object) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content if isinstance(content, str) else json.dumps(content))


def with_client(
    base: Path, use: Callable[[Client], Awaitable[None]], *packs: Pack, front_end: Path | None = None
) -> None:
    async def run() -> None:
        async with serving(base, packs=packs, front_end=front_end) as (client, _):
            await use(client)

    asyncio.run(run())


def pack(base: Path, name: str, web: str | None = None) -> Pack:
    folder = base / "packs" / name
    folder.mkdir(parents=True)
    return Pack(name, folder, None if web is None else folder / web)


def test_scripts_of_the_front_end_and_of_packs_are_listed_and_sent(tmp_path: Path) -> None:
    front_end = tmp_path / "front"
    put(front_end / "extensions/core/one.js", "one")
    put(front_end / "extensions/core/one.js.map", "no script")
    odd = pack(tmp_path, "odd name & ü", "js")
    put(odd.folder / "js/two.js", "two")
    put(odd.folder / "js/deep er/three#.js", "three")
    put(odd.folder / "js/page.html", "page")
    put(odd.folder / "js/.hidden.js", "hidden")
    put(odd.folder / "__init__.py", "secret")
    put(odd.folder / "js/settings.py", "secret")
    plain = pack(tmp_path, "plain")

    async def check(client: Client) -> None:
        paths = await (await client.get("/api/extensions")).json()
        assert paths == [
            "/extensions/core/one.js",
            "/extensions/odd%20name%20%26%20%C3%BC/two.js",
            "/extensions/odd%20name%20%26%20%C3%BC/deep%20er/three%23.js",
        ]
        for path, text in zip(paths, ("one", "two", "three"), strict=True):
            answer = await client.get(URL(path, encoded=True))
            assert (answer.status, await answer.text()) == (200, text)
            assert answer.content_type == "text/javascript"
            assert answer.headers["Cache-Control"] == "no-cache"
        assert (await client.get("/extensions/odd name & ü/page.html")).content_type == "text/html"
        for path in ("settings.py", ".hidden.js", "..%2f__init__.py", "%2e%2e/__init__.py", "nothing.js", "two.js%00"):
            answer = await client.get(URL(f"{paths[1].removesuffix('two.js')}{path}", encoded=True))
            assert answer.status == 404, path
            assert "secret" not in await answer.text()
        assert (await client.get("/extensions/plain/__init__.py")).status == 404
        assert (await client.get("/extensions/nobody/a.js")).status == 404

    with_client(tmp_path, check, odd, plain, front_end=front_end)


def test_without_packs_and_front_end_there_is_nothing(tmp_path: Path) -> None:
    single = tmp_path / "single.py"
    single.touch()

    async def check(client: Client) -> None:
        assert await (await client.get("/extensions")).json() == []
        for path in ("/workflow_templates", "/i18n", "/global_subgraphs", "/templates/index_logo.json"):
            assert await (await client.get(path)).json() == {}, path
        for path in ("/templates/index.json", "/templates/index.fr.json"):
            answer = await client.get(path)
            assert (answer.content_type, await answer.json()) == ("application/json", [])
        assert (await client.get("/templates/default.json")).status == 404

    with_client(tmp_path, check, Pack("single", single))


def test_example_workflows_of_packs_are_listed_and_sent(tmp_path: Path) -> None:
    one, two = pack(tmp_path, "one"), pack(tmp_path, "two")
    put(one.folder / "example_workflows/b.json", {"nodes": []})
    put(one.folder / "example_workflows/b.jpg", "a picture")
    put(one.folder / "workflows/a c.json", {"nodes": [1]})
    put(one.folder / "config.json", "secret")
    put(one.folder / "examples/code.py", "secret")
    put(one.folder / "examples/page.html", "secret")
    put(one.folder / "examples/deep/x.json", "secret")
    put(two.folder / "other/x.json", {})

    async def check(client: Client) -> None:
        assert await (await client.get("/workflow_templates")).json() == {"one": ["a c", "b"]}
        assert await (await client.get("/api/workflow_templates/one/a%20c.json")).json() == {"nodes": [1]}
        assert (await client.get("/workflow_templates/one/b.jpg")).content_type == "image/jpeg"
        for path in ("one/code.py", "one/config.json", "one/..%2fconfig.json", "one/page.html", "one/deep%2fx.json",
                     "two/x.json", "three/x.json"):  # fmt: skip
            answer = await client.get(URL(f"/workflow_templates/{path}", encoded=True))
            assert answer.status == 404, path
            assert "secret" not in await answer.text()

    with_client(tmp_path, check, one, two)


def test_translations_of_packs_are_merged(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    one, two = pack(tmp_path, "one"), pack(tmp_path, "two")
    put(one.folder / "locales/fr/main.json", {"g": {"ok": "d'accord"}, "nodeDefs": {"A": {"display_name": "a"}}})
    put(one.folder / "locales/fr/nodeDefs.json", {"B": {"display_name": "b"}})
    put(one.folder / "locales/de/commands.json", {"run": {"label": "los"}})
    put(one.folder / "locales/ja/main.json", "{")
    put(two.folder / "locales/fr/settings.json", {"s": {"name": "réglage"}})
    put(two.folder / "locales/fr/nodeDefs.json", {"B": {"display_name": "bb"}})
    put(two.folder / "locales/it/main.json", "[]")
    put(two.folder / "locales/.git/main.json", {"a": 1})

    async def check(client: Client) -> None:
        with caplog.at_level(logging.WARNING):
            found = await (await client.get("/api/i18n")).json()
        assert found == {
            "de": {"commands": {"run": {"label": "los"}}},
            "fr": {
                "g": {"ok": "d'accord"},
                "nodeDefs": {"A": {"display_name": "a"}, "B": {"display_name": "bb"}},
                "settings": {"s": {"name": "réglage"}},
            },
        }
        assert "ja" in caplog.text

    with_client(tmp_path, check, one, two)
