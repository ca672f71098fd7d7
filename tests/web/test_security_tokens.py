"""Tokens, sessions and users: who is let in, as whom, and that no secret is ever shown."""

import asyncio
import base64
import logging
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest
from aiohttp import ClientSession, DummyCookieJar, WSServerHandshakeError

from tests.web.server import Client, serving
from tests.web.test_security import sentence, status
from web.app import declared_routes
from web.declare import Route

ANN, BOB = "the-secret-of-ann", "the-secret-of-bob"
TOKENS = {"ann": ANN, "bob": BOB}
BROWSER = {"Accept": "text/html", "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document"}
COOKIE = "darkroom_8188"


def bearer(secret: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {secret}"}


def ask(tmp_path: Path, work: Callable[[Client], Coroutine[Any, Any, None]], **settings: Any) -> None:
    """With a client that keeps no cookies by itself."""

    async def run() -> None:
        async with serving(tmp_path, tokens=TOKENS, **settings) as (client, _):
            await client.session.close()
            client._session = ClientSession(cookie_jar=DummyCookieJar())
            await work(client)

    asyncio.run(run())


async def logged_in(client: Client, secret: str = ANN) -> dict[str, str]:
    """The header of a browser that has a session."""
    async with client.post("/login", data={"token": secret}, allow_redirects=False) as answer:
        assert answer.status == 303
        return {"Cookie": f"{COOKIE}={answer.cookies[COOKIE].value}"}


@pytest.mark.parametrize("each", declared_routes(), ids=lambda each: f"{each.method} {each.path}")
def test_every_route_but_open_ones_needs_a_token(tmp_path: Path, each: Route) -> None:
    async def work(client: Client) -> None:
        path = each.path.replace("{", "").split(":")[0].replace("}", "")
        for twin in ("", "/api") if each.twin else ("",):
            found = await status(client, each.method, f"{twin}{path}", {"Accept": "*/*"}, allow_redirects=False)
            assert (found == 401) is not each.is_open, twin

    if each.path != "/login":  # whose own refusal is 401, too
        ask(tmp_path, work)


def test_only_these_routes_are_open() -> None:
    assert {each.path for each in declared_routes() if each.is_open} <= {"/healthz", "/readyz", "/login", "/logout"}


def test_a_path_that_is_not_there_does_not_say_so_without_a_token(tmp_path: Path) -> None:
    async def work(client: Client) -> None:
        assert await status(client, "GET", "/nothing/here", {}) == 401
        assert await status(client, "GET", "/nothing/here", bearer(ANN)) == 404

    ask(tmp_path, work)


@pytest.mark.parametrize(
    "authorization",
    ["", "Bearer", "Bearer ", "Bearer wrong", f"Bearer {ANN}x", f"Bearer {ANN[:-1]}", f"Basic {ANN}", ANN,
     f"Bearer ann={ANN}", "Bearer ann", "Bearer \xe4\xf6\xfc"],
)  # fmt: skip
def test_a_wrong_token_is_none(tmp_path: Path, authorization: str) -> None:
    async def work(client: Client) -> None:
        async with client.get("/queue", headers={"Authorization": authorization}) as answer:
            assert answer.status == 401
            assert answer.headers["WWW-Authenticate"] == "Bearer"
            await sentence(answer)

    ask(tmp_path, work)


def test_a_token_stands_for_its_user_whatever_the_client_says(tmp_path: Path) -> None:
    """Folders come from the token, never from a header that a client chooses."""

    async def work(client: Client) -> None:
        text = {"Content-Type": "text/plain"}
        for secret, word in ((ANN, b'"of ann"'), (BOB, b'"of bob"')):
            for other in ("ann", "bob", "../ann", "default"):
                headers = bearer(secret) | text | {"comfy-user": other}
                assert await status(client, "POST", "/userdata/note.json", headers, data=word) == 200
        for secret, word in ((ANN, b'"of ann"'), (BOB, b'"of bob"')):
            async with client.get("/userdata/note.json", headers=bearer(secret) | {"comfy-user": "bob"}) as answer:
                assert await answer.read() == word
        for path in ("/userdata/..%2Fbob%2Fnote.json", "/userdata/%2E%2E%2Fbob%2Fnote.json"):
            assert await status(client, "GET", path, bearer(ANN)) in {400, 403, 404}
        assert {each.name for each in (tmp_path / "user").iterdir()} == {"ann", "bob"}

    ask(tmp_path, work)


def test_a_browser_is_asked_for_the_token_and_then_known(tmp_path: Path) -> None:
    async def work(client: Client) -> None:
        async with client.get("/", headers=BROWSER) as answer:
            page = await answer.text()
            assert (answer.status, answer.content_type) == (401, "text/html")
            assert 'action="login"' in page
            assert "<script" not in page
            assert "script-src" not in answer.headers["Content-Security-Policy"]
            assert answer.headers["Content-Security-Policy"].startswith("default-src 'none'")
        here = f"http://127.0.0.1:{client.port}"
        form = {"Origin": here, "Sec-Fetch-Site": "same-origin"}
        async with client.post("/login", data={"token": ANN}, headers=form, allow_redirects=False) as answer:
            assert (answer.status, answer.headers["Location"]) == (303, "/")
            cookie = answer.cookies[COOKIE]
            assert cookie["httponly"]
            assert (cookie["samesite"], cookie["path"]) == ("Strict", "/")
            assert not cookie["secure"]
            assert ANN not in answer.headers["Set-Cookie"]
        session = {"Cookie": f"{COOKIE}={cookie.value}"}
        assert await status(client, "GET", "/queue", session) == 200
        async with client.ws_connect("/ws", headers=session | {"Origin": here}) as connection:
            assert (await connection.receive_json())["type"] == "status"
        async with client.post("/logout", headers=session, allow_redirects=False) as answer:
            assert answer.status == 303
            assert answer.cookies[COOKIE].value == ""

    ask(tmp_path, work)


def test_a_wrong_token_in_the_form_opens_nothing(tmp_path: Path) -> None:
    async def work(client: Client) -> None:
        for data in ({"token": "wrong"}, {}, {"token": ""}, {"token": "\xff" * 100}, b"\xff\xfe", b"token=%ff&" * 9):
            async with client.post("/login", data=data, allow_redirects=False) as answer:
                assert answer.status == 401
                assert COOKIE not in answer.cookies
        assert await status(client, "POST", "/login", {}, data=b"a=1&" * 5000) in {400, 401, 413}
        assert await status(client, "POST", "/login", {}, data=b"a=1&" * 500) in {400, 401, 413}

    ask(tmp_path, work)


def test_another_site_can_neither_log_a_browser_in_nor_out(tmp_path: Path) -> None:
    async def work(client: Client) -> None:
        for origin in ("null", "https://example.org"):
            for path in ("/login", "/logout"):
                assert await status(client, "POST", path, {"Origin": origin}, data={"token": ANN}) == 403
        link = BROWSER | {"Sec-Fetch-Site": "cross-site"}
        async with client.get(f"/?token={BOB}", headers=link, allow_redirects=False) as answer:
            assert answer.status == 401
            assert COOKIE not in answer.cookies

    ask(tmp_path, work)


def test_a_link_with_the_token_becomes_a_session_and_a_clean_address(tmp_path: Path) -> None:
    async def work(client: Client) -> None:
        async with client.get(f"/?token={ANN}", headers=BROWSER, allow_redirects=False) as answer:
            assert (answer.status, answer.headers["Location"]) == (303, "/")
            assert answer.headers["Cache-Control"] == "no-store"
            assert answer.cookies[COOKIE]["httponly"]
        proxied = BROWSER | {"X-Forwarded-Proto": "https"}
        async with client.get(f"/?token={ANN}", headers=proxied, allow_redirects=False) as answer:
            assert answer.cookies[COOKIE]["secure"]
        async with client.get("/?token=wrong", headers=BROWSER, allow_redirects=False) as answer:
            assert answer.status == 401
            assert COOKIE not in answer.cookies
        for path in ("/queue", "/api/queue", "/view", "/object_info"):
            assert await status(client, "GET", f"{path}?token={ANN}", {}) == 401
        assert await status(client, "POST", f"/?token={ANN}", {}) == 401

    ask(tmp_path, work)


def test_a_websocket_takes_the_token_in_its_address(tmp_path: Path) -> None:
    async def work(client: Client) -> None:
        for path in ("/ws", "/api/ws"):
            async with client.ws_connect(f"{path}?clientId=a&token={ANN}") as connection:
                assert (await connection.receive_json())["type"] == "status"
            async with client.ws_connect(path, headers=bearer(BOB)) as connection:
                assert (await connection.receive_json())["type"] == "status"
            for wrong in ("", "?token=", "?token=wrong"):
                with pytest.raises(WSServerHandshakeError, match="401"):
                    await client.ws_connect(f"{path}{wrong}")

    ask(tmp_path, work)


def test_a_session_is_of_one_user_and_of_one_secret(tmp_path: Path) -> None:
    async def work(client: Client) -> None:
        ann, bob = await logged_in(client, ANN), await logged_in(client, BOB)
        assert ann != bob
        headers = {"Content-Type": "text/plain"}
        assert await status(client, "POST", "/userdata/a.json", ann | headers, data=b'"of ann"') == 200
        assert await status(client, "GET", "/userdata/a.json", ann) == 200
        assert await status(client, "GET", "/userdata/a.json", bob) == 404
        for forged in ("", "ann", ANN, ann["Cookie"][-5:], "0" * 64, "\u00e4" * 64):
            assert await status(client, "GET", "/queue", {"Cookie": f"{COOKIE}={forged}"}) == 401
        # What a proxy asked for is not for this server; a wrong token is, and the session does not make up for it.
        assert await status(client, "GET", "/queue", ann | {"Authorization": "Basic eDp5"}) == 200
        assert await status(client, "GET", "/queue", ann | bearer("wrong")) == 401

    ask(tmp_path, work)


def test_a_new_secret_ends_old_sessions(tmp_path: Path) -> None:
    found: dict[str, str] = {}

    async def first(client: Client) -> None:
        found.update(await logged_in(client))

    async def second() -> None:
        async with serving(tmp_path, tokens={"ann": "another-secret-of-ann"}) as (client, _):
            assert await status(client, "GET", "/queue", found) == 401

    ask(tmp_path, first)
    asyncio.run(second())


def test_whoever_guesses_does_not_keep_others_waiting(tmp_path: Path) -> None:
    """All of the guesses wait, and the right token is answered while they do."""

    async def work(client: Client) -> None:
        guesses = [asyncio.create_task(status(client, "GET", "/queue", bearer("wrong"))) for _ in range(50)]
        for _ in range(5):
            await asyncio.sleep(0)
        assert await status(client, "GET", "/healthz", {}) == 200
        assert await status(client, "GET", "/queue", bearer(ANN)) == 200
        assert await asyncio.gather(*guesses) == [401] * 50

    ask(tmp_path, work)


def test_no_log_shows_a_token(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)

    async def work(client: Client) -> None:  # the test server's own access log is not the one that serves
        cookie = await logged_in(client)
        for path in ("/", "/ws", "/queue", "/nothing"):
            for given in (ANN, "the-wrong-secret"):
                async with client.get(f"{path}?token={given}", allow_redirects=False) as answer:
                    shown = await answer.text()
                assert given not in shown
                assert given not in answer.headers.get("Location", "")
                async with client.get(path, headers=bearer(given)) as answer:
                    assert given not in await answer.text()
        assert await status(client, "GET", "/queue", cookie) == 200
        async with client.get("/system_stats", headers=bearer(ANN)) as answer:
            assert ANN not in await answer.text()
        said = "\n".join(
            f"{each.getMessage()} {each.exc_text} {vars(each)}"
            for each in caplog.records
            if each.name != "aiohttp.access"
        )
        assert ANN not in said
        assert "the-wrong-secret" not in said
        assert "wrong token" in said

    ask(tmp_path, work)


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (f"ann:{ANN}", 200), (f":{ANN}", 200), (f"bob:{ANN}", 401), ("ann:wrong-secret", 401), (ANN, 401),
    ],
)  # fmt: skip
def test_a_token_may_be_a_password_of_its_user(tmp_path: Path, given: str, expected: int) -> None:
    async def work(client: Client) -> None:
        header = {"Authorization": "Basic " + base64.b64encode(given.encode()).decode()}
        assert await status(client, "GET", "/queue", header) == expected
        assert await status(client, "GET", "/queue", header | await logged_in(client)) == 200

    ask(tmp_path, work)


@pytest.mark.parametrize("given", ["Basic", "Basic ", "Basic ****", "Basic /w==", "basic Og==", "Digest x"])
def test_a_password_that_is_none_is_refused(tmp_path: Path, given: str) -> None:
    async def work(client: Client) -> None:
        assert await status(client, "GET", "/queue", {"Authorization": given}) == 401

    ask(tmp_path, work)
