"""/settings and /users: what users set is kept whole, each for themselves, and users come from tokens."""

import asyncio
import json
import logging
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.web.server import Client, serving
from web.user_folders import SETTINGS_MOST_BYTES

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


def with_client(base: Path, use: Callable[[Client], Awaitable[None]], **options: Any) -> None:
    async def run() -> None:
        async with serving(base, **options) as (client, _):
            await use(client)

    asyncio.run(run())


async def read(client: Client, path: str = "/settings", **kwargs: Any) -> Any:
    answer = await client.get(path, **kwargs)
    assert answer.status == 200, await answer.text()
    return json.loads(await answer.read())


def file_of(base: Path, user: str = "default") -> Path:
    return base / "user" / user / "comfy.settings.json"


def test_settings_are_merged_key_by_key_and_kept(tmp_path: Path) -> None:
    async def check(client: Client) -> None:
        assert await read(client) == {}
        assert await read(client, "/settings/Comfy.Nothing") is None
        answer = await client.post("/settings", json={"a": {"b": 1}, "c": [1]})
        assert (answer.status, await answer.read()) == (200, b"")
        await client.post("/api/settings", json={"a": {"d": 2}})
        await client.post("/api/settings/Comfy.Grid", json=None)
        await client.post("/settings/Comfy.Size", json=3.5)
        assert await read(client, "/api/settings") == {"a": {"d": 2}, "c": [1], "Comfy.Grid": None, "Comfy.Size": 3.5}
        assert await read(client, "/api/settings/Comfy.Size") == 3.5

    with_client(tmp_path, check)

    async def later(client: Client) -> None:
        assert (await read(client))["Comfy.Size"] == 3.5

    with_client(tmp_path, later)


def test_a_page_need_not_say_that_settings_are_json(tmp_path: Path) -> None:
    async def check(client: Client) -> None:
        page = {"Origin": f"http://{client.host}:{client.port}", "Content-Type": "text/plain;charset=UTF-8"}
        assert (await client.post("/api/settings", data='{"a": "ü"}', headers=page)).status == 200
        assert (await client.post("/api/settings/b", data="true", headers=page)).status == 200
        assert await read(client) == {"a": "ü", "b": True}

    with_client(tmp_path, check)


def test_settings_posted_at_the_same_time_are_all_kept(tmp_path: Path) -> None:
    async def check(client: Client) -> None:
        one = [client.post(f"/settings/key{number}", json=number) for number in range(40)]
        several = [client.post("/settings", json={f"{number} a": 1, f"{number} b": 2}) for number in range(40)]
        assert {answer.status for answer in await asyncio.gather(*one, *several)} == {200}
        found = await read(client)
        assert len(found) == 40 * 3
        assert json.loads(file_of(tmp_path).read_bytes()) == found

    with_client(tmp_path, check)


def test_any_json_is_given_back_as_it_came(tmp_path: Path) -> None:
    loop = asyncio.new_event_loop()
    context = serving(tmp_path)
    client, _ = loop.run_until_complete(context.__aenter__())

    async def kept(value: object) -> None:
        answer = await client.post("/settings/a", data=json.dumps(value))
        assert answer.status == 200, await answer.text()
        assert await read(client, "/settings/a") == value

    @settings(max_examples=60, deadline=None)
    @given(JSON)
    def keep(value: object) -> None:
        loop.run_until_complete(kept(value))

    try:
        keep()
    finally:
        loop.run_until_complete(context.__aexit__(None, None, None))
        loop.close()


@pytest.mark.parametrize(
    "text", ['{"a": NaN}', '{"a": 1e999}', '{"a": "\\ud800"}', '{"\\ud800": 1}', f'{{"a": {"9" * 400}}}']
)
def test_settings_that_json_should_not_have_do_not_break_the_file(tmp_path: Path, text: str) -> None:
    async def check(client: Client) -> None:
        assert (await client.post("/settings", data=text)).status == 200
        assert len(await read(client)) == 1
        assert (await client.post("/settings", json={"b": 1})).status == 200
        assert (await read(client))["b"] == 1

    with_client(tmp_path, check)


@pytest.mark.parametrize("content", [b"", b"{", b"[1]", b"\xff\xfe", b"null", b"[" * 100_000, b'{"a": 1'])
def test_a_damaged_file_is_set_aside_and_told_of(
    tmp_path: Path, content: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    file = file_of(tmp_path)
    file.parent.mkdir(parents=True)
    file.write_bytes(content)

    async def check(client: Client) -> None:
        with caplog.at_level(logging.WARNING):
            assert await read(client) == {}
        assert [each.message for each in caplog.records if "set aside" in each.message]
        assert file.with_suffix(".damaged").read_bytes() == content
        assert (await client.post("/settings/a", json=1)).status == 200
        assert await read(client) == {"a": 1}

    with_client(tmp_path, check)


def test_settings_are_bounded_and_refused_ones_change_nothing(tmp_path: Path) -> None:
    async def check(client: Client) -> None:
        await client.post("/settings/a", json=1)
        answer = await client.post("/settings/b", json="x" * SETTINGS_MOST_BYTES)
        assert answer.status == 413
        assert "at most" in (await answer.json())["error"]["message"]
        for text in ("[1]", "1", '"a"', "{", '{"a": 1'):
            answer = await client.post("/settings", data=text)
            assert answer.status == 400, text
            assert (await answer.json())["error"]["message"]
        assert await read(client) == {"a": 1}

    with_client(tmp_path, check)


def test_a_front_end_begins_with_its_graph_and_not_with_a_collection_of_templates(tmp_path: Path) -> None:
    front_end = tmp_path / "front"
    front_end.mkdir()

    async def check(client: Client) -> None:
        assert await read(client) == {"Comfy.TutorialCompleted": True}
        await client.post("/settings", json={"a": 1})
        assert await read(client) == {"Comfy.TutorialCompleted": True, "a": 1}
        await client.post("/settings", json={"Comfy.TutorialCompleted": False})
        assert (await read(client))["Comfy.TutorialCompleted"] is False

    with_client(tmp_path, check, front_end=front_end)


def test_users_are_those_of_the_tokens_and_have_settings_of_their_own(tmp_path: Path) -> None:
    async def check(client: Client) -> None:
        anna = {"Authorization": "Bearer anna-secret"}
        bert = {"Authorization": "Bearer bert-secret", "Comfy-User": "anna"}
        await client.post("/settings/mine", json="anna", headers=anna)
        assert await read(client, "/settings", headers=bert) == {}
        assert file_of(tmp_path, "anna").is_file()
        for headers in (anna, bert):
            assert await read(client, "/api/users", headers=headers) == {"storage": "server", "migrated": True}
            answer = await client.post("/users", json={"username": "carl"}, headers=headers)
            assert answer.status == 403
            assert "--token" in (await answer.json())["error"]["message"]
        assert (await client.get("/users")).status == 401

    with_client(tmp_path, check, tokens={"anna": "anna-secret", "bert": "bert-secret"})
