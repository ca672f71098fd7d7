"""From where the server may be asked, and what browsers are told: Host, Origin, formats, headers, safe settings."""

import asyncio
import ipaddress
import re
import socket
from collections.abc import Callable, Coroutine, Mapping
from pathlib import Path
from typing import Any

import pytest
from aiohttp import ClientResponse
from hypothesis import given
from hypothesis import strategies as st

from tests.web.server import Client, serving
from web.security import AUTHORITY, UnsafeAddress, UnsafeSettings, check_settings, is_loopback
from web.settings import Settings

SITE = "https://example.org"
PLACES = ("/queue", "/api/queue", "/object_info", "/nothing/here", "/healthz")


def ask(tmp_path: Path, work: Callable[[Client], Coroutine[Any, Any, None]], **settings: Any) -> None:
    async def run() -> None:
        async with serving(tmp_path, **settings) as (client, _):
            await work(client)

    asyncio.run(run())


async def status(client: Client, method: str, path: str, headers: Mapping[str, str], **body: Any) -> int:
    async with client.request(method, path, headers=headers, **body) as answer:
        if answer.status >= 400 and method != "HEAD":
            await sentence(answer)
        return answer.status


async def sentence(answer: ClientResponse) -> str:
    """The message of an error, which has the one shape."""
    found = await answer.json()
    assert found.keys() == {"error", "node_errors"}
    message = found["error"]["message"]
    assert isinstance(message, str)
    assert re.search(r"[.?]$", message)
    return message


def here(client: Client, scheme: str = "http") -> str:
    return f"{scheme}://127.0.0.1:{client.port}"


# ── Host ──────────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    "host", ["localhost", "LOCALHOST:8188", "localhost.", "127.0.0.1", "127.8.9.10:1", "[::1]:8188", "a.localhost"]
)
def test_on_this_machine_every_name_of_the_loopback_is_good(tmp_path: Path, host: str) -> None:
    async def work(client: Client) -> None:
        assert await status(client, "GET", "/queue", {"Host": host}) == 200

    ask(tmp_path, work)


@pytest.mark.parametrize(
    "host",
    ["evil.example", "evil.example:8188", "localhost.evil.example", "127.0.0.1.evil.example", "127.0.0.1.nip.io",
     "192.168.1.5", "10.0.0.1:8188", "0.0.0.0:8188", "notlocalhost", "2130706433", "0x7f.1", "127.1"],
)  # fmt: skip
@pytest.mark.parametrize("path", PLACES)
def test_dns_rebinding_other_names_are_refused_at_every_route(tmp_path: Path, path: str, host: str) -> None:
    async def work(client: Client) -> None:
        assert await status(client, "GET", path, {"Host": host}) == 403
        assert await status(client, "POST", path, {"Host": host, "Origin": f"http://{host}"}, json={}) == 403

    ask(tmp_path, work)


def test_dns_rebinding_is_refused_for_websockets(tmp_path: Path) -> None:
    async def work(client: Client) -> None:
        upgrade = {"Upgrade": "websocket", "Connection": "Upgrade", "Sec-WebSocket-Version": "13"}
        upgrade |= {"Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==", "Host": "evil.example"}
        assert await status(client, "GET", "/ws", upgrade) == 403

    ask(tmp_path, work)


@pytest.mark.parametrize(
    "lines",
    [b"", b"Host: localhost\r\nHost: evil.example\r\n", b"Host:\r\n", b"Host: a b\r\n", b"Host: user@localhost\r\n",
     b"Host: localhost/x\r\n", b"Host: [::1\r\n", b"Host: localhost..\r\n", b"Host: localhost:99999999\r\n",
     b"Host: localhost,evil.example\r\n"],
)  # fmt: skip
def test_a_missing_doubled_or_malformed_host_is_a_bad_request(tmp_path: Path, lines: bytes) -> None:
    async def work(client: Client) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", client.port)
        writer.write(b"GET /queue HTTP/1.1\r\n" + lines + b"Connection: close\r\n\r\n")
        answer = await asyncio.wait_for(reader.read(), 30)
        assert re.match(rb"HTTP/1\.[01] 400 ", answer), answer
        writer.close()

    ask(tmp_path, work)


def test_elsewhere_numbers_and_the_names_of_the_machine_are_good(tmp_path: Path) -> None:
    async def work(client: Client) -> None:
        machine = socket.gethostname()
        for good in ("192.168.1.5", "[fe80::1]:8188", "localhost", machine, f"{machine.split('.')[0]}.local"):
            assert await status(client, "GET", "/queue", {"Host": good}) == 200, good
        for bad in ("evil.example", "192.168.1.5.nip.io", f"{machine}.evil.example"):
            assert await status(client, "GET", "/queue", {"Host": bad}) == 403, bad

    ask(tmp_path, work, addresses=("0.0.0.0",))


def test_an_allowed_host_is_good_and_its_neighbours_are_not(tmp_path: Path) -> None:
    async def work(client: Client) -> None:
        assert await status(client, "GET", "/queue", {"Host": "Studio.Example:443"}) == 200
        assert await status(client, "GET", "/queue", {"Host": "x.studio.example"}) == 403
        assert await status(client, "GET", "/queue", {"Host": "studio.example.org"}) == 403

    ask(tmp_path, work, allow_hosts=("studio.example",))


@given(st.from_regex(AUTHORITY, fullmatch=True))
def test_only_names_of_the_loopback_pass_for_it(authority: str) -> None:
    found = AUTHORITY.fullmatch(authority)
    assert found is not None
    name = (found["six"] or found["name"]).lower().removesuffix(".")
    if is_loopback(found["six"] or found["name"]):
        good = name.split(".")[-1] == "localhost" or re.fullmatch(r"127(\.\d{1,3}){3}", name)
        assert good or ipaddress.ip_address(name) in {ipaddress.ip_address("::1")} or name.startswith("::ffff:")


# ── Origin ────────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("method", ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"])
@pytest.mark.parametrize(
    "origin",
    ["null", "", SITE, "http://localhost:1", "http://127.0.0.1", "file://", "chrome-extension://abc", "http://[::1]",
     "http://127.0.0.1.evil.example", "javascript:alert(1)", "http://user@127.0.0.1"],
)  # fmt: skip
def test_other_origins_are_refused_whatever_they_ask(tmp_path: Path, origin: str, method: str) -> None:
    async def work(client: Client) -> None:
        for path in PLACES:
            assert await status(client, method, path, {"Origin": origin}) == 403, path

    ask(tmp_path, work)


def test_other_origins_cannot_open_a_websocket(tmp_path: Path) -> None:
    async def work(client: Client) -> None:
        for path in ("/ws", "/api/ws"):
            for origin in ("null", SITE, "http://localhost:3000"):
                with pytest.raises(Exception, match="403"):
                    await client.ws_connect(path, headers={"Origin": origin})
            async with client.ws_connect(path, headers={"Origin": here(client)}) as connection:
                assert (await connection.receive_json())["type"] == "status"

    ask(tmp_path, work)


def test_two_origins_are_refused_even_if_one_is_good(tmp_path: Path) -> None:
    async def work(client: Client) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", client.port)
        good = here(client).encode()
        writer.write(b"GET /queue HTTP/1.1\r\nHost: localhost\r\nOrigin: " + good + b"\r\nOrigin: null\r\n")
        writer.write(b"Connection: close\r\n\r\n")
        answer = await asyncio.wait_for(reader.read(), 30)
        assert re.match(rb"HTTP/1\.[01] 40[03] ", answer), answer
        writer.close()

    ask(tmp_path, work)


def test_the_same_origin_is_good_with_default_ports_and_behind_tls(tmp_path: Path) -> None:
    async def work(client: Client) -> None:
        for host, origin in [
            (f"127.0.0.1:{client.port}", here(client)),
            ("localhost", "http://localhost"),
            ("localhost", "https://localhost"),  # a proxy speaks TLS
            ("localhost:80", "http://localhost"),
            ("localhost", "https://LOCALHOST:443"),
            ("[::1]:8188", "http://[::1]:8188"),
        ]:
            headers = {"Host": host, "Origin": origin}
            assert await status(client, "POST", "/queue", headers, json={}) == 200, headers
        for host, origin in [("localhost", "http://localhost:443"), ("localhost:8188", "http://127.0.0.1:8188")]:
            assert await status(client, "GET", "/queue", {"Host": host, "Origin": origin}) == 403

    ask(tmp_path, work)


def test_what_a_foreign_page_asks_without_an_origin_is_refused_but_links_work(tmp_path: Path) -> None:
    async def work(client: Client) -> None:
        def fetched(site: str, mode: str, target: str) -> dict[str, str]:
            return {"Sec-Fetch-Site": site, "Sec-Fetch-Mode": mode, "Sec-Fetch-Dest": target}

        for site in ("cross-site", "same-site", "new-kind"):
            for mode, target in (
                ("no-cors", "image"),
                ("no-cors", "script"),
                ("navigate", "iframe"),
                ("cors", "empty"),
            ):
                for path in ("/queue", "/interrupt", "/view?filename=a.png"):
                    assert await status(client, "GET", path, fetched(site, mode, target)) == 403
            assert await status(client, "GET", "/queue", fetched(site, "navigate", "document")) == 200
            assert await status(client, "POST", "/interrupt", fetched(site, "navigate", "document")) == 403
        for site in ("none", "same-origin"):
            assert await status(client, "GET", "/queue", fetched(site, "no-cors", "image")) == 200

    ask(tmp_path, work)


def test_an_allowed_origin_gets_what_browsers_need_and_others_do_not(tmp_path: Path) -> None:
    async def work(client: Client) -> None:
        wish = {"Origin": SITE, "Access-Control-Request-Method": "POST"}
        async with client.options("/prompt", headers=wish) as answer:
            assert answer.status in {200, 204}
            assert answer.headers["Access-Control-Allow-Origin"] == SITE
            assert answer.headers["Access-Control-Allow-Credentials"] == "true"
            assert "Content-Type" in answer.headers["Access-Control-Allow-Headers"]
            assert "POST" in answer.headers["Access-Control-Allow-Methods"]
        async with client.get("/queue", headers={"Origin": SITE, "Sec-Fetch-Site": "cross-site"}) as answer:
            assert answer.status == 200
            assert answer.headers["Access-Control-Allow-Origin"] == SITE
            assert "Origin" in answer.headers.getall("Vary")
        async with client.get("/nothing", headers={"Origin": SITE}) as answer:
            assert answer.status == 404
            assert answer.headers["Access-Control-Allow-Origin"] == SITE
        for origin in ("null", "http://example.org", "https://example.org.evil.example", "https://example.org:444"):
            async with client.options("/prompt", headers=wish | {"Origin": origin}) as answer:
                assert answer.status == 403
                assert "Access-Control-Allow-Origin" not in answer.headers

    ask(tmp_path, work, allow_origins=(SITE,))


def test_preflights_of_the_same_origin_are_answered(tmp_path: Path) -> None:
    async def work(client: Client) -> None:
        async with client.options("/prompt", headers={"Origin": here(client)}) as answer:
            assert (answer.status, await answer.read()) == (200, b"")
            assert "Access-Control-Allow-Origin" not in answer.headers

    ask(tmp_path, work)


# ── formats ───────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded", "application/octet-stream", ""])
def test_a_page_must_say_that_it_sends_json(tmp_path: Path, kind: str) -> None:
    async def work(client: Client) -> None:
        for marks in ({"Origin": here(client)}, {"Sec-Fetch-Site": "same-origin"}):
            for path in ("/queue", "/prompt", "/interrupt", "/free", "/history", "/upload/image", "/settingsx"):
                headers = {**marks, "Content-Type": kind}
                assert await status(client, "POST", path, headers, data=b'{"clear": true}') == 415, path

    ask(tmp_path, work)


def test_programs_send_json_as_what_they_like(tmp_path: Path) -> None:
    """The usual script posts with urllib, which says that JSON is a form."""

    async def work(client: Client) -> None:
        for kind in ("application/x-www-form-urlencoded", "text/plain", "application/json"):
            assert await status(client, "POST", "/queue", {"Content-Type": kind}, data=b'{"clear": true}') == 200

    ask(tmp_path, work)


def test_front_ends_send_settings_and_files_as_text(tmp_path: Path) -> None:
    async def work(client: Client) -> None:
        headers = {"Origin": here(client), "Sec-Fetch-Site": "same-origin", "Content-Type": "text/plain;charset=UTF-8"}
        for twin in ("", "/api"):
            assert await status(client, "POST", f"{twin}/settings/Comfy.A", headers, data=b"3") == 200
            assert await status(client, "POST", f"{twin}/settings", headers, data=b'{"Comfy.B": 1}') == 200
            assert await status(client, "POST", f"{twin}/userdata/workflows%2Fa.json", headers, data=b"{}") == 200

    ask(tmp_path, work)


def test_an_allowed_origin_sends_no_plain_text(tmp_path: Path) -> None:
    async def work(client: Client) -> None:
        headers = {"Origin": SITE, "Content-Type": "text/plain"}
        assert await status(client, "POST", "/settings/Comfy.A", headers, data=b"3") == 415
        assert await status(client, "POST", "/userdata/a.json", headers, data=b"3") == 415
        assert await status(client, "POST", "/settings/Comfy.A", {"Origin": SITE}, json=3) == 200

    ask(tmp_path, work, allow_origins=(SITE,))


# ── answers ───────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("path", [*PLACES, "/view?filename=none.png", "/userdata/none.json", "/"])
def test_every_answer_tells_browsers_what_not_to_do(tmp_path: Path, path: str) -> None:
    async def work(client: Client) -> None:
        for method in ("GET", "POST", "OPTIONS"):
            async with client.request(method, path) as answer:
                assert answer.headers["X-Content-Type-Options"] == "nosniff"
                assert answer.headers["Referrer-Policy"] == "same-origin"
                assert answer.headers["Cross-Origin-Resource-Policy"] == "same-origin"
                assert answer.headers["X-Frame-Options"] in {"SAMEORIGIN", "DENY"}
                assert "Content-Security-Policy" in answer.headers

    ask(tmp_path, work)


# ── settings ──────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("address", ["0.0.0.0", "::", "", "192.168.1.5", "studio.example", "127.0.0.1.nip.io"])
def test_an_open_address_needs_a_token_or_to_be_asked_for_aloud(tmp_path: Path, address: str) -> None:
    settings = Settings(tmp_path, addresses=("127.0.0.1", address))
    with pytest.raises(UnsafeAddress, match="--token"):
        check_settings(settings, insecure=False)
    check_settings(settings, insecure=True)
    check_settings(Settings(tmp_path, addresses=(address,), tokens={"ann": "a" * 20}), insecure=False)


@pytest.mark.parametrize("address", ["127.0.0.1", "localhost", "::1", "127.3.2.1", "::ffff:127.0.0.1"])
def test_the_loopback_needs_none(tmp_path: Path, address: str) -> None:
    check_settings(Settings(tmp_path, addresses=(address,)), insecure=False)


@pytest.mark.parametrize(
    "wrong",
    [{"tokens": {"../ann": "a" * 20}}, {"tokens": {"": "a" * 20}}, {"tokens": {"a" * 65: "a" * 20}},
     {"tokens": {"ann\n": "a" * 20}}, {"tokens": {"ann": "short"}}, {"tokens": {"ann": "a secret of mine"}},
     {"tokens": {"ann": "a" * 20, "bob": "a" * 20}}, {"allow_origins": ("*",)}, {"allow_origins": ("null",)},
     {"allow_origins": ("example.org",)}, {"allow_origins": ("https://example.org/x",)}, {"allow_hosts": ("*",)},
     {"allow_hosts": ("example.org:80",)}, {"allow_hosts": ("http://example.org",)}],
)  # fmt: skip
def test_settings_that_cannot_be_meant_are_refused_in_a_sentence(tmp_path: Path, wrong: dict[str, Any]) -> None:
    with pytest.raises(UnsafeSettings, match=r"\.$"):
        check_settings(Settings(tmp_path, **wrong), insecure=True)
